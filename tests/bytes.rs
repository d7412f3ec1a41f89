//! The byte stream is what `std::io` expects of one, at every place of the ring and however it ends.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test bytes` tries more random operations.
#![cfg(feature = "std")]

mod common;
#[allow(dead_code)] // part of it is the fuzzer's
#[path = "fuzz_model/bytes.rs"]
mod model;
#[path = "common/random.rs"]
mod random;

use common::{deadline, eventually, Random};
use highwater::{
    Builder, ByteConsumer, ByteProducer, DrainError, FillError, NonBlocking, ReadError, State,
};
use model::{assert_error, assert_would_block, pattern, Bench, Form, Op, Scripted, Step};
use proptest::prelude::*;
use std::{
    io::{
        self, BufRead, BufReader, BufWriter, ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom,
        Write,
    },
    mem::MaybeUninit,
    panic::{catch_unwind, AssertUnwindSafe},
    thread,
    time::Duration,
};

/// The places to begin at: every one of a ring of 8 slots, far from and at the wrap of the indices.
fn places() -> impl Iterator<Item = usize> {
    (0..8).chain(usize::MAX - 7..=usize::MAX)
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

/// A stream that holds `text`, and has ended.
fn ended(first: usize, text: &[u8]) -> ByteConsumer {
    let (mut producer, consumer) = at(first, text.len(), text.len().max(1));
    producer.write_all(text).unwrap();
    producer.end();
    consumer
}

// Reading and writing as `std::io` does.

#[test]
fn what_is_written_is_read_at_every_place_of_the_ring() {
    for first in places() {
        let (mut producer, mut consumer) = at(first, 8, 8);
        assert_eq!(producer.write(b"abcdef").unwrap(), 6);
        let mut buffer = [0; 4];
        assert_eq!(consumer.read(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"abcd");
        assert_eq!(producer.write(b"ghij").unwrap(), 4);
        let mut buffer = [0; 16];
        assert_eq!(consumer.read(&mut buffer).unwrap(), 6, "what is there");
        assert_eq!(&buffer[..6], b"efghij");
        producer.flush().unwrap();
    }
}

#[test]
fn slices_are_gathered_and_scattered_across_the_edge() {
    for first in places() {
        let (mut producer, mut consumer) = at(first, 8, 8);
        let slices: [&[u8]; 6] = [b"", b"a", b"bcd", b"", b"efgh", b"too much"];
        let slices = slices.map(IoSlice::new);
        assert_eq!(producer.write_vectored(&slices).unwrap(), 8);
        let (mut one, mut two, mut three) = ([0; 1], [0; 5], [0; 9]);
        let mut slices = [
            IoSliceMut::new(&mut []),
            IoSliceMut::new(&mut one),
            IoSliceMut::new(&mut two),
            IoSliceMut::new(&mut []),
            IoSliceMut::new(&mut three),
        ];
        assert_eq!(consumer.read_vectored(&mut slices).unwrap(), 8);
        assert_eq!((&one, &two, &three[..2]), (b"a", b"bcdef", &b"gh"[..]));
        assert_eq!(three[2..], [0; 7], "the rest is not touched");
    }
}

#[test]
fn a_thousand_slices_go_as_one() {
    deadline(|| {
        let (mut producer, mut consumer) = at(usize::MAX - 5, 4096, 4096);
        let bytes = pattern(3000);
        let slices: Vec<_> = bytes.chunks(3).map(IoSlice::new).collect();
        assert_eq!(producer.write_vectored(&slices).unwrap(), 3000);
        let mut copy = vec![0; 3000];
        let mut slices: Vec<_> = copy.chunks_mut(7).map(IoSliceMut::new).collect();
        assert_eq!(consumer.read_vectored(&mut slices).unwrap(), 3000);
        assert_eq!(copy, bytes);
    });
}

#[test]
fn an_empty_buffer_is_no_reason_to_wait() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(2);
        assert_eq!(consumer.read(&mut []).unwrap(), 0);
        assert_eq!(consumer.read_vectored(&mut []).unwrap(), 0);
        let mut empty = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])];
        assert_eq!(consumer.read_vectored(&mut empty).unwrap(), 0);
        consumer.read_exact(&mut []).unwrap();
        let mut polled = NonBlocking::new(&mut consumer);
        assert_eq!(polled.read(&mut []).unwrap(), 0);
        assert_eq!(polled.read_vectored(&mut []).unwrap(), 0);

        producer.write_all(b"ab").unwrap();
        assert!(producer.get_ref().need_drain());
        assert_eq!(producer.write(&[]).unwrap(), 0);
        assert_eq!(producer.write_vectored(&[]).unwrap(), 0);
        let empty = [IoSlice::new(&[]), IoSlice::new(&[])];
        assert_eq!(producer.write_vectored(&empty).unwrap(), 0);
        producer.write_all(&[]).unwrap();
        let mut polled = NonBlocking::new(&mut producer);
        assert_eq!(polled.write(&[]).unwrap(), 0);
        assert_eq!(polled.write_vectored(&[]).unwrap(), 0);
        assert_eq!(polled.write_vectored(&empty).unwrap(), 0);
        assert_eq!(producer.monitor().len(), 2);
        assert_eq!(consumer.read(&mut []).unwrap(), 0, "takes nothing");
        assert_eq!(producer.monitor().len(), 2);
    });
}

#[test]
fn an_empty_buffer_is_read_whole_however_the_stream_ended() {
    for way in 0..3 {
        let (producer, mut consumer) = highwater::bytes(2);
        match way {
            0 => drop(producer.end()),
            1 => drop(producer),
            _ => producer.abort("no disk"),
        }
        assert_eq!(consumer.read_vectored(&mut []).unwrap(), 0);
        assert_eq!(consumer.read(&mut []).unwrap(), 0, "as read_vectored");
        let mut polled = NonBlocking::new(consumer);
        assert_eq!(polled.read_vectored(&mut []).unwrap(), 0);
        assert_eq!(polled.read(&mut []).unwrap(), 0, "as read_vectored");
    }
}

#[test]
fn an_empty_buffer_is_written_whole_though_nobody_reads() {
    let (mut producer, consumer) = highwater::bytes(2);
    drop(consumer);
    assert_eq!(producer.write(&[]).unwrap(), 0);
    assert_eq!(producer.write_vectored(&[]).unwrap(), 0);
    let mut polled = NonBlocking::new(producer);
    assert_eq!(polled.write_vectored(&[]).unwrap(), 0);
    assert_eq!(polled.write(&[]).unwrap(), 0, "as write_vectored");
}

#[test]
fn buffered_reading_lends_what_is_there_up_to_the_edge_and_then_the_rest() {
    let (mut producer, mut consumer) = at(5, 8, 8);
    producer.write_all(b"abcdef").unwrap();
    assert_eq!(consumer.fill_buf().unwrap(), b"abc");
    assert_eq!(consumer.fill_buf().unwrap(), b"abc", "nothing was consumed");
    consumer.consume(0);
    consumer.consume(2);
    assert_eq!(consumer.fill_buf().unwrap(), b"c");
    consumer.consume(1);
    assert_eq!(consumer.monitor().len(), 3);
    assert_eq!(consumer.fill_buf().unwrap(), b"def");
    consumer.consume(3);
    producer.end();
    assert_eq!(consumer.fill_buf().unwrap(), b"");
    consumer.consume(0);
    assert_eq!(consumer.fill_buf().unwrap(), b"");
}

