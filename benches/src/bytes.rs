//! Bytes in pieces of 4 KiB through a stream that holds 64 KiB.

use crate::race_ends;
use futures_lite::{future::block_on, AsyncReadExt as _, AsyncWriteExt as _};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use std::{
    hint::spin_loop,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// What a stream holds.
pub const CAPACITY: usize = 64 * 1024;
/// What is written and read at a time.
pub const PIECE: usize = 4 * 1024;

/// One way to move bytes.
pub struct Stream {
    pub name: &'static str,
    /// Moves so many pieces, and returns how long that took.
    pub race: fn(pieces: u64) -> Duration,
}

pub const STREAMS: &[Stream] = &[
    Stream {
        name: "memcpy, handed over by halves (limit)",
        race: limit,
    },
    Stream {
        name: "highwater, Write and Read",
        race: |pieces| {
            let (producer, consumer) = highwater::bytes(CAPACITY);
            blocking(producer, consumer, pieces)
        },
    },
    Stream {
        name: "highwater, fill_from and drain_to",
        race: |pieces| {
            let (mut producer, mut consumer) = highwater::bytes(CAPACITY);
            race_ends(
                move |()| {
                    let mut source = Source::new(pieces);
                    while producer.fill_from(&mut source).expect("no failure") > 0 {}
                    producer.end();
                    Box::new(())
                },
                move |begin| {
                    let mut sink = Sink::new();
                    while consumer.drain_to(&mut sink).expect("no failure") > 0 {}
                    let elapsed = begin.elapsed();
                    sink.check(pieces);
                    (elapsed, Box::new(consumer))
                },
            )
        },
    },
    Stream {
        name: "rtrb, slices",
        race: |pieces| {
            let (mut producer, mut consumer) = rtrb::RingBuffer::<u8>::new(CAPACITY);
            polling(
                move |bytes| {
                    let (first, _) = producer.push_partial_slice(bytes);
                    first.len()
                },
                move |to| {
                    let (first, _) = consumer.pop_partial_slice(to);
                    first.len()
                },
                pieces,
            )
        },
    },
    Stream {
        name: "ringbuf, slices",
        race: |pieces| {
            let (mut producer, mut consumer) = ringbuf::HeapRb::<u8>::new(CAPACITY).split();
            polling(
                move |bytes| producer.push_slice(bytes),
                move |to| consumer.pop_slice(to),
                pieces,
            )
        },
    },
    Stream {
        name: "piper",
        race: |pieces| {
            let (mut reader, mut writer) = piper::pipe(CAPACITY);
            race_ends(
                move |()| {
                    block_on(async {
                        let mut piece = Piece::new();
                        for number in 0..pieces {
                            let bytes = piece.numbered(number);
                            writer.write_all(bytes).await.expect("the reader is there");
                        }
                    });
                    Box::new(writer)
                },
                move |begin| {
                    block_on(async {
                        let mut piece = Piece::new();
                        for number in 0..pieces {
                            let bytes = &mut piece.0;
                            reader.read_exact(bytes).await.expect("the writer is there");
                            piece.check(number);
                        }
                    });
                    (begin.elapsed(), Box::new(reader))
                },
            )
        },
    },
    Stream {
        name: "kernel pipe",
        race: |pieces| {
            let (reader, writer) = io::pipe().expect("a pipe");
            blocking(writer, reader, pieces)
        },
    },
    Stream {
        name: "Unix socket pair",
        race: |pieces| {
            let (reader, writer) = UnixStream::pair().expect("a pair");
            blocking(writer, reader, pieces)
        },
    },
];

/// A piece that begins with its number, so that a lost or swapped one shows.
struct Piece([u8; PIECE]);

impl Piece {
    fn new() -> Self {
        Self([7; PIECE])
    }

    #[inline]
    fn numbered(&mut self, number: u64) -> &[u8; PIECE] {
        self.0[..8].copy_from_slice(&number.to_le_bytes());
        &self.0
    }

    #[inline]
    fn check(&self, number: u64) {
        assert_eq!(self.0[..8], number.to_le_bytes(), "a piece was lost");
    }
}

/// Gives pieces, in as large reads as are asked for.
struct Source {
    piece: Piece,
    number: u64,
    pieces: u64,
    at: usize,
}

impl Source {
    fn new(pieces: u64) -> Self {
        Self {
            piece: Piece::new(),
            number: 0,
            pieces,
            at: 0,
        }
    }
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut given = 0;
        while given < to.len() && self.number < self.pieces {
            let piece = self.piece.numbered(self.number);
            let count = (PIECE - self.at).min(to.len() - given);
            to[given..given + count].copy_from_slice(&piece[self.at..self.at + count]);
            given += count;
            self.at = (self.at + count) % PIECE;
            self.number += u64::from(self.at == 0);
        }
        Ok(given)
    }
}

