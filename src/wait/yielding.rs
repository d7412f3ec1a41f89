//! To let other threads run in the place of this one, where that helps.
//!
//! It helps where the others are ends of channels too, which yield in their turn. If a thread gets its turn that
//! computes and never waits, the one that has yielded comes after a whole time slice of it, some milliseconds, whereas
//! one that sleeps is preferred when it is woken. So a yield that turns out to be dear is left out, for longer and
//! longer.
#![forbid(unsafe_code)]

use crossbeam_utils::CachePadded;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The longest turn, on average, of those that a yield lets run: far longer than ends take that wait for each other, and
/// far shorter than a time slice.
const TURN: Duration = Duration::from_micros(100);
/// For how many waits a yield is left out that was dear once; four times as many the next time.
const RARE: u32 = 4;
/// The most waits for which it is left out.
const RAREST: u32 = 4096;

/// How often the ends of this process have yielded.
static YIELDS: CachePadded<AtomicU32> = CachePadded::new(AtomicU32::new(0));

/// The yields of one end: how the last ones went.
#[derive(Debug)]
pub(super) struct Yielding {
    /// For how many waits it was left out the last time.
    left_out_for: u32,
    waits_without: u32,
}

impl Yielding {
    pub(super) fn new() -> Self {
        Self {
            left_out_for: 0,
            waits_without: 0,
        }
    }

    /// Lets others run, unless that is dear; returns whether it has.
    pub(super) fn yield_unless_dear(&mut self) -> bool {
        if self.waits_without > 0 {
            self.waits_without -= 1;
            return false;
        }
        let since = Instant::now();
        // Relaxed, both: a count, on which no order hangs.
        let before = YIELDS.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
        let turns = YIELDS.load(Ordering::Relaxed).wrapping_sub(before);
        self.judge(since.elapsed(), turns);
        true
    }

    /// Of a yield that took so long, during which ends took so many turns, this one's among them.
    fn judge(&mut self, took: Duration, turns: u32) {
        self.left_out_for = if took <= TURN.saturating_mul(turns) {
            0
        } else {
            self.left_out_for.saturating_mul(4).clamp(RARE, RAREST)
        };
        self.waits_without = self.left_out_for;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_SLICE: Duration = Duration::from_millis(3);

    fn waits_until_the_next_yield(yielding: &mut Yielding) -> u32 {
        let mut waits = 0;
        while yielding.waits_without > 0 {
            assert!(!yielding.yield_unless_dear());
            waits += 1;
        }
        waits
    }

    #[test]
    fn a_dear_yield_is_left_out_for_longer_and_longer_but_not_for_ever() {
        let mut yielding = Yielding::new();
        let left_out: Vec<u32> = (0..8)
            .map(|_| {
                yielding.judge(TIME_SLICE, 1);
                waits_until_the_next_yield(&mut yielding)
            })
            .collect();
        assert_eq!(left_out, [4, 16, 64, 256, 1024, 4096, 4096, 4096]);
    }

    #[test]
    fn a_yield_during_which_many_ends_had_their_turn_is_not_dear() {
        let mut yielding = Yielding::new();
        yielding.judge(TIME_SLICE, 30);
        assert_eq!(waits_until_the_next_yield(&mut yielding), 0);
        yielding.judge(TIME_SLICE, 29);
        assert_eq!(waits_until_the_next_yield(&mut yielding), 4);
    }

    #[test]
    fn a_cheap_yield_makes_up_for_the_dear_ones_before() {
        let mut yielding = Yielding::new();
        for _ in 0..3 {
            yielding.judge(TIME_SLICE, 1);
        }
        yielding.judge(TURN, 1);
        assert_eq!(waits_until_the_next_yield(&mut yielding), 0);
        yielding.judge(TIME_SLICE, 1);
        assert_eq!(waits_until_the_next_yield(&mut yielding), 4);
    }

    #[test]
    fn an_end_that_may_yield_does() {
        assert!(Yielding::new().yield_unless_dear());
    }
}
