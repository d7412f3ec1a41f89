//! The ends of a byte stream: `std::io`, slices, chunks, sources and sinks, and tokio's traits.

use crate::{
    ends::{End, Reader, Refused, Writer},
    plan::{ConsumerFate, Part, Plan, ProducerFate},
    side::{panic_as_planned, Door, Record, Side},
};
use fastrand::Rng;
use futures_lite::future::{block_on, poll_once};
use highwater::{
    ByteConsumer, ByteProducer, DrainError, FillError, Finish, NonBlocking, ReadError, Reason,
    TryReadError, TryReserveError,
};
use std::{
    future::Future,
    io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    sync::atomic::Ordering,
};

/// What byte number `position` is: without a period that a ring could have.
fn byte(position: u64) -> u8 {
    (position.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Mostly few bytes, sometimes more than a ring holds.
fn some(side: &mut Side, most: u64) -> usize {
    let scale = *side.rng.choice(&[1, 1, 100, 1000]).expect("there are some");
    (side.some(most) as u64 * scale).min(most) as usize
}

pub struct ByteWriter {
    producer: ByteProducer,
    side: Side,
    part: Part<ProducerFate>,
    amount: u64,
    buffer: Vec<u8>,
}

/// Gives the bytes from a position on, as many as it likes at a time; and is interrupted now and then.
struct Source<'a> {
    position: u64,
    left: u64,
    rng: &'a mut Rng,
}

impl Read for Source<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.rng.u32(0..8) == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        let count = self.left.min(to.len() as u64).min(self.rng.u64(1..5000)) as usize;
        fill(&mut to[..count], self.position);
        Ok(count)
    }
}

fn fill(to: &mut [u8], position: u64) {
    for (to, position) in to.iter_mut().zip(position..) {
        *to = byte(position);
    }
}

impl ByteWriter {
    pub fn new(producer: ByteProducer, side: Side, plan: &Plan) -> Self {
        Self {
            producer,
            side,
            part: plan.producer.clone(),
            amount: plan.amount,
            buffer: Vec::new(),
        }
    }

    fn next(&self) -> u64 {
        self.side.record.accepted()
    }

    fn accepted(&mut self, count: usize) {
        self.side
            .record
            .accepted
            .store(self.next() + count as u64, Ordering::Relaxed);
    }

    /// The next so many bytes.
    fn load(&mut self, count: usize) {
        let next = self.next();
        self.buffer.resize(count, 0);
        fill(&mut self.buffer, next);
    }

    /// `Ok(false)`: it would have to wait.
    fn wrote(&mut self, result: io::Result<usize>) -> Result<bool, Refused> {
        match result {
            Ok(count) => {
                self.accepted(count);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => {
                if error.kind() != ErrorKind::BrokenPipe {
                    self.side.record.fault(format!("a write failed: {error}"));
                }
                Err(Refused)
            }
        }
    }

    fn write(&mut self, most: u64) -> Result<(), Refused> {
        let count = some(&mut self.side, most);
        self.load(count);
        let (first, second) = self.buffer.split_at(self.side.rng.usize(0..=count));
        let result = match self.side.rng.u32(0..6) {
            0 => self
                .producer
                .write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
            1 => match self.producer.get_mut().write_all(&self.buffer) {
                Ok(()) => Ok(count),
                Err(error) => {
                    self.accepted(error.written);
                    return Err(Refused);
                }
            },
            2 | 3 => {
                let mut source = Source {
                    position: self.side.record.accepted(),
                    left: most,
                    rng: &mut self.side.rng,
                };
                match self.producer.fill_from(&mut source) {
                    Ok(count) => Ok(count),
                    Err(FillError::Source(error)) => Err(error),
                    Err(FillError::Closed(error)) => Err(error.into()),
                }
            }
            _ => self.producer.write(&self.buffer),
        };
        self.wrote(result).map(drop)
    }

    fn try_write(&mut self, most: u64) -> Result<bool, Refused> {
        let count = some(&mut self.side, most);
        self.load(count);
        let (first, second) = self.buffer.split_at(self.side.rng.usize(0..=count));
        let result = match self.side.rng.u32(0..4) {
            0 => NonBlocking::new(&mut self.producer)
                .write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
            1 => match self.producer.get_mut().try_reserve_up_to(count) {
                Ok(mut chunk) => {
                    let count = chunk.fill_from_slice(&self.buffer);
                    let _ = chunk.commit();
                    Ok(count)
                }
                Err(TryReserveError::Closed) => return Err(Refused),
                Err(error) => Err(error.into()),
            },
            2 => self
                .producer
                .get_mut()
                .try_write_slice(&self.buffer)
                .map_err(io::Error::from),
            _ => NonBlocking::new(&mut self.producer).write(&self.buffer),
        };
        self.wrote(result)
    }
}

impl Writer for ByteWriter {
    fn side(&mut self) -> &mut Side {
        &mut self.side
    }