#[test]
fn to_consume_more_than_there_is_panics_and_takes_nothing() {
    let (mut producer, mut consumer) = highwater::bytes(8);
    producer.write_all(b"abc").unwrap();
    assert_eq!(consumer.fill_buf().unwrap(), b"abc");
    assert!(catch_unwind(AssertUnwindSafe(|| consumer.consume(4))).is_err());
    assert_eq!(consumer.fill_buf().unwrap(), b"abc");
}

/// As the documentation of `consume` has it: it is about what was lent, not about what is there.
#[test]
fn to_consume_more_than_was_lent_panics_also_if_there_is_more_behind_the_edge() {
    let (mut producer, mut consumer) = at(5, 8, 8);
    producer.write_all(b"abcdef").unwrap();
    assert_eq!(consumer.fill_buf().unwrap(), b"abc");
    assert!(catch_unwind(AssertUnwindSafe(|| consumer.consume(4))).is_err());
    assert_eq!(consumer.fill_buf().unwrap(), b"abc");
}

#[test]
fn lines_are_whole_across_the_edge_of_the_ring() {
    for first in places() {
        let mut consumer = ended(first, b"a\nbc\n\nd");
        let mut line = String::new();
        let mut lines = Vec::new();
        while consumer.read_line(&mut line).unwrap() > 0 {
            lines.push(std::mem::take(&mut line));
        }
        assert_eq!(lines, ["a\n", "bc\n", "\n", "d"]);

        let lines: Vec<_> = ended(first, b"a\r\nbc\n\nd")
            .lines()
            .map(Result::unwrap)
            .collect();
        assert_eq!(lines, ["a", "bc", "", "d"]);
    }
}

#[test]
fn a_delimiter_is_found_across_the_edge_of_the_ring() {
    for first in places() {
        let mut consumer = ended(first, b"ab,c,,d");
        let mut part = Vec::new();
        assert_eq!(consumer.read_until(b',', &mut part).unwrap(), 3);
        assert_eq!(consumer.read_until(b',', &mut part).unwrap(), 2);
        assert_eq!(part, b"ab,c,", "it appends");
        part.clear();
        assert_eq!(consumer.read_until(b'!', &mut part).unwrap(), 2);
        assert_eq!(part, b",d", "up to the end");
        assert_eq!(consumer.read_until(b'!', &mut part).unwrap(), 0);

        let parts: Vec<_> = ended(first, b"ab,c,,d")
            .split(b',')
            .map(Result::unwrap)
            .collect();
        assert_eq!(parts, [&b"ab"[..], b"c", b"", b"d"]);
    }
}

#[test]
fn lines_that_are_longer_than_the_ring_go_through() {
    deadline(|| {
        for high in [0, 1, 3, 8] {
            let (mut producer, consumer) = at(usize::MAX - 100, high, 8);
            let lines = || (0..60).map(|i| "é".repeat(i % 23) + &i.to_string());
            let writer = thread::spawn(move || {
                for line in lines() {
                    writeln!(producer, "{line}").unwrap();
                }
                producer.end().wait().unwrap();
            });
            assert!(consumer.lines().map(Result::unwrap).eq(lines()));
            writer.join().unwrap();
        }
    });
}

#[test]
fn a_line_that_is_no_text_is_an_error_and_the_stream_goes_on() {
    let mut consumer = ended(6, b"\xff\xfe\nok\n");
    let mut line = String::new();
    assert_error(consumer.read_line(&mut line), ErrorKind::InvalidData, &[]);
    assert_eq!(line, "");
    assert_eq!(consumer.read_line(&mut line).unwrap(), 3);
    assert_eq!(line, "ok\n");
}

#[test]
fn all_of_a_stream_is_read_to_its_end() {
    deadline(|| {
        let bytes = pattern(100_000);
        for high in [1, 7, 1000, 1 << 20] {
            let (mut producer, mut consumer) = highwater::bytes(high);
            let source = bytes.clone();
            let writer = thread::spawn(move || {
                producer.write_all(&source).unwrap();
                producer.end();
            });
            let mut copy = vec![b'!'];
            assert_eq!(consumer.read_to_end(&mut copy).unwrap(), 100_000);
            assert_eq!(copy[1..], bytes, "it appends");
            assert_eq!(consumer.read_to_end(&mut copy).unwrap(), 0);
            writer.join().unwrap();
        }
        let mut text = String::new();
        let count = ended(3, "größer".as_bytes()).read_to_string(&mut text);
        assert_eq!((count.unwrap(), &text[..]), (8, "größer"));
    });
}

#[test]
fn exactly_so_many_bytes_are_read_or_it_is_an_error() {
    deadline(|| {
        let (mut producer, mut consumer) = at(usize::MAX, 4, 5);
        let writer = thread::spawn(move || {
            producer.write_all(&pattern(25)).unwrap();
            producer.end();
        });
        let mut ten = [0; 10];
        consumer.read_exact(&mut ten).unwrap();
        assert_eq!(ten[..], pattern(25)[..10]);
        consumer.read_exact(&mut ten).unwrap();
        assert_eq!(ten[..], pattern(25)[10..20]);
        let short = consumer.read_exact(&mut ten);
        assert_error(short, ErrorKind::UnexpectedEof, &[]);
        writer.join().unwrap();
    });
}

#[test]
fn copies_go_through_a_row_of_streams() {
    deadline(|| {
        let bytes = pattern(200_000);
        let (mut first, mut second) = highwater::bytes(1000);
        let (mut third, mut last) = highwater::bytes(333);
        let source = bytes.clone();
        let writer = thread::spawn(move || {
            assert_eq!(io::copy(&mut &source[..], &mut first).unwrap(), 200_000);
            first.end();
        });
        let middle = thread::spawn(move || {
            assert_eq!(io::copy(&mut second, &mut third).unwrap(), 200_000);
            third.end();
        });
        let mut copy = Vec::new();
        assert_eq!(io::copy(&mut last, &mut copy).unwrap(), 200_000);
        assert_eq!(copy, bytes);
        writer.join().unwrap();
        middle.join().unwrap();
    });
}

#[test]
fn buffers_of_the_standard_library_go_around_both_ends() {
    deadline(|| {
        let (producer, consumer) = highwater::bytes(50);
        let writer = thread::spawn(move || {
            let mut producer = BufWriter::with_capacity(13, producer);
            for i in 0..2000 {
                writeln!(producer, "line {i}").unwrap();
            }
            producer.flush().unwrap();
            let producer = producer.into_inner().unwrap();
            producer.end();
        });
        let lines = BufReader::with_capacity(7, consumer).lines();
        for (i, line) in lines.enumerate() {
            assert_eq!(line.unwrap(), format!("line {i}"));
        }
        writer.join().unwrap();
    });
}

