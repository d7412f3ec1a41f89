//! Waits with a time limit: a timeout gives everything back, and leaves no trace.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Random, LONG};
use highwater::{
    Batch, Builder, Consumer, Flow, Producer, ReadTimeoutError, WaitTimeoutError, Weigh,
    WriteTimeoutError,
};
use std::{
    thread,
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(5);

/// Both forms of a time limit, as it were the same.
#[derive(Clone, Copy, Debug)]
enum Form {
    Timeout,
    Deadline,
}

const FORMS: [Form; 2] = [Form::Timeout, Form::Deadline];

impl Form {
    fn write<T>(
        self,
        p: &mut Producer<T>,
        item: T,
        d: Duration,
    ) -> Result<(), WriteTimeoutError<T>> {
        match self {
            Self::Timeout => p.write_timeout(item, d),
            Self::Deadline => p.write_deadline(item, Instant::now() + d),
        }
    }

    fn read<T>(self, c: &mut Consumer<T>, d: Duration) -> Result<T, ReadTimeoutError> {
        match self {
            Self::Timeout => c.read_timeout(d),
            Self::Deadline => c.read_deadline(Instant::now() + d),
        }
    }

    fn write_slice(
        self,
        p: &mut Producer<u64>,
        items: &[u64],
        d: Duration,
    ) -> Result<usize, WaitTimeoutError> {
        match self {
            Self::Timeout => p.write_slice_timeout(items, d),
            Self::Deadline => p.write_slice_deadline(items, Instant::now() + d),
        }
    }

    fn read_slice(
        self,
        c: &mut Consumer<u64>,
        items: &mut [u64],
        d: Duration,
    ) -> Result<usize, ReadTimeoutError> {
        match self {
            Self::Timeout => c.read_slice_timeout(items, d),
            Self::Deadline => c.read_slice_deadline(items, Instant::now() + d),
        }
    }

    fn write_to_batch<T, W: Weigh<T>>(
        self,
        b: &mut Batch<'_, T, W>,
        item: T,
        d: Duration,
    ) -> Result<(), WriteTimeoutError<T>> {
        match self {
            Self::Timeout => b.write_timeout(item, d),
            Self::Deadline => b.write_deadline(item, Instant::now() + d),
        }
    }

    fn wait_drain<T>(self, p: &mut Producer<T>, d: Duration) -> Result<(), WaitTimeoutError> {
        match self {
            Self::Timeout => p.wait_drain_timeout(d),
            Self::Deadline => p.wait_drain_deadline(Instant::now() + d),
        }
    }

    fn wait_finish(self, f: &mut highwater::Finish, d: Duration) -> Result<(), WaitTimeoutError> {
        match self {
            Self::Timeout => f.wait_timeout(d),
            Self::Deadline => f.wait_deadline(Instant::now() + d),
        }
    }
}

/// A channel for one item that is full, so that every wait of the producer sleeps.
fn full() -> (Producer<String>, Consumer<String>) {
    let (mut producer, consumer) = highwater::channel(1);
    producer.write("first".to_string()).unwrap();
    (producer, consumer)
}

#[test]
fn a_write_that_times_out_gives_the_item_back_not_early_and_works_again_later() {
    deadline(|| {
        for form in FORMS {
            let (mut producer, mut consumer) = full();
            for _ in 0..3 {
                let begin = Instant::now();
                match form.write(&mut producer, "second".to_string(), SHORT) {
                    Err(WriteTimeoutError::Timeout(item)) => assert_eq!(item, "second"),
                    other => panic!("{form:?}: {other:?}"),
                }
                assert!(begin.elapsed() >= SHORT, "{form:?}");
                assert_eq!(producer.len(), 1);
            }
            assert_eq!(consumer.read().unwrap(), "first");
            form.write(&mut producer, "second".to_string(), SHORT)
                .unwrap();
            assert_eq!(consumer.read().unwrap(), "second");
            let stats = producer.monitor().stats();
            assert_eq!((stats.items_written, stats.times_told_to_stop), (2, 2));
        }
    });
}

#[test]
fn a_read_that_times_out_is_not_early_and_works_again_later() {
    deadline(|| {
        for form in FORMS {
            let (mut producer, mut consumer) = highwater::channel(2);
            for _ in 0..3 {
                let begin = Instant::now();
                assert_eq!(
                    form.read(&mut consumer, SHORT),
                    Err(ReadTimeoutError::Timeout)
                );
                assert!(begin.elapsed() >= SHORT, "{form:?}");
            }
            producer.write(1).unwrap();
            producer.end();
            assert_eq!(form.read(&mut consumer, SHORT), Ok(1));
            assert_eq!(
                form.read(&mut consumer, SHORT),
                Err(ReadTimeoutError::Ended)
            );
        }
    });
}

#[test]
fn a_slice_that_times_out_moves_nothing_is_not_early_and_works_again_later() {
    deadline(|| {
        for form in FORMS {
            let (mut producer, mut consumer) = highwater::channel(4);
            let mut items = [0; 4];
            for _ in 0..2 {
                let begin = Instant::now();
                let read = form.read_slice(&mut consumer, &mut items, SHORT);
                assert_eq!(read, Err(ReadTimeoutError::Timeout), "{form:?}");
                assert!(begin.elapsed() >= SHORT, "{form:?}");
            }
            // Up to the mark, and no further.
            assert_eq!(
                form.write_slice(&mut producer, &[1, 2, 3, 4, 5], SHORT),
                Ok(4)
            );
            for _ in 0..2 {
                let begin = Instant::now();
                let written = form.write_slice(&mut producer, &[5], SHORT);
                assert_eq!(written, Err(WaitTimeoutError::Timeout), "{form:?}");
                assert!(begin.elapsed() >= SHORT, "{form:?}");
                assert_eq!(producer.len(), 4);
            }
            assert_eq!(form.read_slice(&mut consumer, &mut items, SHORT), Ok(4));
            assert_eq!(items, [1, 2, 3, 4]);
            assert_eq!(form.write_slice(&mut producer, &[5], SHORT), Ok(1));
            // What is there is taken, however long the slice is.
            assert_eq!(form.read_slice(&mut consumer, &mut items, SHORT), Ok(1));
            assert_eq!(items[0], 5);
        }
    });
}

#[test]
fn a_write_to_a_batch_that_times_out_gives_the_item_back_and_has_published_the_others() {
    deadline(|| {
        for form in FORMS {
            let (mut producer, mut consumer) = highwater::channel(2);
            let mut batch = producer.batch();
            for item in [1, 2] {
                assert_eq!(form.write_to_batch(&mut batch, item, SHORT), Ok(()));
            }
            assert!(consumer.try_read().is_err(), "{form:?}: held back");
            let begin = Instant::now();
            let late = form.write_to_batch(&mut batch, 3, SHORT);
            assert_eq!(late, Err(WriteTimeoutError::Timeout(3)), "{form:?}");
            assert!(begin.elapsed() >= SHORT, "{form:?}");
            assert_eq!(consumer.try_read(), Ok(1), "{form:?}");
            assert_eq!(form.write_to_batch(&mut batch, 3, SHORT), Ok(()));
            assert_eq!(consumer.try_read(), Ok(2), "{form:?}");
            assert!(consumer.try_read().is_err(), "{form:?}: held back, too");
            drop(batch);
            assert_eq!(consumer.try_read(), Ok(3), "{form:?}");
        }
    });
}

#[test]
fn a_write_to_a_batch_that_times_out_leaves_no_stop_of_its_own_and_an_earlier_one_as_it_was() {
    deadline(|| {
        for form in FORMS {
            // Its slots run out long before its mark.
            let (mut producer, mut consumer) = Builder::new()
                .weigh_by(|_: &u64| 1)
                .high_water_mark(100)
                .capacity(2)
                .build()
                .unwrap();
            let mut batch = producer.batch();
            for item in [1, 2] {
                assert_eq!(batch.try_write(item), Ok(Flow::Ready));
            }
            for _ in 0..2 {
                let late = form.write_to_batch(&mut batch, 3, SHORT);
                assert_eq!(late, Err(WriteTimeoutError::Timeout(3)), "{form:?}");
                assert!(!batch.need_drain(), "{form:?}: a stop is left");
            }
            assert!(batch.try_write(3).is_err());
            let late = form.write_to_batch(&mut batch, 3, SHORT);
            assert_eq!(late, Err(WriteTimeoutError::Timeout(3)), "{form:?}");
            assert!(
                batch.need_drain(),
                "{form:?}: the stop of `try_write` is gone"
            );
            consumer.try_read().unwrap();
            assert_eq!(
                form.write_to_batch(&mut batch, 3, SHORT),
                Ok(()),
                "{form:?}"
            );
        }
    });
}

#[test]
fn what_happens_before_the_deadline_ends_a_wait_for_a_slice_or_in_a_batch() {
    deadline(|| {
        for form in FORMS {
            let (mut producer, mut consumer) = highwater::channel(1);
            let mut item = [0];
            thread::scope(|scope| {
                scope.spawn(|| {
                    eventually("the producer waits", || {
                        consumer.monitor().stats().producer_parks >= 1
                    });
                    assert_eq!(form.read_slice(&mut consumer, &mut item, LONG), Ok(1));
                    eventually("the producer waits", || {
                        consumer.monitor().stats().producer_parks >= 2
                    });
                    assert_eq!(form.read_slice(&mut consumer, &mut item, LONG), Ok(1));
                });
                assert_eq!(form.write_slice(&mut producer, &[1], LONG), Ok(1));
                assert_eq!(form.write_slice(&mut producer, &[2], LONG), Ok(1));
                let mut batch = producer.batch();
                assert_eq!(form.write_to_batch(&mut batch, 3, LONG), Ok(()));
            });
            assert_eq!(form.read_slice(&mut consumer, &mut item, LONG), Ok(1));
            assert_eq!(item, [3]);
            thread::scope(|scope| {
                let monitor = consumer.monitor();
                let parks = monitor.stats().consumer_parks;
                scope.spawn(move || {
                    eventually("the consumer waits", || {
                        monitor.stats().consumer_parks > parks
                    });
                    drop(producer);
                });
                let read = form.read_slice(&mut consumer, &mut item, LONG);
                assert_eq!(read, Err(ReadTimeoutError::Abandoned));
            });
        }
    });
}

#[test]
fn a_wait_for_drain_that_times_out_can_be_tried_again_later() {
    deadline(|| {
        for form in FORMS {
            let (mut producer, mut consumer) = full();
            for _ in 0..3 {
                let begin = Instant::now();
                let waited = form.wait_drain(&mut producer, SHORT);
                assert_eq!(waited, Err(WaitTimeoutError::Timeout));
                assert!(begin.elapsed() >= SHORT, "{form:?}");
                assert!(producer.need_drain());
            }
            consumer.read().unwrap();
            assert_eq!(form.wait_drain(&mut producer, SHORT), Ok(()));
            assert_eq!(form.wait_drain(&mut producer, SHORT), Ok(()));
        }
    });
}

#[test]
fn a_wait_for_finish_that_times_out_can_be_tried_again_later() {
    deadline(|| {
        for form in FORMS {
            let (producer, mut consumer) = full();
            let mut finish = producer.end();
            for _ in 0..3 {
                let begin = Instant::now();
                let waited = form.wait_finish(&mut finish, SHORT);
                assert_eq!(waited, Err(WaitTimeoutError::Timeout));
                assert!(begin.elapsed() >= SHORT, "{form:?}");
            }
            consumer.read().unwrap();
            assert_eq!(form.wait_finish(&mut finish, SHORT), Ok(()));
            assert_eq!(form.wait_finish(&mut finish, Duration::ZERO), Ok(()));
            finish.wait().unwrap();
        }
    });
}

#[test]
fn with_no_time_at_all_what_can_be_done_at_once_is_done() {
    let (mut producer, mut consumer) = highwater::channel(1);
    for form in FORMS {
        let zero = Duration::ZERO;
        assert_eq!(
            form.read(&mut consumer, zero),
            Err(ReadTimeoutError::Timeout)
        );
        assert_eq!(form.wait_drain(&mut producer, zero), Ok(()));
        assert_eq!(form.write(&mut producer, 1, zero), Ok(()));
        assert_eq!(
            form.write(&mut producer, 2, zero),
            Err(WriteTimeoutError::Timeout(2))
        );
        assert_eq!(
            form.wait_drain(&mut producer, zero),
            Err(WaitTimeoutError::Timeout)
        );
        assert_eq!(form.read(&mut consumer, zero), Ok(1));
        assert_eq!(form.wait_drain(&mut producer, zero), Ok(()));
    }
    producer.write(3).unwrap();
    let mut finish = producer.end();
    for form in FORMS {
        let waited = form.wait_finish(&mut finish, Duration::ZERO);
        assert_eq!(waited, Err(WaitTimeoutError::Timeout));
    }
    assert_eq!(consumer.read(), Ok(3));
    assert_eq!(finish.wait_timeout(Duration::ZERO), Ok(()));
}

#[test]
fn a_deadline_in_the_past_is_no_time_at_all() {
    let (mut producer, mut consumer) = highwater::channel(1);
    let past = Instant::now();
    eventually("it is past", || Instant::now() > past);
    assert_eq!(consumer.read_deadline(past), Err(ReadTimeoutError::Timeout));
    assert_eq!(producer.write_deadline(1, past), Ok(()));
    assert_eq!(
        producer.write_deadline(2, past),
        Err(WriteTimeoutError::Timeout(2))
    );
    assert_eq!(
        producer.wait_drain_deadline(past),
        Err(WaitTimeoutError::Timeout)
    );
    let mut finish = producer.end();
    assert_eq!(finish.wait_deadline(past), Err(WaitTimeoutError::Timeout));
    assert_eq!(consumer.read_deadline(past), Ok(1));
    assert_eq!(finish.wait_deadline(past), Ok(()));
    assert_eq!(consumer.read_deadline(past), Err(ReadTimeoutError::Ended));
}

#[test]
fn enormous_timeouts_neither_overflow_nor_end_early() {
    let enormous = [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(u64::MAX / 2),
        Duration::from_secs(i64::MAX as u64 - 10_000_000_000),
        Duration::from_secs(u64::from(u32::MAX) * 1000),
    ];
    for timeout in enormous {
        deadline(move || {
            let (mut producer, mut consumer) = highwater::channel(1);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || (consumer.read_timeout(timeout), consumer));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            assert_eq!(producer.write_timeout(1, timeout), Ok(()));
            let (item, mut consumer) = reader.join().unwrap();
            assert_eq!(item, Ok(1), "{timeout:?}");

            producer.write(2).unwrap();
            let parks = monitor.stats().producer_parks;
            let writer = thread::spawn(move || {
                assert_eq!(producer.write_timeout(3, timeout), Ok(()));
                assert_eq!(producer.wait_drain_timeout(timeout), Ok(()));
                producer.write(4).unwrap();
                producer.end().wait_timeout(timeout)
            });
            for (nth, item) in [2, 3, 4].into_iter().enumerate() {
                eventually("the producer sleeps", || {
                    monitor.stats().producer_parks > parks + nth
                });
                assert_eq!(consumer.read_timeout(timeout), Ok(item));
            }
            assert_eq!(writer.join().unwrap(), Ok(()), "{timeout:?}");
        });
    }
}

