//! The two cursors: each moves its own index, remembers what it last saw of the other side's, and
//! publishes.
//!
//! A cursor is safe to use because there is exactly one of each for a ring, they move one item at
//! a time or, as a region, some that are next to each other, and each operation checks its half of
//! the invariant in `ring/mod.rs`. Knows nothing of waiting.
#![allow(unsafe_code)]

use super::{
    level::{Level, Marks, Most, Refusal, MAX_LENGTH},
    slots::{Place, Slots},
    Accounting,
};
use crate::{
    deferred::Deferred,
    error::{BuildError, MarkError},
    interval::FenceInterval,
    sync::{Arc, Ordering},
    weigh::{Items, Weigh},
};
use core::{cell::Cell, marker::PhantomData};

/// The memory of a channel, kept alive by the two cursors and by nobody else.
pub(crate) struct Ring<T> {
    slots: Slots<T>,
    accounting: Arc<Accounting>,
}

/// Makes a ring and the only two cursors it will ever have.
#[allow(clippy::type_complexity)]
pub(crate) fn ring<T, W: Weigh<T>>(
    capacity: usize,
    marks: Marks,
    most: Most,
    weigh: W,
    start: usize,
    fences: FenceInterval,
) -> Result<(WriteCursor<T, W>, ReadCursor<T, W>), BuildError> {
    let slots = Slots::new(capacity, !W::COUNTS_ITEMS.get())?;
    let accounting = Arc::new(Accounting::new(marks, most, capacity, start));
    let ring = Arc::new(Ring {
        slots,
        accounting: accounting.clone(),
    });
    let mut write = WriteCursor {
        published: Cell::new(start),
        is_lent: Cell::new(false),
        limit: start,
        room: 0,
        limit_of_batch: start,
        written: start,
        head_seen: start,
        consumed_seen: start,
        level: Level::new(marks, most, capacity),
        unpublished: Cell::new(0),
        is_closed: false,
        uninitialised_until: start.wrapping_add(ring.slots.count()),
        weigh,
        invariant: PhantomData,
        accounting: accounting.clone(),
        ring: ring.clone(),
    };
    write.set_limit();
    let read = ReadCursor {
        published: start,
        is_lent: false,
        tail_seen: start,
        consumed: start,
        unpublished: 0,
        has_stopped: false,
        fences,
        accounting,
        ring,
        weigh: PhantomData,
    };
    Ok((write, read))
}

impl<T> Ring<T> {
    /// Drops what will not be read, if somebody else is not at it already. Does nothing while the
    /// consumer still reads: until it stops, the right to sweep is its own.
    ///
    /// Both ends may come here at once, the consumer as it goes, the producer with an item written
    /// at that moment. One sweeps; the other goes on, as the sweeper looks again after letting go.
    fn sweep(&self) {
        // AcqRel: Acquire pairs with the Release of the last holder's `swap(false)`, for `swept`;
        // Release gives our `tail` to a holder that is about to let go, whose `swap(false)` then
        // reads this very value.
        if !self.accounting.sweeping.swap(true, Ordering::AcqRel) {
            drop(Sweep { ring: self });
        }
    }
}

/// The right to sweep: when dropped, all that was written and will not be read is dropped too, and
/// the right is given back.
#[must_use]
pub(crate) struct Sweep<'a, T> {
    ring: &'a Ring<T>,
}

impl<T> Sweep<'_, T> {
    fn drop_items(&self) {
        let accounting = &*self.ring.accounting;
        loop {
            // Relaxed: guarded by `sweeping`.
            let index = accounting.swept.load(Ordering::Relaxed);
            // Acquire: pairs with the Release store in Accounting::publish_tail; the item is there.
            if index == accounting.write.tail.load(Ordering::Acquire) {
                return;
            }
            // Before the drop: one that panics is not dropped again. Relaxed: as above.
            accounting
                .swept
                .store(index.wrapping_add(1), Ordering::Relaxed);
            // SAFETY: the consumer has stopped reading at the first `swept`, the index is below
            // `tail`, and the holder of `sweeping` alone passes each index, once.
            unsafe { self.ring.slots.drop_in_place(index) };
        }
    }
}

impl<T> Drop for Sweep<'_, T> {
    fn drop(&mut self) {
        /// Gives the right back, and sweeps the rest if an item's drop panics, as a `Vec` does: a second panic is an abort.
        struct LetGo<'a, T>(&'a Ring<T>);
        impl<T> Drop for LetGo<'_, T> {
            fn drop(&mut self) {
                let accounting = &*self.0.accounting;
                // AcqRel: see `Ring::sweep`.
                accounting.sweeping.swap(false, Ordering::AcqRel);
                // Relaxed, both: if there was a loser, its `tail` came with the swap; only a holder
                // writes `swept`, and if another has it by now, that one looks again. (What is left after a
                // panic this thread has seen itself.)
                let swept = accounting.swept.load(Ordering::Relaxed);
                if swept != accounting.write.tail.load(Ordering::Relaxed) {
                    self.0.sweep();
                }
            }
        }

        let _let_go = LetGo(self.ring);
        self.drop_items();
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Both cursors are gone, so that the consumer has stopped reading, and nobody else sweeps.
        drop(Sweep { ring: self });
    }
}

