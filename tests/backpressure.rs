//! When a write says stop, and when a producer may go on: exactly at the marks, and nowhere else.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Drops};
use highwater::{
    Builder, Consumer, Flow, MarkError, Producer, ReadError, TryReadError, TryWriteError,
};
use std::thread;

/// A channel that counts items, with these marks.
fn ends<T>(low: usize, high: usize, capacity: usize) -> (Producer<T>, Consumer<T>) {
    Builder::new()
        .low_water_mark(low)
        .high_water_mark(high)
        .capacity(capacity)
        .build()
        .expect("legal marks")
}

/// Writes as long as the answer is "go on".
fn write_to_the_mark(producer: &mut Producer<usize>) {
    for i in 0.. {
        if producer.try_write(i).unwrap().is_backpressure() {
            return;
        }
    }
}

#[test]
fn a_write_is_ready_one_below_the_high_mark_and_says_stop_at_it_and_above() {
    for high in 1..=9 {
        for headroom in 0..=3 {
            let capacity = high + headroom;
            let (mut producer, _consumer) = ends(0, high, capacity);
            for len in 1..=capacity {
                let flow = producer.try_write(len).unwrap();
                assert_eq!(
                    flow.is_backpressure(),
                    len >= high,
                    "length {len}, mark {high}"
                );
                assert_eq!(producer.len(), len);
                assert_eq!(producer.need_drain(), len >= high);
            }
            let refused = producer.try_write(0);
            assert_eq!(refused, Err(TryWriteError::WouldBlock(0)), "{capacity}");
            assert_eq!(producer.len(), capacity);
        }
    }
}

#[test]
fn either_end_and_a_monitor_say_empty_if_nothing_is_buffered_and_then_alone() {
    let (mut producer, mut consumer) = ends(0, 2, 2);
    let monitor = producer.monitor();
    for round in 0..3 {
        assert!(producer.is_empty() && consumer.is_empty() && monitor.is_empty());
        let _ = producer.try_write(round).unwrap();
        assert!(!producer.is_empty() && !consumer.is_empty() && !monitor.is_empty());
        assert_eq!(consumer.try_read(), Ok(round));
    }
}

#[test]
fn drain_comes_at_the_low_mark_and_not_one_above_it() {
    for high in 1..=6 {
        for low in 0..high {
            for overshoot in 0..=2 {
                let (mut producer, mut consumer) = ends(low, high, high + 2);
                let monitor = producer.monitor();
                for i in 0..high + overshoot {
                    let _ = producer.try_write(i).unwrap();
                }
                for left in (0..high + overshoot).rev() {
                    consumer.try_read().unwrap();
                    assert_eq!(producer.need_drain(), left > low, "{left} left, mark {low}");
                    assert_eq!(monitor.stats().drains, usize::from(left <= low));
                }
                assert_eq!(monitor.stats().times_told_to_stop, 1);
            }
        }
    }
}

#[test]
fn a_drain_that_nobody_asked_for_is_found_by_the_next_write() {
    let (mut producer, mut consumer) = ends(1, 3, 3);
    let monitor = producer.monitor();
    write_to_the_mark(&mut producer);
    consumer.try_read().unwrap();
    consumer.try_read().unwrap();
    assert_eq!(monitor.stats().drains, 0, "the consumer does not decide it");
    assert_eq!(producer.try_write(7), Ok(Flow::Ready));
    assert_eq!(monitor.stats().drains, 1);
    assert!(!producer.need_drain());
}

#[test]
fn need_drain_stays_set_though_later_writes_are_ready() {
    let (mut producer, mut consumer) = ends(0, 3, 4);
    write_to_the_mark(&mut producer);
    consumer.try_read().unwrap();
    consumer.try_read().unwrap();
    assert_eq!(producer.try_write(9), Ok(Flow::Ready), "two are buffered");
    assert!(producer.need_drain());
    assert_eq!(producer.try_write(9), Ok(Flow::Backpressure));
    for _ in 0..2 {
        consumer.try_read().unwrap();
        assert!(producer.need_drain());
    }
    consumer.try_read().unwrap();
    assert!(!producer.need_drain());
    let stats = producer.monitor().stats();
    assert_eq!((stats.times_told_to_stop, stats.drains), (1, 1));
}

