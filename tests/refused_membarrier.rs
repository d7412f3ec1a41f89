//! A sandbox that refuses `membarrier(2)`, from the start or from one moment on: fences take its place,
//! and no sleeper is left behind.
//!
//! The sandbox is real, a seccomp filter, and so each test has a process of its own.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    feature = "std"
))]

mod common;
#[path = "common/process.rs"]
mod process;
#[path = "common/sandbox.rs"]
mod sandbox;

use common::{eventually, while_progress, Progress};
use highwater::{
    barrier::{self, Mode},
    Builder, Consumer, Monitor, Producer,
};
use rustix::thread::{membarrier_query, MembarrierQuery};
use sandbox::refuse_membarrier;
use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
#[cfg(feature = "async")]
use {
    highwater::TryReadError,
    std::{
        future::Future,
        pin::Pin,
        sync::{
            atomic::{AtomicUsize, Ordering},
            Arc,
        },
        task::{Context, Wake, Waker},
    },
};

const PATIENCE: Duration = Duration::from_secs(10);
const ROUNDS: u64 = 2_000;

/// The two channels of a ping-pong, and how often its sides have slept.
struct RoundTrips {
    ask: Producer<u64>,
    answered: Consumer<u64>,
    other: thread::JoinHandle<()>,
    monitors: [Monitor; 2],
}

impl RoundTrips {
    fn new() -> Self {
        let ends = || Builder::new().high_water_mark(1).build::<u64>().unwrap();
        let ((ask, mut asked), (mut answer, answered)) = (ends(), ends());
        let monitors = [ask.monitor(), answer.monitor()];
        let other = thread::spawn(move || {
            while let Ok(question) = asked.read() {
                let begin = Instant::now();
                while question % 8 == 0 && begin.elapsed() < Duration::from_micros(100) {
                    std::hint::spin_loop(); // so that the asker sleeps
                }
                answer.write(question).unwrap();
            }
        });
        Self {
            ask,
            answered,
            other,
            monitors,
        }
    }

    fn sleeps(monitors: &[Monitor; 2]) -> usize {
        monitors.iter().map(|m| m.stats().consumer_parks).sum()
    }

    fn run(&mut self, rounds: u64, progress: &Progress) {
        for round in 0..rounds {
            self.ask.write(round).unwrap();
            assert_eq!(self.answered.read(), Ok(round));
            progress.made();
        }
    }

    /// Runs until somebody has slept at least so often.
    fn run_until_asleep(&mut self, times: usize, progress: &Progress) {
        let target = Self::sleeps(&self.monitors) + times;
        eventually("a side sleeps", || {
            self.run(8, progress);
            Self::sleeps(&self.monitors) >= target
        });
    }

    fn stop(self) {
        drop(self.ask);
        self.other.join().unwrap();
    }
}

#[test]
fn refused_from_the_start_fences_are_used_and_nobody_hangs() {
    process::alone(
        "refused_from_the_start_fences_are_used_and_nobody_hangs",
        || {
            refuse_membarrier();
            assert_ne!(barrier::mode(), Mode::Asymmetric);
            let mut first = RoundTrips::new();
            let monitors = first.monitors.clone();
            let describe = move || format!("{:#?}", monitors.each_ref().map(Monitor::stats));
            while_progress(PATIENCE, describe, move |progress| {
                first.run_until_asleep(1, &progress);
                assert_eq!(barrier::mode(), Mode::Fence);
                // The channel that was there before that was known, and a new one.
                for mut trips in [first, RoundTrips::new()] {
                    trips.run(ROUNDS, &progress);
                    trips.run_until_asleep(100, &progress);
                    trips.stop();
                }
            });
            assert_eq!(barrier::use_fences(), Ok(()));
        },
    );
}