/// Whether one index comes before another, with which it keeps less than half of the range.
#[inline(always)]
pub(super) fn is_before(index: usize, other: usize) -> bool {
    (index.wrapping_sub(other) as isize) < 0
}

/// How far it is from one index to another; 0 if that comes before it.
#[inline(always)]
pub(crate) fn distance(from: usize, to: usize) -> usize {
    if is_before(from, to) {
        to.wrapping_sub(from)
    } else {
        0
    }
}

/// The producer's place in the ring.
pub(crate) struct WriteCursor<T, W> {
    /// How far the consumer may read: our copy of `tail`. A Cell, as a mere question may publish.
    published: Cell<usize>,
    /// A [`Writer`](super::Writer) goes on from `published` to `limit` by itself, and will say how far it has come.
    is_lent: Cell<bool>,
    /// Before this items can be written without a look at the other side: the nearest of *full as
    /// last seen*, *high mark as last seen* and, while told to stop or a batch is open, what is published.
    limit: usize,
    /// Up to the limit, what is lighter than this leaves the length below the high mark.
    room: usize,
    /// `limit` for what a batch holds back, which is no reason for itself to stop.
    limit_of_batch: usize,
    /// The weight of all items written; unused where items are counted.
    written: usize,
    /// Copies of the consumer's numbers; may lag, and then only say *full* too early.
    head_seen: usize,
    consumed_seen: usize,
    level: Level,
    /// How many items are in their slots behind what is published: a batch is open. While there are any
    /// nothing is written on the fast path. A Cell, as they are published also by a mere question.
    unpublished: Cell<usize>,
    /// Nothing is written any more: as while told to stop, for good.
    is_closed: bool,
    /// The slots from `tail` up to here may be uninitialised: in the first lap, or after a region lent
    /// them out. Those after that hold what an earlier lap left.
    uninitialised_until: usize,
    weigh: W,
    /// Invariant in `W`, as the ReadCursor is.
    invariant: PhantomData<fn(W) -> W>,
    accounting: Arc<Accounting>,
    ring: Arc<Ring<T>>,
}

impl<T, W: Weigh<T>> WriteCursor<T, W> {
    /// What `item` counts, at most MAX_LENGTH.
    #[inline(always)]
    pub(crate) fn measure(&self, item: &T) -> usize {
        if W::COUNTS_ITEMS.get() {
            1
        } else {
            self.weigh.weigh(item).min(MAX_LENGTH)
        }
    }

