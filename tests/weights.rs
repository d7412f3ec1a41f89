//! Channels that weigh their items: what is measured, when, and what fits.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Counted, Drops};
#[cfg(feature = "async")]
use futures_lite::future::{block_on, poll_once};
use highwater::{Builder, Bytes, Consumer, Flow, Producer, TryReadError, TryWriteError, Weigh};
use std::{
    cell::Cell,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    thread,
    time::Duration,
};

const MOST: usize = isize::MAX as usize;

/// Each item is its own weight.
fn itself(weight: &usize) -> usize {
    *weight
}

type Fun = fn(&usize) -> usize;

/// A channel whose items are their own weight.
fn ends(low: usize, high: usize, limit: usize) -> (Producer<usize, Fun>, Consumer<usize, Fun>) {
    Builder::new()
        .weigh_by(itself as Fun)
        .low_water_mark(low)
        .high_water_mark(high)
        .limit(limit)
        .capacity(8)
        .build()
        .expect("legal marks")
}

#[test]
fn bytes_counts_the_bytes_of_whatever_holds_bytes() {
    fn weigh<T>(item: T) -> usize
    where
        Bytes: Weigh<T>,
    {
        let (mut producer, mut consumer) = Builder::new().weigh_by(Bytes).build().unwrap();
        assert!(producer.try_write(item).is_ok());
        let len = producer.len();
        assert_eq!(consumer.len(), len);
        assert!(consumer.try_read().is_ok());
        assert_eq!((producer.len(), consumer.len()), (0, 0));
        len
    }
    assert_eq!(weigh(vec![0_u8; 1500]), 1500);
    assert_eq!(weigh(String::from("häh")), 4);
    assert_eq!(weigh("four"), 4);
    assert_eq!(weigh(&[1_u8, 2, 3][..]), 3);
    assert_eq!(weigh([7_u8; 32]), 32);
    assert_eq!(weigh(Box::<[u8]>::from([1, 2])), 2);
    assert_eq!(weigh(Arc::<[u8]>::from([1])), 1);
    assert_eq!(weigh(Vec::<u8>::new()), 0);
}

#[test]
fn a_closure_with_a_state_of_its_own_can_weigh() {
    let factor = Cell::new(1);
    let weigh = |item: &u32| *item as usize * factor.get();
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(weigh)
        .high_water_mark(100)
        .build()
        .unwrap();
    assert_eq!(producer.try_write(30), Ok(Flow::Ready));
    factor.set(2);
    assert_eq!(producer.try_write(30), Ok(Flow::Ready));
    assert_eq!(producer.len(), 90);
    factor.set(1000);
    assert_eq!(consumer.try_read(), Ok(30));
    assert_eq!(producer.len(), 60);
    assert_eq!(consumer.try_read(), Ok(30));
    assert_eq!(producer.len(), 0);
}

#[test]
fn a_write_is_ready_one_below_the_high_mark_and_says_stop_at_it_by_weight() {
    let (mut producer, mut consumer) = ends(3, 10, 20);
    assert_eq!(producer.try_write(9), Ok(Flow::Ready));
    assert_eq!(consumer.try_read(), Ok(9));
    assert_eq!(producer.try_write(10), Ok(Flow::Backpressure));
    assert_eq!(consumer.try_read(), Ok(10));
    assert_eq!(producer.try_write(4), Ok(Flow::Ready));
    assert_eq!(producer.try_write(5), Ok(Flow::Ready));
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    assert_eq!(producer.desired_size(), 0);
    assert_eq!(producer.try_write(10), Ok(Flow::Backpressure));
    assert_eq!(producer.desired_size(), -10);
}

#[test]
fn drain_comes_at_the_low_mark_by_weight() {
    for (weights, drained) in [
        ([6, 1, 3], [false, false, true]), // 4 left, then 3, then 0
        ([7, 1, 2], [true, true, true]),
        ([6, 0, 4], [false, false, true]),
    ] {
        let weights: [usize; 3] = weights;
        // Low marks at which the first, the first, and no read before the last is enough.
        let low = if weights == [6, 1, 3] { 2 } else { 3 };
        let (mut producer, mut consumer) = ends(low, 10, 20);
        for weight in weights {
            let _ = producer.try_write(weight).unwrap();
        }
        assert!(producer.need_drain());
        for (weight, drained) in weights.into_iter().zip(drained) {
            assert_eq!(consumer.try_read(), Ok(weight));
            assert_eq!(producer.need_drain(), !drained, "{weights:?}");
        }
    }
}

