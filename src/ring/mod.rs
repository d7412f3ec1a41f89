//! The ring: slots, two indices, and how full it is.
//!
//! ```text
//!              head            tail
//!               v               v
//!   | free | free | item | item | free | ...      storage: the next power of two
//!               '---- length ---'
//! ```
//!
//! The indices count items from 0 and wrap with the integer; a mask makes slots of them.
//! **Invariant**: `tail - head <= capacity <= storage`; the slots from `head` up to `tail` hold items,
//! which belong to the consumer; all others are uninitialised and belong to the producer. Each end
//! alone writes its own index, and keeps a copy of it in its cursor: to read the published word back would save the
//! copy's store, but when the other side has just looked at that word, its cache line is not here any more, or not
//! for this side alone, and would be fetched twice, to be read and to be written. (Nor would a model see the race of
//! a store with the other side's reads, if a load of the same thread came between.) What a batch or a chunk has
//! moved an index ahead by, and not published yet, is in the cursor, too. For single items the cursor lends index and
//! limit to its end (`lease.rs`), which has them in registers in a loop.
//!
//! | word | written by | read by | orderings | handed over |
//! |---|---|---|---|---|
//! | `tail` | producer | consumer, observers | Release / Acquire | the item (and weight) in the slot |
//! | `head` | consumer | producer, observers | Release / Acquire | the freed slot |
//! | `written` | producer | observers by Acquire; the consumer, behind `tail`, Relaxed | Release | that `consumed` is not far behind it |
//! | `consumed` | consumer | observers | Release / Acquire | that `written` is not behind it |
//! | `sweeping` | whoever sweeps; first the consumer | the same | AcqRel swap, both ways | `swept`, and the loser's `tail` |
//! | `swept` | who holds `sweeping` | the same | Relaxed | nothing: guarded by `sweeping` |

pub(crate) mod cursor;
mod lease;
pub(crate) mod level;
mod region;
mod slots;

pub(crate) use cursor::{ReadCursor, Vacant, WriteCursor};
pub(crate) use lease::{End, Occupied, Reader, Slot, Writer};
pub(crate) use level::{Marks, Most, MAX_LENGTH};
pub(crate) use region::{ReadRegion, WriteRegion};

use crate::sync::{AtomicBool, AtomicUsize, Counter, Ordering};
use crossbeam_utils::CachePadded;

/// How often an observer looks for a length that both sides agree on. Twice in a model, which would
/// never see the consumer move on so often.
const LOOKS: usize = if cfg!(all(loom, feature = "loom")) {
    2
} else {
    4
};

/// What the producer publishes, on a cache line that only it writes.
#[derive(Debug)]
struct Written {
    /// The index of the next item to be written.
    tail: AtomicUsize,
    /// The weight of all items ever written; stays 0 where items are counted.
    written: AtomicUsize,
    peak: Counter,
    told_to_stop: Counter,
    drains: Counter,
}

/// What the consumer publishes, on a cache line that only it writes.
#[derive(Debug)]
struct Consumed {
    /// The index of the next item to be read.
    head: AtomicUsize,
    /// The weight of all items ever read; stays 0 where items are counted.
    consumed: AtomicUsize,
    peak: Counter,
}

/// The published numbers of a ring: knows nothing of the items' type, so that a third thread can
/// hold it.
#[derive(Debug)]
pub(crate) struct Accounting {
    write: CachePadded<Written>,
    read: CachePadded<Consumed>,
    /// The marks are changed by the producer alone; here are copies for everybody else.
    high: AtomicUsize,
    low: AtomicUsize,
    pub(crate) capacity: usize,
    most: Most,
    /// Who drops what will not be read, from `swept` on: a lock that is only tried. The consumer holds
    /// it from the start, and lets go when it has stopped reading and has swept.
    sweeping: AtomicBool,
    swept: AtomicUsize,
    /// Where the indices began: 0, but for tests of their wrap-around.
    start: usize,
}

impl Accounting {
    fn new(marks: Marks, most: Most, capacity: usize, start: usize) -> Self {
        Self {
            write: CachePadded::new(Written {
                tail: AtomicUsize::new(start),
                written: AtomicUsize::new(start),
                peak: Counter::new(),
                told_to_stop: Counter::new(),
                drains: Counter::new(),
            }),
            read: CachePadded::new(Consumed {
                head: AtomicUsize::new(start),
                consumed: AtomicUsize::new(start),
                peak: Counter::new(),
            }),
            high: AtomicUsize::new(marks.high()),
            low: AtomicUsize::new(marks.low()),
            capacity,
            most,
            sweeping: AtomicBool::new(true),
            swept: AtomicUsize::new(start),
            start,
        }
    }

    /// For the producer: publishes what is in the slots before `tail`.
    #[inline(always)]
    fn publish_tail(&self, tail: usize) {
        // Release: pairs with the Acquire loads of `tail` in ReadCursor::look, Sweep::drop_items and below; the item is in its slot.
        self.write.tail.store(tail, Ordering::Release);
    }

    /// For the consumer: gives the slots before `head` back.
    #[inline(always)]
    fn publish_head(&self, head: usize) {
        // Release: pairs with the Acquire loads of `head` in WriteCursor::head and below; the slot is free.
        self.read.head.store(head, Ordering::Release);
    }

