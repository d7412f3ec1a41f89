//! Items, weighed or not: operations of all kinds against a plain model, a queue and the rules of flow control.

use crate::common::{Counted, Drops};
use arbitrary::{Arbitrary, Result as Arbitrarily, Unstructured};
use highwater::{
    Builder, Consumer, Finish, Flow, Producer, TryChunkError, TryReadError, TryReserveError,
    TryWriteError, Weigh,
};
use std::{
    cell::Cell,
    collections::VecDeque,
    fmt::Debug,
    mem,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
};
#[cfg(feature = "async")]
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
};

/// A number that means something in a small ring.
fn small(u: &mut Unstructured<'_>) -> Arbitrarily<usize> {
    u.int_in_range(0..=8)
}

fn some_small(u: &mut Unstructured<'_>) -> Arbitrarily<Option<usize>> {
    Ok(if u.ratio(19, 20)? {
        Some(small(u)?)
    } else {
        None
    })
}

fn few(u: &mut Unstructured<'_>) -> Arbitrarily<Vec<bool>> {
    let count = u.int_in_range(0..=5)?;
    (0..count).map(|_| u.arbitrary()).collect()
}

fn seldom(u: &mut Unstructured<'_>) -> Arbitrarily<bool> {
    u.ratio(1, 20)
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    Write,
    /// Reserve exactly so many, put so many in, commit so many (or forget the chunk).
    Reserve {
        #[arbitrary(with = small)]
        slots: usize,
        up_to: bool,
        #[arbitrary(with = small)]
        fill: usize,
        #[arbitrary(with = some_small)]
        commit: Option<usize>,
    },
    /// Writes to a batch, with a flush in front of some of them.
    Batch {
        #[arbitrary(with = few)]
        writes: Vec<bool>,
        #[arbitrary(with = seldom)]
        forgotten: bool,
    },
    WriteSlice(#[arbitrary(with = small)] usize),
    Read,
    Peek,
    /// Ask for so many, and consume so many of what was given.
    Chunk {
        #[arbitrary(with = small)]
        items: usize,
        up_to: bool,
        #[arbitrary(with = small)]
        consume: usize,
    },
    /// The same by iterating (or forget the iterator half-way).
    Iterate {
        #[arbitrary(with = small)]
        items: usize,
        #[arbitrary(with = small)]
        take: usize,
        #[arbitrary(with = seldom)]
        forgotten: bool,
    },
    ReadSlice(#[arbitrary(with = small)] usize),
    Ask,
    SetHigh(#[arbitrary(with = small)] usize),
    SetLow(#[arbitrary(with = small)] usize),
    /// Callbacks come, or go.
    Listen {
        on_drain: bool,
        on_ready: bool,
    },
    /// A task asks, once, whether it may write; its future is forgotten, so that its Waker stays.
    PollReady,
    /// The same for an item, which is taken if it is there.
    PollRead,
}

/// How it ends, after the last operation.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Finale {
    End,
    EndUnread,
    DropProducer,
    Abort,
    Close,
    Cancel,
    DropConsumer,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub capacity: usize,
    pub high: usize,
    pub low: Option<usize>,
    pub full_fences: bool,
    pub first_index: usize,
}

impl Arbitrary<'_> for Settings {
    fn arbitrary(u: &mut Unstructured<'_>) -> Arbitrarily<Self> {
        let capacity = u.int_in_range(1..=8)?;
        let high = u.int_in_range(0..=capacity)?;
        let low = u.arbitrary::<bool>()?;
        Ok(Self {
            capacity,
            high,
            low: if low {
                Some(u.int_in_range(0..=high)?)
            } else {
                None
            },
            full_fences: u.arbitrary()?,
            first_index: 0_usize.wrapping_sub(u.int_in_range(0..=20)?),
        })
    }
}

/// What the design says, as plainly as can be. A queue of weights, the last few of them held back.
#[derive(Clone)]
struct Model {
    capacity: usize,
    limit: Option<usize>,
    high: usize,
    low: Option<usize>,
    queue: VecDeque<(u64, usize)>,
    held_back: usize,
    need_drain: bool,
    /// Slots that were not free, and weight: what was refused.
    refused: Option<(usize, usize)>,
    told: usize,
    drains: usize,
}

impl Model {
    fn low(&self) -> usize {
        self.low.unwrap_or(self.high / 2)
    }

    fn len(&self) -> usize {
        self.queue.iter().map(|(_, weight)| weight).sum()
    }

    /// What the consumer sees.
    fn there(&self) -> usize {
        self.queue.len() - self.held_back
    }

    fn look(&mut self) {
        let (mut low, mut slots) = (self.low(), self.capacity);
        if let Some((wanted_slots, weight)) = self.refused {
            if wanted_slots > 0 {
                slots = self.capacity - wanted_slots;
                if self.limit.is_some() {
                    slots = slots.min(self.capacity / 2);
                } else {
                    slots = slots.max(low.min(self.capacity - 1)); // the mark was raised since
                }
            }
            if let Some(limit) = self.limit {
                low = low.min(limit.saturating_sub(weight));
                if weight > limit {
                    slots = 0;
                }
            }
        }
        if self.need_drain && self.len() <= low && self.queue.len() <= slots {
            self.need_drain = false;
            self.drains += 1;
            if let (Some((_, weight)), Some(_)) = (self.refused.take(), self.limit) {
                assert_eq!(self.admits(weight), Ok(()), "sent in circles");
            }
        }
    }

    /// Whether a look would find that a producer which was told to stop may go on.
    fn is_drained(&self) -> bool {
        let mut copy = self.clone();
        copy.look();
        !copy.need_drain
    }

    /// Whether there is a drain once the consumer has read all that it sees.
    fn drains_by_what_is_there(&self) -> bool {
        let mut copy = self.clone();
        copy.queue.drain(..self.there());
        copy.is_drained()
    }

    fn stop(&mut self, refused: Option<(usize, usize)>) {
        self.told += usize::from(!self.need_drain);
        self.need_drain = true;
        self.refused = refused;
    }

    /// Room for one item of this weight?
    fn admits(&self, weight: usize) -> Result<(), (usize, usize)> {
        let is_full = self.queue.len() >= self.capacity;
        match self.limit {
            _ if is_full => Err((1, weight)),
            Some(limit) if !self.queue.is_empty() && self.len() + weight > limit => {
                Err((0, weight))
            }
            _ => Ok(()),
        }
    }

    /// `Some` is the signal.
    fn write(&mut self, id: u64, weight: usize) -> Option<Flow> {
        self.look();
        if let Err(refused) = self.admits(weight) {
            self.stop(Some(refused));
            return None;
        }
        self.queue.push_back((id, weight));
        self.refused = None;
        Some(self.judge())
    }

    fn judge(&mut self) -> Flow {
        if self.len() >= self.high.max(1) {
            self.stop(None);
            Flow::Backpressure
        } else {
            Flow::Ready
        }
    }
}

/// Items of any type, made of numbers.
pub trait Item: Debug + Sized {
    fn id(&self) -> u64;
}

impl Item for u8 {
    fn id(&self) -> u64 {
        u64::from(*self)
    }
}

impl Item for u64 {
    fn id(&self) -> u64 {
        *self
    }
}

impl Item for String {
    fn id(&self) -> u64 {
        self.parse().expect("a number")
    }
}

pub struct Tracked(pub u64, pub Counted);

impl Item for Tracked {
    fn id(&self) -> u64 {
        self.0
    }
}

impl Debug for Tracked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (id {})", self.0, self.1.id)
    }
}

