//! However one end goes, the other gets all that it should, and nobody sleeps on.

use highwater::{Builder, ReadError, State, TryReadError, TryWriteError};
use loom::thread;
use loom_tests::{exhaustive_model, model, poll, weighted_ends, Goes, Leaves, AS_IT_SAYS};

#[test]
fn a_producer_that_goes_wakes_a_parked_consumer() {
    for goes in Goes::ALL {
        exhaustive_model(280, move || {
            let (producer, mut consumer) = highwater::channel::<u8>(1);
            let writer = thread::spawn(move || goes.apply(producer));
            goes.check(&consumer.read().unwrap_err());
            writer.join().unwrap();
        });
    }
}

#[test]
fn the_last_item_before_an_end_is_never_missed_by_a_reader_that_looks_in_between() {
    for goes in [Goes::Ends, Goes::IsDropped, Goes::Panics] {
        exhaustive_model(59, move || {
            let (mut producer, mut consumer) = highwater::channel(2);
            let writer = thread::spawn(move || {
                let _ = producer.try_write(Box::new(7)).unwrap();
                goes.apply(producer);
            });
            let item = poll(|| match consumer.try_read() {
                Ok(item) => Some(item),
                Err(TryReadError::Empty) => None,
                Err(error) => panic!("{error} before the item"),
            });
            assert_eq!(*item, 7);
            let error = poll(|| match consumer.try_read() {
                Err(TryReadError::Empty) => None,
                Err(error) => error.into_read_error(),
                Ok(_) => panic!("an item from nowhere"),
            });
            goes.check(&error);
            writer.join().unwrap();
        });
    }
}

#[test]
fn the_last_item_before_an_end_is_never_missed_by_a_reader_that_sleeps() {
    for (capacity, goes) in [
        (1, Goes::Ends),
        (1, Goes::Panics),
        (2, Goes::IsDropped),
        (3, Goes::Ends),
    ] {
        model(3200, move || {
            let (mut producer, mut consumer) = highwater::channel(capacity);
            for i in 1..capacity {
                let _ = producer.try_write(Box::new(i)).unwrap();
            }
            let writer = thread::spawn(move || {
                let _ = producer.try_write(Box::new(capacity)).unwrap();
                goes.apply(producer);
            });
            for i in 1..=capacity {
                assert_eq!(*consumer.read().unwrap(), i);
            }
            goes.check(&consumer.read().unwrap_err());
            writer.join().unwrap();
        });
    }
}

#[test]
fn an_abort_is_seen_whether_items_are_buffered_or_not() {
    model(7200, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer.abort("because");
        });
        match consumer.read() {
            Ok(item) => {
                assert_eq!(item, 1);
                Goes::Aborts.check(&consumer.read().unwrap_err());
            }
            Err(error) => Goes::Aborts.check(&error),
        }
        writer.join().unwrap();
        assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
    });
}

#[test]
fn a_consumer_that_goes_wakes_a_parked_producer() {
    for leaves in Leaves::FOR_GOOD {
        for capacity in [1, 2, 3] {
            exhaustive_model(760, move || {
                let (mut producer, consumer) = highwater::channel(capacity);
                for i in 0..capacity {
                    let _ = producer.try_write(i).unwrap();
                }
                let reader = thread::spawn(move || leaves.apply(consumer));
                leaves.check(producer.wait_drain().unwrap_err().reason());
                assert_eq!(producer.try_write(9), Err(TryWriteError::Closed(9)));
                reader.join().unwrap();
            });
        }
    }
}

#[test]
fn a_consumer_that_goes_gives_a_blocked_write_its_item_back() {
    for leaves in Leaves::FOR_GOOD {
        for capacity in [1, 2, 3] {
            exhaustive_model(510, move || {
                let (mut producer, consumer) = highwater::channel(capacity);
                for i in 0..capacity {
                    let _ = producer.try_write(Box::new(i)).unwrap();
                }
                let reader = thread::spawn(move || leaves.apply(consumer));
                assert_eq!(*producer.write(Box::new(9)).unwrap_err().into_inner(), 9);
                reader.join().unwrap();
            });
        }
    }
}

#[test]
fn a_consumer_that_goes_or_closes_gives_a_write_that_waits_for_weight_its_item_back() {
    for leaves in Leaves::ALL {
        exhaustive_model(550, move || {
            // A slot is free, and what is there is no more than the low mark: it is the weight that has no room.
            let (mut producer, consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (2, 4), 2);
            let _ = producer.try_write(2).unwrap();
            let reader = thread::spawn(move || leaves.apply(consumer));
            assert_eq!(producer.write(3).unwrap_err().into_inner(), 3);
            leaves.check(producer.cancel_reason().as_ref());
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn closing_wakes_a_parked_producer_and_then_a_parked_consumer() {
    model(1800, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            consumer.close();
            assert_eq!(consumer.read(), Ok(1));
            // Comes when the producer has been told, which is alive.
            assert_eq!(consumer.read(), Err(ReadError::Ended));
            consumer
        });
        match producer.write(2) {
            Err(refused) => assert_eq!(refused.into_inner(), 2),
            Ok(()) => panic!("accepted after the close, as the channel was full before it"),
        }
        drop(reader.join().unwrap());
    });
}

#[test]
fn closing_alone_wakes_a_parked_producer() {
    exhaustive_model(190, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            consumer.close();
            consumer
        });
        assert!(producer.wait_drain().is_err());
        assert_eq!(reader.join().unwrap().try_read(), Ok(1));
    });
}

