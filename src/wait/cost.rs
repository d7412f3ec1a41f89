//! What the heavy barrier costs an end, in time. The other processor makes the price: some 0.1 microseconds while that is
//! idle, and 1 to 2 while it runs a thread of the process.
#![forbid(unsafe_code)]

use crate::sync::MODEL;
use std::time::{Duration, Instant};

/// About as much as fences cost the other end between two waits, if it moves some dozens of pieces meanwhile.
const HIGH: Duration = Duration::from_nanos(500);
/// So many are timed, one after the other, of so many.
const TIMED: u32 = 16;
const OF: u32 = 256;

/// The price of an end's heavy barriers.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    barriers: u32,
    spent: Duration,
    is_high: bool,
}

impl Cost {
    /// Before a barrier: when it began, if it is one that is timed.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        // There is no time in a model, which is to show what follows.
        self.is_high |= MODEL;
        self.is_timed_next().then(Instant::now)
    }

    /// After it.
    pub(crate) fn end(&mut self, begun: Option<Instant>) {
        if let Some(begun) = begun {
            self.has_taken(begun.elapsed());
        }
    }

    fn is_timed_next(&mut self) -> bool {
        let number = self.barriers;
        self.barriers = (number + 1) % OF;
        number < TIMED && !self.is_high
    }

    fn has_taken(&mut self, time: Duration) {
        // One that was interrupted, and the first of a process, which has to register, take any time: half of
        // them have to be dear.
        self.spent += time.min(2 * HIGH);
        if self.barriers == TIMED {
            self.is_high = self.spent >= HIGH * TIMED;
            self.spent = Duration::ZERO;
        }
    }

    /// Whether fences come cheaper to an end that moves many items at a time.
    pub(crate) fn is_high(&self) -> bool {
        self.is_high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_high_after(times: impl IntoIterator<Item = Duration>) -> bool {
        let mut cost = Cost::default();
        for time in times {
            if cost.is_timed_next() {
                cost.has_taken(time);
            }
        }
        cost.is_high()
    }

    #[test]
    fn a_few_dear_barriers_are_enough_to_know_and_cheap_ones_say_nothing() {
        assert!(!is_high_after([HIGH; TIMED as usize - 1]));
        assert!(is_high_after([HIGH; TIMED as usize]));
        assert!(!is_high_after([HIGH / 2; OF as usize]));
    }

    #[test]
    fn a_barrier_that_was_interrupted_now_and_then_does_not_count_for_more_than_a_dear_one() {
        let rounds = (0..10 * OF).map(|number| match number % 8 {
            0 => Duration::from_millis(10),
            _ => HIGH / 5,
        });
        assert!(!is_high_after(rounds));
    }
}
