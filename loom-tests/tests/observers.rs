//! Whoever learns of something also sees what was done before it, as the documentation promises. The
//! flags here are Relaxed: what makes them visible is the channel.

use highwater::{model::Counter, Builder, Consumer, Producer, Stats, TryReadError, Weigh};
use loom::{
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Arc,
    },
    thread,
};
use loom_tests::{exhaustive_model, model, weighted_ends, WeighBy, AS_IT_SAYS};

/// Something that one thread does and another looks for.
fn deed() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (flag.clone(), flag)
}

#[test]
fn who_reads_an_end_sees_what_the_producer_did_before_it() {
    for way in 0..3 {
        exhaustive_model(5, move || {
            let (producer, mut consumer) = highwater::channel::<u8>(1);
            let (deed, seen) = deed();
            let writer = thread::spawn(move || {
                deed.store(true, Relaxed);
                match way {
                    0 => drop(producer.end()),
                    1 => drop(producer),
                    _ => producer.abort("because"),
                }
            });
            if consumer.try_read() != Err(TryReadError::Empty) {
                assert!(seen.load(Relaxed));
            }
            writer.join().unwrap();
        });
    }
}

#[test]
fn who_is_told_of_a_close_or_a_cancel_sees_what_the_consumer_did_before_it() {
    for cancels in [false, true] {
        exhaustive_model(5, move || {
            let (producer, mut consumer) = highwater::channel::<u8>(1);
            let (deed, seen) = deed();
            let reader = thread::spawn(move || {
                deed.store(true, Relaxed);
                if cancels {
                    consumer.cancel("because");
                    None
                } else {
                    consumer.close();
                    Some(consumer)
                }
            });
            if producer.is_closed() {
                assert!(seen.load(Relaxed));
            }
            drop(reader.join().unwrap());
        });
    }
}

/// The same for all, in a channel that weighs.
const ALL_ALIKE: WeighBy<usize> = |_| 1;

#[test]
fn a_producer_that_sees_the_length_fall_sees_what_the_consumer_did_before() {
    for weigh in [ALL_ALIKE, AS_IT_SAYS] {
        exhaustive_model(5, move || see_the_length_fall(weigh, Producer::is_empty));
    }
}

#[test]
fn whoever_sees_the_length_fall_sees_what_the_consumer_did_before() {
    for weigh in [ALL_ALIKE, AS_IT_SAYS] {
        exhaustive_model(15, move || {
            see_the_length_fall(weigh, |producer| producer.monitor().is_empty());
        });
    }
}

fn see_the_length_fall(
    weigh: WeighBy<usize>,
    is_empty: impl Fn(&Producer<usize, WeighBy<usize>>) -> bool,
) {
    let (mut producer, mut consumer) = weighted_ends(Builder::new(), weigh, (2, 4), 1);
    let _ = producer.try_write(2).unwrap();
    let (deed, seen) = deed();
    let reader = thread::spawn(move || {
        deed.store(true, Relaxed);
        consumer.try_read().unwrap();
        consumer
    });
    if is_empty(&producer) {
        assert!(seen.load(Relaxed));
    }
    drop(reader.join().unwrap());
}

/// A third thread looks at the counters while an item is written, and read.
fn observe(counts: fn(&Stats) -> (usize, usize)) {
    for weighted in [false, true] {
        model(11_000, move || {
            let weigh = move |weight: &usize| if weighted { *weight } else { 1 };
            let (mut producer, mut consumer) = Builder::new()
                .weigh_by(weigh)
                .high_water_mark(4)
                .capacity(2)
                .build::<usize>()
                .unwrap();
            let _ = producer.try_write(2).unwrap();
            let monitor = producer.monitor();
            let before = counts(&monitor.stats());
            let (written, sees_written) = deed();
            let (read, sees_read) = deed();
            let writer = thread::spawn(move || {
                written.store(true, Relaxed);
                let _ = producer.try_write(2).unwrap();
                producer
            });
            let observer = thread::spawn(move || {
                let now = counts(&monitor.stats());
                if now.0 != before.0 {
                    assert!(sees_written.load(Relaxed));
                }
                if now.1 != before.1 {
                    assert!(sees_read.load(Relaxed));
                }
            });
            read.store(true, Relaxed);
            consumer.try_read().unwrap();
            observer.join().unwrap();
            drop(writer.join().unwrap());
        });
    }
}