#[test]
fn all_is_written_whatever_the_marks_are() {
    deadline(|| {
        let bytes = pattern(500);
        for capacity in 1..10 {
            for high in 0..=capacity {
                for low in 0..=high {
                    let (producer, consumer) = Builder::new()
                        .high_water_mark(high)
                        .low_water_mark(low)
                        .capacity(capacity)
                        .first_index(usize::MAX - 250)
                        .build()
                        .unwrap();
                    let mut producer = ByteProducer::from(producer);
                    let source = bytes.clone();
                    let writer = thread::spawn(move || {
                        producer.write_all(&source[..250]).unwrap();
                        let mut rest = &source[250..];
                        while producer.fill_from(&mut rest).unwrap() > 0 {}
                        producer.end();
                    });
                    let mut consumer = ByteConsumer::from(consumer);
                    let mut copy = [0; 250];
                    consumer.read_exact(&mut copy).unwrap();
                    let mut copy = copy.to_vec();
                    while consumer.drain_to(&mut copy).unwrap() > 0 {}
                    assert_eq!(copy, bytes, "{low} {high} {capacity}");
                    writer.join().unwrap();
                }
            }
        }
    });
}

// How much, and when.

#[test]
fn a_write_takes_what_there_is_room_for_up_to_the_mark_and_at_least_one_byte() {
    for (high, takes) in [(0, 1), (1, 1), (2, 2), (3, 3), (5, 5), (8, 8)] {
        for vectored in [false, true] {
            let (mut producer, mut consumer) = at(6, high, 8);
            let bytes = pattern(20);
            let count = if vectored {
                let (a, b) = bytes.split_at(2);
                producer.write_vectored(&[IoSlice::new(a), IoSlice::new(b)])
            } else {
                producer.write(&bytes)
            };
            assert_eq!(count.unwrap(), takes, "a mark of {high}");
            assert!(producer.get_ref().need_drain());
            let mut copy = [0; 20];
            assert_eq!(consumer.read(&mut copy).unwrap(), takes);
            assert_eq!(copy[..takes], bytes[..takes]);
        }
    }
    let (mut producer, mut consumer) = at(0, 8, 16);
    assert_eq!(producer.write(b"abcdef").unwrap(), 6);
    assert!(!producer.get_ref().need_drain());
    assert_eq!(producer.write(b"ghij").unwrap(), 2);
    assert_eq!(consumer.read(&mut [0; 5]).unwrap(), 5);
    assert_eq!(producer.write(b"ijklmnop").unwrap(), 5);
}

#[test]
fn a_write_sleeps_from_the_high_mark_to_the_low_mark() {
    deadline(|| {
        let (mut producer, mut consumer) = at(3, 8, 16);
        let monitor = producer.monitor();
        assert_eq!(producer.write(&pattern(20)).unwrap(), 8);
        let writer = thread::spawn(move || {
            let count = producer.write(&pattern(20)[8..]).unwrap();
            (count, producer)
        });
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(&mut [0; 3]).unwrap(), 3);
        assert_eq!(monitor.stats().items_written, 8, "there are five left");
        assert_eq!(consumer.read(&mut [0; 1]).unwrap(), 1);
        let (count, _producer) = writer.join().unwrap();
        assert!((1..=4).contains(&count), "{count}");
        assert_eq!(monitor.len(), 4 + count);
        assert_eq!(monitor.stats().drains, 1);
        let mut rest = [0; 20];
        assert_eq!(consumer.read(&mut rest).unwrap(), 4 + count);
        assert_eq!(rest[..4 + count], pattern(20)[4..8 + count]);
    });
}

/// Lest each wake-up brings one byte, and each byte a system call of the source.
#[test]
fn a_write_that_slept_takes_all_the_room_up_to_the_mark() {
    for form in 0..3 {
        let count = deadline(move || {
            let (mut producer, mut consumer) = highwater::bytes(8);
            let monitor = producer.monitor();
            producer.write_all(&[1; 8]).unwrap();
            let writer = thread::spawn(move || {
                let count = match form {
                    0 => producer.write(&[2; 20]).unwrap(),
                    1 => producer.write_vectored(&[IoSlice::new(&[2; 20])]).unwrap(),
                    _ => producer.fill_from(&mut io::repeat(2)).unwrap(),
                };
                (count, producer)
            });
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            consumer.read_exact(&mut [0; 4]).unwrap();
            let (count, _producer) = writer.join().unwrap();
            count
        });
        assert_eq!(count, 4, "write, write_vectored, fill_from: {form}");
    }
}

#[test]
fn a_read_sleeps_until_there_is_a_byte_in_every_form() {
    for form in 0..5 {
        deadline(move || {
            let (mut producer, mut consumer) = at(6, 8, 8);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || {
                let mut bytes = vec![0; 2];
                match form {
                    0 => assert_eq!(consumer.read(&mut bytes).unwrap(), 2),
                    1 => {
                        let mut slices = [IoSliceMut::new(&mut bytes)];
                        assert_eq!(consumer.read_vectored(&mut slices).unwrap(), 2);
                    }
                    2 => bytes = consumer.fill_buf().unwrap().to_vec(),
                    3 => {
                        bytes.clear();
                        assert_eq!(consumer.read_until(b'b', &mut bytes).unwrap(), 2);
                    }
                    _ => {
                        bytes.clear();
                        assert_eq!(consumer.drain_to(&mut bytes).unwrap(), 2);
                    }
                }
                assert_eq!(bytes, b"ab");
            });
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            assert_eq!(producer.write(b"ab").unwrap(), 2);
            reader.join().unwrap();
        });
    }
}

#[test]
fn to_flush_does_nothing_and_never_fails() {
    deadline(|| {
        let (mut producer, consumer) = highwater::bytes(1);
        producer.write_all(b"a").unwrap();
        producer.flush().unwrap();
        NonBlocking::new(&mut producer).flush().unwrap();
        assert_eq!(producer.monitor().len(), 1);
        drop(consumer);
        producer.flush().unwrap();
    });
}

// How it ends.

#[test]
fn a_clean_end_is_the_end_of_file_again_and_again() {
    deadline(|| {
        let mut consumer = ended(7, b"abc");
        let mut bytes = Vec::new();
        assert_eq!(consumer.read_to_end(&mut bytes).unwrap(), 3);
        for _ in 0..3 {
            assert_eq!(consumer.read(&mut [0; 8]).unwrap(), 0);
            let mut slice = [0; 8];
            let mut slices = [IoSliceMut::new(&mut slice)];
            assert_eq!(consumer.read_vectored(&mut slices).unwrap(), 0);
            assert_eq!(consumer.fill_buf().unwrap(), b"");
            assert_eq!(consumer.read_line(&mut String::new()).unwrap(), 0);
            assert_eq!(consumer.drain_to(&mut bytes).unwrap(), 0);
            let mut polled = NonBlocking::new(&mut consumer);
            assert_eq!(polled.read(&mut [0; 8]).unwrap(), 0);
            assert_eq!(polled.read_vectored(&mut slices).unwrap(), 0);
            assert_eq!(polled.fill_buf().unwrap(), b"");
        }
        assert_eq!(bytes, b"abc");
        assert_eq!(consumer.monitor().state(), State::Finished);
    });
}

/// Each way to read, once.
fn read_in_every_form(consumer: &mut ByteConsumer) -> Vec<io::Result<usize>> {
    let mut buffer = [0; 8];
    let mut results = vec![
        consumer.read(&mut buffer),
        consumer.read_vectored(&mut [IoSliceMut::new(&mut buffer)]),
        consumer.fill_buf().map(<[u8]>::len),
        consumer.read_until(b'!', &mut Vec::new()),
        consumer.read_to_end(&mut Vec::new()),
        consumer.drain_to(&mut io::sink()).map_err(io::Error::from),
    ];
    let mut polled = NonBlocking::new(consumer);
    results.extend([
        polled.read(&mut buffer),
        polled.read_vectored(&mut [IoSliceMut::new(&mut buffer)]),
        polled.fill_buf().map(<[u8]>::len),
    ]);
    results
}