    /// The next slot, if by what we last saw an item of this weight fits and leaves the length below the high
    /// mark: the one question on the fast path where nothing is lent.
    #[inline(always)]
    pub(crate) fn vacant_below_mark(&mut self, weight: usize) -> Option<Vacant<'_, T, W>> {
        let index = self.published();
        self.is_below(self.limit, index, weight).then_some(Vacant {
            cursor: self,
            index,
            weight,
        })
    }

    /// The same behind what is not published yet: for a batch.
    #[inline(always)]
    pub(crate) fn vacant_in_batch(&mut self, weight: usize) -> Option<Vacant<'_, T, W>> {
        let index = self.index();
        self.is_below(self.limit_of_batch, index, weight)
            .then_some(Vacant {
                cursor: self,
                index,
                weight,
            })
    }

    #[inline(always)]
    fn is_below(&self, limit: usize, index: usize, weight: usize) -> bool {
        is_before(index, limit) && (W::COUNTS_ITEMS.get() || weight < self.room)
    }

    /// Whether the channel, as last seen, takes an item of this weight at all; if not, the producer is told to stop.
    pub(crate) fn admits(&mut self, weight: usize) -> bool {
        let admitted = self
            .level
            .admits(weight, self.len_seen(), self.slots_seen());
        match admitted {
            Ok(()) => {
                self.level.forget_refusal();
                self.set_limit();
                true
            }
            Err(refusal) => {
                self.stop(Some(refusal));
                false
            }
        }
    }

    /// Writes an item that was admitted. It is not published yet, and `is_high` has to judge it.
    ///
    /// # Panics
    ///
    /// If there is no slot for it.
    #[inline]
    pub(crate) fn hold_back(&mut self, item: T, weight: usize) {
        assert!(
            self.slots_seen() < self.level.capacity(),
            "the item was not admitted"
        );
        let index = self.index();
        Vacant {
            cursor: self,
            index,
            weight,
        }
        .hold_back(item);
    }

    /// Writes an item into the next slot, which is that of `index`. Only before the limit, or after `admits`.
    #[inline(always)]
    fn put(&mut self, index: usize, item: T, weight: usize) {
        debug_assert!(index == self.index() && self.slots_seen() < self.level.capacity());
        // SAFETY: index - head_seen < capacity, which the limit (`set_limit` keeps it within that) and `admits`
        // both say, and head only grows: the slot at our index is free, and ours until it is published.
        unsafe { self.ring.slots.place().put(index, item) };
        if !W::COUNTS_ITEMS.get() {
            self.room = self.room.saturating_sub(weight);
            self.written = self.written.wrapping_add(weight);
            self.ring.slots.set_weight(index, self.written);
        }
    }

    /// Looks at the other side, and at whether that is a drain.
    pub(crate) fn look(&mut self) {
        self.see_head();
        self.accounting.write.peak.raise(self.len_seen());
        self.find_drain(self.len_seen(), self.slots_seen());
        self.set_limit();
    }

    /// How far the consumer has come.
    #[inline]
    pub(crate) fn head(&self) -> usize {
        self.accounting.head()
    }

    /// The weight that a consumer has read who has come to `head`, by our own notes: it publishes its total, too, but apart from its
    /// index, and with two answers there could be a drain before there is the slot that it comes with.
    fn consumed_at(&self, head: usize) -> usize {
        if head == self.head_seen {
            self.consumed_seen
        } else {
            // Nothing was written over this note: that takes a slot which is free by what we saw last.
            self.ring.slots.weight(head.wrapping_sub(1))
        }
    }

    fn see_head(&mut self) {
        let head = self.head();
        if !W::COUNTS_ITEMS.get() {
            self.consumed_seen = self.consumed_at(head);
        }
        self.head_seen = head;
    }

    fn find_drain(&self, len: usize, slots: usize) {
        if self.level.drain(len, slots) {
            self.accounting.write.drains.bump();
        }
    }

    fn set_limit(&mut self) {
        if self.level.need_drain() || self.is_closed {
            // Told to stop: a drain is looked for before each write, so that none is missed.
            self.limit_of_batch = self.index();
            self.limit = self.published();
            return;
        }
        let stop_at = self.level.marks().stop_at();
        let slots = if W::COUNTS_ITEMS.get() {
            // The write at the limit is the one that reaches the mark, which is within the
            // capacity (`Marks::new`).
            (stop_at - 1).min(self.level.capacity())
        } else {
            self.room = stop_at.saturating_sub(self.len_seen());
            self.level.capacity()
        };
        // If there is more than that already (a mark was lowered), the limit is here and now.
        let free = slots.saturating_sub(self.slots_seen());
        self.limit_of_batch = self.index().wrapping_add(free);
        self.limit = if self.unpublished.get() == 0 {
            self.limit_of_batch
        } else {
            self.published() // Nothing may overtake what waits to be published.
        };
    }

    /// The judgement on the write of an item of this weight that did not surely stay below the mark:
    /// whether it left the length at or above the high mark.
    pub(crate) fn is_high(&mut self, weight: usize) -> bool {
        let stop_at = self.level.marks().stop_at();
        let mut high = self.len_seen() >= stop_at;
        if high {
            self.see_head();
            // The item itself was there at that moment, even if it has been read since.
            let len = self.len_seen().max(weight);
            self.accounting.write.peak.raise(len);
            high = len >= stop_at;
        }
        if high {
            self.stop(None);
        } else {
            self.set_limit();
        }
        high
    }

    fn stop(&mut self, refusal: Option<Refusal>) {
        if self.level.stop(refusal) {
            self.accounting.write.told_to_stop.bump();
        }
        self.set_limit();
    }

    /// Slots that are free, looked at again if by what we last saw there are fewer than `wanted`.
    pub(crate) fn free_slots(&mut self, wanted: usize) -> usize {
        if self.level.need_drain() || self.level.capacity() - self.slots_seen() < wanted {
            self.look();
        }
        self.level.capacity().saturating_sub(self.slots_seen())
    }

    /// The producer wanted so many slots, which are not free: it is told to stop.
    pub(crate) fn refuse_slots(&mut self, wanted: usize) {
        self.stop(Some(Refusal {
            slots: wanted,
            weight: 0,
        }));
    }

    /// How much weight may be added up to and with the one that reaches the high mark; at least 1.
    #[cfg(feature = "std")]
    pub(crate) fn room_to_mark(&mut self, wanted: usize) -> usize {
        let stop_at = self.level.marks().stop_at();
        if self.len_seen() + wanted > stop_at {
            self.look();
        }
        stop_at.saturating_sub(self.len_seen()).max(1)
    }

    /// How many slots can be filled without a look at the other side, and leave the length below the high
    /// mark. Only where items are counted.
    #[inline]
    pub(crate) fn room_below_mark(&self) -> usize {
        distance(self.published(), self.limit)
    }

    /// Lends the slots that are free, as last seen, with which the length stays below the high mark: from which index
    /// on, and up to which. Until [`is_back_at`](Self::is_back_at) nothing else may be asked. None if there are none, as while
    /// a batch is open or the producer is told to stop, nor where items have a weight.
    pub(super) fn lend(&self) -> Option<(usize, usize)> {
        let is_some = W::COUNTS_ITEMS.get() && self.room_below_mark() > 0;
        debug_assert!(!is_some || self.unpublished.get() == 0);
        let range = is_some.then_some((self.published(), self.limit));
        self.is_lent.set(is_some);
        range
    }

    /// Lets no write go the fast way any more, where nobody asks whether the stream has ended. Nor does one
    /// wait for a drain, only to be refused.
    #[cfg(feature = "async")]
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.take_back_stop();
    }

    /// See [`Level::take_back_stop`].
    #[cfg(feature = "std")]
    pub(crate) fn take_back_stop(&mut self) {
        self.level.take_back_stop();
        self.set_limit();
    }

    /// Whether the producer was told to stop and has not been drained since, looked at afresh.
    pub(crate) fn need_drain(&self) -> bool {
        if self.level.need_drain() {
            let head = self.head();
            self.find_drain(
                self.len_at(self.index(), head),
                self.index().wrapping_sub(head),
            );
        }
        self.level.need_drain()
    }

    /// The index that the consumer has to reach for a drain.
    #[cfg(feature = "std")]
    pub(crate) fn drain_index(&self) -> usize {
        let target = self.level.drain_target();
        let tail = self.index();
        let by_slots = |slots| tail.wrapping_sub(slots);
        if W::COUNTS_ITEMS.get() {
            return by_slots(target.len.min(target.slots));
        }
        // The totals written by each item are in the slots, and ours to read: find the first item
        // with which the weight still buffered falls to the target.
        let (mut from, mut to) = (self.head_seen, tail);
        while from != to {
            let middle = from.wrapping_add(to.wrapping_sub(from) / 2);
            if self.written.wrapping_sub(self.ring.slots.weight(middle)) <= target.len {
                to = middle;
            } else {
                from = middle.wrapping_add(1);
            }
        }
        // The consumer is past the item at `from` when its index is one more.
        let behind = tail.wrapping_sub(from).saturating_sub(1);
        by_slots(behind.min(target.slots))
    }

    /// Whether there is a drain by what the consumer sees, if it reads all of that: what is held back is little enough.
    #[cfg(feature = "std")]
    pub(crate) fn is_drain_published(&self) -> bool {
        let target = self.level.drain_target();
        let held_back = self.len_at(self.index(), self.published());
        held_back <= target.len && self.unpublished.get() <= target.slots
    }

    /// What is buffered now, in the unit of the channel. Exact on this side: it can only fall.
    pub(crate) fn len(&self) -> usize {
        self.len_at(self.index(), self.head())
    }

    /// The same of a consumer that has come to `head`; where items are counted, of a producer that has come to `index`.
    pub(super) fn len_at(&self, index: usize, head: usize) -> usize {
        if W::COUNTS_ITEMS.get() {
            index.wrapping_sub(head)
        } else {
            self.written.wrapping_sub(self.consumed_at(head))
        }
    }

    fn len_seen(&self) -> usize {
        if W::COUNTS_ITEMS.get() {
            self.slots_seen()
        } else {
            self.written.wrapping_sub(self.consumed_seen)
        }
    }

    #[inline(always)]
    fn slots_seen(&self) -> usize {
        self.index().wrapping_sub(self.head_seen)
    }

    /// As [`Level::set_high`].
    pub(crate) fn set_high_mark(&mut self, high: usize) -> Result<(), MarkError> {
        self.level.set_high(high)?;
        self.marks_changed();
        Ok(())
    }

    /// As [`Level::set_low`].
    pub(crate) fn set_low_mark(&mut self, low: usize) -> Result<(), MarkError> {
        self.level.set_low(low)?;
        self.marks_changed();
        Ok(())
    }

    fn marks_changed(&mut self) {
        let marks = self.level.marks();
        // Relaxed, both: copies for observers, numbers on their own.
        self.accounting.high.store(marks.high(), Ordering::Relaxed);
        self.accounting.low.store(marks.low(), Ordering::Relaxed);
        self.set_limit();
    }
}

