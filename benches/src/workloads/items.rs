//! `u64`, one at a time, from one pinned thread to another.

use super::{contestant, each};
use crate::{
    contestants::{blocking, limit, polling, Channel},
    harness::{child::DEADLINE, Better, Case, Contestant, Disturbance, Figure, Workload},
    race::race,
};

const CAPACITIES: [usize; 3] = [64, 1024, 65_536];

pub const RATE: &[Figure] = &[Figure {
    name: "million items/s",
    better: Better::More,
}];

fn racer<C: Channel>(capacity: usize) -> Contestant {
    contestant(C::NAME, move |effort| {
        race::<u64>(C::new(capacity), capacity, effort) / 1e6
    })
}

fn cases(contestants: fn(usize) -> Vec<Contestant>) -> Vec<Case> {
    CAPACITIES
        .iter()
        .map(|&capacity| Case {
            name: format!("capacity {capacity}"),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants: contestants(capacity),
        })
        .collect()
}

pub fn polling() -> Workload {
    Workload {
        name: "items/polling",
        about:
            "u64, one at a time, between two pinned threads; who has to wait asks again and again.",
        figures: RATE,
        cases: cases(|capacity| {
            use polling::*;
            each!(racer(capacity):
                Highwater, Rtrb, Ringbuf, Nexus, Heapless, ArrayQueue, Gil, Fq, Omango, limit::Blocks)
        }),
        deadline: DEADLINE,
    }
}

pub fn blocking() -> Workload {
    Workload {
        name: "items/blocking",
        about: "u64, one at a time, between two pinned threads; who has to wait sleeps. The limit does not.",
        figures: RATE,
        cases: cases(|capacity| {
            use blocking::*;
            each!(racer(capacity):
                Highwater, HighwaterFullFences, Std, Crossbeam, Flume, Kanal, Thingbuf, AsyncChannel,
                Tokio, Omango, Gil, Nexus, Crossfire, limit::Blocks)
        }),
        deadline: DEADLINE,
    }
}
