//! However an end goes, the other learns how, and every item is dropped once.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Counted, Drops};
use highwater::{
    Builder, Consumer, Finish, Flow, Producer, ReadError, ReadTimeoutError, State, TryReadError,
    TryWriteError, WaitTimeoutError, WriteError, WriteTimeoutError,
};
use std::{
    io, mem,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc, Arc,
    },
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_panicking_producer_thread_is_an_abandonment_after_what_it_wrote() {
    deadline(|| {
        let (mut producer, consumer) = highwater::channel(4);
        let writer = thread::spawn(move || {
            producer.write(1).unwrap();
            panic!("as it goes");
        });
        let items: Vec<_> = consumer.into_iter().collect();
        assert_eq!(items, [Ok(1), Err(ReadError::Abandoned)]);
        assert!(writer.join().is_err());
    });
}

#[test]
fn a_panicking_consumer_thread_is_a_cancel_without_a_reason() {
    deadline(|| {
        let drops = Drops::new();
        let (mut producer, mut consumer) = with_items(&drops, 4); // full
        let monitor = producer.monitor();
        let reader = thread::spawn(move || {
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            let _in_its_hands = consumer.try_read();
            panic!("as it goes");
        });
        // One item less is no drain, so that only the end wakes it.
        let refused = producer.write(drops.item()).unwrap_err();
        assert_eq!(refused.into_inner().id, 4);
        assert!(reader.join().is_err());
        assert_eq!(producer.cancel_reason(), None);
        let waited = producer.wait_drain();
        assert!(matches!(waited, Err(error) if error.reason().is_none()));
        assert_eq!(producer.monitor().state(), State::Cancelled);
        drops.assert_each_dropped_once(); // while the producer lives
    });
}

#[test]
fn an_abort_is_the_next_answer_though_items_are_buffered_and_known() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = highwater::channel(4);
    for _ in 0..3 {
        producer.write(drops.item()).unwrap();
    }
    drop(consumer.try_read().unwrap()); // has seen all three
    producer.abort(io::Error::new(io::ErrorKind::AddrInUse, "taken"));
    let Err(TryReadError::Aborted(reason)) = consumer.try_read() else {
        panic!("not aborted");
    };
    assert!(reason.get_ref().is::<io::Error>());
    let error: io::Error = ReadError::Aborted(reason).into();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drops.assert_each_dropped_once();
    assert_eq!(consumer.len(), 0);
}