#[test]
fn there_is_one_drain_for_any_number_of_stops_before_it_and_one_more_for_the_next() {
    let (mut producer, mut consumer) = ends(0, 1, 3);
    let monitor = producer.monitor();
    for round in 1..=5 {
        for i in 0..3 {
            assert_eq!(producer.try_write(i), Ok(Flow::Backpressure));
        }
        assert!(producer.try_write(3).is_err());
        assert_eq!(consumer.try_iter().count(), 3);
        for _ in 0..3 {
            assert!(!producer.need_drain());
        }
        assert_eq!(monitor.stats().times_told_to_stop, round);
        assert_eq!(monitor.stats().drains, round);
    }
}

#[test]
fn a_producer_that_was_never_told_to_stop_sees_no_drain() {
    let (mut producer, mut consumer) = ends(1, 3, 3);
    for i in 0..20 {
        assert_eq!(producer.try_write(i), Ok(Flow::Ready));
        assert_eq!(producer.try_write(i), Ok(Flow::Ready));
        assert_eq!(consumer.try_iter().count(), 2);
        assert!(!producer.need_drain());
    }
    assert_eq!(producer.monitor().stats().drains, 0);
}

#[test]
fn a_refused_item_also_tells_the_producer_to_stop() {
    // The low mark is so high that the stop at the mark drains at once.
    let (mut producer, mut consumer) = ends(2, 2, 2);
    assert_eq!(producer.try_write(0), Ok(Flow::Ready));
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    assert!(!producer.need_drain(), "2 <= 2");
    assert_eq!(producer.try_write(2), Err(TryWriteError::WouldBlock(2)));
    assert!(
        producer.need_drain(),
        "a drain now would send it in circles"
    );
    assert_eq!(consumer.try_read(), Ok(0));
    assert!(!producer.need_drain());
    assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
}

#[test]
fn with_both_marks_at_the_capacity_a_blocking_write_sleeps_for_one_free_slot() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(2, 2, 2);
        let monitor = producer.monitor();
        producer.write(0).unwrap();
        producer.write(1).unwrap();
        let writer = thread::spawn(move || producer.write(2).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(), Ok(0));
        let producer = writer.join().unwrap();
        assert_eq!(producer.len(), 2);
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(consumer.read(), Ok(2));
    });
}

#[test]
fn with_a_high_mark_of_zero_every_item_says_stop_and_each_drain_needs_an_empty_channel() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(0)
        .capacity(3)
        .build()
        .unwrap();
    assert!(!producer.need_drain(), "an empty channel never says stop");
    for _ in 0..3 {
        for i in 0..3 {
            assert_eq!(producer.try_write(i), Ok(Flow::Backpressure));
        }
        for left in [2, 1, 0] {
            consumer.try_read().unwrap();
            assert_eq!(producer.need_drain(), left > 0);
        }
    }
    assert_eq!(producer.capacity(), 3);
    assert_eq!(highwater::channel::<u8>(0).0.capacity(), 1);
}

#[test]
fn with_a_high_mark_of_zero_or_one_every_item_says_stop_however_quick_the_consumer() {
    for high in [0, 1] {
        deadline(move || {
            const ITEMS: usize = if cfg!(miri) { 20 } else { 20_000 };
            let (mut producer, mut consumer) = Builder::new()
                .high_water_mark(high)
                .capacity(4)
                .build()
                .unwrap();
            let reader = thread::spawn(move || loop {
                // Polls, to be at each item as it comes.
                match consumer.try_read() {
                    Ok(_) => {}
                    Err(TryReadError::Empty) => thread::yield_now(),
                    Err(_) => return,
                }
            });
            let mut written = 0;
            while written < ITEMS {
                match producer.try_write(written) {
                    Ok(flow) => {
                        assert_eq!(flow, Flow::Backpressure, "item {written}, mark {high}");
                        written += 1;
                    }
                    Err(_) => thread::yield_now(),
                }
            }
            producer.end();
            reader.join().unwrap();
        });
    }
}

