//! The lanes, the line a second, the watchdog and the verdict.

use crate::{
    ledger::Ledger,
    plan::Plan,
    round::{Lane, Outcome, UnderWay},
    side::lock,
};
use anyhow::{Context, Result};
use bytesize::ByteSize;
use cap::Cap;
use clap::Parser;
use fastrand::Rng;
use procfs::process::Process;
use std::{
    alloc::System,
    process::ExitCode,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime;

/// Counts what is allocated: the last round must leave as much as the first one found.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Runs channels of all kinds, with ends that die, and counts everything.
#[derive(Parser)]
#[command(name = "soak")]
struct Options {
    /// How long, in minutes
    #[arg(long, default_value_t = 0.0)]
    minutes: f64,
    /// How long, in seconds: added to the minutes; without either, 10
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
    /// Where the random numbers begin; any if it is left out
    #[arg(long)]
    seed: Option<u64>,
    /// How many channels at the same time
    #[arg(long, default_value_t = 4)]
    lanes: usize,
    /// Play the round of this seed again and again, in all lanes
    #[arg(long, value_name = "SEED")]
    repeat: Option<u64>,
    /// After so many seconds without any progress a round hangs
    #[arg(long, default_value_t = 20)]
    patience: u32,
}

impl Options {
    fn duration(&self) -> Duration {
        match self.minutes * 60.0 + self.seconds {
            0.0 => Duration::from_secs(10),
            seconds => Duration::from_secs_f64(seconds),
        }
    }
}

/// What all rounds so far came to.
#[derive(Default)]
struct Totals {
    rounds: u64,
    items: u64,
    bytes: u64,
    sleeps: u64,
    drains: u64,
    deaths: u64,
    lost: u64,
    doubled: u64,
    wrong_rounds: u64,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.rounds += 1;
        self.items += outcome.items;
        self.bytes += outcome.bytes;
        self.sleeps += outcome.sleeps;
        self.drains += outcome.drains;
        self.deaths += outcome.deaths;
        self.lost += outcome.lost;
        self.doubled += outcome.doubled;
        self.wrong_rounds += u64::from(!outcome.faults.is_empty());
    }

    fn line(&self) -> String {
        format!(
            "{} rounds, {} deaths, {} items, {}, {} sleeps, {} drains",
            self.rounds,
            self.deaths,
            self.items,
            ByteSize(self.bytes),
            self.sleeps,
            self.drains,
        )
    }
}

/// What the process takes of the system.
#[derive(Clone, Copy)]
struct Usage {
    memory: u64,
    descriptors: usize,
}

impl Usage {
    fn now() -> Result<Self> {
        let process = Process::myself()?;
        let pages = process.statm()?.resident;
        Ok(Self {
            memory: pages * procfs::page_size(),
            // Without the one that counts them.
            descriptors: process.fd_count()? - 1,
        })
    }
}

/// Memory is flat if the second half of the run took no more than the first, but for what an allocator does; and if what
/// is allocated once all is over is what was allocated before, but for what the program itself keeps.
struct Memory {
    samples: Vec<u64>,
    allocated_before: usize,
}

impl Memory {
    const SLACK: u64 = 8 << 20;
    /// A byte lost in each round is more than this within minutes.
    const KEPT: usize = 16 << 10;

    fn peaks(&self) -> (u64, u64) {
        let (first, second) = self.samples.split_at(self.samples.len().div_ceil(2));
        let peak = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
        (peak(first), peak(second))
    }

    fn is_flat(&self) -> bool {
        let (first, second) = self.peaks();
        second <= first + first / 10 + Self::SLACK
            && HEAP.allocated() <= self.allocated_before + Self::KEPT
    }
}

struct Watched {
    under_way: Arc<UnderWay>,
    rounds: Arc<Mutex<u64>>,
    /// Ticks since anything moved: not seconds, as the whole process may have been stopped meanwhile.
    quiet: u32,
    last: (u64, u64),
}

impl Watched {
    fn hangs(&mut self, patience: u32) -> bool {
        let now = (*lock(&self.rounds), self.under_way.progress());
        self.quiet = if now == self.last { self.quiet + 1 } else { 0 };
        self.last = now;
        self.quiet >= patience
    }
}

