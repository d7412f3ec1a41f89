//! The door for event loops: when a descriptor is readable and when it is not, callbacks, and real loops
//! of epoll, mio, polling and tokio.
#![cfg(target_os = "linux")]
// The minimum Rust version is the library's; what the tests depend on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;
#[path = "common/process.rs"]
mod process;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[path = "common/sandbox.rs"]
mod sandbox;

use common::{while_progress, Progress, Random, LONG};
#[cfg(feature = "async")]
use futures_lite::{future::block_on, StreamExt};
use highwater::{
    barrier, Builder, ByteConsumer, ByteProducer, Bytes, Consumer, EventFd, Finish, Flow,
    NonBlocking, Producer, ReadError, TryReadError, TryReserveError, TryWriteError,
    WriteTimeoutError,
};
use mio::unix::SourceFd;
use rustix::{
    buffer::spare_capacity,
    event::{epoll, poll, PollFd, PollFlags, Timespec},
    io::Errno,
    process::{getrlimit, setrlimit, Resource, Rlimit},
};
use std::{
    error::Error,
    fs,
    io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc, Arc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::io::{unix::AsyncFd, Interest};

const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn is_readable(fd: &EventFd) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&AT_ONCE)).unwrap() == 1
}

fn wait_readable(fd: &EventFd) {
    poll(&mut [PollFd::new(fd, PollFlags::IN)], None).unwrap();
}

/// How often a callback was called.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn callback(&self) -> impl Fn() + Send + Sync + 'static {
        let calls = self.0.clone();
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the callback still exists.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

fn channel(high: usize, low: usize, capacity: usize) -> (Producer<u8>, Consumer<u8>) {
    Builder::new()
        .high_water_mark(high)
        .low_water_mark(low)
        .capacity(capacity)
        .build()
        .unwrap()
}

/// Told to stop, and with a descriptor that is armed.
fn stopped() -> (Producer<u8>, Consumer<u8>, EventFd) {
    let (mut producer, consumer) = channel(2, 0, 2);
    let fd = producer.drain_fd().unwrap();
    producer.write_all(&[1, 2]).unwrap();
    assert!(!is_readable(&fd));
    (producer, consumer, fd)
}

/// Empty, and with a descriptor that is armed.
fn empty() -> (Producer<u8>, Consumer<u8>, EventFd) {
    let (producer, mut consumer) = highwater::channel(4);
    let fd = consumer.ready_fd().unwrap();
    assert!(!is_readable(&fd));
    (producer, consumer, fd)
}

// ---- When a descriptor is readable ------------------------------------------------------------

#[test]
fn a_descriptor_begins_readable_if_there_is_something_to_do_already() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    assert!(!is_readable(&consumer.ready_fd().unwrap()));
    assert!(is_readable(&producer.drain_fd().unwrap()));

    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.write_all(&[1, 2]).unwrap();
    assert!(is_readable(&consumer.ready_fd().unwrap()));
    assert!(!is_readable(&producer.drain_fd().unwrap()));

    // Told to stop, and drained since.
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.write_all(&[1, 2]).unwrap();
    assert_eq!(consumer.try_iter().count(), 2);
    let fd = producer.drain_fd().unwrap();
    assert!(is_readable(&fd));
    assert_eq!(fd.acknowledge(), 0, "nobody has notified it");

    let (producer, mut consumer) = channel(2, 0, 2);
    drop(producer);
    assert!(is_readable(&consumer.ready_fd().unwrap()));
    let (mut producer, consumer) = channel(2, 0, 2);
    producer.write_all(&[1, 2]).unwrap();
    drop(consumer);
    assert!(is_readable(&producer.drain_fd().unwrap()));
}

#[test]
fn asked_for_again_it_is_the_same_descriptor_also_if_a_callback_came_between() {
    let (mut producer, mut consumer) = highwater::channel::<u8>(4);
    let (drain, ready) = (producer.drain_fd().unwrap(), consumer.ready_fd().unwrap());
    producer.on_drain(|| ());
    consumer.on_ready(|| ());
    consumer.clear_on_ready();
    assert_eq!(
        producer.drain_fd().unwrap().as_raw_fd(),
        drain.clone().as_raw_fd()
    );
    assert_eq!(
        consumer.ready_fd().unwrap().as_raw_fd(),
        ready.clone().as_raw_fd()
    );
    assert_ne!(drain.as_raw_fd(), ready.as_raw_fd());
}

#[test]
fn acknowledge_counts_the_waits_that_the_other_end_has_ended_and_changes_nothing() {
    let (mut producer, mut consumer, fd) = empty();
    assert_eq!(fd.acknowledge(), 0);
    for round in 1..=3 {
        producer.write_all(&[1, 2, 3]).unwrap();
        assert_eq!(consumer.try_iter().count(), 3);
        producer.write_all(&[4]).unwrap();
        assert_eq!(consumer.try_read(), Ok(4));
        assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
        assert_eq!(consumer.monitor().stats().consumer_wake_ups, 2 * round);
    }
    producer.write_all(&[1]).unwrap();
    producer.write_all(&[2]).unwrap();
    assert_eq!(fd.acknowledge(), 7, "the last two were one wait");
    assert_eq!(fd.acknowledge(), 0);
    assert!(is_readable(&fd));
    assert_eq!(consumer.try_read(), Ok(1));
    assert!(is_readable(&fd));
}