#[test]
fn every_short_sequence_of_weights_and_reads_keeps_length_signal_and_drain_exact() {
    const STEPS: u32 = if cfg!(miri) { 3 } else { 6 };
    const WEIGHTS: [usize; 4] = [0, 1, 2, 5];
    for (low, high, limit) in [(0, 0, 4), (0, 3, 4), (1, 2, 2), (2, 4, 4), (3, 3, 9)] {
        for sequence in 0..5_usize.pow(STEPS) {
            let (mut producer, mut consumer) = ends(low, high, limit);
            let mut buffered = std::collections::VecDeque::new();
            let mut need_drain = false;
            let mut refused = None;
            // Whether the refusal was the last word to the producer.
            let mut is_last_word = false;
            let mut rest = sequence;
            for step in 0..STEPS {
                let len: usize = buffered.iter().sum();
                let what = (low, high, limit, sequence, step);
                match WEIGHTS.get(rest % 5) {
                    Some(&weight) if len + weight > limit && !buffered.is_empty() => {
                        let error = TryWriteError::WouldBlock(weight);
                        assert_eq!(producer.try_write(weight), Err(error), "{what:?}");
                        need_drain = true;
                        refused = Some(weight);
                        is_last_word = true;
                    }
                    Some(&weight) => {
                        buffered.push_back(weight);
                        is_last_word = false;
                        let stop = len + weight >= high.max(1);
                        let flow = producer.try_write(weight).expect("it fits");
                        assert_eq!(flow.is_backpressure(), stop, "{what:?}");
                        need_drain |= stop;
                        if stop {
                            refused = None;
                        }
                    }
                    None => {
                        let item = buffered.pop_front().ok_or(TryReadError::Empty);
                        assert_eq!(consumer.try_read(), item, "{what:?}");
                    }
                }
                rest /= 5;
                let len: usize = buffered.iter().sum();
                assert_eq!((producer.len(), consumer.len()), (len, len), "{what:?}");
                // A drain leaves room for what was refused.
                let has_room =
                    refused.map_or(true, |weight| len + weight <= limit || buffered.is_empty());
                if len <= low && !has_room && !is_last_word {
                    // See `a_refused_item_stops_mattering_once_another_was_accepted`.
                    need_drain &= producer.need_drain();
                }
                if (len <= low && has_room) || !need_drain {
                    need_drain = false;
                    refused = None;
                }
                assert_eq!(producer.need_drain(), need_drain, "{what:?}");
            }
        }
    }
}

#[test]
fn an_item_that_would_pass_the_limit_is_refused_and_one_that_reaches_it_is_not() {
    let (mut producer, mut consumer) = ends(0, 5, 10);
    assert_eq!(producer.try_write(4), Ok(Flow::Ready));
    assert_eq!(producer.try_write(7), Err(TryWriteError::WouldBlock(7)));
    assert_eq!(producer.len(), 4);
    assert_eq!(producer.try_write(6), Ok(Flow::Backpressure));
    assert_eq!(producer.try_write(1), Err(TryWriteError::WouldBlock(1)));
    assert_eq!(producer.try_write(0), Ok(Flow::Backpressure));
    assert_eq!(consumer.try_read(), Ok(4));
    assert_eq!(producer.try_write(4), Ok(Flow::Backpressure));
    assert_eq!(producer.try_write(1), Err(TryWriteError::WouldBlock(1)));
}

#[test]
fn with_a_limit_of_zero_each_item_needs_an_empty_channel() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(itself)
        .limit(0)
        .build::<usize>()
        .unwrap();
    assert_eq!(producer.high_water_mark(), 0);
    for weight in [5, 1, 100] {
        assert_eq!(producer.try_write(weight), Ok(Flow::Backpressure));
        assert_eq!(producer.try_write(1), Err(TryWriteError::WouldBlock(1)));
        assert_eq!(consumer.try_read(), Ok(weight));
        assert!(!producer.need_drain());
    }
}

#[test]
fn an_item_above_the_limit_waits_until_even_weightless_items_are_gone() {
    let (mut producer, mut consumer) = ends(2, 4, 4);
    assert_eq!(producer.try_write(0), Ok(Flow::Ready));
    assert_eq!(producer.len(), 0);
    assert_eq!(producer.try_write(5), Err(TryWriteError::WouldBlock(5)));
    assert!(producer.need_drain());
    assert_eq!(consumer.try_read(), Ok(0));
    assert!(!producer.need_drain());
    assert_eq!(producer.try_write(5), Ok(Flow::Backpressure));
    assert_eq!(producer.len(), 5);
}

