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
    /// Has a barrier made, and times it now and then.
    pub(crate) fn of<R>(&mut self, barrier: impl FnOnce() -> R) -> R {
        // There is no time in a model, which is to show what follows.
        self.is_high |= MODEL;
        if !self.is_timed_next() {
            return barrier();
        }
        let begin = Instant::now();
        let made = barrier();
        self.has_taken(begin.elapsed());
        made
    }

    fn is_timed_next(&mut self) -> bool {
        let number = self.barriers;
        self.barriers = (number + 1) % OF;
        number < TIMED && !self.is_high
    }

    fn has_taken(&mut self, time: Duration) {
        self.spent += time;
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

    fn is_high_after(barriers: u32, time: Duration) -> bool {
        let mut cost = Cost::default();
        for _ in 0..barriers {
            if cost.is_timed_next() {
                cost.has_taken(time);
            }
        }
        cost.is_high()
    }

    #[test]
    fn a_few_dear_barriers_are_enough_to_know_and_cheap_ones_say_nothing() {
        assert!(!is_high_after(TIMED - 1, HIGH));
        assert!(is_high_after(TIMED, HIGH));
        assert!(!is_high_after(OF, HIGH / 2));
    }
}
