//! One end through different doors, by turns: what a review found that could be missed in the change.
#![cfg(all(feature = "async", feature = "eventfd", target_os = "linux"))]
#![allow(clippy::incompatible_msrv)]

#[path = "common/process.rs"]
mod process;
#[path = "common/random.rs"]
mod random;

mod common;

use common::{deadline, eventually};
use highwater::*;
use proptest::prelude::*;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

fn readable(fd: &EventFd) -> bool {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&zero)).unwrap() == 1
}
#[derive(Default)]
struct Bell(AtomicUsize);
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
fn bell() -> (Arc<Bell>, Waker) {
    let b = Arc::<Bell>::default();
    (b.clone(), b.into())
}
fn poll1<F: Future + Unpin>(f: &mut F, w: &Waker) -> Poll<F::Output> {
    Pin::new(f).poll(&mut Context::from_waker(w))
}

type WeighBy = fn(&usize) -> usize;

/// Items that weigh what they are.
fn by_weight(
    high: usize,
    low: usize,
    limit: usize,
) -> (Producer<usize, WeighBy>, Consumer<usize, WeighBy>) {
    Builder::new()
        .weigh_by((|weight: &usize| *weight) as WeighBy)
        .high_water_mark(high)
        .low_water_mark(low)
        .limit(limit)
        .build()
        .unwrap()
}

#[test]
fn a_write_in_a_task_that_is_told_to_stop_leaves_the_listener_armed() {
    let (mut producer, mut consumer) = channel(1);
    let fd = producer.drain_fd().unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let c = calls.clone();
    producer.on_drain(move || {
        c.fetch_add(1, Ordering::SeqCst);
    });
    let _ = producer.try_write(1).unwrap();
    assert!(!readable(&fd));
    let (_b, w) = bell();
    let mut write = producer.write_async(2);
    assert!(poll1(&mut write, &w).is_pending());
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(poll1(&mut write, &w), Poll::Ready(Ok(())));
    drop(write);
    let before = readable(&fd);
    assert_eq!(consumer.try_read(), Ok(2)); // drain
    assert!(before || readable(&fd), "neither readable nor armed");
}

#[test]
fn a_read_that_gave_way_and_is_dropped_leaves_the_listener_armed() {
    let (mut producer, mut consumer) = channel(1);
    let fd = consumer.ready_fd().unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let c = calls.clone();
    consumer.on_ready(move || {
        c.fetch_add(1, Ordering::SeqCst);
    });
    let (_b, w) = bell();
    for i in 0..128 {
        let _ = producer.try_write(i).unwrap();
        assert_eq!(poll1(&mut consumer.read_async(), &w), Poll::Ready(Ok(i)));
    }
    assert!(consumer.try_read().is_err()); // armed
    assert!(!readable(&fd));
    let n = calls.load(Ordering::SeqCst);
    let polled = poll1(&mut consumer.read_async(), &w); // gives way, is dropped
    assert!(polled.is_pending());
    let _ = producer.try_write(1).unwrap();
    assert!(
        readable(&fd),
        "an item is there, and the descriptor does not say so"
    );
    assert!(calls.load(Ordering::SeqCst) > n);
}

#[test]
fn a_low_mark_that_is_raised_to_the_length_makes_the_descriptor_readable_weighted() {
    let (mut producer, _consumer) = by_weight(10, 5, 20);
    let fd = producer.drain_fd().unwrap();
    let _ = producer.try_write(5).unwrap();
    assert_eq!(producer.try_write(5), Ok(Flow::Backpressure));
    assert!(!readable(&fd));
    producer.set_low_water_mark(10).unwrap();
    let r = readable(&fd);
    assert!(!producer.need_drain());
    assert!(r, "drained, and nobody was told");
}

#[test]
fn a_refusal_that_is_forgotten_makes_the_descriptor_readable_where_items_weigh() {
    let (mut producer, _consumer) = by_weight(12, 11, 20);
    let fd = producer.drain_fd().unwrap();
    let _ = producer.try_write(5).unwrap();
    let _ = producer.try_write(5).unwrap();
    assert!(producer.try_write(15).is_err());
    assert!(!readable(&fd));
    assert_eq!(producer.try_write(1), Ok(Flow::Ready));
    let r = readable(&fd);
    assert!(!producer.need_drain());
    assert!(r, "drained, and nobody was told");
}

#[test]
fn a_reserve_that_gives_up_leaves_the_descriptor_readable() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(4)
        .low_water_mark(2)
        .capacity(4)
        .build::<u8>()
        .unwrap();
    let fd = producer.drain_fd().unwrap();
    producer.write_all(&[1, 2, 3]).unwrap();
    assert!(consumer.try_read().is_ok()); // 2 there, 2 free
    let e = producer.reserve_timeout(2, Duration::ZERO); // fits
    assert!(e.is_ok());
    drop(e);
    producer.set_low_water_mark(1).unwrap(); // max_reserve 3
    let e = producer.reserve_timeout(3, Duration::ZERO);
    assert!(matches!(e, Err(ReserveError::Timeout)), "{e:?}");
    drop(e);
    let r = readable(&fd);
    assert!(!producer.need_drain());
    assert!(r, "may write, and the descriptor does not say so");
}