#[test]
fn weightless_items_take_slots_and_nothing_else() {
    let (mut producer, mut consumer) = ends(0, 1, 1);
    let monitor = producer.monitor();
    for _ in 0..8 {
        assert_eq!(producer.try_write(0), Ok(Flow::Ready));
    }
    assert_eq!((producer.len(), consumer.len()), (0, 0));
    assert!(producer.is_empty() && consumer.is_empty() && monitor.is_empty());
    assert_eq!(producer.try_write(0), Err(TryWriteError::WouldBlock(0)));
    assert_eq!(consumer.peek(), Some(&0));
    assert_eq!(consumer.try_iter().count(), 8);
    assert_eq!(monitor.stats().items_read, 8);
    assert_eq!(monitor.stats().weight_read, 0);
}

#[test]
fn a_weightless_item_answers_by_the_length_that_is_there() {
    let (mut producer, mut consumer) = ends(0, 0, 10);
    assert_eq!(producer.try_write(0), Ok(Flow::Ready), "as in Node");
    assert!(!producer.need_drain());
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    assert_eq!(producer.try_write(0), Ok(Flow::Backpressure));
    assert_eq!(consumer.try_read(), Ok(0));
    assert_eq!(consumer.try_read(), Ok(1));
    assert!(!producer.need_drain(), "drained, with one still pending");
    let finish = producer.end();
    assert_eq!(finish.try_wait(), Ok(false), "it holds up the finish");
    assert_eq!(consumer.try_read(), Ok(0));
    assert_eq!(finish.try_wait(), Ok(true));
}

#[test]
fn an_item_whose_weight_changes_in_the_channel_never_makes_the_length_drift() {
    let weigh = |item: &Arc<AtomicUsize>| item.load(Ordering::Relaxed);
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(weigh)
        .high_water_mark(100)
        .low_water_mark(0)
        .capacity(4)
        .build()
        .unwrap();
    for round in 1..=50 {
        let items: Vec<_> = [10, 20, 70]
            .map(|weight| Arc::new(AtomicUsize::new(weight)))
            .into();
        for item in &items {
            let _ = producer.try_write(item.clone()).unwrap();
        }
        assert_eq!(producer.len(), 100);
        for (item, weight) in items.iter().zip([0, 1_000_000, usize::MAX]) {
            item.store(weight, Ordering::Relaxed);
        }
        for left in [90, 70, 0] {
            assert!(producer.need_drain());
            consumer.try_read().unwrap();
            assert_eq!((producer.len(), consumer.len()), (left, left));
        }
        assert!(!producer.need_drain());
        let stats = producer.monitor().stats();
        assert_eq!(
            (stats.weight_written, stats.weight_read),
            (100 * round, 100 * round)
        );
    }
}

#[test]
fn an_item_is_weighed_once_for_each_time_it_is_written() {
    deadline(|| {
        let weighed = Arc::new(AtomicUsize::new(0));
        let count = weighed.clone();
        let (mut producer, mut consumer) = Builder::new()
            .weigh_by(move |_: &u8| {
                count.fetch_add(1, Ordering::Relaxed);
                5
            })
            .high_water_mark(10)
            .limit(10)
            .low_water_mark(5)
            .build()
            .unwrap();
        let monitor = producer.monitor();
        assert_eq!(producer.try_write(1), Ok(Flow::Ready));
        producer.write(2).unwrap();
        assert_eq!(weighed.load(Ordering::Relaxed), 2);
        assert_eq!(producer.try_write(3), Err(TryWriteError::WouldBlock(3)));
        assert_eq!(weighed.load(Ordering::Relaxed), 3);
        let writer = thread::spawn(move || producer.write(3).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(), Ok(1));
        let mut producer = writer.join().unwrap();
        assert_eq!(weighed.load(Ordering::Relaxed), 4, "also if it had to wait");
        assert_eq!(consumer.read(), Ok(2));
        assert_eq!(consumer.read(), Ok(3));
        assert_eq!(weighed.load(Ordering::Relaxed), 4, "and not by the reader");
        let mut batch = producer.batch();
        batch.write(4).unwrap();
        batch.write(5).unwrap(); // reaches the mark
        assert_eq!(weighed.load(Ordering::Relaxed), 6, "nor again in a batch");
    });
}

