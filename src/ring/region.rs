//! Several slots at once: room that is filled and then published as one, items that are looked at as
//! slices and let go as one.
//!
//! A region borrows its cursor, so that nothing else moves meanwhile. If it is forgotten, the cursor
//! stands where it stood: what was put into the room leaks, what was taken out is not seen again.
#![allow(unsafe_code)]

use super::{
    cursor::{ReadCursor, WriteCursor},
    slots::Halves,
};
use crate::weigh::{Items, Weigh};
use core::{marker::PhantomData, mem::MaybeUninit};

/// Free slots from `tail` on; the first `filled` of them hold items.
pub(crate) struct WriteRegion<'a, T> {
    cursor: &'a mut WriteCursor<T, Items>,
    slots: usize,
    filled: usize,
    /// To be shared between threads only if the items may be: a cursor alone would be.
    items: PhantomData<&'a mut [T]>,
}

impl<'a, T> WriteRegion<'a, T> {
    /// So many of the slots that are free, as last seen; fewer, if there are not so many.
    pub(crate) fn new(cursor: &'a mut WriteCursor<T, Items>, slots: usize) -> Self {
        // Ahead of items that wait to be published there is no telling what is whose.
        debug_assert_eq!(cursor.published(), cursor.index());
        let free = cursor.free_seen();
        Self {
            cursor,
            slots: slots.min(free),
            filled: 0,
            items: PhantomData,
        }
    }

    /// The producer's place, to judge a commit.
    pub(crate) fn cursor(&mut self) -> &mut WriteCursor<T, Items> {
        self.cursor
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    fn next(&self) -> usize {
        self.cursor.index().wrapping_add(self.filled)
    }

    /// Puts an item into the next slot, if there is one.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if self.filled == self.slots {
            return Err(item);
        }
        // SAFETY: the slot is free (`new`), not filled yet, and unknown to the consumer until `tail` is
        // published.
        unsafe { self.cursor.slots_of_ring().place().put(self.next(), item) };
        self.filled += 1;
        Ok(())
    }

    /// Puts items into the next slots, as many as there are slots, and takes no more from the iterator; returns
    /// how many. If that panics, those that came before are there.
    pub(crate) fn extend(&mut self, items: impl IntoIterator<Item = T>) -> usize {
        /// Counts, whatever panics, the slots that hold items by now.
        struct Filled<'a>(&'a mut usize, usize);

        impl Drop for Filled<'_> {
            fn drop(&mut self) {
                *self.0 += self.1;
            }
        }

        let (next, left) = (self.next(), self.slots - self.filled);
        // SAFETY: as in `free`.
        let (first, second) = unsafe { self.cursor.slots_of_ring().uninit(next, left) };
        let mut filled = Filled(&mut self.filled, 0);
        let (to_edge, mut items) = (first.len(), items.into_iter());
        for (slot, item) in first.iter_mut().zip(&mut items) {
            slot.write(item);
            filled.1 += 1;
        }
        // An iterator may go on after it has returned `None`, but the slots that hold items are those before the
        // first gap. (Two loops, as one over both halves takes 11 instructions an item in place of 4.)
        if filled.1 == to_edge {
            for (slot, item) in second.iter_mut().zip(items) {
                slot.write(item);
                filled.1 += 1;
            }
        }
        filled.1
    }

    /// Copies items into the next slots, as many as there are slots; returns how many.
    #[inline]
    pub(crate) fn extend_from_slice(&mut self, items: &[T]) -> usize
    where
        T: Copy,
    {
        let count = items.len().min(self.slots - self.filled);
        // SAFETY: as in `free`; and then the first `count` slots have just been written.
        unsafe {
            self.cursor
                .slots_of_ring()
                .copy_from_slice(self.next(), &items[..count]);
            self.assume_filled(count);
        }
        count
    }

    /// The slots that are not filled yet, for anybody to write anything to: also nothing.
    pub(crate) fn uninit(&mut self) -> Halves<'_, MaybeUninit<T>> {
        let end = self.cursor.index().wrapping_add(self.slots);
        self.cursor.uninitialised_until(end);
        self.free()
    }

    /// The slots that are not filled yet.
    fn free(&mut self) -> Halves<'_, MaybeUninit<T>> {
        // SAFETY: they are free (`new`), and ours as long as the cursor is borrowed.
        unsafe {
            self.cursor
                .slots_of_ring()
                .uninit(self.next(), self.slots - self.filled)
        }
    }

    /// Counts the next `count` slots as filled.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    ///
    /// # Safety
    ///
    /// They hold items.
    pub(crate) unsafe fn assume_filled(&mut self, count: usize) {
        assert!(
            count <= self.slots - self.filled,
            "{count} slots are more than the {} that are left",
            self.slots - self.filled
        );
        self.filled += count;
    }

    /// What the slots hold that are filled.
    pub(crate) fn filled_mut(&mut self) -> Halves<'_, T> {
        // SAFETY: they are ours, as in `uninit`, and hold items.
        unsafe {
            self.cursor
                .slots_of_ring()
                .items_mut(self.cursor.index(), self.filled)
        }
    }

    /// Publishes the first `count` of the items, and whatever waits for that before them; the others stay. Returns from where
    /// and up to where, if there was any.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub(crate) fn publish(&mut self, count: usize) -> Option<(usize, usize)> {
        assert!(
            count <= self.filled,
            "{count} items are more than the {} that were put in",
            self.filled
        );
        self.filled -= count;
        self.slots -= count;
        // SAFETY: the slots were free, and hold items.
        unsafe { self.cursor.skip(count) };
        self.cursor.publish_rest()
    }

    /// Claims what comes behind those that were just published ([`WriteCursor::claim_behind`]), unless items are left over there, which
    /// are dropped with this. (What needs no drop nobody looks at again, as this goes.)
    #[inline(always)]
    pub(crate) fn claim_behind(self, published: (usize, usize)) {
        if self.filled == 0 || !core::mem::needs_drop::<T>() {
            self.cursor.claim_behind(published);
        }
    }

    /// Publishes the first `count` of the items behind `tail` if, by what we last saw, that leaves the length below
    /// the high mark. Returns from where and up to where.
    #[inline]
    pub(crate) fn publish_below_mark(&mut self, count: usize) -> Option<(usize, usize)> {
        if count == 0 || count > self.filled || count > self.cursor.room_below_mark() {
            return None;
        }
        self.filled -= count;
        self.slots -= count;
        Some(self.cursor.publish_next(count))
    }
}