impl<T> WriteCursor<T, Items> {
    /// Counts the next `count` slots as written; they are to be published.
    ///
    /// # Safety
    ///
    /// They were free, as last seen, and hold items.
    pub(super) unsafe fn skip(&mut self, count: usize) {
        debug_assert!(count <= self.free_seen());
        self.unpublished.set(self.unpublished.get() + count);
        self.level.forget_refusal();
        self.set_limit();
    }

    pub(super) fn free_seen(&self) -> usize {
        self.level.capacity().saturating_sub(self.slots_seen())
    }

    /// The slots from `tail` up to this index may have been made uninitialised.
    pub(super) fn uninitialised_until(&mut self, end: usize) {
        let distance = |index: usize| {
            let distance = index.wrapping_sub(self.index());
            if distance <= self.ring.slots.count() {
                distance
            } else {
                0 // behind us
            }
        };
        if distance(end) > distance(self.uninitialised_until) {
            self.uninitialised_until = end;
        }
    }

    /// How many slots from this index on may be uninitialised. (After the index has wrapped, some may be
    /// taken for it that are not.)
    #[cfg(feature = "std")]
    pub(super) fn uninitialised_from(&self, begin: usize) -> usize {
        let distance = self.uninitialised_until.wrapping_sub(begin);
        if distance <= self.ring.slots.count() {
            distance
        } else {
            0
        }
    }
}