/// A drop now and then panics. The panic is the operation's, and changes nothing else.
fn quietly<R>(body: impl FnOnce() -> R) -> Result<R, ()> {
    catch_unwind(AssertUnwindSafe(body)).map_err(drop)
}

/// Counts how often it was called, or woken.
#[derive(Clone, Default)]
struct Bell(Arc<AtomicUsize>);

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn callback(&self) -> impl Fn() + Send + Sync + 'static {
        let bell = self.clone();
        move || {
            bell.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(feature = "async")]
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An end that was told to wait has to hear when that is over.
struct Wait {
    bell: Bell,
    rings: usize,
    /// Slots are of no use to a producer.
    items: usize,
}

impl Wait {
    fn new(bell: &Bell, items: usize) -> Self {
        Self {
            bell: bell.clone(),
            rings: bell.rings(),
            items,
        }
    }

    #[track_caller]
    fn must_have_heard(&self) {
        assert!(self.bell.rings() > self.rings, "nobody told it");
    }
}

/// Who is called when an end may go on, and whether it waits for that.
#[derive(Default)]
struct Ears {
    on_drain: Option<Bell>,
    on_ready: Option<Bell>,
    producer_waits: Option<Wait>,
    consumer_waits: Option<Wait>,
}

impl Ears {
    /// The consumer's operation has found less than so many items.
    fn consumer_waits_for(&mut self, items: usize) {
        self.consumer_waits = self.on_ready.as_ref().map(|bell| Wait::new(bell, items));
    }

    /// The producer's operation has said that it has to stop.
    fn producer_waits(&mut self) {
        self.producer_waits = self.on_drain.as_ref().map(|bell| Wait::new(bell, 0));
    }