    /// What is buffered, in the unit of the channel: a snapshot.
    pub(crate) fn len(&self) -> usize {
        self.exact_len().unwrap_or_else(|estimate| {
            estimate.min(match self.most {
                Most::Slots(capacity) => capacity,
                Most::Limit(limit) => limit,
            })
        })
    }

    /// What was buffered at some moment of the call; or, if the consumer moves all the time, an
    /// estimate: what was written by then, less what was read some time before.
    pub(crate) fn exact_len(&self) -> Result<usize, usize> {
        let (behind, ahead) = match self.most {
            Most::Slots(_) => (&self.read.head, &self.write.tail),
            Most::Limit(_) => (&self.read.consumed, &self.write.written),
        };
        // Acquire: pairs with the Release stores in Accounting::publish_head and ReadCursor::publish_consumed. The consumer had seen what it consumed
        // as written, so that the load of `ahead` below cannot find less.
        let mut seen = behind.load(Ordering::Acquire);
        for _ in 0..LOOKS {
            // Acquire: keeps the second look at `behind` after this load. If that has not moved,
            // the difference was the length when `ahead` was read.
            let written = ahead.load(Ordering::Acquire);
            let again = behind.load(Ordering::Acquire); // Acquire: as the first.
            if again == seen {
                return Ok(written.wrapping_sub(seen));
            }
            seen = again;
        }
        // Acquire: whoever is told the length sees what the producer did before it wrote what is counted there.
        let written = ahead.load(Ordering::Acquire);
        Err(written.wrapping_sub(seen))
    }

    /// How far the producer has published.
    pub(crate) fn tail(&self) -> usize {
        // Acquire: whoever sees it also sees `written` up to there.
        self.write.tail.load(Ordering::Acquire)
    }

    /// How far the consumer has given slots back.
    pub(crate) fn head(&self) -> usize {
        // Acquire: pairs with the Release store in Accounting::publish_head; the slots are free, and what the consumer did
        // before it took the last item is visible to whoever learns of the finish.
        self.read.head.load(Ordering::Acquire)
    }

    /// Items written since the channel was made.
    pub(crate) fn items_written(&self) -> usize {
        self.tail().wrapping_sub(self.start)
    }

    /// Items read since the channel was made.
    pub(crate) fn items_read(&self) -> usize {
        self.head().wrapping_sub(self.start)
    }

    /// Weight written since the channel was made; where items are counted, their number.
    pub(crate) fn weight_written(&self) -> usize {
        match self.most {
            Most::Slots(_) => self.items_written(),
            // Acquire: as in `exact_len`.
            Most::Limit(_) => self
                .write
                .written
                .load(Ordering::Acquire)
                .wrapping_sub(self.start),
        }
    }

    /// Weight read since the channel was made; where items are counted, their number.
    pub(crate) fn weight_read(&self) -> usize {
        match self.most {
            Most::Slots(_) => self.items_read(),
            // Acquire: as in `exact_len`.
            Most::Limit(_) => self
                .read
                .consumed
                .load(Ordering::Acquire)
                .wrapping_sub(self.start),
        }
    }

    /// The greatest length that either side has seen; never more than there was.
    pub(crate) fn peak(&self) -> usize {
        self.write.peak.get().max(self.read.peak.get())
    }

    pub(crate) fn told_to_stop(&self) -> usize {
        self.write.told_to_stop.get()
    }

    pub(crate) fn drains(&self) -> usize {
        self.write.drains.get()
    }

    pub(crate) fn high(&self) -> usize {
        self.high.load(Ordering::Relaxed) // Relaxed: a number on its own.
    }

    pub(crate) fn low(&self) -> usize {
        self.low.load(Ordering::Relaxed) // Relaxed: a number on its own.
    }

    /// Whether the consumer has taken everything up to `index`, the producer's last.
    pub(crate) fn consumed_up_to(&self, index: usize) -> bool {
        self.head() == index
    }

    /// Whether `wanted` items were written from `index`, the consumer's next, on.
    pub(crate) fn has_items(&self, index: usize, wanted: usize) -> bool {
        // Relaxed: a hint. Whoever takes the items looks again, and finds no fewer.
        self.write.tail.load(Ordering::Relaxed).wrapping_sub(index) >= wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::{assert_apart, pairs, PAIR};

    #[test]
    fn what_each_side_publishes_has_lines_of_its_own() {
        let marks = Marks::new(1, None, Most::Slots(1)).expect("legal marks");
        let accounting = Accounting::new(marks, Most::Slots(1), 1, 0);
        let rest = [
            pairs(&accounting.high),
            pairs(&accounting.low),
            pairs(&accounting.capacity),
            pairs(&accounting.most),
            pairs(&accounting.sweeping),
            pairs(&accounting.swept),
            pairs(&accounting.start),
        ];
        for other in rest {
            assert_apart([
                ("write", pairs(&accounting.write)),
                ("read", pairs(&accounting.read)),
                ("the rest", other),
            ]);
        }
        // And nothing before it, as the counts of an Arc, shares them either.
        assert_eq!(&accounting as *const _ as usize % PAIR, 0);
    }
}