#[test]
fn what_happens_before_the_deadline_ends_the_wait() {
    deadline(|| {
        for form in FORMS {
            let long = Duration::from_secs(3600);
            let (mut producer, mut consumer) = full();
            let monitor = producer.monitor();
            let writer = thread::spawn(move || {
                form.write(&mut producer, "second".to_string(), long)
                    .unwrap();
                form.wait_drain(&mut producer, long).unwrap();
                producer.write("third".to_string()).unwrap();
                let mut finish = producer.end();
                form.wait_finish(&mut finish, long).unwrap();
            });
            for (nth, item) in ["first", "second", "third"].into_iter().enumerate() {
                eventually("the producer sleeps", || {
                    monitor.stats().producer_parks > nth
                });
                assert_eq!(form.read(&mut consumer, long).unwrap(), item);
            }
            writer.join().unwrap();

            let (mut producer, mut consumer) = highwater::channel(1);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || form.read(&mut consumer, long));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            producer.write(1).unwrap();
            assert_eq!(reader.join().unwrap(), Ok(1));
        }
    });
}

#[test]
fn an_end_of_the_other_side_ends_a_wait_with_a_time_limit() {
    deadline(|| {
        for form in FORMS {
            let long = Duration::from_secs(3600);
            let (mut producer, consumer) = full();
            let monitor = producer.monitor();
            let writer =
                thread::spawn(move || form.write(&mut producer, "second".to_string(), long));
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            drop(consumer);
            match writer.join().unwrap() {
                Err(WriteTimeoutError::Closed(item)) => assert_eq!(item, "second"),
                other => panic!("{other:?}"),
            }

            let (mut producer, consumer) = full();
            let monitor = producer.monitor();
            let waiter = thread::spawn(move || form.wait_drain(&mut producer, long));
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            consumer.cancel("enough");
            match waiter.join().unwrap() {
                Err(WaitTimeoutError::Closed(error)) => {
                    assert_eq!(error.reason().unwrap().to_string(), "enough");
                }
                other => panic!("{other:?}"),
            }

            let (producer, mut consumer) = highwater::channel::<u8>(1);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || form.read(&mut consumer, long));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            drop(producer);
            assert_eq!(reader.join().unwrap(), Err(ReadTimeoutError::Abandoned));
        }
    });
}