impl<T, W> WriteCursor<T, W> {
    pub(super) fn slots_of_ring(&self) -> &Slots<T> {
        &self.ring.slots
    }

    /// How far the consumer may read.
    #[inline(always)]
    pub(super) fn published(&self) -> usize {
        debug_assert!(!self.is_lent.get());
        self.published.get()
    }

    #[inline(always)]
    fn publish_tail(&self, tail: usize) {
        debug_assert!(!self.is_lent.get());
        self.published.set(tail);
        self.accounting.publish_tail(tail);
    }

    /// Claims the lines of slots ([`Place::claim`]); returns up to where. `from` is not before the next item's index, which this
    /// does not know while it has lent.
    fn claim(&self, from: usize, to: usize) -> usize {
        // Always, as whoever gives a wrong index would have items written over.
        // (While it has lent, none is unpublished.)
        let next = self.published.get().wrapping_add(self.unpublished.get());
        assert!(!is_before(from, next), "items lie there");
        let place = self.ring.slots.place();
        // SAFETY: no item to be read or dropped lies from there on: of this cursor none, as asserted, and of a region its callers
        // know. The slots up to this limit are free, as last seen, and so ours until they are published.
        unsafe { place.claim(from, to, self.limit_of_batch) }
    }

    /// Claims what is not claimed yet of the group of `index`, the next item's, and of the next group. Before `claimed` it was.
    ///
    /// Out of line, as all that claim: it comes once in many items, and its size would keep what calls it from being inlined.
    #[inline(never)]
    pub(super) fn claim_groups(&self, index: usize, claimed: &mut usize) {
        let to = Place::<T>::next_group(index);
        let is_some = is_before(index, *claimed) && !is_before(to, *claimed);
        *claimed = self.claim(if is_some { *claimed } else { index }, to);
    }

    /// Claims slots behind those that were just published at once ([`Place::next_many`]). No region may have an item there that is to be
    /// published or dropped.
    ///
    /// To be called when the other side has been told: it need not wait for that.
    #[inline(always)]
    pub(crate) fn claim_behind(&self, (before, now): (usize, usize)) {
        if let Some(to) = Place::<T>::next_many(before, now) {
            self.claim_many(now, to);
        }
    }

    #[inline(never)]
    fn claim_many(&self, from: usize, to: usize) {
        self.claim(from, to);
    }

    pub(super) fn is_lent(&self) -> bool {
        self.is_lent.get()
    }

    /// What was lent is written and published up to here.
    pub(super) fn is_back_at(&self, tail: usize) {
        debug_assert!(self.is_lent.get() && !is_before(tail, self.published.get()));
        self.is_lent.set(false);
        self.published.set(tail);
    }

    /// Publishes the next `count` slots, which hold items; returns from where and up to where.
    #[inline(always)]
    pub(super) fn publish_next(&self, count: usize) -> (usize, usize) {
        let before = self.published();
        let now = before.wrapping_add(count);
        self.publish_tail(now);
        (before, now)
    }

    fn publish_written(&self) {
        // Release: pairs with the Acquire loads in Accounting, which then see all the consumption
        // that made room for this.
        self.accounting
            .write
            .written
            .store(self.written, Ordering::Release);
    }

    /// Publishes what was held back and what regions left; returns from where and up to where, if there was any.
    pub(crate) fn publish_rest(&self) -> Option<(usize, usize)> {
        let unpublished = self.unpublished.take();
        if unpublished == 0 {
            return None;
        }
        // Where items are counted this never changes.
        self.publish_written();
        Some(self.publish_next(unpublished))
    }

    /// Our own index: how far was written.
    #[inline(always)]
    pub(crate) fn index(&self) -> usize {
        self.published().wrapping_add(self.unpublished.get())
    }

    pub(crate) fn accounting(&self) -> &Arc<Accounting> {
        &self.accounting
    }

    /// The marks, and whether the producer was told to stop, as last seen.
    pub(crate) fn level(&self) -> &Level {
        &self.level
    }

    /// Drops what this end wrote at the moment the consumer went.
    pub(crate) fn sweep(&self) {
        self.ring.sweep();
    }
}

/// A slot that the next item may go into.
pub(crate) struct Vacant<'a, T, W> {
    cursor: &'a mut WriteCursor<T, W>,
    index: usize,
    weight: usize,
}