#[test]
fn a_write_that_gives_up_leaves_the_descriptor_readable() {
    let (mut producer, _consumer) = Builder::new()
        .weigh_by(|w: &usize| *w)
        .high_water_mark(10)
        .limit(10)
        .build::<usize>()
        .unwrap();
    let fd = producer.drain_fd().unwrap();
    let _ = producer.try_write(6).unwrap();
    assert!(producer.write_timeout(7, Duration::ZERO).is_err());
    let r = readable(&fd);
    assert!(!producer.need_drain());
    assert!(r, "may write, and the descriptor does not say so");
}

#[test]
fn a_batch_that_makes_a_drain_come_earlier_makes_the_descriptor_readable() {
    let (mut producer, _consumer) = by_weight(12, 11, 20);
    let fd = producer.drain_fd().unwrap();
    let _ = producer.try_write(5).unwrap();
    let _ = producer.try_write(4).unwrap();
    assert!(producer.try_write(15).is_err());
    assert!(!readable(&fd));
    let mut b = producer.batch();
    assert_eq!(b.try_write(1), Ok(Flow::Ready));
    assert_eq!(b.try_write(1), Ok(Flow::Ready));
    drop(b);
    let r = readable(&fd);
    assert!(!producer.need_drain());
    assert!(r, "drained, and nobody was told");
}

#[test]
fn marks_that_change_publish_a_forgotten_batch() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(4)
        .low_water_mark(0)
        .build::<u8>()
        .unwrap();
    let fd = producer.drain_fd().unwrap();
    let mut b = producer.batch();
    for i in 0..4 {
        let _ = b.try_write(i).unwrap();
    }
    std::mem::forget(b);
    assert!(readable(&fd));
    producer.set_low_water_mark(1).unwrap();
    // the "next operation" of the producer
    let n = consumer.try_iter().count();
    assert!(
        readable(&fd) || n > 0,
        "neither: the consumer sees nothing, the descriptor never gets readable"
    );
    assert_eq!(n, 4);
}

#[test]
fn to_wait_for_the_close_publishes_a_forgotten_batch() {
    let (mut producer, mut consumer) = channel(4);
    let mut b = producer.batch();
    let _ = b.try_write(1).unwrap();
    std::mem::forget(b);
    let (_b, w) = bell();
    assert!(poll1(&mut producer.closed(), &w).is_pending());
    assert_eq!(consumer.try_read(), Ok(1));
}

#[test]
fn a_closed_channel_keeps_no_loop_busy() {
    let (mut producer, mut consumer) = channel(1);
    let fd = producer.drain_fd().unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let c = calls.clone();
    producer.on_drain(move || {
        c.fetch_add(1, Ordering::SeqCst);
    });
    let _ = producer.try_write(1).unwrap();
    consumer.close();
    let mut rounds = 0;
    while producer.need_drain() && rounds < 1000 {
        assert!(readable(&fd));
        rounds += 1;
    }
    assert!(rounds < 10, "busy loop");
}

#[test]
fn what_a_waker_throws_may_panic_as_it_is_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("payload");
        }
    }
    let (mut producer, mut consumer) = channel(1);
    producer.on_drain(|| std::panic::panic_any(Bomb));
    let _ = producer.try_write(1).unwrap();
    let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| consumer.try_read()));
    assert!(matches!(r, Ok(Ok(1))), "item lost");
}

/// A Waker that panics as it is dropped.
struct Touchy;
impl Wake for Touchy {
    fn wake(self: Arc<Self>) {}
}
impl Drop for Touchy {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("touchy")
        }
    }
}

#[test]
fn a_waker_whose_drop_panics_holds_up_no_producer_that_goes() {
    let (producer, mut consumer) = channel::<u8>(1);
    let producer = Mutex::new(producer);
    {
        let mut p = producer.lock().unwrap();
        let _ = p.try_write(1).unwrap();
        let w = Waker::from(Arc::new(Touchy));
        let r =
            futures_util::Sink::<u8>::poll_ready(Pin::new(&mut *p), &mut Context::from_waker(&w));
        assert!(r.is_pending());
    }
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(producer)));
    assert_eq!(consumer.try_read(), Ok(1));
    assert!(
        matches!(
            consumer.read_timeout(Duration::from_millis(100)),
            Err(ReadTimeoutError::Abandoned)
        ),
        "the consumer never hears that the producer is gone"
    );
}

#[test]
fn a_waker_whose_drop_panics_holds_up_no_consumer_that_goes() {
    let (mut producer, mut consumer) = channel::<u8>(1);
    {
        use futures_lite::StreamExt;
        let w = Waker::from(Arc::new(Touchy));
        assert!(consumer
            .poll_next(&mut Context::from_waker(&w))
            .is_pending());
    }
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(consumer)));
    assert!(
        producer.is_closed(),
        "the producer never hears that the consumer is gone"
    );
    let _ = producer.try_write(1);
}