/// Writes a 7 in one of the ways there are; whether that was refused because the other end takes no more.
type Write = (&'static str, fn(&mut Producer<u64>) -> bool);

const SHORT: Duration = Duration::from_millis(1);

/// Each way, so that none goes by what its end knew before.
const WRITES: &[Write] = &[
    ("try_write", |producer| {
        producer.try_write(7) == Err(TryWriteError::Closed(7))
    }),
    ("write", |producer| producer.write(7) == Err(WriteError(7))),
    ("write_timeout", |producer| {
        producer.write_timeout(7, SHORT) == Err(WriteTimeoutError::Closed(7))
    }),
    ("write_deadline", |producer| {
        producer.write_deadline(7, Instant::now() + SHORT) == Err(WriteTimeoutError::Closed(7))
    }),
    ("try_write_slice", |producer| {
        producer.try_write_slice(&[7]) == Err(TryWriteError::Closed(()))
    }),
    ("write_slice", |producer| {
        producer.write_slice(&[7]).is_err()
    }),
    ("write_slice_timeout", |producer| {
        matches!(
            producer.write_slice_timeout(&[7], SHORT),
            Err(WaitTimeoutError::Closed(_))
        )
    }),
    ("write_all", |producer| {
        producer.write_all(&[7]).unwrap_err().written == 0
    }),
    ("write_iter", |producer| {
        producer.write_iter([7]) == Err(WriteError(7))
    }),
    ("Batch::try_write", |producer| {
        producer.batch().try_write(7) == Err(TryWriteError::Closed(7))
    }),
    ("Batch::write", |producer| {
        producer.batch().write(7) == Err(WriteError(7))
    }),
    ("Batch::write_timeout", |producer| {
        producer.batch().write_timeout(7, SHORT) == Err(WriteTimeoutError::Closed(7))
    }),
    ("try_reserve", |producer| producer.try_reserve(1).is_err()),
    ("reserve_up_to", |producer| {
        producer.reserve_up_to(1).is_err()
    }),
    #[cfg(feature = "async")]
    ("write_async", |producer| {
        futures_lite::future::block_on(producer.write_async(7)) == Err(WriteError(7))
    }),
];

#[test]
fn no_way_of_writing_gives_an_item_to_a_consumer_that_takes_no_more_though_there_is_room() {
    type Leave = fn(Consumer<u64>) -> Option<Consumer<u64>>;
    let leaves: [(&str, Leave); 3] = [
        ("drop", |_| None),
        ("cancel", |consumer| {
            consumer.cancel("enough");
            None
        }),
        ("close", |mut consumer| {
            consumer.close();
            Some(consumer)
        }),
    ];
    deadline(move || {
        for (way, is_refused) in WRITES {
            for (leaving, leave) in leaves {
                let (mut producer, consumer) = highwater::channel(8);
                producer.write_all(&[1, 2]).unwrap();
                producer.write(3).unwrap(); // there is room for more, and the producer knows
                let consumer = leave(consumer);
                assert!(is_refused(&mut producer), "{way} after {leaving}");
                drop(producer);
                if let Some(consumer) = consumer {
                    let rest: Vec<_> = consumer.into_iter().collect();
                    assert_eq!(rest, [Ok(1), Ok(2), Ok(3)], "{way} after {leaving}");
                }
            }
        }
    });
}

/// Reads in one of the ways there are; whether the answer was that the producer has aborted.
type Read = (&'static str, fn(&mut Consumer<u64>) -> bool);

const READS: &[Read] = &[
    ("try_read", |consumer| {
        matches!(consumer.try_read(), Err(TryReadError::Aborted(_)))
    }),
    ("read", |consumer| {
        matches!(consumer.read(), Err(ReadError::Aborted(_)))
    }),
    ("read_timeout", |consumer| {
        matches!(
            consumer.read_timeout(SHORT),
            Err(ReadTimeoutError::Aborted(_))
        )
    }),
    ("read_deadline", |consumer| {
        matches!(
            consumer.read_deadline(Instant::now() + SHORT),
            Err(ReadTimeoutError::Aborted(_))
        )
    }),
    ("peek", |consumer| consumer.peek().is_none()),
    ("try_iter", |consumer| consumer.try_iter().next().is_none()),
    ("iter", |consumer| {
        matches!(consumer.iter().next(), Some(Err(ReadError::Aborted(_))))
    }),
    ("try_read_slice", |consumer| {
        matches!(
            consumer.try_read_slice(&mut [0]),
            Err(TryReadError::Aborted(_))
        )
    }),
    ("read_slice", |consumer| {
        matches!(consumer.read_slice(&mut [0]), Err(ReadError::Aborted(_)))
    }),
    ("read_exact", |consumer| {
        consumer.read_exact(&mut [0]).is_err()
    }),
    ("try_chunk_up_to", |consumer| {
        matches!(consumer.try_chunk_up_to(1), Err(TryReadError::Aborted(_)))
    }),
    ("try_chunk", |consumer| consumer.try_chunk(1).is_err()),
    ("chunk_up_to", |consumer| {
        matches!(consumer.chunk_up_to(1), Err(ReadError::Aborted(_)))
    }),
    #[cfg(feature = "async")]
    ("read_async", |consumer| {
        matches!(
            futures_lite::future::block_on(consumer.read_async()),
            Err(ReadError::Aborted(_))
        )
    }),
];

#[test]
fn no_way_of_reading_takes_an_item_of_a_producer_that_has_aborted_though_it_was_seen() {
    deadline(|| {
        for (way, is_aborted) in READS {
            let (mut producer, mut consumer) = highwater::channel(8);
            producer.write_all(&[1, 2, 3]).unwrap();
            assert_eq!(consumer.try_read(), Ok(1)); // has seen all three
            producer.abort("failed");
            assert!(is_aborted(&mut consumer), "{way}");
        }
    });
}

#[test]
fn an_abort_whose_reason_panics_is_an_abandonment() {
    struct Bad;
    impl From<Bad> for Box<dyn std::error::Error + Send + Sync> {
        fn from(_: Bad) -> Self {
            panic!("no reason");
        }
    }

    deadline(|| {
        let (producer, mut consumer) = highwater::channel::<u8>(1);
        assert!(catch_unwind(AssertUnwindSafe(|| producer.abort(Bad))).is_err());
        assert_eq!(consumer.read(), Err(ReadError::Abandoned));
    });
}

#[test]
fn a_sleeping_consumer_is_woken_by_an_end() {
    deadline(|| {
        let (producer, mut consumer) = highwater::channel::<u8>(4);
        let monitor = producer.monitor();
        let reader = thread::spawn(move || consumer.read());
        eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
        producer.end().wait().unwrap();
        assert_eq!(reader.join().unwrap(), Err(ReadError::Ended));
        assert_eq!(monitor.state(), State::Finished);
    });
}

#[test]
fn a_sleeping_producer_is_woken_by_a_cancel_with_its_reason() {
    deadline(|| {
        let (mut producer, consumer) = highwater::channel(1);
        let monitor = producer.monitor();
        producer.write(1).unwrap();
        let writer = thread::spawn(move || (producer.write(2).unwrap_err().into_inner(), producer));
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        consumer.cancel("enough");
        let (item, mut producer) = writer.join().unwrap();
        assert_eq!(item, 2);
        assert_eq!(producer.cancel_reason().unwrap().to_string(), "enough");
        assert_eq!(producer.try_write(3), Err(TryWriteError::Closed(3)));
        assert_eq!(monitor.state(), State::Cancelled);
    });
}

#[test]
fn a_blocked_producer_sleeps_until_the_low_mark_and_not_just_until_there_is_room() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::channel(8);
        for i in 0..8 {
            producer.write(i).unwrap();
        }
        let monitor = producer.monitor();
        let writer = thread::spawn(move || producer.write(8).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        for i in 0..3 {
            assert_eq!(consumer.read(), Ok(i));
        }
        assert_eq!(monitor.stats().items_written, 8);
        assert_eq!(consumer.read(), Ok(3)); // four are left: the low mark
        let producer = writer.join().unwrap();
        assert_eq!(producer.len(), 5);
        assert_eq!(monitor.stats().drains, 1);
    });
}