#[test]
fn who_sees_an_item_counted_sees_what_was_done_before_it() {
    observe(|stats| (stats.items_written, stats.items_read));
}

#[test]
fn who_sees_a_weight_counted_sees_what_was_done_before_it() {
    observe(|stats| (stats.weight_written, stats.weight_read));
}

#[test]
fn who_sees_a_weight_counted_behind_a_consumer_that_went_sees_what_was_done_before_it() {
    exhaustive_model(380, || {
        let (mut producer, consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (5, 10), 2);
        let monitor = producer.monitor();
        let (deed, seen) = deed();
        let writer = thread::spawn(move || {
            deed.store(true, Relaxed);
            let _ = producer.try_write(3);
            producer
        });
        // The length is nothing from now on, so that nobody looks for it.
        drop(consumer);
        if monitor.stats().weight_written > 0 {
            assert!(seen.load(Relaxed));
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn who_sees_a_length_that_is_an_estimate_sees_what_was_done_before_it() {
    model(5900, || {
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (20, 40), 4);
        let _ = producer.try_write(1).unwrap();
        let _ = producer.try_write(2).unwrap();
        let monitor = producer.monitor();
        let (deed, seen) = deed();
        let writer = thread::spawn(move || {
            deed.store(true, Relaxed);
            let _ = producer.try_write(8).unwrap();
            producer
        });
        let observer = thread::spawn(move || {
            if monitor.len() >= 8 {
                assert!(seen.load(Relaxed));
            }
        });
        // While it looks, so that it has to estimate.
        consumer.try_read().unwrap();
        consumer.try_read().unwrap();
        observer.join().unwrap();
        drop(writer.join().unwrap());
    });
}

/// Two items go one after the other through a channel that holds one, while a third thread looks.
fn watch_one_slot<W: Weigh<u8> + Send + 'static>(
    mut producer: Producer<u8, W>,
    mut consumer: Consumer<u8, W>,
) {
    let monitor = producer.monitor();
    let _ = producer.try_write(1).unwrap();
    let observer = thread::spawn(move || {
        let len = monitor.len();
        assert!(len <= 1, "{len}");
    });
    let reader = thread::spawn(move || {
        consumer.try_read().unwrap();
        let _ = consumer.try_read();
        consumer
    });
    let _ = producer.try_write(2);
    observer.join().unwrap();
    drop(reader.join().unwrap());
}

#[test]
fn a_length_is_never_more_than_fits_and_never_less_than_nothing() {
    model(550, || {
        let (producer, consumer) = highwater::channel(1);
        watch_one_slot(producer, consumer);
    });
    model(870, || {
        let (producer, consumer) = Builder::new()
            .weigh_by(|_: &u8| 1)
            .high_water_mark(1)
            .limit(1)
            .capacity(1)
            .build()
            .unwrap();
        watch_one_slot(producer, consumer);
    });
}

/// As `drains` is never above `times_told_to_stop`.
#[test]
fn of_two_counters_of_one_writer_the_second_is_seen_no_older_than_the_first() {
    let add: [fn(&Counter, usize); 2] = [Counter::set, |counter, _| counter.bump_shared()];
    for add in add {
        exhaustive_model(53, move || {
            let counters = Arc::new((Counter::default(), Counter::default()));
            let writer = thread::spawn({
                let counters = counters.clone();
                move || {
                    for value in 1..=2 {
                        add(&counters.0, value);
                        add(&counters.1, value);
                    }
                }
            });
            let second = counters.1.get();
            let first = counters.0.get();
            assert!(second <= first, "{second} of {first}");
            writer.join().unwrap();
        });
    }
}