#[test]
fn a_commit_of_nothing_that_says_stop_arms_the_descriptor() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(1)
        .low_water_mark(0)
        .capacity(2)
        .build::<u8>()
        .unwrap();
    let fd = producer.drain_fd().unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let c = calls.clone();
    producer.on_drain(move || {
        c.fetch_add(1, Ordering::SeqCst);
    });
    let _ = producer.try_write(1).unwrap();
    assert!(producer
        .wait_drain_timeout(Duration::from_millis(5))
        .is_err()); // disarmed
    assert!(readable(&fd));
    let before = calls.load(Ordering::SeqCst);
    assert!(producer.try_reserve(1).unwrap().commit().is_backpressure());
    let r = readable(&fd);
    assert!(consumer.try_read().is_ok());
    assert!(!r, "readable though told to stop: a busy loop");
    assert_eq!(calls.load(Ordering::SeqCst), before + 1);
}

#[test]
fn a_callback_that_takes_the_place_of_a_task_wakes_it() {
    use futures_lite::StreamExt;
    let (mut producer, mut consumer) = channel(1);
    let (b, w) = bell();
    assert!(consumer
        .poll_next(&mut Context::from_waker(&w))
        .is_pending());
    consumer.clear_on_ready();
    let _ = producer.try_write(1).unwrap();
    assert!(b.0.load(Ordering::SeqCst) > 0, "task not woken");
}

/// A callback that counts its calls.
fn counter() -> (Arc<AtomicUsize>, impl Fn() + Send + Sync) {
    let calls = Arc::<AtomicUsize>::default();
    let counted = calls.clone();
    (calls, move || {
        counted.fetch_add(1, Ordering::SeqCst);
    })
}

#[test]
fn a_callback_hears_of_each_drain_also_of_one_that_comes_with_the_write() {
    // The write that reaches the mark finds it drained, as both marks are one.
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(1)
        .low_water_mark(1)
        .capacity(2)
        .build()
        .unwrap();
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(calls.load(Ordering::SeqCst), 2, "armed, and called");
    assert_eq!(consumer.try_read(), Ok(2));
    assert_eq!(producer.try_write(3), Ok(Flow::Backpressure));
    assert_eq!(
        calls.load(Ordering::SeqCst),
        3,
        "the call before was for another stop"
    );
}

#[test]
fn a_batch_that_was_forgotten_as_it_said_stop_calls_back_whoever_publishes_it() {
    type Publish = fn(&mut ByteProducer);
    let publish: [(&str, Publish); 8] = [
        ("batch", |end| drop(end.get_mut().batch())),
        ("flush", |end| std::io::Write::flush(end).unwrap()),
        ("need_drain", |end| assert!(end.get_mut().need_drain())),
        ("closed", |end| {
            assert!(poll1(&mut end.get_mut().closed(), &bell().1).is_pending());
        }),
        ("poll_flush", |end| {
            let flush = futures_util::SinkExt::flush(end.get_mut());
            futures_lite::future::block_on(flush).unwrap();
        }),
        ("try_reserve", |end| drop(end.get_mut().try_reserve(1))),
        ("write_timeout", |end| {
            assert!(end.get_mut().write_timeout(3, Duration::ZERO).is_err());
        }),
        ("write_slice_timeout", |end| {
            let written = end.get_mut().write_slice_timeout(&[3], Duration::ZERO);
            assert!(written.is_err());
        }),
    ];
    for (how, publish) in publish {
        let (producer, mut consumer) = Builder::new()
            .high_water_mark(2)
            .low_water_mark(0)
            .capacity(4)
            .build::<u8>()
            .unwrap();
        let mut producer = ByteProducer::from(producer);
        let (calls, on_drain) = counter();
        producer.get_mut().on_drain(on_drain);
        let mut batch = producer.get_mut().batch();
        assert_eq!(batch.try_write(1), Ok(Flow::Ready));
        assert_eq!(batch.try_write(2), Ok(Flow::Backpressure));
        std::mem::forget(batch);
        publish(&mut producer);
        assert_eq!(consumer.try_iter().count(), 2, "{how}");
        assert!(calls.load(Ordering::SeqCst) > 0, "{how}");
    }
}

#[test]
fn a_callback_hears_of_a_drain_that_the_batch_which_was_told_to_stop_finds_itself() {
    for forgotten in [false, true] {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(4)
            .low_water_mark(2)
            .capacity(8)
            .build()
            .unwrap();
        let (calls, on_drain) = counter();
        producer.on_drain(on_drain);
        for i in 0..3 {
            assert_eq!(producer.try_write(i), Ok(Flow::Ready));
        }
        let mut batch = producer.batch();
        assert_eq!(batch.try_write(3), Ok(Flow::Backpressure));
        assert_eq!(consumer.try_iter().count(), 3);
        if forgotten {
            std::mem::forget(batch);
            assert_eq!(producer.try_write(4), Ok(Flow::Ready));
        } else {
            assert_eq!(batch.try_write(4), Ok(Flow::Ready));
            drop(batch);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1, "forgotten: {forgotten}");
        assert_eq!(producer.monitor().stats().drains, 1);
    }
}