#[test]
fn a_reply_channel_in_a_message_dies_with_the_consumer_though_the_producer_lives() {
    let (mut producer, consumer) = highwater::channel(4);
    let (reply, answer) = mpsc::channel::<()>();
    producer.write(reply).unwrap();
    drop(consumer);
    assert_eq!(answer.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    drop(producer);
}

#[test]
fn a_drop_that_panics_loses_no_other_item() {
    for aborts in [false, true] {
        let drops = Drops::new();
        let (mut producer, mut consumer) = highwater::channel(8);
        for i in 0..6 {
            let item = if i == 2 {
                drops.panicking_item()
            } else {
                drops.item()
            };
            producer.write(item).unwrap();
        }
        let went = if aborts {
            producer.abort("because");
            catch_unwind(AssertUnwindSafe(|| drop(consumer.try_read())))
        } else {
            catch_unwind(AssertUnwindSafe(|| drop(consumer)))
        };
        assert!(went.is_err());
        drops.assert_each_dropped_once();
    }
}

#[test]
fn both_ends_dropped_from_two_threads_drop_every_item_once() {
    for round in 0..500 {
        let drops = Drops::new();
        let (mut producer, mut consumer) = highwater::channel(3);
        for _ in 0..round % 4 {
            let _ = producer.try_write(drops.item());
        }
        let items = drops.clone();
        let writer = thread::spawn(move || drop(producer.try_write(items.item()).map(drop)));
        if round % 2 == 0 {
            drop(consumer.try_read());
        }
        drop(consumer);
        writer.join().unwrap();
        drops.assert_each_dropped_once();
    }
}

#[test]
fn a_timeout_gives_the_item_back_and_leaves_no_trace() {
    deadline(|| {
        let short = Duration::from_millis(1);
        let (mut producer, mut consumer) = highwater::channel(1);
        assert_eq!(consumer.read_timeout(short), Err(ReadTimeoutError::Timeout));
        producer.write_timeout(1, Duration::ZERO).unwrap();
        assert_eq!(
            producer.write_timeout(2, short),
            Err(WriteTimeoutError::Timeout(2))
        );
        assert_eq!(
            producer.wait_drain_timeout(short),
            Err(WaitTimeoutError::Timeout)
        );
        assert_eq!(consumer.read_timeout(Duration::MAX), Ok(1));
        producer.write_timeout(2, Duration::MAX).unwrap();
        let mut finish = producer.end();
        assert_eq!(finish.wait_timeout(short), Err(WaitTimeoutError::Timeout));
        assert_eq!(consumer.read(), Ok(2));
        finish.wait().unwrap();
    });
}

#[test]
fn a_weighted_channel_whose_slots_run_out_waits_for_slots() {
    deadline(|| {
        let (mut producer, mut consumer) = Builder::new()
            .weigh_by(|_: &u8| 1)
            .high_water_mark(1000)
            .capacity(4)
            .build()
            .unwrap();
        for i in 0..4 {
            assert_eq!(producer.try_write(i), Ok(Flow::Ready));
        }
        assert_eq!(producer.try_write(4), Err(TryWriteError::WouldBlock(4)));
        assert!(producer.need_drain());
        let monitor = producer.monitor();
        let writer = thread::spawn(move || producer.write(4).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(), Ok(0));
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(writer.join().unwrap().len(), 3);
    });
}

#[test]
fn an_item_above_the_limit_goes_into_an_empty_channel_only() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(8)
        .limit(10)
        .build()
        .unwrap();
    assert_eq!(producer.try_write(11), Ok(Flow::Backpressure));
    assert_eq!(producer.try_write(1), Err(TryWriteError::WouldBlock(1)));
    assert_eq!(consumer.try_read(), Ok(11));
    assert_eq!(producer.try_write(usize::MAX), Ok(Flow::Backpressure));
    assert_eq!(producer.len(), isize::MAX as usize);
    assert_eq!(producer.desired_size(), 8 - isize::MAX);
}

#[test]
fn items_of_no_size_and_of_great_alignment_go_through() {
    #[repr(align(128))]
    struct Aligned(u8);

    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(1 << (usize::BITS - 24))
        .build::<()>()
        .expect("slots of no size take no memory");
    producer.write(()).unwrap();
    assert_eq!(consumer.read(), Ok(()));

    let (mut producer, mut consumer) = highwater::channel(2);
    producer.write(Aligned(7)).unwrap();
    let item = consumer.peek().expect("it is there");
    assert_eq!(item as *const _ as usize % 128, 0);
    assert_eq!(item.0, 7);
}

