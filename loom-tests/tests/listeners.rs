//! Event loops: a descriptor, as its counter, and a callback, against what makes them fire.

use highwater::{Builder, Consumer, EventFd, Flow, Producer, ReadError, TryReadError};
use loom::thread;
use loom_tests::model;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    task::{Context, Wake, Waker},
};

fn in_both_modes(at_least: usize, body: impl Fn(Builder) + Copy + Sync + Send + 'static) {
    for full_fences in [false, true] {
        model(at_least, move || {
            body(Builder::new().full_fences(full_fences))
        });
    }
}

fn ends(builder: Builder, high: usize) -> (Producer<usize>, Consumer<usize>) {
    builder
        .high_water_mark(high)
        .low_water_mark(0)
        .build()
        .unwrap()
}

/// What an event loop does.
fn read_in_loop(consumer: &mut Consumer<usize>, fd: &EventFd) -> Result<usize, TryReadError> {
    loop {
        fd.wait_readable();
        match consumer.try_read() {
            Err(TryReadError::Empty) => {}
            other => return other,
        }
    }
}

fn write_in_loop(producer: &mut Producer<usize>, fd: &EventFd, item: usize) {
    while producer.need_drain() {
        fd.wait_readable();
    }
    let _ = producer.try_write(item).unwrap();
}

#[test]
fn data_makes_a_descriptor_readable_that_is_armed_at_that_moment() {
    in_both_modes(50, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let _ = producer.try_write(2).unwrap();
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        assert_eq!(read_in_loop(&mut consumer, &fd), Ok(1));
        assert_eq!(read_in_loop(&mut consumer, &fd), Ok(2));
        drop(writer.join().unwrap());
    });
}

#[test]
fn drain_makes_a_descriptor_readable_that_is_armed_at_that_moment() {
    in_both_modes(50, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        write_in_loop(&mut producer, &fd, 2);
        assert_eq!(reader.join().unwrap().try_read(), Ok(2));
    });
}

