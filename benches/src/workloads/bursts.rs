//! Much at once, and then nothing for a while.

use super::{contestant_of, each};
use crate::{
    contestants::{blocking, Channel, Receive1 as _, Send1 as _},
    harness::{child::DEADLINE, Better, Case, Contestant, Disturbance, Effort, Figure, Workload},
    race::race_ends,
};
use nix::sys::{
    resource::{getrusage, UsageWho},
    time::TimeValLike as _,
};
use std::{
    thread,
    time::{Duration, Instant},
};

const BURST: u64 = 1000;
const PERIOD: Duration = Duration::from_millis(1);
const CAPACITY: usize = 1024;

pub fn bursts() -> Workload {
    use blocking::*;
    Workload {
        name: "bursts",
        about: "1000 u64 each millisecond between two pinned threads, 1024 slots; both sleep in between.",
        figures: &[
            Figure {
                name: "µs until the first item is there, median",
                better: Better::Less,
            },
            Figure {
                name: "% of a processor, by both",
                better: Better::Less,
            },
        ],
        cases: vec![Case {
            name: "1000 items/ms".to_owned(),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants: each!(racer(()):
                Highwater, HighwaterFullFences, Std, Crossbeam, Flume, Kanal, Thingbuf, Tokio, Omango, Gil,
                Nexus, Crossfire),
        }],
        deadline: DEADLINE,
    }
}

fn racer<C: Channel>((): ()) -> Contestant {
    contestant_of(C::NAME, in_bursts::<C>)
}

fn in_bursts<C: Channel>(effort: Effort) -> Vec<f64> {
    const WARM_UP: usize = 10;
    let bursts = WARM_UP + effort.share(300) as usize;
    let (mut sender, mut receiver) = C::new::<u64>(CAPACITY);
    let begin = Instant::now();
    // Never 0, which stands for all items but the first.
    let now = move || begin.elapsed().as_nanos() as u64 + 1;
    let mut first_items = race_ends(
        move || {
            let mut next = Instant::now();
            for _ in 0..bursts {
                next += PERIOD;
                thread::sleep(next.saturating_duration_since(Instant::now()));
                sender.send(now());
                (1..BURST).for_each(|_| sender.send(0));
            }
            sender
        },
        move || {
            let mut first_items = Vec::new();
            for _ in 0..bursts {
                let sent = receiver.receive();
                first_items.push(now() - sent);
                for _ in 1..BURST {
                    assert_eq!(receiver.receive(), 0, "an item was lost or changed");
                }
            }
            (first_items, receiver)
        },
    );
    let used = getrusage(UsageWho::RUSAGE_SELF).expect("Linux knows it");
    let used = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    let elapsed = begin.elapsed().as_micros() as f64;
    first_items.drain(..WARM_UP);
    first_items.sort();
    vec![
        first_items[first_items.len() / 2] as f64 / 1e3,
        used as f64 / elapsed * 100.0,
    ]
}
