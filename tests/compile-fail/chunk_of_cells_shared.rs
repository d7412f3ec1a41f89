use std::{cell::Cell, thread};

fn main() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(Cell::new(1)).unwrap();
    let chunk = consumer.try_chunk_up_to(1).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| chunk.as_slices().0[0].set(2));
        chunk.as_slices().0[0].set(3);
    });
}
