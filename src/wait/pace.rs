//! Not to run right behind the other side: a short pause that adapts, before an end looks for more.
//!
//! A consumer that takes each item as soon as it is there makes both sides pay for it: with every item the
//! cache lines of the index and of the slot go back and forth. One that lets a few hundred gather gets
//! them all for about the price of one. Whether items come fast enough for that, only a pause can tell:
//! one is tried now and then, grows as long as it pays, and is given up at once when it does not. No
//! clock is needed: what is asked for is that items come about as fast as the processor's spin-loop hints pass.
//!
//! Where it does not pause there is a single hint before the next look, if the last one has found several items: else the
//! processor makes that look ahead of time, while it is still at these items, of whose number it has made a guess. Such a look
//! takes the index's line from a producer in the midst of its writing, and finds half as many. (A load fence does the
//! same, and as much work that the processor need not wait for does not: `docs/performance.md`.)
//!
//! Sources: the "temporal slipping" of FastForward (Giacomoni et al., 2008); MCRingBuffer (Lee et al., 2010), which
//! publishes in batches for the same reason.

#![forbid(unsafe_code)]

use crate::{
    lines::LINE,
    sync::{spin_loop, MODEL},
};

/// The first pause that is tried, in spin-loop hints (of some 11 ns on AMD's Zen, 40 ns on Intel's Skylake).
const SHORTEST: u16 = 32;
/// The longest, and so what a call that does not wait may take longer.
const LONGEST: u16 = 128;
/// A pause pays if at least one line of an item came in so many hints.
const FAST: u16 = 4;
/// And so many items: one would have been there without it.
const FEWEST: u16 = 2;
/// After so many looks in vain the next item was a slow one. Each is a call of the user's at least.
const MANY_LOOKS: u16 = 32;
/// The most turns between two tries of a pause that did not pay.
const RAREST: u16 = 1024;
/// So few slots are full before the shortest pause is over, unless they have [`SMALL_BYTES`]. There a pause is so short, if more
/// than a hint, that a quarter of them is filled meanwhile, by the fastest producer.
const SMALL: usize = 512;
/// And so few bytes.
const SMALL_BYTES: usize = 4096;
/// What comes in a hint, of the fastest producer.
const ITEMS_PER_HINT: u16 = 8;
/// How many bytes it pays to wait for: so many cache lines that the price of the look vanishes.
const GATHER: usize = 16_384;
/// And how many items, where these are large: what has just been written lies in the first cache of the other processor, and
/// is read faster from the next one.
const GATHER_ITEMS: usize = 16;
/// An item so large, in bytes, has been pushed out of that cache by itself.
const LARGE: usize = 16_384;

/// When and how long the consumer pauses.
#[derive(Debug)]
pub(crate) struct Pace {
    /// How many items are enough to take them without a pause. (All small, so that an end is.)
    enough: u16,
    /// A pause pays if at least one item came in so many hints.
    fast: u16,
    /// The first pause that is tried, and the longest, in hints.
    shortest: u16,
    longest: u16,
    /// In hints; 0 while it does not pay.
    pause: u16,
    /// The last look has found several items.
    found_several: bool,
    /// Looks that found nothing, since the last item.
    in_vain: u16,
    turns_to_try: u16,
    turns_between: u16,
}

impl Pace {
    /// For a channel of so many items of that size at most.
    pub(crate) fn new(capacity: usize, item_size: usize) -> Self {
        let gather = (GATHER / item_size.max(1)).max(GATHER_ITEMS);
        let is_small = capacity < SMALL && capacity.saturating_mul(item_size) < SMALL_BYTES;
        let fast = FAST * (item_size.min(LARGE) / LINE).max(1) as u16;
        // No more than a quarter of what there can be, or the producer would have to wait.
        let enough = if MODEL || item_size >= LARGE {
            0
        } else {
            gather.min(capacity / 4) as u16 // as it is at most GATHER
        };
        let (shortest, longest) = if is_small {
            let hints = (enough / ITEMS_PER_HINT).max(1);
            (hints, hints)
        } else {
            // Long enough for a few items to come.
            ((FEWEST * fast).clamp(SHORTEST, LONGEST), LONGEST)
        };
        Self {
            enough,
            fast,
            shortest,
            longest,
            pause: 0,
            found_several: false,
            in_vain: 0,
            turns_to_try: 1,
            turns_between: 1,
        }
    }

