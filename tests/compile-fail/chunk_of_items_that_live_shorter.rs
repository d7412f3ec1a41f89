use highwater::ReadChunk;

/// Through `as_mut_slices` a short-lived item would get into a channel of long-lived ones.
fn shortened<'c, 'a>(chunk: ReadChunk<'c, &'static str>) -> ReadChunk<'c, &'a str> {
    chunk
}

fn main() {}