/// Where membarrier was left out at compile time nobody has to find out that it is not there, and no
/// sleeper looks again by itself.
#[cfg(not(feature = "membarrier"))]
#[test]
fn without_membarrier_a_sleeper_sleeps_once() {
    let (_producer, mut consumer) = highwater::channel::<u8>(1);
    assert_eq!(highwater::barrier::mode(), highwater::barrier::Mode::Fence);
    let short = Duration::from_millis(50);
    assert_eq!(consumer.read_timeout(short), Err(ReadTimeoutError::Timeout));
    assert_eq!(consumer.monitor().stats().consumer_parks, 1);
}

/// Sleeping costs no processor time: measured over a second, by the thread's own clock.
#[cfg(target_os = "linux")]
#[test]
fn a_sleeping_end_uses_no_cpu() {
    use rustix::time::{clock_gettime, ClockId};

    fn cpu_time_of(body: impl FnOnce()) -> Duration {
        let now = || {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        let before = now();
        body();
        now() - before
    }

    for full_fences in [false, true] {
        let second = Duration::from_secs(1);
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(1)
            .full_fences(full_fences)
            .build()
            .unwrap();
        let used = cpu_time_of(|| assert!(consumer.read_timeout(second).is_err()));
        assert!(used < Duration::from_millis(5), "consumer: {used:?}");
        producer.write(1).unwrap();
        let used = cpu_time_of(|| assert!(producer.write_timeout(2, second).is_err()));
        assert!(used < Duration::from_millis(5), "producer: {used:?}");
    }
}

/// How a producer can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    End,
    Drop,
    Abort,
}

const GOINGS: [Going; 3] = [Going::End, Going::Drop, Going::Abort];

impl Going {
    fn go<T>(self, producer: Producer<T>) -> Option<Finish> {
        match self {
            Self::End => return Some(producer.end()),
            Self::Drop => drop(producer),
            Self::Abort => producer.abort("no disk"),
        }
        None
    }

    /// What the consumer then reads in the end.
    fn assert_is(self, error: ReadError) {
        match self {
            Self::End => assert_eq!(error, ReadError::Ended),
            Self::Drop => assert_eq!(error, ReadError::Abandoned),
            Self::Abort => match error {
                ReadError::Aborted(reason) => assert_eq!(reason.to_string(), "no disk"),
                other => panic!("{other:?}"),
            },
        }
    }
}

fn with_items(drops: &Drops, items: usize) -> (Producer<Counted>, Consumer<Counted>) {
    let (mut producer, consumer) = highwater::channel(4);
    for _ in 0..items {
        assert!(producer.try_write(drops.item()).is_ok());
    }
    (producer, consumer)
}

#[test]
fn the_reader_gets_the_rest_and_then_the_same_answer_for_ever_however_the_producer_went() {
    for going in GOINGS {
        for (items, read_before) in [(0, 0), (1, 0), (1, 1), (4, 0), (4, 2)] {
            let drops = Drops::new();
            let (producer, mut consumer) = with_items(&drops, items);
            for _ in 0..read_before {
                consumer.try_read().unwrap();
            }
            let finish = going.go(producer);
            if going == Going::Abort {
                assert_eq!(consumer.len(), 0);
            } else {
                for id in read_before..items {
                    assert!(!consumer.is_ended());
                    assert_eq!(consumer.try_read().unwrap().id, id);
                }
            }
            for _ in 0..3 {
                going.assert_is(consumer.read().map(drop).unwrap_err());
                let error = consumer.try_read().map(drop).unwrap_err();
                going.assert_is(error.into_read_error().expect("not Empty"));
                let error = consumer.read_timeout(Duration::ZERO).map(drop).unwrap_err();
                going.assert_is(error.into_read_error().expect("not Timeout"));
                assert!(consumer.peek().is_none());
            }
            assert_eq!(consumer.is_ended(), going == Going::End);
            drops.assert_each_dropped_once(); // while the consumer lives
            if let Some(finish) = finish {
                assert_eq!(finish.try_wait(), Ok(true));
                drop(consumer);
                assert_eq!(finish.try_wait(), Ok(true), "for good");
            }
        }
    }
}

