//! The door for tasks: real runtimes, an executor that polls and drops at random, and what a `Waker` sees.
#![cfg(feature = "async")]
// The minimum Rust version is the library's; what the tests depend on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;

use common::{deadline, eventually, Random};
use futures_lite::{
    future::{self, block_on},
    StreamExt,
};
use futures_util::{stream::FusedStream, Sink, SinkExt};
use highwater::{
    Builder, Consumer, Flow, Producer, ReadError, State, TryReadError, TryWriteError, WriteError,
};
use std::{
    future::Future,
    mem,
    pin::{pin, Pin},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use tokio_test::task::spawn;

const ITEMS: u64 = if cfg!(debug_assertions) {
    50_000
} else {
    1_000_000
};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (bell.clone(), bell.into())
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn full() -> (Producer<u32>, Consumer<u32>) {
    let (mut producer, consumer) = highwater::channel(2);
    producer.write_all(&[1, 2]).unwrap();
    (producer, consumer)
}

// ---- What a Waker sees ------------------------------------------------------------------------

#[test]
fn data_wakes_the_task_that_reads_once_and_the_item_stays_until_it_is_polled() {
    let (mut producer, mut consumer) = highwater::channel(2);
    let (bell, waker) = bell();
    let mut read = consumer.read_async();
    assert!(poll(&mut read, &waker).is_pending());
    let _ = producer.try_write(7).unwrap();
    assert_eq!(bell.rings(), 1);
    let _ = producer.try_write(8).unwrap();
    assert_eq!((bell.rings(), producer.len()), (1, 2));
    assert_eq!(poll(&mut read, &waker), Poll::Ready(Ok(7)));
}

#[test]
fn a_task_that_writes_is_woken_at_the_low_mark_and_not_before() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(3)
        .low_water_mark(1)
        .build()
        .unwrap();
    producer.write_all(&[1, 2, 3]).unwrap();
    let (bell, waker) = bell();
    let mut write = producer.write_async(4);
    assert!(poll(&mut write, &waker).is_pending());
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(bell.rings(), 0);
    assert_eq!(consumer.try_read(), Ok(2));
    assert_eq!(bell.rings(), 1);
    assert_eq!(poll(&mut write, &waker), Poll::Ready(Ok(())));
    drop(write);
    assert_eq!(producer.len(), 2);
}

#[test]
fn a_future_that_is_dropped_leaves_no_waker_behind_and_takes_no_item() {
    let (mut producer, mut consumer) = full();
    let (bell, waker) = bell();
    let held = Arc::strong_count(&bell);
    let mut write = producer.write_async(3);
    assert!(poll(&mut write, &waker).is_pending());
    assert_eq!(Arc::strong_count(&bell), held + 1);
    drop(write);
    assert_eq!(Arc::strong_count(&bell), held);
    let mut ready = producer.ready();
    assert!(poll(&mut ready, &waker).is_pending());
    drop(ready);
    let mut closed = producer.closed();
    assert!(poll(&mut closed, &waker).is_pending());
    drop(closed);
    assert_eq!(Arc::strong_count(&bell), held);

    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2]);
    let mut read = consumer.read_async();
    assert!(poll(&mut read, &waker).is_pending());
    drop(read);
    assert_eq!(Arc::strong_count(&bell), held);
    let _ = producer.try_write(4).unwrap();
    assert_eq!(bell.rings(), 0, "nobody waits");
    assert_eq!(consumer.try_read(), Ok(4));
}