/// What sections 2 and 3 of the design say, as plainly as can be.
#[derive(Default)]
struct Model {
    low: usize,
    high: usize,
    capacity: usize,
    buffered: std::collections::VecDeque<usize>,
    need_drain: bool,
    refused: bool,
    told: usize,
    drains: usize,
}

impl Model {
    fn look(&mut self) {
        // A drain right after a refusal leaves room for the item.
        let low = if self.refused {
            self.low.min(self.capacity - 1)
        } else {
            self.low
        };
        if self.need_drain && self.buffered.len() <= low {
            self.need_drain = false;
            self.refused = false;
            self.drains += 1;
        }
    }

    fn stop(&mut self, refused: bool) {
        self.told += usize::from(!self.need_drain);
        self.need_drain = true;
        self.refused = refused;
    }

    fn write(&mut self, item: usize) -> Result<Flow, TryWriteError<usize>> {
        self.look();
        if self.buffered.len() == self.capacity {
            self.stop(true);
            return Err(TryWriteError::WouldBlock(item));
        }
        self.buffered.push_back(item);
        if self.buffered.len() < self.high.max(1) {
            return Ok(Flow::Ready);
        }
        self.stop(false);
        Ok(Flow::Backpressure)
    }
}

#[test]
fn every_short_sequence_of_writes_reads_and_questions_behaves_as_the_rules_say() {
    const STEPS: u32 = if cfg!(miri) { 4 } else { 8 };
    for capacity in 1..=3 {
        for high in 0..=capacity {
            for low in 0..=high {
                for sequence in 0..3_usize.pow(STEPS) {
                    let (mut producer, mut consumer) = ends(low, high, capacity);
                    let monitor = producer.monitor();
                    let mut model = Model {
                        low,
                        high,
                        capacity,
                        ..Model::default()
                    };
                    let mut rest = sequence;
                    for step in 0..STEPS as usize {
                        let what = (low, high, capacity, sequence, step);
                        match rest % 3 {
                            0 => {
                                assert_eq!(producer.try_write(step), model.write(step), "{what:?}")
                            }
                            1 => {
                                let item = model.buffered.pop_front().ok_or(TryReadError::Empty);
                                assert_eq!(consumer.try_read(), item, "{what:?}");
                            }
                            _ => {
                                model.look();
                                assert_eq!(producer.need_drain(), model.need_drain, "{what:?}");
                            }
                        }
                        rest /= 3;
                        let stats = monitor.stats();
                        assert_eq!(producer.len(), model.buffered.len(), "{what:?}");
                        assert_eq!(consumer.len(), model.buffered.len(), "{what:?}");
                        assert_eq!(stats.times_told_to_stop, model.told, "{what:?}");
                        assert_eq!(stats.drains, model.drains, "{what:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn wait_drain_returns_at_once_when_there_is_nothing_to_wait_for() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(1, 3, 4);
        producer.wait_drain().unwrap(); // new
        assert_eq!(producer.try_write(0), Ok(Flow::Ready));
        assert_eq!(producer.try_write(1), Ok(Flow::Ready));
        producer.wait_drain().unwrap(); // never told to stop
        assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
        consumer.try_read().unwrap();
        consumer.try_read().unwrap();
        producer.wait_drain().unwrap(); // drained by now
        producer.wait_drain().unwrap(); // drained before
        assert_eq!(producer.monitor().stats().producer_parks, 0);
    });
}

#[test]
fn a_blocked_write_sleeps_on_through_free_slots_until_the_low_mark_then_is_woken_once() {
    deadline(|| {
        for (low, high, capacity) in [(0, 1, 1), (0, 4, 4), (1, 4, 8), (3, 4, 4), (2, 6, 7)] {
            let (mut producer, mut consumer) = ends(low, high, capacity);
            let monitor = producer.monitor();
            write_to_the_mark(&mut producer);
            let writer = thread::spawn(move || producer.write(99).map(|()| producer).unwrap());
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            for left in (low..high).rev() {
                consumer.read().unwrap();
                // A read wakes the other side before it returns, if it does so at all.
                let stats = monitor.stats();
                if left > low {
                    assert_eq!(stats.producer_wake_ups, 0, "{left} left, mark {low}");
                    assert_eq!(stats.items_written, high, "{left} left, mark {low}");
                }
            }
            let producer = writer.join().unwrap();
            assert_eq!(producer.len(), low + 1);
            let stats = monitor.stats();
            assert_eq!(
                (stats.times_told_to_stop - 1, stats.drains),
                (usize::from(low + 1 >= high), 1)
            );
            assert!(stats.producer_wake_ups <= 1, "{stats:?}");
        }
    });
}

#[test]
fn a_wait_for_drain_sleeps_until_the_low_mark_then_is_woken_once() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(2, 5, 9);
        let monitor = producer.monitor();
        write_to_the_mark(&mut producer);
        let waiter = thread::spawn(move || producer.wait_drain().map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        for _ in 0..2 {
            consumer.read().unwrap();
            assert_eq!(monitor.stats().producer_wake_ups, 0);
        }
        consumer.read().unwrap();
        let producer = waiter.join().unwrap();
        assert!(!producer.need_drain());
        assert_eq!(producer.len(), 2);
        assert_eq!(monitor.stats().drains, 1);
    });
}

#[test]
fn an_item_wakes_a_sleeping_consumer_though_no_mark_is_near() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(0, 1000, 1000);
        let monitor = producer.monitor();
        for round in 1..=20 {
            let parks = monitor.stats().consumer_parks;
            let reader = thread::spawn(move || (consumer.read(), consumer));
            eventually("the consumer sleeps", || {
                monitor.stats().consumer_parks > parks
            });
            assert_eq!(producer.try_write(round), Ok(Flow::Ready));
            let (item, back) = reader.join().unwrap();
            assert_eq!(item, Ok(round));
            consumer = back;
        }
    });
}