#[test]
fn a_producer_that_was_dropped_is_an_error_after_what_it_left() {
    deadline(|| {
        let (mut producer, mut consumer) = at(6, 8, 8);
        producer.write_all(b"abcd").unwrap();
        drop(producer);
        assert_eq!(consumer.fill_buf().unwrap(), b"ab");
        assert_eq!(consumer.read(&mut [0; 1]).unwrap(), 1);
        let mut rest = Vec::new();
        let broken = consumer.read_to_end(&mut rest);
        assert_error(broken, ErrorKind::UnexpectedEof, &["incomplete"]);
        assert_eq!(rest, b"bcd");
        for _ in 0..2 {
            for result in read_in_every_form(&mut consumer) {
                assert_error(result, ErrorKind::UnexpectedEof, &["incomplete"]);
            }
        }
        let error = consumer.drain_to(&mut io::sink()).unwrap_err();
        assert!(matches!(error, DrainError::Stream(ReadError::Abandoned)));
    });
}

#[test]
fn a_writer_that_panics_is_no_end_of_file() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(8);
        let writer = thread::spawn(move || {
            producer.write_all(b"half").unwrap();
            panic!("as it goes");
        });
        let mut text = String::new();
        let broken = consumer.read_to_string(&mut text);
        assert_error(broken, ErrorKind::UnexpectedEof, &[]);
        assert!(writer.join().is_err());
    });
}

#[test]
fn an_abort_is_an_error_with_its_reason_before_what_is_buffered() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(8);
        producer.write_all(b"abcd").unwrap();
        assert_eq!(consumer.read(&mut [0; 1]).unwrap(), 1);
        producer.abort("no disk");
        for _ in 0..2 {
            for result in read_in_every_form(&mut consumer) {
                assert_error(result, ErrorKind::ConnectionAborted, &["no disk"]);
            }
        }
        assert_eq!(consumer.monitor().len(), 0);

        let (producer, mut consumer) = highwater::bytes(8);
        producer.abort(io::Error::new(ErrorKind::AddrInUse, "taken"));
        for result in read_in_every_form(&mut consumer) {
            assert_error(result, ErrorKind::AddrInUse, &["taken"]);
        }
        let error = consumer.drain_to(&mut io::sink()).unwrap_err();
        assert!(matches!(error, DrainError::Stream(ReadError::Aborted(_))));
        assert!(error.to_string().contains("taken"));
    });
}

/// Between `fill_buf` and `consume` anything may happen on the other side.
#[test]
fn what_was_lent_can_be_consumed_though_the_producer_aborted_meanwhile() {
    let (mut producer, mut consumer) = highwater::bytes(8);
    producer.write_all(b"abcd").unwrap();
    assert_eq!(consumer.fill_buf().unwrap(), b"abcd");
    producer.abort("no disk");
    consumer.consume(4);
    let result = consumer.fill_buf().map(<[u8]>::len);
    assert_error(result, ErrorKind::ConnectionAborted, &["no disk"]);
    consumer.consume(0);
}

#[test]
fn a_sleeping_reader_is_woken_by_every_end() {
    for way in 0..3 {
        deadline(move || {
            let (producer, mut consumer) = highwater::bytes(8);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || consumer.read(&mut [0; 8]));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            match way {
                0 => drop(producer.end()),
                1 => drop(producer),
                _ => producer.abort(io::Error::new(ErrorKind::StorageFull, "no disk")),
            }
            let result = reader.join().unwrap();
            match way {
                0 => assert_eq!(result.unwrap(), 0),
                1 => assert_error(result, ErrorKind::UnexpectedEof, &["incomplete"]),
                _ => assert_error(result, ErrorKind::StorageFull, &["no disk"]),
            }
        });
    }
}

/// Each way to write, once; those that poll come last.
fn write_in_every_form(producer: &mut ByteProducer) -> (Vec<io::Result<usize>>, [io::Error; 2]) {
    let mut source = Scripted::new(b"a", []);
    let blocking = vec![
        producer.write(b"a"),
        producer.write_vectored(&[IoSlice::new(b"a")]),
        producer.write_all(b"a").map(|()| 1),
        producer.fill_from(&mut source).map_err(io::Error::from),
    ];
    assert_eq!(source.offered.len(), 0, "the source is not even asked");
    let mut polled = NonBlocking::new(producer);
    let polling = [
        polled.write(b"a").unwrap_err(),
        polled.write_vectored(&[IoSlice::new(b"a")]).unwrap_err(),
    ];
    (blocking, polling)
}

#[test]
fn a_reader_that_is_gone_is_a_broken_pipe_with_its_reason() {
    deadline(|| {
        for way in 0..3 {
            let (mut producer, mut consumer) = highwater::bytes(8);
            let mut kept = None;
            let words: &[&str] = match way {
                0 => {
                    consumer.cancel("enough of it");
                    &["cancelled", "enough of it"]
                }
                1 => {
                    drop(consumer);
                    &["takes no more", "stop writing"]
                }
                _ => {
                    consumer.get_mut().close();
                    kept = Some(consumer);
                    &["takes no more", "stop writing"]
                }
            };
            for _ in 0..2 {
                let (blocking, polling) = write_in_every_form(&mut producer);
                for result in blocking {
                    assert_error(result, ErrorKind::BrokenPipe, words);
                }
                for error in polling {
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                }
            }
            let error = producer.fill_from(&mut io::empty()).unwrap_err();
            assert!(matches!(error, FillError::Closed(_)), "{error:?}");
            assert!(error.to_string().contains(words[0]));
            drop(kept);
        }
    });
}

#[test]
fn a_polled_write_also_finds_the_reason_of_a_cancel() {
    let (mut producer, consumer) = highwater::bytes(8);
    consumer.cancel("enough of it");
    for error in write_in_every_form(&mut producer).1 {
        assert_error::<()>(Err(error), ErrorKind::BrokenPipe, &["enough of it"]);
    }
}