#[test]
fn a_wait_in_a_batch_that_gives_up_calls_the_callback_of_an_earlier_stop() {
    deadline(|| {
        for forgotten in [false, true] {
            let (mut producer, mut consumer) = by_weight(10, 8, 10);
            let monitor = producer.monitor();
            let (calls, on_drain) = counter();
            producer.on_drain(on_drain);
            let mut batch = producer.batch();
            assert_eq!(batch.try_write(2), Ok(Flow::Ready));
            assert_eq!(batch.try_write(8), Ok(Flow::Backpressure));
            // The drain comes while it waits; what it has is too heavy even so.
            let reader = thread::spawn(move || {
                eventually("it is published", || monitor.stats().items_written == 2);
                assert_eq!(consumer.try_read(), Ok(2));
                consumer
            });
            let moment = Duration::from_millis(200);
            let written = if forgotten {
                std::mem::forget(batch);
                producer.write_timeout(5, moment)
            } else {
                batch.write_timeout(5, moment)
            };
            assert_eq!(written, Err(WriteTimeoutError::Timeout(5)));
            assert!(calls.load(Ordering::SeqCst) > 0, "forgotten: {forgotten}");
            drop(reader.join().unwrap());
        }
    });
}

#[test]
fn a_wait_in_a_batch_that_gives_up_calls_nobody_if_nobody_had_asked() {
    let (mut producer, _consumer) = by_weight(8, 2, 10);
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    assert_eq!(producer.try_write(5), Ok(Flow::Ready));
    for _ in 0..3 {
        let mut batch = producer.batch();
        let written = batch.write_timeout(6, Duration::from_millis(1));
        assert_eq!(written, Err(WriteTimeoutError::Timeout(6)));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn writes_in_a_batch_that_wait_call_nobody() {
    deadline(|| {
        let (mut producer, consumer) = channel(2);
        let (calls, on_drain) = counter();
        producer.on_drain(on_drain);
        let reader = thread::spawn(move || consumer.into_iter().count());
        let mut batch = producer.batch();
        for i in 0..2_000 {
            batch.write(i).unwrap();
        }
        assert_eq!(calls.load(Ordering::SeqCst), 0, "each heard itself");
        drop(batch);
        drop(producer);
        assert!(reader.join().unwrap() >= 2_000);
    });
}

#[test]
fn a_batch_that_is_told_what_is_known_makes_no_second_call_of_it() {
    let (mut producer, mut consumer) = channel(2);
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    assert_eq!(producer.try_write(1), Ok(Flow::Ready));
    assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
    // It is armed already, for the same.
    assert!(producer.batch().try_write(3).is_err());
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(producer.try_write(4), Ok(Flow::Ready));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_batch_that_was_told_to_stop_makes_no_call_behind_a_wait_that_saw_the_drain() {
    deadline(|| {
        let ways: [fn(&mut Producer<u8>); 2] = [
            |producer| producer.wait_drain().unwrap(),
            |producer| futures_lite::future::block_on(producer.ready()).unwrap(),
        ];
        for way in ways {
            let (mut producer, mut consumer) = Builder::new()
                .high_water_mark(3)
                .low_water_mark(1)
                .capacity(4)
                .build()
                .unwrap();
            let (calls, on_drain) = counter();
            producer.on_drain(on_drain);
            let mut batch = producer.batch();
            for i in 0..2 {
                assert_eq!(batch.try_write(i), Ok(Flow::Ready));
            }
            assert_eq!(batch.try_write(2), Ok(Flow::Backpressure));
            std::mem::forget(batch);
            let reader = thread::spawn(move || {
                (0..2).for_each(|i| assert_eq!(consumer.read(), Ok(i)));
                consumer
            });
            way(&mut producer);
            let (_bell, waker) = bell();
            assert!(poll1(&mut producer.closed(), &waker).is_pending());
            assert_eq!(calls.load(Ordering::SeqCst), 0, "it knows");
            drop(reader.join().unwrap());
        }
    });
}

#[test]
fn a_batch_that_was_told_to_stop_need_not_be_published_for_a_drain_of_what_was() {
    // Refused, and nothing held back; then the same by a question. And one held back, which is below the low mark.
    type Stop = fn(&mut Batch<'_, usize, WeighBy>);
    let stops: [Stop; 3] = [
        |batch| assert!(batch.try_write(7).is_err()),
        |batch| {
            assert!(batch.producer().need_drain() || batch.try_write(7).is_err());
            assert!(batch.need_drain());
        },
        |batch| assert_eq!(batch.try_write(4), Ok(Flow::Backpressure)),
    ];
    for (i, stop) in stops.into_iter().enumerate() {
        for forgotten in [false, true] {
            let (mut producer, mut consumer) = by_weight(10, 5, 10);
            let (calls, on_drain) = counter();
            producer.on_drain(on_drain);
            let fd = producer.drain_fd().unwrap();
            assert_eq!(producer.try_write(6), Ok(Flow::Ready));
            let mut batch = producer.batch();
            stop(&mut batch);
            assert!(!readable(&fd), "stop {i}: nothing to do");
            if forgotten {
                std::mem::forget(batch);
                assert_eq!(consumer.try_read(), Ok(6));
            } else {
                assert_eq!(consumer.try_read(), Ok(6));
                drop(batch);
            }
            assert_eq!(calls.load(Ordering::SeqCst), 1, "stop {i}, {forgotten}");
            assert!(readable(&fd));
            assert!(!producer.need_drain());
        }
    }
}

#[test]
fn a_slice_that_gives_up_calls_the_callback_of_a_batch_that_was_told_to_stop() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(2)
        .low_water_mark(2)
        .capacity(2)
        .build()
        .unwrap();
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(1), Ok(Flow::Ready));
    assert_eq!(batch.try_write(2), Ok(Flow::Backpressure));
    std::mem::forget(batch);
    assert!(producer.write_slice_timeout(&[3], Duration::ZERO).is_err());
    assert!(calls.load(Ordering::SeqCst) > 0);
    assert_eq!(consumer.try_iter().count(), 2);
}

#[test]
fn a_listener_changes_nothing_of_an_abort_behind_a_close() {
    for listens in [false, true] {
        for forgotten in [false, true] {
            let (mut producer, mut consumer) = channel(4);
            if listens {
                producer.on_drain(|| ());
            }
            let mut batch = producer.batch();
            assert_eq!(batch.try_write(1), Ok(Flow::Ready));
            consumer.close();
            if forgotten {
                std::mem::forget(batch);
                let _ = producer.need_drain();
            } else {
                drop(batch);
            }
            // It was not told of the close, and may yet say that what it wrote is not all.
            producer.abort("lost");
            let read = consumer.try_read();
            let is_aborted = matches!(read, Err(TryReadError::Aborted(_)));
            assert!(is_aborted, "listens: {listens}, {read:?}");
        }
    }
}

#[test]
fn a_batch_of_weights_that_is_told_to_stop_where_it_has_drained_already_calls_at_once() {
    let (mut producer, _consumer) = by_weight(1, 1, 4);
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(1), Ok(Flow::Backpressure));
    std::mem::forget(batch);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn behind_a_close_no_callback_is_called_again_and_again() {
    let ways: [fn(&mut Producer<u8>); 3] = [
        |producer| drop(producer.batch()),
        |producer| producer.write_iter(std::iter::empty()).unwrap(),
        |producer| producer.set_low_water_mark(1).unwrap(),
    ];
    for is_stopped in [false, true] {
        for way in ways {
            let (mut producer, mut consumer) = channel(2);
            let (calls, on_drain) = counter();
            producer.on_drain(on_drain);
            let stops = if is_stopped { 2 } else { 1 };
            for i in 0..stops {
                let _ = producer.try_write(i).unwrap();
            }
            consumer.close();
            assert_eq!(calls.load(Ordering::SeqCst), usize::from(is_stopped));
            (0..9).for_each(|_| way(&mut producer));
            assert!(calls.load(Ordering::SeqCst) <= 2 * usize::from(is_stopped));
        }
    }
}

#[test]
fn a_producer_that_is_refused_by_a_close_is_not_called_for_each_refusal() {
    let (mut producer, mut consumer) = channel(1);
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    assert_eq!(producer.try_write(0), Ok(Flow::Backpressure));
    consumer.close();
    assert_eq!(calls.load(Ordering::SeqCst), 1, "it waited");
    for i in 0..9 {
        assert_eq!(producer.try_write(i), Err(TryWriteError::Closed(i)));
        let mut batch = producer.batch();
        assert_eq!(batch.try_write(i), Err(TryWriteError::Closed(i)));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1, "it was told by the answer");
}

#[test]
fn a_callback_whose_drop_panics_is_replaced_by_one_that_hears() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped, on purpose");
        }
    }
    let (mut producer, mut consumer) = channel(1);
    let bomb = Bomb;
    producer.on_drain(move || {
        let _ = &bomb;
    });
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    let (calls, on_drain) = counter();
    producer.on_drain(on_drain);
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// What the producer does next, with a weight.
#[derive(Clone, Copy, Debug)]
enum Step {
    TryWrite,
    WriteInTime,
    Batch,
    NeedDrain,
    PollWrite,
    PollReady,
    Marks,
    WaitInTime,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize, usize)>> {
    let step = prop_oneof![
        4 => Just(Step::TryWrite),
        1 => Just(Step::WriteInTime),
        2 => Just(Step::Batch),
        1 => Just(Step::NeedDrain),
        1 => Just(Step::PollWrite),
        1 => Just(Step::PollReady),
        1 => Just(Step::Marks),
        1 => Just(Step::WaitInTime),
    ];
    proptest::collection::vec((step, 0_usize..14, 0_usize..4), 1..40)
}