#[test]
fn a_consumer_that_goes_drops_the_rest_right_then_in_every_order_of_ends() {
    for going in GOINGS {
        for with_reason in [false, true] {
            for producer_first in [false, true] {
                for items in 0..=4 {
                    let drops = Drops::new();
                    let (producer, consumer) = with_items(&drops, items);
                    let leave = |consumer: Consumer<_>| {
                        if with_reason {
                            consumer.cancel("enough");
                        } else {
                            drop(consumer);
                        }
                        drops.assert_each_dropped_once();
                    };
                    let finish = if producer_first {
                        let finish = going.go(producer);
                        leave(consumer);
                        finish
                    } else {
                        leave(consumer);
                        assert_eq!(producer.len(), 0);
                        going.go(producer)
                    };
                    drops.assert_each_dropped_once();
                    if let Some(finish) = finish {
                        if items == 0 && producer_first {
                            assert_eq!(finish.try_wait(), Ok(true));
                        } else {
                            let error = finish.try_wait().unwrap_err();
                            let reason = error.reason().map(ToString::to_string);
                            assert_eq!(reason.as_deref(), with_reason.then_some("enough"));
                            assert_eq!(finish.wait(), Err(error), "the same for ever");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn once_the_consumer_has_gone_every_operation_of_the_producer_says_so() {
    deadline(|| {
        let short = Duration::from_millis(1);
        for with_reason in [false, true] {
            for full in [false, true] {
                let (mut producer, consumer) = highwater::channel(2);
                for i in 0..if full { 2 } else { 1 } {
                    producer.write(i).unwrap();
                }
                if with_reason {
                    consumer.cancel("enough");
                } else {
                    drop(consumer);
                }
                for _ in 0..2 {
                    assert!(producer.is_closed());
                    assert_eq!(producer.try_write(7), Err(TryWriteError::Closed(7)));
                    assert_eq!(producer.write(7), Err(WriteError(7)));
                    let timed = producer.write_timeout(7, short);
                    assert_eq!(timed, Err(WriteTimeoutError::Closed(7)));
                    let error = producer.wait_drain().unwrap_err();
                    let timed = producer.wait_drain_timeout(short);
                    assert_eq!(timed, Err(WaitTimeoutError::Closed(error.clone())));
                    assert_eq!(error.reason().is_some(), with_reason);
                    assert_eq!(error.reason(), producer.cancel_reason().as_ref());
                    assert!(!producer.need_drain());
                    assert!(producer.is_empty());
                }
            }
        }
    });
}

#[test]
fn before_the_consumer_goes_there_is_no_reason_and_nothing_closed() {
    let (producer, _consumer) = highwater::channel::<u8>(1);
    assert!(!producer.is_closed());
    assert!(producer.cancel_reason().is_none());
}

#[test]
fn a_reason_can_be_downcast_on_either_side() {
    #[derive(Debug, PartialEq)]
    struct Code(u32);
    impl std::fmt::Display for Code {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "code {}", self.0)
        }
    }
    impl std::error::Error for Code {}

    let (producer, mut consumer) = highwater::channel::<u8>(1);
    producer.abort(Code(7));
    let mut reasons = Vec::new();
    for _ in 0..2 {
        let Err(ReadError::Aborted(reason)) = consumer.read() else {
            panic!("not aborted");
        };
        assert_eq!(reason.get_ref().downcast_ref(), Some(&Code(7)));
        reasons.push(reason);
    }
    assert_eq!(reasons[0], reasons[1], "the very same");

    let (mut producer, consumer) = highwater::channel::<u8>(1);
    consumer.cancel(Code(8));
    let error = producer.wait_drain().unwrap_err();
    let reason = error.reason().unwrap();
    assert_eq!(reason.get_ref().downcast_ref(), Some(&Code(8)));
    assert_eq!(producer.cancel_reason().as_ref(), Some(reason));
}

#[test]
fn a_sleeping_consumer_is_woken_however_the_producer_goes() {
    for going in GOINGS {
        deadline(move || {
            let (producer, mut consumer) = highwater::channel::<u8>(4);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || consumer.read());
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            going.go(producer);
            going.assert_is(reader.join().unwrap().unwrap_err());
        });
    }
}

#[test]
fn a_sleeping_producer_is_woken_however_the_consumer_goes() {
    for way in 0..3 {
        deadline(move || {
            let (mut producer, mut consumer) = highwater::channel(1);
            let monitor = producer.monitor();
            producer.write(1).unwrap();
            let writer = thread::spawn(move || (producer.write(2), producer.wait_drain()));
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            match way {
                0 => drop(consumer),
                1 => consumer.cancel("enough"),
                _ => {
                    consumer.close();
                    assert_eq!(consumer.read(), Ok(1));
                    assert_eq!(consumer.read(), Err(ReadError::Ended));
                }
            }
            let (written, waited) = writer.join().unwrap();
            assert_eq!(written, Err(WriteError(2)));
            assert_eq!(waited.unwrap_err().reason().is_some(), way == 1);
        });
    }
}

#[test]
fn a_sleeping_wait_for_drain_is_woken_by_a_cancel_with_its_reason_and_is_no_drain() {
    deadline(|| {
        let (mut producer, consumer) = highwater::channel(2);
        let monitor = producer.monitor();
        producer.write(1).unwrap();
        producer.write(2).unwrap();
        let waiter = thread::spawn(move || producer.wait_drain());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        consumer.cancel("enough");
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.reason().unwrap().to_string(), "enough");
        assert_eq!(monitor.stats().drains, 0);
    });
}

#[test]
fn after_an_end_no_drain_happens_only_the_finish() {
    let (mut producer, mut consumer) = highwater::channel(2);
    let monitor = producer.monitor();
    producer.write(1).unwrap();
    producer.write(2).unwrap();
    let finish = producer.end();
    assert_eq!(finish.try_wait(), Ok(false));
    assert_eq!(consumer.read(), Ok(1));
    assert_eq!(finish.try_wait(), Ok(false));
    assert_eq!(consumer.read(), Ok(2));
    assert_eq!(finish.try_wait(), Ok(true));
    assert_eq!(monitor.stats().times_told_to_stop, 1);
    assert_eq!(monitor.stats().drains, 0);
}

#[test]
fn a_sleeping_finish_is_woken_by_the_last_item_and_not_before() {
    deadline(|| {
        for first in [0, usize::MAX - 2] {
            let (mut producer, mut consumer) = Builder::new()
                .high_water_mark(8)
                .first_index(first)
                .build()
                .unwrap();
            let monitor = producer.monitor();
            for i in 0..6 {
                producer.write(i).unwrap();
            }
            let finish = producer.end();
            let waiter = thread::spawn(move || finish.wait());
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            for i in 0..6 {
                assert_eq!(monitor.stats().producer_wake_ups, 0, "before {i}");
                assert_eq!(consumer.read(), Ok(i));
            }
            assert_eq!(waiter.join().unwrap(), Ok(()));
        }
    });
}

#[test]
fn a_sleeping_finish_is_woken_with_an_error_by_a_consumer_that_goes_early() {
    deadline(|| {
        for with_reason in [false, true] {
            let (mut producer, mut consumer) = highwater::channel(4);
            let monitor = producer.monitor();
            producer.write(1).unwrap();
            producer.write(2).unwrap();
            let finish = producer.end();
            let waiter = thread::spawn(move || finish.wait());
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            assert_eq!(consumer.read(), Ok(1));
            if with_reason {
                consumer.cancel("enough");
            } else {
                drop(consumer);
            }
            let error = waiter.join().unwrap().unwrap_err();
            let reason = error.reason().map(ToString::to_string);
            assert_eq!(reason.as_deref(), with_reason.then_some("enough"));
        }
    });
}

#[test]
fn a_stream_that_was_consumed_finishes_by_its_end_and_not_if_the_consumer_went_before_that() {
    for with_reason in [false, true] {
        for end_first in [false, true] {
            let (mut producer, mut consumer) = highwater::channel(4);
            let monitor = producer.monitor();
            producer.write(1).unwrap();
            assert_eq!(consumer.read(), Ok(1));
            let leave = |consumer: Consumer<_>| {
                if with_reason {
                    consumer.cancel("enough");
                }
            };
            if end_first {
                let finish = producer.end();
                leave(consumer);
                assert_eq!(finish.try_wait(), Ok(true));
                assert_eq!(finish.wait(), Ok(()));
                assert_eq!(monitor.state(), State::Finished);
            } else {
                // Rule 6: after a cancel there is no finish. It may have died of the last item.
                leave(consumer);
                let finish = producer.end();
                let error = finish.try_wait().unwrap_err();
                let reason = error.reason().map(ToString::to_string);
                assert_eq!(reason.as_deref(), with_reason.then_some("enough"));
                assert_eq!(finish.wait(), Err(error));
                assert_eq!(monitor.state(), State::Cancelled);
            }
        }
    }
}

#[test]
fn a_closed_stream_that_was_consumed_finishes_though_the_consumer_went_before_the_end() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(1).unwrap();
    consumer.close();
    assert_eq!(consumer.read(), Ok(1));
    drop(consumer);
    assert_eq!(producer.end().wait(), Ok(()));
}

#[test]
fn a_finish_that_nobody_keeps_changes_nothing() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(1).unwrap();
    drop(producer.end());
    assert_eq!(consumer.read(), Ok(1));
    assert_eq!(consumer.read(), Err(ReadError::Ended));
}

#[test]
fn after_a_close_the_rest_is_read_and_then_the_end_comes_however_the_producer_goes() {
    for going in GOINGS {
        for told in [false, true] {
            let (mut producer, mut consumer) = highwater::channel(4);
            producer.write(1).unwrap();
            producer.write(2).unwrap();
            consumer.close();
            consumer.close(); // once more changes nothing
            assert!(!consumer.is_ended());
            assert_eq!(consumer.read(), Ok(1));
            if told {
                assert_eq!(producer.try_write(3), Err(TryWriteError::Closed(3)));
                assert!(producer.cancel_reason().is_none());
                assert!(producer.wait_drain().unwrap_err().reason().is_none());
            }
            let finish = going.go(producer);
            // An end that knows of the close has nothing more to say: `Ended` may have been read.
            if going == Going::Abort && !told {
                going.assert_is(consumer.read().unwrap_err());
                continue;
            }
            assert_eq!(consumer.read(), Ok(2));
            assert_eq!(consumer.read(), Err(ReadError::Ended), "{going:?}, {told}");
            assert!(consumer.is_ended());
            assert!(finish.map_or(true, |finish| finish.try_wait() == Ok(true)));
        }
    }
}

#[test]
fn an_end_that_was_read_after_a_close_stays_the_end_whatever_the_producer_does() {
    for going in GOINGS {
        let (mut producer, mut consumer) = highwater::channel(4);
        let monitor = producer.monitor();
        producer.write(1).unwrap();
        consumer.close();
        assert_eq!(monitor.state(), State::Closed);
        assert!(producer.is_closed());
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(consumer.read(), Err(ReadError::Ended));
        assert_eq!(monitor.state(), State::Finished);
        going.go(producer);
        assert_eq!(consumer.read(), Err(ReadError::Ended), "{going:?}");
        assert!(consumer.is_ended());
        drop(consumer);
        assert_eq!(monitor.state(), State::Finished, "{going:?}");
    }
}

#[test]
fn a_cancel_stays_one_whatever_the_producer_does() {
    for going in GOINGS {
        for told in [false, true] {
            let (mut producer, consumer) = highwater::channel::<u8>(4);
            let monitor = producer.monitor();
            consumer.cancel("enough");
            if told {
                assert!(producer.try_write(1).is_err());
            }
            assert_eq!(monitor.state(), State::Cancelled);
            going.go(producer);
            assert_eq!(monitor.state(), State::Cancelled, "{going:?}, {told}");
        }
    }
}

#[test]
fn a_close_that_comes_after_the_producer_went_does_not_gloss_over_how() {
    for going in GOINGS {
        let (mut producer, mut consumer) = highwater::channel(4);
        producer.write(1).unwrap();
        going.go(producer);
        consumer.close();
        if going != Going::Abort {
            assert_eq!(consumer.read(), Ok(1));
        }
        going.assert_is(consumer.read().unwrap_err());
    }
}

#[test]
fn a_consumer_that_sleeps_after_its_close_is_woken_when_the_producer_notices() {
    for way in 0..4 {
        deadline(move || {
            let (mut producer, mut consumer) = highwater::channel(4);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || {
                consumer.close();
                consumer.read()
            });
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            match way {
                0 => assert_eq!(producer.try_write(1), Err(TryWriteError::Closed(1))),
                1 => assert!(producer.is_closed()),
                2 => assert!(producer.wait_drain().is_err()),
                _ => drop(producer),
            }
            assert_eq!(reader.join().unwrap(), Err(ReadError::Ended));
        });
    }
}