    /// Behind an operation during which the producer began to wait: if it was told to stop, and that is over by now, it was called.
    #[track_caller]
    fn producer_waits_or_has_heard(&mut self, model: &Model, was_told: bool) {
        if !model.need_drain {
            if let (Some(wait), true) = (self.producer_waits.take(), was_told) {
                wait.must_have_heard();
            }
        }
    }
}

/// What both kinds of channel have.
struct Bench<T, W: Weigh<T>> {
    producer: Producer<T, W>,
    consumer: Consumer<T, W>,
    model: Model,
    ears: Ears,
    next: Cell<u64>,
    /// Numbers wrap here: a `u8` has no more.
    modulus: u64,
}

/// A channel, and what it is to be like.
pub struct Case<'a> {
    pub settings: &'a Settings,
    pub ops: &'a [Op],
    pub finale: Finale,
}

impl<T: Item, W: Weigh<T>> Bench<T, W> {
    /// For a producer with a callback an operation looks for a drain at its end, too.
    fn listener_looks(&mut self) {
        if self.ears.on_drain.is_some() {
            self.model.look();
        }
    }

    /// What an operation does is the end of its own end's wait.
    fn stops_waiting(&mut self, op: &Op) {
        match op {
            Op::Read
            | Op::Peek
            | Op::Chunk { .. }
            | Op::Iterate { .. }
            | Op::ReadSlice(_)
            | Op::PollRead => self.ears.consumer_waits = None,
            Op::Listen { .. } => {
                self.ears.consumer_waits = None;
                self.ears.producer_waits = None;
            }
            _ => self.ears.producer_waits = None,
        }
    }

    fn listen(&mut self, on_drain: bool, on_ready: bool) {
        // To install a callback publishes what was held back.
        self.model.held_back = 0;
        self.ears.on_drain = on_drain.then(Bell::default);
        self.ears.on_ready = on_ready.then(Bell::default);
        match &self.ears.on_drain {
            Some(bell) => self.producer.on_drain(bell.callback()),
            None => self.producer.clear_on_drain(),
        }
        match &self.ears.on_ready {
            Some(bell) => self.consumer.on_ready(bell.callback()),
            None => self.consumer.clear_on_ready(),
        }
        self.listener_looks();
    }

    #[cfg(not(feature = "async"))]
    fn poll_ready(&mut self) {}

    #[cfg(not(feature = "async"))]
    fn poll_read(&mut self) {}

