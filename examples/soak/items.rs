//! The ends of a channel of items, weighed or not: every way to write and to read, at any door.

use crate::{
    ends::{End, Reader, Refused, Writer},
    ledger::{Item, Ledger},
    plan::{ConsumerFate, Part, Plan, ProducerFate},
    side::{lock, panic_as_planned, Door, Record, Side},
};
use futures_lite::future::{block_on, poll_once};
use futures_util::{SinkExt, StreamExt};
use highwater::{
    ChunkError, Consumer, Finish, Flow, Items, Producer, ReadChunk, ReadError, ReadTimeoutError,
    Reason, ReserveError, TryChunkError, TryReadError, TryReserveError, TryWriteError, Weigh,
    WriteError, WriteTimeoutError,
};
use std::{future::Future, mem, sync::atomic::Ordering};

/// What an item weighs: some weigh nothing.
pub type Weight = fn(&Item) -> usize;

pub fn weight(item: &Item) -> usize {
    (item.sequence() % 8) as usize
}

/// The operations that only a channel which counts items has, or what comes closest.
pub trait Weighing: Weigh<Item> + Send + Sized + 'static {
    /// Writes up to so many items in a chunk, without waiting. `Ok(false)`: there was no room.
    fn try_chunk(writer: &mut ItemWriter<Self>, most: u64) -> Result<bool, Refused> {
        writer.try_batch(most)
    }

    /// The same, and sleeps until there is room.
    fn chunk(writer: &mut ItemWriter<Self>, most: u64) -> Result<(), Refused> {
        writer.batch(most)
    }

    fn send(writer: &mut ItemWriter<Self>) -> impl Future<Output = Result<(), Refused>> + Send {
        writer.write_async()
    }

    fn panic_inside(writer: &mut ItemWriter<Self>) {
        writer.panic_in_batch();
    }

    fn try_exactly(
        consumer: &mut Consumer<Item, Self>,
        items: usize,
    ) -> Result<ReadChunk<'_, Item, Self>, TryReadError> {
        consumer.try_chunk_up_to(items)
    }

    fn exactly(
        consumer: &mut Consumer<Item, Self>,
        items: usize,
    ) -> Result<ReadChunk<'_, Item, Self>, ReadTimeoutError> {
        Ok(consumer.chunk_up_to(items)?)
    }
}

impl Weighing for Weight {}

impl Weighing for Items {
    fn try_chunk(writer: &mut ItemWriter<Self>, most: u64) -> Result<bool, Refused> {
        let slots = writer.side.some(most);
        let exactly = writer.side.rng.bool();
        let commit = writer.side.rng.usize(0..=slots);
        let next = writer.next();
        let ledger = writer.ledger;
        let (commit, flow) = {
            let chunk = if exactly && slots <= writer.producer.max_reserve() {
                writer.producer.try_reserve(slots)
            } else {
                writer.producer.try_reserve_up_to(slots)
            };
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(TryReserveError::WouldBlock) => return Ok(false),
                Err(TryReserveError::Closed) => return Err(Refused),
                Err(error) => unreachable!("{error}"),
            };
            let count = chunk.fill((next..).map(|sequence| ledger.make(sequence)));
            let commit = commit.max(1).min(count);
            (commit, chunk.commit_first(commit))
        };
        writer.accepted(commit);
        writer.obey(flow);
        Ok(true)
    }

    fn chunk(writer: &mut ItemWriter<Self>, most: u64) -> Result<(), Refused> {
        let slots = writer.side.some(most);
        let soon = writer.side.soon();
        let next = writer.next();
        let ledger = writer.ledger;
        let is_timed = writer.side.rng.bool();
        let (count, flow) = {
            let producer = &mut writer.producer;
            let chunk = match (slots <= producer.max_reserve(), is_timed) {
                (true, false) => producer.reserve(slots),
                (true, true) => producer.reserve_timeout(slots, soon),
                (false, false) => producer.reserve_up_to(slots),
                (false, true) => producer.reserve_up_to_timeout(slots, soon),
            };
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(ReserveError::Timeout) => return Ok(()),
                Err(ReserveError::Closed(_)) => return Err(Refused),
                Err(error) => unreachable!("{error}"),
            };
            let count = chunk.fill((next..).map(|sequence| ledger.make(sequence)));
            (count, chunk.commit())
        };
        writer.accepted(count);
        writer.obey(flow);
        Ok(())
    }

    async fn send(writer: &mut ItemWriter<Self>) -> Result<(), Refused> {
        let item = writer.item();
        match writer.producer.send(item).await {
            Ok(()) => {
                writer.accepted(1);
                Ok(())
            }
            Err(error) => {
                writer.refused = error.item;
                Err(Refused)
            }
        }
    }

    fn panic_inside(writer: &mut ItemWriter<Self>) {
        if writer.side.rng.bool() {
            return writer.panic_in_batch();
        }
        let slots = writer.side.some(64);
        let next = writer.next();
        let ledger = writer.ledger;
        if let Ok(mut chunk) = writer.producer.try_reserve_up_to(slots) {
            // Never committed.
            chunk.fill((next..next + slots as u64 / 2).map(|sequence| ledger.make(sequence)));
            panic_as_planned();
        }
    }

    fn try_exactly(
        consumer: &mut Consumer<Item, Self>,
        items: usize,
    ) -> Result<ReadChunk<'_, Item, Self>, TryReadError> {
        // The producer may lower its low-water mark before this end is armed for so many: then it may stop
        // before they are there, and nobody tells. So `Empty` holds only if as many may still be asked for.
        loop {
            let items = items.min(consumer.max_chunk());
            if !is_empty(consumer.try_chunk(items)) {
                return match consumer.try_chunk(items) {
                    Ok(chunk) => Ok(chunk),
                    Err(TryChunkError::Read(error)) => Err(error),
                    Err(error) => unreachable!("{error}"),
                };
            }
            if items <= consumer.max_chunk() {
                return Err(TryReadError::Empty);
            }
        }
    }

    fn exactly(
        consumer: &mut Consumer<Item, Self>,
        items: usize,
    ) -> Result<ReadChunk<'_, Item, Self>, ReadTimeoutError> {
        let items = items.min(consumer.max_chunk());
        match consumer.chunk(items) {
            Ok(chunk) => Ok(chunk),
            Err(ChunkError::Read(error)) => Err(error),
            // The low-water mark has been lowered meanwhile.
            Err(ChunkError::TooLarge { .. }) => Err(ReadTimeoutError::Timeout),
        }
    }
}

