//! Bytes through `Read`, `Write`, `BufRead`, sources and sinks, against a model that is a vector and two numbers.

use arbitrary::{Arbitrary, Result as Arbitrarily, Unstructured};
use highwater::{Builder, ByteConsumer, ByteProducer, NonBlocking};
use std::{
    collections::VecDeque,
    io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    panic,
};

fn some(u: &mut Unstructured<'_>) -> Arbitrarily<usize> {
    u.int_in_range(0..=19)
}

fn mark(u: &mut Unstructured<'_>) -> Arbitrarily<usize> {
    u.int_in_range(0..=13)
}

fn script(u: &mut Unstructured<'_>) -> Arbitrarily<Vec<Step>> {
    let count = u.int_in_range(0..=2)?;
    (0..count)
        .map(|_| {
            Ok(match u.int_in_range(0..=10)? {
                0..=5 => Step::Move(u.int_in_range(0..=6)?),
                6..=7 => Step::Fail(ErrorKind::Interrupted),
                8 => Step::Fail(ErrorKind::WouldBlock),
                9 => Step::Fail(ErrorKind::Other),
                _ => Step::Overstate(u.int_in_range(1..=8)?),
            })
        })
        .collect()
}

/// Bytes that differ from those a lap of any small ring before.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8)) as u8).collect()
}

