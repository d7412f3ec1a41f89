//! What a third thread sees: states, counters, and lengths that never lie.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Drops};
use highwater::{Builder, Flow, Monitor, State, Stats, TryReadError};
use std::thread;

fn counters(monitor: &Monitor) -> (usize, usize, usize, usize, usize) {
    let stats = monitor.stats();
    (
        stats.items_written,
        stats.items_read,
        stats.times_told_to_stop,
        stats.drains,
        stats.peak_len,
    )
}

/// A channel with so many items in it, and its monitor.
fn with_items(
    items: usize,
) -> (
    highwater::Producer<usize>,
    highwater::Consumer<usize>,
    Monitor,
) {
    let (mut producer, consumer) = highwater::channel(4);
    (0..items).for_each(|item| producer.write(item).unwrap());
    let monitor = producer.monitor();
    (producer, consumer, monitor)
}

#[test]
fn an_empty_channel_that_is_closed_is_finished_when_its_producer_has_noticed() {
    for goes in [false, true] {
        let (mut producer, mut consumer, monitor) = with_items(0);
        consumer.close();
        let consumer = (!goes).then_some(consumer);
        // A write may be under way.
        assert_eq!(monitor.state(), State::Closed, "consumer gone: {goes}");
        assert!(producer.try_write(0).is_err());
        assert_eq!(monitor.state(), State::Finished, "consumer gone: {goes}");
        drop(consumer);
    }
}

#[test]
fn a_consumer_that_closes_and_goes_before_it_has_read_all_has_cancelled() {
    let (_producer, mut consumer, monitor) = with_items(1);
    consumer.close();
    assert_eq!(monitor.state(), State::Closed);
    drop(consumer);
    assert_eq!(monitor.state(), State::Cancelled);
}

#[test]
fn a_consumer_that_goes_before_it_has_read_what_a_dead_producer_left_has_cancelled() {
    let (producer, consumer, monitor) = with_items(1);
    drop(producer);
    assert_eq!(monitor.state(), State::Abandoned);
    drop(consumer);
    assert_eq!(monitor.state(), State::Cancelled);
}

#[test]
fn a_stream_that_ends_is_open_then_ended_then_finished_for_good() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = producer.monitor();
    assert_eq!(monitor.state(), State::Open);
    producer.write(1).unwrap();
    assert_eq!(monitor.state(), State::Open);
    let finish = producer.end();
    assert_eq!(monitor.state(), State::Ended);
    assert_eq!(finish.monitor().state(), State::Ended);
    consumer.try_read().unwrap();
    assert_eq!(monitor.state(), State::Finished);
    drop(consumer);
    assert_eq!(monitor.state(), State::Finished);
}

#[test]
fn an_empty_stream_finishes_as_it_ends() {
    let (producer, consumer) = highwater::channel::<u8>(4);
    producer.end();
    assert_eq!(consumer.monitor().state(), State::Finished);
}

#[test]
fn a_consumer_that_goes_before_everything_was_consumed_has_cancelled() {
    let (mut producer, consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    producer.write(1).unwrap();
    drop(consumer);
    assert_eq!(monitor.state(), State::Cancelled);
    drop(producer);
    assert_eq!(monitor.state(), State::Cancelled);

    let (mut producer, consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    producer.write(1).unwrap();
    producer.end();
    consumer.cancel("enough");
    assert_eq!(monitor.state(), State::Cancelled);
}

#[test]
fn an_abandonment_is_seen_before_and_after_the_rest_was_read() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    producer.write(1).unwrap();
    drop(producer);
    assert_eq!(monitor.state(), State::Abandoned);
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(consumer.try_read(), Err(TryReadError::Abandoned));
    assert_eq!(monitor.state(), State::Abandoned);
}

#[test]
fn an_abandonment_that_was_read_to_its_end_stays_one_when_the_consumer_goes() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    producer.write(1).unwrap();
    drop(producer);
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(consumer.try_read(), Err(TryReadError::Abandoned));
    drop(consumer);
    // The docs of `State::Cancelled`: "before everything was consumed". Everything was.
    assert_eq!(monitor.state(), State::Abandoned);
}

#[test]
fn an_abort_stays_one_whoever_goes() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    producer.write(1).unwrap();
    producer.abort("no disk");
    assert_eq!(monitor.state(), State::Aborted);
    assert_eq!(monitor.len(), 0);
    assert!(consumer.try_read().is_err());
    drop(consumer);
    assert_eq!(monitor.state(), State::Aborted);
    assert_eq!(monitor.stats().items_read, 0);
}

#[test]
fn a_close_is_seen_until_the_producer_ends_or_the_consumer_goes() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    producer.write(1).unwrap();
    consumer.close();
    assert_eq!(monitor.state(), State::Closed);
    assert!(producer.try_write(2).is_err());
    assert_eq!(monitor.state(), State::Closed);
    assert_eq!(monitor.len(), 1);
    producer.end();
    assert_eq!(monitor.state(), State::Ended);
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(monitor.state(), State::Finished);
}

