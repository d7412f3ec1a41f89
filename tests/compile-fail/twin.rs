//! What the others in this folder get wrong, done right: so each of them fails for its own reason.
#![deny(unused_must_use)]

use highwater::{Flow, TryWriteError};
use std::{rc::Rc, thread};

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
    Ok(())
}