impl<T, W: Weigh<T>> Vacant<'_, T, W> {
    /// Writes and publishes the item, of the weight that was asked for; returns up to where is published now.
    #[inline(always)]
    pub(crate) fn publish(self, item: T) -> usize {
        let (cursor, index) = (self.cursor, self.index);
        cursor.put(index, item, self.weight);
        if !W::COUNTS_ITEMS.get() {
            cursor.publish_written();
        }
        let now = index.wrapping_add(1);
        cursor.publish_tail(now);
        now
    }

    /// Writes it, and leaves it unpublished.
    #[inline(always)]
    pub(crate) fn hold_back(self, item: T) {
        let (cursor, index) = (self.cursor, self.index);
        if Place::<T>::begins_group(index) {
            let (from, to) = Place::<T>::of_next_group(index);
            cursor.claim_many(from, to);
        }
        cursor.put(index, item, self.weight);
        cursor.unpublished.set(cursor.unpublished.get() + 1);
        // Nothing may overtake it.
        cursor.limit = cursor.published();
    }
}

/// The consumer's place in the ring.
pub(crate) struct ReadCursor<T, W> {
    /// Up to where the slots are given back: our copy of `head`.
    published: usize,
    /// A [`Reader`](super::Reader) goes on from `published` to `tail_seen` by itself, and will say how far it has come.
    is_lent: bool,
    /// Copy of `tail`; may lag, and then only says *empty* too early.
    tail_seen: usize,
    /// The weight of all items read; unused where items are counted.
    consumed: usize,
    /// How many items are read whose slots are not given back: a chunk is being read. While there are any
    /// `tail_seen` is what is published, so that none is read on the fast path.
    unpublished: usize,
    /// Nothing is read any more: the slots are the sweeper's.
    has_stopped: bool,
    /// Which slots are given back with a fence, and so not on the fast path.
    fences: FenceInterval,
    accounting: Arc<Accounting>,
    ring: Arc<Ring<T>>,
    /// Invariant in `W`: to the compiler, another `W` is another promise of what the slots have.
    weigh: PhantomData<fn(&T, W) -> W>,
}

impl<T, W: Weigh<T>> ReadCursor<T, W> {
    /// Takes the next item, and gives its slot back.
    ///
    /// # Panics
    ///
    /// If by what we last saw there is none.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> T {
        self.pop_as(|item| item, |_, _| ())
    }

    /// The same, and makes of the item what `wrap` does. Then calls `given_back` with the indices from which and up to which
    /// the slot was.
    ///
    /// # Panics
    ///
    /// If by what we last saw there is none.
    #[inline(always)]
    pub(crate) fn pop_as<A>(
        &mut self,
        wrap: impl FnOnce(T) -> A,
        given_back: impl FnOnce(usize, usize),
    ) -> A {
        let index = self.published();
        assert!(is_before(index, self.tail_seen), "there is no item");
        if !W::COUNTS_ITEMS.get() {
            // The very number that was added at the write, whatever the item weighs by now.
            self.consumed = self.ring.slots.weight(index);
        }
        let mut taken = Deferred::new(self, move |cursor| {
            if !W::COUNTS_ITEMS.get() {
                cursor.publish_consumed();
            }
            let now = index.wrapping_add(1);
            cursor.publish_head(now);
            given_back(index, now);
        });
        // SAFETY: the index is `head`, and before tail_seen, which was published, and nothing behind it is read but not
        // given back, as tail_seen would be `head` then: the slot holds an item, and is ours until `head` is published.
        wrap(unsafe { taken.with().ring.slots.place().take(index) })
    }

    /// Counts the next `count` items as read; their slots are to be given back.
    ///
    /// # Safety
    ///
    /// There are that many, as a region saw, and the caller takes, drops or leaks each.
    #[inline]
    pub(super) unsafe fn skip(&mut self, count: usize) {
        if !W::COUNTS_ITEMS.get() && count > 0 {
            let last = self.index().wrapping_add(count - 1);
            self.consumed = self.ring.slots.weight(last);
        }
        self.unpublished += count;
        self.tail_seen = self.published();
    }

    /// After a region: what it had seen of the other side, and has not read. Only when its slots are given
    /// back.
    pub(super) fn know_again(&mut self, tail_seen: usize) {
        if self.unpublished == 0 {
            self.tail_seen = tail_seen;
        }
    }

    /// Lends the items that are there, as last seen, before the next whose slot is given back with a fence: from which index on, and up to which. Until
    /// [`is_back_at`](Self::is_back_at) nothing else may be asked. None if there are none, as while a chunk is read whose slots
    /// are not given back, nor where items have a weight.
    pub(super) fn lend(&mut self) -> Option<(usize, usize)> {
        let index = self.published();
        let unfenced = self.fences.next_fenced(index);
        let limit = if is_before(self.tail_seen, unfenced) {
            self.tail_seen
        } else {
            unfenced
        };
        // Both: after a chunk that was forgotten `tail_seen` is behind the index, and only what is ahead of that can
        // be compared.
        let is_some = W::COUNTS_ITEMS.get() && self.has_item() && is_before(index, limit);
        debug_assert!(!is_some || self.unpublished == 0);
        let range = is_some.then_some((index, limit));
        self.is_lent = is_some;
        range
    }

    /// Looks at the other side; returns how many items are there.
    #[inline]
    pub(crate) fn look(&mut self) -> usize {
        if self.has_stopped || self.unpublished > 0 {
            return 0;
        }
        let write = &*self.accounting.write;
        let head = self.published();
        // Acquire: pairs with the Release store in Accounting::publish_tail; the items are there.
        let tail = write.tail.load(Ordering::Acquire);
        self.tail_seen = tail;
        // Of what is in registers: a consumer that spins is on its way as soon as it has the word.
        let items = distance(head, tail);
        let len = if W::COUNTS_ITEMS.get() {
            items
        } else {
            // Relaxed: not older than `tail_seen`, and none of that was consumed.
            let written = write.written.load(Ordering::Relaxed);
            written.wrapping_sub(self.consumed)
        };
        self.accounting.read.peak.raise(len);
        if items > 0 {
            // The next thing that is wanted, and it has to come from the other processor.
            self.ring.slots.place().prefetch(head);
        }
        items
    }
}