/// Takes pieces, in as large writes as come.
struct Sink {
    piece: Piece,
    number: u64,
    at: usize,
}

impl Sink {
    fn new() -> Self {
        Self {
            piece: Piece::new(),
            number: 0,
            at: 0,
        }
    }

    fn check(&self, pieces: u64) {
        assert_eq!((self.number, self.at), (pieces, 0), "bytes were lost");
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            let count = (PIECE - self.at).min(bytes.len() - taken);
            self.piece.0[self.at..self.at + count].copy_from_slice(&bytes[taken..taken + count]);
            taken += count;
            self.at = (self.at + count) % PIECE;
            if self.at == 0 {
                self.piece.check(self.number);
                self.number += 1;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends that wait by themselves.
fn blocking(
    mut writer: impl Write + Send + 'static,
    mut reader: impl Read + Send + 'static,
    pieces: u64,
) -> Duration {
    race_ends(
        move |()| {
            let mut piece = Piece::new();
            for number in 0..pieces {
                let bytes = piece.numbered(number);
                writer.write_all(bytes).expect("the reader is there");
            }
            Box::new(writer)
        },
        move |begin| {
            let mut piece = Piece::new();
            for number in 0..pieces {
                reader
                    .read_exact(&mut piece.0)
                    .expect("the writer is there");
                piece.check(number);
            }
            (begin.elapsed(), Box::new(reader))
        },
    )
}

/// Ends that have to be asked again.
fn polling(
    mut push: impl FnMut(&[u8]) -> usize + Send + 'static,
    mut pop: impl FnMut(&mut [u8]) -> usize + Send + 'static,
    pieces: u64,
) -> Duration {
    race_ends(
        move |()| {
            let mut piece = Piece::new();
            for number in 0..pieces {
                let mut bytes = &piece.numbered(number)[..];
                while !bytes.is_empty() {
                    let count = push(bytes);
                    bytes = &bytes[count..];
                    if count == 0 {
                        spin_loop();
                    }
                }
            }
            Box::new(push)
        },
        move |begin| {
            let mut piece = Piece::new();
            for number in 0..pieces {
                let mut to = &mut piece.0[..];
                while !to.is_empty() {
                    let count = pop(to);
                    to = &mut to[count..];
                    if count == 0 {
                        spin_loop();
                    }
                }
                piece.check(number);
            }
            (begin.elapsed(), Box::new(pop))
        },
    )
}

/// The least that any stream has to do: one copy in, one copy out, and a flag for each half of the buffer.
fn limit(pieces: u64) -> Duration {
    struct Half {
        full: AtomicBool,
        bytes: std::cell::UnsafeCell<[u8; CAPACITY / 2]>,
    }
    // SAFETY: `full` says whose turn it is.
    unsafe impl Sync for Half {}
    let half = || Half {
        full: AtomicBool::new(false),
        bytes: std::cell::UnsafeCell::new([0; CAPACITY / 2]),
    };
    const AT_ONCE: u64 = (CAPACITY / 2 / PIECE) as u64;
    assert_eq!(pieces % AT_ONCE, 0);
    let halves = [half(), half()];
    let turn = |begin: u64| &halves[(begin / AT_ONCE % 2) as usize];
    race_ends(
        |()| {
            let mut piece = Piece::new();
            for begin in (0..pieces).step_by(AT_ONCE as usize) {
                let half = turn(begin);
                while half.full.load(Ordering::Acquire) {
                    spin_loop();
                }
                // SAFETY: the half is empty, and so the writer's.
                let bytes = unsafe { &mut *half.bytes.get() };
                for (i, to) in bytes.chunks_exact_mut(PIECE).enumerate() {
                    to.copy_from_slice(piece.numbered(begin + i as u64));
                }
                half.full.store(true, Ordering::Release);
            }
            Box::new(())
        },
        |begin_time: Instant| {
            let mut piece = Piece::new();
            for begin in (0..pieces).step_by(AT_ONCE as usize) {
                let half = turn(begin);
                while !half.full.load(Ordering::Acquire) {
                    spin_loop();
                }
                // SAFETY: the half is full, and so the reader's.
                let bytes = unsafe { &*half.bytes.get() };
                for (i, from) in bytes.chunks_exact(PIECE).enumerate() {
                    piece.0.copy_from_slice(from);
                    piece.check(begin + i as u64);
                }
                half.full.store(false, Ordering::Release);
            }
            (begin_time.elapsed(), Box::new(()))
        },
    )
}