#[test]
fn desired_size_is_the_mark_minus_the_length_and_goes_below_zero() {
    let (mut producer, mut consumer) = ends(0, 3, 5);
    for i in 0..5 {
        assert_eq!(producer.desired_size(), 3 - i);
        let _ = producer.try_write(i).unwrap();
    }
    assert_eq!(producer.desired_size(), -2);
    consumer.try_read().unwrap();
    assert_eq!(producer.desired_size(), -1);
    producer.set_high_water_mark(5).unwrap();
    assert_eq!(producer.desired_size(), 1);
    drop(consumer);
    assert_eq!(producer.desired_size(), 5);
}

#[test]
fn a_high_mark_changed_at_run_time_judges_the_next_write() {
    let (mut producer, mut consumer) = ends(0, 4, 8);
    let monitor = producer.monitor();
    assert_eq!(producer.try_write(0), Ok(Flow::Ready));
    producer.set_high_water_mark(2).unwrap();
    assert!(!producer.need_drain());
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    producer.set_high_water_mark(8).unwrap();
    assert!(producer.need_drain(), "a mark that moves up is no drain");
    for len in 3..8 {
        assert_eq!(producer.try_write(len), Ok(Flow::Ready), "{len}");
    }
    assert_eq!(producer.try_write(8), Ok(Flow::Backpressure));
    producer.set_high_water_mark(0).unwrap();
    assert_eq!(consumer.try_iter().count(), 8);
    assert!(!producer.need_drain());
    assert_eq!(producer.try_write(9), Ok(Flow::Backpressure));
    assert_eq!(monitor.high_water_mark(), 0);
    assert_eq!(consumer.high_water_mark(), 0);
    assert_eq!(producer.high_water_mark(), 0);
}