    #[cfg(feature = "async")]
    fn poll_ready(&mut self) {
        let bell = Bell::default();
        let waker = Waker::from(Arc::new(bell.clone()));
        let wait = Wait::new(&bell, 0);
        self.model.held_back = 0;
        self.model.look();
        let mut ready = self.producer.ready();
        match Pin::new(&mut ready).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(ready) => {
                ready.unwrap();
                assert!(!self.model.need_drain);
            }
            Poll::Pending => {
                mem::forget(ready);
                self.ears.producer_waits = Some(wait);
            }
        }
    }

    #[cfg(feature = "async")]
    fn poll_read(&mut self) {
        let bell = Bell::default();
        let waker = Waker::from(Arc::new(bell.clone()));
        let wait = Wait::new(&bell, 1);
        let mut read = self.consumer.read_async();
        match Pin::new(&mut read).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(item) => {
                drop(read);
                let item = item.unwrap();
                assert!(self.model.there() > 0);
                assert_eq!(Some(item.id()), self.model.queue.pop_front().map(|i| i.0));
                let _ = quietly(|| drop(item));
            }
            Poll::Pending => {
                mem::forget(read);
                self.ears.consumer_waits = Some(wait);
            }
        }
    }

    /// Whoever waits, and need not any more, has heard of it.
    fn check_waits(&mut self) {
        if let Some(wait) = &self.ears.consumer_waits {
            if self.model.there() >= wait.items {
                wait.must_have_heard();
                self.ears.consumer_waits = None;
            }
        }
        if let Some(wait) = &self.ears.producer_waits {
            if self.model.is_drained() {
                wait.must_have_heard();
                self.ears.producer_waits = None;
            }
        }
    }

    /// The operations that every channel has; `false`: it is none of them.
    fn step(
        &mut self,
        op: &Op,
        most: usize,
        make: &impl Fn(u64) -> T,
        weigh: &impl Fn(u64) -> usize,
    ) -> bool {
        match op {
            Op::Write => self.write(make, weigh),
            Op::Batch { writes, forgotten } => self.batch(writes, *forgotten, make, weigh),
            Op::Read => self.read(),
            Op::Peek => self.peek(),
            Op::Chunk {
                items,
                up_to: true,
                consume,
            } => self.chunk_up_to(*items, *consume),
            Op::Iterate {
                items,
                take,
                forgotten,
            } => self.iterate(*items, *take, *forgotten),
            Op::Ask => self.ask(),
            Op::SetHigh(_) | Op::SetLow(_) => self.set_marks(op, most),
            Op::Listen { on_drain, on_ready } => self.listen(*on_drain, *on_ready),
            Op::PollReady => self.poll_ready(),
            Op::PollRead => self.poll_read(),
            Op::Reserve { .. } | Op::WriteSlice(_) | Op::Chunk { .. } | Op::ReadSlice(_) => {
                return false
            }
        }
        true
    }

    /// The rest of the queue, and then this.
    fn read_rest(consumer: &mut Consumer<T, W>, model: &mut Model, last: &TryReadError) {
        while let Some((id, _)) = model.queue.pop_front() {
            let item = consumer.try_read().unwrap();
            assert_eq!(item.id(), id);
            let _ = quietly(|| drop(item));
        }
        for _ in 0..2 {
            assert_eq!(consumer.try_read().map(|item| item.id()), Err(last.clone()));
        }
    }

    /// Written to an end that is refused.
    fn is_refused(producer: &mut Producer<T, W>, item: T, reason: Option<&str>) {
        // What a forgotten batch held back is dropped with the first answer.
        let _ = quietly(|| producer.is_closed());
        let id = item.id();
        match producer.try_write(item) {
            Err(TryWriteError::Closed(item)) => {
                assert_eq!(item.id(), id);
                let _ = quietly(|| drop(item));
            }
            other => panic!("{:?}", other.map_err(|error| error.to_string())),
        }
        assert!(producer.is_closed());
        assert!(!producer.need_drain());
        let told = producer.cancel_reason().map(|reason| reason.to_string());
        assert_eq!(told.as_deref(), reason);
    }

    fn end(self, finale: Finale, make: &impl Fn(u64) -> T) {
        const REASON: &str = "as planned";
        let item = make(self.fresh());
        let Self {
            mut producer,
            mut consumer,
            mut model,
            ears,
            ..
        } = self;
        let is_of_producer = match finale {
            Finale::End | Finale::EndUnread | Finale::DropProducer | Finale::Abort => true,
            Finale::Close | Finale::Cancel | Finale::DropConsumer => false,
        };
        // Whoever waits hears of every end of the other side.
        let woken = || {
            let wait = if is_of_producer {
                &ears.consumer_waits
            } else {
                &ears.producer_waits
            };
            wait.iter().for_each(Wait::must_have_heard);
        };
        match finale {
            Finale::End | Finale::EndUnread => {
                let finish: Finish = producer.end();
                woken();
                let nothing = model.queue.is_empty();
                assert_eq!(finish.try_wait(), Ok(nothing));
                if finale == Finale::End {
                    Self::read_rest(&mut consumer, &mut model, &TryReadError::Ended);
                    assert_eq!(finish.try_wait(), Ok(true));
                    assert!(consumer.is_ended());
                } else {
                    let _ = quietly(|| drop(consumer));
                    assert_eq!(finish.try_wait().is_ok(), nothing);
                }
                let _ = quietly(|| drop(item));
            }
            Finale::DropProducer => {
                drop(producer);
                woken();
                Self::read_rest(&mut consumer, &mut model, &TryReadError::Abandoned);
                let _ = quietly(|| drop(item));
            }
            Finale::Abort => {
                producer.abort(REASON);
                woken();
                // What is buffered is dropped with the answer.
                let _ = quietly(|| consumer.try_read().map(|item| item.id()));
                match consumer.try_read().map(|item| item.id()) {
                    Err(TryReadError::Aborted(reason)) => assert_eq!(reason.to_string(), REASON),
                    other => panic!("{other:?}"),
                }
                assert_eq!(consumer.len(), 0);
                let _ = quietly(|| drop(item));
            }
            Finale::Close => {
                consumer.close();
                woken();
                Self::is_refused(&mut producer, item, None);
                Self::read_rest(&mut consumer, &mut model, &TryReadError::Ended);
            }
            Finale::Cancel => {
                let _ = quietly(|| consumer.cancel(REASON));
                woken();
                assert_eq!(producer.len(), 0);
                Self::is_refused(&mut producer, item, Some(REASON));
                let _ = quietly(|| drop(producer));
            }
            Finale::DropConsumer => {
                let _ = quietly(|| drop(consumer));
                woken();
                Self::is_refused(&mut producer, item, None);
                let _ = quietly(|| drop(producer));
            }
        }
    }

    fn fresh(&self) -> u64 {
        let id = self.next.get();
        self.next.set((id + 1) % self.modulus);
        id
    }

    fn check(&mut self) {
        let stats = self.producer.monitor().stats();
        assert_eq!(self.producer.len(), self.model.len());
        assert_eq!(stats.times_told_to_stop, self.model.told);
        assert_eq!(stats.drains, self.model.drains);
        assert_eq!(self.producer.high_water_mark(), self.model.high);
        assert_eq!(self.consumer.low_water_mark(), self.model.low());
        let desired = self.model.high as isize - self.model.len() as isize;
        assert_eq!(self.producer.desired_size(), desired);
        self.check_waits();
    }

    fn write(&mut self, make: &impl Fn(u64) -> T, weigh: &impl Fn(u64) -> usize) {
        let id = self.fresh();
        // What a forgotten batch held back goes first.
        self.model.held_back = 0;
        let expected = self.model.write(id, weigh(id));
        self.ears.producer_waits();
        match self.producer.try_write(make(id)) {
            Ok(flow) => {
                assert_eq!(Some(flow), expected);
                self.listener_looks();
                let was_told = flow == Flow::Backpressure;
                self.ears.producer_waits_or_has_heard(&self.model, was_told);
            }
            Err(TryWriteError::WouldBlock(item)) => {
                assert_eq!(item.id(), id);
                assert_eq!(expected, None);
                let _ = quietly(|| drop(item));
                self.listener_looks();
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn batch(
        &mut self,
        writes: &[bool],
        forgotten: bool,
        make: &impl Fn(u64) -> T,
        weigh: &impl Fn(u64) -> usize,
    ) {
        let ids: Vec<_> = writes.iter().map(|_| self.fresh()).collect();
        if self.model.held_back > 0 {
            // Whoever was told to stop by what was forgotten hears of the drain.
            self.listener_looks();
        }
        self.model.held_back = 0;
        self.ears.producer_waits();
        let mut was_told = false;
        let mut batch = self.producer.batch();
        for (flush, id) in writes.iter().zip(ids) {
            if *flush {
                batch.flush();
                self.model.held_back = 0;
                if self.ears.on_drain.is_some() {
                    self.model.look();
                }
            }
            let expected = self.model.write(id, weigh(id));
            match batch.try_write(make(id)) {
                Ok(flow) => {
                    assert_eq!(Some(flow), expected);
                    self.model.held_back += 1;
                    was_told |= flow == Flow::Backpressure;
                }
                Err(TryWriteError::WouldBlock(item)) => {
                    assert_eq!(expected, None);
                    let _ = quietly(|| drop(item));
                    was_told = true;
                }
                Err(error) => panic!("{error}"),
            }
            let listens = expected != Some(Flow::Ready) && self.ears.on_drain.is_some();
            if listens && self.model.drains_by_what_is_there() {
                self.model.look();
            }
            assert_eq!(self.consumer.len(), {
                let there = self.model.there();
                self.model
                    .queue
                    .iter()
                    .take(there)
                    .map(|i| i.1)
                    .sum::<usize>()
            });
        }
        if forgotten {
            mem::forget(batch);
            // Called by whatever publishes it.
            self.ears.producer_waits = None;
        } else {
            drop(batch);
            self.model.held_back = 0;
            self.listener_looks();
            self.ears.producer_waits_or_has_heard(&self.model, was_told);
        }
    }

    fn read(&mut self) {
        let expected = (self.model.there() > 0).then(|| self.model.queue.pop_front().unwrap().0);
        match self.consumer.try_read() {
            Ok(item) => {
                assert_eq!(Some(item.id()), expected);
                let _ = quietly(|| drop(item));
            }
            Err(error) => {
                assert_eq!(error, TryReadError::Empty);
                assert_eq!(expected, None);
                self.ears.consumer_waits_for(1);
            }
        }
    }

    fn peek(&mut self) {
        let first = self.model.queue.front().map(|(id, _)| *id);
        let expected = first.filter(|_| self.model.there() > 0);
        assert_eq!(self.consumer.peek().map(Item::id), expected);
        if expected.is_none() {
            self.ears.consumer_waits_for(1);
        }
    }

    fn chunk_up_to(&mut self, items: usize, consume: usize) {
        let there = self.model.there();
        match self.consumer.try_chunk_up_to(items) {
            Ok(chunk) => {
                assert!(items == 0 || there > 0);
                assert_eq!(chunk.len(), items.min(there));
                let (first, second) = chunk.as_slices();
                let ids = first.iter().chain(second).map(Item::id);
                assert!(ids.eq(self.model.queue.iter().take(chunk.len()).map(|i| i.0)));
                let consume = consume.min(chunk.len());
                self.model.queue.drain(..consume);
                let _ = quietly(|| chunk.consume(consume));
            }
            Err(error) => {
                assert_eq!(error, TryReadError::Empty);
                assert!(items > 0 && there == 0);
                self.ears.consumer_waits_for(1);
            }
        }
    }

    fn iterate(&mut self, items: usize, take: usize, forgotten: bool) {
        let there = self.model.there();
        match self.consumer.try_chunk_up_to(items) {
            Ok(chunk) => {
                let mut chunk = chunk.into_iter();
                assert_eq!(chunk.len(), items.min(there));
                let given = chunk.len();
                for _ in 0..take.min(given) {
                    let item = chunk.next().unwrap();
                    assert_eq!(Some(item.id()), self.model.queue.pop_front().map(|i| i.0));
                    let _ = quietly(|| drop(item));
                }
                if take > given {
                    assert_eq!(chunk.next().map(|item| item.id()), None);
                }
                if forgotten {
                    mem::forget(chunk);
                }
            }
            Err(error) => {
                assert_eq!(error, TryReadError::Empty);
                assert!(items > 0 && there == 0);
            }
        };
        if forgotten {
            // The slots come back with the consumer's next operation.
            self.peek();
        }
    }

    fn ask(&mut self) {
        self.model.held_back = 0;
        self.model.look();
        assert_eq!(self.producer.need_drain(), self.model.need_drain);
        if self.model.need_drain {
            self.ears.producer_waits();
        }
    }

    fn set_marks(&mut self, op: &Op, most: usize) {
        match *op {
            Op::SetHigh(high) => {
                let is_legal = high <= most && self.model.low.unwrap_or(0) <= high;
                assert_eq!(self.producer.set_high_water_mark(high).is_ok(), is_legal);
                if is_legal {
                    self.model.high = high;
                    // An operation like any other: it publishes what a forgotten batch held back.
                    self.model.held_back = 0;
                    self.listener_looks();
                }
            }
            Op::SetLow(low) => {
                let is_legal = low <= self.model.high;
                assert_eq!(self.producer.set_low_water_mark(low).is_ok(), is_legal);
                if is_legal {
                    self.model.low = Some(low);
                    self.model.held_back = 0;
                    self.listener_looks();
                }
            }
            _ => unreachable!(),
        }
    }
}

/// What only channels that count items have.
impl<T: Item> Bench<T, highwater::Items> {
    fn reserve(
        &mut self,
        slots: usize,
        up_to: bool,
        fill: usize,
        commit: Option<usize>,
        make: &impl Fn(u64) -> T,
    ) {
        let ids: Vec<_> = (0..fill).map(|_| self.fresh()).collect();
        let most = (self.model.capacity - self.model.low()).max(1);
        let is_too_large = !up_to && slots > most;
        if !is_too_large {
            self.model.held_back = 0;
            self.model.look();
        }
        let free = self.model.capacity - self.model.queue.len();
        let (wanted, given) = if up_to {
            (slots.min(1), slots.min(free))
        } else {
            (slots, slots)
        };
        if !is_too_large {
            self.ears.producer_waits();
        }
        let chunk = if up_to {
            self.producer.try_reserve_up_to(slots)
        } else {
            self.producer.try_reserve(slots)
        };
        let mut chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error @ TryReserveError::TooLarge { .. }) => {
                assert!(is_too_large);
                assert_eq!(error, TryReserveError::TooLarge { slots, most });
                return;
            }
            Err(error) => {
                assert_eq!(error, TryReserveError::WouldBlock);
                assert!(free < wanted);
                self.model.stop(Some((wanted, 0)));
                return;
            }
        };
        assert!(free >= wanted);
        assert_eq!(chunk.capacity(), given);
        let mut items = ids.iter().map(|id| make(*id));
        assert_eq!(chunk.fill(&mut items), fill.min(given));
        let _ = quietly(|| drop(items));
        assert_eq!(chunk.len(), fill.min(given));
        match commit {
            None => {
                let _ = quietly(|| drop(chunk));
                self.ears.producer_waits = None;
            }
            Some(commit) => {
                let commit = commit.min(chunk.len());
                if commit > 0 {
                    self.model.look();
                    self.model
                        .queue
                        .extend(ids.iter().take(commit).map(|id| (*id, 1)));
                    self.model.refused = None;
                }
                let expected = match commit {
                    0 if self.model.need_drain => {
                        self.model.look();
                        None
                    }
                    0 => None,
                    _ => Some(self.model.judge()),
                };
                // A drop of what is not committed may panic, after the commit.
                if let (Ok(flow), Some(expected)) =
                    (quietly(|| chunk.commit_first(commit)), expected)
                {
                    assert_eq!(flow, expected);
                }
                if self.ears.on_drain.is_some() {
                    self.model.look();
                }
                let was_told = expected == Some(Flow::Backpressure);
                self.ears.producer_waits_or_has_heard(&self.model, was_told);
            }
        }
    }

    fn chunk(&mut self, items: usize, consume: usize) {
        let there = self.model.there();
        match self.consumer.try_chunk(items) {
            Ok(chunk) => {
                assert!(there >= items);
                assert_eq!(chunk.len(), items);
                let consume = consume.min(items);
                self.model.queue.drain(..consume);
                let _ = quietly(|| chunk.consume(consume));
            }
            Err(TryChunkError::TooLarge { .. }) => assert!(items > self.model.capacity),
            Err(TryChunkError::Read(error)) => {
                assert_eq!(error, TryReadError::Empty);
                assert!(there < items);
                self.ears.consumer_waits_for(items);
            }
        }
    }

    fn run(
        case: &Case<'_>,
        modulus: u64,
        make: impl Fn(u64) -> T,
        slices: impl Fn(&mut Self, &Op),
    ) {
        let (producer, consumer) = build(case.settings);
        // A failure must not drop what panics when it is dropped.
        let mut bench = mem::ManuallyDrop::new(Bench {
            producer,
            consumer,
            model: model(case.settings, None),
            ears: Ears::default(),
            next: Cell::new(0),
            modulus,
        });
        for op in case.ops {
            bench.stops_waiting(op);
            match op {
                Op::Reserve {
                    slots,
                    up_to,
                    fill,
                    commit,
                } => bench.reserve(*slots, *up_to, *fill, *commit, &make),
                Op::Chunk {
                    items,
                    up_to: false,
                    consume,
                } => bench.chunk(*items, *consume),
                Op::WriteSlice(_) | Op::ReadSlice(_) => slices(&mut bench, op),
                op => assert!(bench.step(op, case.settings.capacity, &make, &|_| 1)),
            }
            bench.check();
        }
        mem::ManuallyDrop::into_inner(bench).end(case.finale, &make);
    }
}