#[test]
fn a_write_under_way_at_a_close_is_read_or_refused_and_never_lost() {
    deadline(|| {
        let rounds = if cfg!(miri) { 10 } else { 2_000 };
        for round in 0..rounds {
            let (mut producer, mut consumer) = highwater::channel(4);
            let writer = thread::spawn(move || {
                let mut accepted = 0;
                loop {
                    match producer.try_write(accepted) {
                        Ok(_) => accepted += 1,
                        Err(TryWriteError::WouldBlock(_)) => thread::yield_now(),
                        Err(TryWriteError::Closed(_)) => return accepted,
                    }
                }
            });
            for i in 0..round % 7 {
                assert_eq!(consumer.read(), Ok(i));
            }
            consumer.close();
            let read = round % 7 + consumer.iter().map(Result::unwrap).count();
            assert_eq!(read, writer.join().unwrap(), "round {round}");
        }
    });
}

#[test]
fn what_was_written_just_before_an_end_is_never_missed() {
    deadline(|| {
        let rounds = if cfg!(miri) { 10 } else { 20_000 };
        let going = |round: usize| [Going::End, Going::Drop][round % 2];
        let (producers, consumers): (Vec<_>, Vec<_>) =
            (0..rounds).map(|_| highwater::channel(1)).unzip();
        // The round that the reader polls in: the writer writes and goes in the midst of it.
        let polling = Arc::new(AtomicUsize::new(0));
        let polled = polling.clone();
        let writer = thread::spawn(move || {
            for (round, mut producer) in producers.into_iter().enumerate() {
                while polled.load(Ordering::Acquire) <= round {
                    thread::yield_now();
                }
                for _ in 0..round % 64 {
                    std::hint::spin_loop();
                }
                let _ = producer.try_write(round).unwrap();
                going(round).go(producer);
            }
        });
        for (round, mut consumer) in consumers.into_iter().enumerate() {
            polling.store(round + 1, Ordering::Release);
            let mut polls = 0;
            let first = loop {
                match consumer.try_read() {
                    // Alone on a processor, the writer would never get to write.
                    Err(TryReadError::Empty) if polls > 1000 => thread::yield_now(),
                    Err(TryReadError::Empty) => polls += 1,
                    other => break other,
                }
            };
            assert_eq!(first, Ok(round), "the item comes before the end");
            going(round).assert_is(consumer.read().unwrap_err());
        }
        writer.join().unwrap();
    });
}

