//! How far the two processors are from each other.
//!
//! A virtual machine's processors are moved among those of its host: onto two cores that share a cache, onto two that do not, or
//! onto the two halves of one core. A cache line then takes several times as long from one to the other, and every queue
//! is several times as slow. So that is measured right before and after each measurement, and only what was measured in the same
//! placement is compared.

use crate::race::pin;
use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

/// Round trips that are as many times as long are of different placements.
const APART: f64 = 1.5;
/// The least share of all measurements that makes a placement, and not a passing moment.
const LEAST_SHARE: f64 = 0.08;

/// How many nanoseconds a cache line takes from the first processor to the second one and back; `None` if there is no second one.
pub fn round_trip() -> Option<f64> {
    const TURNS: u64 = 1000;
    const TRIES: usize = 5;
    if core_affinity::get_core_ids()?.len() < 2 {
        return None;
    }
    let turn = AtomicU64::new(0);
    let wait_for = |number| {
        while turn.load(Ordering::Acquire) != number {
            spin_loop();
        }
    };
    let last = 2 * TURNS * TRIES as u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            for number in (1..last).step_by(2) {
                wait_for(number);
                turn.store(number + 1, Ordering::Release);
            }
        });
        let asking = scope.spawn(|| {
            pin(0);
            // The shortest try: whatever else runs makes others longer.
            let mut next = 0;
            (0..TRIES)
                .map(|_| {
                    let begin = Instant::now();
                    for _ in 0..TURNS {
                        turn.store(next + 1, Ordering::Release);
                        next += 2;
                        wait_for(next);
                    }
                    begin.elapsed().as_nanos() as f64 / TURNS as f64
                })
                .fold(f64::INFINITY, f64::min)
        });
        asking.join().ok()
    })
}

fn is_same(a: f64, b: f64) -> bool {
    a.max(b) < APART * a.min(b)
}

/// The round trip during something, of those before and after it; `None` if the processors were moved meanwhile.
pub fn between(before: f64, after: f64) -> Option<f64> {
    is_same(before, after).then_some((before * after).sqrt())
}

/// The placements that occur in some measurements.
pub struct Placements(Vec<Placement>);

/// From the shortest round trip to the longest one.
pub struct Placement {
    shortest: f64,
    longest: f64,
    pub median: f64,
}

impl Placement {
    pub fn contains(&self, round_trip: f64) -> bool {
        (self.shortest..=self.longest).contains(&round_trip)
    }
}

impl Placements {
    pub fn of(mut round_trips: Vec<f64>) -> Self {
        round_trips.sort_by(f64::total_cmp);
        let least = (round_trips.len() as f64 * LEAST_SHARE).ceil() as usize;
        Self(
            round_trips
                .chunk_by(|a, b| is_same(*a, *b))
                .filter(|group| group.len() >= least)
                .map(|group| Placement {
                    shortest: group[0],
                    longest: group[group.len() - 1],
                    median: group[group.len() / 2],
                })
                .collect(),
        )
    }

    pub fn iter(&self) -> impl Iterator<Item = &Placement> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_that_are_far_apart_are_of_different_placements_and_a_single_one_is_none() {
        let mut round_trips = vec![100.0, 110.0, 105.0, 420.0, 400.0, 390.0];
        round_trips.extend([100.0; 7]);
        round_trips.push(1000.0);
        let placements = Placements::of(round_trips);
        let medians: Vec<_> = placements.iter().map(|p| p.median).collect();
        assert_eq!(medians, [100.0, 400.0]);
        let of = |round_trip| placements.iter().position(|p| p.contains(round_trip));
        assert_eq!(of(101.0), Some(0));
        assert_eq!(of(395.0), Some(1));
        assert_eq!(of(1000.0), None);
    }

    #[test]
    fn without_measurements_there_are_no_placements() {
        assert_eq!(Placements::of(Vec::new()).iter().count(), 0);
    }

    #[test]
    fn a_round_trip_takes_some_time() {
        if let Some(round_trip) = round_trip() {
            assert!(round_trip > 1.0);
        }
    }
}