proptest! {
    #![proptest_config(random::config())]

    #[test]
    fn whoever_is_told_to_stop_is_called_once_everything_was_read_whatever_came_before(
        capacity in 1_usize..5,
        limit in 1_usize..12,
        marks in (0_usize..12, 0_usize..12),
        fences in any::<bool>(),
        steps in steps(),
    ) {
        let legal = |marks: (usize, usize)| {
            let high = marks.0.min(limit);
            (high, marks.1.min(high))
        };
        let (high, low) = legal(marks);
        let (mut producer, mut consumer) = Builder::new()
            .weigh_by((|weight: &usize| *weight) as WeighBy)
            .high_water_mark(high)
            .low_water_mark(low)
            .limit(limit)
            .capacity(capacity)
            .full_fences(fences)
            .build()
            .unwrap();
        let (calls, on_drain) = counter();
        producer.on_drain(on_drain);
        let waker = bell().1;
        for (step, weight, reads) in steps {
            let before = calls.load(Ordering::SeqCst);
            let mut is_stopped = None;
            match step {
                Step::TryWrite => {
                    is_stopped = Some(producer.try_write(weight) != Ok(Flow::Ready));
                }
                Step::WriteInTime => drop(producer.write_timeout(weight, Duration::ZERO)),
                Step::Batch => {
                    let mut batch = producer.batch();
                    let mut stops = batch.try_write(weight) != Ok(Flow::Ready);
                    for _ in consumer.try_iter().take(reads) {}
                    stops |= batch.try_write(weight / 2) != Ok(Flow::Ready);
                    if weight % 2 == 0 {
                        let _ = batch.write_timeout(weight / 2, Duration::ZERO);
                        stops |= batch.try_write(weight / 3) != Ok(Flow::Ready);
                    }
                    if weight % 3 == 0 {
                        std::mem::forget(batch);
                        stops |= producer.try_write(reads) != Ok(Flow::Ready);
                    }
                    is_stopped = Some(stops);
                }
                Step::NeedDrain => {}
                Step::PollWrite => {
                    let _ = poll1(&mut producer.write_async(weight), &waker);
                }
                Step::PollReady => {
                    let _ = poll1(&mut producer.ready(), &waker);
                }
                Step::Marks => {
                    let (high, low) = legal((weight, reads));
                    // Each may be illegal beside the other's old value.
                    let _ = producer.set_high_water_mark(high);
                    let _ = producer.set_low_water_mark(low);
                }
                Step::WaitInTime => drop(producer.wait_drain_timeout(Duration::ZERO)),
            }
            let is_stopped = is_stopped.unwrap_or_else(|| producer.need_drain());
            let all = reads == 3;
            let wanted = if all { usize::MAX } else { reads };
            for _ in consumer.try_iter().take(wanted) {}
            if is_stopped && all {
                let calls = calls.load(Ordering::SeqCst);
                prop_assert!(calls > before, "{step:?}: nobody was called");
            }
        }
    }
}