    fn part(&self) -> &Part<ProducerFate> {
        &self.part
    }

    fn amount(&self) -> u64 {
        self.amount
    }

    fn step(&mut self, most: u64) -> Result<(), Refused> {
        let door = self.side.door();
        if door == Door::Future {
            return block_on(self.step_async(most));
        }
        if self.side.one_in(64) {
            let producer = self.producer.get_mut();
            let low = self.side.rng.usize(0..=producer.high_water_mark());
            let _ = producer.set_low_water_mark(low);
        }
        if door == Door::Sleep {
            return self.write(most);
        }
        if !self.try_write(most)? {
            self.side.until_drained(self.producer.get_mut(), door);
        }
        Ok(())
    }

    async fn step_async(&mut self, most: u64) -> Result<(), Refused> {
        use tokio::io::AsyncWriteExt;

        let count = some(&mut self.side, most);
        self.load(count);
        let result = match self.side.rng.u32(0..4) {
            0 => match poll_once(AsyncWriteExt::write(&mut self.producer, &self.buffer)).await {
                Some(result) => result,
                None => return Ok(()),
            },
            1 => {
                let (first, second) = self.buffer.split_at(count / 2);
                let slices = [IoSlice::new(first), IoSlice::new(second)];
                AsyncWriteExt::write_vectored(&mut self.producer, &slices).await
            }
            _ => AsyncWriteExt::write(&mut self.producer, &self.buffer).await,
        };
        self.wrote(result).map(drop)
    }

    fn cancel_reason(&self) -> Option<Reason> {
        self.producer.get_ref().cancel_reason()
    }

    fn end(self) -> (Finish, Side) {
        (self.producer.end(), self.side)
    }

    fn abort(self, reason: &'static str) {
        self.producer.abort(reason);
    }

    fn panic_inside(&mut self) {
        if let Ok(mut chunk) = self.producer.get_mut().try_reserve_up_to(100) {
            chunk.fill_with(|| 0);
            panic_as_planned();
        }
    }
}

impl End for ByteWriter {
    fn run(self) {
        self.live();
    }