impl WriteRegion<'_, u8> {
    /// Fills all slots with bytes of no meaning: what earlier laps left in them, or zeros. For a
    /// [`Read`](std::io::Read), which wants memory that is initialised.
    #[cfg(feature = "std")]
    pub(crate) fn fill_with_anything(&mut self) {
        let left = self.slots - self.filled;
        let fresh = self.cursor.uninitialised_from(self.next()).min(left);
        let (first, second) = self.free();
        for slot in first.iter_mut().chain(second).take(fresh) {
            slot.write(0);
        }
        // SAFETY: the first `fresh` slots have just been written, the others in an earlier lap, and to
        // take a byte out of a slot leaves it there.
        unsafe { self.assume_filled(left) };
    }
}

impl<T> Drop for WriteRegion<'_, T> {
    fn drop(&mut self) {
        let (from, count) = (self.cursor.index(), core::mem::take(&mut self.filled));
        // SAFETY: these slots are ours and hold items, which nobody else knows of.
        unsafe { self.cursor.slots_of_ring().drop_range(from, count) };
    }
}

/// Items from `head` on.
pub(crate) struct ReadRegion<'a, T, W: Weigh<T>> {
    cursor: &'a mut ReadCursor<T, W>,
    items: usize,
    /// What the cursor knew of the other side: it forgets that with the first item that leaves, as
    /// nothing may overtake on the fast path until the slots are given back.
    tail_seen: usize,
    /// As of a `WriteRegion`: `as_slices` lends the items out by `&self`.
    lent: PhantomData<&'a mut [T]>,
}

