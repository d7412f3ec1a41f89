//! The pair of barriers on the real processor: no model knows `membarrier(2)`, so this is its test.
//!
//! A wake-up is lost, if at all, when one side publishes within some nanoseconds of the moment at which
//! the other goes to sleep. How long a side looks before it sleeps adapts itself, so no fixed delay
//! meets that moment: each side here learns from the channel's own counters whether the other was
//! asleep already, is a little quicker next time if so, a little slower if not, and jitters around
//! what it found. Half of the rounds then end in a sleep and half just before, which is asserted: a
//! stress test that never meets a sleeper passes always.
//!
//! It takes a release build: with the barrier taken out each test fails within some thousand rounds, but
//! not in a debug build, whose slower code never gets the two that close together. `HIGHWATER_ROUNDS`
//! sets the number of rounds.
#![cfg(feature = "std")]

mod common;

use common::{while_progress, Progress, Random};
use highwater::{
    barrier::{self, Mode},
    Builder, Consumer, Monitor, Producer, TryReadError,
};
use std::{
    hint,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// A correct round takes about 50 microseconds, some milliseconds if others use the processor.
const PATIENCE: Duration = Duration::from_secs(5);

fn rounds() -> u64 {
    match std::env::var("HIGHWATER_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("HIGHWATER_ROUNDS is a number"),
        Err(_) if cfg!(debug_assertions) => 5_000,
        Err(_) => 50_000,
    }
}

fn ends(full_fences: bool) -> (Producer<u64>, Consumer<u64>) {
    Builder::new()
        .high_water_mark(1)
        .full_fences(full_fences)
        .build()
        .expect("legal marks")
}

/// Which end of a channel sleeps in a test.
#[derive(Clone, Copy)]
enum Sleeper {
    Producer,
    Consumer,
}

/// Delays what wakes the other side until about the moment at which it goes to sleep.
struct Aim {
    random: Random,
    monitor: Monitor,
    sleeper: Sleeper,
    parks: usize,
    delay: u64,
}

impl Aim {
    const STEP: u64 = 400;
    const JITTER: u64 = 1_500;
    const MOST: u64 = 200_000;

    fn new(seed: u64, monitor: Monitor, sleeper: Sleeper) -> Self {
        Self {
            random: Random::new(seed),
            monitor,
            sleeper,
            parks: 0,
            delay: 5_000,
        }
    }

    /// Call it after the other side has answered the last round, and before waking it again.
    fn wait(&mut self) {
        let begin = Instant::now();
        let stats = self.monitor.stats();
        let parks = match self.sleeper {
            Sleeper::Producer => stats.producer_parks,
            Sleeper::Consumer => stats.consumer_parks,
        };
        self.delay = if parks == self.parks {
            (self.delay + Self::STEP).min(Self::MOST)
        } else {
            self.delay.saturating_sub(Self::STEP)
        };
        self.parks = parks;
        let delay = Duration::from_nanos(self.delay + self.random.below(Self::JITTER));
        while begin.elapsed() < delay {
            hint::spin_loop();
        }
    }
}

/// One test at a time, or the four threads of two would keep each other off the processors.
fn under_watch(monitors: Vec<Monitor>, body: impl FnOnce(Progress) + Send + 'static) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let describe = move || {
        let stats: Vec<_> = monitors.iter().map(Monitor::stats).collect();
        format!("{stats:#?}")
    };
    while_progress(PATIENCE, describe, body);
}

/// That the test is not blind, and that it tested what it says.
fn assert_met_sleepers(parks: usize, rounds: u64, full_fences: bool) {
    println!(
        "full fences: {full_fences}, {rounds} rounds, {parks} sleeps, {:?}",
        barrier::mode()
    );
    assert!(
        parks as u64 >= rounds / 50,
        "{parks} sleeps in {rounds} rounds prove nothing: does a side look for longer before it \
         sleeps (src/wait/spin.rs) than Aim::MOST?"
    );
    if full_fences {
        return;
    }
    if has_membarrier() {
        assert_eq!(barrier::mode(), Mode::Asymmetric);
    } else {
        println!("membarrier(2) is not available: only the fences were tested");
        assert_eq!(barrier::mode(), Mode::Fence);
    }
}

#[cfg(all(target_os = "linux", feature = "membarrier"))]
fn has_membarrier() -> bool {
    use rustix::thread::{membarrier_query, MembarrierQuery};
    membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
}

#[cfg(not(all(target_os = "linux", feature = "membarrier")))]
fn has_membarrier() -> bool {
    false
}

/// Both sides sleep for the other in turn.
fn round_trips(full_fences: bool) {
    let rounds = rounds();
    let (mut ask, mut asked) = ends(full_fences);
    let (mut answer, mut answered) = ends(full_fences);
    let (questions, answers) = (ask.monitor(), answer.monitor());
    let monitors = vec![questions.clone(), answers.clone()];
    let (mut aim, mut other_aim) = (
        Aim::new(1, questions.clone(), Sleeper::Consumer),
        Aim::new(2, answers.clone(), Sleeper::Consumer),
    );
    under_watch(monitors, move |progress| {
        let other = thread::spawn(move || {
            for question in asked.iter() {
                other_aim.wait();
                let question = question.expect("the asker ends cleanly");
                answer.write(question).expect("the asker is there");
            }
        });
        for round in 0..rounds {
            aim.wait();
            ask.write(round).expect("the other is there");
            assert_eq!(answered.read(), Ok(round));
            progress.made();
        }
        ask.end();
        other.join().expect("the other does not panic");
    });
    let parks = questions.stats().consumer_parks + answers.stats().consumer_parks;
    assert_met_sleepers(parks, 2 * rounds, full_fences);
}

