//! Tasks: what registers a `Waker` races what wakes it.

use futures_io::AsyncRead;
use highwater::{Builder, ByteConsumer};
use loom::{future::block_on, thread};
use loom_tests::{
    drained_ends as ends, exhaustive_model, in_both_modes, model, Bell, Goes, Leaves,
};
use std::{
    future::{poll_fn, Future},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

fn poll<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    let waker = Waker::from(bell.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

#[test]
fn data_wakes_a_task_that_registers_at_that_moment() {
    in_both_modes(20, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let _ = producer.try_write(2).unwrap();
            producer
        });
        block_on(async {
            assert_eq!(consumer.read_async().await, Ok(1));
            assert_eq!(consumer.read_async().await, Ok(2));
        });
        drop(writer.join().unwrap());
    });
}

#[test]
fn drain_wakes_a_task_that_registers_at_that_moment() {
    in_both_modes(20, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        block_on(producer.write_async(2)).unwrap();
        assert_eq!(reader.join().unwrap().try_read(), Ok(2));
    });
}

#[test]
fn two_tasks_wait_for_each_other_by_turns() {
    model(100, || {
        let (mut producer, mut consumer) = ends(Builder::new(), 1);
        let writer = thread::spawn(move || {
            block_on(async move {
                for i in 0..2 {
                    producer.write_async(i).await.unwrap();
                }
            })
        });
        block_on(async move {
            for i in 0..2 {
                assert_eq!(consumer.read_async().await, Ok(i));
            }
        });
        writer.join().unwrap();
    });
}

/// A model's byte ends ask at their first wait, real ones after a few.
#[test]
fn a_byte_end_that_asks_for_fences_as_it_waits_is_woken() {
    in_both_modes(20, |builder| {
        let (mut producer, consumer) = ends(builder, 2);
        let mut consumer = ByteConsumer::from(consumer);
        let writer = thread::spawn(move || {
            for i in 0..2 {
                assert_eq!(producer.try_write_slice(&[i]), Ok(1));
            }
            producer
        });
        block_on(async {
            for i in 0..2 {
                let mut byte = [7];
                let read = |cx: &mut Context<'_>| Pin::new(&mut consumer).poll_read(cx, &mut byte);
                assert_eq!(poll_fn(read).await.unwrap(), 1);
                assert_eq!(byte, [i]);
            }
        });
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_producer_that_goes_wakes_a_task_that_registers_at_that_moment() {
    for goes in Goes::ALL {
        exhaustive_model(10, move || {
            let (producer, mut consumer) = highwater::channel::<u8>(1);
            let writer = thread::spawn(move || goes.apply(producer));
            goes.check(&block_on(consumer.read_async()).unwrap_err());
            writer.join().unwrap();
        });
    }
}

#[test]
fn a_consumer_that_goes_or_closes_wakes_every_future_of_the_producer() {
    for leaves in Leaves::ALL {
        for what in 0..3 {
            // A stream that is over has nobody left to refuse.
            if leaves == Leaves::Closes && what == 2 {
                continue;
            }
            model(10, move || {
                let (mut producer, consumer) = highwater::channel(1);
                let _ = producer.try_write(1).unwrap();
                let reader = thread::spawn(move || leaves.apply(consumer));
                match what {
                    0 => assert!(block_on(producer.ready()).is_err()),
                    1 => {
                        let reason = block_on(producer.closed()).reason().is_some();
                        assert_eq!(reason, leaves == Leaves::Cancels);
                    }
                    _ => assert!(block_on(producer.end()).is_err()),
                }
                drop(reader.join().unwrap());
            });
        }
    }
}

#[test]
fn the_waker_of_the_last_poll_is_woken_when_it_replaces_another_at_the_moment_of_the_wake_up() {
    in_both_modes(3, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let (first, second) = (Arc::<Bell>::default(), Arc::<Bell>::default());
        let mut read = consumer.read_async();
        assert!(poll(&mut read, &first).is_pending());
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        let polled = poll(&mut read, &second);
        drop(writer.join().unwrap());
        // Whoever was told "not yet" is woken.
        if polled.is_pending() {
            assert_eq!(second.rings(), 1);
            assert_eq!(poll(&mut read, &second), Poll::Ready(Ok(1)));
        }
    });
}

#[test]
fn a_future_dropped_as_it_is_woken_loses_no_item_and_leaves_no_waker() {
    in_both_modes(3, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let bell = Arc::<Bell>::default();
        let mut read = consumer.read_async();
        assert!(poll(&mut read, &bell).is_pending());
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        drop(read);
        let producer = writer.join().unwrap();
        assert_eq!(Arc::strong_count(&bell), 1);
        // Then the same end waits as a thread.
        assert_eq!(consumer.read(), Ok(1));
        drop(producer);
    });
}

#[test]
fn a_task_looks_again_by_itself_until_the_other_side_uses_fences() {
    model(20, || {
        let (mut producer, mut consumer) = ends(Builder::new().refused_barrier(), 2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        let bell = Arc::<Bell>::default();
        let mut read = consumer.read_async();
        let item = loom_tests::poll(|| {
            let before = bell.rings();
            match poll(&mut read, &bell) {
                Poll::Ready(item) => Some(item),
                // Woken by itself, as the writer has confirmed nothing before its only write, which is
                // then there. (An executor lets others run meanwhile, as this does.)
                Poll::Pending => {
                    assert!(bell.rings() > before);
                    None
                }
            }
        });
        assert_eq!(item, Ok(1));
        drop(writer.join().unwrap());
    });
}