#[test]
fn a_reader_that_closes_reads_what_was_accepted_and_then_the_end() {
    deadline(|| {
        let (mut producer, mut consumer) = at(7, 8, 8);
        producer.write_all(b"abcd").unwrap();
        consumer.get_mut().close();
        assert_error(producer.write(b"e"), ErrorKind::BrokenPipe, &[]);
        let mut bytes = Vec::new();
        assert_eq!(consumer.read_to_end(&mut bytes).unwrap(), 4);
        assert_eq!(bytes, b"abcd");
        assert_eq!(consumer.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_sleeping_writer_is_woken_by_a_reader_that_goes() {
    for way in 0..3 {
        for fills in [false, true] {
            deadline(move || {
                let (mut producer, mut consumer) = highwater::bytes(2);
                let monitor = producer.monitor();
                producer.write_all(b"ab").unwrap();
                let writer = thread::spawn(move || match fills {
                    false => producer.write_all(b"cd"),
                    true => producer.fill_from(&mut &b"cd"[..]).map(drop).map_err(|e| {
                        assert!(matches!(e, FillError::Closed(_)));
                        e.into()
                    }),
                });
                eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
                let mut kept = None;
                let mut words = ["takes no more"];
                match way {
                    0 => {
                        consumer.cancel("enough of it");
                        words = ["enough of it"];
                    }
                    1 => drop(consumer),
                    _ => {
                        consumer.get_mut().close();
                        kept = Some(consumer);
                    }
                }
                let result = writer.join().unwrap();
                assert_error(result, ErrorKind::BrokenPipe, &words);
                drop(kept);
            });
        }
    }
}

#[test]
fn an_end_is_finished_when_all_was_consumed() {
    deadline(|| {
        let (mut producer, mut consumer) = at(7, 8, 8);
        producer.write_all(b"abc").unwrap();
        let finish = producer.end();
        assert_eq!(consumer.fill_buf().unwrap(), b"a");
        assert_eq!(finish.try_wait(), Ok(false));
        consumer.consume(1);
        assert_eq!(consumer.drain_to(&mut io::sink()).unwrap(), 2);
        finish.wait().unwrap();
    });
}

// The ends of a channel inside.

#[test]
fn the_ends_of_a_channel_go_in_and_come_out_with_what_is_buffered() {
    let (mut producer, consumer) = highwater::channel(8);
    producer.write_all(b"ab").unwrap();
    let mut producer = ByteProducer::from(producer);
    let mut consumer: ByteConsumer = consumer.into();
    assert_eq!(producer.write(b"cd").unwrap(), 2);
    let mut two = [0; 2];
    assert_eq!(consumer.read(&mut two).unwrap(), 2);
    assert_eq!((two, producer.get_ref().len()), (*b"ab", 2));
    assert_eq!(consumer.get_ref().len(), 2);
    producer.get_mut().write(b'e').unwrap();
    assert_eq!(consumer.get_mut().try_read(), Ok(b'c'));
    let (mut producer, mut consumer) = (producer.into_inner(), consumer.into_inner());
    producer.write(b'f').unwrap();
    producer.end();
    let rest: Vec<_> = consumer.iter().map(Result::unwrap).collect();
    assert_eq!(rest, b"def");
}

#[test]
fn a_stream_of_the_short_form_goes_on_at_half_its_mark() {
    for (high, low, capacity) in [(0, 0, 1), (1, 0, 1), (3, 1, 3), (1000, 500, 1000)] {
        let (producer, consumer) = highwater::bytes(high);
        let channel = producer.get_ref();
        assert_eq!(channel.high_water_mark(), high);
        assert_eq!(channel.low_water_mark(), low);
        assert_eq!(consumer.get_ref().capacity(), capacity);
        assert_eq!(consumer.monitor().high_water_mark(), high);
    }
}

#[test]
fn what_a_forgotten_chunk_or_batch_left_does_not_disturb_the_stream() {
    deadline(|| {
        let (mut producer, mut consumer) = at(5, 8, 8);
        let mut batch = producer.get_mut().batch();
        batch.write(b'a').unwrap();
        std::mem::forget(batch);
        assert_eq!(producer.write(b"bcd").unwrap(), 3);
        assert_eq!(consumer.fill_buf().unwrap(), b"abc");
        let mut chunk = consumer.get_mut().try_chunk_up_to(2).unwrap().into_iter();
        assert_eq!(chunk.next(), Some(b'a'));
        std::mem::forget(chunk);
        let mut rest = [0; 8];
        assert_eq!(consumer.read(&mut rest).unwrap(), 3);
        assert_eq!(&rest[..3], b"bcd");
        assert_eq!(producer.write(&[0; 9]).unwrap(), 8, "no slot is lost");
    });
}

// Without blocking.

#[test]
fn what_would_have_to_wait_says_so() {
    for first in places() {
        let (producer, consumer) = at(first, 2, 4);
        let mut producer = NonBlocking::new(producer);
        let mut consumer = NonBlocking::new(consumer);
        let mut buffer = [0; 8];
        assert_would_block(consumer.read(&mut buffer));
        assert_would_block(consumer.read_vectored(&mut [IoSliceMut::new(&mut buffer)]));
        assert_would_block(consumer.fill_buf().map(<[u8]>::len));

        assert_eq!(producer.write(b"abcdef").unwrap(), 4, "past the mark");
        assert_would_block(producer.write(b"ef"));
        assert_would_block(producer.write_vectored(&[IoSlice::new(b"ef")]));
        assert_eq!(consumer.read(&mut buffer[..1]).unwrap(), 1);
        let slices = [IoSlice::new(b""), IoSlice::new(b"ef")];
        assert_eq!(producer.write_vectored(&slices).unwrap(), 1);
        let (to_one, to_two) = buffer[1..].split_at_mut(2);
        let mut slices = [IoSliceMut::new(to_one), IoSliceMut::new(to_two)];
        assert_eq!(consumer.read_vectored(&mut slices).unwrap(), 4);
        assert_eq!(&buffer[..5], b"abcde");
        assert_would_block(consumer.read(&mut buffer));
        producer.into_inner().end();
        assert_eq!(consumer.read(&mut buffer).unwrap(), 0);
    }
}

#[test]
fn polling_is_also_had_of_a_borrowed_end() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(4);
        assert_eq!(NonBlocking::new(&mut producer).write(b"abcdef").unwrap(), 4);
        let mut polled = NonBlocking::new(&mut consumer);
        assert_eq!(polled.fill_buf().unwrap(), b"abcd");
        polled.consume(1);
        assert_eq!(polled.get_ref().get_ref().len(), 3);
        assert_eq!(polled.get_mut().read(&mut [0; 1]).unwrap(), 1, "blocking");
        let mut text = Vec::new();
        assert_would_block(polled.read_until(b'!', &mut text));
        assert_eq!(text, b"cd", "it took what was there");
        let consumer = polled.into_inner();
        producer.write_all(b"ef").unwrap(); // has drained, or this would never return
        assert_eq!(consumer.fill_buf().unwrap(), b"ef");
    });
}

#[test]
fn everything_goes_round_by_polling_in_one_thread() {
    let bytes = pattern(20_000);
    let (mut producer, mut consumer) = at(usize::MAX - 10_000, 5, 11);
    let mut random = Random::new(7);
    let (mut written, mut copy) = (0, Vec::<u8>::new());
    let (mut full, mut empty) = (0, 0);
    while copy.len() < bytes.len() {
        let mut piece = || random.below(9) as usize + 1;
        let rest = &bytes[written..];
        if !rest.is_empty() {
            let rest = &rest[..piece().min(rest.len())];
            match NonBlocking::new(&mut producer).write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => full += 1,
                Err(error) => panic!("{error}"),
            }
        }
        for _ in 0..piece() % 3 {
            let mut buffer = [0; 9];
            match NonBlocking::new(&mut consumer).read(&mut buffer[..piece()]) {
                Ok(count) => copy.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => empty += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(copy, bytes);
    assert!(full > 0 && empty > 0, "{full} {empty}");
}

#[test]
fn two_threads_that_poll_pass_everything_on() {
    deadline(|| {
        let bytes = pattern(100_000);
        let (producer, consumer) = highwater::bytes(61);
        let source = bytes.clone();
        let writer = thread::spawn(move || {
            let mut producer = NonBlocking::new(producer);
            let mut written = 0;
            while written < source.len() {
                match producer.write(&source[written..]) {
                    Ok(count) => written += count,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        thread::yield_now();
                    }
                }
            }
            producer.into_inner().end();
        });
        let mut consumer = NonBlocking::new(consumer);
        let mut copy = Vec::new();
        // `read_to_end` keeps what it has read when it fails.
        while let Err(error) = consumer.read_to_end(&mut copy) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            thread::yield_now();
        }
        assert_eq!(copy, bytes);
        writer.join().unwrap();
    });
}

// Straight from a source, straight to a sink.

#[test]
fn a_source_is_offered_at_most_half_of_the_capacity_and_no_more_than_up_to_the_mark() {
    deadline(|| {
        for (high, capacity, half) in [
            (8, 8, 4),
            (7, 7, 4),
            (1, 1, 1),
            (2, 2, 1),
            (3, 3, 2),
            (0, 8, 1),
            (3, 8, 3),
        ] {
            let (mut producer, mut consumer) = at(0, high, capacity);
            let mut source = Scripted::new(&[7; 100], []);
            assert_eq!(producer.fill_from(&mut source).unwrap(), half);
            assert_eq!(source.offered, [[half]], "{high} of {capacity}");
            assert_eq!(consumer.read(&mut [0; 100]).unwrap(), half);
        }
        let (mut producer, _consumer) = at(0, 8, 8);
        producer.write_all(&[0; 6]).unwrap();
        let mut source = Scripted::new(&[7; 100], []);
        assert_eq!(producer.fill_from(&mut source).unwrap(), 2);
    });
}

#[test]
fn a_sink_is_offered_at_most_half_of_the_capacity() {
    deadline(|| {
        for (capacity, half) in [(8, 4), (7, 4), (1, 1), (2, 1), (3, 2)] {
            let (mut producer, mut consumer) = at(0, capacity, capacity);
            producer.write_all(&vec![7; capacity]).unwrap();
            let mut sink = Scripted::default();
            assert_eq!(consumer.drain_to(&mut sink).unwrap(), half);
            assert_eq!(sink.offered, [[half]], "of {capacity}");
        }
    });
}

#[test]
fn both_halves_are_offered_at_once_where_the_ring_wraps() {
    deadline(|| {
        for (first, before_edge) in [(5, 3), (6, 2), (7, 1), (usize::MAX - 1, 2)] {
            let (mut producer, mut consumer) = at(first, 8, 8);
            let mut source = Scripted::new(b"abcdefgh", []);
            assert_eq!(producer.fill_from(&mut source).unwrap(), 4);
            assert_eq!(source.offered, [[before_edge, 4 - before_edge]]);
            let mut sink = Scripted::default();
            assert_eq!(consumer.drain_to(&mut sink).unwrap(), 4);
            assert_eq!(sink.offered, [[before_edge, 4 - before_edge]]);
            assert_eq!(sink.content(), b"abcd");
        }
    });
}

/// That it may be read at all is what this is about: Miri and the sanitizers see the rest.
#[test]
fn a_source_is_offered_zeros_first_and_later_what_earlier_laps_left() {
    deadline(|| {
        let (mut producer, mut consumer) = at(usize::MAX - 6, 5, 5);
        let mut source = Scripted::new(
            &pattern(100)[1..],
            std::iter::repeat(Step::Move(2)).take(20),
        );
        let mut given = 0;
        for _ in 0..20 {
            assert_eq!(producer.fill_from(&mut source).unwrap(), 2);
            if given + 3 <= 8 {
                // The ring has eight slots, though only five may be in use.
                assert_eq!(source.memory, [0; 3], "after {given}");
            }
            given += 2;
            assert_eq!(consumer.read(&mut [0; 2]).unwrap(), 2);
        }
    });
}

/// Safe code can put slots of an earlier lap back into a state that no `Read` may see. Only Miri or the
/// MemorySanitizer can tell.
#[test]
fn a_source_is_not_offered_what_a_chunk_made_uninitialised() {
    deadline(|| {
        let (mut producer, mut consumer) = at(6, 8, 8);
        producer.write_all(&[1; 8]).unwrap();
        consumer.read_exact(&mut [0; 8]).unwrap();
        let mut chunk = producer.get_mut().try_reserve_up_to(8).unwrap();
        let (one, two) = chunk.as_uninit();
        for slot in one.iter_mut().chain(two) {
            *slot = MaybeUninit::uninit();
        }
        drop(chunk);
        let mut source = Scripted::new(b"ab", []);
        assert_eq!(producer.fill_from(&mut source).unwrap(), 2);
        assert_eq!(source.memory.len(), 4);
        // A branch on each byte, which is what the tools object to.
        assert!(source.memory.iter().filter(|byte| **byte > 7).count() <= 4);
    });
}

#[test]
fn short_reads_and_interruptions_of_a_source_lose_nothing() {
    deadline(|| {
        let interrupted = Step::Fail(ErrorKind::Interrupted);
        for first in places() {
            let (mut producer, mut consumer) = at(first, 8, 8);
            let steps = [Step::Move(1), interrupted, interrupted, Step::Move(2)];
            let mut source = Scripted::new(b"abcdefgh", steps);
            assert_eq!(producer.fill_from(&mut source).unwrap(), 1);
            assert_eq!(producer.fill_from(&mut source).unwrap(), 2);
            assert_eq!(source.offered.len(), 4, "tried again");
            let source: &mut dyn Read = &mut source;
            assert_eq!(producer.fill_from(source).unwrap(), 4);
            assert_eq!(producer.fill_from(source).unwrap(), 1);
            let mut bytes = [0; 9];
            assert_eq!(consumer.read(&mut bytes).unwrap(), 8);
            assert_eq!(&bytes[..8], b"abcdefgh");
        }
    });
}

#[test]
fn short_writes_and_interruptions_of_a_sink_lose_nothing() {
    deadline(|| {
        let interrupted = Step::Fail(ErrorKind::Interrupted);
        for first in places() {
            let (mut producer, mut consumer) = at(first, 8, 8);
            producer.write_all(b"abcdefgh").unwrap();
            producer.end();
            let steps = [Step::Move(1), interrupted, interrupted, Step::Move(2)];
            let mut sink = Scripted::sink(steps);
            assert_eq!(consumer.drain_to(&mut sink).unwrap(), 1);
            assert_eq!(consumer.monitor().len(), 7);
            assert_eq!(consumer.drain_to(&mut sink).unwrap(), 2);
            assert_eq!(sink.offered.len(), 4, "tried again");
            {
                let sink: &mut dyn Write = &mut sink;
                assert_eq!(consumer.drain_to(sink).unwrap(), 4);
                assert_eq!(consumer.drain_to(sink).unwrap(), 1);
                assert_eq!(consumer.drain_to(sink).unwrap(), 0);
            }
            assert_eq!(sink.content(), b"abcdefgh");
        }
    });
}

#[test]
fn a_source_that_fails_at_any_byte_has_written_what_it_gave_before() {
    deadline(|| {
        let bytes = pattern(20);
        for kind in [ErrorKind::WouldBlock, ErrorKind::NotFound] {
            for good in 0..20 {
                let (mut producer, mut consumer) = at(good, 20, 20);
                let steps = (0..good).map(|_| Step::Move(1)).chain([Step::Fail(kind)]);
                let mut source = Scripted::new(&bytes, steps);
                let mut came = 0;
                let error = loop {
                    match producer.fill_from(&mut source) {
                        Ok(count) => came += count,
                        Err(error) => break error,
                    }
                };
                assert_eq!((came, producer.get_ref().len()), (good, good));
                assert!(matches!(error, FillError::Source(_)), "{error:?}");
                assert_error::<()>(Err(error.into()), kind, &["by script"]);
                while producer.fill_from(&mut source).unwrap() > 0 && producer.get_ref().len() < 20
                {
                }
                let mut copy = [0; 20];
                consumer.read_exact(&mut copy).unwrap();
                assert_eq!(copy[..], bytes);
            }
        }
    });
}

#[test]
fn what_a_sink_that_fails_at_any_byte_did_not_take_stays_in_the_stream() {
    deadline(|| {
        let bytes = pattern(20);
        for kind in [ErrorKind::WouldBlock, ErrorKind::NotFound] {
            for good in 0..20 {
                let (mut producer, mut consumer) = at(good, 20, 20);
                producer.write_all(&bytes).unwrap();
                producer.end();
                let steps = (0..good).map(|_| Step::Move(1)).chain([Step::Fail(kind)]);
                let mut sink = Scripted::sink(steps);
                let error = loop {
                    match consumer.drain_to(&mut sink) {
                        Ok(count) => assert_eq!(count, 1),
                        Err(error) => break error,
                    }
                };
                assert_eq!(sink.content(), &bytes[..good]);
                assert_eq!(consumer.get_ref().len(), 20 - good);
                assert!(matches!(error, DrainError::Sink(_)), "{error:?}");
                assert_error::<()>(Err(error.into()), kind, &["by script"]);
                let mut rest = Vec::new();
                consumer.read_to_end(&mut rest).unwrap();
                assert_eq!(rest, bytes[good..]);
            }
        }
    });
}

#[test]
fn a_source_that_claims_more_than_it_was_offered_writes_nothing() {
    deadline(|| {
        for more in [1, 3, 4, 5, usize::MAX - 4] {
            let (mut producer, mut consumer) = at(6, 8, 8);
            assert_eq!(producer.write(b"ab").unwrap(), 2);
            let mut source = Scripted::new(b"....cd", [Step::Overstate(more)]);
            let error = producer.fill_from(&mut source).unwrap_err();
            assert!(matches!(error, FillError::Source(_)), "{error:?}");
            let claimed = (4 + more).to_string();
            assert_error::<()>(Err(error.into()), ErrorKind::InvalidData, &[&claimed, "4"]);
            assert_eq!(consumer.get_ref().len(), 2);
            assert_eq!(producer.fill_from(&mut source).unwrap(), 2);
            let mut bytes = [0; 8];
            assert_eq!(consumer.read(&mut bytes).unwrap(), 4);
            assert_eq!(&bytes[..4], b"abcd");
        }
    });
}

#[test]
fn a_sink_that_claims_more_than_it_was_offered_takes_nothing() {
    deadline(|| {
        for more in [1, 3, 4, 5, usize::MAX - 4] {
            let (mut producer, mut consumer) = at(6, 8, 8);
            producer.write_all(b"abcdef").unwrap();
            let mut sink = Scripted::sink([Step::Overstate(more)]);
            let error = consumer.drain_to(&mut sink).unwrap_err();
            assert!(matches!(error, DrainError::Sink(_)), "{error:?}");
            let claimed = (4 + more).to_string();
            assert_error::<()>(Err(error.into()), ErrorKind::InvalidData, &[&claimed, "4"]);
            let mut bytes = [0; 8];
            assert_eq!(consumer.read(&mut bytes).unwrap(), 6);
            assert_eq!(&bytes[..6], b"abcdef");
        }
    });
}

#[test]
fn a_sink_that_takes_nothing_is_an_error_and_the_bytes_stay() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(8);
        producer.write_all(b"abc").unwrap();
        let mut sink = Scripted::sink([Step::Move(0)]);
        let error = consumer.drain_to(&mut sink).unwrap_err();
        assert!(matches!(error, DrainError::Sink(_)), "{error:?}");
        assert_error::<()>(Err(error.into()), ErrorKind::WriteZero, &[]);
        let mut full = [0; 2];
        let mut full = &mut full[..];
        assert_eq!(consumer.drain_to(&mut full).unwrap(), 2);
        let error = io::Error::from(consumer.drain_to(&mut full).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::WriteZero);
        assert_eq!(consumer.fill_buf().unwrap(), b"c");
    });
}