#[test]
fn a_wait_that_gives_up_calls_the_callback_whose_place_it_took() {
    let (mut producer, mut consumer) = channel(1);
    let (ready, on_ready) = counter();
    let (drained, on_drain) = counter();
    consumer.on_ready(on_ready);
    producer.on_drain(on_drain);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    let moment = Duration::from_millis(1);
    assert_eq!(
        consumer.read_timeout(moment),
        Err(ReadTimeoutError::Timeout)
    );
    assert_eq!(ready.load(Ordering::SeqCst), 1);
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    let gave_up = producer.wait_drain_timeout(moment);
    assert!(matches!(gave_up, Err(WaitTimeoutError::Timeout)));
    assert_eq!(drained.load(Ordering::SeqCst), 1);
    // Nobody had asked for a callback: this wait takes nobody's place.
    let gave_up = producer.wait_drain_timeout(moment);
    assert!(matches!(gave_up, Err(WaitTimeoutError::Timeout)));
    assert_eq!(drained.load(Ordering::SeqCst), 1);
}

#[test]
fn a_wait_that_is_over_in_time_calls_no_callback() {
    let (mut producer, mut consumer) = channel(1);
    let (ready, on_ready) = counter();
    consumer.on_ready(on_ready);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    let reader = thread::spawn(move || {
        assert_eq!(consumer.read(), Ok(1));
        let gave_up = consumer.read_timeout(Duration::from_millis(1));
        assert_eq!(gave_up, Err(ReadTimeoutError::Timeout));
    });
    let monitor = producer.monitor();
    // The question is counted too: it has left a listener.
    while monitor.stats().consumer_parks < 2 {
        thread::yield_now();
    }
    let _ = producer.try_write(1).unwrap();
    reader.join().unwrap();
    assert_eq!(ready.load(Ordering::SeqCst), 0);
}

#[test]
fn a_future_that_is_dropped_calls_the_callback_whose_place_it_took() {
    let (mut producer, mut consumer) = channel(1);
    let (ready, on_ready) = counter();
    consumer.on_ready(on_ready);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    let (_bell, waker) = bell();
    let mut read = consumer.read_async();
    assert!(poll1(&mut read, &waker).is_pending());
    assert_eq!(ready.load(Ordering::SeqCst), 0);
    drop(read);
    assert_eq!(ready.load(Ordering::SeqCst), 1);
    // One that was polled to its end took what there was.
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    let mut read = consumer.read_async();
    assert!(poll1(&mut read, &waker).is_pending());
    let _ = producer.try_write(1).unwrap();
    assert_eq!(poll1(&mut read, &waker), Poll::Ready(Ok(1)));
    drop(read);
    assert_eq!(ready.load(Ordering::SeqCst), 1);
}

