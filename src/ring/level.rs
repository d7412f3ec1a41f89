//! How full is too full, and how empty is empty enough: plain arithmetic on marks and lengths.
//!
//! Knows nothing of slots, indices or the other thread. Lengths are in items, bytes, or whatever
//! the channel weighs.
#![forbid(unsafe_code)]

use crate::error::MarkError;
use core::cell::Cell;

/// The greatest length there can be, and so the greatest weight of one item: `desired_size` is
/// signed, and the sum of two lengths does not overflow.
pub(crate) const MAX_LENGTH: usize = isize::MAX as usize;

/// The two marks. `low <= high`, and `high` does not pass what the channel can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    high: usize,
    low: usize,
    /// The low mark was never chosen: it stays half of the high mark.
    low_is_default: bool,
}

/// The greatest length that a channel can reach, in the unit of its length, and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Most {
    /// As many items as there are slots.
    Slots(usize),
    /// The limit of a weighted channel; `MAX_LENGTH` if none was chosen.
    Limit(usize),
}

impl Marks {
    pub(crate) fn new(high: usize, low: Option<usize>, most: Most) -> Result<Self, MarkError> {
        let marks = Self {
            high,
            low: low.unwrap_or(high / 2),
            low_is_default: low.is_none(),
        };
        if marks.low > high {
            return Err(MarkError::LowAboveHigh {
                low: marks.low,
                high,
            });
        }
        match most {
            Most::Slots(capacity) if high > capacity => {
                Err(MarkError::HighAboveCapacity { high, capacity })
            }
            Most::Limit(limit) if high > limit => Err(MarkError::HighAboveLimit { high, limit }),
            _ => Ok(marks),
        }
    }

    fn with_high(self, high: usize, most: Most) -> Result<Self, MarkError> {
        Self::new(high, (!self.low_is_default).then_some(self.low), most)
    }

    fn with_low(self, low: usize, most: Most) -> Result<Self, MarkError> {
        Self::new(self.high, Some(low), most)
    }

    pub(crate) fn high(self) -> usize {
        self.high
    }

    pub(crate) fn low(self) -> usize {
        self.low
    }

    /// The length from which a write says stop. A mark of 0 acts like 1, as an empty channel never
    /// says stop.
    #[inline]
    pub(crate) fn stop_at(self) -> usize {
        self.high.max(1)
    }

    /// Mark minus length: how much more is welcome, negative when there is too much.
    pub(crate) fn desired_size(self, len: usize) -> isize {
        // Both are at most MAX_LENGTH, so neither cast nor difference overflows.
        debug_assert!(self.high <= MAX_LENGTH && len <= MAX_LENGTH);
        self.high as isize - len as isize
    }
}

/// What a producer that was told to stop waits for: a drain is when the length has fallen to
/// `len`, and at most `slots` slots are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrainTarget {
    pub(crate) len: usize,
    pub(crate) slots: usize,
}

/// What was not accepted, an item or a chunk, and has to find room when the channel has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// How many slots it wants that were not free; 0 if there were enough.
    pub(crate) slots: usize,
    /// What it adds to the length, against the limit of a weighted channel. Whichever of the two it was that refused it: one
    /// may be there before the other.
    pub(crate) weight: usize,
}

/// The producer's side of flow control: the marks, and whether it was told to stop.
#[derive(Debug)]
pub(crate) struct Level {
    marks: Marks,
    most: Most,
    capacity: usize,
    /// *Need drain*: told to stop, not drained since. A Cell, as merely asking may find a drain.
    need_drain: Cell<bool>,
    /// The item, or chunk, whose refusal was the last word to the producer: a drain that left no room
    /// for it would send the producer in circles.
    refusal: Cell<Option<Refusal>>,
}

