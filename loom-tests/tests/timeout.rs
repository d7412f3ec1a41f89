//! A wait that is given up leaves no trace. The deadline is a coin that falls when the waiter is about
//! to sleep: see `Instant` in `src/sync.rs`.

use highwater::{
    Builder, Consumer, Producer, ReadTimeoutError, WaitTimeoutError, WriteTimeoutError,
};
use loom::thread;
use loom_tests::{exhaustive_model, model, weighted_ends, Goes, Instant, Leaves, AS_IT_SAYS};

/// A channel with an item in each slot.
fn full(capacity: usize) -> (Producer<usize>, Consumer<usize>) {
    let (mut producer, consumer) = highwater::channel(capacity);
    for i in 0..capacity {
        let _ = producer.try_write(i).unwrap();
    }
    (producer, consumer)
}

#[test]
fn a_read_that_times_out_as_data_comes_loses_neither() {
    exhaustive_model(33_000, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let deadline = Instant::new();
        let clock = deadline.clone();
        let writer = thread::spawn(move || {
            clock.pass();
            let _ = producer.try_write(7).unwrap();
            producer
        });
        match consumer.read_deadline(deadline) {
            Ok(item) => assert_eq!(item, 7),
            Err(error) => {
                assert_eq!(error, ReadTimeoutError::Timeout);
                // The next wait is woken as if there had been none before.
                assert_eq!(consumer.read(), Ok(7));
            }
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_write_that_times_out_as_the_channel_drains_gives_its_item_back() {
    for capacity in [1, 2, 3] {
        model(600, move || {
            let (mut producer, mut consumer) = full(capacity);
            let deadline = Instant::new();
            let clock = deadline.clone();
            let reader = thread::spawn(move || {
                clock.pass();
                // As far as the low mark, which is at half of the capacity.
                let reads = capacity - capacity / 2;
                for i in 0..reads {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                (consumer, reads)
            });
            match producer.write_deadline(capacity, deadline) {
                Ok(()) => {}
                Err(WriteTimeoutError::Timeout(item)) => producer.write(item).unwrap(),
                Err(WriteTimeoutError::Closed(_)) => panic!("closed"),
            }
            let (mut consumer, reads) = reader.join().unwrap();
            assert!(consumer.try_iter().eq(reads..=capacity));
        });
    }
}

#[test]
fn a_write_that_times_out_as_it_waits_for_weight_stops_nobody_and_can_be_taken_up_again() {
    model(760, || {
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (2, 4), 3);
        let _ = producer.try_write(2).unwrap();
        let deadline = Instant::new();
        let clock = deadline.clone();
        let reader = thread::spawn(move || {
            clock.pass();
            assert_eq!(consumer.try_read(), Ok(2));
            consumer
        });
        match producer.write_deadline(3, deadline) {
            Ok(()) => {}
            Err(WriteTimeoutError::Timeout(item)) => {
                // As if it had not been tried: what is there is no more than the low mark.
                assert!(!producer.need_drain());
                producer.write(item).unwrap();
            }
            Err(WriteTimeoutError::Closed(_)) => panic!("closed"),
        }
        let mut consumer = reader.join().unwrap();
        assert_eq!(consumer.try_read(), Ok(3));
        assert_eq!((producer.len(), consumer.len()), (0, 0));
    });
}

#[test]
fn an_end_that_comes_as_a_read_times_out_is_told_at_once_or_by_the_next_read() {
    for goes in Goes::ALL {
        if goes == Goes::Panics {
            continue; // In loom, whose threads are one, a lock that another one holds meanwhile is poisoned.
        }
        model(780, move || {
            let (producer, mut consumer) = highwater::channel::<u8>(1);
            let deadline = Instant::new();
            let clock = deadline.clone();
            let writer = thread::spawn(move || {
                clock.pass();
                goes.apply(producer);
            });
            let error = match consumer.read_deadline(deadline) {
                Err(ReadTimeoutError::Timeout) => consumer.read().unwrap_err(),
                Err(error) => error.into_read_error().unwrap(),
                Ok(_) => panic!("an item from nowhere"),
            };
            goes.check(&error);
            writer.join().unwrap();
        });
    }
}

#[test]
fn a_consumer_that_goes_or_closes_as_a_write_times_out_gives_its_item_back() {
    for leaves in [Leaves::Closes, Leaves::Cancels, Leaves::IsDropped] {
        model(650, move || {
            let (mut producer, consumer) = highwater::channel(1);
            let _ = producer.try_write(1).unwrap();
            let deadline = Instant::new();
            let clock = deadline.clone();
            let reader = thread::spawn(move || {
                clock.pass();
                leaves.apply(consumer)
            });
            let item = match producer.write_deadline(2, deadline) {
                Err(WriteTimeoutError::Timeout(item)) => {
                    producer.write(item).unwrap_err().into_inner()
                }
                Err(WriteTimeoutError::Closed(item)) => item,
                Ok(()) => panic!("there was no room"),
            };
            assert_eq!(item, 2);
            leaves.check(producer.cancel_reason().as_ref());
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn a_wait_for_drain_or_finish_can_be_given_up_and_taken_up_again() {
    for capacity in [1, 2] {
        a_wait_can_be_given_up_and_taken_up_again(capacity);
    }
}

fn a_wait_can_be_given_up_and_taken_up_again(capacity: usize) {
    model(840, move || {
        let (mut producer, mut consumer) = full(capacity);
        let deadline = Instant::new();
        let clock = deadline.clone();
        let reader = thread::spawn(move || {
            clock.pass();
            for i in 0..capacity {
                assert_eq!(consumer.try_read(), Ok(i));
            }
            consumer
        });
        if let Err(error) = producer.wait_drain_deadline(deadline.clone()) {
            assert_eq!(error, WaitTimeoutError::Timeout);
        }
        let mut finish = producer.end();
        if finish.wait_deadline(deadline).is_err() {
            finish.wait().unwrap();
        }
        drop(reader.join().unwrap());
    });
}