    fn run_async(self) -> impl Future<Output = ()> + Send {
        self.live_async()
    }
}

pub struct ByteReader {
    consumer: ByteConsumer,
    side: Side,
    part: Part<ConsumerFate>,
    buffer: Vec<u8>,
}

fn came(record: &Record, bytes: &[u8]) {
    let received = record.received();
    let wrong = bytes.iter().zip(received..).find(|(b, p)| **b != byte(*p));
    if let Some((_, position)) = wrong {
        record.fault(format!("byte {position} is another one"));
    }
    record
        .received
        .store(received + bytes.len() as u64, Ordering::Relaxed);
}

/// Takes as many bytes as it likes at a time; and is interrupted now and then.
struct Sink<'a> {
    record: &'a Record,
    rng: &'a mut Rng,
    left: u64,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.rng.u32(0..8) == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        let count = (bytes.len() as u64)
            .min(self.rng.u64(1..5000))
            .min(self.left) as usize;
        came(self.record, &bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ByteReader {
    pub fn new(consumer: ByteConsumer, side: Side, plan: &Plan) -> Self {
        Self {
            consumer,
            side,
            part: plan.consumer.clone(),
            buffer: Vec::new(),
        }
    }

    /// Room for some bytes.
    fn make_room(&mut self, most: u64) -> usize {
        let count = some(&mut self.side, most);
        self.buffer.resize(count, 0);
        count
    }

    /// What was read into the buffer has come; nothing is the end.
    fn read(&self, result: io::Result<usize>) -> Result<(), ReadError> {
        match result {
            Ok(0) => Err(ReadError::Ended),
            Ok(count) => {
                came(&self.side.record, &self.buffer[..count]);
                Ok(())
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> ReadError {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<ReadError>());
        inner.cloned().unwrap_or_else(|| {
            self.side.record.fault(format!("a read failed: {error}"));
            ReadError::Abandoned
        })
    }

    fn sleep_and_read(&mut self, most: u64) -> Result<(), ReadError> {
        let count = self.make_room(most);
        let result = match self.side.rng.u32(0..5) {
            0 => {
                let (first, second) = self.buffer.split_at_mut(count / 2);
                let slices = &mut [IoSliceMut::new(first), IoSliceMut::new(second)];
                self.consumer.read_vectored(slices)
            }
            1 => match self.consumer.fill_buf() {
                Ok(lent) => {
                    let count = lent.len().min(count);
                    self.buffer[..count].copy_from_slice(&lent[..count]);
                    self.consumer.consume(count);
                    Ok(count)
                }
                Err(error) => Err(error),
            },
            2 => {
                let mut sink = Sink {
                    record: &self.side.record,
                    rng: &mut self.side.rng,
                    left: most,
                };
                return match self.consumer.drain_to(&mut sink) {
                    Ok(0) => Err(ReadError::Ended),
                    Ok(_) => Ok(()),
                    Err(DrainError::Stream(error)) => Err(error),
                    Err(DrainError::Sink(error)) => Err(self.failed(error)),
                };
            }
            3 => match self.consumer.get_mut().read_exact(&mut self.buffer) {
                Ok(()) => Ok(count),
                Err(error) => {
                    came(&self.side.record, &self.buffer[..error.read]);
                    return Err(error.cause);
                }
            },
            _ => self.consumer.read(&mut self.buffer),
        };
        self.read(result)
    }

    fn try_read(&mut self, most: u64, door: Door) -> Result<(), ReadError> {
        let count = self.make_room(most);
        let lends = self.side.rng.bool();
        let (record, buffer) = (self.side.record.clone(), &mut self.buffer);
        let mut result = Ok(());
        // The doors are those of the channel beneath.
        let channel = self.consumer.get_mut();
        self.side.until_ready(channel, door, |channel| {
            let read = if lends {
                channel.try_chunk_up_to(count).map(|chunk| {
                    let (first, second) = chunk.as_slices();
                    came(&record, first);
                    came(&record, second);
                    chunk.consume_all();
                })
            } else {
                channel
                    .try_read_slice(buffer)
                    .map(|count| came(&record, &buffer[..count]))
            };
            match read.map_err(TryReadError::into_read_error) {
                Ok(()) => true,
                Err(None) => false,
                Err(Some(error)) => {
                    result = Err(error);
                    true
                }
            }
        });
        result
    }
}

impl Reader for ByteReader {
    fn side(&mut self) -> &mut Side {
        &mut self.side
    }

    fn part(&mut self) -> &mut Part<ConsumerFate> {
        &mut self.part
    }

    fn step(&mut self, most: u64) -> Result<(), ReadError> {
        match self.side.door() {
            Door::Sleep => self.sleep_and_read(most),
            Door::Future => block_on(self.step_async(most)),
            door => self.try_read(most, door),
        }
    }

    async fn step_async(&mut self, most: u64) -> Result<(), ReadError> {
        use tokio::io::{AsyncBufReadExt, AsyncReadExt};

        let count = self.make_room(most);
        let result = match self.side.rng.u32(0..4) {
            0 => {
                let read = AsyncReadExt::read(&mut self.consumer, &mut self.buffer);
                match poll_once(read).await {
                    Some(result) => result,
                    None => return Ok(()),
                }
            }
            1 => match AsyncBufReadExt::fill_buf(&mut self.consumer).await {
                Ok(lent) => {
                    let count = lent.len().min(count);
                    self.buffer[..count].copy_from_slice(&lent[..count]);
                    AsyncBufReadExt::consume(&mut self.consumer, count);
                    Ok(count)
                }
                Err(error) => Err(error),
            },
            _ => AsyncReadExt::read(&mut self.consumer, &mut self.buffer).await,
        };
        self.read(result)
    }

    fn close(&mut self) {
        self.consumer.get_mut().close();
    }

    fn cancel(self, reason: &'static str) {
        self.consumer.cancel(reason);
    }

    fn panic_inside(&mut self) {
        let _chunk = self.consumer.get_mut().try_chunk_up_to(100);
        panic_as_planned();
    }
}

impl End for ByteReader {
    fn run(self) {
        self.live();
    }

    fn run_async(self) -> impl Future<Output = ()> + Send {
        self.live_async()
    }
}
