//! Byte streams in tasks: what `Read`, `BufRead` and `Write` promise to a thread, both families of traits
//! promise to a task, under any runtime and however the polls come.
#![cfg(all(feature = "futures-io", feature = "tokio"))]
// The minimum Rust version is the library's; what the tests depend on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;

use common::{deadline, eventually, while_progress, Random};
use futures_lite::future::{block_on, try_zip, zip};
use highwater::{Builder, ByteConsumer, ByteProducer, NonBlocking, State};
use std::{
    future::{poll_fn, Future},
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    mem,
    panic::{catch_unwind, AssertUnwindSafe},
    pin::Pin,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc, OnceLock,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use tokio::{io::ReadBuf, runtime::Runtime, task::coop};

/// Whose traits are used.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    Futures,
    Tokio,
}

const FAMILIES: [Family; 2] = [Family::Futures, Family::Tokio];

impl Family {
    fn poll_write(
        self,
        producer: &mut ByteProducer,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let producer = Pin::new(producer);
        match self {
            Self::Futures => futures_lite::AsyncWrite::poll_write(producer, cx, bytes),
            Self::Tokio => tokio::io::AsyncWrite::poll_write(producer, cx, bytes),
        }
    }

    fn poll_write_vectored(
        self,
        producer: &mut ByteProducer,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let producer = Pin::new(producer);
        match self {
            Self::Futures => futures_lite::AsyncWrite::poll_write_vectored(producer, cx, slices),
            Self::Tokio => tokio::io::AsyncWrite::poll_write_vectored(producer, cx, slices),
        }
    }

    fn poll_flush(self, producer: &mut ByteProducer, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let producer = Pin::new(producer);
        match self {
            Self::Futures => futures_lite::AsyncWrite::poll_flush(producer, cx),
            Self::Tokio => tokio::io::AsyncWrite::poll_flush(producer, cx),
        }
    }

    fn poll_close(self, producer: &mut ByteProducer, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let producer = Pin::new(producer);
        match self {
            Self::Futures => futures_lite::AsyncWrite::poll_close(producer, cx),
            Self::Tokio => tokio::io::AsyncWrite::poll_shutdown(producer, cx),
        }
    }

    fn poll_read(
        self,
        consumer: &mut ByteConsumer,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let consumer = Pin::new(consumer);
        match self {
            Self::Futures => futures_lite::AsyncRead::poll_read(consumer, cx, to),
            Self::Tokio => {
                let mut to = ReadBuf::new(to);
                tokio::io::AsyncRead::poll_read(consumer, cx, &mut to)
                    .map_ok(|()| to.filled().len())
            }
        }
    }

    fn poll_fill_buf<'a>(
        self,
        consumer: &'a mut ByteConsumer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&'a [u8]>> {
        let consumer = Pin::new(consumer);
        match self {
            Self::Futures => futures_lite::AsyncBufRead::poll_fill_buf(consumer, cx),
            Self::Tokio => tokio::io::AsyncBufRead::poll_fill_buf(consumer, cx),
        }
    }

    fn consume(self, consumer: &mut ByteConsumer, count: usize) {
        let consumer = Pin::new(consumer);
        match self {
            Self::Futures => futures_lite::AsyncBufRead::consume(consumer, count),
            Self::Tokio => tokio::io::AsyncBufRead::consume(consumer, count),
        }
    }

    /// Each way to read, once.
    fn read_in_every_form(
        self,
        consumer: &mut ByteConsumer,
        cx: &mut Context<'_>,
    ) -> Vec<Poll<io::Result<usize>>> {
        let mut buffer = [0; 8];
        let mut results = vec![
            self.poll_fill_buf(consumer, cx).map_ok(<[u8]>::len),
            self.poll_read(consumer, cx, &mut buffer),
        ];
        if self == Self::Futures {
            let slices = &mut [IoSliceMut::new(&mut buffer)];
            let consumer = Pin::new(consumer);
            let read = futures_lite::AsyncRead::poll_read_vectored(consumer, cx, slices);
            results.push(read);
        }
        results
    }

    /// Each way to write, once.
    fn write_in_every_form(
        self,
        producer: &mut ByteProducer,
        cx: &mut Context<'_>,
    ) -> [Poll<io::Result<usize>>; 2] {
        [
            self.poll_write(producer, cx, b"ab"),
            self.poll_write_vectored(producer, cx, &[IoSlice::new(b"a"), IoSlice::new(b"b")]),
        ]
    }

    async fn write(self, producer: &mut ByteProducer, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(producer, cx, bytes)).await
    }

    async fn read(self, consumer: &mut ByteConsumer, to: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(consumer, cx, to)).await
    }

    async fn close(self, producer: &mut ByteProducer) -> io::Result<()> {
        poll_fn(|cx| self.poll_close(producer, cx)).await
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        (bell.clone(), bell.into())
    }

    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The result of a poll that has no reason to wait.