#[test]
fn when_the_slots_run_out_before_the_mark_a_wait_for_drain_sleeps_and_then_there_is_room() {
    deadline(|| {
        for capacity in 1..=8 {
            let (mut producer, mut consumer) = Builder::new()
                .weigh_by(itself)
                .high_water_mark(1_000_000)
                .capacity(capacity)
                .build()
                .unwrap();
            let monitor = producer.monitor();
            for _ in 0..capacity {
                assert_eq!(producer.try_write(1), Ok(Flow::Ready));
            }
            assert!(!producer.need_drain());
            assert_eq!(producer.try_write(1), Err(TryWriteError::WouldBlock(1)));
            assert!(producer.need_drain());
            let waiter = thread::spawn(move || producer.wait_drain().map(|()| producer).unwrap());
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            assert_eq!(consumer.try_iter().count(), capacity);
            let mut producer = waiter.join().unwrap();
            assert_eq!(
                producer.try_write(1),
                Ok(Flow::Ready),
                "capacity {capacity}"
            );
            let stats = monitor.stats();
            assert!(
                stats.producer_wake_ups <= 1,
                "it was sent in circles: {stats:?}"
            );
            assert_eq!((stats.times_told_to_stop, stats.drains), (1, 1));
        }
    });
}

#[test]
fn an_item_that_finds_no_slot_and_would_not_fit_by_weight_is_accepted_at_the_drain() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(itself as Fun)
        .low_water_mark(4)
        .high_water_mark(7)
        .limit(7)
        .capacity(2)
        .build()
        .unwrap();
    assert_eq!(producer.try_write(1), Ok(Flow::Ready));
    assert_eq!(producer.try_write(4), Ok(Flow::Ready));
    assert_eq!(producer.try_write(7), Err(TryWriteError::WouldBlock(7)));
    assert_eq!(consumer.try_read(), Ok(1));
    assert!(
        producer.need_drain(),
        "at the low mark, and a slot is free, but 4 and 7 is too much"
    );
    assert_eq!(consumer.try_read(), Ok(4));
    assert!(!producer.need_drain());
    assert_eq!(producer.try_write(7), Ok(Flow::Backpressure));
}

#[test]
fn a_blocking_write_of_an_item_that_does_not_fit_by_weight_sleeps_until_it_does() {
    deadline(|| {
        // 9 are below the mark, so that nobody has said stop; and 5 more do not fit.
        let (mut producer, mut consumer) = ends(8, 10, 10);
        let monitor = producer.monitor();
        for _ in 0..3 {
            assert_eq!(producer.try_write(3), Ok(Flow::Ready));
        }
        let writer = thread::spawn(move || producer.write(5).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(), Ok(3));
        let stats = monitor.stats();
        assert_eq!((stats.producer_wake_ups, stats.items_written), (0, 3));
        assert_eq!(consumer.read(), Ok(3));
        let producer = writer.join().unwrap();
        assert_eq!(producer.len(), 8);
        assert!(monitor.stats().producer_wake_ups <= 1);
        assert_eq!(consumer.read(), Ok(3));
        assert_eq!(consumer.read(), Ok(5));
    });
}

#[test]
fn a_blocking_write_of_an_item_above_the_limit_sleeps_until_the_channel_is_empty() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(8, 10, 10);
        let monitor = producer.monitor();
        for weight in [3, 4, 0] {
            assert_eq!(producer.try_write(weight), Ok(Flow::Ready));
        }
        let writer = thread::spawn(move || producer.write(50).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        for weight in [3, 4] {
            assert_eq!(consumer.read(), Ok(weight));
            let stats = monitor.stats();
            assert_eq!((stats.producer_wake_ups, stats.items_written), (0, 3));
        }
        assert_eq!(consumer.read(), Ok(0));
        assert_eq!(writer.join().unwrap().len(), 50);
        assert_eq!(consumer.read(), Ok(50));
    });
}

#[test]
fn giving_up_on_a_heavy_item_does_not_hold_up_light_ones() {
    // The docs of `write_timeout`: "The channel is then as if nothing had been tried."
    let (mut producer, _consumer) = ends(5, 10, 10);
    assert_eq!(producer.try_write(6), Ok(Flow::Ready));
    assert!(!producer.need_drain());
    let refused = producer.write_timeout(7, Duration::ZERO).unwrap_err();
    assert_eq!(refused.into_inner(), 7);
    assert!(
        !producer.need_drain(),
        "told to stop by an item that is not there"
    );
    assert_eq!(producer.write_timeout(1, Duration::ZERO), Ok(()));
    let stats = producer.monitor().stats();
    assert_eq!(
        (stats.times_told_to_stop, stats.drains),
        (1, 0),
        "within the write"
    );
}