#[test]
fn a_high_mark_lowered_below_the_length_stops_the_next_write_but_refuses_nothing() {
    let (mut producer, _consumer) = ends(0, 8, 8);
    for i in 0..5 {
        assert_eq!(producer.try_write(i), Ok(Flow::Ready));
    }
    producer.set_high_water_mark(2).unwrap();
    assert!(
        !producer.need_drain(),
        "a mark that moves down stops nobody"
    );
    assert_eq!(producer.desired_size(), -3);
    for i in 5..8 {
        assert_eq!(producer.try_write(i), Ok(Flow::Backpressure));
    }
    assert_eq!(producer.try_write(8), Err(TryWriteError::WouldBlock(8)));
}

#[test]
fn a_low_mark_raised_at_run_time_drains_at_the_next_look() {
    let (mut producer, mut consumer) = ends(0, 4, 4);
    let monitor = producer.monitor();
    write_to_the_mark(&mut producer);
    consumer.try_read().unwrap();
    assert!(producer.need_drain());
    producer.set_low_water_mark(3).unwrap();
    assert!(!producer.need_drain());
    assert_eq!(monitor.stats().drains, 1);
    assert_eq!(
        (monitor.low_water_mark(), consumer.low_water_mark()),
        (3, 3)
    );
}

#[test]
fn a_low_mark_lowered_at_run_time_puts_off_the_drain() {
    let (mut producer, mut consumer) = ends(3, 4, 4);
    write_to_the_mark(&mut producer);
    producer.set_low_water_mark(1).unwrap();
    for left in [3, 2, 1] {
        consumer.try_read().unwrap();
        assert_eq!(producer.need_drain(), left > 1);
    }
}

#[test]
fn a_low_mark_that_was_never_chosen_follows_the_high_mark_and_a_chosen_one_stays() {
    let (mut producer, consumer) = Builder::new().capacity(100).build::<u8>().unwrap();
    assert_eq!(
        (producer.low_water_mark(), producer.high_water_mark()),
        (8, 16)
    );
    producer.set_high_water_mark(61).unwrap();
    assert_eq!(producer.low_water_mark(), 30);
    producer.set_low_water_mark(20).unwrap();
    producer.set_high_water_mark(100).unwrap();
    assert_eq!(producer.low_water_mark(), 20);
    assert_eq!(consumer.low_water_mark(), 20);
}

#[test]
fn a_high_mark_raised_so_that_the_low_mark_moves_past_the_length_is_a_drain() {
    let (mut producer, _consumer) = Builder::new()
        .high_water_mark(4)
        .capacity(8)
        .build()
        .unwrap();
    write_to_the_mark(&mut producer);
    assert!(producer.need_drain());
    producer.set_high_water_mark(8).unwrap();
    assert!(!producer.need_drain(), "4 <= 8 / 2");
}

#[test]
fn marks_refused_at_run_time_come_with_the_numbers_and_change_nothing() {
    let (mut producer, mut consumer) = ends(2, 4, 6);
    let refused = [
        producer.set_high_water_mark(7),
        producer.set_high_water_mark(1),
        producer.set_low_water_mark(5),
        producer.set_high_water_mark(usize::MAX),
    ];
    assert_eq!(
        refused,
        [
            Err(MarkError::HighAboveCapacity {
                high: 7,
                capacity: 6
            }),
            Err(MarkError::LowAboveHigh { low: 2, high: 1 }),
            Err(MarkError::LowAboveHigh { low: 5, high: 4 }),
            Err(MarkError::HighAboveCapacity {
                high: usize::MAX,
                capacity: 6
            }),
        ]
    );
    assert_eq!(
        (producer.low_water_mark(), producer.high_water_mark()),
        (2, 4)
    );
    assert_eq!(
        (consumer.low_water_mark(), consumer.high_water_mark()),
        (2, 4)
    );
    for i in 1..4 {
        assert_eq!(producer.try_write(i), Ok(Flow::Ready));
    }
    assert_eq!(producer.try_write(4), Ok(Flow::Backpressure));
    consumer.try_read().unwrap();
    assert!(producer.need_drain());
    consumer.try_read().unwrap();
    assert!(!producer.need_drain());
    // The marks may meet each other and the capacity.
    producer.set_high_water_mark(6).unwrap();
    producer.set_low_water_mark(6).unwrap();
}