fn build<T>(settings: &Settings) -> (Producer<T>, Consumer<T>) {
    let builder = Builder::new()
        .capacity(settings.capacity)
        .high_water_mark(settings.high)
        .full_fences(settings.full_fences)
        .first_index(settings.first_index);
    match settings.low {
        Some(low) => builder.low_water_mark(low).build(),
        None => builder.build(),
    }
    .expect("legal settings")
}

/// What only channels of items that can be copied have.
fn slices<T: Item + Copy + Default>(
    bench: &mut Bench<T, highwater::Items>,
    op: &Op,
    make: impl Fn(u64) -> T,
) {
    match *op {
        // Touches nothing.
        Op::WriteSlice(0) => assert_eq!(bench.producer.try_write_slice(&[]), Ok(0)),
        Op::ReadSlice(0) => assert_eq!(bench.consumer.try_read_slice(&mut []), Ok(0)),
        Op::WriteSlice(count) => {
            let ids: Vec<_> = (0..count).map(|_| bench.fresh()).collect();
            let items: Vec<_> = ids.iter().map(|id| make(*id)).collect();
            bench.model.held_back = 0;
            bench.model.look();
            let free = bench.model.capacity - bench.model.queue.len();
            match bench.producer.try_write_slice(&items) {
                Ok(written) => {
                    assert_eq!(written, free.min(count));
                    assert!(written > 0 || count == 0);
                    if written > 0 {
                        let ids = ids.iter().take(written).map(|id| (*id, 1));
                        bench.model.queue.extend(ids);
                        bench.model.refused = None;
                        let _ = bench.model.judge();
                        bench.listener_looks();
                    }
                }
                Err(error) => {
                    assert_eq!(error, TryWriteError::WouldBlock(()));
                    assert!(free == 0 && count > 0);
                    bench.model.stop(Some((1, 0)));
                }
            }
        }
        Op::ReadSlice(count) => {
            let mut items = vec![T::default(); count];
            let there = bench.model.there();
            match bench.consumer.try_read_slice(&mut items) {
                Ok(read) => {
                    assert_eq!(read, there.min(count));
                    let ids = items[..read].iter().map(Item::id);
                    assert!(ids.eq(bench.model.queue.drain(..read).map(|i| i.0)));
                }
                Err(error) => {
                    assert_eq!(error, TryReadError::Empty);
                    assert!(count > 0 && there == 0);
                }
            }
        }
        _ => unreachable!(),
    }
}