#[test]
fn a_refused_item_stops_mattering_once_another_was_accepted() {
    let (mut producer, mut consumer) = ends(5, 10, 10);
    assert_eq!(producer.try_write(3), Ok(Flow::Ready));
    assert_eq!(producer.try_write(3), Ok(Flow::Ready));
    assert_eq!(producer.try_write(7), Err(TryWriteError::WouldBlock(7)));
    // The producer thinks better of it, as one that splits its items would.
    assert_eq!(producer.try_write(1), Ok(Flow::Ready));
    assert_eq!(consumer.try_read(), Ok(3));
    assert!(producer.len() <= producer.low_water_mark());
    assert!(!producer.need_drain(), "4 <= 5, and no item waits for room");
    assert_eq!(producer.write_timeout(1, Duration::ZERO), Ok(()));
}

#[test]
fn the_greatest_weights_do_not_overflow() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(itself)
        .high_water_mark(MOST)
        .build()
        .unwrap();
    let monitor = producer.monitor();
    assert_eq!(producer.try_write(MOST - 1), Ok(Flow::Ready));
    assert_eq!(producer.try_write(2), Err(TryWriteError::WouldBlock(2)));
    assert_eq!(
        producer.try_write(MOST),
        Err(TryWriteError::WouldBlock(MOST))
    );
    assert_eq!(
        producer.try_write(usize::MAX),
        Err(TryWriteError::WouldBlock(usize::MAX))
    );
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    assert_eq!(producer.desired_size(), 0);
    assert_eq!(producer.try_write(0), Ok(Flow::Backpressure));
    assert_eq!((producer.len(), monitor.len()), (MOST, MOST));
    assert_eq!(consumer.try_read(), Ok(MOST - 1));
    assert_eq!(consumer.len(), 1);
    assert!(!producer.need_drain(), "1 is below any half");
    assert_eq!(consumer.try_iter().count(), 2);
    // Totals that wrap round several times.
    for _ in 0..9 {
        assert_eq!(producer.try_write(usize::MAX), Ok(Flow::Backpressure));
        assert_eq!((producer.len(), consumer.len()), (MOST, MOST));
        assert_eq!(consumer.try_read(), Ok(usize::MAX));
        assert_eq!((producer.len(), consumer.len()), (0, 0));
    }
    assert_eq!(monitor.stats().peak_len, MOST);
}

#[test]
fn a_weight_function_that_panics_leaves_the_channel_whole_and_drops_the_item_once() {
    deadline(|| {
        let drops = Drops::new();
        let (mut producer, mut consumer) = Builder::new()
            .weigh_by(|item: &Counted| match item.id {
                1 | 3 | 4 => panic!("too heavy a question"),
                id => id + 1,
            })
            .high_water_mark(100)
            .build()
            .unwrap();
        let monitor = producer.monitor();
        assert!(producer.try_write(drops.item()).is_ok());
        let item = drops.item();
        assert!(catch_unwind(AssertUnwindSafe(|| producer.try_write(item))).is_err());
        assert_eq!(drops.alive(), 1);
        assert!(producer.write(drops.item()).is_ok());
        let item = drops.item();
        assert!(catch_unwind(AssertUnwindSafe(|| producer.write(item))).is_err());
        let item = drops.item();
        let timeout = Duration::MAX;
        assert!(catch_unwind(AssertUnwindSafe(|| producer.write_timeout(item, timeout))).is_err());
        assert_eq!(drops.alive(), 2);
        assert_eq!((producer.len(), monitor.stats().items_written), (1 + 3, 2));
        assert!(!producer.need_drain());
        for id in [0, 2] {
            assert_eq!(consumer.read().unwrap().id, id);
        }
        assert_eq!((producer.len(), consumer.len()), (0, 0));
        drop(producer);
        drops.assert_each_dropped_once();
    });
}

type WeighCounted = fn(&Counted) -> usize;

fn all_but_the_second(item: &Counted) -> usize {
    assert_ne!(item.id, 1, "too heavy a question");
    item.id + 1
}

/// Writes two items, to weigh the second of which is a panic.
type Attempt = fn(&mut Producer<Counted, WeighCounted>, &Drops);

