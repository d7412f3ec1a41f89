//! Whoever waits sleeps: a second of waiting costs no processor time, by the thread's own clock.
#![cfg(all(target_os = "linux", feature = "std"))]

mod common;

use common::eventually;
#[cfg(feature = "async")]
use futures_lite::future::block_on;
use highwater::{Builder, Consumer, Finish, Monitor, Producer, ReadError, TryReadError};
use rustix::time::{clock_gettime, ClockId};
#[cfg(feature = "eventfd")]
use rustix::{buffer::spare_capacity, event::epoll};
use std::{sync::mpsc, thread, time::Duration};

/// A side may look again for a while before it sleeps; a busy wait would use the whole second.
const LITTLE: Duration = Duration::from_millis(5);

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().expect("no time is negative"),
        time.tv_nsec.try_into().expect("no time is negative"),
    )
}

/// Runs `wait` in a thread, lets it sleep for a second, wakes it with `wake`, and looks at the CPU time
/// that the thread used for all of that.
#[track_caller]
fn assert_costs_nothing<T: Send + 'static>(
    parks: impl Fn() -> usize,
    wait: impl FnOnce() -> T + Send + 'static,
    wake: impl FnOnce(),
) -> T {
    let waiting = thread::spawn(move || {
        let before = cpu_time();
        let result = wait();
        (result, cpu_time() - before)
    });
    eventually("the waiting side sleeps", || parks() > 0);
    // Not to wait for a state: the second is what is measured.
    thread::sleep(Duration::from_secs(1));
    wake();
    let (result, used) = waiting.join().expect("the wait is over");
    assert!(used < LITTLE, "{used:?} for a second of waiting");
    assert!(parks() < 10, "woken {} times in vain", parks() - 1);
    result
}

fn ends(full_fences: bool) -> (Producer<u8>, Consumer<u8>, Monitor) {
    let (producer, consumer) = Builder::new()
        .high_water_mark(2)
        .full_fences(full_fences)
        .build()
        .expect("legal marks");
    let monitor = producer.monitor();
    (producer, consumer, monitor)
}

fn a_waiting_consumer(full_fences: bool) {
    let (mut producer, mut consumer, monitor) = ends(full_fences);
    let read = assert_costs_nothing(
        || monitor.stats().consumer_parks,
        move || consumer.read(),
        || producer.write(7).expect("the consumer is there"),
    );
    assert_eq!(read, Ok(7));
}

fn a_waiting_producer(full_fences: bool) {
    let (mut producer, mut consumer, monitor) = ends(full_fences);
    for i in 0..2 {
        producer.write(i).expect("there is room");
    }
    let written = assert_costs_nothing(
        || monitor.stats().producer_parks,
        move || producer.write(2),
        || assert_eq!(consumer.try_read(), Ok(0)), // to the low-water mark
    );
    assert_eq!(written, Ok(()));
    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2]);
}

fn a_waiting_finish(full_fences: bool) {
    let (mut producer, mut consumer, monitor) = ends(full_fences);
    producer.write(1).expect("there is room");
    let finish: Finish = producer.end();
    let finished = assert_costs_nothing(
        || monitor.stats().producer_parks,
        move || finish.wait(),
        || assert_eq!(consumer.read(), Ok(1)),
    );
    assert!(finished.is_ok());
    assert_eq!(consumer.read(), Err(ReadError::Ended));
}

/// With a deadline that is far away, as the clock is then asked as well.
fn a_consumer_with_a_deadline(full_fences: bool) {
    let (mut producer, mut consumer, monitor) = ends(full_fences);
    let read = assert_costs_nothing(
        || monitor.stats().consumer_parks,
        move || consumer.read_timeout(Duration::from_secs(600)),
        || producer.write(7).expect("the consumer is there"),
    );
    assert_eq!(read, Ok(7));
}

#[test]
fn a_waiting_consumer_uses_no_cpu() {
    a_waiting_consumer(false);
}

#[test]
fn a_waiting_consumer_uses_no_cpu_with_full_fences() {
    a_waiting_consumer(true);
}

#[test]
fn a_waiting_producer_uses_no_cpu() {
    a_waiting_producer(false);
}

#[test]
fn a_waiting_producer_uses_no_cpu_with_full_fences() {
    a_waiting_producer(true);
}

#[test]
fn a_waiting_finish_uses_no_cpu() {
    a_waiting_finish(false);
}

#[test]
fn a_waiting_finish_uses_no_cpu_with_full_fences() {
    a_waiting_finish(true);
}

#[test]
fn a_wait_with_a_deadline_uses_no_cpu() {
    a_consumer_with_a_deadline(false);
}

/// An executor with one task, which parks its thread.
#[cfg(feature = "async")]
#[test]
fn a_waiting_task_uses_no_cpu() {
    let (mut producer, mut consumer, monitor) = ends(false);
    let read = assert_costs_nothing(
        || monitor.stats().consumer_parks,
        move || block_on(consumer.read_async()),
        || producer.write(7).expect("the consumer is there"),
    );
    assert_eq!(read, Ok(7));
}

/// How often a loop waits until there is something to read.
fn turns_to_an_item(consumer: &mut Consumer<u8>, mut wait: impl FnMut()) -> usize {
    let mut turns = 0;
    while consumer.try_read() == Err(TryReadError::Empty) {
        wait();
        turns += 1;
    }
    turns
}

/// A loop that waits for the descriptor with epoll and reads whatever is there.
#[cfg(feature = "eventfd")]
#[test]
fn a_waiting_event_loop_uses_no_cpu() {
    let (mut producer, mut consumer, monitor) = ends(false);
    let ready = consumer.ready_fd().expect("a descriptor is left");
    let event_loop = move || {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &ready, data, epoll::EventFlags::IN).unwrap();
        let mut events = Vec::with_capacity(1);
        turns_to_an_item(&mut consumer, || {
            epoll::wait(&epoll, spare_capacity(&mut events), None).unwrap();
            events.clear();
        })
    };
    let turns = assert_costs_nothing(
        || monitor.stats().consumer_parks,
        event_loop,
        || producer.write(7).expect("the consumer is there"),
    );
    assert_eq!(turns, 1, "it was woken for the item alone");
}

/// A loop of another kind, which a callback sends a message. Whoever waits there is not the channel's: it must not be
/// called in vain.
#[test]
fn a_loop_that_waits_for_a_callback_uses_no_cpu() {
    let (mut producer, mut consumer, monitor) = ends(false);
    let (events, event_loop) = mpsc::channel();
    consumer.on_ready(move || {
        let _ = events.send(());
    });
    let event_loop = move || {
        turns_to_an_item(&mut consumer, || {
            event_loop.recv().expect("the consumer has the callback");
        })
    };
    let turns = assert_costs_nothing(
        || monitor.stats().consumer_parks,
        event_loop,
        || producer.write(7).expect("the consumer is there"),
    );
    assert_eq!(turns, 1, "it was called for the item alone");
}