impl<'a, T, W: Weigh<T>> ReadRegion<'a, T, W> {
    /// So many of the items that are there, as last seen; fewer, if there are not so many.
    pub(crate) fn new(cursor: &'a mut ReadCursor<T, W>, items: usize) -> Self {
        let (tail_seen, there) = (cursor.tail_seen(), cursor.items_seen());
        Self {
            cursor,
            items: items.min(there),
            tail_seen,
            lent: PhantomData,
        }
    }

    /// The consumer's place, to give the slots back.
    pub(crate) fn cursor(&mut self) -> &mut ReadCursor<T, W> {
        self.cursor
    }

    pub(crate) fn items(&self) -> usize {
        self.items
    }

    pub(crate) fn as_slices(&self) -> (&[T], &[T]) {
        // SAFETY: the slots up to `tail_seen` hold items, and are ours as long as the cursor is
        // borrowed; nothing is taken while the slices live.
        unsafe {
            self.cursor
                .slots_of_ring()
                .items(self.cursor.index(), self.items)
        }
    }

    pub(crate) fn as_mut_slices(&mut self) -> Halves<'_, T> {
        // SAFETY: as in `as_slices`, and we are borrowed mutably.
        unsafe {
            self.cursor
                .slots_of_ring()
                .items_mut(self.cursor.index(), self.items)
        }
    }

    /// Takes the next item.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.items == 0 {
            return None;
        }
        let index = self.cursor.index();
        self.items -= 1;
        // SAFETY: the slot holds an item, as in `as_slices`, and is passed by.
        unsafe {
            self.cursor.skip(1);
            Some(self.cursor.slots_of_ring().place().take(index))
        }
    }

    /// Gives the next `count` slots back at once, if nothing is to be done for that: their items need no drop, and
    /// there are so many. Returns from where and up to where.
    #[inline]
    pub(crate) fn give_back(&mut self, count: usize) -> Option<(usize, usize)> {
        let is_plain = W::COUNTS_ITEMS.get() && !core::mem::needs_drop::<T>();
        if !is_plain || count == 0 || count > self.items || self.cursor.has_unpublished() {
            return None;
        }
        self.items -= count;
        Some(self.cursor.give_back_next(count))
    }

    /// Drops the next `count` items; all of them, also if a drop panics.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub(crate) fn discard(&mut self, count: usize) {
        assert!(
            count <= self.items,
            "{count} items are more than the {} of this chunk",
            self.items
        );
        let index = self.cursor.index();
        self.items -= count;
        // SAFETY: the slots hold items, as in `as_slices`, and are passed by.
        unsafe {
            self.cursor.skip(count);
            self.cursor.slots_of_ring().drop_range(index, count);
        }
    }
}

impl<T, W: Weigh<T>> Drop for ReadRegion<'_, T, W> {
    fn drop(&mut self) {
        self.cursor.know_again(self.tail_seen);
    }
}

impl<T: Copy> WriteCursor<T, Items> {
    /// Writes and publishes a whole slice if, by what we last saw, it fits and leaves the length below the high
    /// mark. Returns from where and up to where.
    #[inline]
    pub(crate) fn push_slice_below_mark(&mut self, items: &[T]) -> Option<(usize, usize)> {
        if items.len() > self.room_below_mark() {
            return None;
        }
        // SAFETY: up to the limit the slots are free, as in `WriteCursor::put`, and ours until they are
        // published.
        unsafe {
            self.slots_of_ring()
                .copy_from_slice(self.published(), items)
        };
        Some(self.publish_next(items.len()))
    }
}

impl<T: Copy> ReadCursor<T, Items> {
    /// Has the next `count` items copied out of their slots, and gives these back, if by what we last saw there are
    /// so many. Returns from where and up to where.
    #[inline]
    pub(crate) fn copy_out(
        &mut self,
        count: usize,
        copy: impl FnOnce(&[T], &[T]),
    ) -> Option<(usize, usize)> {
        if count > self.items_seen() {
            return None;
        }
        // SAFETY: the slots hold items, as last seen, and are ours until they are given back; behind `head` there
        // is nothing that is read but not given back, as `items_seen` would then be 0.
        let (first, second) = unsafe { self.slots_of_ring().items(self.published(), count) };
        copy(first, second);
        Some(self.give_back_next(count))
    }
}
