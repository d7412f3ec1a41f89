//! Tasks: what registers a `Waker` races what wakes it.

use futures_core::Stream;
use futures_io::AsyncRead;
use futures_sink::Sink;
use highwater::{Builder, ByteConsumer, Consumer, Producer, ReadError};
use loom::{future::block_on, thread};
use loom_tests::{
    at_once, drained_ends as ends, exhaustive_model, exhaustive_model_in_both_modes, in_both_modes,
    model, weighted_ends, Bell, Goes, Leaves, AS_IT_SAYS,
};
use std::{
    future::{poll_fn, Future},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

fn poll<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    let waker = Waker::from(bell.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// With the items 0, 1 and so on in all slots.
fn full(builder: Builder, capacity: usize) -> (Producer<usize>, Consumer<usize>) {
    let (mut producer, consumer) = ends(builder, capacity);
    at_once::commit(&mut producer, 0..capacity);
    (producer, consumer)
}

#[test]
fn data_wakes_a_task_that_registers_at_that_moment() {
    in_both_modes(3800, |builder| {
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
    exhaustive_model_in_both_modes(440, |builder| {
        let (mut producer, mut consumer) = full(builder, 1);
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(0));
            consumer
        });
        block_on(producer.write_async(1)).unwrap();
        assert_eq!(reader.join().unwrap().try_read(), Ok(1));
    });
}

#[test]
fn a_task_sleeps_on_above_the_low_mark_and_is_woken_at_it() {
    for (capacity, full_fences) in [(2, false), (2, true), (3, false)] {
        model(690, move || {
            let builder = Builder::new().full_fences(full_fences);
            let (mut producer, mut consumer) = full(builder, capacity);
            let reader = thread::spawn(move || {
                for i in 0..capacity {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            block_on(producer.write_async(capacity)).unwrap();
            assert_eq!(reader.join().unwrap().try_read(), Ok(capacity));
        });
    }
}

#[test]
fn a_task_that_waits_for_weight_is_woken_by_the_item_that_makes_room() {
    exhaustive_model(23_000, || {
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (2, 4), 3);
        for weight in [1, 2] {
            let _ = producer.try_write(weight).unwrap();
        }
        let reader = thread::spawn(move || {
            // 3 does not fit beside 2, only into an empty channel or beside 1.
            for weight in [1, 2] {
                assert_eq!(consumer.try_read(), Ok(weight));
            }
            consumer
        });
        block_on(producer.write_async(3)).unwrap();
        assert_eq!(reader.join().unwrap().try_read(), Ok(3));
    });
}

#[test]
fn an_item_that_weighs_nothing_wakes_a_task() {
    exhaustive_model_in_both_modes(2200, |builder| {
        let (mut producer, mut consumer) = weighted_ends(builder, AS_IT_SAYS, (0, 1), 1);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(0).unwrap();
            producer
        });
        assert_eq!(block_on(consumer.read_async()), Ok(0));
        assert_eq!(writer.join().unwrap().len(), 0);
    });
}

#[test]
fn items_that_come_at_once_wake_a_task() {
    for (number, write) in at_once::WRITES.into_iter().enumerate() {
        let count = 1 + number % 3;
        exhaustive_model_in_both_modes(440, move |builder| {
            let (mut producer, mut consumer) = ends(builder, count);
            let monitor = producer.monitor();
            let writer = thread::spawn(move || {
                write(&mut producer, 0..count);
                producer
            });
            block_on(async {
                for i in 0..count {
                    assert_eq!(consumer.read_async().await, Ok(i));
                }
            });
            drop(writer.join().unwrap());
            assert!(monitor.stats().consumer_wake_ups <= 1);
        });
    }
}

#[test]
fn slots_that_come_back_at_once_wake_a_task() {
    for (number, read) in at_once::READS.into_iter().enumerate() {
        let capacity = 1 + number % 3;
        exhaustive_model_in_both_modes(440, move |builder| {
            let (mut producer, mut consumer) = full(builder, capacity);
            // They move the index past what is awaited.
            producer.set_low_water_mark(capacity - 1).unwrap();
            let monitor = producer.monitor();
            let reader = thread::spawn(move || {
                let items: Vec<_> = (0..capacity).collect();
                read(&mut consumer, &items);
                consumer
            });
            block_on(producer.write_async(capacity)).unwrap();
            assert_eq!(reader.join().unwrap().try_read(), Ok(capacity));
            assert!(monitor.stats().producer_wake_ups <= 1);
        });
    }
}

#[test]
fn a_sink_is_woken_by_a_drain_and_its_close_ends_the_stream() {
    for capacity in [1, 2] {
        in_both_modes(120, move |builder| {
            let (mut producer, mut consumer) = full(builder, capacity);
            let reader = thread::spawn(move || {
                for i in 0..capacity {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            block_on(async {
                poll_fn(|cx| Pin::new(&mut producer).poll_ready(cx))
                    .await
                    .unwrap();
                Pin::new(&mut producer).start_send(capacity).unwrap();
                poll_fn(|cx| Pin::new(&mut producer).poll_close(cx))
                    .await
                    .unwrap();
            });
            let mut consumer = reader.join().unwrap();
            assert_eq!(consumer.read(), Ok(capacity));
            Goes::Ends.check(&consumer.read().unwrap_err());
        });
    }
}

async fn next(stream: &mut Consumer<usize>) -> Option<Result<usize, ReadError>> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

#[test]
fn a_stream_is_woken_by_an_item_and_by_the_end_behind_it() {
    for goes in [Goes::Ends, Goes::IsDropped, Goes::Panics] {
        model(3300, move || {
            let (mut producer, mut consumer) = ends(Builder::new(), 1);
            let writer = thread::spawn(move || {
                let _ = producer.try_write(7).unwrap();
                goes.apply(producer);
            });
            block_on(async {
                assert_eq!(next(&mut consumer).await, Some(Ok(7)));
                if goes != Goes::Ends {
                    goes.check(&next(&mut consumer).await.unwrap().unwrap_err());
                }
                assert_eq!(next(&mut consumer).await, None);
            });
            writer.join().unwrap();
        });
    }
}

#[test]
fn a_task_hears_of_a_drain_though_the_mark_moves_as_it_waits() {
    // The mark before and after: the consumer reads just as many as it takes.
    for (capacity, before, after) in [(3, 0, 2), (3, 0, 1), (2, 1, 0)] {
        model(330, move || {
            let (mut producer, mut consumer) = full(Builder::new(), capacity);
            producer.set_low_water_mark(before).unwrap();
            let reader = thread::spawn(move || {
                for i in 0..capacity - after {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            let mut moves = true;
            block_on(poll_fn(|cx| {
                let polled = Pin::new(&mut producer).poll_ready(cx);
                if mem::take(&mut moves) {
                    producer.set_low_water_mark(after).unwrap();
                }
                polled
            }))
            .unwrap();
            assert!(producer.len() <= after.max(before));
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn two_tasks_wait_for_each_other_by_turns() {
    model(100_000, || {
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
    in_both_modes(7100, |builder| {
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
        exhaustive_model(400, move || {
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
        for until_closed in [false, true] {
            exhaustive_model(400, move || {
                let (mut producer, consumer) = highwater::channel(1);
                let _ = producer.try_write(1).unwrap();
                let reader = thread::spawn(move || leaves.apply(consumer));
                let error = match until_closed {
                    true => block_on(producer.closed()),
                    false => block_on(producer.ready()).unwrap_err(),
                };
                leaves.check(error.reason());
                drop(reader.join().unwrap());
            });
        }
    }
}

#[test]
fn a_consumer_that_goes_wakes_a_finish_that_is_a_future() {
    // A stream that is over has nobody left to refuse: a close changes nothing.
    for leaves in Leaves::FOR_GOOD {
        model(1000, move || {
            let (mut producer, consumer) = highwater::channel(1);
            let _ = producer.try_write(1).unwrap();
            let reader = thread::spawn(move || leaves.apply(consumer));
            leaves.check(block_on(producer.end()).unwrap_err().reason());
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn the_last_item_that_is_read_wakes_a_finish_that_is_a_future() {
    for count in [1, 2, 3] {
        in_both_modes(110, move |builder| {
            let (producer, mut consumer) = full(builder, count);
            let reader = thread::spawn(move || {
                for i in 0..count {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            block_on(producer.end()).unwrap();
            let consumer = reader.join().unwrap();
            assert_eq!(consumer.len(), 0);
        });
    }
}

#[test]
fn the_waker_of_the_last_poll_is_woken_when_it_replaces_another_at_the_moment_of_the_wake_up() {
    exhaustive_model_in_both_modes(810, |builder| {
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
    exhaustive_model_in_both_modes(3, |builder| {
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
    exhaustive_model(1300, || {
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
