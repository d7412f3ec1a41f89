//! Items go through in order, once round the ring and more.

use highwater::{Builder, TryReadError, TryWriteError};
use loom::thread;
use loom_tests::{exhaustive_model, model, poll};

fn pass_items_in_order(capacity: usize, items: usize) {
    let (mut producer, mut consumer) = highwater::channel(capacity);
    let writer = thread::spawn(move || {
        for i in 0..items {
            let mut item = Some(Box::new(i));
            poll(|| match producer.try_write(item.take()?) {
                Ok(_) => Some(()),
                Err(TryWriteError::WouldBlock(refused)) => {
                    item = Some(refused);
                    None
                }
                Err(TryWriteError::Closed(_)) => panic!("closed"),
            });
        }
        producer.end();
    });
    for i in 0..items {
        assert_eq!(*poll(|| consumer.try_read().ok()), i);
    }
    poll(|| (consumer.try_read() == Err(TryReadError::Ended)).then_some(()));
    writer.join().unwrap();
}

#[test]
fn polling_ends_pass_items_in_order_through_one_slot() {
    exhaustive_model(19_000, || pass_items_in_order(1, 2));
}

#[test]
fn polling_ends_pass_items_in_order_round_two_slots() {
    model(3400, || pass_items_in_order(2, 3));
}

#[test]
fn blocking_ends_pass_items_in_order_through_one_slot() {
    model(39_000, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        let writer = thread::spawn(move || {
            for i in 0..2 {
                producer.write(Box::new(i)).unwrap();
            }
            producer.end();
        });
        for i in 0..2 {
            assert_eq!(*consumer.read().unwrap(), i);
        }
        assert!(consumer.read().is_err());
        writer.join().unwrap();
    });
}

#[test]
fn blocking_ends_pass_items_in_order_round_two_slots() {
    model(9800, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let _ = producer.try_write(Box::new(0)).unwrap();
        let writer = thread::spawn(move || {
            for i in 1..3 {
                producer.write(Box::new(i)).unwrap();
            }
            // Alive until all was read: the end has models of its own.
            producer
        });
        for i in 0..3 {
            assert_eq!(*consumer.read().unwrap(), i);
        }
        drop(writer.join().unwrap());
    });
}

/// Its lines are written to before the items are ([`Place::claim`] in `src/ring/slots.rs`; a model has an item to a line).
#[test]
fn what_the_producer_claims_nobody_reads() {
    exhaustive_model(5, || {
        let (mut producer, mut consumer) = highwater::channel(4);
        for i in 0..2 {
            let _ = producer.try_write(Box::new(i)).unwrap();
        }
        let writer = thread::spawn(move || {
            let _ = producer.try_write(Box::new(2)).unwrap();
            producer
        });
        for i in 0..2 {
            assert_eq!(*consumer.try_read().unwrap(), i);
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn polling_ends_pass_items_in_order_round_three_slots() {
    // One more than there are, in memory for four.
    model(8700, || pass_items_in_order(3, 4));
}

#[test]
fn blocking_ends_pass_items_in_order_round_three_slots() {
    model(10_000, || {
        let (mut producer, mut consumer) = highwater::channel(3);
        for i in 0..2 {
            let _ = producer.try_write(Box::new(i)).unwrap();
        }
        let writer = thread::spawn(move || {
            for i in 2..4 {
                producer.write(Box::new(i)).unwrap();
            }
            producer
        });
        for i in 0..4 {
            assert_eq!(*consumer.read().unwrap(), i);
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn blocking_ends_pass_items_in_order_whatever_they_weigh() {
    // The second item finds no slot, or waits for drain, or reaches the mark.
    for (capacity, high) in [(1, 4), (2, 1), (3, 3)] {
        model(1300, move || {
            let (mut producer, mut consumer) = Builder::new()
                .weigh_by(|item: &usize| *item)
                .high_water_mark(high)
                .low_water_mark(0)
                .capacity(capacity)
                .build::<usize>()
                .unwrap();
            let _ = producer.try_write(1).unwrap();
            let writer = thread::spawn(move || {
                producer.write(2).unwrap();
                producer
            });
            for i in 1..3 {
                assert_eq!(consumer.read().unwrap(), i);
            }
            assert_eq!(consumer.len(), 0);
            drop(writer.join().unwrap());
        });
    }
}

#[test]
fn indices_may_wrap_on_the_way() {
    model(9300, || {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(1)
            .first_index(usize::MAX)
            .build()
            .unwrap();
        let writer = thread::spawn(move || {
            producer.write(1).unwrap();
            producer.write(2).unwrap();
            producer
        });
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(consumer.read(), Ok(2));
        drop(writer.join().unwrap());
    });
}

#[test]
fn an_item_is_whole_when_it_is_seen() {
    exhaustive_model(5, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(Box::new(7)).unwrap();
            producer
        });
        if let Ok(item) = consumer.try_read() {
            assert_eq!(*item, 7);
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_slot_of_several_that_were_seen_at_once_is_free_when_it_is_written_again() {
    model(530, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        for i in 0..2 {
            let _ = producer.try_write(Box::new(i)).unwrap();
        }
        let writer = thread::spawn(move || {
            for i in 2..4 {
                producer.write(Box::new(i)).unwrap();
            }
            producer
        });
        // The second is taken without a look at the other side.
        for i in 0..2 {
            assert_eq!(*consumer.read().unwrap(), i);
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_freed_slot_is_free_when_it_is_written_again() {
    exhaustive_model(5, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        let _ = producer.try_write(Box::new(1)).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(*consumer.try_read().unwrap(), 1);
            consumer
        });
        let second = producer.try_write(Box::new(2)).is_ok();
        let mut consumer = reader.join().unwrap();
        assert_eq!(consumer.try_read().ok(), second.then(|| Box::new(2)));
    });
}