#[test]
fn a_write_under_way_at_a_close_is_either_refused_or_read() {
    exhaustive_model(140, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let writer = thread::spawn(move || {
            let accepted = producer.try_write(1).is_ok();
            // The next operation is told, whatever the first one saw.
            let _ = producer.is_closed();
            (accepted, producer)
        });
        consumer.close();
        let read = consumer.read_all();
        let (accepted, producer) = writer.join().unwrap();
        assert_eq!(
            read + consumer.read_all_left(&producer),
            usize::from(accepted)
        );
    });
}

/// What a closed consumer still reads.
trait ReadAll {
    fn read_all(&mut self) -> usize;
    fn read_all_left<T>(&mut self, producer: &highwater::Producer<T>) -> usize;
}

impl ReadAll for highwater::Consumer<i32> {
    fn read_all(&mut self) -> usize {
        self.try_iter().count()
    }

    fn read_all_left<T>(&mut self, producer: &highwater::Producer<T>) -> usize {
        assert!(producer.is_closed());
        let left = self.try_iter().count();
        assert_eq!(self.try_read(), Err(TryReadError::Ended));
        assert!(self.is_ended());
        left
    }
}

#[test]
fn a_closed_stream_ends_only_after_the_write_under_way_at_the_close() {
    model(5300, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let writer = thread::spawn(move || {
            let accepted = producer.try_write(1).is_ok();
            drop(producer);
            accepted
        });
        consumer.close();
        // Abandoned before the close: the abandonment comes last, and is no item.
        let read = consumer.iter().filter(Result::is_ok).count();
        let accepted = writer.join().unwrap();
        assert_eq!(read, usize::from(accepted), "an accepted item was lost");
    });
}

#[test]
fn behind_a_close_a_producer_that_goes_is_a_clean_end() {
    exhaustive_model(6600, || {
        let (producer, mut consumer) = highwater::channel::<u8>(1);
        let writer = thread::spawn(move || drop(producer));
        consumer.close();
        // It may have gone before.
        let is_there = consumer.monitor().state() != State::Abandoned;
        let end = consumer.read().unwrap_err();
        assert!(!is_there || end == ReadError::Ended, "{end}");
        writer.join().unwrap();
    });
}

#[test]
fn finish_comes_when_everything_was_consumed_and_not_before() {
    // The last one weighs nothing: the length is 0 before it is read.
    const WEIGHTS: [usize; 3] = [1, 2, 0];

    for capacity in [1, 2, 3] {
        let weights = &WEIGHTS[3 - capacity..];
        exhaustive_model(130, move || {
            let (mut producer, mut consumer) =
                weighted_ends(Builder::new(), AS_IT_SAYS, (0, 3), capacity);
            let consumed = loom::sync::Arc::new(loom::cell::UnsafeCell::new(0));
            let by_reader = consumed.clone();
            for weight in weights {
                let _ = producer.try_write(*weight).unwrap();
            }
            let reader = thread::spawn(move || {
                for weight in weights {
                    by_reader.with_mut(|consumed| {
                        // SAFETY: loom checks that nobody reads it before the finish.
                        unsafe { *consumed += 1 }
                    });
                    assert_eq!(consumer.try_read(), Ok(*weight));
                }
                consumer
            });
            producer.end().wait().unwrap();
            consumed.with(|consumed| {
                // SAFETY: as above.
                assert_eq!(unsafe { *consumed }, capacity);
            });
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn a_cancel_before_the_last_item_is_no_finish() {
    model(810, || {
        let (mut producer, consumer) = highwater::channel(2);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || consumer.cancel("because"));
        let error = producer.end().wait().unwrap_err();
        assert_eq!(error.reason().unwrap().to_string(), "because");
        reader.join().unwrap();
    });
}

#[test]
fn a_consumer_that_reads_to_the_end_has_finished_whenever_it_goes() {
    model(5700, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.read(), Ok(1));
            assert_eq!(consumer.read(), Err(ReadError::Ended));
        });
        let finish = producer.end();
        let monitor = finish.monitor();
        finish.wait().unwrap();
        reader.join().unwrap();
        assert_eq!(monitor.state(), State::Finished);
    });
}

#[test]
fn a_consumer_that_goes_after_the_last_item_has_finished_only_if_the_end_came_before() {
    model(2300, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            drop(consumer);
        });
        let finish = producer.end();
        let monitor = finish.monitor();
        let state = match finish.wait() {
            Ok(()) => State::Finished,
            Err(_) => State::Cancelled,
        };
        assert_eq!(monitor.state(), state);
        reader.join().unwrap();
        assert_eq!(monitor.state(), state, "for good");
    });
}

#[test]
fn a_stream_that_is_over_stays_so_for_an_observer() {
    // The producer may be in the midst of a write as the consumer closes the channel, and goes.
    model(88_000, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let monitor = producer.monitor();
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1);
            drop(producer);
        });
        let reader = thread::spawn(move || {
            consumer.close();
            drop(consumer);
        });
        let before = monitor.state();
        reader.join().unwrap();
        writer.join().unwrap();
        if [State::Finished, State::Cancelled].contains(&before) {
            assert_eq!(monitor.state(), before);
        }
    });
}