#[test]
fn counters_are_exact_in_a_single_thread() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(3)
        .low_water_mark(1)
        .capacity(4)
        .build()
        .unwrap();
    let monitor = producer.monitor();
    assert_eq!(counters(&monitor), (0, 0, 0, 0, 0));
    for i in 0..4 {
        let _ = producer.try_write(i).unwrap();
    }
    assert_eq!(counters(&monitor), (4, 0, 1, 0, 4));
    assert!(producer.try_write(4).is_err());
    assert_eq!(counters(&monitor), (4, 0, 1, 0, 4));
    for _ in 0..3 {
        consumer.try_read().unwrap();
    }
    assert_eq!(counters(&monitor), (4, 3, 1, 0, 4));
    assert!(!producer.need_drain());
    assert_eq!(counters(&monitor), (4, 3, 1, 1, 4));
    assert_eq!(producer.try_write(5), Ok(Flow::Ready));
    assert_eq!(producer.try_write(6), Ok(Flow::Backpressure));
    assert_eq!(counters(&monitor), (6, 3, 2, 1, 4));
    assert_eq!(consumer.try_iter().count(), 3);
    assert!(consumer.try_read().is_err());
    producer.end();
    assert_eq!(counters(&monitor), (6, 6, 2, 1, 4));
    let Stats {
        weight_written,
        weight_read,
        producer_parks,
        producer_wake_ups,
        consumer_parks,
        consumer_wake_ups,
        ..
    } = monitor.stats();
    assert_eq!((weight_written, weight_read), (6, 6));
    assert_eq!((producer_parks, producer_wake_ups), (0, 0));
    assert_eq!((consumer_parks, consumer_wake_ups), (0, 0));
}

#[test]
fn the_peak_is_the_greatest_length_by_weight_too() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(10)
        .build()
        .unwrap();
    let monitor = producer.monitor();
    let _ = producer.try_write(4).unwrap();
    assert_eq!(monitor.stats().peak_len, 4, "seen by this call");
    let _ = producer.try_write(30).unwrap();
    consumer.try_read().unwrap();
    consumer.try_read().unwrap();
    let _ = producer.try_write(12).unwrap();
    let stats = monitor.stats();
    assert_eq!((stats.peak_len, monitor.len()), (34, 12));
    assert_eq!((stats.weight_written, stats.weight_read), (46, 34));
    assert_eq!((stats.items_written, stats.items_read), (3, 2));
}

#[test]
fn a_peak_that_nobody_looked_at_below_the_mark_may_be_missed_but_is_never_too_great() {
    let (mut producer, mut consumer) = highwater::channel(8);
    let monitor = producer.monitor();
    for i in 0..5 {
        producer.write(i).unwrap();
    }
    assert_eq!(consumer.try_iter().count(), 5);
    assert!(monitor.stats().peak_len <= 5);
}

#[test]
fn sleeps_and_wake_ups_are_counted_on_the_side_that_sleeps() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::channel(1);
        let monitor = producer.monitor();
        let reader = thread::spawn(move || (consumer.read().unwrap(), consumer));
        eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
        assert_eq!(monitor.stats().producer_parks, 0);
        producer.write(1).unwrap();
        let (_, mut consumer) = reader.join().unwrap();
        assert_eq!(monitor.stats().producer_wake_ups, 0);
        assert!(monitor.stats().consumer_wake_ups <= 1);

        producer.write(2).unwrap();
        let writer = thread::spawn(move || producer.write(3).map(|()| producer));
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(), Ok(2));
        drop(writer.join().unwrap());
        assert!(monitor.stats().producer_wake_ups <= 1);
    });
}

#[test]
fn what_an_end_left_behind_does_not_count_as_read_nor_as_a_drain() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = producer.monitor();
    for _ in 0..4 {
        assert!(producer.write(drops.item()).is_ok());
    }
    drop(consumer.try_read().unwrap());
    consumer.cancel("enough");
    drops.assert_each_dropped_once();
    assert!(!producer.need_drain());
    assert!(producer.wait_drain().is_err());
    drop(producer);
    let stats = monitor.stats();
    assert_eq!((stats.items_written, stats.items_read), (4, 1));
    assert_eq!(stats.drains, 0);
    assert_eq!(monitor.len(), 0);
}

#[test]
fn no_drain_is_found_after_a_cancel_though_the_length_had_fallen_to_the_low_mark() {
    // Rule 6: after a cancel neither drain nor finish happens.
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = producer.monitor();
    for i in 0..4 {
        producer.write(i).unwrap();
    }
    consumer.try_read().unwrap();
    consumer.try_read().unwrap();
    consumer.cancel("enough");
    assert!(!producer.need_drain());
    assert!(producer.wait_drain().is_err());
    assert!(producer.try_write(4).is_err());
    assert_eq!(monitor.stats().drains, 0);
}