#[test]
fn refused_from_some_moment_on_channels_at_work_go_on_with_fences() {
    process::alone(
        "refused_from_some_moment_on_channels_at_work_go_on_with_fences",
        || {
            if !membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
                || cfg!(not(feature = "membarrier"))
            {
                println!("skipped: membarrier(2) is not available in the first place");
                return;
            }
            let mut trips = RoundTrips::new();
            let monitors = trips.monitors.clone();
            let describe = move || format!("{:#?}", monitors.each_ref().map(Monitor::stats));
            // Two more sleepers, announced with the barrier that is refused when they are woken.
            let (mut sleeping_producer, mut its_consumer) = highwater::channel(1);
            let (mut its_producer, mut sleeping_consumer) = highwater::channel(1);
            let asleep = (sleeping_producer.monitor(), its_producer.monitor());
            while_progress(PATIENCE, describe, move |progress| {
                trips.run_until_asleep(100, &progress);
                assert_eq!(barrier::mode(), Mode::Asymmetric);

                let writer = thread::spawn(move || {
                    for i in 0..100 {
                        sleeping_producer.write(i).unwrap();
                    }
                    sleeping_producer.end();
                });
                let reader = thread::spawn(move || {
                    for i in 0..100 {
                        assert_eq!(sleeping_consumer.read(), Ok(i));
                    }
                });
                eventually("both sleep", || {
                    asleep.0.stats().producer_parks > 0 && asleep.1.stats().consumer_parks > 0
                });

                // While the round trips are under way in two other threads.
                let (going, is_going) = mpsc::channel();
                let progress_there = progress.clone();
                let ping_pong = thread::spawn(move || {
                    trips.run_until_asleep(10, &progress_there);
                    going.send(()).unwrap();
                    eventually("a side about to sleep is refused", || {
                        trips.run(8, &progress_there);
                        barrier::mode() != Mode::Asymmetric
                    });
                    trips.run(ROUNDS, &progress_there);
                    trips.run_until_asleep(100, &progress_there);
                    trips.stop();
                });
                is_going.recv().unwrap();
                refuse_membarrier();

                for i in 0..100 {
                    assert_eq!(its_consumer.read(), Ok(i));
                    its_producer.write(i).unwrap();
                }
                writer.join().unwrap();
                reader.join().unwrap();
                ping_pong.join().unwrap();
                assert_eq!(barrier::mode(), Mode::Fence);

                let mut new = RoundTrips::new();
                new.run(ROUNDS, &progress);
                new.stop();
            });
        },
    );
}

/// Counts its wake-ups.
#[cfg(feature = "async")]
#[derive(Default)]
struct Bell(AtomicUsize);

#[cfg(feature = "async")]
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(feature = "async")]
fn poll_in_vain(future: &mut (impl Future + Unpin), waker: &Waker) {
    let polled = Pin::new(future).poll(&mut Context::from_waker(waker));
    assert!(polled.is_pending());
}

#[cfg(feature = "async")]
#[test]
fn a_task_that_is_polled_often_is_not_kept_busy_by_the_refusal() {
    process::alone(
        "a_task_that_is_polled_often_is_not_kept_busy_by_the_refusal",
        || {
            refuse_membarrier();
            let (_producer, mut consumer) = highwater::channel::<u8>(1);
            let bell = Arc::new(Bell::default());
            let waker = Waker::from(bell.clone());
            let mut read = consumer.read_async();
            let begin = Instant::now();
            for _ in 0..100 {
                poll_in_vain(&mut read, &waker);
            }
            let wake_ups = bell.0.load(Ordering::SeqCst);
            // A second look now and then, and one more a millisecond: it looks again by itself.
            let most = 10 + begin.elapsed().as_millis();
            assert!(wake_ups as u128 <= most, "{wake_ups}, and not {most}");
            eventually("it is woken to look again", || {
                bell.0.load(Ordering::SeqCst) > wake_ups
            });
        },
    );
}

#[cfg(feature = "async")]
#[test]
fn a_callback_that_follows_a_task_looks_again_in_its_place() {
    process::alone(
        "a_callback_that_follows_a_task_looks_again_in_its_place",
        || {
            refuse_membarrier();
            let (_producer, mut consumer) = highwater::channel::<u8>(1);
            let waker = Waker::from(Arc::new(Bell::default()));
            // More than the task's own second looks.
            for _ in 0..20 {
                poll_in_vain(&mut consumer.read_async(), &waker);
            }
            let calls = Arc::new(Bell::default());
            let counted = calls.clone();
            consumer.on_ready(move || counted.wake_by_ref());
            let before = calls.0.load(Ordering::SeqCst);
            assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
            eventually("it is told to look again", || {
                calls.0.load(Ordering::SeqCst) > before
            });
        },
    );
}

#[cfg(feature = "async")]
#[test]
fn futures_that_are_dropped_and_made_again_start_one_thread_and_not_one_each() {
    process::alone(
        "futures_that_are_dropped_and_made_again_start_one_thread_and_not_one_each",
        || {
            refuse_membarrier();
            let (_producer, mut consumer) = highwater::channel::<u8>(1);
            let waker = Waker::from(Arc::new(Bell::default()));
            for _ in 0..1000 {
                poll_in_vain(&mut consumer.read_async(), &waker);
            }
            let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
            // The test's own, libtest's, the one that sleeps, and some that are about to go.
            assert!(threads <= 6, "{threads} threads");
        },
    );
}
