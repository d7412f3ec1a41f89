//! Not to run right behind the other side: a short pause that adapts, before an end looks for more.
//!
//! A consumer that takes each item as soon as it is there makes both sides pay for it: with every item the
//! cache lines of the index and of the slot go back and forth. One that lets a few hundred gather gets
//! them all for about the price of one. Whether items come fast enough for that, only a pause can tell:
//! one is tried now and then, grows as long as it pays, and is given up at once when it does not. No
//! clock is needed: what is asked for is that items come about as fast as the processor's spin-loop hints pass.
//!
//! Sources: the "temporal slipping" of FastForward (Giacomoni et al., 2008); MCRingBuffer (Lee et al., 2010), which
//! publishes in batches for the same reason.

#![forbid(unsafe_code)]

use crate::sync::{spin_loop, MODEL};

/// The first pause that is tried, in spin-loop hints (of some 11 ns on AMD's Zen, 40 ns on Intel's Skylake).
const SHORTEST: u32 = 32;
/// The longest, and so what a call that does not wait may take longer.
const LONGEST: u32 = 128;
/// A pause pays if at least one item came in so many hints.
const FAST: usize = 4;
/// After so many looks in vain the next item was a slow one. Each is a call of the user's at least.
const MANY_LOOKS: u32 = 32;
/// The most turns between two tries of a pause that did not pay.
const RAREST: u32 = 1024;
/// Too few slots to pause at all.
const SMALL: usize = 512;
/// How many bytes it pays to wait for: so many cache lines that the price of the look vanishes.
const GATHER: usize = 16_384;
/// An item so large, in bytes, is worth a look of its own.
const LARGE: usize = 4096;

/// When and how long the consumer pauses.
#[derive(Debug)]
pub(crate) struct Pace {
    /// How many items are enough to take them without a pause.
    enough: usize,
    /// In hints; 0 while it does not pay.
    pause: u32,
    /// Looks that found nothing, since the last item.
    in_vain: u32,
    turns_to_try: u32,
    turns_between: u32,
}

impl Pace {
    /// For a channel of so many slots of that size.
    pub(crate) fn new(capacity: usize, item_size: usize) -> Self {
        let gather = GATHER / item_size.max(1);
        Self {
            // No more than a quarter of what there can be, or the producer would have to wait; and a small
            // channel is full before the shortest pause is over.
            enough: if MODEL || capacity < SMALL || item_size >= LARGE {
                0
            } else {
                gather.min(capacity / 4)
            },
            pause: 0,
            in_vain: 0,
            turns_to_try: 1,
            turns_between: 1,
        }
    }

    /// Never pauses, as of a channel that is too small.
    pub(crate) fn off() -> Self {
        Self::new(0, 1)
    }

    /// Whether it pauses before its next look.
    #[inline]
    pub(crate) fn is_pausing(&self) -> bool {
        self.pause > 0
    }

    /// Before a look at the other side.
    #[inline]
    pub(crate) fn pause(&self) {
        for _ in 0..self.pause {
            spin_loop();
        }
    }

    /// After a look that has found so many new items.
    #[inline]
    pub(crate) fn found(&mut self, items: usize) {
        if items == 0 && self.pause == 0 {
            self.in_vain = self.in_vain.saturating_add(1);
        } else if items >= self.enough && self.pause == 0 {
            self.in_vain = 0;
        } else {
            self.adapt(items);
        }
    }

    /// The next item is a slow one: this end sleeps for it, or nearly so.
    #[cfg(feature = "std")]
    pub(crate) fn was_slow(&mut self) {
        self.pause = 0;
        self.in_vain = MANY_LOOKS + 1;
    }

    #[inline(never)]
    fn adapt(&mut self, items: usize) {
        if items == 0 {
            self.in_vain = self.in_vain.saturating_add(1);
            self.give_up();
            return;
        }
        let is_slow = core::mem::take(&mut self.in_vain) > MANY_LOOKS;
        if is_slow {
            self.pause = 0;
        } else if self.pause == 0 {
            self.turns_to_try -= 1;
            if self.turns_to_try == 0 {
                self.turns_to_try = self.turns_between;
                self.pause = SHORTEST;
            }
        } else if items < self.pause as usize / FAST {
            // So few would have come one by one, without a hurry.
            self.give_up();
        } else {
            self.turns_between = 1;
            self.turns_to_try = 1;
            if items < self.enough {
                self.pause = (self.pause * 2).min(LONGEST);
            } else if items >= 2 * self.enough {
                // They would have gathered by themselves.
                self.pause /= 2;
            }
        }
    }

    fn give_up(&mut self) {
        self.pause = 0;
        self.turns_between = (self.turns_between * 2).min(RAREST);
        self.turns_to_try = self.turns_between;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(1024, 8)
    }

    /// Items that come one by one, but without a gap, until it pauses.
    fn chased() -> Pace {
        let mut pace = pace();
        pace.found(1);
        assert_eq!(pace.pause, SHORTEST);
        pace
    }

    #[test]
    fn a_consumer_that_runs_right_behind_begins_to_pause_and_the_pause_grows_while_it_pays() {
        let mut pace = chased();
        pace.found(100);
        assert_eq!(pace.pause, 2 * SHORTEST);
        pace.found(100);
        assert_eq!(pace.pause, LONGEST);
        for _ in 0..10 {
            pace.found(200);
        }
        assert_eq!(pace.pause, LONGEST);
    }

    #[test]
    fn a_pause_that_brings_nothing_or_too_little_is_given_up_at_once_and_tried_ever_more_rarely() {
        for brings in [0, 1, 7] {
            let mut pace = chased();
            pace.found(brings);
            assert_eq!(pace.pause, 0);

            let mut tries = 0;
            for _ in 0..100_000 {
                tries += u32::from(pace.pause > 0);
                pace.found(1);
            }
            // One for each doubling, and then one in so many turns.
            assert!(tries < 10 + 100_000 / RAREST + 1, "{tries} pauses");
        }
    }

    #[test]
    fn enough_items_need_no_pause() {
        let mut pace = pace();
        for _ in 0..1000 {
            pace.found(256);
            assert_eq!(pace.pause, 0);
        }
        // A consumer that is the slow side finds all that there can be, and stops pausing.
        let mut pace = chased();
        for _ in 0..10 {
            pace.found(1024);
        }
        assert_eq!(pace.pause, 0);
    }

    #[cfg(feature = "std")]
    #[test]
    fn items_that_come_slowly_are_taken_without_a_pause() {
        let mut pace = chased();
        pace.was_slow();
        pace.found(1);
        assert_eq!(pace.pause, 0);
        for _ in 0..1000 {
            for _ in 0..=MANY_LOOKS {
                pace.found(0);
            }
            pace.found(1);
            assert_eq!(pace.pause, 0);
        }
    }

    #[test]
    fn large_items_and_small_channels_never_pause_and_neither_does_one_that_may_not() {
        for mut pace in [Pace::new(1024, LARGE), Pace::new(64, 8), Pace::off()] {
            for _ in 0..1000 {
                pace.found(0);
                pace.found(1);
                assert_eq!(pace.pause, 0);
            }
        }
    }
}
