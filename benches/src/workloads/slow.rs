//! A consumer that works two microseconds on each item, and a producer that is always ahead.

use super::{contestant_of, each};
use crate::{
    contestants::{blocking, limit, Channel, Receive1 as _, Send1 as _},
    harness::{child::DEADLINE, Better, Case, Contestant, Disturbance, Effort, Figure, Workload},
    race::race_ends,
};
use nix::sys::resource::{getrusage, UsageWho};
use rustix::time::{clock_gettime, ClockId};
use std::{
    hint::black_box,
    sync::mpsc,
    time::{Duration, Instant},
};

const CAPACITY: usize = 1024;
const WORK: Duration = Duration::from_micros(2);

pub fn slow() -> Workload {
    use blocking::*;
    Workload {
        name: "slow",
        about: "A consumer that works 2 µs on each u64, 1024 slots, and a producer that sleeps when they are \
                full. The ideal is the consumer's rate without a channel; context switches are those of both \
                threads.",
        figures: &[
            Figure {
                name: "% of the ideal rate",
                better: Better::More,
            },
            Figure {
                name: "% of a processor, by the producer",
                better: Better::Less,
            },
            Figure {
                name: "context switches for 1000 items",
                better: Better::Less,
            },
        ],
        cases: vec![Case {
            name: "2 µs, capacity 1024".to_owned(),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants: each!(racer(()):
                Highwater, HighwaterFullFences, Std, Crossbeam, Flume, Kanal, Thingbuf, AsyncChannel,
                Tokio, Omango, Gil, Nexus, Crossfire, limit::HalfEmpty),
        }],
        deadline: DEADLINE,
    }
}

fn racer<C: Channel>((): ()) -> Contestant {
    contestant_of(C::NAME, slow_consumer::<C>)
}

fn slow_consumer<C: Channel>(effort: Effort) -> Vec<f64> {
    let (mut sender, mut receiver) = C::new::<u64>(CAPACITY);
    // Twice around.
    let warm_up = 2 * CAPACITY as u64;
    let items = effort.share(100_000);
    let (report, reported) = mpsc::channel();
    let (share, of_consumer) = race_ends(
        move || {
            (0..warm_up).for_each(|number| sender.send(number));
            let before = Usage::of_this_thread();
            (0..items).for_each(|number| sender.send(number));
            let usage = Usage::of_this_thread() - before;
            report.send(usage).expect("somebody wants to know");
            sender
        },
        move || {
            let turns = turns_for(WORK);
            let ideal = {
                let begin = Instant::now();
                (0..items / 10).for_each(|_| work(turns));
                begin.elapsed().as_secs_f64() * 10.0
            };
            for number in 0..warm_up {
                assert_eq!(receiver.receive(), number);
                work(turns);
            }
            let before = Usage::of_this_thread();
            for number in 0..items {
                assert_eq!(receiver.receive(), number, "an item was lost or changed");
                work(turns);
            }
            let usage = Usage::of_this_thread() - before;
            ((ideal / usage.elapsed, usage), receiver)
        },
    );
    let of_producer = reported.recv().expect("the producer has reported");
    vec![
        share * 100.0,
        of_producer.processor / of_producer.elapsed * 100.0,
        (of_producer.switches + of_consumer.switches) * 1000.0 / items as f64,
    ]
}

/// What a thread has used, up to now or between two points of time.
struct Usage {
    elapsed: f64,
    processor: f64,
    switches: f64,
}

impl Usage {
    fn of_this_thread() -> Self {
        let seconds = |clock| {
            let time = clock_gettime(clock);
            time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
        };
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("Linux knows it");
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Self {
            elapsed: seconds(ClockId::Monotonic),
            processor: seconds(ClockId::ThreadCPUTime),
            switches: switches as f64,
        }
    }
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            elapsed: self.elapsed - before.elapsed,
            processor: self.processor - before.processor,
            switches: self.switches - before.switches,
        }
    }
}

/// Keeps the processor busy, and nothing else.
#[inline(never)]
fn work(turns: u64) {
    for turn in 0..turns {
        black_box(turn);
    }
}

fn turns_for(duration: Duration) -> u64 {
    const MANY: u64 = 1_000_000;
    work(MANY);
    let begin = Instant::now();
    work(MANY);
    let per_turn = begin.elapsed().as_secs_f64() / MANY as f64;
    (duration.as_secs_f64() / per_turn) as u64
}