    /// Never pauses, nor lets a hint pass, as of a channel that is too small.
    pub(crate) fn off() -> Self {
        Self::new(0, 1)
    }

    /// Before a look at the other side: at least, the processor is not to make it before it has read what it found the last time.
    #[inline]
    pub(crate) fn pause(&self) {
        for _ in 0..self.hints() {
            spin_loop();
        }
    }

    #[inline]
    fn hints(&self) -> u16 {
        if self.pause > 0 {
            self.pause
        } else {
            u16::from(self.found_several)
        }
    }

    /// After a look that has found so many new items.
    #[inline]
    pub(crate) fn found(&mut self, items: usize) {
        self.found_several = items >= FEWEST as usize && self.enough > 0;
        if items == 0 && self.pause == 0 {
            self.in_vain = self.in_vain.saturating_add(1);
        } else if items >= self.enough as usize && self.pause == 0 {
            self.in_vain = 0;
        } else {
            self.adapt(items);
        }
    }

    /// The next item is a slow one: this end sleeps for it, or nearly so.
    #[cfg(feature = "std")]
    pub(crate) fn was_slow(&mut self) {
        self.found_several = false;
        self.skip_pause();
    }

    /// The next look is made without a pause, but for a hint.
    #[cfg(feature = "std")]
    pub(crate) fn skip_pause(&mut self) {
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
                self.pause = self.shortest;
            }
        } else if items < (self.pause / self.fast).max(FEWEST) as usize {
            // So few would have come one by one, without a hurry.
            self.give_up();
        } else {
            self.turns_between = 1;
            self.turns_to_try = 1;
            if items < self.enough as usize {
                self.pause = (self.pause * 2).min(self.longest);
            } else if items >= 2 * self.enough as usize {
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
            assert!(
                tries < 10 + 100_000 / u32::from(RAREST) + 1,
                "{tries} pauses"
            );
        }
    }

    #[test]
    fn a_pause_pays_by_the_lines_that_it_brings_and_few_large_items_are_enough() {
        // (size, the first pause, what is too few in it, what is enough)
        for (size, first, too_few, enough) in [
            (8, 32, 7, 256),
            (64, 32, 7, 256),
            (256, 32, 1, 64),
            (1024, 128, 1, 16),
            (4096, 128, 1, 16),
        ] {
            let mut pace = Pace::new(1024, size);
            pace.found(1);
            assert_eq!(pace.pause, first, "{size}");
            pace.found(too_few);
            assert_eq!(pace.pause, 0, "{size}");

            let mut pace = Pace::new(1024, size);
            pace.found(1);
            for _ in 0..3 {
                pace.found((too_few + 1) * 4);
            }
            assert_eq!(pace.pause, LONGEST, "{size}");
            pace.found(enough);
            assert_eq!(pace.pause, LONGEST, "{size}");
            pace.found(2 * enough);
            assert_eq!(pace.pause, LONGEST / 2, "{size}");
        }
    }

    #[test]
    fn large_items_that_come_one_by_one_are_paused_for_ever_more_rarely() {
        for size in [256, 512, 1024, 4096] {
            let (mut pace, mut pauses) = (Pace::new(1024, size), 0);
            for _ in 0..100_000 {
                pace.found(1);
                pauses += u32::from(pace.pause > 0);
            }
            assert!(
                pauses < 10 + 100_000 / u32::from(RAREST) + 1,
                "{size}: {pauses}"
            );
        }
    }

    #[test]
    fn in_few_slots_the_pause_is_so_short_that_they_are_not_full_behind_it_and_does_not_grow() {
        for (capacity, size, pause) in [
            (4, 8, 0),
            (8, 8, 1),
            (32, 8, 1),
            (64, 8, 2),
            (256, 8, 8),
            (511, 1, 15),
            (63, 64, 1),
        ] {
            let mut pace = Pace::new(capacity, size);
            pace.found(1);
            for _ in 0..3 {
                assert_eq!(pace.pause, pause, "{capacity} of {size} bytes");
                pace.found(3);
            }
        }
        for (capacity, size) in [(512, 1), (512, 0), (64, 64), (16, 256)] {
            let mut pace = Pace::new(capacity, size);
            pace.found(1);
            assert_eq!(pace.pause, SHORTEST, "{capacity} of {size} bytes");
            pace.found(3);
            assert_ne!(pace.pause, SHORTEST, "{capacity} of {size} bytes");
        }
    }

    #[test]
    fn a_pause_in_few_slots_pays_if_it_brings_several_items_and_ends_when_they_gather_by_themselves(
    ) {
        let chased = || {
            let mut pace = Pace::new(64, 8);
            pace.found(1);
            assert_eq!(pace.pause, 2);
            pace
        };
        for (brings, then) in [(0, 0), (1, 0), (2, 2), (15, 2), (16, 2), (31, 2), (32, 1)] {
            let mut pace = chased();
            pace.found(brings);
            assert_eq!(pace.pause, then, "{brings}");
        }
    }

    #[test]
    fn a_look_behind_one_that_has_found_several_items_waits_until_they_are_read() {
        for mut pace in [pace(), Pace::new(4, 8)] {
            assert!(!pace.found_several);
            for (found, several) in [(2, true), (1000, true), (1, false), (3, true), (0, false)] {
                pace.found(found);
                assert_eq!(pace.found_several, several, "{found}");
            }
        }
        let mut pace = self::pace();
        for (found, hints) in [(300, 1), (1, SHORTEST), (100, 2 * SHORTEST), (1, 0)] {
            pace.found(found);
            assert_eq!(pace.hints(), hints, "{found}");
        }
        for mut pace in [Pace::off(), Pace::new(3, 8), Pace::new(1024, LARGE)] {
            pace.found(2);
            assert!(!pace.found_several);
        }
    }

    #[test]
    fn a_pause_that_brings_enough_is_as_long_the_next_time() {
        for (brings, pause) in [
            (255, 2 * SHORTEST),
            (256, SHORTEST),
            (511, SHORTEST),
            (512, SHORTEST / 2),
        ] {
            let mut pace = chased();
            pace.found(brings);
            assert_eq!(pace.pause, pause, "{brings}");
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
        assert_eq!(pace.pause, 0);
        pace.found(1);
        assert_eq!(pace.pause, 0, "none is tried");
        pace.found(300);
        assert_eq!(pace.hints(), 1);
        pace.was_slow();
        assert_eq!(pace.hints(), 0);
        for (looks, tries) in [(MANY_LOOKS, true), (MANY_LOOKS + 1, false)] {
            let mut pace = Pace::new(1024, 8);
            for _ in 0..looks {
                pace.found(0);
            }
            pace.found(1);
            assert_eq!(pace.pause > 0, tries, "{looks} looks");
        }
        for _ in 0..1000 {
            for _ in 0..=MANY_LOOKS {
                pace.found(0);
            }
            pace.found(1);
            assert_eq!(pace.pause, 0);
        }
    }

    #[test]
    fn large_items_and_tiny_channels_never_pause_and_neither_does_one_that_may_not() {
        for mut pace in [
            Pace::new(1024, LARGE),
            Pace::new(3, 8),
            Pace::new(3, 4096),
            Pace::off(),
        ] {
            for _ in 0..1000 {
                pace.found(0);
                pace.found(1);
                assert_eq!(pace.pause, 0);
            }
        }
    }
}
