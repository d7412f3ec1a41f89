//! What happens in one round, all of it from one seed.

use fastrand::Rng;
use highwater::Builder;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub cargo: Cargo,
    /// Items or bytes that are written if nobody dies before.
    pub amount: u64,
    capacity: usize,
    high: usize,
    low: usize,
    /// Of weighed items.
    pub limit: Option<usize>,
    full_fences: bool,
    adaptive_pause: bool,
    first_index: usize,
    pub producer: Part<ProducerFate>,
    pub consumer: Part<ConsumerFate>,
    /// Both are tasks of one thread.
    pub one_thread: bool,
    /// A task that is aborted from outside, whatever it is doing.
    pub kill: Option<(Kill, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cargo {
    Items,
    WeighedItems,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kill {
    Producer,
    Consumer,
}

/// What one end does.
#[derive(Clone, Debug)]
pub struct Part<F> {
    pub host: Host,
    pub pace: Pace,
    /// After so many items or bytes.
    pub fate_at: u64,
    pub fate: F,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Host {
    /// A thread, which uses all doors by turns.
    Thread,
    /// A task of tokio.
    Task,
}

/// Between two steps, now and then.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub every: u64,
    pub pause: Pause,
}

#[derive(Clone, Copy, Debug)]
pub enum Pause {
    None,
    Yield,
    Spin(u32),
    Nap(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProducerFate {
    /// Ends, and waits until everything was consumed.
    Finish,
    /// Ends, and does not care.
    End,
    Drop,
    Panic,
    /// With a chunk, or a batch, in its hands.
    PanicInside,
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConsumerFate {
    ReadToTheEnd,
    /// Takes no more, and reads the rest.
    Close,
    Drop,
    Panic,
    /// With a chunk in its hands.
    PanicInside,
    Cancel,
}

/// Small numbers as often as large ones.
fn log_uniform(rng: &mut Rng, most_bits: u32) -> u64 {
    let bits = rng.u32(0..=most_bits);
    (1 << bits) + rng.u64(0..1 << bits)
}

fn pace(rng: &mut Rng) -> Pace {
    let pause = match rng.u32(0..8) {
        0..=3 => Pause::None,
        4 => Pause::Yield,
        5 => Pause::Spin(rng.u32(1..2000)),
        _ => Pause::Nap(Duration::from_micros(rng.u64(1..300))),
    };
    let every = log_uniform(rng, 9);
    Pace { every, pause }
}

fn host(rng: &mut Rng) -> Host {
    *rng.choice(&[Host::Thread, Host::Thread, Host::Task])
        .expect("there are some")
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let cargo = *rng
            .choice(&[
                Cargo::Items,
                Cargo::Items,
                Cargo::WeighedItems,
                Cargo::Bytes,
            ])
            .expect("there are some");
        let (amount, capacity) = match cargo {
            Cargo::Bytes => (log_uniform(rng, 22) - 1, log_uniform(rng, 15)),
            _ => (log_uniform(rng, 14) - 1, log_uniform(rng, 11)),
        };
        let capacity = capacity as usize;
        let most = match cargo {
            Cargo::WeighedItems => 4 * capacity,
            _ => capacity,
        };
        let high = match rng.u32(0..4) {
            0 => most,
            _ => rng.usize(0..=most),
        };
        let low = match rng.u32(0..4) {
            0 => 0,
            1 => high / 2,
            _ => rng.usize(0..=high),
        };
        // Each gap's worth may cost two sleeps, and a round should take no more than moments.
        let amount = amount.min(256 * (high - low + 1) as u64);
        let fate_at = |rng: &mut Rng| rng.u64(0..=amount);
        let producer = Part {
            host: host(rng),
            pace: pace(rng),
            fate_at: fate_at(rng),
            fate: match rng.u32(0..12) {
                0..=3 => ProducerFate::Finish,
                4..=5 => ProducerFate::End,
                6 => ProducerFate::Drop,
                7 => ProducerFate::Panic,
                8..=9 => ProducerFate::PanicInside,
                _ => ProducerFate::Abort,
            },
        };
        let consumer = Part {
            host: host(rng),
            pace: pace(rng),
            fate_at: fate_at(rng),
            fate: match rng.u32(0..12) {
                0..=5 => ConsumerFate::ReadToTheEnd,
                6 => ConsumerFate::Close,
                7 => ConsumerFate::Drop,
                8 => ConsumerFate::Panic,
                9 => ConsumerFate::PanicInside,
                _ => ConsumerFate::Cancel,
            },
        };
        let (may_kill_producer, may_kill_consumer) =
            (producer.host == Host::Task, consumer.host == Host::Task);
        let kill = match rng.u32(0..8) {
            0 if may_kill_producer => Some(Kill::Producer),
            1 if may_kill_consumer => Some(Kill::Consumer),
            _ => None,
        };
        Self {
            seed,
            cargo,
            amount,
            capacity,
            high,
            low,
            limit: rng.bool().then(|| rng.usize(high.max(1)..=most.max(1))),
            full_fences: rng.u32(0..4) == 0,
            adaptive_pause: rng.bool(),
            first_index: 0_usize.wrapping_sub(rng.usize(0..10_000)),
            producer,
            consumer,
            one_thread: may_kill_producer && may_kill_consumer && rng.bool(),
            kill: kill.map(|kill| (kill, Duration::from_micros(log_uniform(rng, 11)))),
        }
    }

    pub fn builder(&self) -> Builder {
        Builder::new()
            .capacity(self.capacity)
            .high_water_mark(self.high)
            .low_water_mark(self.low)
            .full_fences(self.full_fences)
            .adaptive_pause(self.adaptive_pause)
            .first_index(self.first_index)
    }
}