/// The ways that hold items back, or have them in a future. (A `Sink` there is only where nobody weighs the items.)
const ATTEMPTS: &[(&str, Attempt)] = &[
    ("Batch::try_write", |producer, drops| {
        let mut batch = producer.batch();
        assert!(batch.try_write(drops.item()).is_ok());
        let _ = batch.try_write(drops.item());
    }),
    ("Batch::write", |producer, drops| {
        let mut batch = producer.batch();
        assert!(batch.write(drops.item()).is_ok());
        let _ = batch.write(drops.item());
    }),
    ("write_iter", |producer, drops| {
        let _ = producer.write_iter([drops.item(), drops.item(), drops.item()]);
    }),
    #[cfg(feature = "async")]
    ("write_async", |producer, drops| {
        assert!(producer.try_write(drops.item()).is_ok());
        let _ = block_on(producer.write_async(drops.item()));
    }),
    #[cfg(feature = "async")]
    (
        "write_async, in a turn that is granted",
        |producer, drops| {
            assert!(block_on(producer.write_async(drops.item())).is_ok());
            let _ = block_on(producer.write_async(drops.item()));
        },
    ),
];

#[test]
fn a_weight_that_panics_in_a_batch_an_iterator_or_a_future_leaves_the_channel_whole() {
    for (name, attempt) in ATTEMPTS {
        let drops = Drops::new();
        let builder = Builder::new().weigh_by(all_but_the_second as WeighCounted);
        let (mut producer, mut consumer) = builder.high_water_mark(100).build().unwrap();
        let attempt = AssertUnwindSafe(|| attempt(&mut producer, &drops));
        assert!(catch_unwind(attempt).is_err(), "{name}");

        assert_eq!(drops.alive(), 1, "{name}");
        assert!(drops.is_alive(0), "{name}");
        let written = producer.monitor().stats().items_written;
        assert_eq!(written, 1, "{name}: what came before is published");
        assert_eq!((producer.len(), consumer.len()), (1, 1), "{name}");
        assert!(!producer.need_drain(), "{name}");
        assert!(producer.try_write(drops.item()).is_ok(), "{name}");
        assert_eq!(consumer.try_iter().count(), 2, "{name}");
        assert_eq!((producer.len(), consumer.len()), (0, 0), "{name}");
        drops.assert_each_dropped_once();
    }
}

#[cfg(feature = "async")]
#[test]
fn a_future_weighs_its_item_once_however_often_it_has_to_try() {
    let weighed = AtomicUsize::new(0);
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(|item: &usize| {
            weighed.fetch_add(1, Ordering::Relaxed);
            *item
        })
        .high_water_mark(10)
        .limit(10)
        .build()
        .unwrap();
    assert_eq!(producer.try_write(2), Ok(Flow::Ready));
    let mut write = producer.write_async(9);
    assert_eq!(
        weighed.load(Ordering::Relaxed),
        1,
        "nothing before the poll"
    );
    assert!(block_on(poll_once(&mut write)).is_none());
    assert!(block_on(poll_once(&mut write)).is_none());
    assert_eq!(consumer.try_read(), Ok(2));
    assert_eq!(block_on(write), Ok(()));
    assert_eq!(weighed.load(Ordering::Relaxed), 2);
    assert_eq!((producer.len(), consumer.try_read()), (9, Ok(9)));
}

#[test]
fn a_stream_of_random_weights_arrives_whole_under_a_small_limit() {
    deadline(|| {
        const ITEMS: usize = if cfg!(miri) { 100 } else { 20_000 };
        let weights = |seed| {
            let mut random = common::Random::new(seed);
            (0..ITEMS).map(move |_| random.below(14) as usize)
        };
        let (mut producer, mut consumer) = ends(4, 8, 12);
        let monitor = producer.monitor();
        let writer = thread::spawn(move || {
            weights(7).for_each(|weight| producer.write(weight).unwrap());
            producer.end().wait().unwrap();
        });
        for (i, weight) in weights(7).enumerate() {
            assert_eq!(consumer.read(), Ok(weight), "item {i}");
        }
        writer.join().unwrap();
        let stats = monitor.stats();
        assert_eq!(stats.weight_written, weights(7).sum::<usize>());
        assert_eq!(stats.weight_read, stats.weight_written);
        assert!(
            stats.peak_len <= 13,
            "only an item alone passes the limit: {stats:?}"
        );
        assert_eq!(monitor.len(), 0);
    });
}