/// The consumer sleeps for each item.
fn stream_to_a_waiting_consumer(full_fences: bool) {
    let rounds = rounds();
    let (mut producer, mut consumer) = ends(full_fences);
    let monitor = producer.monitor();
    let mut aim = Aim::new(3, monitor.clone(), Sleeper::Consumer);
    under_watch(vec![monitor.clone()], move |progress| {
        let reader = thread::spawn(move || {
            for expected in 0..rounds {
                assert_eq!(consumer.read(), Ok(expected));
                progress.made();
            }
        });
        for item in 0..rounds {
            aim.wait();
            producer.write(item).expect("the reader is there");
        }
        producer.end();
        reader.join().expect("the reader does not panic");
    });
    assert_met_sleepers(monitor.stats().consumer_parks, rounds, full_fences);
}

/// The producer sleeps for each drain.
fn stream_from_a_waiting_producer(full_fences: bool) {
    let rounds = rounds();
    let (mut producer, mut consumer) = ends(full_fences);
    let monitor = producer.monitor();
    let mut aim = Aim::new(4, monitor.clone(), Sleeper::Producer);
    under_watch(vec![monitor.clone()], move |progress| {
        let writer = thread::spawn(move || {
            for item in 0..rounds {
                producer.write(item).expect("the reader is there");
                progress.made();
            }
            producer.end();
        });
        for expected in 0..rounds {
            aim.wait();
            // Polls, so that it is the producer alone that sleeps.
            let mut polls = 0;
            let item = loop {
                match consumer.try_read() {
                    Err(TryReadError::Empty) => hint::spin_loop(),
                    other => break other,
                }
                polls += 1;
                if polls % 10_000 == 0 {
                    thread::yield_now(); // on one processor the producer could not run otherwise
                }
            };
            assert_eq!(item, Ok(expected));
        }
        writer.join().expect("the writer does not panic");
    });
    assert_met_sleepers(monitor.stats().producer_parks, rounds, full_fences);
}

/// Whoever happens to be quicker sleeps: bursts on either side, with random pauses between them.
fn bursts(full_fences: bool) {
    fn pause(random: &mut Random) {
        // Often too short for a sleep, often long enough for one.
        let pause = match random.below(3) {
            0 => 0,
            1 => random.below(30_000),
            _ => random.below(200_000),
        };
        let (begin, pause) = (Instant::now(), Duration::from_nanos(pause));
        while begin.elapsed() < pause {
            hint::spin_loop();
        }
    }

    let bursts = rounds() / 5;
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(5)
        .low_water_mark(2)
        .capacity(6)
        .full_fences(full_fences)
        .build::<u64>()
        .expect("legal marks");
    let monitor = producer.monitor();
    under_watch(vec![monitor.clone()], move |progress| {
        let reader = thread::spawn(move || {
            let mut random = Random::new(5);
            let mut next = 0;
            while let Ok(item) = consumer.read() {
                assert_eq!(item, next, "out of order, lost or doubled");
                next += 1;
                if random.below(8) == 0 {
                    pause(&mut random);
                }
                progress.made();
            }
            next
        });
        let mut random = Random::new(6);
        let mut item = 0;
        for _ in 0..bursts {
            for _ in 0..random.below(16) {
                producer.write(item).expect("the reader is there");
                item += 1;
            }
            pause(&mut random);
        }
        producer.end();
        assert_eq!(reader.join().expect("the reader does not panic"), item);
    });
    let stats = monitor.stats();
    assert_met_sleepers(
        stats.consumer_parks + stats.producer_parks,
        bursts,
        full_fences,
    );
}

#[test]
fn round_trips_around_the_moment_of_sleep_lose_no_wake_up() {
    round_trips(false);
}

#[test]
fn round_trips_with_full_fences_lose_no_wake_up() {
    round_trips(true);
}

#[test]
fn a_consumer_about_to_sleep_sees_the_item_or_is_woken() {
    stream_to_a_waiting_consumer(false);
}

#[test]
fn a_consumer_about_to_sleep_sees_the_item_or_is_woken_with_full_fences() {
    stream_to_a_waiting_consumer(true);
}

#[test]
fn a_producer_about_to_sleep_sees_the_drain_or_is_woken() {
    stream_from_a_waiting_producer(false);
}

#[test]
fn a_producer_about_to_sleep_sees_the_drain_or_is_woken_with_full_fences() {
    stream_from_a_waiting_producer(true);
}

#[test]
fn bursts_and_pauses_lose_no_wake_up() {
    bursts(false);
}

#[test]
fn bursts_and_pauses_with_full_fences_lose_no_wake_up() {
    bursts(true);
}
