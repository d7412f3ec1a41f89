//! The door for event loops: when a descriptor is readable and when it is not, and callbacks.
#![cfg(target_os = "linux")]
// The minimum Rust version is the library's; what the tests depend on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;

use highwater::{
    Builder, ByteConsumer, ByteProducer, Bytes, Consumer, EventFd, Flow, NonBlocking, Producer,
    TryReadError, TryReserveError, TryWriteError, WriteTimeoutError,
};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::{
    io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    os::fd::AsRawFd,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc, Arc,
    },
    thread,
    time::Duration,
};

const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn is_readable(fd: &EventFd) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&AT_ONCE)).unwrap() == 1
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
        task::{Context, Wake, Waker},
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