/// Polls a consumer without a future that could be dropped, and finds nothing.
fn poll_next_in_vain(consumer: &mut Consumer<u8>, waker: &Waker) {
    use futures_core::Stream;
    let polled = Pin::new(consumer).poll_next(&mut Context::from_waker(waker));
    assert!(polled.is_pending());
}

#[test]
fn a_future_that_is_dropped_wakes_the_task_whose_earlier_poll_it_displaced() {
    let (mut producer, mut consumer) = channel(1);
    let (b, w) = bell();
    poll_next_in_vain(&mut consumer, &w);
    let mut read = consumer.read_async();
    assert!(poll1(&mut read, &w).is_pending());
    assert!(poll1(&mut read, &w).is_pending());
    assert_eq!(b.0.load(Ordering::SeqCst), 0);
    drop(read);
    let _ = producer.try_write(1).unwrap();
    assert_eq!(b.0.load(Ordering::SeqCst), 1, "asleep beside an item");
}

#[test]
fn a_future_that_is_dropped_and_displaced_nobody_wakes_nobody() {
    let (_producer, mut consumer) = channel::<u8>(1);
    let (b, w) = bell();
    for _ in 0..3 {
        let mut read = consumer.read_async();
        assert!(poll1(&mut read, &w).is_pending());
        assert!(poll1(&mut read, &w).is_pending());
    }
    assert_eq!(b.0.load(Ordering::SeqCst), 0);
}