#[track_caller]
pub fn assert_error<T: std::fmt::Debug>(result: io::Result<T>, kind: ErrorKind, words: &[&str]) {
    let error = result.expect_err("it succeeds");
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{error}`: no `{word}`");
    }
}

#[track_caller]
pub fn assert_would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_error(result, ErrorKind::WouldBlock, &[]);
}

/// What a scripted source or sink does in one call.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Moves at most so many bytes.
    Move(usize),
    /// Moves all it can, and claims that it was so many more than were offered.
    Overstate(usize),
    Fail(ErrorKind),
    Panic,
}

/// A source, or a sink, that goes by a script, and then moves whatever it can.
#[derive(Default)]
pub struct Scripted {
    pub steps: VecDeque<Step>,
    /// What the source still has, or the sink has got.
    pub bytes: VecDeque<u8>,
    /// The lengths of the slices of each call.
    pub offered: Vec<Vec<usize>>,
    /// What lay in the memory that was offered to the source in the last call.
    pub memory: Vec<u8>,
}

impl Scripted {
    pub fn new(bytes: &[u8], steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            bytes: bytes.iter().copied().collect(),
            ..Self::default()
        }
    }

    pub fn sink(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(&[], steps)
    }

    fn step(&mut self, lengths: Vec<usize>) -> io::Result<(usize, usize)> {
        self.offered.push(lengths);
        match self.steps.pop_front().unwrap_or(Step::Move(usize::MAX)) {
            Step::Move(most) => Ok((most, 0)),
            Step::Overstate(more) => Ok((usize::MAX, more)),
            Step::Fail(kind) => Err(io::Error::new(kind, "by script")),
            // As `panic!`, but says nothing: it is part of the test.
            Step::Panic => panic::resume_unwind(Box::new("by script")),
        }
    }

    pub fn content(&mut self) -> &[u8] {
        self.bytes.make_contiguous()
    }
}

impl Read for Scripted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(to)])
    }

    fn read_vectored(&mut self, to: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.memory = to.iter().flat_map(|slice| slice.iter().copied()).collect();
        let (most, more) = self.step(to.iter().map(|slice| slice.len()).collect())?;
        let offered = self.memory.len();
        let count = most.min(offered).min(self.bytes.len());
        let bytes = self.bytes.drain(..count).collect::<Vec<_>>();
        let places = to.iter_mut().flat_map(|slice| slice.iter_mut());
        places.zip(bytes).for_each(|(place, byte)| *place = byte);
        Ok(if more > 0 { offered + more } else { count })
    }
}

impl Write for Scripted {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let (most, more) = self.step(from.iter().map(|slice| slice.len()).collect())?;
        let bytes = from.iter().flat_map(|slice| slice.iter().copied());
        let before = self.bytes.len();
        self.bytes.extend(bytes.take(most));
        let count = self.bytes.len() - before;
        Ok(count + more)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Plain,
    Vectored,
    Polled,
    PolledVectored,
    /// `write_all`, or `read_exact`.
    Whole,
    /// `fill_buf` and `consume`.
    Buffered,
    PolledBuffered,
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    Write {
        #[arbitrary(with = some)]
        bytes: usize,
        form: Form,
        #[arbitrary(with = some)]
        cut: usize,
    },
    Read {
        #[arbitrary(with = some)]
        bytes: usize,
        form: Form,
        #[arbitrary(with = some)]
        cut: usize,
    },
    /// From a source that has so many bytes left and does this.
    Fill {
        #[arbitrary(with = some)]
        bytes: usize,
        #[arbitrary(with = script)]
        steps: Vec<Step>,
    },
    Drain {
        #[arbitrary(with = script)]
        steps: Vec<Step>,
    },
    SetHigh(#[arbitrary(with = mark)] usize),
    SetLow(#[arbitrary(with = mark)] usize),
}

/// A stream, and a model that is two numbers and a vector: what was written, how much of it was read.
pub struct Bench {
    producer: ByteProducer,
    consumer: ByteConsumer,
    written: Vec<u8>,
    read: usize,
}

impl Bench {
    pub fn new(producer: ByteProducer, consumer: ByteConsumer) -> Self {
        Self {
            producer,
            consumer,
            written: Vec::new(),
            read: 0,
        }
    }

    /// All of the operations, and then an end, or none.
    pub fn run(mut self, ops: &[Op], ends: bool) {
        for op in ops {
            self.step(op);
        }
        if ends {
            self.producer.end();
        } else {
            drop(self.producer);
        }
        let mut rest = Vec::new();
        let last = self.consumer.read_to_end(&mut rest);
        assert_eq!(rest, self.written[self.read..]);
        if ends {
            last.unwrap();
        } else {
            assert_error(last, ErrorKind::UnexpectedEof, &[]);
        }
    }

    fn len(&self) -> usize {
        self.written.len() - self.read
    }

    fn capacity(&self) -> usize {
        self.producer.get_ref().capacity()
    }

    /// What a write that has to wait for nothing takes at most, or 0 if it would wait.
    fn room_to_mark(&self) -> usize {
        let channel = self.producer.get_ref();
        if channel.need_drain() || self.len() == self.capacity() {
            return 0;
        }
        let stop_at = channel.high_water_mark().max(1);
        stop_at.saturating_sub(self.len()).max(1)
    }

    fn next(&self, count: usize) -> Vec<u8> {
        let from = self.written.len();
        pattern(from + count).split_off(from)
    }

    #[track_caller]
    fn came(&mut self, bytes: &[u8]) {
        let rest = &self.written[self.read..];
        assert!(rest.starts_with(bytes), "{bytes:?} of {rest:?}");
        self.read += bytes.len();
    }

    fn write(&mut self, count: usize, form: Form, cut: usize) {
        let bytes = self.next(count);
        let (one, two) = bytes.split_at(cut.min(count));
        let slices = [one, &[], two].map(IoSlice::new);
        let room = match form {
            Form::Polled | Form::PolledVectored => self.capacity() - self.len(),
            _ => self.room_to_mark(),
        };
        let producer = &mut self.producer;
        let result = match form {
            Form::Polled => NonBlocking::new(producer).write(&bytes),
            Form::PolledVectored => NonBlocking::new(producer).write_vectored(&slices),
            _ if room == 0 && count > 0 => return, // would wait
            Form::Plain => producer.write(&bytes),
            Form::Vectored => producer.write_vectored(&slices),
            // As above; to lend is no form of writing.
            _ if form != Form::Plain && form != Form::Vectored && count > room => return,
            _ => producer.write_all(&bytes).map(|()| count),
        };
        if room == 0 && count > 0 {
            return assert_would_block(result);
        }
        let taken = result.unwrap();
        assert_eq!(taken, count.min(room));
        self.written.extend(&bytes[..taken]);
    }

    fn read(&mut self, count: usize, form: Form, cut: usize) {
        let there = self.len();
        let mut bytes = vec![0; count];
        let (one, two) = bytes.split_at_mut(cut.min(count));
        let mut slices = [one, &mut [], two].map(IoSliceMut::new);
        let consumer = &mut self.consumer;
        let result = match form {
            Form::PolledVectored => NonBlocking::new(consumer).read_vectored(&mut slices),
            Form::Polled => NonBlocking::new(consumer).read(&mut bytes),
            Form::PolledBuffered => {
                let mut polled = NonBlocking::new(consumer);
                let lent = polled.fill_buf().map(|lent| {
                    assert!(!lent.is_empty());
                    bytes.splice(.., lent.iter().copied().take(count));
                });
                lent.map(|()| {
                    polled.consume(bytes.len());
                    bytes.len()
                })
            }
            // Those that would wait.
            Form::Buffered if there == 0 => return,
            Form::Whole if there < count => return,
            _ if there == 0 && count > 0 => return,
            Form::Plain => consumer.read(&mut bytes),
            Form::Vectored => consumer.read_vectored(&mut slices),
            Form::Whole => consumer.read_exact(&mut bytes).map(|()| count),
            Form::Buffered => {
                let lent = consumer.fill_buf().unwrap();
                assert!(!lent.is_empty());
                bytes.splice(.., lent.iter().copied().take(count));
                consumer.consume(bytes.len());
                Ok(bytes.len())
            }
        };
        let lends = matches!(form, Form::Buffered | Form::PolledBuffered);
        if there == 0 && (count > 0 || lends) {
            return assert_would_block(result);
        }
        let taken = result.unwrap();
        if !lends {
            assert_eq!(taken, count.min(there));
        }
        self.came(&bytes[..taken]);
    }

    fn fill(&mut self, count: usize, steps: &[Step]) {
        let room = self.room_to_mark();
        if room == 0 {
            return; // would wait
        }
        let offered = room.min((self.capacity() + 1) / 2);
        let bytes = self.next(count);
        let mut source = Scripted::new(&bytes, steps.iter().copied());
        let result = self.producer.fill_from(&mut source);
        let offers = &source.offered;
        assert!(offers.iter().all(|o| o.iter().sum::<usize>() == offered));
        match asked(steps) {
            Step::Move(most) => {
                let count = result.unwrap();
                assert_eq!(count, most.min(offered).min(bytes.len()));
                self.written.extend(&bytes[..count]);
            }
            Step::Fail(kind) => assert_error(result.map_err(io::Error::from), kind, &["by script"]),
            _ => assert_error(result.map_err(io::Error::from), ErrorKind::InvalidData, &[]),
        }
    }

    fn drain(&mut self, steps: &[Step]) {
        let offered = self.len().min((self.capacity() + 1) / 2);
        if offered == 0 {
            return; // would wait
        }
        let mut sink = Scripted::sink(steps.iter().copied());
        let result = self.consumer.drain_to(&mut sink);
        let offers = &sink.offered;
        assert!(offers.iter().all(|o| o.iter().sum::<usize>() == offered));
        let result = result.map_err(io::Error::from);
        match asked(steps) {
            Step::Move(0) => assert_error(result, ErrorKind::WriteZero, &[]),
            Step::Move(most) => {
                assert_eq!(result.unwrap(), most.min(offered));
                self.came(sink.content());
            }
            Step::Fail(kind) => assert_error(result, kind, &["by script"]),
            _ => assert_error(result, ErrorKind::InvalidData, &[]),
        }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Write { bytes, form, cut } => self.write(*bytes, *form, *cut),
            Op::Read { bytes, form, cut } => self.read(*bytes, *form, *cut),
            Op::Fill { bytes, steps } => self.fill(*bytes, steps),
            Op::Drain { steps } => self.drain(steps),
            // A mark that is refused changes nothing, which is tested elsewhere.
            Op::SetHigh(mark) => drop(self.producer.get_mut().set_high_water_mark(*mark)),
            Op::SetLow(mark) => drop(self.producer.get_mut().set_low_water_mark(*mark)),
        }
        assert_eq!(self.producer.get_ref().len(), self.len());
        assert_eq!(self.consumer.get_ref().len(), self.len());
    }
}

/// The step that decides: interruptions are passed over.
fn asked(steps: &[Step]) -> Step {
    let is_interruption = |step: &&Step| matches!(step, Step::Fail(ErrorKind::Interrupted));
    let rest = steps.iter().find(|step| !is_interruption(step));
    rest.copied().unwrap_or(Step::Move(usize::MAX))
}

/// All of a case, as a fuzzer finds it.
#[derive(Arbitrary, Debug)]
struct Found {
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(1..=13))]
    capacity: usize,
    #[arbitrary(with = mark)]
    high: usize,
    #[arbitrary(with = mark)]
    low: usize,
    before_wrap: u8,
    ends: bool,
    ops: Vec<Op>,
}

/// What the bytes mean, run against the model.
pub fn run(bytes: &[u8]) {
    let found = match Found::arbitrary_take_rest(Unstructured::new(bytes)) {
        Ok(found) => found,
        Err(_) => return, // too few bytes
    };
    let high = found.high.min(found.capacity);
    let (producer, consumer) = Builder::new()
        .high_water_mark(high)
        .low_water_mark(found.low.min(high))
        .capacity(found.capacity)
        .first_index(0_usize.wrapping_sub(found.before_wrap.into()))
        .build()
        .expect("legal settings");
    let ops = &found.ops[..found.ops.len().min(200)];
    Bench::new(producer.into(), consumer.into()).run(ops, found.ends);
}