impl<T, W> ReadCursor<T, W> {
    pub(super) fn slots_of_ring(&self) -> &Slots<T> {
        &self.ring.slots
    }

    /// How far the other side had come when it was last looked at.
    pub(super) fn tail_seen(&self) -> usize {
        self.tail_seen
    }

    pub(super) fn accounting(&self) -> &Arc<Accounting> {
        &self.accounting
    }

    #[inline(always)]
    pub(super) fn published(&self) -> usize {
        debug_assert!(!self.is_lent);
        self.published
    }

    #[inline(always)]
    fn publish_head(&mut self, head: usize) {
        debug_assert!(!self.is_lent);
        self.published = head;
        self.accounting.publish_head(head);
    }

    pub(super) fn is_lent(&self) -> bool {
        self.is_lent
    }

    /// What was lent is taken, and its slots are given back, up to here.
    pub(super) fn is_back_at(&mut self, head: usize) {
        debug_assert!(self.is_lent && !is_before(head, self.published));
        self.is_lent = false;
        self.published = head;
    }

    /// Gives the next `count` slots back, which hold nothing any more; returns from where and up to where.
    #[inline(always)]
    pub(super) fn give_back_next(&mut self, count: usize) -> (usize, usize) {
        let before = self.published();
        let now = before.wrapping_add(count);
        self.publish_head(now);
        (before, now)
    }

    fn publish_consumed(&self) {
        // Release: pairs with the Acquire loads in Accounting::exact_len and Accounting::weight_read.
        self.accounting
            .read
            .consumed
            .store(self.consumed, Ordering::Release);
    }

    /// Gives the slots back of what regions read; returns from where and up to where, if there was any.
    pub(crate) fn publish_rest(&mut self) -> Option<(usize, usize)> {
        let unpublished = core::mem::take(&mut self.unpublished);
        if unpublished == 0 {
            return None;
        }
        // Where items are counted this never changes.
        self.publish_consumed();
        Some(self.give_back_next(unpublished))
    }

    /// Whether slots are still to be given back, of a chunk that was forgotten.
    #[inline]
    pub(crate) fn has_unpublished(&self) -> bool {
        self.unpublished > 0
    }

    /// Items that are there, as last seen.
    #[inline]
    pub(crate) fn items_seen(&self) -> usize {
        distance(self.published(), self.tail_seen)
    }

    /// Whether an item is there, by what we last saw.
    #[inline(always)]
    pub(crate) fn has_item(&self) -> bool {
        is_before(self.published(), self.tail_seen)
    }

    /// The next item, by what we last saw.
    pub(crate) fn peek(&self) -> Option<&T> {
        self.has_item().then(|| {
            // SAFETY: as in `pop_as`; the reference borrows the cursor, so that nothing can be
            // popped while it lives.
            unsafe { self.ring.slots.place().get(self.published()) }
        })
    }

    /// The items that are there, as last seen: up to the edge of the memory, and from its beginning on.
    #[cfg(feature = "std")]
    pub(crate) fn as_slices(&self) -> (&[T], &[T]) {
        // SAFETY: as in `peek`.
        unsafe { self.ring.slots.items(self.published(), self.items_seen()) }
    }

    /// Our own index: how far was read.
    #[inline(always)]
    pub(crate) fn index(&self) -> usize {
        self.published().wrapping_add(self.unpublished)
    }