/// The name of an operation, and one that says whether it found too little.
type Attempt<E> = (&'static str, fn(&mut E) -> bool);

fn would_block<T>(result: io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

const READS: [Attempt<ByteConsumer>; 9] = [
    ("try_read", |end| end.get_mut().try_read().is_err()),
    ("try_iter", |end| end.get_mut().try_iter().next().is_none()),
    ("peek", |end| end.get_mut().peek().is_none()),
    ("try_read_slice", |end| {
        end.get_mut().try_read_slice(&mut [0; 4]).is_err()
    }),
    ("try_chunk_up_to", |end| {
        end.get_mut().try_chunk_up_to(4).is_err()
    }),
    ("try_chunk", |end| end.get_mut().try_chunk(1).is_err()),
    ("Read::read", |end| {
        would_block(NonBlocking::new(end).read(&mut [0; 4]))
    }),
    ("Read::read_vectored", |end| {
        let mut buffer = [0; 4];
        would_block(NonBlocking::new(end).read_vectored(&mut [IoSliceMut::new(&mut buffer)]))
    }),
    ("BufRead::fill_buf", |end| {
        would_block(NonBlocking::new(end).fill_buf().map(<[u8]>::len))
    }),
];

#[test]
fn each_operation_that_finds_nothing_to_read_makes_it_unreadable_until_there_is() {
    for (name, read) in READS {
        let (mut producer, mut consumer) = highwater::bytes(8);
        let fd = consumer.get_mut().ready_fd().unwrap();
        for round in 0..3 {
            assert!(read(&mut consumer), "{name}, {round}");
            assert!(!is_readable(&fd), "{name}, {round}");
            producer.write_all(b"ab").unwrap();
            assert!(is_readable(&fd), "{name}, {round}");
            assert_eq!(fd.acknowledge(), 1, "{name}, {round}");
            assert!(!read(&mut consumer), "{name}, {round}");
            assert!(is_readable(&fd), "{name}, {round}: until it would block");
            while !consumer.get_ref().is_empty() {
                consumer.read_exact(&mut [0]).unwrap();
            }
        }
    }
}

#[test]
fn a_chunk_of_a_certain_size_makes_it_readable_with_its_last_item_or_at_the_end() {
    let (mut producer, mut consumer, fd) = empty();
    producer.write_all(&[1, 2]).unwrap();
    assert!(consumer.try_chunk(3).is_err());
    assert!(!is_readable(&fd));
    producer.write_all(&[3]).unwrap();
    assert!(is_readable(&fd));
    consumer.try_chunk(3).unwrap().consume_all();

    producer.write_all(&[4, 5]).unwrap();
    assert!(consumer.try_chunk(4).is_err());
    assert!(!is_readable(&fd));
    // Fewer are enough now.
    assert_eq!(consumer.try_read(), Ok(4));
    assert!(consumer.try_chunk(2).is_err());
    assert!(!is_readable(&fd));
    producer.write_all(&[6]).unwrap();
    assert!(is_readable(&fd));
    assert!(consumer.try_chunk(3).is_err());
    assert!(!is_readable(&fd));
    producer.end();
    assert!(is_readable(&fd));
    assert_eq!(consumer.try_chunk(3).unwrap().len(), 2);
}

/// An operation that tells the producer to stop, in a channel of 4 slots.
struct Stop {
    name: &'static str,
    marks: (usize, usize),
    /// How many items are there before.
    filled: usize,
    /// Returns whether it said stop, if it says that.
    stop: fn(&mut ByteProducer) -> bool,
    /// How many have to be read for a drain.
    reads: usize,
}

const fn to_the_mark(
    name: &'static str,
    filled: usize,
    stop: fn(&mut ByteProducer) -> bool,
) -> Stop {
    Stop {
        name,
        marks: (4, 2),
        filled,
        stop,
        reads: 2,
    }
}

/// With both marks at the capacity a full channel counts as drained, until an item is refused.
const fn refused(name: &'static str, stop: fn(&mut ByteProducer) -> bool) -> Stop {
    Stop {
        name,
        marks: (4, 4),
        filled: 4,
        stop,
        reads: 1,
    }
}

const STOPS: [Stop; 15] = [
    to_the_mark("try_write", 3, |end| {
        end.get_mut().try_write(9) == Ok(Flow::Backpressure)
    }),
    to_the_mark("try_write_slice", 2, |end| {
        end.get_mut().try_write_slice(&[8, 9]) == Ok(2)
    }),
    to_the_mark("commit", 3, |end| {
        let mut chunk = end.get_mut().try_reserve(1).unwrap();
        chunk.fill([9]);
        chunk.commit() == Flow::Backpressure
    }),
    to_the_mark("commit_first", 2, |end| {
        let mut chunk = end.get_mut().try_reserve_up_to(9).unwrap();
        chunk.fill([8, 9]);
        chunk.commit_first(2) == Flow::Backpressure
    }),
    to_the_mark("the drop of a batch", 2, |end| {
        let mut batch = end.get_mut().batch();
        batch.try_write(8) == Ok(Flow::Ready) && batch.try_write(9) == Ok(Flow::Backpressure)
    }),
    to_the_mark("the flush of a batch", 2, |end| {
        let mut batch = end.get_mut().batch();
        let stops = batch.write(8).is_ok() && batch.try_write(9) == Ok(Flow::Backpressure);
        batch.flush();
        stops
    }),
    to_the_mark("Write::write", 2, |end| {
        matches!(NonBlocking::new(end).write(&[8, 9, 10]), Ok(2))
    }),
    to_the_mark("write, which waits", 3, |end| {
        end.get_mut().write(9).is_ok()
    }),
    to_the_mark("write_all, which waits", 2, |end| {
        end.write_all(&[8, 9]).is_ok()
    }),
    refused("try_write of one too many", |end| {
        end.get_mut().try_write(9) == Err(TryWriteError::WouldBlock(9))
    }),
    refused("try_write_slice of one too many", |end| {
        end.get_mut().try_write_slice(&[9]).is_err()
    }),
    refused("try_reserve_up_to", |end| {
        end.get_mut().try_reserve_up_to(2).unwrap_err() == TryReserveError::WouldBlock
    }),
    Stop {
        name: "try_reserve",
        marks: (4, 2),
        filled: 3,
        stop: |end| end.get_mut().try_reserve(2).unwrap_err() == TryReserveError::WouldBlock,
        reads: 1,
    },
    refused("Write::write of one too many", |end| {
        would_block(NonBlocking::new(end).write(&[9]))
    }),
    refused("Write::write_vectored", |end| {
        would_block(NonBlocking::new(end).write_vectored(&[IoSlice::new(&[9])]))
    }),
];

#[test]
fn each_operation_that_tells_the_producer_to_stop_makes_it_unreadable_until_drain() {
    for case in STOPS {
        let (name, (high, low)) = (case.name, case.marks);
        let (producer, mut consumer) = channel(high, low, 4);
        let mut producer = ByteProducer::from(producer);
        let fd = producer.get_mut().drain_fd().unwrap();
        for round in 0..3 {
            producer
                .get_mut()
                .write_all(&[0; 4][..case.filled])
                .unwrap();
            assert!(!producer.get_ref().need_drain(), "{name}");
            assert!(is_readable(&fd), "{name}, {round}");
            fd.acknowledge();

            assert!((case.stop)(&mut producer), "{name}");
            assert!(!is_readable(&fd), "{name}, {round}");
            assert!(producer.get_ref().need_drain(), "{name}");
            assert!(!is_readable(&fd), "{name}, {round}");
            for _ in 1..case.reads {
                consumer.try_read().unwrap();
                assert!(!is_readable(&fd), "{name}, {round}: too early");
            }
            consumer.try_read().unwrap();
            assert!(is_readable(&fd), "{name}, {round}");
            assert_eq!(fd.acknowledge(), 1, "{name}");
            assert!(!producer.get_ref().need_drain(), "{name}");
            assert!(is_readable(&fd), "{name}, {round}: until it would block");
            assert!(consumer.try_iter().count() > 0);
        }
    }
}

/// Begins waits and gives them up, until one has fallen asleep: then the descriptor is not armed any more.
fn give_up_until_readable(fd: &EventFd, mut wait: impl FnMut(Duration) -> bool) {
    while !is_readable(fd) {
        assert!(!wait(Duration::from_millis(1)));
    }
}

#[test]
fn each_question_after_a_wait_that_gave_up_arms_the_descriptor_again() {
    type Ask<E> = (&'static str, fn(&mut E));
    let of_a_producer: [Ask<Producer<u8>>; 5] = [
        ("need_drain", |end| assert!(end.need_drain())),
        ("on_drain", |end| end.on_drain(|| ())),
        ("clear_on_drain", |end| end.clear_on_drain()),
        ("set_low_water_mark", |end| {
            end.set_low_water_mark(1).unwrap();
        }),
        ("try_reserve", |end| assert!(end.try_reserve(1).is_err())),
    ];
    for (name, ask) in of_a_producer {
        let (mut producer, mut consumer, fd) = stopped();
        give_up_until_readable(&fd, |t| producer.wait_drain_timeout(t).is_ok());
        ask(&mut producer);
        assert!(!is_readable(&fd), "{name}");
        assert_eq!(consumer.try_iter().count(), 2);
        assert!(is_readable(&fd), "{name}");
    }

    let of_a_consumer: [Ask<Consumer<u8>>; 6] = [
        ("try_read", |end| assert!(end.try_read().is_err())),
        ("peek", |end| assert!(end.peek().is_none())),
        ("try_chunk", |end| assert!(end.try_chunk(1).is_err())),
        ("try_chunk_up_to", |end| {
            assert!(end.try_chunk_up_to(1).is_err());
        }),
        ("on_ready", |end| end.on_ready(|| ())),
        ("clear_on_ready", |end| end.clear_on_ready()),
    ];
    for (name, ask) in of_a_consumer {
        let (mut producer, mut consumer, fd) = empty();
        give_up_until_readable(&fd, |t| consumer.read_timeout(t).is_ok());
        ask(&mut consumer);
        assert!(!is_readable(&fd), "{name}");
        producer.write(1).unwrap();
        assert!(is_readable(&fd), "{name}");
    }

    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.write(1).unwrap();
    let mut finish = producer.end();
    let fd = finish.finish_fd().unwrap();
    give_up_until_readable(&fd, |t| finish.wait_timeout(t).is_ok());
    assert_eq!(finish.try_wait(), Ok(false));
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(is_readable(&fd));
}

#[test]
fn a_callback_that_is_set_after_the_stop_hears_of_the_drain() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.write_all(&[1, 2]).unwrap();
    let calls = Calls::default();
    producer.on_drain(calls.callback());
    assert_eq!(calls.count(), 0);
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_write_above_the_mark_moves_the_drain_along() {
    let (mut producer, mut consumer) = channel(2, 1, 4);
    let fd = producer.drain_fd().unwrap();
    for item in 0..4 {
        let _ = producer.try_write(item).unwrap();
        assert_eq!(is_readable(&fd), item == 0);
    }
    assert_eq!(producer.try_write(4), Err(TryWriteError::WouldBlock(4)));
    for left in (1..4).rev() {
        assert!(!is_readable(&fd));
        consumer.try_read().unwrap();
        assert_eq!(consumer.len(), left);
    }
    assert!(is_readable(&fd));
    assert_eq!(fd.acknowledge(), 1);
}

#[test]
fn a_commit_of_nothing_that_says_stop_has_its_drain_as_any_other() {
    let (mut producer, mut consumer) = channel(1, 0, 2);
    let (fd, calls) = (producer.drain_fd().unwrap(), Calls::default());
    producer.on_drain(calls.callback());
    producer.write(1).unwrap();
    give_up_until_readable(&fd, |t| producer.wait_drain_timeout(t).is_ok());
    let before = calls.count();
    assert!(producer.try_reserve(1).unwrap().commit().is_backpressure());
    assert!(!is_readable(&fd));
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!((is_readable(&fd), calls.count()), (true, before + 1));
}

#[test]
fn a_batch_holds_back_its_signal_as_well_as_its_items() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    let (drain, ready) = (producer.drain_fd().unwrap(), consumer.ready_fd().unwrap());
    let mut batch = producer.batch();
    let _ = batch.try_write(1).unwrap();
    assert_eq!(batch.try_write(2), Ok(Flow::Backpressure));
    assert!(!is_readable(&ready));
    // The question publishes what is held back, or it could not be drained.
    assert!(batch.producer().need_drain());
    assert!(is_readable(&ready) && !is_readable(&drain));
    drop(batch);
    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert!(is_readable(&drain) && !is_readable(&ready));

    // One that is forgotten is published, and has its drain, with the next question.
    let mut batch = producer.batch();
    let _ = batch.try_write(1).unwrap();
    let _ = batch.try_write(2).unwrap();
    std::mem::forget(batch);
    assert!(producer.need_drain());
    assert!(is_readable(&ready) && !is_readable(&drain));
    assert_eq!(consumer.try_iter().count(), 2);
    assert!(is_readable(&drain));
}

#[test]
fn a_batch_that_was_forgotten_is_published_when_a_mark_changes() {
    let (mut producer, mut consumer) = channel(4, 0, 4);
    let fd = producer.drain_fd().unwrap();
    let mut batch = producer.batch();
    while batch.try_write(1).unwrap() == Flow::Ready {}
    std::mem::forget(batch);
    producer.set_low_water_mark(1).unwrap();
    assert!(!is_readable(&fd));
    assert_eq!(consumer.try_iter().count(), 4);
    assert!(is_readable(&fd));
}

#[test]
fn marks_that_change_during_the_wait_make_it_readable_when_that_is_a_drain() {
    let (mut producer, mut consumer) = channel(4, 0, 4);
    let fd = producer.drain_fd().unwrap();
    producer.write_all(&[0; 4]).unwrap();
    producer.set_low_water_mark(2).unwrap();
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(is_readable(&fd));

    producer.write_all(&[0; 2]).unwrap();
    consumer.try_read().unwrap();
    assert!(!is_readable(&fd));
    producer.set_low_water_mark(3).unwrap();
    assert!(is_readable(&fd), "it is a drain now");
    assert!(!producer.need_drain());

    // The low mark that nobody chose moves along.
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(2)
        .capacity(8)
        .build::<u8>()
        .unwrap();
    let fd = producer.drain_fd().unwrap();
    producer.write_all(&[0; 2]).unwrap();
    assert!(!is_readable(&fd));
    producer.set_high_water_mark(8).unwrap();
    assert!(is_readable(&fd));
    producer.write_all(&[0; 6]).unwrap();
    producer.set_high_water_mark(2).unwrap();
    consumer.try_chunk(6).unwrap().consume_all();
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(is_readable(&fd));
}

#[test]
fn where_weight_counts_it_is_readable_at_the_low_mark_of_weight() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(Bytes)
        .high_water_mark(10)
        .low_water_mark(4)
        .limit(20)
        .capacity(8)
        .build::<Vec<u8>>()
        .unwrap();
    let fd = producer.drain_fd().unwrap();
    for weight in [1, 6, 0] {
        assert_eq!(producer.try_write(vec![0; weight]), Ok(Flow::Ready));
    }
    assert_eq!(producer.try_write(vec![0; 4]), Ok(Flow::Backpressure));
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap(); // leaves 10
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap(); // leaves 4
    assert!(is_readable(&fd));
    assert!(!producer.need_drain());

    // One that passes the limit waits for an empty channel.
    assert_eq!(
        producer
            .try_write(vec![0; 21])
            .map_err(|e| e.into_inner().len()),
        Err(21)
    );
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap(); // of weight 0
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(is_readable(&fd));
    assert_eq!(producer.try_write(vec![0; 21]), Ok(Flow::Backpressure));
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(is_readable(&fd));

    // Weightless items use up the slots, of which half have a drain.
    for _ in 0..8 {
        assert_eq!(producer.try_write(Vec::new()), Ok(Flow::Ready));
    }
    assert!(producer.try_write(Vec::new()).is_err());
    for _ in 0..4 {
        assert!(!is_readable(&fd));
        consumer.try_read().unwrap();
    }
    assert!(is_readable(&fd));
}

type Weight = fn(&usize) -> usize;

/// Told to stop with weights of 5 and 5, by the second one or by one that was refused.
fn stopped_by_weight(
    high: usize,
    low: usize,
    refused: Option<usize>,
) -> (
    Producer<usize, Weight>,
    Consumer<usize, Weight>,
    EventFd,
    Calls,
) {
    let (mut producer, consumer) = Builder::new()
        .weigh_by((|weight| *weight) as Weight)
        .high_water_mark(high)
        .low_water_mark(low)
        .limit(20)
        .build()
        .unwrap();
    let (fd, calls) = (producer.drain_fd().unwrap(), Calls::default());
    producer.on_drain(calls.callback());
    let _ = producer.try_write(5).unwrap();
    let _ = producer.try_write(5).unwrap();
    if let Some(weight) = refused {
        assert!(producer.try_write(weight).is_err());
    }
    assert!(!is_readable(&fd));
    (producer, consumer, fd, calls)
}

#[test]
fn a_drain_for_another_reason_than_a_read_makes_it_readable_and_calls_the_callback_once() {
    // The mark is raised to the length.
    let (mut producer, _consumer, fd, calls) = stopped_by_weight(10, 5, None);
    producer.set_low_water_mark(10).unwrap();
    assert_eq!((is_readable(&fd), calls.count()), (true, 1));
    assert!(!producer.need_drain());
    assert_eq!(calls.count(), 1);

    // What was refused is out of the question, as a light item was accepted.
    let (mut producer, _consumer, fd, calls) = stopped_by_weight(12, 11, Some(15));
    assert_eq!(producer.try_write(1), Ok(Flow::Ready));
    assert_eq!((is_readable(&fd), calls.count()), (true, 1));
    assert!(!producer.need_drain());
    assert_eq!(calls.count(), 1);

    // In a batch, in which nobody is told.
    let (mut producer, _consumer, fd, calls) = stopped_by_weight(13, 12, Some(15));
    let mut batch = producer.batch();
    for _ in 0..2 {
        assert_eq!(batch.try_write(1), Ok(Flow::Ready));
    }
    assert_eq!((is_readable(&fd), calls.count()), (false, 0));
    drop(batch);
    assert_eq!((is_readable(&fd), calls.count()), (true, 1));
    assert!(!producer.need_drain());
    assert_eq!(calls.count(), 1);
}

/// Told to stop by a refused item, which a batch has forgotten since: the channel counts as drained, and nothing was read.
fn drained_by_a_batch() -> (
    Producer<usize, Weight>,
    Consumer<usize, Weight>,
    EventFd,
    Calls,
) {
    let (mut producer, consumer, fd, calls) = stopped_by_weight(12, 11, Some(15));
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(1), Ok(Flow::Ready));
    std::mem::forget(batch);
    (producer, consumer, fd, calls)
}