#[test]
fn a_source_at_its_end_writes_nothing_and_the_stream_goes_on() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::bytes(8);
        for _ in 0..3 {
            assert_eq!(producer.fill_from(&mut io::empty()).unwrap(), 0);
        }
        assert_eq!(producer.get_ref().len(), 0);
        assert!(!producer.get_ref().need_drain());
        assert_would_block(NonBlocking::new(&mut consumer).read(&mut [0; 1]));
        assert_eq!(producer.fill_from(&mut &b"ab"[..]).unwrap(), 2);
        assert_eq!(consumer.fill_buf().unwrap(), b"ab");
    });
}

#[test]
fn a_source_is_not_asked_before_the_stream_has_drained() {
    deadline(|| {
        let (mut producer, mut consumer) = at(6, 8, 8);
        let monitor = producer.monitor();
        producer.write_all(&[0; 8]).unwrap();
        let mut source = Scripted::new(&[7; 100], []);
        let writer = thread::spawn(move || {
            let came = producer.fill_from(&mut source).unwrap();
            (came, producer, source)
        });
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(&mut [0; 3]).unwrap(), 3);
        assert_eq!(monitor.stats().items_written, 8);
        assert_eq!(consumer.read(&mut [0; 1]).unwrap(), 1);
        let (came, _producer, source) = writer.join().unwrap();
        assert_eq!(source.offered.len(), 1);
        assert_eq!(monitor.len(), 4 + came);
    });
}