#[test]
fn a_future_that_is_forgotten_takes_its_item_along_and_leaves_an_end_that_works() {
    let (mut producer, mut consumer) = full();
    let (bell, waker) = bell();
    let held = Arc::strong_count(&bell);
    let mut write = producer.write_async(3);
    assert!(poll(&mut write, &waker).is_pending());
    mem::forget(write);
    let mut ready = producer.ready();
    assert!(poll(&mut ready, &waker).is_pending());
    mem::forget(ready);
    let mut closed = producer.closed();
    assert!(poll(&mut closed, &waker).is_pending());
    mem::forget(closed);
    assert_eq!(producer.try_write(4), Err(TryWriteError::WouldBlock(4)));

    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2]);
    let mut read = consumer.read_async();
    assert!(poll(&mut read, &waker).is_pending());
    mem::forget(read);
    assert_eq!(producer.try_write(5), Ok(Flow::Ready));
    assert_eq!(consumer.try_read(), Ok(5));

    // A wait of another kind takes the place of what was forgotten.
    deadline(move || {
        let reader = thread::spawn(move || consumer.iter().map(Result::unwrap).sum::<u32>());
        for item in 0..100 {
            producer.write(item).unwrap();
        }
        producer.end().wait().unwrap();
        assert_eq!(reader.join().unwrap(), 4950);
    });
    drop(waker);
    assert_eq!(
        Arc::strong_count(&bell),
        held - 1,
        "a Waker outlives its ends"
    );
}

#[test]
fn a_stream_and_a_finish_that_are_dropped_leave_no_waker_behind() {
    let (producer, mut consumer) = highwater::channel::<u8>(2);
    let (bell, waker) = bell();
    let held = Arc::strong_count(&bell);
    let mut context = Context::from_waker(&waker);
    assert!(consumer.poll_next(&mut context).is_pending());
    drop(consumer);
    assert_eq!(Arc::strong_count(&bell), held);
    drop(producer);

    let (mut producer, _consumer) = highwater::channel(2);
    producer.write(1).unwrap();
    let mut finish = producer.end();
    assert!(poll(&mut finish, &waker).is_pending());
    drop(finish);
    assert_eq!(Arc::strong_count(&bell), held);
}

/// A poll has no drop that could take the `Waker` back: the end does.
#[test]
fn a_sink_that_is_dropped_leaves_no_waker_behind() {
    for way in 0..3 {
        let (mut producer, _consumer) = full();
        let (bell, waker) = bell();
        let held = Arc::strong_count(&bell);
        let ready = Pin::new(&mut producer).poll_ready(&mut Context::from_waker(&waker));
        assert!(ready.is_pending());
        assert_eq!(Arc::strong_count(&bell), held + 1);
        let mut finish = None;
        match way {
            0 => finish = Some(producer.end()),
            1 => drop(producer),
            _ => producer.abort("because"),
        }
        assert_eq!(Arc::strong_count(&bell), held);
        drop(finish);
        assert_eq!(bell.rings(), 0);
    }
}

#[test]
fn a_task_that_a_poll_has_left_waiting_is_woken_when_a_callback_is_set_or_cleared() {
    for clears in [false, true] {
        let (mut producer, mut consumer) = full();
        let (bell, waker) = bell();
        let held = Arc::strong_count(&bell);
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut producer)
            .poll_ready(&mut context)
            .is_pending());
        if clears {
            producer.clear_on_drain();
        } else {
            producer.on_drain(|| ());
        }
        assert_eq!((bell.rings(), Arc::strong_count(&bell)), (1, held));
        // It polls again.
        assert!(Pin::new(&mut producer)
            .poll_ready(&mut context)
            .is_pending());
        assert_eq!(consumer.try_iter().count(), 2);
        assert_eq!(bell.rings(), 2);
    }
}

#[test]
fn a_second_registration_replaces_the_first() {
    let (mut producer, mut consumer) = highwater::channel(2);
    let ((first, first_waker), (second, second_waker)) = (bell(), bell());
    let mut read = consumer.read_async();
    assert!(poll(&mut read, &first_waker).is_pending());
    assert!(poll(&mut read, &second_waker).is_pending());
    let _ = producer.try_write(1).unwrap();
    assert_eq!((first.rings(), second.rings()), (0, 1));
    assert_eq!(poll(&mut read, &second_waker), Poll::Ready(Ok(1)));
}