/// `wait` finds the drain, without a sleep.
fn after_a_wait_that_finds_the_drain(wait: impl FnOnce(&mut Producer<usize, Weight>)) {
    let (mut producer, mut consumer, fd, calls) = drained_by_a_batch();
    wait(&mut producer);
    assert!(is_readable(&fd));
    assert_eq!(consumer.try_iter().count(), 3);
    assert_eq!(calls.count(), 0, "nothing has drained since");
}

#[test]
fn a_wait_that_finds_the_drain_makes_the_descriptor_readable_and_leaves_no_call_for_later() {
    after_a_wait_that_finds_the_drain(|producer| producer.wait_drain().unwrap());
    after_a_wait_that_finds_the_drain(|producer| {
        producer.wait_drain_timeout(Duration::ZERO).unwrap();
    });
}

#[test]
fn a_write_that_finds_the_drain_and_gives_up_all_the_same_calls_once() {
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        let (mut producer, _consumer, fd, calls) = drained_by_a_batch();
        assert!(producer.write_timeout(15, timeout).is_err());
        assert_eq!((is_readable(&fd), calls.count()), (true, 1));
    }
}

/// The callback was called, and too early: the consumer has passed what was announced, but a batch has added one since.
fn called_too_early(producer: &mut Producer<u8>, consumer: &mut Consumer<u8>) -> Calls {
    let calls = Calls::default();
    producer.on_drain(calls.callback());
    assert!(producer.write_all(&[1, 2, 3, 4]).is_ok());
    for _ in 0..2 {
        consumer.try_read().unwrap();
    }
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(5), Ok(Flow::Ready));
    std::mem::forget(batch);
    assert_eq!(calls.count(), 0);
    consumer.try_read().unwrap();
    assert_eq!(calls.count(), 1);
    calls
}

#[test]
fn a_callback_that_was_called_too_early_is_called_again_if_the_look_is_a_wait_that_gives_up() {
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        let (mut producer, mut consumer) = channel(4, 1, 8);
        let calls = called_too_early(&mut producer, &mut consumer);
        assert!(producer.wait_drain_timeout(timeout).is_err());
        assert_eq!(consumer.try_iter().count(), 2);
        assert_eq!(calls.count(), 2);
    }
}

/// Behind a look for three, `give_up` has looked for one.
fn after_a_wait_for_less(turns: u8, give_up: impl FnOnce(&mut Consumer<u8>)) {
    let (mut producer, mut consumer) = highwater::channel(4);
    for _ in 0..turns {
        producer.write(1).unwrap();
        #[cfg(feature = "async")]
        assert_eq!(poll_once(consumer.read_async()), Some(Ok(1)));
    }
    let (fd, calls) = (consumer.ready_fd().unwrap(), Calls::default());
    consumer.on_ready(calls.callback());
    assert!(consumer.try_chunk(3).is_err());
    give_up(&mut consumer);
    producer.write(1).unwrap();
    assert_eq!((is_readable(&fd), calls.count()), (true, 1));
}

#[test]
fn a_read_that_gives_up_behind_a_look_for_more_has_the_callback_called_for_its_item() {
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        after_a_wait_for_less(0, |consumer| {
            assert!(consumer.read_timeout(timeout).is_err());
        });
    }
}

#[test]
fn a_chunk_that_gives_up_leaves_the_descriptor_readable_for_the_item_that_is_there() {
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        let (mut producer, mut consumer, fd) = empty();
        producer.write(1).unwrap();
        assert!(consumer.chunk_timeout(3, timeout).is_err());
        assert!(is_readable(&fd));
    }
}

/// Told to stop for a heavy item, which a batch has forgotten since, so that the drain is nearer.
fn after_a_wait_for_a_nearer_drain(
    turns: usize,
    give_up: impl FnOnce(&mut Producer<usize, Weight>),
) {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by((|weight| *weight) as Weight)
        .high_water_mark(12)
        .low_water_mark(9)
        .limit(20)
        .build()
        .unwrap();
    for _ in 0..turns {
        #[cfg(feature = "async")]
        assert!(poll_once(producer.write_async(1)).unwrap().is_ok());
        consumer.try_read().unwrap();
    }
    let (fd, calls) = (producer.drain_fd().unwrap(), Calls::default());
    producer.on_drain(calls.callback());
    for _ in 0..5 {
        assert_eq!(producer.try_write(2), Ok(Flow::Ready));
    }
    assert!(producer.try_write(15).is_err());
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(1), Ok(Flow::Ready));
    std::mem::forget(batch);
    give_up(&mut producer);
    consumer.try_read().unwrap();
    assert_eq!((is_readable(&fd), calls.count()), (true, 1));
    assert!(!producer.need_drain());
}

#[test]
fn a_wait_that_gives_up_behind_a_refusal_that_was_forgotten_has_the_callback_called_for_the_drain()
{
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        after_a_wait_for_a_nearer_drain(0, |producer| {
            assert!(producer.wait_drain_timeout(timeout).is_err());
        });
    }
}

#[test]
fn a_reservation_that_gives_up_leaves_the_descriptor_readable_for_smaller_ones() {
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        let (mut producer, _consumer) = channel(4, 1, 4);
        let fd = producer.drain_fd().unwrap();
        producer.write_all(&[1, 2]).unwrap();
        assert!(producer.reserve_timeout(3, timeout).is_err());
        assert!(is_readable(&fd));
        assert!(!producer.need_drain());
        assert!(producer.try_reserve(2).is_ok());
    }
}

#[test]
fn a_mark_of_zero_waits_for_the_empty_channel_each_time() {
    let (mut producer, mut consumer) = channel(0, 0, 2);
    let fd = producer.drain_fd().unwrap();
    for _ in 0..3 {
        assert!(is_readable(&fd));
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
        assert_eq!(producer.try_write(3), Err(TryWriteError::WouldBlock(3)));
        assert!(!is_readable(&fd));
        consumer.try_read().unwrap();
        assert!(!is_readable(&fd));
        consumer.try_read().unwrap();
    }
    assert!(is_readable(&fd));
}

#[test]
fn items_that_flow_freely_notify_nobody() {
    let (mut producer, mut consumer) = highwater::channel(4);
    let (drain, ready) = (producer.drain_fd().unwrap(), consumer.ready_fd().unwrap());
    let calls = Calls::default();
    producer.on_drain(calls.callback());
    consumer.on_ready(calls.callback());
    producer.write(0).unwrap(); // the consumer waited for this one
    assert_eq!((ready.acknowledge(), calls.count()), (1, 1));
    let before = producer.monitor().stats();
    for item in 1..1000 {
        assert_eq!(producer.try_write(item), Ok(Flow::Ready));
        assert_eq!(consumer.try_read(), Ok(item - 1));
    }
    let after = producer.monitor().stats();
    assert_eq!((drain.acknowledge(), ready.acknowledge()), (0, 0));
    assert_eq!(calls.count(), 1);
    assert_eq!(
        (after.consumer_wake_ups, after.consumer_parks),
        (before.consumer_wake_ups, before.consumer_parks)
    );
    assert_eq!((after.producer_wake_ups, after.producer_parks), (0, 0));
    assert!(is_readable(&drain) && is_readable(&ready));
}

// ---- Ends -------------------------------------------------------------------------------------

