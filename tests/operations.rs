//! Random operations of all kinds, mixed, against a plain model: a queue and the rules of flow control.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test operations` tries more of them.
#![cfg(feature = "std")]

mod common;

use common::{Counted, Drops};
use highwater::{
    Builder, Consumer, Flow, Producer, TryChunkError, TryReadError, TryReserveError, TryWriteError,
    Weigh,
};
use proptest::prelude::*;
use std::{
    cell::Cell,
    collections::VecDeque,
    fmt::Debug,
    mem,
    panic::{catch_unwind, AssertUnwindSafe},
};

#[derive(Clone, Debug)]
enum Op {
    Write,
    /// Reserve exactly so many, put so many in, commit so many (or forget the chunk).
    Reserve {
        slots: usize,
        up_to: bool,
        fill: usize,
        commit: Option<usize>,
    },
    /// Writes to a batch, with a flush in front of some of them.
    Batch {
        writes: Vec<bool>,
        forgotten: bool,
    },
    WriteSlice(usize),
    Read,
    Peek,
    /// Ask for so many, and consume so many of what was given.
    Chunk {
        items: usize,
        up_to: bool,
        consume: usize,
    },
    /// The same by iterating (or forget the iterator half-way).
    Iterate {
        items: usize,
        take: usize,
        forgotten: bool,
    },
    ReadSlice(usize),
    Ask,
    SetHigh(usize),
    SetLow(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let n = || 0_usize..9;
    prop_oneof![
        4 => Just(Op::Write),
        4 => (n(), any::<bool>(), n(), proptest::option::weighted(0.95, n())).prop_map(
            |(slots, up_to, fill, commit)| Op::Reserve { slots, up_to, fill, commit }
        ),
        3 => (proptest::collection::vec(any::<bool>(), 0..6), proptest::bool::weighted(0.05))
            .prop_map(|(writes, forgotten)| Op::Batch { writes, forgotten }),
        2 => n().prop_map(Op::WriteSlice),
        4 => Just(Op::Read),
        1 => Just(Op::Peek),
        4 => (n(), any::<bool>(), n())
            .prop_map(|(items, up_to, consume)| Op::Chunk { items, up_to, consume }),
        3 => (n(), n(), proptest::bool::weighted(0.05))
            .prop_map(|(items, take, forgotten)| Op::Iterate { items, take, forgotten }),
        2 => n().prop_map(Op::ReadSlice),
        2 => Just(Op::Ask),
        1 => n().prop_map(Op::SetHigh),
        1 => n().prop_map(Op::SetLow),
    ]
}

#[derive(Clone, Debug)]
struct Settings {
    capacity: usize,
    high: usize,
    low: Option<usize>,
    full_fences: bool,
    first_index: usize,
}

fn settings() -> impl Strategy<Value = Settings> {
    let index = prop_oneof![
        Just(0),
        (0_usize..20).prop_map(|before| 0_usize.wrapping_sub(before))
    ];
    (1_usize..9, any::<bool>(), index).prop_flat_map(|(capacity, full_fences, first_index)| {
        (0..=capacity).prop_flat_map(move |high| {
            proptest::option::of(0..=high).prop_map(move |low| Settings {
                capacity,
                high,
                low,
                full_fences,
                first_index,
            })
        })
    })
}

/// What the design says, as plainly as can be. A queue of weights, the last few of them held back.
struct Model {
    capacity: usize,
    limit: Option<usize>,
    high: usize,
    low: Option<usize>,
    queue: VecDeque<(u64, usize)>,
    held_back: usize,
    need_drain: bool,
    /// Slots or weight that were refused.
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
            } else {
                let limit = self.limit.expect("only a limit refuses weight");
                low = low.min(limit.saturating_sub(weight));
                if weight > limit {
                    slots = 0;
                }
            }
        }
        if self.need_drain && self.len() <= low && self.queue.len() <= slots {
            self.need_drain = false;
            self.refused = None;
            self.drains += 1;
        }
    }

    fn stop(&mut self, refused: Option<(usize, usize)>) {
        self.told += usize::from(!self.need_drain);
        self.need_drain = true;
        self.refused = refused;
    }

    /// Room for one item of this weight?
    fn admits(&self, weight: usize) -> Result<(), (usize, usize)> {
        match self.limit {
            _ if self.queue.len() >= self.capacity => Err((1, 0)),
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
trait Item: Debug + Sized {
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

struct Tracked(u64, Counted);

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

/// What both kinds of channel have.
struct Bench<T, W: Weigh<T>> {
    producer: Producer<T, W>,
    consumer: Consumer<T, W>,
    model: Model,
    next: Cell<u64>,
    /// Numbers wrap here: a `u8` has no more.
    modulus: u64,
}

impl<T: Item, W: Weigh<T>> Bench<T, W> {
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
    }

    fn write(&mut self, make: &impl Fn(u64) -> T, weigh: &impl Fn(u64) -> usize) {
        let id = self.fresh();
        // What a forgotten batch held back goes first.
        self.model.held_back = 0;
        let expected = self.model.write(id, weigh(id));
        match self.producer.try_write(make(id)) {
            Ok(flow) => assert_eq!(Some(flow), expected),
            Err(TryWriteError::WouldBlock(item)) => {
                assert_eq!(item.id(), id);
                assert_eq!(expected, None);
                let _ = quietly(|| drop(item));
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
        self.model.held_back = 0;
        let mut batch = self.producer.batch();
        for (flush, id) in writes.iter().zip(ids) {
            if *flush {
                batch.flush();
                self.model.held_back = 0;
            }
            let expected = self.model.write(id, weigh(id));
            match batch.try_write(make(id)) {
                Ok(flow) => {
                    assert_eq!(Some(flow), expected);
                    self.model.held_back += 1;
                }
                Err(TryWriteError::WouldBlock(item)) => {
                    assert_eq!(expected, None);
                    let _ = quietly(|| drop(item));
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(self.consumer.len(), {
                let there = self.model.there();
                self.model.queue.iter().take(there).map(|i| i.1).sum()
            });
        }
        if forgotten {
            mem::forget(batch);
        } else {
            drop(batch);
            self.model.held_back = 0;
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
            }
        }
    }

    fn peek(&mut self) {
        let first = self.model.queue.front().map(|(id, _)| *id);
        let expected = first.filter(|_| self.model.there() > 0);
        assert_eq!(self.consumer.peek().map(Item::id), expected);
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
                }
            }
            Op::SetLow(low) => {
                let is_legal = low <= self.model.high;
                assert_eq!(self.producer.set_low_water_mark(low).is_ok(), is_legal);
                if is_legal {
                    self.model.low = Some(low);
                    self.model.held_back = 0;
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
            }
        }
    }

    fn run(
        settings: &Settings,
        ops: &[Op],
        modulus: u64,
        make: impl Fn(u64) -> T,
        slices: impl Fn(&mut Self, &Op),
    ) {
        let builder = Builder::new()
            .capacity(settings.capacity)
            .high_water_mark(settings.high)
            .full_fences(settings.full_fences)
            .first_index(settings.first_index);
        let (producer, consumer) = match settings.low {
            Some(low) => builder.low_water_mark(low).build(),
            None => builder.build(),
        }
        .expect("legal settings");
        // A failure must not drop what panics when it is dropped.
        let mut bench = mem::ManuallyDrop::new(Bench {
            producer,
            consumer,
            model: model(settings, None),
            next: Cell::new(0),
            modulus,
        });
        for op in ops {
            match op {
                Op::Write => bench.write(&make, &|_| 1),
                Op::Reserve {
                    slots,
                    up_to,
                    fill,
                    commit,
                } => bench.reserve(*slots, *up_to, *fill, *commit, &make),
                Op::Batch { writes, forgotten } => bench.batch(writes, *forgotten, &make, &|_| 1),
                Op::Read => bench.read(),
                Op::Peek => bench.peek(),
                Op::Chunk {
                    items,
                    up_to: true,
                    consume,
                } => bench.chunk_up_to(*items, *consume),
                Op::Chunk { items, consume, .. } => bench.chunk(*items, *consume),
                Op::Iterate {
                    items,
                    take,
                    forgotten,
                } => bench.iterate(*items, *take, *forgotten),
                Op::WriteSlice(_) | Op::ReadSlice(_) => slices(&mut bench, op),
                Op::Ask => bench.ask(),
                Op::SetHigh(_) | Op::SetLow(_) => bench.set_marks(op, settings.capacity),
            }
            bench.check();
        }
        let Bench {
            producer, consumer, ..
        } = mem::ManuallyDrop::into_inner(bench);
        let _ = quietly(|| drop(consumer));
        let _ = quietly(|| drop(producer));
    }
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

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 5 } else if cfg!(debug_assertions) { 2_000 } else { 10_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn bytes_behave_as_the_rules_say(settings in settings(), ops in ops()) {
        let make = |id| id as u8;
        Bench::run(&settings, &ops, 256, make, |bench, op| slices(bench, op, make));
    }

    #[test]
    fn words_behave_as_the_rules_say(settings in settings(), ops in ops()) {
        Bench::run(&settings, &ops, u64::MAX, |id| id, |bench, op| slices(bench, op, |id| id));
    }

    #[test]
    fn strings_behave_as_the_rules_say(settings in settings(), ops in ops()) {
        Bench::run(&settings, &ops, u64::MAX, |id: u64| id.to_string(), |_, _| {});
    }

    #[test]
    fn each_item_is_dropped_once(settings in settings(), ops in ops()) {
        let drops = Drops::new();
        Bench::run(&settings, &ops, u64::MAX, |id| Tracked(id, drops.item()), |_, _| {});
        drops.assert_each_dropped_once();
    }

    #[test]
    fn each_item_is_dropped_once_though_some_drops_panic(
        settings in settings(),
        ops in ops(),
        every in 2_u64..8,
    ) {
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
        silently(|| Bench::run(&settings, &ops, u64::MAX, make, |_, _| {}));
        drops.assert_each_dropped_once();
    }

    #[test]
    fn weights_behave_as_the_rules_say(
        settings in settings(),
        ops in ops(),
        limit in 1_usize..30,
        weights in proptest::collection::vec(0_usize..12, 1..8),
    ) {
        let weigh = |id: u64| weights[id as usize % weights.len()];
        let high = settings.high.min(limit);
        let settings = Settings {
            high,
            low: settings.low.map(|low| low.min(high)),
            ..settings
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
            next: Cell::new(0),
            modulus: u64::MAX,
        };
        for op in &ops {
            match op {
                Op::Write | Op::WriteSlice(_) | Op::Reserve { .. } => bench.write(&|id| id, &weigh),
                Op::Batch { writes, forgotten } => {
                    bench.batch(writes, *forgotten, &|id| id, &weigh);
                }
                Op::Read | Op::ReadSlice(_) => bench.read(),
                Op::Peek => bench.peek(),
                Op::Chunk { items, consume, .. } => bench.chunk_up_to(*items, *consume),
                Op::Iterate { items, take, forgotten } => {
                    bench.iterate(*items, *take, *forgotten);
                }
                Op::Ask => bench.ask(),
                Op::SetHigh(_) | Op::SetLow(_) => bench.set_marks(op, limit),
            }
            bench.check();
        }
    }
}

/// Without the messages of the panics that are part of the test.
fn silently(body: impl FnOnce()) {
    use std::{panic, sync::Once};
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = info.payload().downcast_ref::<String>();
            if !message.map_or(false, |text| text.starts_with("the drop of item")) {
                usual(info);
            }
        }));
    });
    body();
}