#[test]
fn spurious_polls_change_nothing() {
    let (mut producer, mut consumer) = full();
    let mut write = spawn(producer.write_async(3));
    for _ in 0..5 {
        assert!(write.poll().is_pending());
    }
    assert_eq!(consumer.try_read(), Ok(1));
    assert!(write.is_woken());
    assert_eq!(write.poll(), Poll::Ready(Ok(())));
    drop(write);
    let mut read = spawn(consumer.read_async());
    assert_eq!(read.poll(), Poll::Ready(Ok(2)));
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_write_that_is_polled_after_it_was_ready_panics_and_writes_nothing_twice() {
    let (mut producer, _consumer) = highwater::channel(2);
    let mut write = spawn(producer.write_async(1));
    assert_eq!(write.poll(), Poll::Ready(Ok(())));
    let _ = write.poll();
}

#[test]
fn every_end_of_the_other_side_wakes_the_task_that_waits() {
    for way in 0..3 {
        let (producer, mut consumer) = highwater::channel::<u8>(1);
        let mut read = spawn(consumer.read_async());
        assert!(read.poll().is_pending());
        match way {
            0 => drop(producer.end()),
            1 => drop(producer),
            _ => producer.abort("because"),
        }
        assert!(read.is_woken());
        match (way, read.poll()) {
            (0, Poll::Ready(Err(ReadError::Ended))) => {}
            (1, Poll::Ready(Err(ReadError::Abandoned))) => {}
            (2, Poll::Ready(Err(ReadError::Aborted(reason)))) => {
                assert_eq!(reason.to_string(), "because");
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    for way in 0..3 {
        for waits in 0..3 {
            let (mut producer, mut consumer) = full();
            let kept;
            let leave = |mut consumer: Consumer<u32>| match way {
                0 => {
                    consumer.close();
                    Some(consumer)
                }
                1 => {
                    consumer.cancel("because");
                    None
                }
                _ => None,
            };
            match waits {
                0 => {
                    let mut write = spawn(producer.write_async(3));
                    assert!(write.poll().is_pending());
                    kept = leave(consumer);
                    assert!(write.is_woken());
                    assert_eq!(write.poll(), Poll::Ready(Err(WriteError(3))));
                }
                1 => {
                    let mut ready = spawn(producer.ready());
                    assert!(ready.poll().is_pending());
                    kept = leave(consumer);
                    assert!(ready.is_woken());
                    assert!(matches!(ready.poll(), Poll::Ready(Err(_))));
                }
                _ => {
                    consumer.try_read().unwrap(); // not only while it has to drain
                    let mut closed = spawn(producer.closed());
                    assert!(closed.poll().is_pending());
                    kept = leave(consumer);
                    assert!(closed.is_woken());
                    assert!(closed.poll().is_ready());
                }
            }
            drop(kept);
            let reason = producer.cancel_reason().map(|reason| reason.to_string());
            assert_eq!(reason.as_deref(), (way == 1).then_some("because"));
        }
    }
}

#[test]
fn reading_does_not_wake_a_task_that_only_waits_for_the_close() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write_all(&[1, 2, 3]).unwrap();
    let mut closed = spawn(producer.closed());
    assert!(closed.poll().is_pending());
    assert_eq!(consumer.try_iter().count(), 3);
    assert!(!closed.is_woken());
    drop(consumer);
    assert!(closed.is_woken());
}

#[test]
fn a_batch_that_was_forgotten_is_published_by_a_task_that_waits_for_the_close() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let mut batch = producer.batch();
    let _ = batch.try_write(1).unwrap();
    mem::forget(batch);
    assert!(spawn(producer.closed()).poll().is_pending());
    assert_eq!(consumer.try_read(), Ok(1));
}

#[test]
fn a_finish_is_a_future_too() {
    let (producer, mut consumer) = full();
    let mut finish = spawn(producer.end());
    assert!(finish.poll().is_pending());
    consumer.try_read().unwrap();
    assert!(!finish.is_woken());
    consumer.try_read().unwrap();
    assert!(finish.is_woken());
    assert_eq!(finish.poll(), Poll::Ready(Ok(())));

    let (producer, consumer) = full();
    let mut finish = spawn(producer.end());
    assert!(finish.poll().is_pending());
    consumer.cancel("because");
    assert!(finish.is_woken());
    match finish.poll() {
        Poll::Ready(Err(error)) => assert_eq!(error.reason().unwrap().to_string(), "because"),
        other => panic!("{other:?}"),
    };
}

#[test]
fn a_heavy_write_that_is_given_up_does_not_hold_up_light_ones() {
    let (mut producer, _consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(10)
        .limit(10)
        .build()
        .unwrap();
    assert_eq!(producer.try_write(6), Ok(Flow::Ready));
    // Some leave a Waker, some would look once more before that.
    for _ in 0..100 {
        let mut write = spawn(producer.write_async(7));
        assert!(write.poll().is_pending());
        drop(write);
        assert!(!producer.need_drain());
    }
    assert_eq!(producer.try_write(1), Ok(Flow::Ready));
}

#[test]
fn an_end_that_never_has_to_wait_gives_way_now_and_then() {
    let (mut producer, mut consumer) = highwater::channel(10_000);
    for item in 0..10_000 {
        let _ = producer.try_write(item).unwrap();
    }
    let (bell, waker) = bell();
    let mut context = Context::from_waker(&waker);
    let (mut read, mut gave_way) = (0, 0);
    while read < 10_000 {
        match consumer.poll_next(&mut context) {
            Poll::Ready(Some(Ok(item))) => {
                assert_eq!(item, read);
                read += 1;
            }
            Poll::Pending => {
                gave_way += 1;
                assert_eq!(bell.rings(), gave_way, "it asks for its next turn itself");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((70..=80).contains(&gave_way), "{gave_way}");
}

// ---- Stream and Sink --------------------------------------------------------------------------

#[test]
fn a_stream_gives_results_as_the_iterator_does_and_is_done_after_the_last() {
    block_on(async {
        let (mut producer, mut consumer) = highwater::channel(4);
        producer.write_all(&[1, 2]).unwrap();
        drop(producer);
        assert_eq!(consumer.next().await, Some(Ok(1)));
        assert_eq!(consumer.next().await, Some(Ok(2)));
        assert!(!consumer.is_terminated());
        assert_eq!(consumer.next().await, Some(Err(ReadError::Abandoned)));
        assert!(consumer.is_terminated());
        assert_eq!(consumer.next().await, None);
        assert_eq!(consumer.try_read(), Err(TryReadError::Abandoned));
    });
}

#[test]
fn a_flush_publishes_what_a_forgotten_batch_has_left() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let mut batch = producer.batch();
    batch.write(1).unwrap();
    mem::forget(batch);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    block_on(producer.flush()).unwrap();
    assert_eq!(consumer.try_read(), Ok(1));
}

#[test]
fn a_sink_is_ready_by_the_marks_and_refuses_everything_after_its_close() {
    let (mut producer, mut consumer) = highwater::channel(2);
    block_on(async {
        producer.feed(1).await.unwrap();
        producer.feed(2).await.unwrap();
        producer.flush().await.unwrap();
    });
    let mut third = spawn(producer.feed(3));
    assert!(third.poll().is_pending());
    assert_eq!(consumer.try_read(), Ok(1));
    assert!(third.is_woken());
    assert!(matches!(third.poll(), Poll::Ready(Ok(()))));
    drop(third);
    assert_eq!(consumer.try_read(), Ok(2));
    block_on(producer.close()).unwrap();
    block_on(producer.close()).unwrap();

    assert_eq!(producer.try_write(4), Err(TryWriteError::Closed(4)));
    assert_eq!(producer.write(4), Err(WriteError(4)));
    assert!(producer.batch().try_write(4).is_err());
    assert!(producer.try_reserve(1).is_err());
    assert!(producer.is_closed());
    assert_eq!(block_on(producer.send(4)).unwrap_err().item, None);
    assert_eq!(consumer.try_read(), Ok(3));
    assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
    drop(producer);
    assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
}

#[test]
fn a_sink_that_was_closed_while_it_had_to_drain_refuses_at_once() {
    deadline(|| {
        let (mut producer, mut consumer) = full();
        assert!(producer.need_drain());
        block_on(producer.close()).unwrap();
        assert!(!producer.need_drain(), "no drain happens any more");
        assert!(matches!(
            spawn(producer.ready()).poll(),
            Poll::Ready(Err(_))
        ));
        assert_eq!(block_on(producer.write_async(3)), Err(WriteError(3)));
        assert_eq!(producer.write(3), Err(WriteError(3)));
        assert!(producer.wait_drain().is_err());
        assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(producer.monitor().stats().drains, 0);
    });
}

#[test]
fn a_sink_that_was_closed_and_then_read_to_its_end_has_finished() {
    let (mut producer, mut consumer) = full();
    block_on(producer.close()).unwrap();
    assert_eq!(consumer.try_iter().count(), 2);
    consumer.cancel("it has all it wants");
    assert_eq!(producer.monitor().state(), State::Finished);
    assert_eq!(block_on(producer.end()), Ok(()));
}

#[test]
fn a_sink_that_was_closed_after_a_cancel_has_not_finished() {
    let (mut producer, consumer) = highwater::channel::<u8>(2);
    consumer.cancel("because");
    block_on(producer.close()).unwrap();
    assert_eq!(producer.monitor().state(), State::Cancelled);
    assert!(block_on(producer.end()).is_err());
}

#[test]
fn a_sink_whose_consumer_is_gone_gives_the_item_back() {
    let (mut producer, consumer) = highwater::channel(2);
    consumer.cancel("because");
    let mut sink = Pin::new(&mut producer);
    let error = sink.as_mut().start_send(1).unwrap_err();
    assert_eq!(error.item, Some(1));
    assert_eq!(error.to_string(), "the consumer cancelled: because");
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

// ---- Runtimes ---------------------------------------------------------------------------------

/// How an end waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Thread,
    Task,
    /// By turns.
    Both,
}

const DOORS: [Door; 3] = [Door::Thread, Door::Task, Door::Both];

/// Through the smallest channels each item may be a wake-up.
fn items(capacity: usize) -> u64 {
    if capacity < 64 {
        ITEMS / 50
    } else {
        ITEMS
    }
}

async fn write_all(mut producer: Producer<u64>, door: Door) {
    for item in 0..items(producer.capacity()) {
        match (door, item % 3) {
            (Door::Task, 0) | (Door::Both, 0) => {
                producer.ready().await.unwrap();
                match producer.try_write(item) {
                    Ok(_) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (Door::Task, _) | (Door::Both, 1) => producer.write_async(item).await.unwrap(),
            _ => producer.write(item).unwrap(),
        }
    }
    producer.end().await.unwrap();
}

async fn read_all(mut consumer: Consumer<u64>, door: Door) {
    for expected in 0..items(consumer.capacity()) {
        let item = match (door, expected % 3) {
            (Door::Task, 0) | (Door::Both, 0) => consumer.next().await.unwrap(),
            (Door::Task, _) | (Door::Both, 1) => consumer.read_async().await,
            _ => consumer.read(),
        };
        assert_eq!(item, Ok(expected), "out of order, lost or doubled");
    }
    assert_eq!(consumer.read_async().await, Err(ReadError::Ended));
}

#[test]
fn every_mixture_of_doors_passes_every_item_in_order() {
    for full_fences in [false, true] {
        for capacity in [1, 2, 7, 1024] {
            for (writes, reads) in DOORS.iter().flat_map(|w| DOORS.map(|r| (*w, r))) {
                if full_fences && capacity != 7 {
                    continue;
                }
                deadline(move || {
                    let (producer, consumer) = Builder::new()
                        .high_water_mark(capacity)
                        .full_fences(full_fences)
                        .build()
                        .unwrap();
                    let writer = thread::spawn(move || block_on(write_all(producer, writes)));
                    block_on(read_all(consumer, reads));
                    writer.join().unwrap();
                });
            }
        }
    }
}

#[test]
fn two_tasks_of_one_thread_take_turns() {
    deadline(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for capacity in [1, 3, 500] {
            runtime.block_on(async move {
                let (producer, consumer) = highwater::channel(capacity);
                let writer = tokio::spawn(write_all(producer, Door::Task));
                read_all(consumer, Door::Task).await;
                writer.await.unwrap();
            });
        }
    });
}

#[test]
fn tasks_of_several_threads_and_threads_outside_share_channels() {
    deadline(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for capacity in [1, 2, 64] {
                let (producer, consumer) = highwater::channel(capacity);
                tasks.push(tokio::spawn(write_all(producer, Door::Task)));
                tasks.push(tokio::spawn(read_all(consumer, Door::Task)));
            }
            // A thread feeds a task, which feeds a thread.
            let (mut producer, mut input) = highwater::channel(8);
            let (mut output, consumer) = highwater::channel(8);
            let feeder = thread::spawn(move || {
                (0..items(8)).for_each(|item| producer.write(item).unwrap());
                producer.end();
            });
            let reader = thread::spawn(move || block_on(read_all(consumer, Door::Thread)));
            while let Some(item) = input.next().await {
                output.write_async(item.unwrap()).await.unwrap();
            }
            output.end().await.unwrap();
            feeder.join().unwrap();
            reader.join().unwrap();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn an_item_is_not_lost_in_a_select_that_another_branch_wins() {
    deadline(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut producer, mut consumer) = highwater::channel(2);
            let writer = tokio::spawn(async move {
                for item in 0..2000_u64 {
                    producer.write_async(item).await.unwrap();
                    if item % 7 == 0 {
                        tokio::time::sleep(Duration::from_micros(50)).await; // the pace, not a wait
                    }
                }
                producer.end();
            });
            let mut expected = 0;
            loop {
                tokio::select! {
                    read = consumer.read_async() => match read {
                        Ok(item) => {
                            assert_eq!(item, expected);
                            expected += 1;
                        }
                        Err(error) => {
                            assert_eq!(error, ReadError::Ended);
                            break;
                        }
                    },
                    () = tokio::task::yield_now() => {}
                }
            }
            assert_eq!(expected, 2000);
            writer.await.unwrap();
        });
    });
}

/// An executor that nobody would want: polls whether it was woken or not, and drops futures when it likes.
#[test]
fn random_polls_and_drops_lose_no_item_and_no_wake_up() {
    deadline(|| {
        for seed in 0..20 {
            let (mut producer, mut consumer) = highwater::channel(1 + seed as usize % 3);
            let items = ITEMS / 50;
            let writer = thread::spawn(move || {
                let mut random = Random::new(seed);
                let mut next = 0;
                while next < items {
                    let (bell, waker) = bell();
                    let mut ready = producer.ready();
                    let written = loop {
                        if let Poll::Ready(ready) = poll(&mut ready, &waker) {
                            ready.unwrap();
                            break true;
                        }
                        match random.below(3) {
                            0 => break false, // dropped
                            1 => {}           // polled for nothing
                            _ => eventually("the writer is woken", || bell.rings() > 0),
                        }
                    };
                    drop(ready);
                    if written && producer.try_write(next).is_ok() {
                        next += 1;
                    }
                }
                producer.end();
            });
            let mut random = Random::new(seed + 100);
            let mut expected = 0;
            loop {
                let (bell, waker) = bell();
                let mut read = consumer.read_async();
                let polled = loop {
                    if let Poll::Ready(item) = poll(&mut read, &waker) {
                        break Some(item);
                    }
                    match random.below(3) {
                        0 => break None,
                        1 => {}
                        _ => eventually("the reader is woken", || bell.rings() > 0),
                    }
                };
                match polled {
                    Some(Ok(item)) => {
                        assert_eq!(item, expected);
                        expected += 1;
                    }
                    Some(Err(error)) => {
                        assert_eq!(error, ReadError::Ended);
                        break;
                    }
                    None => {}
                }
            }
            assert_eq!(expected, items);
            writer.join().unwrap();
        }
    });
}

#[test]
fn a_task_can_wait_for_data_and_for_the_close_of_another_channel_at_once() {
    block_on(async {
        let (mut out, consumer) = highwater::channel::<u8>(1);
        let (mut producer, mut input) = highwater::channel(1);
        let both = async {
            let closed = pin!(out.closed());
            future::or(
                async {
                    closed.await;
                    None
                },
                async { Some(input.read_async().await) },
            )
            .await
        };
        let _ = producer.try_write(5).unwrap();
        assert_eq!(both.await, Some(Ok(5)));
        drop(consumer);
    });
}

// ---- What was forgotten -----------------------------------------------------------------------

/// An end that never waits gives way after so many turns.
const TURNS: usize = 128;

#[test]
fn a_turn_that_is_not_granted_leaves_what_a_forgotten_batch_holds_back_in_the_length() {
    let (_, waker) = bell();
    let (mut producer, _consumer) = highwater::channel(1000);
    for i in 0..TURNS {
        assert!(poll(&mut producer.write_async(i), &waker).is_ready());
    }
    let mut batch = producer.batch();
    for i in 0..2 {
        assert_eq!(batch.try_write(i), Ok(Flow::Ready));
    }
    mem::forget(batch);
    assert_eq!((producer.len(), producer.desired_size()), (130, 870));
    assert!(poll(&mut producer.write_async(0), &waker).is_pending());
    assert_eq!((producer.len(), producer.desired_size()), (130, 870));
}

#[test]
fn a_turn_that_is_not_granted_leaves_what_a_forgotten_chunk_has_read_at_its_end() {
    let (_, waker) = bell();
    let (mut producer, mut consumer) = highwater::channel(1000);
    producer.write_iter(0..TURNS + 2).unwrap();
    producer.end();
    for _ in 0..TURNS {
        assert!(poll(&mut consumer.read_async(), &waker).is_ready());
    }
    let mut items = consumer.try_chunk_up_to(2).unwrap().into_iter();
    assert_eq!(items.by_ref().count(), 2);
    mem::forget(items);
    assert!(consumer.is_ended());
    assert!(poll(&mut consumer.read_async(), &waker).is_pending());
    assert!(consumer.is_ended());
}

#[test]
fn what_was_written_as_the_consumer_went_is_dropped_by_the_close_of_a_sink() {
    let item = Arc::new(());
    let (mut producer, mut consumer) = highwater::channel(4);
    let mut chunk = producer.try_reserve(1).unwrap();
    chunk.push(item.clone()).unwrap();
    // Closed before it goes, so that to the producer this is an end, and no cancel.
    consumer.close();
    drop(consumer);
    let _ = chunk.commit();
    let (_bell, waker) = bell();
    let closed = Pin::new(&mut producer).poll_close(&mut Context::from_waker(&waker));
    assert!(closed.is_ready());
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_sink_whose_marks_are_both_at_the_capacity_waits_for_a_slot_and_for_no_more() {
    deadline(|| {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(4)
            .low_water_mark(4)
            .build()
            .unwrap();
        let (bell, waker) = bell();
        let room = |producer: &mut Producer<u32>| {
            Pin::new(producer)
                .poll_ready(&mut Context::from_waker(&waker))
                .is_ready()
        };
        for item in 1..=4 {
            assert!(room(&mut producer), "{item}");
            Pin::new(&mut producer).start_send(item).unwrap();
        }
        // Drained, by its marks, and full.
        assert!(!room(&mut producer));
        let before = bell.0.load(Ordering::SeqCst);
        assert_eq!(consumer.try_read(), Ok(1));
        assert!(bell.0.load(Ordering::SeqCst) > before, "nobody woke it");
        assert!(room(&mut producer));
        // By the fourth item, and as it found no slot: not where there was one.
        assert_eq!(producer.monitor().stats().times_told_to_stop, 2);
    });
}