fn model(settings: &Settings, limit: Option<usize>) -> Model {
    Model {
        capacity: settings.capacity,
        limit,
        high: settings.high,
        low: settings.low,
        queue: VecDeque::new(),
        held_back: 0,
        need_drain: false,
        refused: None,
        told: 0,
        drains: 0,
    }
}

impl Case<'_> {
    /// Items that are copied, and so few that the numbers wrap.
    pub fn of_bytes(&self) {
        let make = |id| id as u8;
        Bench::run(self, 256, make, |bench, op| slices(bench, op, make));
    }

    pub fn of_words(&self) {
        Bench::run(
            self,
            u64::MAX,
            |id| id,
            |bench, op| slices(bench, op, |id| id),
        );
    }

    pub fn of_strings(&self) {
        Bench::run(self, u64::MAX, |id: u64| id.to_string(), |_, _| {});
    }

    /// Items each of which is to be dropped once.
    pub fn of_counted(&self) {
        let drops = Drops::new();
        Bench::run(self, u64::MAX, |id| Tracked(id, drops.item()), |_, _| {});
        drops.assert_each_dropped_once();
    }

    /// The same, and every so many items the drop panics.
    pub fn of_panicking(&self, every: u64) {
        let drops = Drops::new();
        // One that panics at a time: two at once are an abort, as everywhere in Rust.
        let last = Cell::new(None);
        let make = |id| {
            let is_another_there = last.get().map_or(false, |last| drops.is_alive(last));
            if id % every > 0 || is_another_there {
                return Tracked(id, drops.item());
            }
            let item = drops.panicking_item();
            last.set(Some(item.id));
            Tracked(id, item)
        };
        Bench::run(self, u64::MAX, make, |_, _| {});
        drops.assert_each_dropped_once();
    }

    /// Items that weigh what the list says, by turns.
    pub fn of_weighed(&self, limit: usize, weights: &[usize]) {
        let weigh = |id: u64| weights[id as usize % weights.len()];
        let high = self.settings.high.min(limit);
        let settings = Settings {
            high,
            low: self.settings.low.map(|low| low.min(high)),
            ..self.settings.clone()
        };
        let builder = Builder::new()
            .weigh_by(|id: &u64| weigh(*id))
            .capacity(settings.capacity)
            .limit(limit)
            .high_water_mark(high)
            .full_fences(settings.full_fences)
            .first_index(settings.first_index);
        let (producer, consumer) = match settings.low {
            Some(low) => builder.low_water_mark(low).build(),
            None => builder.build(),
        }
        .expect("legal settings");
        let mut bench = Bench {
            producer,
            consumer,
            model: model(&settings, Some(limit)),
            ears: Ears::default(),
            next: Cell::new(0),
            modulus: u64::MAX,
        };
        for op in self.ops {
            // What comes closest, where items weigh.
            let op = match op {
                Op::WriteSlice(_) | Op::Reserve { .. } => Op::Write,
                Op::ReadSlice(_) => Op::Read,
                Op::Chunk { items, consume, .. } => Op::Chunk {
                    items: *items,
                    up_to: true,
                    consume: *consume,
                },
                op => op.clone(),
            };
            bench.stops_waiting(&op);
            assert!(bench.step(&op, limit, &|id| id, &weigh));
            bench.check();
        }
        bench.end(self.finale, &|id| id);
    }
}

/// All of a case, as a fuzzer finds it.
#[derive(Arbitrary, Debug)]
struct Found {
    settings: Settings,
    cargo: Cargo,
    finale: Finale,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Cargo {
    Bytes,
    Words,
    Strings,
    Counted,
    Panicking(#[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(2..=7))] u64),
    Weighed {
        #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(1..=30))]
        limit: usize,
        weights: [u8; 4],
    },
}

/// What the bytes mean, run against the model.
pub fn run(bytes: &[u8]) {
    let found = match Found::arbitrary_take_rest(Unstructured::new(bytes)) {
        Ok(found) => found,
        Err(_) => return, // too few bytes
    };
    let case = Case {
        settings: &found.settings,
        ops: &found.ops[..found.ops.len().min(100)],
        finale: found.finale,
    };
    match found.cargo {
        Cargo::Bytes => case.of_bytes(),
        Cargo::Words => case.of_words(),
        Cargo::Strings => case.of_strings(),
        Cargo::Counted => case.of_counted(),
        Cargo::Panicking(every) => case.of_panicking(every),
        Cargo::Weighed { limit, weights } => {
            case.of_weighed(limit, &weights.map(|weight| usize::from(weight % 16)));
        }
    }
}
