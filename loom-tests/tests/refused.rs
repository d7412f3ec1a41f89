//! The heavy barrier turns out to be refused: a channel that began without fences changes over to them,
//! and whoever goes to sleep meanwhile, with the other side not knowing yet, is not left alone.

use highwater::{Builder, Consumer, Producer, Weigh};
use loom::thread;
use loom_tests::{exhaustive_model, model, weighted_ends, Goes, Instant, Leaves, AS_IT_SAYS};

/// A way to write one item, or to read one if it is there, that has to know of the wish for fences, too.
type Write = fn(&mut Producer<usize>, usize);
type Read = fn(&mut Consumer<usize>) -> Option<usize>;

fn ends(high: usize) -> (Producer<usize>, Consumer<usize>) {
    Builder::new()
        .high_water_mark(high)
        .low_water_mark(0)
        .refused_barrier()
        .build()
        .unwrap()
}

#[test]
fn data_wakes_a_consumer_that_was_refused() {
    model(14_000, || {
        let (mut producer, mut consumer) = ends(4);
        let writer = thread::spawn(move || {
            for i in 0..2 {
                let _ = producer.try_write(i).unwrap();
            }
            producer
        });
        for i in 0..2 {
            assert_eq!(consumer.read(), Ok(i));
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn drain_wakes_a_producer_that_was_refused() {
    model(3300, || {
        let (mut producer, mut consumer) = ends(1);
        let reader = thread::spawn(move || {
            let mut read = 0;
            while read < 2 {
                match consumer.try_read() {
                    Ok(item) => {
                        assert_eq!(item, read);
                        read += 1;
                    }
                    Err(_) => thread::yield_now(),
                }
            }
            consumer
        });
        for i in 0..2 {
            producer.write(i).unwrap();
        }
        drop(reader.join().unwrap());
    });
}

#[test]
fn an_end_wakes_a_consumer_that_was_refused() {
    for goes in Goes::ALL {
        model(6300, move || {
            let (mut producer, mut consumer) = ends(2);
            let writer = thread::spawn(move || {
                let _ = producer.try_write(1).unwrap();
                goes.apply(producer);
            });
            let error = match consumer.read() {
                Ok(item) => {
                    assert_eq!(item, 1);
                    consumer.read().unwrap_err()
                }
                // An abort drops what is buffered.
                Err(error) => {
                    assert_eq!(goes, Goes::Aborts);
                    error
                }
            };
            goes.check(&error);
            writer.join().unwrap();
        });
    }
}

/// Has the producer ask for fences, and the consumer use them, by an item that fills the channel: the next sleep relies on that.
fn confirm_fences<W: Weigh<usize>>(
    (producer, consumer): (&mut Producer<usize, W>, &mut Consumer<usize, W>),
    item: usize,
) {
    let _ = producer.try_write(item).unwrap();
    let deadline = Instant::new();
    deadline.pass();
    assert!(producer.write_deadline(item, deadline).is_err());
    assert_eq!(consumer.try_read(), Ok(item));
}

#[test]
fn a_consumer_that_goes_or_closes_wakes_a_producer_that_was_refused() {
    for leaves in Leaves::ALL {
        for is_confirmed in [false, true] {
            exhaustive_model(19, move || {
                let (mut producer, mut consumer) = ends(1);
                if is_confirmed {
                    confirm_fences((&mut producer, &mut consumer), 0);
                }
                let _ = producer.try_write(1).unwrap();
                let reader = thread::spawn(move || leaves.apply(consumer));
                assert_eq!(producer.write(2).unwrap_err().into_inner(), 2);
                leaves.check(producer.cancel_reason().as_ref());
                drop(reader.join().unwrap());
            });
        }
    }
}

#[test]
fn an_item_that_makes_room_wakes_a_producer_that_waits_for_weight_and_was_refused() {
    for is_confirmed in [false, true] {
        exhaustive_model(330, move || {
            let builder = Builder::new().refused_barrier();
            let (mut producer, mut consumer) = weighted_ends(builder, AS_IT_SAYS, (2, 4), 2);
            if is_confirmed {
                confirm_fences((&mut producer, &mut consumer), 4);
            }
            let _ = producer.try_write(2).unwrap();
            let reader = thread::spawn(move || {
                assert_eq!(consumer.try_read(), Ok(2));
                consumer
            });
            // A slot is free, and what is there is no more than the low mark.
            producer.write(3).unwrap();
            let mut consumer = reader.join().unwrap();
            assert_eq!(consumer.try_read(), Ok(3));
        });
    }
}

/// The consumer's second sleep relies on fences, as the first item has confirmed them, or may have: the second
/// item comes another way.
fn data_that_comes_another_way_wakes_a_consumer_that_was_refused(high: usize, write: Write) {
    model(19_000, move || {
        let (mut producer, mut consumer) = ends(high);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(0).unwrap();
            write(&mut producer, 1);
            producer
        });
        for i in 0..2 {
            assert_eq!(consumer.read(), Ok(i));
        }
        drop(writer.join().unwrap());
    });
}

fn commit(producer: &mut Producer<usize>, item: usize) {
    let mut chunk = producer.try_reserve(1).unwrap();
    chunk.push(item).unwrap();
    let _ = chunk.commit();
}

#[test]
fn a_chunk_wakes_a_consumer_that_was_refused() {
    data_that_comes_another_way_wakes_a_consumer_that_was_refused(4, commit);
}

#[test]
fn a_chunk_that_reaches_the_mark_wakes_a_consumer_that_was_refused() {
    data_that_comes_another_way_wakes_a_consumer_that_was_refused(2, commit);
}

#[test]
fn a_slice_wakes_a_consumer_that_was_refused() {
    data_that_comes_another_way_wakes_a_consumer_that_was_refused(4, |producer, item| {
        assert_eq!(producer.try_write_slice(&[item]), Ok(1));
    });
}

#[test]
fn a_batch_wakes_a_consumer_that_was_refused() {
    data_that_comes_another_way_wakes_a_consumer_that_was_refused(4, |producer, item| {
        let _ = producer.batch().try_write(item).unwrap();
    });
}

/// As above: the producer's second sleep relies on fences, which the first drain has confirmed, or may have.
fn drain_that_comes_another_way_wakes_a_producer_that_was_refused(read: Read) {
    model(13_000, move || {
        let (mut producer, mut consumer) = ends(1);
        let _ = producer.try_write(0).unwrap();
        let reader = thread::spawn(move || {
            let mut next = |read: Read| loop {
                match read(&mut consumer) {
                    Some(item) => break item,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(next(|consumer| consumer.try_read().ok()), 0);
            assert_eq!(next(read), 1);
            consumer
        });
        for i in 1..3 {
            producer.write(i).unwrap();
        }
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_chunk_that_is_consumed_wakes_a_producer_that_was_refused() {
    drain_that_comes_another_way_wakes_a_producer_that_was_refused(|consumer| {
        let chunk = consumer.try_chunk_up_to(1).ok()?;
        let item = chunk.as_slices().0[0];
        chunk.consume_all();
        Some(item)
    });
}

#[test]
fn a_chunk_that_is_iterated_wakes_a_producer_that_was_refused() {
    drain_that_comes_another_way_wakes_a_producer_that_was_refused(|consumer| {
        consumer.try_chunk_up_to(1).ok()?.into_iter().next()
    });
}

#[test]
fn a_slice_that_is_read_wakes_a_producer_that_was_refused() {
    drain_that_comes_another_way_wakes_a_producer_that_was_refused(|consumer| {
        let mut item = [0];
        consumer.try_read_slice(&mut item).ok()?;
        Some(item[0])
    });
}
