//! What both ends hold: the published numbers, the two gates, and how each side ended.
//!
//! | word | written by | read by | orderings | handed over |
//! |---|---|---|---|---|
//! | `producer` | producer | consumer, observers | Release / Acquire | all that was written before; the reason of an abort |
//! | notes at `readable` | consumer, a stop | producer, observers | Release / Acquire (`wait`) | where sweeping begins; the reason of a cancel |
//! | note at `writable` | producer, a stop | consumer | Release / Acquire (`wait`) | as `producer`; says "look there" to the fast path |
//!
//! Knows nothing of the items' type, so that a third thread can hold it.
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
use crate::wait::Awaited;
use crate::{
    error::{Reason, TryReadError},
    interval::FenceInterval,
    ring::Accounting,
    sync::{Arc, AtomicU8, Ordering},
    wait::{Fences, Gate, FIRST_NOTE},
};
use alloc::boxed::Box;
use crossbeam_utils::atomic::AtomicCell;

/// The consumer's note: it has closed the channel, and reads the rest.
const CLOSED: usize = FIRST_NOTE;
/// The consumer's note: it is gone, what is buffered will not be read.
const GONE: usize = FIRST_NOTE << 1;
/// The producer's note: it has aborted.
const ABORTED: usize = FIRST_NOTE;
/// A third thread's note, at both gates: the channel was stopped. To each end the other has given up.
const STOPPED: usize = FIRST_NOTE << 2;

/// Whether an item is small enough to be handed through one more call, so that the slow way is a single call and
/// leaves the fast path its registers. Larger ones are moved once, where the call would copy them.
pub(crate) const fn moves_cheaply<T>() -> bool {
    core::mem::size_of::<T>() <= 64
}

/// Where the producer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ProducerState {
    Open,
    /// Knows that the consumer takes no more, and so has written its last item. Nothing but `Ended`
    /// comes after this: how such a producer goes is no news to anyone.
    Told,
    Ended,
    Abandoned,
    Aborted,
}

impl ProducerState {
    #[inline]
    fn from_u8(state: u8) -> Self {
        const ALL: [ProducerState; 5] = [
            ProducerState::Open,
            ProducerState::Told,
            ProducerState::Ended,
            ProducerState::Abandoned,
            ProducerState::Aborted,
        ];
        ALL[usize::from(state)]
    }
}

/// A reason on its way from one end to the other: written before the state that announces it.
struct Mailbox(AtomicCell<Option<Box<Reason>>>);

impl Mailbox {
    fn new() -> Self {
        Self(AtomicCell::new(None))
    }

    fn put(&self, reason: Reason) {
        self.0.store(Some(Box::new(reason)));
    }

    /// Reads the reason and leaves it there. Only the one end that it is addressed to does so.
    fn read(&self) -> Option<Reason> {
        let reason = self.0.take();
        let copy = reason.as_deref().cloned();
        self.0.store(reason);
        copy
    }
}

/// Why the other end seems to have given up, if it has not.
fn stopped() -> Reason {
    Reason::new("stopped from outside")
}

pub(crate) struct Shared {
    pub(crate) accounting: Arc<Accounting>,
    /// Where the consumer waits for data, and leaves word that it takes no more.
    pub(crate) readable: Gate,
    /// Where the producer waits for drain, and leaves word that it has aborted.
    pub(crate) writable: Gate,
    producer: AtomicU8,
    abort_reason: Mailbox,
    cancel_reason: Mailbox,
}

impl Shared {
    /// `interval` is the consumer's.
    pub(crate) fn new(
        accounting: Arc<Accounting>,
        start: usize,
        fences: Fences,
        interval: FenceInterval,
    ) -> Self {
        Self {
            accounting,
            readable: Gate::new(start, fences, FenceInterval::NEVER),
            writable: Gate::new(start, fences, interval),
            producer: AtomicU8::new(ProducerState::Open as u8),
            abort_reason: Mailbox::new(),
            cancel_reason: Mailbox::new(),
        }
    }

    /// For anyone: where the producer stands.
    #[inline]
    pub(crate) fn producer_state(&self) -> ProducerState {
        // Acquire: pairs with the Release in `set_producer_state`; a look at `tail` after this
        // finds everything that was written before the end.
        ProducerState::from_u8(self.producer.load(Ordering::Acquire))
    }

    /// For the producer: moves on to `state`, and wakes the consumer, which may wait for it.
    pub(crate) fn set_producer_state(&self, state: ProducerState) {
        // Release: pairs with the Acquire in `producer_state`.
        self.producer.store(state as u8, Ordering::Release);
        self.readable.ring();
    }

    /// For the producer: says why it gives up. Only before `ProducerState::Aborted`.
    pub(crate) fn announce_abort(&self, reason: Reason) {
        self.abort_reason.put(reason);
        self.writable.leave_note(ABORTED);
    }

    /// For the consumer: whether the producer has given up.
    pub(crate) fn is_aborted(&self) -> bool {
        self.writable.notes() & (ABORTED | STOPPED) != 0
    }

    /// For the consumer, after `is_aborted`: why.
    pub(crate) fn abort_reason(&self) -> Reason {
        // An abort puts its reason there before it is announced.
        self.abort_reason.read().unwrap_or_else(stopped)
    }

    /// For the consumer, while the producer is at work: takes no more items, and wakes the producer,
    /// which may wait for drain.
    pub(crate) fn close(&self) {
        self.readable.leave_note(CLOSED);
        self.writable.ring();
    }