#[track_caller]
fn now<T>(polled: Poll<T>) -> T {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

#[track_caller]
fn assert_error<T: std::fmt::Debug>(result: io::Result<T>, kind: ErrorKind, words: &[&str]) {
    let error = result.expect_err("it succeeds");
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{error}`: no `{word}`");
    }
}

fn at(first: usize, high: usize, capacity: usize) -> (ByteProducer, ByteConsumer) {
    let (producer, consumer) = Builder::new()
        .high_water_mark(high)
        .capacity(capacity)
        .first_index(first)
        .build()
        .unwrap();
    (producer.into(), consumer.into())
}

/// The places to begin at: every one of a ring of 8 slots, far from and at the wrap of the indices.
fn places() -> impl Iterator<Item = usize> {
    (0..8).chain(usize::MAX - 7..=usize::MAX)
}

/// A stream that holds `text`, and has ended.
fn ended(first: usize, text: &[u8]) -> ByteConsumer {
    let (mut producer, consumer) = at(first, text.len(), text.len().max(1));
    producer.write_all(text).unwrap();
    producer.end();
    consumer
}

/// Bytes that differ from those a lap of any small ring before.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8)) as u8).collect()
}

/// The same for threads that outlive the test's frame.
fn lasting_pattern(len: usize) -> &'static [u8] {
    static LONGEST: OnceLock<Vec<u8>> = OnceLock::new();
    &LONGEST.get_or_init(|| pattern(20_000))[..len]
}

/// Runs a test in both families, with a `Waker` that counts.
fn in_both_families(test: impl Fn(Family, &mut Context<'_>, &Bell) + Send + 'static) {
    deadline(move || {
        for family in FAMILIES {
            let (bell, waker) = Bell::new();
            test(family, &mut Context::from_waker(&waker), &bell);
        }
    });
}

// ---- Reading and writing ----------------------------------------------------------------------

#[test]
fn what_is_written_is_read_at_every_place_of_the_ring() {
    in_both_families(|family, cx, bell| {
        for first in places() {
            let (mut producer, mut consumer) = at(first, 8, 8);
            assert_eq!(
                now(family.poll_write(&mut producer, cx, b"abcdef")).unwrap(),
                6
            );
            let mut to = [0; 4];
            assert_eq!(
                now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
                4
            );
            assert_eq!(&to, b"abcd");
            assert_eq!(
                now(family.poll_write(&mut producer, cx, b"ghij")).unwrap(),
                4
            );
            let mut to = [0; 16];
            assert_eq!(
                now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
                6,
                "what is there"
            );
            assert_eq!(&to[..6], b"efghij");
            assert_eq!(to[6..], [0; 10], "the rest is not touched");
        }
        assert_eq!(bell.rings(), 0);
    });
}

#[test]
fn a_read_buffer_of_tokio_that_is_partly_filled_gets_the_rest() {
    let (_, waker) = Bell::new();
    let cx = &mut Context::from_waker(&waker);
    for first in places() {
        let mut consumer = ended(first, b"abcdefgh");
        let mut memory = [mem::MaybeUninit::uninit(); 7];
        let mut to = ReadBuf::uninit(&mut memory);
        to.put_slice(b"12");
        now(tokio::io::AsyncRead::poll_read(
            Pin::new(&mut consumer),
            cx,
            &mut to,
        ))
        .unwrap();
        assert_eq!(to.filled(), b"12abcde");
        now(tokio::io::AsyncRead::poll_read(
            Pin::new(&mut consumer),
            cx,
            &mut to,
        ))
        .unwrap();
        assert_eq!(
            to.filled(),
            b"12abcde",
            "a full one is no reason to take anything"
        );
        assert_eq!(consumer.monitor().len(), 3);
    }
}

#[test]
fn slices_are_gathered_and_scattered_across_the_edge() {
    in_both_families(|family, cx, _| {
        for first in places() {
            let (mut producer, mut consumer) = at(first, 8, 8);
            assert!(tokio::io::AsyncWrite::is_write_vectored(&producer));
            let slices: [&[u8]; 6] = [b"", b"a", b"bcd", b"", b"efgh", b"too much"];
            let slices = slices.map(IoSlice::new);
            assert_eq!(
                now(family.poll_write_vectored(&mut producer, cx, &slices)).unwrap(),
                8
            );
            let (mut one, mut two, mut three) = ([0; 1], [0; 5], [0; 9]);
            let mut slices = [
                IoSliceMut::new(&mut []),
                IoSliceMut::new(&mut one),
                IoSliceMut::new(&mut two),
                IoSliceMut::new(&mut three),
            ];
            let consumer = Pin::new(&mut consumer);
            let read = futures_lite::AsyncRead::poll_read_vectored(consumer, cx, &mut slices);
            assert_eq!(now(read).unwrap(), 8);
            assert_eq!((&one, &two, &three[..2]), (b"a", b"bcdef", &b"gh"[..]));
        }
    });
}

#[test]
fn an_empty_buffer_is_no_reason_to_wait_however_the_stream_stands() {
    in_both_families(|family, cx, _| {
        for way in 0..5 {
            let (mut producer, mut consumer) = highwater::bytes(2);
            if way == 1 {
                producer.write_all(b"ab").unwrap();
            }
            let empty = [IoSlice::new(&[]), IoSlice::new(&[])];
            assert_eq!(now(family.poll_write(&mut producer, cx, &[])).unwrap(), 0);
            assert_eq!(
                now(family.poll_write_vectored(&mut producer, cx, &[])).unwrap(),
                0
            );
            assert_eq!(
                now(family.poll_write_vectored(&mut producer, cx, &empty)).unwrap(),
                0
            );
            match way {
                2 => drop(producer.end()),
                3 => drop(producer),
                4 => producer.abort("no disk"),
                _ => {}
            }
            assert_eq!(
                now(family.poll_read(&mut consumer, cx, &mut [])).unwrap(),
                0
            );
            for slices in [&mut [][..], &mut [IoSliceMut::new(&mut [])]] {
                let consumer = Pin::new(&mut consumer);
                let read = futures_lite::AsyncRead::poll_read_vectored(consumer, cx, slices);
                assert_eq!(now(read).unwrap(), 0);
            }
            assert_eq!(consumer.monitor().len(), if way == 1 { 2 } else { 0 });
        }
        let (mut producer, consumer) = highwater::bytes(2);
        drop(consumer);
        assert_eq!(now(family.poll_write(&mut producer, cx, &[])).unwrap(), 0);
    });
}

#[test]
fn a_write_takes_what_there_is_room_for_up_to_the_mark_and_at_least_one_byte() {
    in_both_families(|family, cx, _| {
        for (high, takes) in [(0, 1), (1, 1), (2, 2), (3, 3), (5, 5), (8, 8)] {
            for vectored in [false, true] {
                let (mut producer, mut consumer) = at(6, high, 8);
                let bytes = pattern(20);
                let count = if vectored {
                    let (a, b) = bytes.split_at(2);
                    let slices = [IoSlice::new(a), IoSlice::new(b)];
                    family.poll_write_vectored(&mut producer, cx, &slices)
                } else {
                    family.poll_write(&mut producer, cx, &bytes)
                };
                assert_eq!(now(count).unwrap(), takes, "a mark of {high}");
                assert!(producer.get_ref().need_drain());
                for again in family.write_in_every_form(&mut producer, cx) {
                    assert!(again.is_pending());
                }
                let mut copy = [0; 20];
                assert_eq!(consumer.read(&mut copy).unwrap(), takes);
                assert_eq!(copy[..takes], bytes[..takes]);
            }
        }
    });
}

/// Both marks at the capacity: a full stream counts as drained, and has no room.
#[test]
fn a_write_waits_for_room_also_where_there_is_nothing_to_drain() {
    in_both_families(|family, cx, bell| {
        let (producer, consumer) = Builder::new()
            .high_water_mark(2)
            .low_water_mark(2)
            .capacity(2)
            .build()
            .unwrap();
        let (mut producer, mut consumer) =
            (ByteProducer::from(producer), ByteConsumer::from(consumer));
        assert_eq!(
            now(family.poll_write(&mut producer, cx, b"abc")).unwrap(),
            2
        );
        assert!(family.poll_write(&mut producer, cx, b"c").is_pending());
        assert_eq!(bell.rings(), 0);
        consumer.read_exact(&mut [0]).unwrap();
        assert_eq!(bell.rings(), 1);
        assert_eq!(now(family.poll_write(&mut producer, cx, b"c")).unwrap(), 1);
    });
}

#[test]
fn a_task_that_writes_is_woken_at_the_low_mark_and_takes_all_the_room_up_to_the_high_mark() {
    in_both_families(|family, cx, bell| {
        let (mut producer, mut consumer) = at(3, 8, 16);
        assert_eq!(
            now(family.poll_write(&mut producer, cx, &pattern(20))).unwrap(),
            8
        );
        assert!(family
            .poll_write(&mut producer, cx, &pattern(20)[8..])
            .is_pending());
        consumer.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(bell.rings(), 0);
        consumer.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(bell.rings(), 1);
        assert_eq!(
            now(family.poll_write(&mut producer, cx, &pattern(20)[8..])).unwrap(),
            4
        );
        let mut rest = [0; 20];
        assert_eq!(consumer.read(&mut rest).unwrap(), 8);
        assert_eq!(rest[..8], pattern(20)[4..12]);
        assert_eq!(bell.rings(), 1);
    });
}

#[test]
fn data_wakes_a_task_that_reads_once_and_stays_until_it_is_polled() {
    in_both_families(|family, cx, bell| {
        let (mut producer, mut consumer) = at(7, 8, 8);
        for form in family.read_in_every_form(&mut consumer, cx) {
            assert!(form.is_pending());
        }
        producer.write_all(b"ab").unwrap();
        assert_eq!(bell.rings(), 1);
        producer.write_all(b"c").unwrap();
        assert_eq!((bell.rings(), producer.monitor().len()), (1, 3));
        let mut to = [0; 8];
        assert_eq!(
            now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
            3
        );
        assert_eq!(&to[..3], b"abc");
        assert!(family.poll_read(&mut consumer, cx, &mut to).is_pending());
    });
}

#[test]
fn buffered_reading_lends_what_is_there_up_to_the_edge_and_then_the_rest() {
    in_both_families(|family, cx, _| {
        let (mut producer, mut consumer) = at(5, 8, 8);
        producer.write_all(b"abcdef").unwrap();
        let consumer = &mut consumer;
        assert_eq!(now(family.poll_fill_buf(consumer, cx)).unwrap(), b"abc");
        assert_eq!(
            now(family.poll_fill_buf(consumer, cx)).unwrap(),
            b"abc",
            "nothing was consumed"
        );
        family.consume(consumer, 0);
        family.consume(consumer, 2);
        assert_eq!(now(family.poll_fill_buf(consumer, cx)).unwrap(), b"c");
        let too_many = catch_unwind(AssertUnwindSafe(|| family.consume(consumer, 2)));
        assert!(
            too_many.is_err(),
            "it is about what was lent, not about what is there"
        );
        assert_eq!(now(family.poll_fill_buf(consumer, cx)).unwrap(), b"c");
        family.consume(consumer, 1);
        assert_eq!(now(family.poll_fill_buf(consumer, cx)).unwrap(), b"def");
        family.consume(consumer, 3);
        assert!(family.poll_fill_buf(consumer, cx).is_pending());
        producer.end();
        assert_eq!(now(family.poll_fill_buf(consumer, cx)).unwrap(), b"");
        family.consume(consumer, 0);
    });
}

#[test]
fn to_flush_publishes_what_a_forgotten_batch_has_left_and_never_waits() {
    in_both_families(|family, cx, bell| {
        let (mut producer, mut consumer) = highwater::bytes(4);
        assert!(family.poll_read(&mut consumer, cx, &mut [0]).is_pending());
        let mut batch = producer.get_mut().batch();
        let _ = batch.try_write(b'a').unwrap();
        mem::forget(batch);
        assert_eq!(bell.rings(), 0);
        now(family.poll_flush(&mut producer, cx)).unwrap();
        assert_eq!(bell.rings(), 1);
        assert_eq!(
            now(family.poll_read(&mut consumer, cx, &mut [0])).unwrap(),
            1
        );
        producer.write_all(b"abcd").unwrap();
        now(family.poll_flush(&mut producer, cx)).unwrap();
        drop(consumer);
        now(family.poll_flush(&mut producer, cx)).unwrap();
    });
}

#[test]
fn spurious_polls_change_nothing() {
    in_both_families(|family, cx, bell| {
        let (mut producer, mut consumer) = highwater::bytes(2);
        for _ in 0..5 {
            assert!(family.poll_read(&mut consumer, cx, &mut [0]).is_pending());
        }
        producer.write_all(b"ab").unwrap();
        assert_eq!(bell.rings(), 1);
        for _ in 0..5 {
            assert!(family.poll_write(&mut producer, cx, b"c").is_pending());
        }
        assert_eq!(consumer.read(&mut [0]).unwrap(), 1);
        assert_eq!(bell.rings(), 2);
        assert_eq!(producer.monitor().stats().items_written, 2);
    });
}

// ---- How it ends ------------------------------------------------------------------------------

#[test]
fn a_clean_end_is_the_end_of_file_again_and_again() {
    in_both_families(|family, cx, _| {
        let mut consumer = ended(7, b"abc");
        let mut to = [0; 8];
        assert_eq!(
            now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
            3
        );
        for _ in 0..3 {
            for result in family.read_in_every_form(&mut consumer, cx) {
                assert_eq!(now(result).unwrap(), 0);
            }
        }
        assert_eq!(consumer.monitor().state(), State::Finished);
    });
}

#[test]
fn a_producer_that_was_dropped_is_an_error_after_what_it_left() {
    in_both_families(|family, cx, _| {
        let (mut producer, mut consumer) = at(6, 8, 8);
        now(family.poll_write(&mut producer, cx, b"abcd")).unwrap();
        drop(producer);
        assert_eq!(now(family.poll_fill_buf(&mut consumer, cx)).unwrap(), b"ab");
        let mut to = [0; 8];
        assert_eq!(
            now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
            4
        );
        for _ in 0..2 {
            for result in family.read_in_every_form(&mut consumer, cx) {
                assert_error(now(result), ErrorKind::UnexpectedEof, &["incomplete"]);
            }
        }
    });
}

#[test]
fn an_abort_is_an_error_with_its_reason_before_what_is_buffered() {
    in_both_families(|family, cx, _| {
        let (mut producer, mut consumer) = highwater::bytes(8);
        producer.write_all(b"abcd").unwrap();
        assert_eq!(
            now(family.poll_read(&mut consumer, cx, &mut [0])).unwrap(),
            1
        );
        producer.abort(io::Error::new(ErrorKind::AddrInUse, "taken"));
        for _ in 0..2 {
            for result in family.read_in_every_form(&mut consumer, cx) {
                assert_error(now(result), ErrorKind::AddrInUse, &["taken"]);
            }
        }
    });
}

#[test]
fn every_end_of_the_producer_wakes_a_task_that_reads() {
    in_both_families(|family, cx, bell| {
        for way in 0..4 {
            let (mut producer, mut consumer) = highwater::bytes(8);
            assert!(family.poll_read(&mut consumer, cx, &mut [0]).is_pending());
            match way {
                0 => drop(producer.end()),
                1 => drop(producer),
                2 => producer.abort("no disk"),
                _ => now(family.poll_close(&mut producer, cx)).unwrap(),
            }
            assert_eq!(bell.rings(), way + 1);
            let result = now(family.poll_read(&mut consumer, cx, &mut [0]));
            match way {
                1 => assert_error(result, ErrorKind::UnexpectedEof, &["incomplete"]),
                2 => assert_error(result, ErrorKind::ConnectionAborted, &["no disk"]),
                _ => assert_eq!(result.unwrap(), 0),
            }
        }
    });
}

#[test]
fn every_end_of_the_consumer_wakes_a_task_that_writes_and_is_a_broken_pipe() {
    in_both_families(|family, cx, bell| {
        for way in 0..3 {
            let (mut producer, mut consumer) = highwater::bytes(1);
            producer.write_all(b"a").unwrap();
            assert!(family.poll_write(&mut producer, cx, b"b").is_pending());
            let mut kept = None;
            match way {
                0 => drop(consumer),
                1 => consumer.cancel("no disk"),
                _ => {
                    consumer.get_mut().close();
                    kept = Some(consumer);
                }
            }
            assert_eq!(bell.rings(), way + 1);
            let words: &[&str] = if way == 1 { &["no disk"] } else { &[] };
            for _ in 0..2 {
                for result in family.write_in_every_form(&mut producer, cx) {
                    assert_error(now(result), ErrorKind::BrokenPipe, words);
                }
            }
            if let Some(mut consumer) = kept {
                let mut to = [0; 8];
                assert_eq!(
                    now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
                    1
                );
                assert_eq!(
                    now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
                    0
                );
            }
        }
    });
}

#[test]
fn to_close_ends_the_stream_once_and_for_all_and_the_end_refuses_what_comes_after() {
    in_both_families(|family, cx, bell| {
        for fills in [false, true] {
            let (mut producer, mut consumer) = highwater::bytes(4);
            let text: &[u8] = if fills { b"abcd" } else { b"abc" };
            producer.write_all(text).unwrap();
            assert_eq!(producer.get_ref().need_drain(), fills);
            for _ in 0..3 {
                now(family.poll_close(&mut producer, cx)).unwrap();
                // Whether it was told to stop or not: no drain comes any more.
                for result in family.write_in_every_form(&mut producer, cx) {
                    assert_error(now(result), ErrorKind::BrokenPipe, &[]);
                }
                assert_error(producer.write(b"x"), ErrorKind::BrokenPipe, &[]);
                let polled = NonBlocking::new(&mut producer).write(b"x");
                assert_error(polled, ErrorKind::BrokenPipe, &[]);
                now(family.poll_flush(&mut producer, cx)).unwrap();
            }
            let mut finish = producer.end();
            assert!(
                Pin::new(&mut finish).poll(cx).is_pending(),
                "nobody has read it"
            );
            let mut to = [0; 8];
            assert_eq!(
                now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
                text.len()
            );
            assert_eq!(&to[..text.len()], text);
            assert_eq!(
                now(family.poll_read(&mut consumer, cx, &mut to)).unwrap(),
                0
            );
            drop(consumer);
            assert_eq!(now(Pin::new(&mut finish).poll(cx)), Ok(()));
        }
        assert_eq!(bell.rings(), 2, "of the finish");
    });
}

#[test]
fn a_closed_producer_that_is_dropped_or_aborted_has_ended_cleanly() {
    in_both_families(|family, cx, _| {
        for aborts in [false, true] {
            let (mut producer, mut consumer) = highwater::bytes(4);
            producer.write_all(b"ab").unwrap();
            now(family.poll_close(&mut producer, cx)).unwrap();
            if aborts {
                producer.abort("too late");
            } else {
                drop(producer);
            }
            let mut bytes = Vec::new();
            assert_eq!(consumer.read_to_end(&mut bytes).unwrap(), 2);
        }
    });
}

#[test]
fn to_close_when_nobody_reads_any_more_is_no_error() {
    in_both_families(|family, cx, _| {
        let (mut producer, consumer) = highwater::bytes(4);
        consumer.cancel("no disk");
        now(family.poll_close(&mut producer, cx)).unwrap();
        let broken = now(family.poll_write(&mut producer, cx, b"a"));
        assert_error(broken, ErrorKind::BrokenPipe, &["no disk"]);
        assert_eq!(producer.monitor().state(), State::Cancelled);
    });
}

// ---- Wakers -----------------------------------------------------------------------------------

#[test]
fn a_wait_that_is_given_up_leaves_one_waker_which_the_next_wait_replaces_and_the_end_takes_along() {
    in_both_families(|family, _, _| {
        let (mut producer, mut consumer) = highwater::bytes(2);
        let ((first, first_waker), (second, second_waker)) = (Bell::new(), Bell::new());
        let held = Arc::strong_count(&first);
        let is_held = |bell| Arc::strong_count(bell) - held;
        let first_cx = &mut Context::from_waker(&first_waker);
        let second_cx = &mut Context::from_waker(&second_waker);
        for _ in 0..3 {
            assert!(family
                .poll_read(&mut consumer, first_cx, &mut [0])
                .is_pending());
            assert_eq!(is_held(&first), 1);
        }
        assert!(family
            .poll_read(&mut consumer, second_cx, &mut [0])
            .is_pending());
        assert_eq!((is_held(&first), is_held(&second)), (0, 1));
        drop(consumer);
        assert_eq!(is_held(&second), 0);

        let (mut filled, _consumer) = highwater::bytes(2);
        filled.write_all(b"ab").unwrap();
        for (cx, now) in [(first_cx, (1, 0)), (second_cx, (0, 1))] {
            for form in family.write_in_every_form(&mut filled, cx) {
                assert!(form.is_pending());
                assert_eq!((is_held(&first), is_held(&second)), now);
            }
        }
        drop(filled);
        assert_eq!(is_held(&second), 0);
        assert_eq!((first.rings(), second.rings()), (0, 0));
        assert_error(producer.write(b"a"), ErrorKind::BrokenPipe, &[]);
    });
}

#[test]
fn a_wait_that_is_given_up_costs_at_most_one_needless_wake_up() {
    in_both_families(|family, cx, bell| {
        let (mut producer, mut consumer) = highwater::bytes(2);
        assert!(family.poll_read(&mut consumer, cx, &mut [0]).is_pending());
        for _ in 0..5 {
            producer.write_all(b"ab").unwrap();
            assert_eq!(consumer.read(&mut [0; 2]).unwrap(), 2);
        }
        assert_eq!(bell.rings(), 1);
        producer.write_all(b"ab").unwrap();
        assert!(family.poll_write(&mut producer, cx, b"c").is_pending());
        for _ in 0..5 {
            assert_eq!(consumer.read(&mut [0; 2]).unwrap(), 2);
            producer.write_all(b"ab").unwrap();
        }
        assert_eq!(bell.rings(), 2);
    });
}

// ---- Fairness ---------------------------------------------------------------------------------

fn ready_in_a_row(mut step: impl FnMut() -> bool) -> usize {
    (0..).take_while(|_| step()).count()
}

#[test]
fn an_end_that_never_has_to_wait_gives_way_after_its_bound_and_asks_for_its_next_turn() {
    in_both_families(|family, cx, bell| {
        let (mut producer, _consumer) = highwater::bytes(10_000);
        let (mut other, mut consumer) = highwater::bytes(10_000);
        other.write_all(&[0; 10_000]).unwrap();
        let mut rings = 0;
        let mut gives_way = |form: &mut dyn FnMut(&mut Context<'_>) -> bool| {
            assert_eq!(ready_in_a_row(|| form(cx)), 128);
            rings += 1;
            assert_eq!(bell.rings(), rings);
        };
        for _ in 0..3 {
            gives_way(&mut |cx| family.poll_write(&mut producer, cx, b"a").is_ready());
            gives_way(&mut |cx| {
                let slices = [IoSlice::new(b"a")];
                let written = family.poll_write_vectored(&mut producer, cx, &slices);
                written.is_ready()
            });
            gives_way(&mut |cx| family.poll_read(&mut consumer, cx, &mut [0]).is_ready());
            gives_way(&mut |cx| family.poll_fill_buf(&mut consumer, cx).is_ready());
        }
    });
}

fn current_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

#[test]
fn streams_and_what_tokio_has_use_one_budget() {
    deadline(|| {
        current_thread().block_on(async {
            for family in FAMILIES {
                let (mut producer, _consumer) = highwater::bytes(10_000);
                let (mut other, mut consumer) = highwater::bytes(10_000);
                other.write_all(&[0; 10_000]).unwrap();
                let (_sender, receiver) = tokio::sync::watch::channel(());
                tokio::task::yield_now().await; // a budget that is not used yet
                let mut polls = 0;
                let changes = poll_fn(|cx| {
                    polls += 1;
                    // Of 128 units.
                    for _ in 0..126 {
                        assert!(coop::poll_proceed(cx)
                            .map(|unit| unit.made_progress())
                            .is_ready());
                    }
                    let both = ready_in_a_row(|| {
                        family.poll_write(&mut producer, cx, b"a").is_ready()
                            && family.poll_read(&mut consumer, cx, &mut [0]).is_ready()
                    });
                    assert_eq!(both, 16, "a unit each");
                    assert!(!coop::has_budget_remaining());
                    if polls == 1 {
                        Poll::Pending // is woken, as both are
                    } else {
                        Poll::Ready(receiver.has_changed().unwrap())
                    }
                });
                assert!(!changes.await);
            }
        });
    });
}

#[test]
fn a_timer_fires_beside_a_task_that_reads_what_a_thread_writes_as_fast_as_it_can() {
    for family in FAMILIES {
        deadline(move || {
            current_thread().block_on(async {
                let (mut producer, mut consumer) = highwater::bytes(64 * 1024);
                let writer = thread::spawn(move || {
                    let bytes = vec![0; 64 * 1024];
                    while producer.write(&bytes).is_ok() {}
                });
                let is_over = Arc::new(AtomicBool::new(false));
                let seen = is_over.clone();
                let reader = tokio::spawn(async move {
                    let mut count = 0;
                    while !seen.load(Ordering::SeqCst) {
                        count += family.read(&mut consumer, &mut [0; 16]).await.unwrap();
                    }
                    count
                });
                tokio::time::sleep(Duration::from_millis(5)).await; // what is tested: that it comes back
                is_over.store(true, Ordering::SeqCst);
                assert!(reader.await.unwrap() > 0);
                writer.join().unwrap();
            });
        });
    }
}

// ---- Doors ------------------------------------------------------------------------------------

#[test]
fn one_end_goes_through_all_doors_by_turns() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(64);
        producer.write_all(b"thread ").unwrap();
        block_on(Family::Futures.write(&mut producer, b"futures ")).unwrap();
        NonBlocking::new(&mut producer)
            .write_all(b"polled ")
            .unwrap();
        block_on(Family::Tokio.write(&mut producer, b"tokio ")).unwrap();
        block_on(producer.get_mut().write_async(b'!')).unwrap();
        block_on(Family::Tokio.close(&mut producer)).unwrap();

        let (mut to, mut text) = ([0; 8], Vec::new());
        let mut next = |consumer: &mut ByteConsumer, turn| {
            let count = match turn {
                0 => consumer.read(&mut to[..3]).unwrap(),
                1 => block_on(Family::Tokio.read(consumer, &mut to[..5])).unwrap(),
                2 => NonBlocking::new(consumer).read(&mut to[..2]).unwrap(),
                3 => block_on(Family::Futures.read(consumer, &mut to)).unwrap(),
                _ => {
                    to[0] = block_on(consumer.get_mut().read_async()).unwrap();
                    1
                }
            };
            text.extend_from_slice(&to[..count]);
        };
        for turn in 0..5 {
            next(&mut consumer, turn);
        }
        block_on(tokio::io::AsyncReadExt::read_to_end(
            &mut consumer,
            &mut text,
        ))
        .unwrap();
        assert_eq!(text, b"thread futures polled tokio !");
    });
}

/// How an end waits.
#[derive(Clone, Copy, Debug)]
enum Door {
    Thread,
    Task(Family),
    /// Does not wait, but asks again.
    Polled,
    /// All of them, by turns.
    All,
}

const DOORS: [Door; 5] = [
    Door::Thread,
    Door::Task(Family::Futures),
    Door::Task(Family::Tokio),
    Door::Polled,
    Door::All,
];

impl Door {
    fn in_turn(self, turn: usize) -> Self {
        match self {
            Self::All => DOORS[turn % 4],
            other => other,
        }
    }
}

async fn write_all(mut producer: ByteProducer, door: Door, bytes: &[u8]) {
    let (mut rest, mut turn) = (bytes, 0);
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(1 + turn % 13)];
        let written = match door.in_turn(turn) {
            Door::Thread => producer.write(piece),
            Door::Task(family) => family.write(&mut producer, piece).await,
            _ => NonBlocking::new(&mut producer).write(piece),
        };
        turn += 1;
        match written {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    Family::Tokio.close(&mut producer).await.unwrap();
}

async fn read_all(mut consumer: ByteConsumer, door: Door) -> Vec<u8> {
    let (mut bytes, mut to, mut turn) = (Vec::new(), [0; 16], 0);
    loop {
        let to = &mut to[..1 + turn % 16];
        let read = match door.in_turn(turn) {
            Door::Thread => consumer.read(to),
            Door::Task(family) => family.read(&mut consumer, to).await,
            _ => NonBlocking::new(&mut consumer).read(to),
        };
        turn += 1;
        match read {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&to[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_mixture_of_doors_passes_every_byte_in_order() {
    let bytes = lasting_pattern(2000);
    for (writes, reads) in DOORS.iter().flat_map(|w| DOORS.map(|r| (*w, r))) {
        for mark in [1, 3, 64] {
            let copy = deadline(move || {
                let (producer, consumer) = at(usize::MAX - 1000, mark, mark);
                let writer = thread::spawn(move || block_on(write_all(producer, writes, bytes)));
                let copy = block_on(read_all(consumer, reads));
                writer.join().unwrap();
                copy
            });
            assert!(copy == bytes, "{writes:?} to {reads:?}, a mark of {mark}");
        }
    }
}

// ---- Runtimes ---------------------------------------------------------------------------------

#[test]
fn two_tasks_of_one_thread_take_turns() {
    let bytes = lasting_pattern(20_000);
    for family in FAMILIES {
        for mark in [1, 3, 500] {
            deadline(move || {
                let (producer, consumer) = highwater::bytes(mark);
                let write = write_all(producer, Door::Task(family), bytes);
                let both = zip(write, read_all(consumer, Door::Task(family)));
                assert!(block_on(both).1 == bytes);

                let (producer, consumer) = highwater::bytes(mark);
                let copy = current_thread().block_on(async move {
                    let writer = tokio::spawn(write_all(producer, Door::Task(family), bytes));
                    let copy = read_all(consumer, Door::Task(family)).await;
                    writer.await.unwrap();
                    copy
                });
                assert!(copy == bytes);
            });
        }
    }
}

#[test]
fn tasks_of_several_threads_of_tokio_share_streams() {
    let bytes = lasting_pattern(20_000);
    deadline(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for (family, mark) in FAMILIES.iter().flat_map(|f| [2, 64, 1000].map(|m| (*f, m))) {
                let (producer, consumer) = highwater::bytes(mark);
                tokio::spawn(write_all(producer, Door::Task(family), bytes));
                tasks.push(tokio::spawn(read_all(consumer, Door::Task(family))));
            }
            for task in tasks {
                assert!(task.await.unwrap() == bytes);
            }
        });
    });
}

#[test]
fn tasks_of_an_executor_in_several_threads_share_streams() {
    let bytes = lasting_pattern(20_000);
    deadline(move || {
        let executor = async_executor::Executor::new();
        let (stop, stopped) = highwater::channel::<()>(1);
        thread::scope(|scope| {
            let mut stopped = stopped;
            let executor = &executor;
            scope.spawn(move || block_on(executor.run(async { stopped.read_async().await })));
            block_on(executor.run(async {
                let mut tasks = Vec::new();
                for (family, mark) in FAMILIES.iter().flat_map(|f| [2, 64, 1000].map(|m| (*f, m))) {
                    let (producer, consumer) = highwater::bytes(mark);
                    let write = write_all(producer, Door::Task(family), bytes);
                    executor.spawn(write).detach();
                    tasks.push(executor.spawn(read_all(consumer, Door::Task(family))));
                }
                for task in tasks {
                    assert!(task.await == bytes);
                }
            }));
            drop(stop.end());
        });
    });
}

// ---- What others have built on the traits -----------------------------------------------------

fn lines() -> Vec<String> {
    (0..60)
        .map(|i| "é".repeat(i % 23) + &i.to_string())
        .collect()
}

#[test]
fn copies_of_futures_go_through_a_row_of_streams() {
    deadline(|| {
        let bytes = pattern(100_000);
        let (mut first, mut second) = highwater::bytes(1000);
        let (mut third, mut fourth) = highwater::bytes(333);
        let (mut fifth, mut last) = highwater::bytes(70);
        let mut copy = Vec::new();
        block_on(async {
            let one = async {
                assert_eq!(
                    futures_lite::io::copy(&bytes[..], &mut first).await?,
                    100_000
                );
                futures_lite::AsyncWriteExt::close(&mut first).await
            };
            let two = async {
                let count = futures_util::io::copy_buf(&mut second, &mut third).await?;
                assert_eq!(count, 100_000);
                futures_lite::AsyncWriteExt::close(&mut third).await
            };
            let three = async {
                let reader = futures_lite::io::BufReader::with_capacity(7, &mut fourth);
                assert_eq!(futures_lite::io::copy(reader, &mut fifth).await?, 100_000);
                futures_lite::AsyncWriteExt::close(&mut fifth).await
            };
            let four = futures_lite::AsyncReadExt::read_to_end(&mut last, &mut copy);
            try_zip(try_zip(one, two), try_zip(three, four)).await
        })
        .unwrap();
        assert!(copy == bytes);
    });
}

#[test]
fn copies_of_tokio_go_through_a_row_of_streams() {
    deadline(|| {
        let bytes = pattern(100_000);
        let (mut first, mut second) = highwater::bytes(1000);
        let (mut third, mut fourth) = highwater::bytes(333);
        let (fifth, mut last) = highwater::bytes(70);
        let mut copy = Vec::new();
        current_thread()
            .block_on(async {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let one = async {
                    assert_eq!(tokio::io::copy(&mut &bytes[..], &mut first).await?, 100_000);
                    first.shutdown().await
                };
                let two = async {
                    assert_eq!(tokio::io::copy_buf(&mut second, &mut third).await?, 100_000);
                    third.shutdown().await
                };
                let three = async {
                    let mut reader = tokio::io::BufReader::with_capacity(7, &mut fourth);
                    let mut writer = tokio::io::BufWriter::with_capacity(11, fifth);
                    assert_eq!(tokio::io::copy(&mut reader, &mut writer).await?, 100_000);
                    writer.shutdown().await
                };
                let four = AsyncReadExt::read_to_end(&mut last, &mut copy);
                tokio::try_join!(one, two, three, four)
            })
            .unwrap();
        assert!(copy == bytes);
    });
}

#[test]
fn a_copy_of_a_stream_that_broke_off_is_an_error() {
    deadline(|| {
        let broken = || {
            let (mut producer, consumer) = highwater::bytes(8);
            producer.write_all(b"half").unwrap();
            consumer
        };
        let (mut consumer, mut copy) = (broken(), Vec::new());
        let result = block_on(tokio::io::copy(&mut consumer, &mut copy));
        assert_error(result, ErrorKind::UnexpectedEof, &["incomplete"]);
        assert_eq!(copy, b"half");
        let mut copy = Vec::new();
        let result = block_on(futures_lite::io::copy(broken(), &mut copy));
        assert_error(result, ErrorKind::UnexpectedEof, &["incomplete"]);
        assert_eq!(copy, b"half");
    });
}

#[test]
fn lines_and_parts_are_whole_across_the_edge_of_the_ring() {
    for mark in [1, 3, 8] {
        deadline(move || {
            use futures_lite::StreamExt;
            let text = lines().join("\n");
            let stream = || {
                let (mut producer, consumer) = at(usize::MAX - 100, mark, 8);
                let text = text.clone();
                let writer = thread::spawn(move || {
                    producer.write_all(text.as_bytes()).unwrap();
                    producer.end();
                });
                (writer, consumer)
            };

            let (writer, consumer) = stream();
            let read = futures_lite::AsyncBufReadExt::lines(consumer);
            assert_eq!(
                block_on(read.try_collect::<_, _, Vec<_>>()).unwrap(),
                lines()
            );
            writer.join().unwrap();

            let (writer, consumer) = stream();
            let read = futures_lite::AsyncBufReadExt::split(consumer, b'1');
            let parts = block_on(read.try_collect::<_, _, Vec<_>>()).unwrap();
            assert!(parts
                .iter()
                .map(|part| &part[..])
                .eq(text.as_bytes().split(|b| *b == b'1')));
            writer.join().unwrap();

            let (writer, consumer) = stream();
            let mut read = tokio::io::AsyncBufReadExt::lines(consumer);
            for line in lines() {
                assert_eq!(block_on(read.next_line()).unwrap(), Some(line));
            }
            assert_eq!(block_on(read.next_line()).unwrap(), None);
            writer.join().unwrap();

            let (writer, consumer) = stream();
            let mut read = tokio::io::AsyncBufReadExt::split(consumer, b'1');
            for part in text.as_bytes().split(|b| *b == b'1') {
                assert_eq!(block_on(read.next_segment()).unwrap().unwrap(), part);
            }
            writer.join().unwrap();
        });
    }
}

#[test]
fn exactly_so_many_bytes_are_read_or_it_is_an_error() {
    deadline(|| {
        let mut ten = [0; 10];
        for family in FAMILIES {
            let mut consumer = ended(3, &pattern(15));
            for complete in [true, false] {
                let read = match family {
                    Family::Futures => block_on(futures_lite::AsyncReadExt::read_exact(
                        &mut consumer,
                        &mut ten,
                    )),
                    Family::Tokio => {
                        let read = tokio::io::AsyncReadExt::read_exact(&mut consumer, &mut ten);
                        block_on(read).map(drop)
                    }
                };
                if complete {
                    read.unwrap();
                    assert_eq!(ten[..], pattern(15)[..10]);
                } else {
                    assert_error(read, ErrorKind::UnexpectedEof, &[]);
                }
            }
        }
    });
}

// ---- Polls and drops at random ----------------------------------------------------------------

/// A checksum that knows the order: Fletcher's, in 64 bits.
#[derive(Debug, Default, PartialEq)]
struct Checksum(u64, u64);

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(u64::from(*byte) + 1);
            self.1 = self.1.wrapping_add(self.0);
        }
    }
}

/// Polls whether it was woken or not, and gives up when it likes: `None`.
fn at_random<T>(
    random: &mut Random,
    mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let (bell, waker) = Bell::new();
    loop {
        let before = bell.rings();
        if let Poll::Ready(done) = step(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        match random.below(8) {
            0 => return None, // dropped
            1 => {}           // polled for nothing
            _ => eventually("the task is woken", || bell.rings() > before),
        }
    }
}

#[test]
fn random_polls_and_drops_lose_no_byte_and_no_wake_up() {
    const MARKS: [(usize, u64); 5] = [
        (1, 40_000),
        (2, 60_000),
        (3, 100_000),
        (7, 200_000),
        (64, 700_000),
    ];

    while_progress(Duration::from_secs(60), String::new, |progress| {
        for (seed, (mark, total)) in (1..).zip(MARKS) {
            let total = if cfg!(debug_assertions) {
                total
            } else {
                20 * total
            };
            let (mut producer, mut consumer) = at(usize::MAX - 1000, mark, mark);
            let writes = progress.clone();
            let writer = thread::spawn(move || {
                let mut random = Random::new(seed);
                let (mut sum, mut left) = (Checksum::default(), total);
                while left > 0 {
                    let family = FAMILIES[random.below(2) as usize];
                    let count = (random.below(2 * mark as u64) + 1).min(left);
                    let bytes: Vec<_> = (0..count).map(|_| random.below(256) as u8).collect();
                    let vectored = random.below(2) == 0;
                    let written = at_random(&mut random, |cx| {
                        if vectored {
                            let (one, two) = bytes.split_at(bytes.len() / 2);
                            let slices = [IoSlice::new(one), IoSlice::new(two)];
                            family.poll_write_vectored(&mut producer, cx, &slices)
                        } else {
                            family.poll_write(&mut producer, cx, &bytes)
                        }
                    });
                    // One that was given up has written nothing: other bytes come in its place.
                    if let Some(written) = written {
                        let written = written.unwrap();
                        sum.add(&bytes[..written]);
                        left -= written as u64;
                        writes.made();
                    }
                }
                let (_, waker) = Bell::new();
                let closed = FAMILIES[seed as usize % 2]
                    .poll_close(&mut producer, &mut Context::from_waker(&waker));
                now(closed).unwrap();
                sum
            });
            let mut random = Random::new(seed + 100);
            let (mut sum, mut came) = (Checksum::default(), 0);
            let mut to = [0; 100];
            loop {
                let family = FAMILIES[random.below(2) as usize];
                let most = random.below(2 * mark as u64) as usize;
                let to = &mut to[..most.min(99) + 1];
                let read = if random.below(2) == 0 {
                    at_random(&mut random, |cx| family.poll_read(&mut consumer, cx, to))
                } else {
                    let lent = at_random(&mut random, |cx| {
                        family.poll_fill_buf(&mut consumer, cx).map_ok(|lent| {
                            let count = lent.len().min(to.len());
                            to[..count].copy_from_slice(&lent[..count]);
                            count
                        })
                    });
                    if let Some(Ok(count)) = lent {
                        family.consume(&mut consumer, count);
                    }
                    lent
                };
                match read.map(Result::unwrap) {
                    Some(0) => break,
                    Some(count) => {
                        sum.add(&to[..count]);
                        came += count as u64;
                    }
                    None => {}
                }
            }
            assert_eq!(came, total);
            assert_eq!(sum, writer.join().unwrap());
        }
    });
}

#[test]
fn a_byte_is_not_lost_in_a_select_that_another_branch_wins() {
    let bytes = lasting_pattern(3000);
    for family in FAMILIES {
        deadline(move || {
            current_thread().block_on(async {
                let (mut producer, mut consumer) = highwater::bytes(4);
                let writer = tokio::spawn(async move {
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        tokio::select! {
                            written = family.write(&mut producer, rest) => {
                                rest = &rest[written.unwrap()..];
                            }
                            () = tokio::task::yield_now() => {}
                        }
                    }
                    producer.end();
                });
                let (mut copy, mut to) = (Vec::new(), [0; 3]);
                loop {
                    tokio::select! {
                        read = family.read(&mut consumer, &mut to) => match read.unwrap() {
                            0 => break,
                            count => copy.extend_from_slice(&to[..count]),
                        },
                        () = tokio::task::yield_now() => {}
                    }
                }
                assert!(copy == bytes);
                writer.await.unwrap();
            });
        });
    }
}