#[test]
fn a_source_or_sink_that_panics_leaves_the_stream_as_it_was() {
    deadline(|| {
        for first in places() {
            let (mut producer, mut consumer) = at(first, 8, 8);
            producer.write_all(b"ab").unwrap();
            let mut source = Scripted::new(b"cdef", [Step::Panic]);
            let went = catch_unwind(AssertUnwindSafe(|| producer.fill_from(&mut source)));
            assert!(went.is_err());
            assert_eq!(producer.get_ref().len(), 2);
            assert_eq!(producer.fill_from(&mut source).unwrap(), 4);

            let mut sink = Scripted::sink([Step::Panic]);
            let went = catch_unwind(AssertUnwindSafe(|| consumer.drain_to(&mut sink)));
            assert!(went.is_err());
            assert_eq!(consumer.get_ref().len(), 6);
            assert_eq!(consumer.drain_to(&mut sink).unwrap(), 4);
            assert_eq!(consumer.drain_to(&mut sink).unwrap(), 2);
            assert_eq!(sink.content(), b"abcdef");
            assert_eq!(producer.write(&[0; 9]).unwrap(), 8, "no slot is lost");
        }
    });
}

#[test]
fn files_go_through_without_a_buffer_of_their_own() {
    deadline(|| {
        let bytes = pattern(100_000);
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(&bytes).unwrap();
        from.seek(SeekFrom::Start(0)).unwrap();
        let mut to = tempfile::tempfile().unwrap();
        let (mut producer, mut consumer) = at(usize::MAX - 9999, 3000, 4000);
        let writer = thread::spawn(move || {
            while producer.fill_from(&mut from).unwrap() > 0 {}
            producer.end();
        });
        while consumer.drain_to(&mut to).unwrap() > 0 {}
        writer.join().unwrap();
        let mut copy = Vec::new();
        to.seek(SeekFrom::Start(0)).unwrap();
        to.read_to_end(&mut copy).unwrap();
        assert_eq!(copy, bytes);
    });
}