#[test]
fn every_end_of_the_producer_is_readable_after_the_rest_too_and_stays_so() {
    type Leave = fn(Producer<u8>);
    type IsExpected = fn(&TryReadError) -> bool;
    let ways: [(Leave, IsExpected); 3] = [
        (|p| drop(p.end()), |e| *e == TryReadError::Ended),
        (drop, |e| *e == TryReadError::Abandoned),
        (
            |p| p.abort("because"),
            |e| matches!(e, TryReadError::Aborted(r) if r.to_string() == "because"),
        ),
    ];
    for (leave, is_expected) in ways {
        for items in 0..3 {
            let (mut producer, mut consumer, fd) = empty();
            producer.write_all(&[7; 2][..items]).unwrap();
            assert_eq!(is_readable(&fd), items > 0);
            leave(producer);
            assert!(is_readable(&fd));
            let error = loop {
                match consumer.try_read() {
                    Ok(item) => assert_eq!(item, 7),
                    Err(error) => break error,
                }
                assert!(is_readable(&fd));
            };
            assert!(is_expected(&error), "{error:?}");
            for _ in 0..2 {
                assert!(is_readable(&fd));
                assert!(is_expected(&consumer.try_read().unwrap_err()));
                assert_eq!(consumer.peek(), None);
            }
            assert!(is_readable(&fd));
        }
    }
}

#[test]
fn every_end_of_the_consumer_is_readable_and_stays_so() {
    type Leave = fn(Consumer<u8>) -> Option<Consumer<u8>>;
    let ways: [(Leave, Option<&str>); 3] = [
        (
            |mut consumer| {
                consumer.close();
                Some(consumer)
            },
            None,
        ),
        (
            |consumer| {
                consumer.cancel("because");
                None
            },
            Some("because"),
        ),
        (
            |consumer| {
                drop(consumer);
                None
            },
            None,
        ),
    ];
    for (leave, reason) in ways {
        for is_stopped in [false, true] {
            let (mut producer, mut consumer, fd) = stopped();
            if !is_stopped {
                assert_eq!(consumer.try_iter().count(), 2);
            }
            assert_eq!(is_readable(&fd), !is_stopped);
            let _kept = leave(consumer);
            assert!(is_readable(&fd));
            for _ in 0..2 {
                // A loop that asks before it writes would go round and round.
                assert!(!producer.need_drain());
                assert!(is_readable(&fd));
                assert_eq!(producer.try_write(3), Err(TryWriteError::Closed(3)));
                assert!(producer.wait_drain().is_err());
                assert!(is_readable(&fd));
            }
            let told = producer.cancel_reason().map(|reason| reason.to_string());
            assert_eq!(told.as_deref(), reason);
        }
    }
}

#[test]
fn a_consumer_that_has_closed_hears_that_the_producer_knows() {
    let (mut producer, mut consumer) = channel(4, 2, 4);
    let fd = consumer.ready_fd().unwrap();
    producer.write(1).unwrap();
    consumer.close();
    assert_eq!(consumer.try_read(), Ok(1));
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    assert!(!is_readable(&fd));
    assert!(producer.is_closed());
    assert!(is_readable(&fd));
    assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
}

#[test]
fn a_finish_is_readable_when_the_last_item_was_consumed() {
    let (mut producer, mut consumer) = channel(4, 2, 4);
    producer.write_all(&[1, 2]).unwrap();
    let mut finish = producer.end();
    let fd = finish.finish_fd().unwrap();
    assert_eq!(finish.finish_fd().unwrap().as_raw_fd(), fd.as_raw_fd());
    assert!(!is_readable(&fd));
    consumer.try_read().unwrap();
    assert!(!is_readable(&fd));
    assert_eq!(finish.try_wait(), Ok(false));
    consumer.try_read().unwrap();
    assert!(is_readable(&fd));
    assert_eq!(fd.acknowledge(), 1);
    assert_eq!(finish.try_wait(), Ok(true));
    assert!(is_readable(&fd));
    drop(consumer);
    assert_eq!(finish.try_wait(), Ok(true));
}

#[test]
fn a_finish_is_readable_at_once_if_there_is_nothing_to_wait_for_and_after_a_cancel() {
    let (producer, _consumer) = channel(4, 2, 4);
    let mut finish = producer.end();
    assert!(is_readable(&finish.finish_fd().unwrap()));

    let (mut producer, consumer) = channel(4, 2, 4);
    producer.write(1).unwrap();
    let mut finish = producer.end();
    let fd = finish.finish_fd().unwrap();
    assert!(!is_readable(&fd));
    consumer.cancel("because");
    assert!(is_readable(&fd));
    let error = finish.try_wait().unwrap_err();
    assert_eq!(error.reason().unwrap().to_string(), "because");
    assert!(is_readable(&fd));
}

// ---- Callbacks --------------------------------------------------------------------------------

#[test]
fn a_callback_is_called_once_for_each_wait_in_the_thread_that_ends_it() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    let (heard, threads) = mpsc::channel();
    let also_heard = heard.clone();
    producer.on_drain(move || heard.send(("drain", thread::current().id())).unwrap());
    consumer.on_ready(move || also_heard.send(("ready", thread::current().id())).unwrap());
    producer.write_all(&[1, 2]).unwrap();
    let reader = common::deadline(move || {
        assert_eq!(consumer.try_iter().count(), 2);
        thread::current().id()
    });
    assert_eq!(
        threads.try_iter().collect::<Vec<_>>(),
        [("ready", thread::current().id()), ("drain", reader)]
    );
}

#[test]
fn a_drain_that_came_before_the_callback_is_heard_in_the_producers_own_thread() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.write_all(&[1, 2]).unwrap();
    assert_eq!(consumer.try_iter().count(), 2);
    let calls = Calls::default();
    producer.on_drain(calls.callback());
    assert_eq!(calls.count(), 1);
    assert!(!producer.need_drain());
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_callback_replaces_another_during_the_wait_and_one_that_is_cleared_is_dropped() {
    let [first, second, ready] = [Calls::default(), Calls::default(), Calls::default()];
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.on_drain(first.callback());
    producer.write_all(&[1, 2]).unwrap();
    producer.on_drain(second.callback());
    assert!(!first.is_held());
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!((first.count(), second.count()), (0, 1));
    producer.write_all(&[1, 2]).unwrap();
    producer.clear_on_drain();
    assert!(!second.is_held());
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!(second.count(), 1);

    consumer.on_ready(ready.callback());
    assert!(consumer.try_read().is_err());
    consumer.clear_on_ready();
    assert!(!ready.is_held());
    producer.write_all(&[1, 2]).unwrap();
    assert_eq!(ready.count(), 0);
    consumer.on_ready(ready.callback());
    producer.on_drain(first.callback());
    drop((producer, consumer));
    assert!(!ready.is_held() && !first.is_held());
}

#[test]
fn a_listener_that_is_added_hears_of_what_has_come_and_one_after_a_cleared_one_too() {
    let calls = Calls::default();
    let (mut producer, mut consumer, fd) = stopped();
    assert_eq!(consumer.try_iter().count(), 2);
    producer.on_drain(calls.callback());
    assert_eq!((calls.count(), is_readable(&fd)), (1, true));

    let (mut producer, mut consumer) = channel(2, 0, 2);
    consumer.on_ready(calls.callback());
    assert!(consumer.try_read().is_err());
    consumer.clear_on_ready();
    producer.write(1).unwrap();
    assert!(is_readable(&consumer.ready_fd().unwrap()));
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_descriptor_that_joins_a_callback_does_not_have_it_called_for_the_same_drain_again() {
    let (calls, (mut producer, mut consumer)) = (Calls::default(), channel(1, 0, 1));
    producer.on_drain(calls.callback());
    producer.write(1).unwrap();
    consumer.try_read().unwrap();
    assert!(is_readable(&producer.drain_fd().unwrap()));
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_callback_is_not_called_for_what_was_owed_to_one_that_was_cleared() {
    let (old, new) = (Calls::default(), Calls::default());
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.on_drain(old.callback());
    let mut batch = producer.batch();
    while batch.try_write(1).unwrap() == Flow::Ready {}
    std::mem::forget(batch);
    producer.clear_on_drain();
    assert_eq!(consumer.try_iter().count(), 2);
    assert!(!producer.need_drain());
    producer.on_drain(new.callback());
    assert_eq!((old.count(), new.count()), (0, 0));
}

#[test]
fn a_descriptor_and_a_callback_hear_of_the_same() {
    let (mut producer, mut consumer, fd) = stopped();
    let calls = Calls::default();
    producer.on_drain(calls.callback());
    assert!(!is_readable(&fd), "still armed");
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!((calls.count(), is_readable(&fd)), (1, true));
    producer.write_all(&[1, 2]).unwrap();
    producer.clear_on_drain();
    assert!(!is_readable(&fd));
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!((calls.count(), is_readable(&fd)), (1, true));

    // The callback first.
    let (mut producer, mut consumer) = channel(2, 0, 2);
    consumer.on_ready(calls.callback());
    let fd = consumer.ready_fd().unwrap();
    assert!(!is_readable(&fd));
    producer.write(1).unwrap();
    assert_eq!((calls.count(), is_readable(&fd)), (2, true));
}

#[test]
fn a_callback_may_use_the_channel_through_a_monitor() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    let (lengths, heard) = mpsc::channel();
    let (monitor, also_lengths) = (consumer.monitor(), lengths.clone());
    consumer.on_ready(move || also_lengths.send(monitor.len()).unwrap());
    let monitor = producer.monitor();
    producer.on_drain(move || lengths.send(monitor.len()).unwrap());
    producer.write_all(&[1, 2]).unwrap();
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [2, 0]);
}

#[test]
fn a_write_that_waits_is_heard_by_the_callback_only_if_it_reaches_the_mark() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    let calls = Calls::default();
    producer.on_drain(calls.callback());
    producer.write(1).unwrap();
    assert_eq!(consumer.try_iter().count(), 1);
    assert_eq!(calls.count(), 0);
    producer.write(2).unwrap();
    producer.write(3).unwrap();
    assert_eq!(consumer.try_iter().count(), 2);
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_callback_hears_every_end_while_it_waits() {
    let calls = Calls::default();
    let (mut producer, consumer) = channel(2, 0, 2);
    producer.on_drain(calls.callback());
    producer.write_all(&[1, 2]).unwrap();
    consumer.cancel("because");
    assert_eq!(calls.count(), 1);
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.on_drain(calls.callback());
    producer.write_all(&[1, 2]).unwrap();
    consumer.close();
    assert_eq!(calls.count(), 2);
    assert!(!producer.need_drain());
    assert_eq!(calls.count(), 2, "it has heard of it");
    let (producer, mut consumer) = channel(2, 0, 2);
    consumer.on_ready(calls.callback());
    producer.abort("because");
    assert_eq!(calls.count(), 3);
}