    /// Reads nothing any more: what is buffered, and what may still be written, is dropped with what
    /// this returns, and by nobody before. `None` if that was done before.
    ///
    /// `head` stays where it is: what is dropped was not consumed, and does not finish the stream.
    pub(crate) fn stop_reading(&mut self) -> Option<Sweep<'_, T>> {
        if self.has_stopped {
            return None;
        }
        self.has_stopped = true;
        self.tail_seen = self.published();
        // Relaxed: handed over with `sweeping`, which is ours since the ring was made.
        let index = self.index();
        self.accounting.swept.store(index, Ordering::Relaxed);
        Some(Sweep { ring: &self.ring })
    }
}

impl<T, W> Drop for ReadCursor<T, W> {
    fn drop(&mut self) {
        drop(self.stop_reading());
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::{
        super::{Most, ReadRegion},
        *,
    };

    fn bytes_from(
        start: usize,
        fences: FenceInterval,
    ) -> (WriteCursor<u8, Items>, ReadCursor<u8, Items>) {
        let marks = Marks::new(8, None, Most::Slots(8)).expect("legal marks");
        ring(8, marks, Most::Slots(8), Items, start, fences).expect("memory")
    }

    fn bytes() -> (WriteCursor<u8, Items>, ReadCursor<u8, Items>) {
        bytes_from(0, FenceInterval::NEVER)
    }

    /// The numbers below this, for which there is room.
    fn write_up_to(end: u8, write: &mut WriteCursor<u8, Items>) {
        for item in 0..end {
            let slot = write.vacant_below_mark(1).expect("there is room");
            slot.publish(item);
        }
    }

    #[test]
    fn what_may_be_uninitialised_is_known_up_to_the_furthest_slot_ahead() {
        let (mut write, mut read) = bytes();
        let known = |write: &WriteCursor<u8, Items>| -> Vec<usize> {
            (write.index()..write.index() + 9)
                .map(|index| write.uninitialised_from(index))
                .collect()
        };
        let mut pass = |write: &mut WriteCursor<u8, Items>, count| {
            for _ in 0..count {
                write.look();
                write
                    .vacant_below_mark(1)
                    .expect("there is room")
                    .publish(1);
                assert_eq!(read.look(), 1);
                read.pop();
            }
        };
        assert_eq!(known(&write), [8, 7, 6, 5, 4, 3, 2, 1, 0], "at first all");
        pass(&mut write, 8);
        assert_eq!(known(&write), [0; 9]);
        write.uninitialised_until(11);
        write.uninitialised_until(10);
        assert_eq!(known(&write), [3, 2, 1, 0, 0, 0, 0, 0, 0]);
        pass(&mut write, 4);
        write.uninitialised_until(11);
        assert_eq!(known(&write), [0; 9], "that is behind");
        write.uninitialised_until(13);
        assert_eq!(known(&write), [1, 0, 0, 0, 0, 0, 0, 0, 0]);
        write.uninitialised_until(20);
        assert_eq!(known(&write)[0], 8, "all again");
    }

    #[test]
    fn what_is_read_from_a_chunk_that_is_forgotten_is_not_lent_again_wherever_the_indices_are() {
        for start in [0, (1 << 31) - 2, usize::MAX / 2 - 2, usize::MAX - 2] {
            let (mut write, mut read) = bytes_from(start, FenceInterval::NEVER);
            write_up_to(4, &mut write);
            assert_eq!(read.look(), 4);
            let mut region = ReadRegion::new(&mut read, 4);
            while region.pop().is_some() {}
            core::mem::forget(region);
            assert!(read.publish_rest().is_some());
            assert_eq!(read.lend(), None, "all are read");
            assert_eq!(read.look(), 0);
        }
    }

    #[test]
    fn what_is_given_back_with_a_fence_is_not_lent() {
        for start in [0, usize::MAX - 5] {
            let fences = FenceInterval::of(4);
            let (mut write, mut read) = bytes_from(start, fences);
            write_up_to(7, &mut write);
            assert_eq!(read.look(), 7);
            let mut slow = Vec::new();
            while read.has_item() {
                let index = read.index();
                match read.lend() {
                    Some((from, limit)) => {
                        assert_eq!(from, index);
                        assert!(!fences.is_passed(from, limit));
                        read.is_back_at(limit);
                    }
                    None => {
                        slow.push(index.wrapping_add(1) % 4);
                        read.pop();
                    }
                }
            }
            assert!(slow.len() == 1 || slow.len() == 2);
            assert!(slow.iter().all(|index| *index == 0), "{slow:?}");
        }
    }

    #[test]
    fn a_look_finds_nothing_while_slots_are_read_and_not_given_back() {
        let (mut write, mut read) = bytes();
        write_up_to(3, &mut write);
        assert_eq!(read.look(), 3);
        assert_eq!(ReadRegion::new(&mut read, 2).pop(), Some(0));
        assert_eq!(read.look(), 0, "the next one would come before the first");
        assert!(!read.has_item());
        assert!(read.publish_rest().is_some());
        assert_eq!(read.look(), 2);
        assert_eq!(read.pop(), 1);
        drop(read.stop_reading());
        assert_eq!(read.look(), 0, "the rest is dropped");
    }
}