#[test]
fn no_wake_up_state_survives_a_timeout() {
    // Nobody is asleep any more, so that there is nobody to wake.
    let (mut producer, mut consumer) = highwater::channel(1);
    let monitor = producer.monitor();
    assert!(consumer.read_timeout(SHORT).is_err());
    producer.write(1).unwrap();
    assert!(producer.write_timeout(2, SHORT).is_err());
    assert_eq!(consumer.read(), Ok(1));
    producer.write(2).unwrap();
    let mut finish = producer.end();
    assert!(finish.wait_timeout(SHORT).is_err());
    assert_eq!(consumer.read(), Ok(2));
    let stats = monitor.stats();
    assert!(stats.consumer_parks > 0 && stats.producer_parks > 1);
    assert_eq!((stats.consumer_wake_ups, stats.producer_wake_ups), (0, 0));
}

#[test]
fn many_short_timeouts_on_both_sides_lose_and_double_nothing() {
    deadline(|| {
        let items: u64 = if cfg!(miri) { 50 } else { 1_000 };
        let (mut producer, mut consumer) = highwater::channel(1);
        // Around the time that a wake-up takes.
        let short = |random: &mut Random| Duration::from_micros(random.below(100));
        let reader = thread::spawn(move || {
            let mut random = Random::new(1);
            let mut next = 0;
            loop {
                match consumer.read_timeout(short(&mut random)) {
                    Ok(item) => {
                        assert_eq!(item, next);
                        next += 1;
                    }
                    Err(ReadTimeoutError::Timeout) => thread::yield_now(),
                    Err(error) => return (error, next),
                }
            }
        });
        let mut random = Random::new(2);
        for item in 0..items {
            while let Err(error) = producer.write_timeout(item, short(&mut random)) {
                assert_eq!(error, WriteTimeoutError::Timeout(item));
                thread::yield_now();
            }
        }
        producer.end();
        assert_eq!(reader.join().unwrap(), (ReadTimeoutError::Ended, items));
    });
}

#[test]
fn a_deadline_that_has_passed_costs_no_sleep_and_no_call() {
    let ((mut producer, consumer), (_idle, mut empty)) = (full(), highwater::channel::<u8>(1));
    for form in FORMS {
        for _ in 0..100 {
            let refused = form.write(&mut producer, String::new(), Duration::ZERO);
            assert!(matches!(refused, Err(WriteTimeoutError::Timeout(_))));
            let nothing = form.read(&mut empty, Duration::ZERO);
            assert_eq!(nothing, Err(ReadTimeoutError::Timeout));
            let waited = form.wait_drain(&mut producer, Duration::ZERO);
            assert_eq!(waited, Err(WaitTimeoutError::Timeout));
        }
    }
    assert_eq!(producer.monitor().stats().producer_parks, 0);
    assert_eq!(empty.monitor().stats().consumer_parks, 0);
    drop(consumer);
}
