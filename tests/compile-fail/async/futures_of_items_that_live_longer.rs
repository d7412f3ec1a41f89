use highwater::{ReadAsync, WriteAsync};

/// What is read, or refused, would be used after it is gone.
fn lengthened_read<'c, 'a>(read: ReadAsync<'c, &'a str>) -> ReadAsync<'c, &'static str> {
    read
}

fn lengthened_write<'c, 'a>(write: WriteAsync<'c, &'a str>) -> WriteAsync<'c, &'static str> {
    write
}

fn main() {}