#[test]
fn a_callback_that_panics_takes_neither_the_item_nor_the_answer_with_it() {
    let (mut producer, mut consumer) = channel(2, 0, 2);
    producer.on_drain(|| panic!("the callback of the producer"));
    consumer.on_ready(|| panic!("the callback of the consumer"));
    let fd = consumer.ready_fd().unwrap();
    for _ in 0..2 {
        assert_eq!(producer.try_write(1), Ok(Flow::Ready));
        assert!(is_readable(&fd));
        assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
        assert_eq!(consumer.try_read(), Ok(1));
        assert_eq!(consumer.try_read(), Ok(2));
        assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    }
    // In its own thread: the producer has drained before it asks.
    let _ = producer.write_all(&[1, 2]);
    producer.clear_on_drain();
    assert_eq!(consumer.try_iter().count(), 2);
    producer.on_drain(|| panic!("the callback of the producer"));
    assert!(!producer.need_drain());
    drop(producer);
    assert_eq!(consumer.try_read(), Err(TryReadError::Abandoned));
}

#[test]
fn a_callback_whose_panic_panics_again_takes_neither_the_item_nor_the_answer_with_it() {
    struct Again(usize);

    impl Drop for Again {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Again(self.0 - 1));
            }
        }
    }

    for times in 0..3 {
        let (mut producer, mut consumer) = channel(1, 0, 1);
        producer.on_drain(move || std::panic::panic_any(Again(times)));
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        assert_eq!(consumer.try_read(), Ok(1));
        assert_eq!(producer.try_write(2), Ok(Flow::Backpressure));
        assert_eq!(consumer.try_read(), Ok(2));
    }
}

// ---- Doors by turns ---------------------------------------------------------------------------

#[test]
fn a_wait_with_a_time_limit_that_gives_up_leaves_the_descriptor_as_it_was() {
    let (mut producer, mut consumer, fd) = stopped();
    let gives_up = |timeout| WriteTimeoutError::Timeout(timeout);
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        assert_eq!(producer.write_timeout(3, timeout), Err(gives_up(3)));
        assert!(producer.need_drain());
        assert!(!is_readable(&fd));
    }
    assert_eq!(consumer.try_iter().count(), 2);
    assert!(is_readable(&fd));

    let fd = consumer.ready_fd().unwrap();
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        assert!(consumer.read_timeout(timeout).is_err());
        assert!(consumer.try_read().is_err());
        assert!(!is_readable(&fd));
    }
    producer.write(4).unwrap();
    assert!(is_readable(&fd));
}

#[test]
fn a_heavy_write_that_gives_up_leaves_the_descriptor_readable_for_light_ones() {
    for timeout in [Duration::ZERO, Duration::from_micros(50)] {
        let (mut producer, _consumer) = Builder::new()
            .weigh_by(|weight: &usize| *weight)
            .high_water_mark(10)
            .limit(10)
            .build()
            .unwrap();
        let fd = producer.drain_fd().unwrap();
        producer.write(6).unwrap();
        assert!(producer.write_timeout(7, timeout).is_err());
        assert!(!producer.need_drain());
        assert!(is_readable(&fd));
        assert_eq!(producer.try_write(1), Ok(Flow::Ready));
    }
}

#[cfg(feature = "async")]
mod tasks {
    use super::*;
    use std::{
        future::Future,
        task::{Context, Poll, Wake, Waker},
    };
    use tokio_test::task::spawn;

    #[test]
    fn a_task_that_writes_up_to_the_mark_leaves_the_descriptor_armed() {
        let (mut producer, mut consumer, fd) = stopped();
        let mut write = spawn(producer.write_async(3));
        assert!(write.poll().is_pending());
        assert_eq!(consumer.try_iter().count(), 2);
        assert!(write.poll().is_ready());
        drop(write);
        let mut write = spawn(producer.write_async(4));
        assert!(write.poll().is_ready());
        drop(write);
        assert!(!is_readable(&fd));
        assert_eq!(consumer.try_iter().count(), 2);
        assert!(is_readable(&fd));

        // The one that waited brings the length to the mark.
        let (mut producer, mut consumer) = channel(1, 0, 1);
        let fd = producer.drain_fd().unwrap();
        producer.write(1).unwrap();
        let mut write = spawn(producer.write_async(2));
        assert!(write.poll().is_pending());
        assert_eq!(consumer.try_read(), Ok(1));
        assert!(write.poll().is_ready());
        drop(write);
        assert!(!is_readable(&fd));
        assert_eq!(consumer.try_read(), Ok(2));
        assert!(is_readable(&fd));
    }

    #[test]
    fn a_future_that_is_given_up_leaves_the_descriptor_readable() {
        let (mut producer, mut consumer, fd) = stopped();
        assert!(spawn(producer.ready()).poll().is_pending());
        assert!(is_readable(&fd), "it is not armed any more");
        assert!(producer.need_drain());
        assert!(!is_readable(&fd));
        assert!(spawn(producer.closed()).poll().is_pending());
        assert!(is_readable(&fd));
        assert_eq!(consumer.try_iter().count(), 2);

        let fd = consumer.ready_fd().unwrap();
        assert!(consumer.try_read().is_err());
        assert!(spawn(consumer.read_async()).poll().is_pending());
        assert!(is_readable(&fd));
        assert!(consumer.try_read().is_err());
        assert!(!is_readable(&fd));
        producer.write(5).unwrap();
        assert!(is_readable(&fd));
    }

    #[test]
    fn a_future_that_only_gave_way_takes_no_listener_with_it() {
        let (mut producer, mut consumer, fd) = empty();
        let calls = Calls::default();
        consumer.on_ready(calls.callback());
        for item in 0..128 {
            producer.write(item).unwrap();
            assert_eq!(spawn(consumer.read_async()).poll(), Poll::Ready(Ok(item)));
        }
        assert!(consumer.try_read().is_err());
        let before = calls.count();
        let mut read = spawn(consumer.read_async());
        assert!(read.poll().is_pending() && read.is_woken());
        drop(read);
        assert!(!is_readable(&fd));
        producer.write(1).unwrap();
        assert!(is_readable(&fd));
        assert_eq!(calls.count(), before + 1);
    }

    #[test]
    fn a_poll_that_finds_the_drain_makes_the_descriptor_readable_and_leaves_no_call_for_later() {
        after_a_wait_that_finds_the_drain(|producer| {
            assert!(poll_once(producer.ready()).unwrap().is_ok());
        });
    }

    #[test]
    fn a_callback_that_was_called_too_early_is_called_again_if_the_look_is_a_future_that_gives_way()
    {
        let (mut producer, mut consumer) = channel(4, 1, 8);
        for item in 0..128 {
            assert!(poll_once(producer.write_async(item)).unwrap().is_ok());
            consumer.try_read().unwrap();
        }
        let calls = called_too_early(&mut producer, &mut consumer);
        let mut ready = spawn(producer.ready());
        assert!(ready.poll().is_pending() && ready.is_woken());
        drop(ready);
        while consumer.try_read().is_ok() {}
        assert_eq!(calls.count(), 2);
    }

    #[test]
    fn a_future_that_gives_way_behind_a_look_for_more_has_the_callback_called_for_its_item() {
        after_a_wait_for_less(128, |consumer| {
            assert_eq!(poll_once(consumer.read_async()), None);
        });
        after_a_wait_for_a_nearer_drain(128, |producer| {
            assert!(poll_once(producer.ready()).is_none());
        });
    }

    #[test]
    fn a_future_that_looks_a_second_time_takes_no_listener_with_it() {
        let (mut producer, mut consumer, fd) = empty();
        let mut second_looks = 0;
        for item in 0..100 {
            assert!(consumer.try_read().is_err());
            let mut read = spawn(consumer.read_async());
            assert!(read.poll().is_pending());
            second_looks += usize::from(read.is_woken());
            drop(read);
            producer.write(item).unwrap();
            assert!(is_readable(&fd));
            assert_eq!(consumer.try_read(), Ok(item));
        }
        assert!(second_looks > 0);
    }

    #[test]
    fn a_future_that_looks_a_second_time_behind_a_look_for_more_calls_as_it_is_dropped() {
        let (_producer, mut consumer) = channel(4, 1, 4);
        let (calls, mut second_looks) = (Calls::default(), 0);
        consumer.on_ready(calls.callback());
        for given_up in 1..=20 {
            assert!(consumer.try_chunk(3).is_err());
            let mut read = spawn(consumer.read_async());
            assert!(read.poll().is_pending());
            second_looks += usize::from(read.is_woken());
            drop(read);
            assert_eq!(calls.count(), given_up);
        }
        assert!(second_looks > 0);
    }

    #[test]
    fn a_task_that_waits_leaves_its_own_waker_at_the_gate_and_no_listener() {
        let (mut producer, _consumer, fd) = stopped();
        let monitor = producer.monitor();
        assert!(spawn(producer.ready()).poll().is_pending());
        let before = monitor.stats().producer_parks;
        assert!(spawn(producer.ready()).poll().is_pending());
        assert!(spawn(producer.write_async(3)).poll().is_pending());
        assert_eq!(monitor.stats().producer_parks, before + 2);
        assert!(is_readable(&fd));

        let (mut producer, _consumer) = channel(4, 4, 4);
        let fd = producer.drain_fd().unwrap();
        producer.write_all(&[0; 4]).unwrap();
        let monitor = producer.monitor();
        let before = monitor.stats().producer_parks;
        // Refused, and not told to stop before.
        assert!(spawn(producer.write_async(5)).poll().is_pending());
        assert_eq!(monitor.stats().producer_parks, before + 1);
        assert!(is_readable(&fd));

        let (_producer, mut consumer) = highwater::bytes(8);
        let fd = consumer.get_mut().ready_fd().unwrap();
        let monitor = consumer.get_ref().monitor();
        for waits in 1..3 {
            let before = monitor.stats().consumer_parks;
            let mut one = [0];
            let mut read = futures_lite::AsyncReadExt::read(&mut consumer, &mut one);
            assert!(spawn(&mut read).poll().is_pending());
            assert_eq!(monitor.stats().consumer_parks, before + 1, "{waits}");
            assert!(is_readable(&fd));
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("the Waker");
        }
    }