#[test]
fn a_listener_that_takes_the_place_of_a_task_wakes_it() {
    let (_producer, mut consumer) = channel(1);
    let _fd = consumer.ready_fd().unwrap();
    let (b, w) = bell();
    poll_next_in_vain(&mut consumer, &w);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    assert_eq!(b.0.load(Ordering::SeqCst), 1);
    // Once: nothing of the task is there any more.
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    assert_eq!(b.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_sleep_that_takes_the_place_of_a_task_wakes_it() {
    let (_producer, mut consumer) = channel(1);
    let (b, w) = bell();
    poll_next_in_vain(&mut consumer, &w);
    let moment = Duration::from_millis(1);
    assert_eq!(
        consumer.read_timeout(moment),
        Err(ReadTimeoutError::Timeout)
    );
    assert_eq!(b.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_write_that_is_refused_after_the_drain_and_gives_up_calls_the_callback_whose_place_it_took() {
    deadline(|| {
        let (mut producer, mut consumer) = by_weight(10, 8, 10);
        let (drained, on_drain) = counter();
        producer.on_drain(on_drain);
        assert_eq!(producer.try_write(2), Ok(Flow::Ready));
        assert_eq!(producer.try_write(8), Ok(Flow::Backpressure));
        let monitor = producer.monitor();
        let reader = thread::spawn(move || {
            // The question is counted too: it has left a listener.
            eventually("the writer sleeps", || monitor.stats().producer_parks >= 2);
            assert_eq!(consumer.try_read(), Ok(2)); // drained, but not for a 5
            consumer
        });
        let written = producer.write_timeout(5, Duration::from_millis(200));
        assert_eq!(written, Err(WriteTimeoutError::Timeout(5)));
        drop(reader.join().unwrap());
        assert!(!producer.need_drain());
        assert_eq!(drained.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_chunk_that_becomes_too_large_in_its_sleep_calls_the_callback_whose_place_it_took() {
    deadline(|| {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(8)
            .low_water_mark(4)
            .build::<u8>()
            .unwrap();
        let (ready, on_ready) = counter();
        consumer.on_ready(on_ready);
        assert!(consumer.try_read().is_err());
        let monitor = producer.monitor();
        let reader = thread::spawn(move || {
            let too_large = consumer.chunk(5).unwrap_err();
            assert!(matches!(too_large, ChunkError::TooLarge { .. }));
            consumer
        });
        eventually("the reader sleeps", || monitor.stats().consumer_parks >= 2);
        producer.set_low_water_mark(0).unwrap();
        drop(reader.join().unwrap());
        assert_eq!(ready.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_task_that_waits_by_marks_that_have_changed_is_woken_to_wait_by_the_new_ones() {
    use futures_util::Sink;
    for with_descriptor in [false, true] {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(8)
            .low_water_mark(0)
            .build::<u8>()
            .unwrap();
        let _fd = with_descriptor.then(|| producer.drain_fd().unwrap());
        producer.write_all(&[0; 8]).unwrap();
        let (b, w) = bell();
        let polled = |producer: &mut Producer<u8>| {
            Pin::new(producer).poll_ready(&mut Context::from_waker(&w))
        };
        assert!(polled(&mut producer).is_pending());
        producer.set_low_water_mark(4).unwrap();
        assert_eq!(b.0.load(Ordering::SeqCst), 1);
        assert!(polled(&mut producer).is_pending());
        consumer.try_chunk(5).unwrap().consume_all();
        assert_eq!(b.0.load(Ordering::SeqCst), 2);
        assert!(polled(&mut producer).is_ready());
    }
}

#[test]
fn a_task_that_waits_for_the_close_lets_the_callback_hear_of_the_drain() {
    let (mut producer, mut consumer) = channel(1);
    let (drained, on_drain) = counter();
    producer.on_drain(on_drain);
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    let (b, w) = bell();
    let mut closed = producer.closed();
    assert!(poll1(&mut closed, &w).is_pending());
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(b.0.load(Ordering::SeqCst), 1, "the task hears of it first");
    assert!(poll1(&mut closed, &w).is_pending());
    assert_eq!(drained.load(Ordering::SeqCst), 1);
    drop(consumer);
    assert_eq!(b.0.load(Ordering::SeqCst), 2);
    assert!(poll1(&mut closed, &w).is_ready());
    drop(closed);
    assert_eq!(drained.load(Ordering::SeqCst), 1);
}

#[test]
fn a_sink_that_is_closed_makes_the_descriptor_readable() {
    use futures_util::Sink;
    let (mut producer, _consumer) = channel(1);
    let fd = producer.drain_fd().unwrap();
    assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
    assert!(!readable(&fd));
    let (_b, w) = bell();
    let closed = Pin::new(&mut producer).poll_close(&mut Context::from_waker(&w));
    assert!(closed.is_ready());
    assert!(readable(&fd));
    assert!(!producer.need_drain());
}

#[test]
fn where_fences_are_chosen_late_a_future_that_is_dropped_leaves_no_waker_behind() {
    process::alone(
        "where_fences_are_chosen_late_a_future_that_is_dropped_leaves_no_waker_behind",
        || {
            let (mut producer, mut consumer) = channel(1);
            barrier::use_fences().unwrap();
            let (b, w) = bell();
            let held = Arc::strong_count(&b);
            let mut read = consumer.read_async();
            assert!(poll1(&mut read, &w).is_pending());
            drop(read);
            assert_eq!(Arc::strong_count(&b), held);
            let _ = producer.try_write(1).unwrap();
            let mut write = producer.write_async(2);
            assert!(poll1(&mut write, &w).is_pending());
            drop(write);
            let mut closed = producer.closed();
            assert!(poll1(&mut closed, &w).is_pending());
            drop(closed);
            assert_eq!(Arc::strong_count(&b), held);
            assert_eq!(b.0.load(Ordering::SeqCst), 0, "nobody waits");
        },
    );
}

/// What the consumer does next, with a number of items.
#[derive(Clone, Copy, Debug)]
enum Look {
    TryRead,
    TryChunk,
    ReadInTime,
    ChunkInTime,
    PollRead,
}

fn looks() -> impl Strategy<Value = Vec<(Look, usize, usize)>> {
    let look = prop_oneof![
        3 => Just(Look::TryRead),
        2 => Just(Look::TryChunk),
        1 => Just(Look::ReadInTime),
        1 => Just(Look::ChunkInTime),
        2 => Just(Look::PollRead),
    ];
    proptest::collection::vec((look, 1_usize..5, 0_usize..4), 1..40)
}

proptest! {
    #![proptest_config(random::config())]

    #[test]
    fn whoever_finds_too_little_is_called_once_there_is_enough_whatever_came_before(
        fences in any::<bool>(),
        turns in 0_usize..=128,
        looks in looks(),
    ) {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(8)
            .full_fences(fences)
            .build()
            .unwrap();
        let waker = bell().1;
        for _ in 0..turns {
            let _ = producer.try_write(0).unwrap();
            assert!(poll1(&mut consumer.read_async(), &waker).is_ready());
        }
        let (calls, on_ready) = counter();
        consumer.on_ready(on_ready);
        // How many it wants, and how often it had been called by then.
        let mut waits = None;
        for (look, items, writes) in looks {
            let before = calls.load(Ordering::SeqCst);
            let timeout = Duration::from_micros(writes as u64 % 2 * 50);
            let (wanted, is_found) = match look {
                Look::TryRead => (1, consumer.try_read().is_ok()),
                Look::TryChunk => (items, consumer.try_chunk(items).map(|chunk| chunk.consume(1)).is_ok()),
                Look::ReadInTime => (1, consumer.read_timeout(timeout).is_ok()),
                Look::ChunkInTime => {
                    (items, consumer.chunk_timeout(items, timeout).map(|chunk| chunk.consume(1)).is_ok())
                }
                Look::PollRead => (1, poll1(&mut consumer.read_async(), &waker).is_ready()),
            };
            let asks = matches!(look, Look::TryRead | Look::TryChunk) || waits.is_some();
            waits = match is_found {
                true => None,
                // Called at once, as the wait gave up.
                false if calls.load(Ordering::SeqCst) > before => None,
                false => asks.then_some((wanted, before)),
            };
            for _ in 0..writes {
                let _ = producer.try_write(0);
            }
            if let Some((wanted, before)) = waits {
                if consumer.len() >= wanted {
                    prop_assert!(calls.load(Ordering::SeqCst) > before, "{:?}", (look, items, writes));
                }
            }
        }
        drop(producer);
        if let Some((_, before)) = waits {
            prop_assert!(calls.load(Ordering::SeqCst) > before, "not even at the end");
        }
    }
}