fn is_empty<C>(chunk: Result<C, TryChunkError>) -> bool {
    matches!(chunk, Err(TryChunkError::Read(TryReadError::Empty)))
}

pub struct ItemWriter<W: Weighing> {
    producer: Producer<Item, W>,
    ledger: &'static Ledger,
    side: Side,
    part: Part<ProducerFate>,
    amount: u64,
    /// Came back, and is tried again first.
    refused: Option<Item>,
    /// The last write said stop.
    is_told: bool,
}

impl<W: Weighing> ItemWriter<W> {
    pub fn new(
        producer: Producer<Item, W>,
        ledger: &'static Ledger,
        side: Side,
        plan: &Plan,
    ) -> Self {
        Self {
            producer,
            ledger,
            side,
            part: plan.producer.clone(),
            amount: plan.amount,
            refused: None,
            is_told: false,
        }
    }

    fn next(&self) -> u64 {
        self.side.record.accepted()
    }

    fn item(&mut self) -> Item {
        let next = self.next();
        let ledger = self.ledger;
        self.refused.take().unwrap_or_else(|| ledger.make(next))
    }

    fn accepted(&mut self, count: usize) {
        self.side
            .record
            .accepted
            .store(self.next() + count as u64, Ordering::Relaxed);
        // Its number has been given to another one.
        self.refused = None;
    }

    fn obey(&mut self, flow: Flow) {
        // Now and then the signal is ignored, which is allowed.
        self.is_told = flow.is_backpressure() && !self.side.one_in(8);
    }

    /// `Ok(false)`: there was no room.
    fn try_one(&mut self) -> Result<bool, Refused> {
        let item = self.item();
        match self.producer.try_write(item) {
            Ok(flow) => {
                self.accepted(1);
                self.obey(flow);
                Ok(true)
            }
            Err(TryWriteError::WouldBlock(item)) => {
                self.refused = Some(item);
                Ok(false)
            }
            Err(TryWriteError::Closed(item)) => {
                self.refused = Some(item);
                Err(Refused)
            }
        }
    }

