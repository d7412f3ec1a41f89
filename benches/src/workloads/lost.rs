//! Wake-ups that get lost: round trips with pauses of random length, so that the two sides meet at every point of
//! falling asleep.

use super::{
    contestant, each,
    latency::{round_trips, round_trips_with_task},
};
use crate::{
    contestants::{
        blocking, raw,
        tasks::{self, MixedChannel as _},
        Channel,
    },
    harness::{Better, Case, Contestant, Disturbance, Effort, Figure, Workload},
};
use std::{
    hint::spin_loop,
    time::{Duration, Instant},
};

/// One number is under way at most.
const CAPACITY: usize = 64;

pub fn lost() -> Workload {
    let mut contestants = {
        use blocking::*;
        each!(racer(()): Highwater, HighwaterFullFences)
    };
    contestants.extend([
        contestant(raw::HighwaterInEpoll::NAME, |effort| {
            let (ask, answer) = (
                raw::HighwaterInEpoll::new(CAPACITY),
                blocking::Highwater::new(CAPACITY),
            );
            round_trips(ask, answer, is_enough(effort), pause) * 1e6
        }),
        contestant("highwater (task)", |effort| {
            let (ask, answer) = (
                tasks::Highwater::to_task(CAPACITY),
                tasks::Highwater::to_thread(CAPACITY),
            );
            round_trips_with_task(ask, answer, is_enough(effort), pause) * 1e6
        }),
    ]);
    {
        use blocking::*;
        contestants.extend(each!(racer(()): Std, Crossbeam, Kanal, Omango, Gil, Nexus));
    }
    Workload {
        name: "lost",
        about: "50,000 blocking round trips between two pinned threads, with a random pause of up to 8 µs before \
                each number: does a wake-up get lost? That is a contestant that hangs; the figure is of those \
                that do not.",
        figures: &[Figure {
            name: "µs for a round trip",
            better: Better::Less,
        }],
        cases: vec![Case {
            name: "pauses of 0 to 8 µs".to_owned(),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants,
        }],
        deadline: Duration::from_secs(60),
    }
}

fn racer<C: Channel>((): ()) -> Contestant {
    contestant(C::NAME, |effort| {
        let (ask, answer) = (C::new(CAPACITY), C::new(CAPACITY));
        round_trips(ask, answer, is_enough(effort), pause) * 1e6
    })
}

fn is_enough(effort: Effort) -> impl Fn(u64, Duration) -> bool {
    let trips = effort.share(50_000);
    move |done, _| done >= trips
}

fn pause() -> impl FnMut() + Send {
    let mut random = fastrand::Rng::new();
    move || {
        let pause = Duration::from_nanos(random.u64(0..8000));
        let begin = Instant::now();
        while begin.elapsed() < pause {
            spin_loop();
        }
    }
}
