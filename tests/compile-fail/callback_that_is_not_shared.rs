use std::cell::Cell;

fn main() {
    let (_producer, mut consumer) = highwater::channel::<u8>(4);
    let count = Cell::new(0);
    consumer.on_ready(move || count.set(count.get() + 1));
}