#[test]
fn iterators_stop_at_a_clean_end_and_give_any_other_as_a_last_error() {
    for going in GOINGS {
        for by_value in [false, true] {
            let (mut producer, mut consumer) = highwater::channel(4);
            if going != Going::Abort {
                producer.write(1).unwrap();
                producer.write(2).unwrap();
            }
            going.go(producer);
            let check = |items: &mut dyn Iterator<Item = Result<i32, ReadError>>| {
                if going != Going::Abort {
                    assert_eq!(items.next(), Some(Ok(1)));
                    assert_eq!(items.next(), Some(Ok(2)));
                }
                if going != Going::End {
                    going.assert_is(items.next().unwrap().unwrap_err());
                }
                for _ in 0..3 {
                    assert_eq!(items.next(), None);
                }
            };
            if by_value {
                check(&mut consumer.into_iter());
            } else {
                check(&mut consumer.iter());
                going.assert_is(consumer.read().unwrap_err());
            }
        }
    }
}

#[test]
fn an_iterator_that_is_left_early_leaves_the_rest() {
    let (mut producer, mut consumer) = highwater::channel(8);
    for i in 0..6 {
        producer.write(i).unwrap();
    }
    assert_eq!(consumer.iter().next(), Some(Ok(0)));
    for item in &mut consumer {
        if item == Ok(2) {
            break;
        }
    }
    assert_eq!(consumer.try_iter().next(), Some(3));
    assert_eq!(consumer.len(), 2);
    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [4, 5]);
    assert_eq!(consumer.try_iter().next(), None);
    producer.write(6).unwrap();
    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [6], "it goes on");
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    let drops = Drops::new();
    let (_producer, consumer) = with_items(&drops, 3);
    drop(consumer.into_iter().next());
    drops.assert_each_dropped_once();
}