pub fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    println!(
        "seed {seed}, {} lanes, {:?}",
        options.lanes,
        options.duration()
    );

    let threads = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .context("a runtime")?;
    let threads = Arc::new(threads);
    let (totals, stop) = (
        Arc::<Mutex<Totals>>::default(),
        Arc::<AtomicBool>::default(),
    );
    let descriptors_before = Usage::now()?.descriptors;
    let ledgers: Vec<_> = (0..options.lanes).map(|_| Ledger::new()).collect();
    let mut memory = Memory {
        samples: Vec::with_capacity(options.duration().as_secs() as usize + 1),
        allocated_before: HEAP.allocated(),
    };
    let begin = Instant::now();
    let mut watched = Vec::new();
    let mut lanes = Vec::new();
    for (number, ledger) in ledgers.into_iter().enumerate() {
        let lane = Lane {
            ledger,
            one_thread: runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .context("a runtime")?,
            threads: threads.clone(),
            under_way: Arc::default(),
        };
        let rounds = Arc::<Mutex<u64>>::default();
        watched.push(Watched {
            under_way: lane.under_way.clone(),
            rounds: rounds.clone(),
            quiet: 0,
            last: (0, 0),
        });
        let (totals, stop, repeat) = (totals.clone(), stop.clone(), options.repeat);
        let mut seeds = Rng::with_seed(seed.wrapping_add(number as u64));
        lanes.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let plan = Plan::new(repeat.unwrap_or_else(|| seeds.u64(..)));
                let outcome = lane.round(&plan);
                *lock(&rounds) += 1;
                let mut totals = lock(&totals);
                totals.add(&outcome);
                if !outcome.faults.is_empty() && totals.wrong_rounds <= 3 {
                    println!("\nWRONG: {:#?}\nin {plan:#?}", outcome.faults);
                    println!("again: --repeat {}\n", plan.seed);
                }
            }
        }));
    }

    let mut most_descriptors = 0;
    while begin.elapsed() < options.duration() {
        let left = options.duration().saturating_sub(begin.elapsed());
        thread::sleep(left.min(Duration::from_secs(1)));
        let usage = Usage::now()?;
        memory.samples.push(usage.memory);
        most_descriptors = most_descriptors.max(usage.descriptors);
        println!(
            "{:4.0} s  {}; {} of memory, {} descriptors",
            begin.elapsed().as_secs_f64(),
            lock(&totals).line(),
            ByteSize(usage.memory),
            usage.descriptors,
        );
        if report_hung(&mut watched, options.patience) {
            return Ok(ExitCode::FAILURE);
        }
    }
    stop.store(true, Ordering::Relaxed);
    // The rounds that are under way go to their ends.
    while !lanes.iter().all(thread::JoinHandle::is_finished) {
        const SHORT: Duration = Duration::from_millis(100);
        thread::sleep(SHORT);
        if report_hung(&mut watched, options.patience * 10) {
            return Ok(ExitCode::FAILURE);
        }
    }
    let crashed = lanes
        .into_iter()
        .filter_map(|lane| lane.join().err())
        .count();

    let totals = lock(&totals);
    let usage = Usage::now()?;
    let (first, second) = memory.peaks();
    println!("\n{}", totals.line());
    println!(
        "{} lost, {} doubled, 0 hung, {} rounds wrong, {crashed} lanes crashed",
        totals.lost, totals.doubled, totals.wrong_rounds
    );
    println!(
        "memory {}: at most {} in the first half, {} in the second; {} allocated before, {} after; descriptors: {descriptors_before} before, at most {most_descriptors}, {} after",
        if memory.is_flat() { "flat" } else { "GROWS" },
        ByteSize(first),
        ByteSize(second),
        ByteSize(memory.allocated_before as u64),
        ByteSize(HEAP.allocated() as u64),
        usage.descriptors
    );
    let is_good = totals.wrong_rounds == 0
        && totals.lost + totals.doubled == 0
        && crashed == 0
        && memory.is_flat()
        && usage.descriptors <= descriptors_before;
    println!("verdict: {}", if is_good { "passed" } else { "FAILED" });
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether a lane hangs, which is told with all there is to know.
fn report_hung(watched: &mut [Watched], patience: u32) -> bool {
    let mut is_hung = false;
    for (number, lane) in watched.iter_mut().enumerate() {
        if lane.hangs(patience) && lane.under_way.is_any() {
            println!("\nHUNG: lane {number}: {}", lane.under_way.describe());
            is_hung = true;
        }
    }
    if is_hung {
        println!("verdict: FAILED (1 or more hung)");
    }
    is_hung
}