    #[test]
    fn a_waker_that_panics_takes_neither_the_item_nor_the_answer_with_it() {
        let waker = Waker::from(Arc::new(Panics));
        let mut context = Context::from_waker(&waker);
        let (mut producer, mut consumer) = channel(1, 0, 1);
        let mut read = Box::pin(consumer.read_async());
        assert!(read.as_mut().poll(&mut context).is_pending());
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        drop(read);
        let mut ready = Box::pin(producer.ready());
        assert!(ready.as_mut().poll(&mut context).is_pending());
        assert_eq!(consumer.try_read(), Ok(1));
        assert!(ready.as_mut().poll(&mut context).is_ready());
        drop(ready);
        assert!(consumer.try_read().is_err());
        let mut read = Box::pin(consumer.read_async());
        assert!(read.as_mut().poll(&mut context).is_pending());
        producer.end(); // the last call, too
        assert!(read.as_mut().poll(&mut context).is_ready());
    }
}

const ITEMS: u64 = if cfg!(debug_assertions) {
    50_000
} else {
    1_000_000
};

/// How an end waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Thread,
    /// First for the descriptor, then it tries.
    Descriptor,
    /// First it tries, then it waits for the callback.
    Callback,
    #[cfg(feature = "async")]
    Task,
    /// Tries again and again.
    Spin,
    /// Now this one, now that; and waits that are begun and given up.
    Any(u64),
}

const SOME_DOORS: &[Door] = &[
    Door::Thread,
    Door::Descriptor,
    Door::Callback,
    #[cfg(feature = "async")]
    Door::Task,
    Door::Spin,
];

impl Door {
    fn random(self) -> Random {
        Random::new(match self {
            Self::Any(seed) => seed,
            _ => 0,
        })
    }

    /// The one for the next item.
    fn next(self, random: &mut Random) -> Self {
        match self {
            Self::Any(_) => SOME_DOORS[random.below(SOME_DOORS.len() as u64) as usize],
            door => door,
        }
    }
}

/// Nothing, or a moment.
fn some_time(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(2) * random.below(50))
}