    fn try_batch(&mut self, most: u64) -> Result<bool, Refused> {
        let count = self.side.some(most);
        let flush_at = self.side.rng.usize(0..=count);
        let forget = self.side.one_in(50);
        let (mut next, ledger) = (self.next(), self.ledger);
        let begin = next;
        // What came back of an earlier write takes its number with it.
        self.refused = None;
        let mut batch = self.producer.batch();
        let mut answer = Ok(true);
        let mut last = Flow::Ready;
        for i in 0..count {
            if i == flush_at {
                batch.flush();
            }
            match batch.try_write(ledger.make(next)) {
                Ok(flow) => {
                    next += 1;
                    last = flow;
                }
                Err(TryWriteError::WouldBlock(_)) => {
                    answer = Ok(false);
                    break;
                }
                Err(TryWriteError::Closed(_)) => {
                    answer = Err(Refused);
                    break;
                }
            }
        }
        if forget {
            // Published by the next operation, of which there is one: this end asks, or goes.
            mem::forget(batch);
        } else {
            drop(batch);
        }
        self.accepted((next - begin) as usize);
        self.obey(last);
        answer
    }

    fn batch(&mut self, most: u64) -> Result<(), Refused> {
        let count = self.side.some(most);
        let (mut next, ledger) = (self.next(), self.ledger);
        let begin = next;
        self.refused = None;
        let mut batch = self.producer.batch();
        let mut answer = Ok(());
        for _ in 0..count {
            match batch.write(ledger.make(next)) {
                Ok(()) => next += 1,
                Err(WriteError(_)) => {
                    answer = Err(Refused);
                    break;
                }
            }
        }
        drop(batch);
        self.accepted((next - begin) as usize);
        answer
    }

