//! What those in `compile-fail` get wrong, done right: so each of them fails for its own reason.
#![deny(unused_must_use)]

use highwater::{Flow, Pipeline, TryWriteError};
use std::{
    cell::Cell,
    convert::Infallible,
    io::{BufRead, Read},
    rc::Rc,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
};

struct Guard<'a>(&'a String);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

struct Seven;

impl highwater::Weigh<u8> for Seven {
    fn weigh(&self, _item: &u8) -> usize {
        7
    }
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // The Flow is looked at, and each end is moved to one thread.
    let (mut producer, mut consumer) = highwater::channel(4);
    thread::scope(|scope| {
        scope.spawn(move || -> Result<(), TryWriteError<u8>> {
            if producer.try_write(1)? == Flow::Backpressure {
                return Ok(());
            }
            let _ = producer.try_write(2)?;
            producer.end(); // its Finish need not be used
            Ok(())
        });
        scope.spawn(move || while consumer.read().is_ok() {});
    });

    // A Monitor, not an end, is shared and cloned.
    let (mut producer, consumer) = highwater::channel::<u8>(4);
    let monitor = producer.monitor();
    thread::scope(|scope| {
        scope.spawn(|| monitor.clone().len());
        scope.spawn(|| monitor.len());
    });
    producer.write(1)?;
    drop(consumer);

    // An Rc goes through a channel of one thread.
    let (mut producer, mut consumer) = highwater::channel(4);
    producer
        .write(Rc::new(1))
        .map_err(|error| error.to_string())?;
    drop(consumer.read()?);

    // What an item borrows was there before the channel, and goes after it.
    let text = String::from("long enough");
    let (mut producer, _consumer) = highwater::channel(4);
    assert!(producer.try_write(Guard(&text)).is_ok());
    let (mut producer, _consumer) = highwater::Builder::new().weigh_by(Seven).build()?;
    producer.write(1)?;

    // An end is used again when its chunk has gone, and a chunk as long as its end is there.
    let (mut producer, mut consumer) = highwater::channel(4);
    let mut chunk = producer.try_reserve(2)?;
    chunk.push(Cell::new(1)).unwrap();
    let _ = chunk.commit_first(1);
    {
        let mut batch = producer.batch();
        let _ = batch.try_write(Cell::new(2));
    }
    let _ = producer.try_write(Cell::new(3));
    let mut chunk = consumer.try_chunk_up_to(2)?;
    chunk.as_mut_slices().0[0].set(4);
    println!("{:?}", chunk.as_slices());
    let chunk = thread::scope(|scope| scope.spawn(move || chunk).join().unwrap());
    chunk.consume_all();
    assert_eq!(consumer.peek(), Some(&Cell::new(3)));

    // A callback owns what it uses, and what it uses can be shared.
    let came = Arc::new(AtomicBool::new(false));
    let seen = came.clone();
    consumer.on_ready(move || seen.store(true, Ordering::Relaxed));
    drop(consumer.try_read());

    producer.end();
    Pipeline::source([1, 2])
        .stage(|item| Ok::<_, Infallible>(Arc::new(item)))
        .run(|_| Ok::<_, Infallible>(()))?;

    let (_producer, consumer) = highwater::bytes(4);
    let mut consumer = highwater::NonBlocking::new(consumer);
    drop(consumer.fill_buf().map(|lent| println!("{lent:?}")));
    drop(consumer.read(&mut [0; 4]));
    Ok(())
}
