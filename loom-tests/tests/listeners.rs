//! Event loops: a descriptor, as its counter, and a callback, against what makes them fire.

use highwater::{
    Builder, Consumer, EventFd, Flow, Producer, ReadError, ReadTimeoutError, TryReadError,
    TryWriteError,
};
use loom::thread;
use loom_tests::{
    at_once, drained_ends as ends, exhaustive_model, exhaustive_model_in_both_modes, in_both_modes,
    model, Bell, Goes, Leaves,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    task::{Context, Wake, Waker},
};

/// A callback, and how often it was called.
fn counted() -> (Arc<AtomicUsize>, impl Fn() + Send + Sync + 'static) {
    let calls = Arc::<AtomicUsize>::default();
    let counter = calls.clone();
    let call = move || {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    (calls, call)
}

/// Ends with a mark of 1, and how often the producer's callback was called.
fn ends_and_calls(builder: Builder) -> (Producer<usize>, Consumer<usize>, Arc<AtomicUsize>) {
    let (mut producer, consumer) = ends(builder, 1);
    let (calls, call) = counted();
    producer.on_drain(call);
    (producer, consumer, calls)
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
    in_both_modes(980, |builder| {
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
    exhaustive_model_in_both_modes(1300, |builder| {
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
    model(8700, || {
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
fn a_producer_that_goes_makes_the_descriptor_readable_and_it_stays_so() {
    for goes in Goes::ALL {
        exhaustive_model(7, move || {
            let (producer, mut consumer) = highwater::channel(1);
            let fd = consumer.ready_fd().unwrap();
            let writer = thread::spawn(move || goes.apply(producer));
            let error = read_in_loop(&mut consumer, &fd).unwrap_err();
            goes.check(&error.into_read_error().unwrap());
            writer.join().unwrap();
            assert!(fd.is_readable());
        });
    }
}

#[test]
fn a_consumer_that_goes_or_closes_makes_the_producers_descriptor_readable() {
    for leaves in Leaves::ALL {
        exhaustive_model(940, move || {
            let (mut producer, consumer) = ends(Builder::new(), 1);
            let fd = producer.drain_fd().unwrap();
            let _ = producer.try_write(1).unwrap();
            let reader = thread::spawn(move || leaves.apply(consumer));
            while producer.need_drain() {
                fd.wait_readable();
            }
            assert!(producer.is_closed());
            drop(reader.join().unwrap());
            assert!(fd.is_readable());
        });
    }
}

#[test]
fn a_callback_hears_of_either_end_that_goes_if_it_was_told_to_wait() {
    for goes in Goes::ALL {
        exhaustive_model(14, move || {
            let (producer, mut consumer) = ends::<usize>(Builder::new(), 1);
            let (calls, call) = counted();
            consumer.on_ready(call);
            let writer = thread::spawn(move || goes.apply(producer));
            let was_told = consumer.try_read() == Err(TryReadError::Empty);
            writer.join().unwrap();
            assert!(!was_told || calls.load(Ordering::Relaxed) > 0);
        });
    }
    for leaves in Leaves::ALL {
        exhaustive_model(160, move || {
            let (mut producer, consumer) = ends(Builder::new(), 1);
            let (calls, call) = counted();
            producer.on_drain(call);
            let reader = thread::spawn(move || leaves.apply(consumer));
            let was_told = producer.try_write(1) == Ok(Flow::Backpressure);
            // If it is still there: as it goes it rings in any case.
            let _consumer = reader.join().unwrap();
            assert!(!was_told || calls.load(Ordering::Relaxed) > 0);
        });
    }
}

#[test]
fn a_wait_in_a_thread_between_two_in_a_loop_misses_nothing() {
    in_both_modes(3800, |builder| {
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

#[test]
fn a_wait_that_gives_up_between_two_in_a_loop_misses_nothing() {
    exhaustive_model_in_both_modes(1100, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let deadline = loom_tests::Instant::new();
        deadline.pass();
        let _ = producer.wait_drain_deadline(deadline);
        fd.wait_readable();
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_callback_is_called_if_the_wait_that_took_its_place_gives_up() {
    exhaustive_model_in_both_modes(2600, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        consumer.on_ready(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        if consumer.try_read() == Err(TryReadError::Empty) {
            let deadline = loom_tests::Instant::new();
            deadline.pass();
            if consumer.read_deadline(deadline) == Err(ReadTimeoutError::Timeout) {
                assert!(calls.load(Ordering::Relaxed) > 0, "it was asked for");
            }
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn an_end_that_comes_as_the_loop_finds_nothing_is_not_missed() {
    in_both_modes(780, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            drop(producer.end());
        });
        let fd = consumer.ready_fd().unwrap();
        assert_eq!(read_in_loop(&mut consumer, &fd), Ok(1));
        assert_eq!(read_in_loop(&mut consumer, &fd), Err(TryReadError::Ended));
        writer.join().unwrap();
    });
}

#[test]
fn a_chunk_of_two_makes_a_descriptor_readable_that_is_armed_between_them() {
    in_both_modes(880, |builder| {
        let (mut producer, mut consumer) = ends(builder, 3);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let mut batch = producer.batch();
            let _ = batch.try_write(2).unwrap();
            drop(batch);
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        while consumer.try_chunk(2).is_err() {
            fd.wait_readable();
        }
        drop(writer.join().unwrap());
    });
}

/// What a finish says in a loop, when the consumer has read so many of two items and then goes.
fn finish_in_loop(builder: Builder, reads: usize) -> bool {
    let (mut producer, mut consumer) = ends(builder, 2);
    let _ = producer.try_write(0).unwrap();
    let _ = producer.try_write(1).unwrap();
    let mut finish = producer.end();
    let reader = thread::spawn(move || {
        for i in 0..reads {
            assert_eq!(consumer.try_read(), Ok(i));
        }
    });
    let fd = finish.finish_fd().unwrap();
    let is_finished = loop {
        match finish.try_wait() {
            Ok(false) => fd.wait_readable(),
            Ok(true) => break true,
            Err(_) => break false,
        }
    };
    reader.join().unwrap();
    assert!(fd.is_readable());
    is_finished
}

#[test]
fn a_finish_in_a_loop_hears_of_the_last_item_and_of_a_consumer_that_goes() {
    in_both_modes(1100, |builder| assert!(finish_in_loop(builder, 2)));
    in_both_modes(120, |builder| assert!(!finish_in_loop(builder, 0)));
}

/// Does nothing.
struct Deaf;

impl Wake for Deaf {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_poll_that_is_given_up_before_a_loop_misses_nothing() {
    exhaustive_model_in_both_modes(5800, |builder| {
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
fn a_poll_that_is_forgotten_before_a_loop_misses_nothing() {
    exhaustive_model_in_both_modes(7, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let fd = consumer.ready_fd().unwrap();
        let waker = Waker::from(Arc::new(Deaf));
        let mut read = consumer.read_async();
        assert!(Pin::new(&mut read)
            .poll(&mut Context::from_waker(&waker))
            .is_pending());
        std::mem::forget(read);
        assert!(fd.is_readable());
        assert!(consumer.try_read().is_err());
        assert!(!fd.is_readable());
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        fd.wait_readable();
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_task_that_waited_for_drain_leaves_a_loop_nothing_to_miss() {
    in_both_modes(670, |builder| {
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
fn a_read_that_is_polled_again_as_two_items_come_leaves_a_loop_nothing_to_miss() {
    in_both_modes(400, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let fd = consumer.ready_fd().unwrap();
        let waker = Waker::from(Arc::new(Deaf));
        let mut read = consumer.read_async();
        assert!(Pin::new(&mut read)
            .poll(&mut Context::from_waker(&waker))
            .is_pending());
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let _ = producer.try_write(2).unwrap();
            producer
        });
        let _ = Pin::new(&mut read).poll(&mut Context::from_waker(&waker));
        drop(read);
        let _producer = writer.join().unwrap();
        assert!(fd.is_readable());
    });
}

#[test]
fn a_callback_hears_of_a_drain_that_comes_as_the_producer_is_told_to_stop() {
    exhaustive_model_in_both_modes(470, |builder| {
        let (mut producer, mut consumer, calls) = ends_and_calls(builder);
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
    exhaustive_model_in_both_modes(350, |builder| {
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
fn a_callback_hears_of_the_second_item_too() {
    in_both_modes(600, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let (calls, call) = counted();
        consumer.on_ready(call);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let _ = producer.try_write(2).unwrap();
            producer
        });
        loom_tests::poll(|| consumer.try_read().ok());
        let before = calls.load(Ordering::Relaxed);
        let second = consumer.try_read();
        let _producer = writer.join().unwrap();
        if second.is_err() {
            assert!(calls.load(Ordering::Relaxed) > before);
        }
    });
}

#[test]
fn a_callback_hears_of_an_item_that_comes_as_a_descriptor_joins_it() {
    exhaustive_model_in_both_modes(300, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let (calls, call) = counted();
        consumer.on_ready(call);
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
fn a_callback_that_waits_for_several_items_hears_of_them_though_a_descriptor_joins_it_between_them()
{
    in_both_modes(210, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let (calls, call) = counted();
        consumer.on_ready(call);
        assert!(consumer.try_chunk(2).is_err());
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let _ = producer.try_write(2).unwrap();
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        let _producer = writer.join().unwrap();
        assert!(calls.load(Ordering::Relaxed) >= 1);
        assert!(fd.is_readable());
    });
}

#[test]
fn a_callback_hears_of_a_drain_though_a_task_waits_for_the_close() {
    exhaustive_model_in_both_modes(63, |builder| {
        let (mut producer, mut consumer, calls) = ends_and_calls(builder);
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let task = Arc::<Bell>::default();
        let waker = Waker::from(task.clone());
        let mut closed = producer.closed();
        let mut polled = || Pin::new(&mut closed).poll(&mut Context::from_waker(&waker));
        assert!(polled().is_pending());
        let _consumer = reader.join().unwrap();
        if task.rings() > 0 {
            assert!(polled().is_pending());
        }
        // Once too often, if it was called right before the task took its place.
        let calls = calls.load(Ordering::Relaxed);
        assert!((1..=2).contains(&calls), "{calls}");
    });
}

#[test]
fn marks_that_change_while_the_descriptor_is_armed_miss_no_drain() {
    exhaustive_model_in_both_modes(5100, |builder| {
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
fn a_raised_mark_makes_the_descriptor_readable_by_itself() {
    exhaustive_model_in_both_modes(220, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let _ = producer.try_write(2).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        producer.set_low_water_mark(1).unwrap();
        // Nothing is asked in between.
        fd.wait_readable();
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_callback_hears_of_a_drain_that_the_producer_finds_itself() {
    exhaustive_model_in_both_modes(580, |builder| {
        let (mut producer, mut consumer, calls) = ends_and_calls(builder);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let _ = producer.need_drain();
        drop(reader.join().unwrap());
        assert!(calls.load(Ordering::Relaxed) > 0);
        assert!(fd.is_readable());
    });
}

#[test]
fn a_callback_hears_of_each_drain_though_it_was_called_for_the_one_before() {
    exhaustive_model_in_both_modes(210, |builder| {
        let (mut producer, mut consumer, calls) = ends_and_calls(builder);
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        assert_eq!(consumer.try_read(), Ok(1));
        let before = calls.load(Ordering::Relaxed);
        assert!(before > 0);
        // What is read by the time the write looks at it has passed nothing that was announced.
        let reader = thread::spawn(move || {
            let _ = consumer.try_read();
            consumer
        });
        assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
        let mut consumer = reader.join().unwrap();
        let _ = consumer.try_read();
        assert!(calls.load(Ordering::Relaxed) > before);
    });
}

/// The call for the first stop may be late: its drain has been seen, and the Waker that it takes is of the second stop. So whoever
/// `is_stopped` by a look behind that has to be called again.
fn look_behind_a_late_call(at_least: usize, is_stopped: fn(&mut Producer<usize>) -> bool) {
    in_both_modes(at_least, move |builder| {
        let (mut producer, mut consumer, calls) = ends_and_calls(builder);
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        if producer.need_drain() {
            return;
        }
        assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
        let mut consumer = reader.join().unwrap();
        let before = calls.load(Ordering::Relaxed);
        let reader = thread::spawn(move || assert_eq!(consumer.try_read(), Ok(2)));
        let is_stopped = is_stopped(&mut producer);
        reader.join().unwrap();
        assert!(!is_stopped || calls.load(Ordering::Relaxed) > before);
    });
}

#[test]
fn a_callback_hears_of_each_drain_though_the_call_for_the_one_before_is_late() {
    look_behind_a_late_call(700, |producer| producer.need_drain());
    look_behind_a_late_call(800, |producer| {
        producer.try_write(3) == Err(TryWriteError::WouldBlock(3))
    });
}

#[test]
fn a_callback_hears_of_a_drain_that_the_batch_which_was_told_to_stop_finds_itself() {
    in_both_modes(710, |builder| {
        let (mut producer, mut consumer) = builder
            .high_water_mark(3)
            .low_water_mark(1)
            .capacity(4)
            .build()
            .unwrap();
        let (calls, call) = counted();
        producer.on_drain(call);
        assert_eq!(producer.try_write(1), Ok(Flow::Ready));
        assert_eq!(producer.try_write(2), Ok(Flow::Ready));
        let reader = thread::spawn(move || {
            let _ = consumer.try_read();
            let _ = consumer.try_read();
            consumer
        });
        let mut batch = producer.batch();
        let mut is_stopped = false;
        for i in 3..5 {
            is_stopped |= batch.try_write(i) != Ok(Flow::Ready);
        }
        drop(batch);
        let mut consumer = reader.join().unwrap();
        for _ in consumer.try_iter() {}
        assert!(!is_stopped || calls.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_refused_item_that_was_given_up_does_not_hold_back_the_drain() {
    in_both_modes(1100, |builder| {
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
    model(2000, || {
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
fn a_loop_that_writes_looks_again_by_itself_until_the_other_side_uses_fences() {
    exhaustive_model(20_000, || {
        let (mut producer, mut consumer) = ends(Builder::new().refused_barrier(), 1);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        loom_tests::poll(|| {
            fd.wait_readable();
            (!producer.need_drain()).then_some(())
        });
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_descriptor_that_nobody_waits_for_changes_nothing_for_a_thread() {
    model(3000, || {
        let (mut producer, mut consumer) = ends(Builder::new(), 1);
        let _fd = consumer.ready_fd().unwrap();
        let writer = thread::spawn(move || producer.write(1).map(|()| producer.end()));
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(consumer.read(), Err(ReadError::Ended));
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_batch_up_to_the_mark_arms_the_descriptor_as_it_is_published() {
    exhaustive_model_in_both_modes(1000, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        let reader = thread::spawn(move || {
            loom_tests::poll(|| consumer.try_read().ok());
            consumer
        });
        let mut c = producer.batch();
        assert_eq!(c.try_write(1), Ok(Flow::Backpressure));
        drop(c);
        fd.wait_readable();
        drop(reader.join().unwrap());
        assert!(!producer.need_drain());
    });
}

#[test]
fn a_chunk_that_is_too_large_yet_is_there_when_the_descriptor_says_so() {
    in_both_modes(430, |builder| {
        let (mut producer, mut consumer) = ends(builder, 3);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let mut b = producer.batch();
            let _ = b.try_write(2).unwrap();
            drop(b);
            producer
        });
        let fd = consumer.ready_fd().unwrap();
        let n = loop {
            fd.wait_readable();
            match consumer.try_chunk(2) {
                Ok(c) => break c.len(),
                Err(e) => assert_eq!(e, highwater::TryChunkError::Read(TryReadError::Empty)),
            }
        };
        assert_eq!(n, 2);
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_commit_up_to_the_mark_arms_the_descriptor() {
    exhaustive_model_in_both_modes(1800, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        let reader = thread::spawn(move || {
            loom_tests::poll(|| consumer.try_read().ok());
            consumer
        });
        let mut c = producer.try_reserve(1).unwrap();
        c.push(1).unwrap();
        assert_eq!(c.commit(), Flow::Backpressure);
        fd.wait_readable();
        drop(reader.join().unwrap());
        assert!(!producer.need_drain());
    });
}

#[test]
fn a_callback_that_joins_a_descriptor_as_the_drain_comes_hears_of_it_and_so_does_the_descriptor() {
    exhaustive_model_in_both_modes(1300, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let _ = producer.try_write(1).unwrap();
        let fd = producer.drain_fd().unwrap();
        assert!(!fd.is_readable());
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let calls = Arc::<AtomicUsize>::default();
        producer.on_drain({
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _consumer = reader.join().unwrap();
        assert!(fd.is_readable());
        // It may come once too often.
        assert!((1..=2).contains(&calls.load(Ordering::Relaxed)));
    });
}

#[test]
fn a_question_after_a_wait_that_gave_up_arms_the_descriptor() {
    in_both_modes(450, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let deadline = loom_tests::Instant::new();
        deadline.pass();
        if producer.wait_drain_deadline(deadline).is_err() {
            assert!(fd.is_readable());
            if producer.need_drain() {
                fd.wait_readable();
            }
        }
        let _consumer = reader.join().unwrap();
        assert!(!producer.need_drain());
    });
}

#[test]
fn a_ready_that_is_polled_again_as_the_drain_comes_leaves_the_descriptor_readable_or_armed() {
    exhaustive_model_in_both_modes(260, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1);
        let fd = producer.drain_fd().unwrap();
        let _ = producer.try_write(1).unwrap();
        let waker = Waker::from(Arc::new(Deaf));
        let mut cx = Context::from_waker(&waker);
        let mut ready = producer.ready();
        assert!(Pin::new(&mut ready).poll(&mut cx).is_pending());
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        let _ = Pin::new(&mut ready).poll(&mut cx);
        drop(ready);
        drop(reader.join().unwrap());
        assert!(fd.is_readable());
    });
}

#[test]
fn who_was_told_that_nothing_is_there_hears_of_the_next_item_once() {
    exhaustive_model_in_both_modes(690, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2);
        let calls = Arc::<AtomicUsize>::default();
        let c = calls.clone();
        let fd = consumer.ready_fd().unwrap();
        consumer.on_ready(move || {
            c.fetch_add(1, Ordering::Relaxed);
        });
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer
        });
        let first = consumer.try_read().is_err() && consumer.try_read().is_err();
        let _p = writer.join().unwrap();
        if first {
            assert!(fd.is_readable());
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        }
    });
}

#[test]
fn a_callback_hears_of_a_drain_though_the_mark_moves_as_it_waits() {
    // The mark before and after, and how many are read of three: only the last one brings the drain.
    for (before, after, reads) in [(0, 1, 2), (0, 2, 1), (1, 0, 3)] {
        exhaustive_model_in_both_modes(54, move |builder| {
            let (mut producer, mut consumer) = ends(builder, 3);
            let (calls, call) = counted();
            producer.on_drain(call);
            producer.set_low_water_mark(before).unwrap();
            at_once::commit(&mut producer, 0..3);
            let reader = thread::spawn(move || {
                for i in 0..reads {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            producer.set_low_water_mark(after).unwrap();
            let _consumer = reader.join().unwrap();
            assert!(calls.load(Ordering::Relaxed) > 0);
            assert!(!producer.need_drain());
        });
    }
}

#[test]
fn a_callback_and_a_descriptor_hear_of_items_that_come_at_once() {
    for (number, write) in at_once::WRITES.into_iter().enumerate() {
        let count = 1 + number % 3;
        exhaustive_model_in_both_modes(120, move |builder| {
            let (mut producer, mut consumer) = ends(builder, count);
            let (calls, call) = counted();
            consumer.on_ready(call);
            let fd = consumer.ready_fd().unwrap();
            let writer = thread::spawn(move || {
                write(&mut producer, 0..count);
                producer
            });
            let first = consumer.try_read();
            let _producer = writer.join().unwrap();
            if first.is_err() {
                assert_eq!(calls.load(Ordering::Relaxed), 1);
                assert!(fd.is_readable());
            }
            assert_eq!(consumer.len() + usize::from(first.is_ok()), count);
        });
    }
}

#[test]
fn a_callback_and_a_descriptor_hear_of_slots_that_come_back_at_once() {
    for (number, read) in at_once::READS.into_iter().enumerate() {
        let capacity = 1 + number % 3;
        exhaustive_model(1700, move || {
            let (mut producer, mut consumer) = ends(Builder::new(), capacity);
            // They move the index past what is awaited.
            producer.set_low_water_mark(capacity - 1).unwrap();
            at_once::commit(&mut producer, 0..capacity);
            let reader = thread::spawn(move || {
                let items: Vec<_> = (0..capacity).collect();
                read(&mut consumer, &items);
                consumer
            });
            let (calls, call) = counted();
            producer.on_drain(call);
            let fd = producer.drain_fd().unwrap();
            let _consumer = reader.join().unwrap();
            assert!(calls.load(Ordering::Relaxed) > 0);
            assert!(fd.is_readable());
        });
    }
}
