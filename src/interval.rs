//! How often the consumer publishes with a full fence, whoever sleeps.
//!
//! The heavy barrier makes sure that the other side has not missed an announcement ([`wait`](crate::wait)). Where the index that a
//! sleeper waits for is far ahead it can be had for less: if the other side passes a full fence on its way there anyway,
//! behind the announcement, a full fence of the sleeper's own pairs with that one. A producer that was told to stop waits for
//! half a ring of items, so that a fence in a quarter of a ring is enough, and is next to nothing to each item.
//!
//! An interrupt of the other processor costs the sleeper 10 to 15 microseconds in a virtual machine, and the other side some.
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
use crate::ring::cursor::distance;
use crate::ring::Marks;

/// Every publication that moves the index to or past a multiple of this is followed by a full fence, before anybody looks who
/// waits. A power of two; this is one less. (In so few bits as a cursor has left.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FenceInterval(u32);

/// What a fence, and the slow way to it, cost the items of an interval is not to be noticed.
const LEAST: usize = 128;
/// Longer ones save nothing.
const MOST: usize = 4096;

impl FenceInterval {
    /// No index is far ahead, and next to no publication is fenced.
    pub(crate) const NEVER: Self = Self(u32::MAX >> 1);

    /// For items that are counted, with these marks: so that there is a whole interval between them, and as much again for
    /// what the consumer does before the producer is asleep.
    pub(crate) fn between(marks: Marks) -> Self {
        let half = (marks.high() - marks.low()) / 2;
        if half < LEAST {
            return Self::NEVER;
        }
        Self::of(half.min(MOST))
    }

    /// The greatest one that is not above this.
    pub(crate) fn of(most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
        Self(u32::MAX >> 1 >> most.leading_zeros())
    }

    /// Whether there are any fenced publications to wait for.
    pub(crate) fn is_ever_passed(self) -> bool {
        self != Self::NEVER
    }

    /// Whether a publication that moves the index so is a fenced one. (At each multiple some bit changes that is
    /// none of a remainder's; below it none does.)
    #[inline(always)]
    pub(crate) fn is_passed(self, before: usize, now: usize) -> bool {
        before ^ now > self.0 as usize
    }

    /// The first index from this one on whose publication alone is fenced.
    #[inline]
    pub(crate) fn next_fenced(self, index: usize) -> usize {
        index | self.0 as usize
    }

    /// Whether a publication on the way from one index to another, or the one that gets there, is sure to be fenced.
    #[cfg(feature = "std")]
    pub(crate) fn fits_between(self, index: usize, target: usize) -> bool {
        self.is_ever_passed() && distance(index, target) > self.0 as usize
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::ring::Most;

    fn between(high: usize, low: usize) -> FenceInterval {
        let marks = Marks::new(high, Some(low), Most::Slots(high));
        FenceInterval::between(marks.expect("legal marks"))
    }

    #[test]
    fn there_are_two_intervals_between_the_marks_or_none() {
        let of = FenceInterval::of;
        assert_eq!(between(1024, 512), of(256));
        assert_eq!(between(1024, 0), of(512));
        assert_eq!(between(1 << 20, 0), of(MOST));
        assert_eq!(between(512, 256), of(LEAST));
        assert_eq!(between(511, 256), FenceInterval::NEVER);
        assert_eq!((of(0), of(1), of(255)), (of(1), FenceInterval(0), of(128)));
        assert_eq!(of(usize::MAX), FenceInterval::NEVER);
    }

    #[test]
    fn whoever_has_a_whole_interval_to_go_passes_a_fence() {
        for interval in [1, 2, 4, 8].map(FenceInterval::of) {
            for start in [0, 3, usize::MAX - 3] {
                for (before, step) in (0..20).flat_map(|n| (1..20).map(move |step| (n, step))) {
                    let before = before + start % 8;
                    let (from, to) = (
                        before.wrapping_add(start),
                        before.wrapping_add(start).wrapping_add(step),
                    );
                    let passes = (0..step)
                        .any(|n| from.wrapping_add(n + 1) % (interval.0 as usize + 1) == 0);
                    assert_eq!(
                        interval.is_passed(from, to),
                        passes,
                        "{interval:?} {from} {to}"
                    );
                    assert!(passes || !interval.fits_between(from, to));
                    assert_eq!(interval.fits_between(from, to), step > interval.0 as usize);
                    assert!(!interval.fits_between(to, from), "that is past");
                }
                let fenced = interval.next_fenced(start);
                assert!(interval.is_passed(fenced, fenced.wrapping_add(1)));
                assert!(!interval.is_passed(start, fenced));
            }
        }
    }

    #[test]
    fn never_is_so_for_any_length_there_can_be() {
        let never = FenceInterval::NEVER;
        assert!(!never.fits_between(1, usize::MAX / 2));
        assert!(!never.is_passed(5, 1 << 30));
    }
}