// Everything at once.

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..7).prop_map(Step::Move),
        2 => Just(Step::Fail(ErrorKind::Interrupted)),
        1 => Just(Step::Fail(ErrorKind::WouldBlock)),
        1 => Just(Step::Fail(ErrorKind::Other)),
        1 => (1_usize..9).prop_map(Step::Overstate),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let n = || 0_usize..20;
    let steps = || proptest::collection::vec(step(), 0..3);
    let write = prop_oneof![
        Just(Form::Plain),
        Just(Form::Vectored),
        Just(Form::Polled),
        Just(Form::PolledVectored),
        Just(Form::Whole),
    ];
    let read = prop_oneof![
        Just(Form::Plain),
        Just(Form::Vectored),
        Just(Form::Polled),
        Just(Form::PolledVectored),
        Just(Form::Whole),
        Just(Form::Buffered),
        Just(Form::PolledBuffered),
    ];
    prop_oneof![
        6 => (n(), write, n()).prop_map(|(bytes, form, cut)| Op::Write { bytes, form, cut }),
        7 => (n(), read, n()).prop_map(|(bytes, form, cut)| Op::Read { bytes, form, cut }),
        4 => (n(), steps()).prop_map(|(bytes, steps)| Op::Fill { bytes, steps }),
        4 => steps().prop_map(|steps| Op::Drain { steps }),
        1 => (0_usize..14).prop_map(Op::SetHigh),
        1 => (0_usize..14).prop_map(Op::SetLow),
    ]
}

proptest! {
    #![proptest_config(random::config())]

    #[test]
    fn random_operations_of_all_kinds_pass_on_every_byte_once_and_in_order(
        capacity in 1_usize..14,
        high in 0_usize..14,
        low in 0_usize..14,
        before_wrap in prop_oneof![0_usize..200, Just(usize::MAX / 2)],
        ops in proptest::collection::vec(op(), 0..150),
        ends in any::<bool>(),
    ) {
        let high = high.min(capacity);
        let (producer, consumer) = Builder::new()
            .high_water_mark(high)
            .low_water_mark(low.min(high))
            .capacity(capacity)
            .first_index(0_usize.wrapping_sub(before_wrap))
            .build()
            .unwrap();
        // What would wait for ever is a failure, and shrinks as any other.
        deadline(move || Bench::new(producer.into(), consumer.into()).run(&ops, ends));
    }
}

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

fn passes_64_mib(high: usize, first: usize) {
    const TOTAL: usize = 64 << 20;
    deadline(move || {
        let (mut producer, mut consumer) = at(first, high, high);
        let writer = thread::spawn(move || {
            let mut random = Random::new(1);
            // A prime length, so that no piece repeats at the same place of the ring.
            let bytes: Vec<_> = (0..65_521).map(|_| random.below(256) as u8).collect();
            let (mut sum, mut left) = (Checksum::default(), TOTAL);
            while left > 0 {
                // Mostly small pieces, now and then one of several rings.
                let most = [10, 1000, 60_000][random.below(3) as usize];
                let from = random.below(5000) as usize;
                let count = (random.below(most) as usize).min(left);
                let piece = &bytes[from..from + count];
                sum.add(piece);
                producer.write_all(piece).unwrap();
                left -= count;
            }
            producer.end().wait().unwrap();
            sum
        });
        let mut random = Random::new(2);
        let (mut sum, mut count) = (Checksum::default(), 0);
        let mut buffer = vec![0; 60_000];
        loop {
            let most = [10, 1000, 60_000][random.below(3) as usize];
            let to = &mut buffer[..random.below(most) as usize + 1];
            let read = if random.below(4) == 0 {
                let lent = consumer.fill_buf().unwrap();
                let read = lent.len().min(to.len());
                sum.add(&lent[..read]);
                consumer.consume(read);
                read
            } else {
                let read = consumer.read(to).unwrap();
                sum.add(&to[..read]);
                read
            };
            if read == 0 {
                break;
            }
            count += read;
        }
        assert_eq!(count, TOTAL);
        assert_eq!(sum, writer.join().unwrap());
    });
}

#[test]
fn sixty_four_mebibytes_go_between_two_threads() {
    passes_64_mib(64 << 10, 0);
}

#[test]
fn sixty_four_mebibytes_go_through_an_odd_ring_whose_indices_wrap() {
    passes_64_mib(9_999, usize::MAX - (32 << 20));
}

#[test]
fn an_abort_whose_reason_asks_for_another_try_does_not_have_its_reader_try_for_ever() {
    deadline(|| {
        for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock] {
            let (producer, mut consumer) = highwater::bytes(8);
            producer.abort(io::Error::from(kind));
            let error = consumer.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{kind:?}");
            let (producer, consumer) = highwater::bytes(8);
            producer.abort(io::Error::from(kind));
            let error = NonBlocking::new(consumer).read(&mut [0; 4]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{kind:?}");
            // A source that is another stream: passed on, and not tried again.
            let (producer, mut source) = highwater::bytes(8);
            producer.abort(io::Error::from(kind));
            let (mut producer, _consumer) = highwater::bytes(8);
            assert!(matches!(
                producer.fill_from(&mut source),
                Err(highwater::FillError::Source(_))
            ));
        }
    });
}

#[test]
fn an_abort_for_a_time_limit_is_no_time_limit_of_the_read() {
    let abort = |producer: ByteProducer| producer.abort(io::Error::from(ErrorKind::TimedOut));
    let moment = Duration::from_millis(1);
    let (producer, mut consumer) = highwater::bytes(8);
    abort(producer);
    let items = consumer.get_mut();
    let error = items.read_timeout(moment).unwrap_err();
    assert_eq!(
        io::Error::from(error).kind(),
        ErrorKind::ConnectionAborted,
        "of one kind with a timeout, it would be waited for again"
    );
    let error = items.chunk_timeout(1, moment).unwrap_err();
    assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionAborted);
    let error = items.read_slice_timeout(&mut [0; 2], moment).unwrap_err();
    assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionAborted);
    // Who has no limit takes it for what it is.
    let error = consumer.read(&mut [0; 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn flush_publishes_what_a_forgotten_batch_held_back() {
    let forget = |producer: &mut ByteProducer| {
        let mut batch = producer.get_mut().batch();
        let _ = batch.try_write(1).unwrap();
        std::mem::forget(batch);
    };
    let (mut producer, mut consumer) = highwater::bytes(8);
    forget(&mut producer);
    assert!(consumer.get_mut().try_read().is_err());
    producer.flush().unwrap();
    assert_eq!(consumer.get_mut().try_read(), Ok(1));
    forget(&mut producer);
    NonBlocking::new(&mut producer).flush().unwrap();
    assert_eq!(consumer.get_mut().try_read(), Ok(1));
}
