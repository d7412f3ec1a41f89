//! Bytes in pieces of 4 KiB through a stream that holds 64 KiB.

use super::{contestant, each};
use crate::{
    contestants::slices::{self, SliceChannel, TryReceiveSlice, TrySendSlice},
    harness::{child::DEADLINE, Better, Case, Contestant, Disturbance, Figure, Workload},
    race::flow_of,
};
use futures_lite::{future::block_on, AsyncReadExt as _, AsyncWriteExt as _};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
};

/// What a stream holds.
pub const CAPACITY: usize = 64 * 1024;
/// What is written and read at a time.
pub const PIECE: usize = 4 * 1024;

pub const RATE: &[Figure] = &[Figure {
    name: "GiB/s",
    better: Better::More,
}];

pub fn bytes() -> Workload {
    let mut contestants = vec![
        blocking("highwater (Write, Read)", || highwater::bytes(CAPACITY)),
        fill_and_drain(),
    ];
    {
        use slices::*;
        contestants.extend(each!(polling(()): Rtrb, Ringbuf, Gil));
    }
    contestants.extend([
        piper(),
        blocking("kernel pipe", || {
            let (reader, writer) = io::pipe().expect("a pipe");
            (writer, reader)
        }),
        blocking("Unix socket pair", || UnixStream::pair().expect("a pair")),
    ]);
    contestants.extend(each!(polling(()): slices::Halves));
    Workload {
        name: "bytes",
        about: "Bytes, 4 KiB at a time, through 64 KiB between two pinned threads.",
        figures: RATE,
        cases: vec![Case {
            name: "4 of 64 KiB".to_owned(),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants,
        }],
        deadline: DEADLINE,
    }
}

/// Both ends are told how many pieces there are.
fn racer<S, R>(name: &str, ends: impl Fn() -> (S, R) + 'static) -> Contestant
where
    S: FnMut(u64) + Send,
    R: FnMut(u64) + Send,
{
    contestant(name, move |effort| {
        let (send, receive) = ends();
        let (warm_up, unit) = (2048, (CAPACITY / PIECE) as u64);
        let (pieces, elapsed) = flow_of(send, receive, warm_up, move |elapsed| {
            effort.count(warm_up, elapsed, unit)
        });
        gibibytes(pieces) / elapsed.as_secs_f64()
    })
}

/// So many pieces.
pub fn gibibytes(pieces: u64) -> f64 {
    (pieces * PIECE as u64) as f64 / f64::from(1 << 30)
}

/// Ends that wait by themselves.
fn blocking<W, R>(name: &str, ends: fn() -> (W, R)) -> Contestant
where
    W: Write + Send + 'static,
    R: Read + Send + 'static,
{
    racer(name, move || {
        let (mut writer, mut reader) = ends();
        let (mut out, mut into) = (Piece::new(), Piece::new());
        (
            move |pieces| {
                for number in 0..pieces {
                    let bytes = out.numbered(number);
                    writer.write_all(bytes).expect("the reader is there");
                }
            },
            move |pieces| {
                for number in 0..pieces {
                    let bytes = &mut into.0;
                    reader.read_exact(bytes).expect("the writer is there");
                    into.check(number);
                }
            },
        )
    })
}

/// Ends that have to be asked again.
fn polling<C: SliceChannel>((): ()) -> Contestant {
    racer(C::NAME, || {
        let (mut sender, mut receiver) = C::new::<u8>(CAPACITY);
        let (mut out, mut into) = (Piece::new(), Piece::new());
        (
            move |pieces| {
                for number in 0..pieces {
                    sender.send_slice(out.numbered(number));
                }
            },
            move |pieces| {
                for number in 0..pieces {
                    receiver.receive_slice(&mut into.0);
                    into.check(number);
                }
            },
        )
    })
}

fn fill_and_drain() -> Contestant {
    racer("highwater (fill_from, drain_to)", || {
        let (mut producer, mut consumer) = highwater::bytes(CAPACITY);
        (
            move |pieces| {
                let mut source = Source::new(pieces);
                while producer.fill_from(&mut source).expect("no failure") > 0 {}
            },
            move |pieces| {
                let mut sink = Sink::new();
                while sink.number < pieces {
                    consumer.drain_to(&mut sink).expect("no failure");
                }
                assert_eq!((sink.number, sink.at), (pieces, 0), "bytes were lost");
            },
        )
    })
}

fn piper() -> Contestant {
    racer("piper", || {
        let (mut reader, mut writer) = piper::pipe(CAPACITY);
        let (mut out, mut into) = (Piece::new(), Piece::new());
        (
            move |pieces| {
                block_on(async {
                    for number in 0..pieces {
                        let bytes = out.numbered(number);
                        writer.write_all(bytes).await.expect("the reader is there");
                    }
                });
            },
            move |pieces| {
                block_on(async {
                    for number in 0..pieces {
                        let bytes = &mut into.0;
                        reader.read_exact(bytes).await.expect("the writer is there");
                        into.check(number);
                    }
                });
            },
        )
    })
}

/// A piece that begins with its number, so that a lost or swapped one shows.
///
/// Aligned, as a copy to a place that is not is slower by a tenth, and where the piece of a task lies depends on the
/// sizes of the ends that lie before it.
#[repr(align(64))]
pub struct Piece(pub [u8; PIECE]);

impl Piece {
    pub fn new() -> Self {
        Self([7; PIECE])
    }

    #[inline]
    pub fn numbered(&mut self, number: u64) -> &[u8; PIECE] {
        self.0[..8].copy_from_slice(&number.to_le_bytes());
        &self.0
    }

    #[inline]
    pub fn check(&self, number: u64) {
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