impl Level {
    pub(crate) fn new(marks: Marks, most: Most, capacity: usize) -> Self {
        Self {
            marks,
            most,
            capacity,
            need_drain: Cell::new(false),
            refusal: Cell::new(None),
        }
    }

    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }

    /// The number of slots. Never changes: the ring relies on it.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The most slots that are sure to be free at some time while the producer waits for drain.
    pub(crate) fn max_reserve(&self) -> usize {
        (self.capacity - self.marks.low()).max(1)
    }

    /// As `Marks::with_high`; nothing has changed after an error.
    pub(crate) fn set_high(&mut self, high: usize) -> Result<(), MarkError> {
        self.marks = self.marks.with_high(high, self.most)?;
        Ok(())
    }

    /// As `Marks::with_low`; nothing has changed after an error.
    pub(crate) fn set_low(&mut self, low: usize) -> Result<(), MarkError> {
        self.marks = self.marks.with_low(low, self.most)?;
        Ok(())
    }

    pub(crate) fn need_drain(&self) -> bool {
        self.need_drain.get()
    }

    /// The greatest length that a write may leave.
    pub(crate) fn limit(&self) -> usize {
        match self.most {
            Most::Slots(limit) | Most::Limit(limit) => limit,
        }
    }

    /// Whether an item of `weight` may go into a channel of `len` in `slots` slots.
    pub(crate) fn admits(&self, weight: usize, len: usize, slots: usize) -> Result<(), Refusal> {
        let is_full = slots >= self.capacity;
        // An empty channel takes anything, or an item above the limit could never go through.
        if is_full || (slots > 0 && len + weight > self.limit()) {
            return Err(Refusal {
                slots: is_full.into(),
                // Where the slots are what is counted, they say it all.
                weight: match self.most {
                    Most::Slots(_) => 0,
                    Most::Limit(_) => weight,
                },
            });
        }
        Ok(())
    }

    /// Tells the producer to stop; returns whether that is news.
    pub(crate) fn stop(&self, refusal: Option<Refusal>) -> bool {
        self.refusal.set(refusal);
        !self.need_drain.replace(true)
    }

    /// Another item was accepted than the one that was refused, which is out of the question then: a
    /// drain need not leave room for it.
    pub(crate) fn forget_refusal(&self) {
        self.refusal.set(None);
    }

    /// Takes a stop back that nobody was told of: no drain is due for it.
    #[cfg(feature = "std")]
    pub(crate) fn take_back_stop(&self) {
        self.need_drain.set(false);
        self.refusal.set(None);
    }

    /// Ends *need drain* if the channel has drained; returns whether it did so now.
    pub(crate) fn drain(&self, len: usize, slots: usize) -> bool {
        let target = self.drain_target();
        let drained = self.need_drain.get() && len <= target.len && slots <= target.slots;
        if drained {
            self.need_drain.set(false);
            self.refusal.set(None);
        }
        drained
    }

    /// How far the channel must empty for a drain: to the low mark, and far enough to take the item
    /// that was refused.
    pub(crate) fn drain_target(&self) -> DrainTarget {
        let low = self.marks.low;
        let Refusal { slots, weight } = self.refusal.get().unwrap_or(Refusal {
            slots: 0,
            weight: 0,
        });
        let room = self.capacity.saturating_sub(slots);
        DrainTarget {
            len: low.min(self.limit().saturating_sub(weight)),
            slots: match self.most {
                // What is above the limit goes into an empty channel only, and one that holds
                // items of weight 0 is not empty.
                _ if weight > self.limit() => 0,
                _ if slots == 0 => self.capacity,
                // Not below the low mark, if that was raised since: up to there a consumer
                // may wait for a chunk.
                Most::Slots(_) => room.max(low.min(self.capacity - 1)),
                // Slots have a low mark too, half of them, so that one wake-up pays for many items.
                // (Where they are what is counted, the marks have the say.)
                Most::Limit(_) => room.min(self.capacity / 2),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(high: usize, low: Option<usize>, capacity: usize) -> Result<Marks, MarkError> {
        Marks::new(high, low, Most::Slots(capacity))
    }

    #[test]
    fn the_low_mark_is_half_of_the_high_mark_until_it_is_chosen() {
        let most = Most::Slots(100);
        let marks = items(16, None, 100).unwrap();
        assert_eq!(marks.low, 8);
        assert_eq!(marks.with_high(60, most).unwrap().low, 30);
        let chosen = marks.with_low(3, most).unwrap();
        assert_eq!(chosen.with_high(60, most).unwrap().low, 3);
    }

    #[test]
    fn marks_that_contradict_each_other_are_refused_with_the_numbers() {
        assert_eq!(
            items(4, Some(5), 8),
            Err(MarkError::LowAboveHigh { low: 5, high: 4 })
        );
        assert_eq!(
            items(9, None, 8),
            Err(MarkError::HighAboveCapacity {
                high: 9,
                capacity: 8
            })
        );
        assert_eq!(
            Marks::new(9, None, Most::Limit(8)),
            Err(MarkError::HighAboveLimit { high: 9, limit: 8 })
        );
        assert!(items(8, Some(8), 8).is_ok());
    }

    #[test]
    fn a_mark_of_zero_never_stops_an_empty_channel() {
        assert_eq!(items(0, None, 1).unwrap().stop_at(), 1);
    }

    #[test]
    fn desired_size_goes_below_zero_when_there_is_too_much() {
        let marks = items(4, None, 8).unwrap();
        assert_eq!(marks.desired_size(0), 4);
        assert_eq!(marks.desired_size(7), -3);
    }

    #[test]
    fn a_stop_is_news_once_and_a_drain_ends_it_at_the_low_mark() {
        let level = Level::new(items(4, Some(1), 8).unwrap(), Most::Slots(8), 8);
        assert!(!level.drain(0, 0), "nothing to drain before a stop");
        assert!(level.stop(None));
        assert!(!level.stop(None));
        assert!(!level.drain(2, 2));
        assert!(level.drain(1, 1));
        assert!(!level.need_drain());
        assert!(!level.drain(0, 0), "one drain for one stop");
    }

    #[test]
    fn a_drain_leaves_room_for_what_was_refused_even_if_the_low_mark_is_the_capacity() {
        let level = Level::new(items(2, Some(2), 2).unwrap(), Most::Slots(2), 2);
        let refusal = level.admits(1, 2, 2).unwrap_err();
        assert_eq!(
            refusal,
            Refusal {
                slots: 1,
                weight: 0
            }
        );
        level.stop(Some(refusal));
        assert!(!level.drain(2, 2));
        assert!(level.drain(1, 1));
    }

    #[test]
    fn an_item_above_the_limit_waits_for_an_empty_channel() {
        let most = Most::Limit(10);
        let level = Level::new(Marks::new(8, Some(6), most).unwrap(), most, 4);
        assert_eq!(level.admits(11, 0, 0), Ok(()));
        let heavy = |weight| Refusal { slots: 0, weight };
        assert_eq!(level.admits(11, 0, 1), Err(heavy(11)));
        assert_eq!(level.admits(6, 5, 1), Err(heavy(6)));
        level.stop(Some(heavy(6)));
        assert_eq!(level.drain_target(), DrainTarget { len: 4, slots: 4 });
        level.stop(Some(heavy(11)));
        assert_eq!(level.drain_target(), DrainTarget { len: 0, slots: 0 });
    }

    #[test]
    fn an_item_that_finds_neither_a_slot_nor_room_for_its_weight_waits_for_both() {
        let most = Most::Limit(10);
        let level = Level::new(Marks::new(8, Some(6), most).unwrap(), most, 4);
        let refuse = |weight, len| {
            let refusal = level.admits(weight, len, 4).unwrap_err();
            assert_eq!(refusal, Refusal { slots: 1, weight });
            level.stop(Some(refusal));
            level.drain_target()
        };
        assert_eq!(refuse(7, 8), DrainTarget { len: 3, slots: 2 });
        assert_eq!(refuse(11, 8), DrainTarget { len: 0, slots: 0 });
        assert_eq!(refuse(1, 8), DrainTarget { len: 6, slots: 2 });
    }
}