#[test]
fn two_event_loops_wait_for_each_other_by_turns() {
    model(100, || {
        let (mut producer, mut consumer) = ends(Builder::new(), 1);
        let writer = thread::spawn(move || {
            let fd = producer.drain_fd().unwrap();
            for i in 0..2 {
                write_in_loop(&mut producer, &fd, i);
            }
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        for i in 0..2 {
            assert_eq!(read_in_loop(&mut consumer, &fd), Ok(i));
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn an_end_or_a_drop_makes_the_descriptor_readable_and_it_stays_so() {
    for ends in [false, true] {
        model(5, move || {
            let (producer, mut consumer) = highwater::channel(1);
            let fd = consumer.ready_fd().unwrap();
            let writer = thread::spawn(move || {
                if ends {
                    drop(producer.end())
                } else {
                    drop(producer)
                }
            });
            let error = if ends {
                TryReadError::Ended
            } else {
                TryReadError::Abandoned
            };
            assert_eq!(read_in_loop(&mut consumer, &fd), Err(error));
            writer.join().unwrap();
            assert!(fd.is_readable());
        });
    }
}

#[test]
fn a_consumer_that_goes_makes_the_producers_descriptor_readable() {
    model(10, || {
        let (mut producer, consumer) = ends(Builder::new(), 1);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || drop(consumer));
        while producer.need_drain() {
            fd.wait_readable();
        }
        assert!(producer.is_closed());
        reader.join().unwrap();
        assert!(fd.is_readable());
    });
}

#[test]
fn a_wait_in_a_thread_between_two_in_a_loop_misses_nothing() {
    in_both_modes(100, |builder| {
        let (mut producer, mut consumer) = ends(builder, 3);
        let writer = thread::spawn(move || {
            for i in 0..3 {
                let _ = producer.try_write(i).unwrap();
            }
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        assert_eq!(read_in_loop(&mut consumer, &fd), Ok(0));
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(read_in_loop(&mut consumer, &fd), Ok(2));
        drop(writer.join().unwrap());
    });
}

/// Does nothing.
struct Deaf;

impl Wake for Deaf {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_poll_that_is_given_up_before_a_loop_misses_nothing() {
    in_both_modes(20, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        let waker = Waker::from(Arc::new(Deaf));
        let polled = Pin::new(&mut consumer.read_async()).poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            assert_eq!(read_in_loop(&mut consumer, &fd), Ok(1));
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_task_that_waited_for_drain_leaves_a_loop_nothing_to_miss() {
    in_both_modes(10, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let waker = Waker::from(Arc::new(Deaf));
        let mut ready = producer.ready();
        for _ in 0..2 {
            // The second look may find the drain that the first one waited for.
            let _ = Pin::new(&mut ready).poll(&mut Context::from_waker(&waker));
        }
        drop(ready);
        fd.wait_readable();
        write_in_loop(&mut producer, &fd, 2);
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_callback_hears_of_a_drain_that_comes_as_the_producer_is_told_to_stop() {
    in_both_modes(10, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let calls = Arc::<AtomicUsize>::default();
        let counter = calls.clone();
        producer.on_drain(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let reader = thread::spawn(move || {
            loom_tests::poll(|| consumer.try_read().ok());
            consumer
        });
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        let _consumer = reader.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_callback_hears_of_an_item_that_comes_as_the_consumer_finds_none() {
    in_both_modes(10, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let calls = Arc::<AtomicUsize>::default();
        let counter = calls.clone();
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        consumer.on_ready(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let first = consumer.try_read();
        drop(writer.join().unwrap());
        if first.is_err() {
            assert!(calls.load(Ordering::Relaxed) > 0);
            assert_eq!(consumer.try_read(), Ok(1));
        }
        assert_eq!(consumer.try_read(), Err(TryReadError::Abandoned));
    });
}

#[test]
fn a_callback_hears_of_an_item_that_comes_as_a_descriptor_joins_it() {
    in_both_modes(10, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let calls = Arc::<AtomicUsize>::default();
        let counter = calls.clone();
        consumer.on_ready(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        let _producer = writer.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(fd.is_readable());
    });
}

#[test]
fn marks_that_change_while_the_descriptor_is_armed_miss_no_drain() {
    in_both_modes(10, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let _ = producer.try_write(2).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        // It was armed for 0.
        producer.set_low_water_mark(1).unwrap();
        write_in_loop(&mut producer, &fd, 3);
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_refused_item_that_was_given_up_does_not_hold_back_the_drain() {
    in_both_modes(10, |builder| {
        let (mut producer, mut consumer) = builder
            .weigh_by(|item: &usize| *item)
            .high_water_mark(2)
            .low_water_mark(2)
            .limit(4)
            .build()
            .unwrap();
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(2).unwrap();
        // Would go into an empty channel only.
        assert!(producer.try_write(4).is_err());
        assert!(producer.need_drain());
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(2));
            consumer
        });
        let _ = producer.try_write(1).unwrap();
        while producer.need_drain() {
            fd.wait_readable();
        }
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_loop_looks_again_by_itself_until_the_other_side_uses_fences() {
    model(20, || {
        let (mut producer, mut consumer) = ends(Builder::new().refused_barrier(), 2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        let item = loom_tests::poll(|| {
            // Readable, or will be: nobody is left to notify it for an item that is there.
            fd.wait_readable();
            consumer.try_read().ok()
        });
        assert_eq!(item, 1);
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_descriptor_that_nobody_waits_for_changes_nothing_for_a_thread() {
    model(20, || {
        let (mut producer, mut consumer) = ends(Builder::new(), 1);
        let _fd = consumer.ready_fd().unwrap();
        let writer = thread::spawn(move || producer.write(1).map(|()| producer.end()));
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(consumer.read(), Err(ReadError::Ended));
        drop(writer.join().unwrap());
    });
}