#[test]
fn a_refused_change_of_a_default_low_mark_keeps_it_a_default() {
    let (mut producer, _consumer) = Builder::new()
        .high_water_mark(4)
        .capacity(8)
        .build::<u8>()
        .unwrap();
    assert!(producer.set_low_water_mark(5).is_err());
    producer.set_high_water_mark(8).unwrap();
    assert_eq!(producer.low_water_mark(), 4);
}

#[test]
fn a_weighted_high_mark_is_checked_against_the_limit_and_not_the_slots() {
    let (mut producer, _consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(50)
        .limit(100)
        .capacity(4)
        .build::<usize>()
        .unwrap();
    assert_eq!(
        producer.set_high_water_mark(101),
        Err(MarkError::HighAboveLimit {
            high: 101,
            limit: 100
        })
    );
    producer.set_high_water_mark(100).unwrap();
    assert_eq!(producer.low_water_mark(), 50);
    assert_eq!(producer.try_write(99), Ok(Flow::Ready));
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
}

#[test]
fn everything_works_on_as_the_indices_wrap_round() {
    for capacity in [1, 2, 3, 5, 8] {
        for behind in 0..=capacity + 2 {
            let drops = Drops::new();
            let (mut producer, mut consumer) = Builder::new()
                .high_water_mark(capacity)
                .low_water_mark(capacity / 2)
                .first_index(usize::MAX - behind)
                .build()
                .unwrap();
            let monitor = producer.monitor();
            for lap in 1..=4 {
                for len in 1..=capacity {
                    let flow = producer.try_write(drops.item()).map_err(|_| "refused");
                    assert_eq!(flow.unwrap().is_backpressure(), len == capacity);
                    assert_eq!((producer.len(), monitor.len()), (len, len));
                }
                assert!(producer.try_write(drops.item()).is_err());
                for left in (0..capacity).rev() {
                    consumer.peek().expect("it is there");
                    let item = consumer.try_read().unwrap();
                    drop(item);
                    assert_eq!((consumer.len(), producer.len()), (left, left));
                    assert_eq!(producer.need_drain(), left > capacity / 2);
                }
                assert!(matches!(consumer.try_read(), Err(TryReadError::Empty)));
                assert_eq!(monitor.stats().items_read, lap * capacity);
                assert_eq!(monitor.stats().drains, lap);
            }
            assert!(producer.try_write(drops.item()).is_ok());
            let finish = producer.end();
            assert_eq!(finish.try_wait(), Ok(false));
            assert!(!consumer.is_ended());
            drop(consumer.try_read().unwrap());
            assert_eq!(finish.try_wait(), Ok(true));
            assert!(consumer.is_ended());
            drops.assert_each_dropped_once();
        }
    }
}

#[test]
fn items_buffered_across_the_wrap_are_dropped_once_however_the_channel_ends() {
    for ending in 0..4 {
        let drops = Drops::new();
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(8)
            .first_index(usize::MAX - 3)
            .build()
            .unwrap();
        for _ in 0..8 {
            let _ = producer
                .try_write(drops.item())
                .map_err(|_| "refused")
                .unwrap();
        }
        drop(consumer.try_read().unwrap());
        assert_eq!(drops.alive(), 7);
        match ending {
            0 => drop((producer, consumer)),
            1 => drop((consumer, producer)),
            2 => consumer.cancel("enough"),
            _ => {
                producer.abort("enough");
                assert!(consumer.try_read().is_err());
            }
        }
        drops.assert_each_dropped_once();
    }
}

#[test]
fn a_producer_sleeps_and_is_woken_as_the_indices_wrap_round() {
    deadline(|| {
        for capacity in [1, 3] {
            let (mut producer, mut consumer) = Builder::new()
                .high_water_mark(1)
                .capacity(capacity)
                .first_index(usize::MAX - 3)
                .build()
                .unwrap();
            let monitor = producer.monitor();
            let writer = thread::spawn(move || {
                for i in 0..8 {
                    producer.write(i).unwrap();
                }
                producer.end().wait()
            });
            let mut parks = 0;
            for i in 0..8 {
                eventually("the producer sleeps, for a drain or for the finish", || {
                    monitor.stats().producer_parks > parks
                });
                parks = monitor.stats().producer_parks;
                assert_eq!(consumer.read(), Ok(i));
            }
            assert_eq!(consumer.read(), Err(ReadError::Ended));
            writer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_consumer_sleeps_and_is_woken_as_the_indices_wrap_round() {
    deadline(|| {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(3)
            .first_index(usize::MAX - 3)
            .build()
            .unwrap();
        let monitor = producer.monitor();
        let reader = thread::spawn(move || consumer.iter().collect::<Result<Vec<_>, _>>());
        let mut parks = 0;
        for i in 0..8 {
            eventually("the consumer sleeps", || {
                monitor.stats().consumer_parks > parks
            });
            parks = monitor.stats().consumer_parks;
            producer.write(i).unwrap();
        }
        producer.end();
        assert_eq!(reader.join().unwrap(), Ok((0..8).collect()));
    });
}

#[test]
fn weights_are_exact_as_indices_and_totals_wrap_round() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(10)
        .low_water_mark(4)
        .limit(12)
        .capacity(3)
        .first_index(usize::MAX - 3)
        .build()
        .unwrap();
    let monitor = producer.monitor();
    for lap in 1..=6 {
        assert_eq!(producer.try_write(3), Ok(Flow::Ready));
        assert_eq!(producer.try_write(6), Ok(Flow::Ready));
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        assert_eq!(
            (producer.len(), consumer.len(), monitor.len()),
            (10, 10, 10)
        );
        assert_eq!(producer.try_write(1), Err(TryWriteError::WouldBlock(1)));
        assert_eq!(consumer.try_read(), Ok(3));
        assert!(producer.need_drain());
        assert_eq!(consumer.try_read(), Ok(6));
        assert!(!producer.need_drain());
        assert_eq!(consumer.try_read(), Ok(1));
        assert!(producer.is_empty() && consumer.is_empty());
        let stats = monitor.stats();
        assert_eq!(
            (stats.weight_written, stats.weight_read),
            (10 * lap, 10 * lap)
        );
    }
}

#[test]
fn a_weighted_producer_sleeps_until_the_low_mark_as_the_indices_wrap_round() {
    deadline(|| {
        for first in [0, usize::MAX - 3, usize::MAX - 1, usize::MAX] {
            let (mut producer, mut consumer) = Builder::new()
                .weigh_by(|weight: &usize| *weight)
                .high_water_mark(10)
                .low_water_mark(4)
                .capacity(8)
                .first_index(first)
                .build()
                .unwrap();
            let monitor = producer.monitor();
            for weight in [3, 2, 2, 0, 3] {
                producer.write(weight).unwrap();
            }
            let writer = thread::spawn(move || producer.write(1).map(|()| producer).unwrap());
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            for (weight, left) in [(3, 7), (2, 5)] {
                assert_eq!(consumer.read(), Ok(weight));
                assert_eq!(
                    (consumer.len(), monitor.stats().producer_wake_ups),
                    (left, 0)
                );
            }
            assert_eq!(consumer.read(), Ok(2)); // 3 are left
            assert_eq!(writer.join().unwrap().len(), 4);
        }
    });
}