    /// For the consumer: goes. Only after `ReadCursor::stop_reading`.
    pub(crate) fn leave(&self, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.cancel_reason.put(reason);
        }
        self.readable.leave_note(GONE);
        self.writable.ring();
    }

    /// For a third thread: stops both ends, and wakes them. The notes before the bells, as of every end;
    /// and the consumer's before the producer's, who may tell the consumer of what it has seen.
    #[cfg(feature = "std")]
    pub(crate) fn stop(&self) {
        self.writable.leave_note(STOPPED);
        self.readable.leave_note(STOPPED);
        self.readable.ring();
        self.writable.ring();
    }

    /// For the producer and observers: whether the consumer takes no more items.
    pub(crate) fn is_refusing(&self) -> bool {
        self.readable.notes() & (CLOSED | GONE | STOPPED) != 0
    }

    /// For anyone: whether the consumer has closed the channel, and may have gone since.
    pub(crate) fn is_closed(&self) -> bool {
        self.readable.notes() & CLOSED != 0
    }

    /// For the producer and observers: whether the consumer has gone, or might as well have.
    pub(crate) fn is_gone(&self) -> bool {
        self.readable.notes() & (GONE | STOPPED) != 0
    }

    /// For the producer, or the `Finish` that it left: that the consumer reads everything before this index.
    #[cfg(feature = "std")]
    pub(crate) fn reading_up_to(&self, index: usize) -> Awaited<impl Fn() -> usize + '_> {
        Awaited {
            wake_at: index,
            now: move || self.accounting.head(),
        }
    }

    /// For the consumer: that the producer has written everything before this index.
    #[cfg(feature = "std")]
    pub(crate) fn writing_up_to(&self, index: usize) -> Awaited<impl Fn() -> usize + '_> {
        Awaited {
            wake_at: index,
            now: move || self.accounting.tail(),
        }
    }

    /// For a `Finish`: whether there is nothing more to wait for.
    #[cfg(feature = "std")]
    pub(crate) fn is_over(&self, last: usize) -> bool {
        self.accounting.consumed_up_to(last) || self.is_gone()
    }

    /// For the producer, or the `Finish` that it left: why the consumer went, if it said so.
    pub(crate) fn cancel_reason(&self) -> Option<Reason> {
        let notes = self.readable.notes();
        // The reason is put there before the note, which has to be seen first.
        if notes & GONE != 0 {
            self.cancel_reason.read()
        } else if notes & STOPPED != 0 {
            Some(stopped())
        } else {
            None
        }
    }

    /// For the consumer: what an empty channel means. Asked before the last look at the index.
    #[inline(never)]
    pub(crate) fn meaning_of_empty(&self) -> TryReadError {
        match self.producer_state() {
            ProducerState::Open => TryReadError::Empty,
            // Told by a stop from outside, and not by a close of ours.
            ProducerState::Told if self.is_aborted() => TryReadError::Aborted(self.abort_reason()),
            ProducerState::Told | ProducerState::Ended => TryReadError::Ended,
            // The close came while it was at work: its going, however it goes, is a clean end.
            ProducerState::Abandoned if self.is_closed() => TryReadError::Ended,
            ProducerState::Abandoned => TryReadError::Abandoned,
            ProducerState::Aborted => TryReadError::Aborted(self.abort_reason()),
        }
    }

    /// For a consumer that waits for so many items from `index` on: whether they are there, or it is clear
    /// that they will not come, or not before some are taken.
    #[cfg(feature = "std")]
    pub(crate) fn has_news(&self, index: usize, wanted: usize) -> bool {
        self.has_items_or_end(index, wanted) || self.accounting.low() < wanted - 1
    }

    /// For the consumer: whether so many items are there from `index` on, or it is clear that they will not
    /// come.
    #[cfg(feature = "std")]
    pub(crate) fn has_items_or_end(&self, index: usize, wanted: usize) -> bool {
        self.accounting.has_items(index, wanted)
            || self.producer_state() != ProducerState::Open
            || self.is_aborted()
    }

    /// For the consumer: the most items that are sure to come while none is taken.
    pub(crate) fn max_chunk(&self) -> usize {
        self.accounting.capacity.min(self.accounting.low() + 1)
    }

    /// For anyone: what is buffered and may still be read. What a dead end left behind is not.
    pub(crate) fn len(&self) -> usize {
        if self.is_gone() || self.is_aborted() {
            0
        } else {
            self.accounting.len()
        }
    }

    /// The same, if a moment could be caught at which it was exactly that.
    pub(crate) fn exact_len(&self) -> Option<usize> {
        if self.is_gone() || self.is_aborted() {
            Some(0)
        } else {
            self.accounting.exact_len().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lines::{assert_apart, pairs, PAIR},
        ring::{Marks, Most},
        weigh::Items,
    };

    #[test]
    fn what_both_ends_hold_shares_no_lines_with_a_gate_nor_with_the_counts_of_an_arc() {
        let marks = Marks::new(1, None, Most::Slots(1)).expect("legal marks");
        let (write, _read) = crate::ring::cursor::ring::<u8, _>(
            1,
            marks,
            Most::Slots(1),
            Items,
            0,
            FenceInterval::NEVER,
        )
        .expect("memory");
        let shared = Arc::new(Shared::new(
            write.accounting().clone(),
            0,
            Fences::Full,
            FenceInterval::NEVER,
        ));
        for other in [
            pairs(&shared.accounting),
            pairs(&shared.producer),
            pairs(&shared.abort_reason),
            pairs(&shared.cancel_reason),
        ] {
            assert_apart([
                ("readable", pairs(&shared.readable)),
                ("writable", pairs(&shared.writable)),
                ("the rest", other),
            ]);
        }
        assert_eq!(Arc::as_ptr(&shared) as usize % PAIR, 0);
        assert_eq!(Arc::as_ptr(&shared.accounting) as usize % PAIR, 0);
    }
}