#[test]
fn a_peek_takes_nothing_waits_for_nothing_and_sees_what_comes() {
    let (mut producer, mut consumer) = highwater::channel(2);
    assert_eq!(consumer.peek(), None);
    producer.write(1).unwrap();
    producer.write(2).unwrap();
    for _ in 0..3 {
        assert_eq!(consumer.peek(), Some(&1));
    }
    assert_eq!((consumer.len(), producer.len()), (2, 2));
    assert!(producer.need_drain(), "it still counts");
    assert_eq!(consumer.try_read(), Ok(1));
    producer.end();
    assert_eq!(consumer.peek(), Some(&2));
    assert!(!consumer.is_ended());
    assert_eq!(consumer.try_read(), Ok(2));
    assert_eq!(consumer.peek(), None);
    assert!(consumer.is_ended());
}

#[test]
fn an_abort_drops_what_is_buffered_in_the_readers_next_operation_or_as_it_goes() {
    for way in 0..5 {
        let drops = Drops::new();
        let (producer, mut consumer) = with_items(&drops, 3);
        assert!(consumer.peek().is_some());
        producer.abort("no disk");
        match way {
            0 => assert!(consumer.try_read().is_err()),
            1 => assert!(consumer.read().is_err()),
            2 => assert!(consumer.peek().is_none()),
            3 => assert!(consumer.try_iter().next().is_none()),
            _ => drop(consumer),
        }
        drops.assert_each_dropped_once();
    }
}

#[test]
fn an_abort_after_the_consumer_went_is_heard_by_nobody_and_harms_nobody() {
    let drops = Drops::new();
    let (mut producer, consumer) = with_items(&drops, 2);
    let monitor = producer.monitor();
    drop(consumer);
    assert!(producer.try_write(drops.item()).is_err());
    producer.abort("no disk");
    drops.assert_each_dropped_once();
    assert_eq!(monitor.len(), 0);
}

#[test]
fn is_ended_is_about_the_clean_end_alone() {
    for going in GOINGS {
        let (mut producer, mut consumer) = highwater::channel(4);
        assert!(!consumer.is_ended());
        producer.write(1).unwrap();
        going.go(producer);
        assert!(!consumer.is_ended(), "one is left, or it is no clean end");
        let _ = consumer.try_read();
        assert_eq!(consumer.is_ended(), going == Going::End);
    }
}

// ---- Forgotten ends ---------------------------------------------------------------------------

#[test]
fn a_producer_that_is_forgotten_is_to_the_consumer_one_that_does_nothing() {
    deadline(|| {
        let drops = Drops::new();
        for unread in [0, 2] {
            let (producer, mut consumer) = with_items(&drops, 4);
            mem::forget(producer);
            for _ in unread..4 {
                assert!(consumer.read().is_ok());
            }
            if unread == 0 {
                assert!(matches!(consumer.try_read(), Err(TryReadError::Empty)));
                let nothing = consumer.read_timeout(SHORT);
                assert!(matches!(nothing, Err(ReadTimeoutError::Timeout)));
            }
            assert!(!consumer.is_ended());
            assert_eq!(consumer.monitor().state(), State::Open);
            assert_eq!((consumer.len(), drops.alive()), (unread, unread));
            drop(consumer);
            drops.assert_each_dropped_once();
        }
    });
}

#[test]
fn a_consumer_that_is_forgotten_is_to_the_producer_one_that_does_nothing() {
    deadline(|| {
        let drops = Drops::new();
        let (mut producer, consumer) = with_items(&drops, 2);
        mem::forget(consumer);
        for _ in 2..4 {
            assert!(producer.try_write(drops.item()).is_ok());
        }
        match producer.try_write(drops.item()) {
            Err(TryWriteError::WouldBlock(item)) => assert_eq!(item.id, 4),
            other => panic!("{other:?}"),
        }
        match producer.write_timeout(drops.item(), SHORT) {
            Err(WriteTimeoutError::Timeout(item)) => assert_eq!(item.id, 5),
            other => panic!("{other:?}"),
        }
        let waited = producer.wait_drain_timeout(SHORT);
        assert!(matches!(waited, Err(WaitTimeoutError::Timeout)));
        assert!(producer.need_drain() && !producer.is_closed());
        assert_eq!(producer.monitor().state(), State::Open);
        let mut finish = producer.end();
        let waited = finish.wait_timeout(SHORT);
        assert!(matches!(waited, Err(WaitTimeoutError::Timeout)));
        drop(finish);
        // What only the forgotten end would drop has leaked with it.
        assert_eq!(drops.alive(), 4);
        drops.assert_none_dropped_twice();
    });
}
