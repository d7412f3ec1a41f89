//! Pipes with ends that fail, are interrupted, do little at a time, lie or panic, against what has to come of
//! that: whichever end was at fault is named, and the bytes reported are those in the sink.

use arbitrary::{Arbitrary, Result as Arbitrarily, Unstructured};
use highwater::{Pipe, PipeFailure};
use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    panic::{self, catch_unwind, AssertUnwindSafe},
    sync::mpsc,
};

/// What an end does in one call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Move(usize),
    Interrupted,
    Fail(ErrorKind),
    Panic,
    /// Claims more than it was offered.
    Overstate,
}

impl Arbitrary<'_> for Call {
    fn arbitrary(u: &mut Unstructured<'_>) -> Arbitrarily<Self> {
        Ok(match u.int_in_range(0..=19)? {
            0..=13 => Self::Move(u.int_in_range(1..=30)?),
            14..=15 => Self::Interrupted,
            16 => Self::Fail(ErrorKind::WouldBlock),
            17 => Self::Fail(ErrorKind::Other),
            18 => Self::Panic,
            _ => Self::Overstate,
        })
    }
}

/// Goes by its script, and after that moves all it can.
struct Scripted<'a> {
    script: &'a [Call],
    bytes: &'a mut Vec<u8>,
    flush: Call,
}

/// The same as a source, which is its thread's own.
struct Source {
    script: std::vec::IntoIter<Call>,
    bytes: std::vec::IntoIter<u8>,
    /// Goes with it.
    _alive: mpsc::Sender<()>,
}

impl Call {
    /// How much is moved, and how much is claimed beyond that.
    fn act(self) -> io::Result<(usize, usize)> {
        match self {
            Self::Move(most) => Ok((most, 0)),
            Self::Interrupted => Err(ErrorKind::Interrupted.into()),
            Self::Fail(kind) => Err(kind.into()),
            // As `panic!`, but says nothing: it is part of the test.
            Self::Panic => panic::resume_unwind(Box::new("by script")),
            Self::Overstate => Ok((usize::MAX, 1)),
        }
    }
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(to)])
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let call = self.script.next().unwrap_or(Call::Move(usize::MAX));
        let (most, more) = call.act()?;
        if more > 0 {
            return Ok(slices.iter().map(|slice| slice.len()).sum::<usize>() + more);
        }
        let places = slices.iter_mut().flat_map(|slice| slice.iter_mut());
        let mut count = 0;
        for (place, byte) in places.take(most).zip(&mut self.bytes) {
            *place = byte;
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Scripted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (call, rest) = match self.script.split_first() {
            Some((call, rest)) => (*call, rest),
            None => (Call::Move(usize::MAX), self.script),
        };
        self.script = rest;
        let (most, more) = call.act()?;
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        if more > 0 {
            return Ok(all.count() + more);
        }
        let before = self.bytes.len();
        self.bytes.extend(all.take(most));
        Ok(self.bytes.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.flush, Call::Move(0))
            .act()
            .map(drop)
    }
}

#[derive(Arbitrary, Debug)]
struct Found {
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(0..=40))]
    high: usize,
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(0..=40))]
    low: usize,
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(0..=400))]
    length: usize,
    flush: Call,
    source: Vec<Call>,
    sink: Vec<Call>,
}

fn fails(call: &Call) -> bool {
    !matches!(call, Call::Move(_) | Call::Interrupted)
}

/// What the bytes mean, run, and judged.
pub fn run(bytes: &[u8]) {
    let found = match Found::arbitrary_take_rest(Unstructured::new(bytes)) {
        Ok(found) => found,
        Err(_) => return, // too few bytes
    };
    // No two bytes near each other are alike.
    let all: Vec<u8> = (0..found.length).map(|i| (i ^ (i >> 8)) as u8).collect();
    let mut copy = Vec::new();
    let (alive, released) = mpsc::channel();
    let source = Source {
        script: found.source.clone().into_iter(),
        bytes: all.clone().into_iter(),
        _alive: alive,
    };
    let sink = Scripted {
        script: &found.sink,
        bytes: &mut copy,
        flush: found.flush,
    };
    let pipe = Pipe::new()
        .high_water_mark(found.high)
        .low_water_mark(found.low.min(found.high));
    let result = catch_unwind(AssertUnwindSafe(|| pipe.run(source, sink)));
    // Its thread may go on for a moment, but it is always released.
    let _ = released.recv();
    let result = match result {
        Ok(result) => result,
        Err(_) => {
            let may_panic = found.sink.contains(&Call::Panic) || found.flush == Call::Panic;
            return assert!(may_panic, "the sink never panics");
        }
    };
    assert_eq!(copy, all[..copy.len()]);
    let (bytes, failure) = match result {
        Ok(report) => {
            assert_eq!(report.bytes, found.length as u64, "an end too early");
            let flush_fails = matches!(found.flush, Call::Fail(_) | Call::Panic);
            assert!(!flush_fails, "what the flush said is lost");
            (report.bytes, None)
        }
        Err(error) => (error.bytes, Some(error.failure)),
    };
    assert_eq!(bytes, copy.len() as u64);
    match failure {
        None => {}
        // Nobody is blamed for what it does not do.
        Some(PipeFailure::Source(error)) => assert!(found.source.iter().any(|call| match call {
            Call::Fail(kind) => *kind == error.kind(),
            Call::Overstate => error.kind() == ErrorKind::InvalidData,
            _ => false,
        })),
        Some(PipeFailure::SourcePanicked) => assert!(found.source.contains(&Call::Panic)),
        Some(PipeFailure::Sink(error)) => {
            let calls = found.sink.iter().chain([&found.flush]);
            assert!(calls.clone().any(|call| match call {
                Call::Fail(kind) => *kind == error.kind(),
                Call::Overstate => error.kind() == ErrorKind::InvalidData,
                _ => false,
            }));
        }
        Some(failure) => panic!("{failure:?}"),
    }
    if !found
        .source
        .iter()
        .chain(&found.sink)
        .chain([&found.flush])
        .any(fails)
    {
        assert_eq!(bytes, found.length as u64);
    }
}
