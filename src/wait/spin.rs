//! How long to look again before sleeping: a short, bounded time that adapts.
//!
//! A sleep and a wake-up cost two system calls and some 10 to 50 microseconds until the thread runs
//! again. An end whose last wait was shorter than that spins for about as long, which is never
//! worse than twice the best choice; one whose last wait was long sleeps almost at once.
#![forbid(unsafe_code)]

use super::processors;
use crate::sync::{spin_loop, Deadline, MODEL};
use std::time::{Duration, Instant};

/// In spin-loop hints, of some 10 ns (AMD) to 40 ns (Intel) each: about 20 to 80 microseconds.
const MOST: u32 = 2048;
/// About 3 to 10 microseconds: two running sides hardly ever wait longer for each other.
const LEAST: u32 = 256;
/// The longest pause between two looks, in hints.
const LONGEST_PAUSE: u32 = 16;
/// A wait, with the sleep in it, that spinning had better replaced.
const SHORT: Duration = Duration::from_micros(50);

/// The spinning of one end: how its last wait went.
#[derive(Debug)]
pub(crate) struct Spin {
    last_was_short: bool,
}

impl Spin {
    pub(crate) fn new() -> Self {
        Self {
            last_was_short: true,
        }
    }

    /// Asks `ready` again and again for as long as is worth it, but not past the deadline; returns the
    /// last answer.
    pub(crate) fn until(&mut self, deadline: &Deadline, ready: &mut impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        // In a model every look is a branch and spinning shows nothing that sleeping does not; on
        // one processor the other side cannot move while we spin.
        if MODEL || processors::is_single() {
            return false;
        }
        let budget = if self.last_was_short { MOST } else { LEAST };
        let mut spent = 0;
        let mut pause = 1;
        while spent < budget && !deadline.has_passed() {
            for _ in 0..pause {
                spin_loop();
            }
            spent += pause;
            if ready() {
                self.last_was_short = true;
                return true;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        false
    }

    /// Notes how a wait ended that had to sleep: call it before the first sleep, and what it returns
    /// after the last, with whether it was ready in time.
    pub(crate) fn sleep(&mut self) -> impl FnOnce(bool) + '_ {
        // There is no time in a model.
        let asleep_since = (!MODEL).then(Instant::now);
        move |in_time| {
            let was_short = asleep_since.map_or(false, |since| since.elapsed() < SHORT);
            // To give up early says nothing of how long the other side would have taken.
            self.last_was_short = was_short && (in_time || self.last_was_short);
        }
    }
}
