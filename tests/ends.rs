//! However an end goes, the other learns how, and every item is dropped once.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Drops};
use highwater::{
    Builder, Flow, ReadError, ReadTimeoutError, State, TryReadError, TryWriteError,
    WaitTimeoutError, WriteTimeoutError,
};
use std::{
    io,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::mpsc,
    thread,
    time::Duration,
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
        .high_water_mark(1 << 40)
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