/// Begins a wait and gives it up.
#[cfg(feature = "async")]
fn poll_once<F: std::future::Future>(future: F) -> Option<F::Output> {
    match tokio_test::task::spawn(future).poll() {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

struct Writer {
    producer: Producer<u64>,
    door: Door,
    random: Random,
    fd: EventFd,
    events: mpsc::Receiver<()>,
}

impl Writer {
    fn new(mut producer: Producer<u64>, door: Door) -> Self {
        let (event, events) = mpsc::channel();
        producer.on_drain(move || event.send(()).unwrap_or(()));
        let fd = producer.drain_fd().unwrap();
        Self {
            producer,
            door,
            random: door.random(),
            fd,
            events,
        }
    }

    fn write(&mut self, mut item: u64) {
        while let Some(refused) = self.try_to_write(item) {
            item = refused;
        }
    }

    /// Waits once, and returns the item if that was in vain.
    fn try_to_write(&mut self, item: u64) -> Option<u64> {
        if let Door::Any(_) = self.door {
            match self.random.below(8) {
                0 => {
                    let timeout = some_time(&mut self.random);
                    return match self.producer.write_timeout(item, timeout) {
                        Ok(()) => None,
                        Err(error) => Some(error.into_inner()),
                    };
                }
                1 => {
                    let timeout = some_time(&mut self.random);
                    let _ = self.producer.wait_drain_timeout(timeout);
                }
                #[cfg(feature = "async")]
                2 => {
                    let _ = poll_once(self.producer.ready());
                }
                #[cfg(feature = "async")]
                3 => assert!(poll_once(self.producer.closed()).is_none()),
                4 => return self.take(item), // whatever the signal says
                _ => {}
            }
        }
        match self.door.next(&mut self.random) {
            Door::Thread => {
                self.producer.write(item).unwrap();
                return None;
            }
            #[cfg(feature = "async")]
            Door::Task => {
                block_on(self.producer.write_async(item)).unwrap();
                return None;
            }
            Door::Descriptor => {
                wait_readable(&self.fd);
                if self.producer.need_drain() {
                    return Some(item);
                }
            }
            Door::Callback => {
                while self.producer.need_drain() {
                    self.events.recv().unwrap();
                }
            }
            Door::Spin | Door::Any(_) => {
                while self.producer.need_drain() {
                    thread::yield_now();
                }
            }
        }
        self.take(item)
    }

    fn take(&mut self, item: u64) -> Option<u64> {
        match self.producer.try_write(item) {
            Ok(_) => None,
            Err(TryWriteError::WouldBlock(item)) => Some(item),
            Err(error) => panic!("{error}"),
        }
    }
}

struct Reader {
    consumer: Consumer<u64>,
    door: Door,
    random: Random,
    fd: EventFd,
    events: mpsc::Receiver<()>,
}

impl Reader {
    fn new(mut consumer: Consumer<u64>, door: Door) -> Self {
        let (event, events) = mpsc::channel();
        consumer.on_ready(move || event.send(()).unwrap_or(()));
        let fd = consumer.ready_fd().unwrap();
        Self {
            consumer,
            door,
            random: door.random(),
            fd,
            events,
        }
    }

    /// `None` at the end.
    fn read(&mut self) -> Option<u64> {
        if let Door::Any(_) = self.door {
            match self.random.below(8) {
                0 => {
                    let timeout = some_time(&mut self.random);
                    if let Ok(item) = self.consumer.read_timeout(timeout) {
                        return Some(item);
                    }
                }
                1 => {
                    // More might never come.
                    let most = self.consumer.max_chunk();
                    let _ = self.consumer.try_chunk(most);
                }
                2 => {
                    let _ = self.consumer.peek();
                }
                #[cfg(feature = "async")]
                3 => {
                    if let Some(Ok(item)) = poll_once(self.consumer.read_async()) {
                        return Some(item);
                    }
                }
                #[cfg(feature = "async")]
                4 => {
                    // Leaves its Waker at the gate.
                    if let Some(Some(Ok(item))) = poll_once(self.consumer.next()) {
                        return Some(item);
                    }
                }
                _ => {}
            }
        }
        loop {
            let read = match self.door.next(&mut self.random) {
                Door::Thread => return ended(self.consumer.read()),
                #[cfg(feature = "async")]
                Door::Task => return ended(block_on(self.consumer.read_async())),
                Door::Descriptor => {
                    wait_readable(&self.fd);
                    self.consumer.try_read()
                }
                Door::Callback => match self.consumer.try_read() {
                    Err(TryReadError::Empty) => {
                        self.events.recv().unwrap();
                        continue;
                    }
                    read => read,
                },
                Door::Spin | Door::Any(_) => self.consumer.try_read(),
            };
            match read {
                Ok(item) => return Some(item),
                Err(TryReadError::Empty) => thread::yield_now(),
                Err(error) => {
                    assert_eq!(error, TryReadError::Ended);
                    return None;
                }
            }
        }
    }
}

fn ended(read: Result<u64, ReadError>) -> Option<u64> {
    match read {
        Ok(item) => Some(item),
        Err(error) => {
            assert_eq!(error, ReadError::Ended);
            None
        }
    }
}

/// Moves items from one thread to another, and checks each.
fn pass(builder: Builder, items: u64, writes: Door, reads: Door) {
    let (producer, consumer) = builder.build().unwrap();
    let monitor = producer.monitor();
    let stands = move || format!("{writes:?} to {reads:?}: {:#?}", monitor.stats());
    while_progress(LONG, stands, move |progress| {
        let writer = thread::spawn(move || {
            let mut writer = Writer::new(producer, writes);
            (0..items).for_each(|item| writer.write(item));
            writer.producer.end();
        });
        let mut reader = Reader::new(consumer, reads);
        let (mut count, mut sum) = (0, 0);
        while let Some(item) = reader.read() {
            assert_eq!(item, count, "{writes:?} to {reads:?}");
            (count, sum) = (count + 1, sum + item);
            progress.made();
        }
        assert_eq!((count, sum), (items, items * (items - 1) / 2));
        writer.join().unwrap();
    });
}

#[test]
fn a_descriptor_on_one_side_or_both_moves_a_million_items_whatever_the_other_side_is() {
    for (full_fences, items) in [(false, ITEMS), (true, ITEMS / 10)] {
        for door in SOME_DOORS {
            for (writes, reads) in [(Door::Descriptor, *door), (*door, Door::Descriptor)] {
                let builder = Builder::new().high_water_mark(1024);
                pass(builder.full_fences(full_fences), items, writes, reads);
            }
        }
    }
}

#[test]
fn every_mixture_of_doors_passes_every_item_through_small_channels() {
    for full_fences in [false, true] {
        for capacity in [1, 3] {
            for writes in SOME_DOORS {
                for reads in SOME_DOORS {
                    let builder = Builder::new().high_water_mark(capacity);
                    pass(
                        builder.full_fences(full_fences),
                        ITEMS / 200,
                        *writes,
                        *reads,
                    );
                }
            }
        }
    }
}

#[test]
fn ends_that_change_doors_at_random_lose_nothing_and_never_hang() {
    for seed in 0..12 {
        let builder = Builder::new()
            .high_water_mark(1 + seed as usize % 3)
            .low_water_mark(seed as usize % 2)
            .capacity(4)
            .full_fences(seed % 4 > 1);
        pass(builder, ITEMS / 50, Door::Any(seed), Door::Any(seed + 100));
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn where_membarrier_is_refused_at_some_moment_loops_go_on_with_fences() {
    process::alone(
        "where_membarrier_is_refused_at_some_moment_loops_go_on_with_fences",
        || {
            let any = (Door::Any(1), Door::Any(2));
            let small = || Builder::new().high_water_mark(3);
            let at_work: Vec<_> = [(Door::Descriptor, Door::Descriptor), any]
                .into_iter()
                .map(|(writes, reads)| {
                    thread::spawn(move || pass(small(), ITEMS / 10, writes, reads))
                })
                .collect();
            sandbox::refuse_membarrier();
            for pass in at_work {
                pass.join().unwrap();
            }
            assert_eq!(barrier::mode(), barrier::Mode::Fence);
            pass(small(), ITEMS / 10, any.0, any.1);
        },
    );
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn where_membarrier_is_refused_from_the_start_a_descriptor_is_asked_again_until_fences_are_used() {
    process::alone(
        "where_membarrier_is_refused_from_the_start_a_descriptor_is_asked_again_until_fences_are_used",
        || {
            sandbox::refuse_membarrier();
            let (mut producer, mut consumer) = channel(2, 0, 2);
            let (drain, ready) = (producer.drain_fd().unwrap(), consumer.ready_fd().unwrap());
            // Nobody is sure to notify it: it has to look by itself, again and again.
            for _ in 0..3 {
                wait_readable(&ready);
                assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
            }
            assert_eq!(ready.acknowledge(), 0, "nobody has notified it");
            producer.write_all(&[1, 2]).unwrap(); // sees the wish, and confirms it
            assert_eq!(consumer.try_iter().count(), 2);
            assert!(!is_readable(&ready));
            assert!(is_readable(&drain));
            producer.write_all(&[1, 2]).unwrap();
            assert!(is_readable(&ready) && !is_readable(&drain));
            assert_eq!(barrier::mode(), barrier::Mode::Fence);
            // A channel that is made now uses fences from the start.
            assert!(!is_readable(&empty().2));
        },
    );
}

#[test]
fn where_fences_are_chosen_late_an_end_that_idles_in_any_door_is_woken_now_and_then() {
    process::alone(
        "where_fences_are_chosen_late_an_end_that_idles_in_any_door_is_woken_now_and_then",
        || {
            common::deadline(|| {
                const IDLE: Duration = Duration::from_millis(300);
                /// It takes 9 to get there by doubling.
                const MOST: usize = 20;

                let mut channels: Vec<_> = (0..5).map(|_| channel(2, 0, 2)).collect();
                barrier::use_fences().unwrap();
                let (mut lasting, mut idling) = channels.pop().unwrap();
                let ready = idling.ready_fd().unwrap();
                let begin = Instant::now();
                let mut rounds = 0;
                while begin.elapsed() < IDLE {
                    wait_readable(&ready);
                    assert!(idling.try_read().is_err());
                    rounds += 1;
                }
                assert!((2..=MOST).contains(&rounds), "{rounds}");
                // The other end hears of it in its first operation, and then each wait is a wait.
                lasting.write(1).unwrap();
                assert_eq!(idling.try_read(), Ok(1));
                assert!(idling.try_read().is_err());
                ready.acknowledge();
                let mut waits = [PollFd::new(&ready, PollFlags::IN)];
                poll(&mut waits, Some(&IDLE.try_into().unwrap())).unwrap();
                assert!(waits[0].revents().is_empty(), "it does not look by itself");
                lasting.write(2).unwrap();
                assert_eq!((is_readable(&ready), ready.acknowledge()), (true, 1));

                // A callback, whose end asks each time.
                let (mut producer, mut consumer) = channels.pop().unwrap();
                let (heard, threads) = mpsc::channel();
                producer.write_all(&[1, 2]).unwrap();
                producer.on_drain(move || heard.send(thread::current().id()).unwrap());
                let begin = Instant::now();
                let mut calls = 0;
                while begin.elapsed() < IDLE {
                    assert_ne!(threads.recv().unwrap(), thread::current().id());
                    calls += 1;
                    for _ in 0..100 {
                        assert!(producer.need_drain());
                    }
                }
                assert!((2..=MOST).contains(&calls), "{calls}");
                producer.clear_on_drain();
                assert_eq!(consumer.try_iter().count(), 2);

                let (mut producer, mut consumer) = channels.pop().unwrap();
                let monitor = producer.monitor();
                let reader = thread::spawn(move || consumer.read());
                thread::sleep(IDLE); // the time is the test, and no wait
                producer.write(1).unwrap();
                assert_eq!(reader.join().unwrap(), Ok(1));
                let parks = monitor.stats().consumer_parks;
                assert!((2..=MOST).contains(&parks), "{parks}");

                #[cfg(feature = "async")]
                {
                    let (mut producer, mut consumer) = channels.pop().unwrap();
                    let reader = thread::spawn(move || {
                        let mut polls = 0;
                        let mut read = Box::pin(consumer.read_async());
                        let item = block_on(futures_lite::future::poll_fn(|cx| {
                            polls += 1;
                            std::future::Future::poll(read.as_mut(), cx)
                        }));
                        assert_eq!(item, Ok(1));
                        polls
                    });
                    thread::sleep(IDLE); // the time is the test, and no wait
                    producer.write(1).unwrap();
                    let polls = reader.join().unwrap();
                    assert!((2..=MOST).contains(&polls), "{polls}");
                }
            })
        },
    );
}

#[cfg(feature = "async")]
#[test]
fn where_fences_are_chosen_late_a_listener_is_called_unless_it_was_cleared_whatever_futures_did_between(
) {
    process::alone(
        "where_fences_are_chosen_late_a_listener_is_called_unless_it_was_cleared_whatever_futures_did_between",
        || {
            common::deadline(|| {
                let mut channels: Vec<_> = (0..5).map(|_| channel(2, 0, 2)).collect();
                barrier::use_fences().unwrap();
                let (calls_of_none, no_calls) = mpsc::channel::<()>();

                // An end that nobody is sure to notify looks by itself: the future looked in its place.
                let (_producer, mut consumer) = channels.pop().unwrap();
                let ready = consumer.ready_fd().unwrap();
                assert!(consumer.try_read().is_err());
                assert!(poll_once(consumer.read_async()).is_none());
                wait_readable(&ready);

                let (mut producer, _consumer) = channels.pop().unwrap();
                let drain = producer.drain_fd().unwrap();
                producer.write_all(&[1, 2]).unwrap();
                assert!(producer.need_drain());
                assert!(poll_once(producer.closed()).is_none());
                wait_readable(&drain);

                let (_producer, mut consumer) = channels.pop().unwrap();
                let (call, calls) = mpsc::channel();
                consumer.on_ready(move || call.send(()).unwrap());
                assert!(consumer.try_read().is_err());
                assert!(poll_once(consumer.next()).is_none()); // its Waker stays
                assert!(consumer.try_read().is_err()); // and is relieved
                calls.recv().unwrap();
                assert!(consumer.try_read().is_err());
                assert!(poll_once(consumer.read_async()).is_none());
                calls.recv().unwrap();

                // What was cleared, or was an end's that is gone, is not called again.
                let (_producer, mut cleared) = channels.pop().unwrap();
                let (_other, mut dropped) = channels.pop().unwrap();
                for consumer in [&mut cleared, &mut dropped] {
                    let call = calls_of_none.clone();
                    consumer.on_ready(move || call.send(()).unwrap());
                    assert!(consumer.try_read().is_err());
                }
                cleared.clear_on_ready();
                drop(dropped);
                drop(calls_of_none);
                assert!(no_calls.recv().is_err(), "it was called, or is held");
            })
        },
    );
}

// ---- Descriptors as a resource ----------------------------------------------------------------

fn limit_of_open_files(limit: Option<u64>) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: limit,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    current
}

#[test]
fn where_the_limit_of_descriptors_is_reached_the_channel_goes_on_and_one_can_ask_again() {
    process::alone(
        "where_the_limit_of_descriptors_is_reached_the_channel_goes_on_and_one_can_ask_again",
        || {
            let (mut producer, mut consumer) = channel(2, 0, 2);
            let calls = Calls::default();
            producer.on_drain(calls.callback());
            let before = limit_of_open_files(Some(0));

            let error = producer.drain_fd().unwrap_err();
            let text = error.to_string();
            for said in ["no eventfd", "raise the limit of open files", "ask again"] {
                assert!(text.contains(said), "{text}");
            }
            assert!(error.source().unwrap().is::<io::Error>());
            let error = io::Error::from(error);
            assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
            assert!(consumer.ready_fd().is_err());

            // In threads, and what was registered before is still there.
            common::deadline(move || {
                let writer = thread::spawn(move || {
                    for item in 0..100 {
                        producer.write(item).unwrap();
                    }
                    producer
                });
                for item in 0..100 {
                    assert_eq!(consumer.read(), Ok(item));
                }
                let mut producer = writer.join().unwrap();
                let heard = calls.count();
                producer.write_all(&[1, 2]).unwrap();
                assert!(producer.need_drain());
                assert!(producer.drain_fd().is_err());
                assert_eq!(consumer.try_iter().count(), 2);
                assert_eq!(calls.count(), heard + 1);

                limit_of_open_files(before);
                let fd = producer.drain_fd().unwrap();
                producer.write_all(&[1, 2]).unwrap();
                assert!(!is_readable(&fd));
                assert_eq!(consumer.try_iter().count(), 2);
                assert!(is_readable(&fd));
                let mut finish = producer.end();
                assert!(is_readable(&finish.finish_fd().unwrap()));
            });
        },
    );
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_descriptor_is_closed_with_its_end_and_the_last_clone() {
    process::alone(
        "a_descriptor_is_closed_with_its_end_and_the_last_clone",
        || {
            let before = open_files();
            for round in 0..1000 {
                let (mut producer, mut consumer) = channel(2, 0, 2);
                let fds = [producer.drain_fd().unwrap(), consumer.ready_fd().unwrap()];
                let clones = fds.clone();
                producer.on_drain(|| ());
                if round % 3 == 0 {
                    drop(fds); // with the ends
                    producer.write_all(&[1, 2]).unwrap();
                    let mut finish = producer.end();
                    finish.finish_fd().unwrap();
                    assert_eq!(open_files(), before + 3);
                    drop((finish, consumer));
                    drop(clones);
                } else {
                    if round % 3 == 1 {
                        producer.write_all(&[1, 2]).unwrap(); // one is armed, or the other
                    }
                    drop((producer, consumer)); // clones outlive them
                    assert_eq!(open_files(), before + 2);
                    assert!(is_readable(&fds[0]) || is_readable(&fds[1]));
                    drop(fds);
                    assert_eq!(open_files(), before + 2);
                    drop(clones);
                }
                assert_eq!(open_files(), before);
            }

            // What an epoll knew of it goes with the last clone.
            let mut epoll = Epoll::new(epoll::EventFlags::empty());
            let (producer, mut consumer) = channel(2, 0, 2);
            let fd = consumer.ready_fd().unwrap();
            epoll.add(7, &fd);
            drop(producer);
            drop(consumer);
            assert_eq!(epoll.look(Some(&AT_ONCE)), [7]);
            drop(fd);
            assert!(epoll.look(Some(&AT_ONCE)).is_empty());
        },
    );
}

// ---- Real loops -------------------------------------------------------------------------------

/// A loop of one thread that waits for many descriptors.
trait EventLoop {
    /// Whether a descriptor that was not worked off is reported again.
    const IS_LEVEL_TRIGGERED: bool = false;

    fn add(&mut self, key: usize, fd: &EventFd);
    fn remove(&mut self, key: usize, fd: &EventFd);
    /// Waits, and says which are readable.
    fn wait(&mut self) -> Vec<usize>;
    /// After each that was worked off.
    fn again(&mut self, _key: usize, _fd: &EventFd) {}
}

struct Epoll {
    epoll: OwnedFd,
    flags: epoll::EventFlags,
}

impl Epoll {
    fn new(flags: epoll::EventFlags) -> Self {
        Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
            flags: flags | epoll::EventFlags::IN,
        }
    }

    fn look(&self, timeout: Option<&Timespec>) -> Vec<usize> {
        let mut events = Vec::with_capacity(16);
        epoll::wait(&self.epoll, spare_capacity(&mut events), timeout).unwrap();
        let keys = events.iter().map(|event| event.data.u64() as usize);
        keys.collect()
    }
}

/// Level-triggered.
impl EventLoop for Epoll {
    const IS_LEVEL_TRIGGERED: bool = true;

    fn add(&mut self, key: usize, fd: &EventFd) {
        let data = epoll::EventData::new_u64(key as u64);
        epoll::add(&self.epoll, fd, data, self.flags).unwrap();
    }

    fn remove(&mut self, _: usize, fd: &EventFd) {
        epoll::delete(&self.epoll, fd).unwrap();
    }

    fn wait(&mut self) -> Vec<usize> {
        self.look(None)
    }
}

struct EdgeTriggered(Epoll);

impl EdgeTriggered {
    fn new() -> Self {
        Self(Epoll::new(epoll::EventFlags::ET))
    }
}

impl EventLoop for EdgeTriggered {
    fn add(&mut self, key: usize, fd: &EventFd) {
        self.0.add(key, fd);
    }

    fn remove(&mut self, key: usize, fd: &EventFd) {
        self.0.remove(key, fd);
    }

    fn wait(&mut self) -> Vec<usize> {
        self.0.wait()
    }
}

impl EventLoop for mio::Poll {
    fn add(&mut self, key: usize, fd: &EventFd) {
        let mut source = SourceFd(&fd.as_raw_fd());
        let registry = self.registry();
        registry
            .register(&mut source, mio::Token(key), mio::Interest::READABLE)
            .unwrap();
    }

    fn remove(&mut self, _: usize, fd: &EventFd) {
        let mut source = SourceFd(&fd.as_raw_fd());
        self.registry().deregister(&mut source).unwrap();
    }

    fn wait(&mut self) -> Vec<usize> {
        let mut events = mio::Events::with_capacity(16);
        self.poll(&mut events, None).unwrap();
        events.iter().map(|event| event.token().0).collect()
    }
}

/// Which reports each once, until it is asked again.
impl EventLoop for polling::Poller {
    fn add(&mut self, key: usize, fd: &EventFd) {
        // SAFETY: it is removed again while the descriptor is open.
        unsafe { polling::Poller::add(self, fd, polling::Event::readable(key)) }.unwrap();
    }

    fn remove(&mut self, _: usize, fd: &EventFd) {
        self.delete(fd).unwrap();
    }

    fn wait(&mut self) -> Vec<usize> {
        let mut events = polling::Events::new();
        polling::Poller::wait(self, &mut events, None).unwrap();
        events.iter().map(|event| event.key).collect()
    }

    fn again(&mut self, key: usize, fd: &EventFd) {
        self.modify(fd, polling::Event::readable(key)).unwrap();
    }
}

/// Works at many ends until each of them is done, as `work` says, which does no more at a time than it is
/// told.
fn run_loop<L: EventLoop, E>(
    mut events: L,
    progress: &Progress,
    mut ends: Vec<(E, EventFd)>,
    mut work: impl FnMut(usize, &mut E, usize) -> bool,
) -> Vec<E> {
    // A loop that is level-triggered may leave the rest for the next round.
    let at_a_time = if L::IS_LEVEL_TRIGGERED {
        37
    } else {
        usize::MAX
    };
    for (key, (_, fd)) in ends.iter().enumerate() {
        events.add(key, fd);
    }
    let mut open = ends.len();
    while open > 0 {
        for key in events.wait() {
            let (end, fd) = &mut ends[key];
            if work(key, end, at_a_time) {
                events.remove(key, fd);
                open -= 1;
            } else {
                events.again(key, fd);
            }
            progress.made();
        }
    }
    ends.into_iter().map(|(end, _)| end).collect()
}

const CHANNELS: usize = 64;
const ITEMS_EACH: u64 = if cfg!(debug_assertions) {
    10_000
} else {
    20_000
};

/// A different number in each channel.
fn item(channel: usize, number: u64) -> u64 {
    number * CHANNELS as u64 + channel as u64
}

fn sum(channel: usize) -> u64 {
    (0..ITEMS_EACH).map(|number| item(channel, number)).sum()
}

#[derive(Default)]
struct Seen {
    count: u64,
    sum: u64,
}

impl Seen {
    fn take(&mut self, channel: usize, got: u64) {
        assert_eq!(got, item(channel, self.count), "lost, doubled or misplaced");
        self.count += 1;
        self.sum += got;
    }

    /// Reads what is there, but no more than `most`; returns whether that was the end.
    fn read(&mut self, channel: usize, consumer: &mut Consumer<u64>, most: usize) -> bool {
        for _ in 0..most {
            match consumer.try_read() {
                Ok(got) => self.take(channel, got),
                Err(TryReadError::Empty) => break,
                Err(error) => {
                    assert_eq!(error, TryReadError::Ended);
                    return true;
                }
            }
        }
        false
    }

    fn check(&self, channel: usize) {
        assert_eq!((self.count, self.sum), (ITEMS_EACH, sum(channel)));
    }
}

fn channels(count: usize) -> (Vec<Producer<u64>>, Vec<Consumer<u64>>) {
    (0..count)
        .map(|channel| highwater::channel(1 + 3 * channel))
        .unzip()
}

/// One consumer thread, and as many producer threads as channels.
fn many_threads_write_to_one_loop(events: impl EventLoop + Send + 'static, count: usize) {
    while_progress(LONG, String::new, move |progress| {
        let (producers, consumers) = channels(count);
        let writers: Vec<_> = producers
            .into_iter()
            .enumerate()
            .map(|(channel, mut producer)| {
                thread::spawn(move || {
                    for number in 0..ITEMS_EACH {
                        producer.write(item(channel, number)).unwrap();
                    }
                    producer.end();
                })
            })
            .collect();
        let ends = consumers
            .into_iter()
            .map(|mut consumer| {
                let fd = consumer.ready_fd().unwrap();
                ((consumer, Seen::default()), fd)
            })
            .collect();
        let ends = run_loop(
            events,
            &progress,
            ends,
            |channel, (consumer, seen), most| seen.read(channel, consumer, most),
        );
        for (channel, (_, seen)) in ends.iter().enumerate() {
            seen.check(channel);
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

/// One producer thread, and as many consumer threads as channels.
fn one_loop_writes_to_many_threads(events: impl EventLoop + Send + 'static, count: usize) {
    while_progress(LONG, String::new, move |progress| {
        let (producers, consumers) = channels(count);
        let readers: Vec<_> = consumers
            .into_iter()
            .enumerate()
            .map(|(channel, consumer)| {
                thread::spawn(move || {
                    let mut seen = Seen::default();
                    for got in consumer {
                        seen.take(channel, got.unwrap());
                    }
                    seen.check(channel);
                })
            })
            .collect();
        let ends = producers
            .into_iter()
            .map(|mut producer| {
                let fd = producer.drain_fd().unwrap();
                ((producer, 0), fd)
            })
            .collect();
        let ends = run_loop(
            events,
            &progress,
            ends,
            |channel, (producer, next), most| {
                for _ in 0..most {
                    if producer.need_drain() {
                        break;
                    }
                    if *next == ITEMS_EACH {
                        return true;
                    }
                    let _ = producer.try_write(item(channel, *next)).unwrap();
                    *next += 1;
                }
                false
            },
        );
        ends.into_iter()
            .for_each(|(producer, _)| drop(producer.end()));
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn one_epoll_loop_reads_from_64_producer_threads() {
    many_threads_write_to_one_loop(Epoll::new(epoll::EventFlags::empty()), CHANNELS);
    many_threads_write_to_one_loop(EdgeTriggered::new(), CHANNELS);
}

#[test]
fn one_epoll_loop_writes_to_64_consumer_threads() {
    one_loop_writes_to_many_threads(Epoll::new(epoll::EventFlags::empty()), CHANNELS);
    one_loop_writes_to_many_threads(EdgeTriggered::new(), CHANNELS);
}

#[test]
fn mio_which_is_edge_triggered_serves_both_ends() {
    many_threads_write_to_one_loop(mio::Poll::new().unwrap(), 8);
    one_loop_writes_to_many_threads(mio::Poll::new().unwrap(), 8);
}

#[test]
fn polling_which_reports_once_serves_both_ends() {
    many_threads_write_to_one_loop(polling::Poller::new().unwrap(), 8);
    one_loop_writes_to_many_threads(polling::Poller::new().unwrap(), 8);
}

fn async_fd(fd: EventFd) -> AsyncFd<EventFd> {
    // SAFETY: it owns its descriptor, which stays open and the same.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.unwrap()
}

/// Works at an end until it is done, and waits as often as that would block.
async fn work_off<E>(fd: &AsyncFd<EventFd>, end: &mut E, mut work: impl FnMut(&mut E) -> bool) {
    loop {
        let mut guard = fd.readable().await.unwrap();
        if work(end) {
            return;
        }
        guard.clear_ready();
    }
}

#[test]
fn the_async_fd_of_tokio_serves_both_ends() {
    const MANY: usize = 8;

    fn runtime() -> tokio::runtime::Builder {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_io();
        builder
    }

    while_progress(LONG, String::new, |progress| {
        runtime().build().unwrap().block_on(async {
            let (producers, consumers) = channels(MANY);
            let mut tasks = Vec::new();
            for (channel, mut producer) in producers.into_iter().enumerate() {
                let progress = progress.clone();
                tasks.push(tokio::spawn(async move {
                    let fd = async_fd(producer.drain_fd().unwrap());
                    for number in 0..ITEMS_EACH {
                        if producer.need_drain() {
                            let drained = |end: &mut Producer<_>| !end.need_drain();
                            work_off(&fd, &mut producer, drained).await;
                        }
                        let _ = producer.try_write(item(channel, number)).unwrap();
                        progress.made();
                    }
                    let mut finish = producer.end();
                    let fd = async_fd(finish.finish_fd().unwrap());
                    let finished = |finish: &mut Finish| finish.try_wait().unwrap();
                    work_off(&fd, &mut finish, finished).await;
                }));
            }
            for (channel, mut consumer) in consumers.into_iter().enumerate() {
                tasks.push(tokio::spawn(async move {
                    let fd = async_fd(consumer.ready_fd().unwrap());
                    let mut seen = Seen::default();
                    let read = |consumer: &mut _| seen.read(channel, consumer, usize::MAX);
                    work_off(&fd, &mut consumer, read).await;
                    seen.check(channel);
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}