    fn write_iter(&mut self, most: u64) -> Result<(), Refused> {
        let count = self.side.some(most) as u64;
        let (next, ledger) = (self.next(), self.ledger);
        let mut given = 0;
        self.refused = None;
        let written = self
            .producer
            .write_iter((next..next + count).map(|sequence| {
                given += 1;
                ledger.make(sequence)
            }));
        let written_all = written.is_ok();
        drop(written);
        self.accepted(given - usize::from(!written_all));
        if written_all {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    fn write(&mut self) -> Result<(), Refused> {
        let item = self.item();
        let soon = self.side.soon();
        let written = if self.side.rng.bool() {
            self.producer.write(item).map_err(WriteTimeoutError::from)
        } else {
            self.producer.write_timeout(item, soon)
        };
        match written {
            Ok(()) => {
                self.accepted(1);
                Ok(())
            }
            Err(WriteTimeoutError::Timeout(item)) => {
                self.refused = Some(item);
                Ok(())
            }
            Err(WriteTimeoutError::Closed(item)) => {
                self.refused = Some(item);
                Err(Refused)
            }
        }
    }

    async fn write_async(&mut self) -> Result<(), Refused> {
        let item = self.item();
        let written = self.producer.write_async(item).await;
        self.written(written)
    }

    /// Polls a write once, and drops it, with its item, if that was not enough.
    async fn begin_write(&mut self) -> Result<(), Refused> {
        let item = self.item();
        let written = poll_once(self.producer.write_async(item)).await;
        match written {
            Some(written) => self.written(written),
            None => Ok(()),
        }
    }

    fn written(&mut self, written: Result<(), WriteError<Item>>) -> Result<(), Refused> {
        match written {
            Ok(()) => {
                self.accepted(1);
                Ok(())
            }
            Err(WriteError(item)) => {
                self.refused = Some(item);
                Err(Refused)
            }
        }
    }

    /// Marks and questions: nothing that writes.
    fn meddle(&mut self) {
        let producer = &mut self.producer;
        match self.side.rng.u32(0..6) {
            0 => {
                let low = producer.low_water_mark();
                let high = low + self.side.rng.usize(0..=producer.capacity());
                // Refused if it is above the capacity, or the limit.
                let _ = producer.set_high_water_mark(high);
            }
            1 => {
                let low = self.side.rng.usize(0..=producer.high_water_mark());
                let _ = producer.set_low_water_mark(low);
            }
            2 => drop(producer.need_drain()),
            3 => drop(producer.is_closed()),
            4 => drop(producer.desired_size()),
            _ => mem::forget(producer.batch()),
        }
    }

    fn try_some(&mut self, most: u64) -> Result<bool, Refused> {
        match self.side.rng.u32(0..8) {
            0 => self.try_batch(most),
            1 => W::try_chunk(self, most),
            _ => self.try_one(),
        }
    }

    fn panic_in_batch(&mut self) {
        let count = self.side.rng.u64(1..64);
        let (next, ledger) = (self.next(), self.ledger);
        let mut batch = self.producer.batch();
        for sequence in next..next + count {
            if batch.try_write(ledger.make(sequence)).is_err() {
                break;
            }
            self.side
                .record
                .accepted
                .store(sequence + 1, Ordering::Relaxed);
        }
        panic_as_planned();
    }
}

impl<W: Weighing> Writer for ItemWriter<W> {
    fn side(&mut self) -> &mut Side {
        &mut self.side
    }

    fn part(&self) -> &Part<ProducerFate> {
        &self.part
    }

    fn amount(&self) -> u64 {
        if self.ledger.is_nearly_full() {
            0
        } else {
            self.amount
        }
    }

    fn step(&mut self, most: u64) -> Result<(), Refused> {
        let door = self.side.door();
        if door == Door::Future {
            return block_on(self.step_async(most));
        }
        if self.side.one_in(64) {
            self.meddle();
        }
        if mem::take(&mut self.is_told) {
            self.side.until_drained(&mut self.producer, door);
        }
        if door == Door::Sleep && self.side.rng.bool() {
            return match self.side.rng.u32(0..8) {
                0 => self.batch(most),
                1 => W::chunk(self, most),
                2 => self.write_iter(most),
                _ => self.write(),
            };
        }
        if !self.try_some(most)? {
            self.side.until_drained(&mut self.producer, door);
        }
        Ok(())
    }

    async fn step_async(&mut self, most: u64) -> Result<(), Refused> {
        if self.side.one_in(64) {
            self.meddle();
        }
        if mem::take(&mut self.is_told) {
            // To be refused shows in the write.
            let _ = self.producer.ready().await;
        }
        match self.side.rng.u32(0..8) {
            0 => {
                if !self.try_some(most)? {
                    let _ = self.producer.ready().await;
                }
                Ok(())
            }
            1 => self.begin_write().await,
            2 => {
                let _ = poll_once(self.producer.ready()).await;
                Ok(())
            }
            3 => {
                if let Some(_error) = poll_once(self.producer.closed()).await {
                    return Err(Refused);
                }
                Ok(())
            }
            4 => W::send(self).await,
            _ => self.write_async().await,
        }
    }

    fn cancel_reason(&self) -> Option<Reason> {
        self.producer.cancel_reason()
    }

    fn end(self) -> (Finish, Side) {
        (self.producer.end(), self.side)
    }

    fn abort(self, reason: &'static str) {
        self.producer.abort(reason);
    }

    fn panic_inside(&mut self) {
        W::panic_inside(self);
    }
}

impl<W: Weighing> End for ItemWriter<W> {
    fn run(self) {
        self.live();
    }

    fn run_async(self) -> impl Future<Output = ()> + Send {
        self.live_async()
    }
}

/// How many items are taken, and how.
#[derive(Clone, Copy, Debug)]
enum Take {
    One,
    Chunk {
        exactly: bool,
        items: usize,
        consume: usize,
    },
    Iterate {
        items: usize,
        take: usize,
        forget: bool,
    },
}

pub struct ItemReader<W: Weighing> {
    consumer: Consumer<Item, W>,
    side: Side,
    part: Part<ConsumerFate>,
}

fn came(record: &Record, item: &Item) {
    let received = record.received();
    if let Some(fault) = item.fault(received) {
        record.fault(fault);
    }
    record.received.store(received + 1, Ordering::Relaxed);
}

/// A chunk goes, or a part of it.
fn went<W: Weighing>(chunk: ReadChunk<'_, Item, W>, take: Take, record: &Record) {
    match take {
        Take::One => unreachable!("no chunk"),
        Take::Chunk { consume, .. } => {
            let consume = consume.min(chunk.len());
            let (first, second) = chunk.as_slices();
            for item in first.iter().chain(second).take(consume) {
                came(record, item);
            }
            chunk.consume(consume);
        }
        Take::Iterate { take, forget, .. } => {
            let mut items = chunk.into_iter();
            for item in items.by_ref().take(take) {
                came(record, &item);
            }
            if forget {
                // Gives back its slots at the next operation.
                mem::forget(items);
            }
        }
    }
}

fn try_take<W: Weighing>(
    consumer: &mut Consumer<Item, W>,
    take: Take,
    record: &Record,
) -> Option<Result<(), ReadError>> {
    let taken = match take {
        Take::One => consumer.try_read().map(|item| came(record, &item)),
        Take::Chunk {
            exactly: true,
            items,
            ..
        } => W::try_exactly(consumer, items).map(|chunk| went(chunk, take, record)),
        Take::Chunk { items, .. } | Take::Iterate { items, .. } => consumer
            .try_chunk_up_to(items)
            .map(|chunk| went(chunk, take, record)),
    };
    match taken {
        Ok(()) => Some(Ok(())),
        Err(error) => error.into_read_error().map(Err),
    }
}

impl<W: Weighing> ItemReader<W> {
    pub fn new(consumer: Consumer<Item, W>, side: Side, plan: &Plan) -> Self {
        Self {
            consumer,
            side,
            part: plan.consumer.clone(),
        }
    }

    fn any_take(&mut self, most: u64) -> Take {
        let items = self.side.some(most);
        let some = self.side.rng.usize(1..=items);
        match self.side.rng.u32(0..8) {
            0 => Take::Chunk {
                exactly: true,
                items,
                consume: some,
            },
            1 => Take::Chunk {
                exactly: false,
                items,
                consume: some,
            },
            2 => Take::Iterate {
                items,
                take: some,
                forget: self.side.one_in(8),
            },
            _ => Take::One,
        }
    }

    /// Sleeps until there is something.
    fn take(&mut self, take: Take) -> Result<(), ReadError> {
        let is_timed = self.side.rng.bool();
        let soon = self.side.soon();
        let record = &*self.side.record;
        let consumer = &mut self.consumer;
        let taken = match take {
            Take::One if is_timed => consumer.read_timeout(soon).map(|item| came(record, &item)),
            Take::One => return consumer.read().map(|item| came(record, &item)),
            Take::Chunk {
                exactly: true,
                items,
                ..
            } => W::exactly(consumer, items).map(|chunk| went(chunk, take, record)),
            Take::Chunk { items, .. } | Take::Iterate { items, .. } => if is_timed {
                consumer.chunk_up_to_timeout(items, soon)
            } else {
                consumer.chunk_up_to(items).map_err(ReadTimeoutError::from)
            }
            .map(|chunk| went(chunk, take, record)),
        };
        // Too late is no end.
        taken.or_else(|error| error.into_read_error().map_or(Ok(()), Err))
    }
}

impl<W: Weighing> Reader for ItemReader<W> {
    fn side(&mut self) -> &mut Side {
        &mut self.side
    }

    fn part(&mut self) -> &mut Part<ConsumerFate> {
        &mut self.part
    }

    fn step(&mut self, most: u64) -> Result<(), ReadError> {
        let door = self.side.door();
        if self.side.one_in(64) {
            let record = &self.side.record;
            if let Some(fault) = self
                .consumer
                .peek()
                .and_then(|item| item.fault(record.received()))
            {
                record.fault(fault);
            }
        }
        let take = self.any_take(most);
        match door {
            Door::Sleep => self.take(take),
            Door::Future => block_on(self.step_async(most)),
            door => {
                let record = self.side.record.clone();
                *lock(&record.waits_for) = format!("{take:?}, {door:?}");
                let mut taken = Ok(());
                self.side.until_ready(&mut self.consumer, door, |consumer| {
                    match try_take(consumer, take, &record) {
                        Some(result) => {
                            taken = result;
                            true
                        }
                        None => false,
                    }
                });
                taken
            }
        }
    }

    async fn step_async(&mut self, most: u64) -> Result<(), ReadError> {
        let take = self.any_take(most);
        let record = self.side.record.clone();
        match self.side.rng.u32(0..6) {
            0 => try_take(&mut self.consumer, take, &record).unwrap_or(Ok(())),
            1 => match poll_once(self.consumer.read_async()).await {
                Some(read) => read.map(|item| came(&record, &item)),
                None => Ok(()),
            },
            2 => match self.consumer.next().await {
                Some(read) => read.map(|item| came(&record, &item)),
                None => Err(ReadError::Ended),
            },
            _ => self
                .consumer
                .read_async()
                .await
                .map(|item| came(&record, &item)),
        }
    }

    fn close(&mut self) {
        self.consumer.close();
    }

    fn cancel(self, reason: &'static str) {
        self.consumer.cancel(reason);
    }

    fn panic_inside(&mut self) {
        let items = self.side.some(64);
        let take = self.side.rng.usize(0..=items);
        if let Ok(chunk) = self.consumer.try_chunk_up_to(items) {
            let mut items = chunk.into_iter();
            for item in items.by_ref().take(take) {
                came(&self.side.record, &item);
            }
            panic_as_planned();
        }
    }
}

impl<W: Weighing> End for ItemReader<W> {
    fn run(self) {
        self.live();
    }

    fn run_async(self) -> impl Future<Output = ()> + Send {
        self.live_async()
    }
}