#[test]
fn nor_is_one_found_by_a_batch_or_by_a_chunk_that_was_reserved_before() {
    /// The drains of a producer that was told to stop, and has a way to let its consumer read everything and go.
    fn drains(act: impl FnOnce(&mut highwater::Producer<i32>, &mut dyn FnMut())) -> usize {
        let (mut producer, consumer) = Builder::new()
            .high_water_mark(4)
            .capacity(8)
            .build()
            .unwrap();
        let mut consumer = Some(consumer);
        let monitor = producer.monitor();
        producer.write_all(&[0; 4]).unwrap();
        act(&mut producer, &mut || {
            let mut consumer = consumer.take().expect("it is there");
            assert_eq!(consumer.try_iter().count(), 4);
        });
        monitor.stats().drains
    }
    let in_a_batch = drains(|producer, read_and_go| {
        read_and_go();
        assert!(producer.batch().write(4).is_err());
    });
    let from_an_iterator = drains(|producer, read_and_go| {
        read_and_go();
        assert!(producer.write_iter(4..8).is_err());
    });
    assert_eq!((in_a_batch, from_an_iterator), (0, 0));
    for count in [0, 1] {
        let by_a_chunk = drains(|producer, read_and_go| {
            let mut chunk = producer.try_reserve(2).unwrap();
            read_and_go();
            chunk.fill([4]);
            let _ = chunk.commit_first(count);
        });
        assert_eq!(by_a_chunk, 0, "{count} committed");
    }
}

#[cfg(feature = "async")]
#[test]
fn nor_is_one_found_by_a_task_that_waits_for_the_close_or_for_a_callback() {
    for calls in [false, true] {
        let (mut producer, mut consumer) = highwater::channel(4);
        let monitor = producer.monitor();
        if calls {
            producer.on_drain(|| ());
        }
        for i in 0..4 {
            let _ = producer.try_write(i).unwrap();
        }
        consumer.try_read().unwrap();
        consumer.try_read().unwrap();
        // The callback, which listens, has it found by now.
        let drains = monitor.stats().drains;
        consumer.cancel("enough");
        if calls {
            assert!(producer.try_write(4).is_err());
            producer.set_low_water_mark(1).unwrap();
        } else {
            futures_lite::future::block_on(producer.closed());
        }
        assert_eq!(monitor.stats().drains, drains, "calls: {calls}");
    }
}

#[test]
fn marks_changed_by_the_producer_are_seen() {
    let (mut producer, consumer) = Builder::new().capacity(9).build::<u8>().unwrap();
    let monitor = consumer.monitor();
    assert_eq!(monitor.capacity(), 9);
    assert_eq!(
        (monitor.low_water_mark(), monitor.high_water_mark()),
        (4, 9)
    );
    producer.set_high_water_mark(6).unwrap();
    assert_eq!(
        (monitor.low_water_mark(), monitor.high_water_mark()),
        (3, 6)
    );
    producer.set_low_water_mark(1).unwrap();
    assert_eq!(
        (monitor.low_water_mark(), monitor.high_water_mark()),
        (1, 6)
    );
}

#[test]
fn clones_watch_from_many_threads_and_never_see_what_cannot_be() {
    deadline(|| {
        const ITEMS: usize = if cfg!(miri) { 100 } else { 50_000 };
        let (mut producer, mut consumer) = Builder::new()
            .weigh_by(|item: &usize| item % 3)
            .high_water_mark(20)
            .limit(30)
            .capacity(40)
            .build()
            .unwrap();
        let monitor = producer.monitor();
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let monitor = monitor.clone();
                thread::spawn(move || {
                    let mut last = monitor.stats();
                    while monitor.state() != State::Finished {
                        assert!(monitor.len() <= 30);
                        let stats = monitor.stats();
                        assert!(stats.items_read <= stats.items_written, "{stats:?}");
                        assert!(stats.weight_read <= stats.weight_written, "{stats:?}");
                        assert!(stats.drains <= stats.times_told_to_stop, "{stats:?}");
                        assert!(stats.peak_len <= 30, "{stats:?}");
                        assert!(stats.items_read >= last.items_read, "{stats:?}");
                        assert!(stats.items_written >= last.items_written, "{stats:?}");
                        assert!(stats.peak_len >= last.peak_len, "{stats:?} {last:?}");
                        last = stats;
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let writer = thread::spawn(move || {
            (0..ITEMS).for_each(|item| producer.write(item).unwrap());
            producer.end();
        });
        assert_eq!(consumer.iter().map(Result::unwrap).count(), ITEMS);
        writer.join().unwrap();
        for watcher in watchers {
            watcher.join().unwrap();
        }
        assert_eq!(monitor.stats().items_read, ITEMS);
    });
}

#[test]
fn a_monitor_outlives_both_ends_and_keeps_no_item_alive() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = highwater::channel(4);
    let monitor = consumer.monitor();
    for _ in 0..3 {
        assert!(producer.write(drops.item()).is_ok());
    }
    drop(consumer.try_read().unwrap());
    drop(producer);
    assert_eq!(drops.alive(), 2, "they can still be read");
    assert_eq!(monitor.len(), 2);
    drop(consumer);
    drops.assert_each_dropped_once();
    let other = monitor.clone();
    thread::spawn(move || {
        assert_eq!((other.len(), other.is_empty()), (0, true));
        assert_eq!((other.high_water_mark(), other.capacity()), (4, 4));
    })
    .join()
    .unwrap();
    assert_eq!(monitor.stats().items_written, 3);
}
