use highwater::Consumer;

/// What is read would be used after it is gone.
fn lengthened<'a>(consumer: Consumer<&'a str>) -> Consumer<&'static str> {
    consumer
}

fn main() {}
