//! What an end holds of its cursor by value: its index, how far it may go, and where the slots are.
//!
//! A slow way is a call, which may change whatever it gets; what it gets is stored before, and loaded again after it. So the
//! cursor lies in a box, with all that the slow ways need ([`End`]), and lends its end what it knows to be free, or
//! full; whoever wants the cursor itself brings that back first. In a loop over single items the compiler then has the index in a
//! register. (Weighted channels, whose totals go on with each item, lend nothing.)
#![allow(unsafe_code)]

use super::{
    cursor::{is_before, ReadCursor, WriteCursor},
    level::Level,
    slots::Place,
    Accounting,
};
use crate::{deferred::Deferred, sync::Arc, weigh::Weigh};
use alloc::boxed::Box;
use core::cell::Cell;
use crossbeam_utils::CachePadded;

/// A cursor, and what else its end has.
pub(crate) struct End<C, R> {
    pub(crate) cursor: C,
    pub(crate) rest: R,
}

/// The producer's place in the ring, and what it may write without a question.
pub(crate) struct Writer<T, W, R, S> {
    /// The next item's; as far as this is published. Cells, as a mere question brings them back.
    index: Cell<usize>,
    /// Before this it may write; not before `index` itself unless the cursor has lent it so much.
    limit: Cell<usize>,
    /// The lines of free slots before this one were claimed (`WriteCursor::claim_groups`).
    claimed: usize,
    place: Place<T>,
    accounting: Arc<Accounting>,
    shared: Arc<S>,
    /// On lines of its own: the other end's was allocated right beside it.
    end: Box<CachePadded<End<WriteCursor<T, W>, R>>>,
}

impl<T, W, R, S> Writer<T, W, R, S> {
    #[inline(always)]
    fn bring_back(&self) {
        if self.end.cursor.is_lent() {
            self.end.cursor.is_back_at(self.index.get());
            self.limit.set(self.index.get());
        }
    }

    /// The cursor, with all that it lent.
    #[inline(always)]
    pub(crate) fn end(&self) -> &End<WriteCursor<T, W>, R> {
        self.bring_back();
        &self.end
    }

    /// The same.
    #[inline(always)]
    pub(crate) fn end_mut(&mut self) -> &mut End<WriteCursor<T, W>, R> {
        self.bring_back();
        &mut self.end
    }

    /// The marks, and whether the producer was told to stop, as last seen.
    pub(crate) fn level(&self) -> &Level {
        self.end.cursor.level()
    }

    /// What both ends have in common.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &Arc<S> {
        &self.shared
    }

    /// What the cursor has nothing to do with.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &R {
        &self.end.rest
    }

    /// The same.
    #[cfg(feature = "async")]
    #[inline(always)]
    pub(crate) fn rest_mut(&mut self) -> &mut R {
        &mut self.end.rest
    }
}

impl<T, W: Weigh<T>, R, S> Writer<T, W, R, S> {
    pub(crate) fn new(cursor: WriteCursor<T, W>, rest: R, shared: Arc<S>) -> Self {
        let index = cursor.published();
        let mut writer = Self {
            index: Cell::new(index),
            limit: Cell::new(index),
            claimed: index,
            place: cursor.slots_of_ring().place().clone(),
            accounting: cursor.accounting().clone(),
            shared,
            end: Box::new(CachePadded::new(End { cursor, rest })),
        };
        writer.ask(|_| ());
        writer
    }

    /// Goes a slow way, for which this has nothing to lend any more; after it, it may have again.
    #[inline(always)]
    pub(crate) fn ask<A>(&mut self, slow: impl FnOnce(&mut End<WriteCursor<T, W>, R>) -> A) -> A {
        let answer = slow(self.end_mut());
        if let Some((index, limit)) = self.end.cursor.lend() {
            self.index.set(index);
            self.limit.set(limit);
            self.end.cursor.claim_groups(index, &mut self.claimed);
        }
        answer
    }

    /// What `item` counts.
    #[inline(always)]
    pub(crate) fn measure(&self, item: &T) -> usize {
        self.end.cursor.measure(item)
    }

    /// Whether there is surely a slot for the next item, below the mark. Only where items are counted.
    #[inline(always)]
    pub(crate) fn has_room(&self) -> bool {
        W::COUNTS_ITEMS.get() && is_before(self.index.get(), self.limit.get())
    }

    /// What is buffered now, in the unit of the channel. Exact on this side: it can only fall.
    pub(crate) fn len(&self) -> usize {
        if self.end.cursor.is_lent() {
            self.end
                .cursor
                .len_at(self.index.get(), self.end.cursor.head())
        } else {
            self.end.cursor.len()
        }
    }

    /// The next slot, if by what we last saw an item of this weight fits and leaves the length below the high
    /// mark: the one question on the fast path. (Asked before the item is moved, as a large one is moved once only then.)
    #[inline(always)]
    pub(crate) fn slot_below_mark(&mut self, weight: usize) -> Option<Slot<'_, T, W, R, S>> {
        let is_free = if W::COUNTS_ITEMS.get() {
            is_before(self.index.get(), self.limit.get())
        } else {
            self.end.cursor.vacant_below_mark(weight).is_some()
        };
        is_free.then_some(Slot {
            writer: self,
            weight,
        })
    }
}

/// A slot that the next item may go into.
pub(crate) struct Slot<'a, T, W, R, S> {
    writer: &'a mut Writer<T, W, R, S>,
    weight: usize,
}

impl<'a, T, W: Weigh<T>, R, S> Slot<'a, T, W, R, S> {
    /// What both ends have in common.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &S {
        &self.writer.shared
    }

    /// Writes and publishes the item, of the weight that was asked for; then, if `is_due`, calls `ring`. Both get what the
    /// ends have in common; the first also from where and up to where is published, and must not panic.
    ///
    /// The index is written down between the two, next to where it is read again, or the compiler would
    /// read it back for the next item: the wait for that is longer than all the rest.
    #[inline(always)]
    pub(crate) fn publish(
        self,
        item: T,
        is_due: impl FnOnce(&S, usize, usize) -> bool,
        ring: impl FnOnce(&S),
    ) {
        let Self { writer, weight } = self;
        let (now, is_due) = if W::COUNTS_ITEMS.get() {
            let index = writer.index.get();
            // SAFETY: the index is before the limit (`slot_below_mark`), so that the cursor has lent it: it is `tail`, and the
            // slot is free, as last seen, and ours until it is published.
            unsafe { writer.place.put(index, item) };
            let now = index.wrapping_add(1);
            writer.accounting.publish_tail(now);
            let is_due = is_due(&writer.shared, index, now);
            writer.index.set(now);
            (now, is_due)
        } else {
            let vacant = writer.end.cursor.vacant_below_mark(weight);
            let now = vacant.expect("it was asked for").publish(item);
            (now, is_due(&writer.shared, now.wrapping_sub(1), now))
        };
        // Behind the item, which need not wait for that.
        if Place::<T>::begins_group(now) {
            writer.end.cursor.claim_groups(now, &mut writer.claimed);
        }
        if is_due {
            ring(&writer.shared);
        }
    }
}

/// The consumer's place in the ring, and what it may read without a question.
pub(crate) struct Reader<T, W, R, S> {
    /// The next item's; the slots before it are given back.
    index: usize,
    /// Before this it may read; not before `index` itself unless the cursor has lent it so much.
    limit: usize,
    /// Before this there are items, as last seen.
    seen: usize,
    place: Place<T>,
    accounting: Arc<Accounting>,
    shared: Arc<S>,
    /// As of a [`Writer`].
    end: Box<CachePadded<End<ReadCursor<T, W>, R>>>,
}

impl<T, W, R, S> Reader<T, W, R, S> {
    pub(crate) fn new(cursor: ReadCursor<T, W>, rest: R, shared: Arc<S>) -> Self {
        let index = cursor.published();
        Self {
            index,
            limit: index,
            seen: index,
            place: cursor.slots_of_ring().place().clone(),
            accounting: cursor.accounting().clone(),
            shared,
            end: Box::new(CachePadded::new(End { cursor, rest })),
        }
    }

    /// The cursor, with all that it lent.
    #[inline(always)]
    pub(crate) fn end_mut(&mut self) -> &mut End<ReadCursor<T, W>, R> {
        if self.end.cursor.is_lent() {
            self.end.cursor.is_back_at(self.index);
            self.limit = self.index;
        }
        &mut self.end
    }

    /// What both ends have in common.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &Arc<S> {
        &self.shared
    }

    /// What the cursor has nothing to do with.
    #[cfg(feature = "async")]
    #[inline(always)]
    pub(crate) fn rest(&self) -> &R {
        &self.end.rest
    }

    /// The same.
    #[cfg(feature = "async")]
    #[inline(always)]
    pub(crate) fn rest_mut(&mut self) -> &mut R {
        &mut self.end.rest
    }

    /// Items that are there, as last seen.
    #[cfg(feature = "std")]
    pub(crate) fn items_seen(&self) -> usize {
        if self.end.cursor.is_lent() {
            self.seen.wrapping_sub(self.index)
        } else {
            self.end.cursor.items_seen()
        }
    }

    /// How far was read.
    pub(crate) fn index(&self) -> usize {
        if self.end.cursor.is_lent() {
            self.index
        } else {
            self.end.cursor.index()
        }
    }
}

impl<T, W: Weigh<T>, R, S> Reader<T, W, R, S> {
    /// As of a [`Writer`].
    #[inline(always)]
    pub(crate) fn ask<A>(&mut self, slow: impl FnOnce(&mut End<ReadCursor<T, W>, R>) -> A) -> A {
        let answer = slow(self.end_mut());
        self.borrow();
        answer
    }

    /// Goes a slow way that finds an item, and takes that. The item is made an answer where it is taken, and an error comes
    /// before that, so that what is large is moved only once.
    #[inline(always)]
    pub(crate) fn find_and_take<A, E>(
        &mut self,
        find: impl FnOnce(&mut End<ReadCursor<T, W>, R>) -> Result<(), E>,
        take: impl FnOnce(&mut End<ReadCursor<T, W>, R>) -> Result<A, E>,
    ) -> Result<A, E> {
        let end = self.end_mut();
        find(end)?;
        let mut found = Deferred::new(self, |reader| reader.borrow());
        take(&mut found.with().end)
    }

    /// Takes what the cursor can lend.
    #[inline(always)]
    fn borrow(&mut self) {
        if let Some((index, limit)) = self.end.cursor.lend() {
            self.index = index;
            self.limit = limit;
            self.seen = self.end.cursor.tail_seen();
        }
    }

    /// The next item, if by what we last saw there is one. (Asked before it is moved, as for a [`Slot`].)
    #[inline(always)]
    pub(crate) fn occupied(&mut self) -> Option<Occupied<'_, T, W, R, S>> {
        let is_there = if W::COUNTS_ITEMS.get() {
            is_before(self.index, self.limit)
        } else {
            self.end.cursor.has_item()
        };
        is_there.then_some(Occupied { reader: self })
    }

    /// The next item, by what we last saw.
    pub(crate) fn peek(&self) -> Option<&T> {
        if !self.end.cursor.is_lent() {
            return self.end.cursor.peek();
        }
        is_before(self.index, self.seen).then(|| {
            // SAFETY: the index is `head`, and before what was seen as written, as in `ReadCursor::pop_as`; the reference borrows the
            // reader, so that nothing can be taken while it lives.
            unsafe { self.place.get(self.index) }
        })
    }
}

impl<T, W, R, S> Drop for Reader<T, W, R, S> {
    fn drop(&mut self) {
        self.end_mut(); // The cursor drops what it has not read.
    }
}

/// A slot with the next item in it.
pub(crate) struct Occupied<'a, T, W, R, S> {
    reader: &'a mut Reader<T, W, R, S>,
}

impl<T, W: Weigh<T>, R, S> Occupied<'_, T, W, R, S> {
    /// What both ends have in common.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &S {
        &self.reader.shared
    }

    /// Takes the item, makes of it what `wrap` does, and frees the slot; then goes on as [`Slot::publish`].
    #[inline(always)]
    pub(crate) fn take<A>(
        self,
        wrap: impl FnOnce(T) -> A,
        is_due: impl FnOnce(&S, usize, usize) -> bool,
        ring: impl FnOnce(&S),
    ) -> A {
        if W::COUNTS_ITEMS.get() {
            let index = self.reader.index;
            self.reader.place.prefetch_to_read(index, self.reader.seen);
            let mut taken = Deferred::new(self.reader, move |reader| {
                let now = index.wrapping_add(1);
                reader.accounting.publish_head(now);
                let is_due = is_due(&reader.shared, index, now);
                reader.index = now;
                if is_due {
                    ring(&reader.shared);
                }
            });
            // SAFETY: the index is before the limit (`occupied`), so that the cursor has lent it: it is `head`, the slot holds
            // an item, as last seen, and is ours until it is given back.
            wrap(unsafe { taken.with().place.take(index) })
        } else {
            let Reader { end, shared, .. } = self.reader;
            end.cursor.pop_as(wrap, |before, now| {
                if is_due(shared, before, now) {
                    ring(shared);
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{cursor::ring, Marks, Most},
        *,
    };
    use crate::{
        interval::FenceInterval,
        lines::{assert_apart, pairs},
        weigh::Items,
    };
    use core::mem::size_of;

    type W = Writer<u64, Items, (), ()>;
    type R = Reader<u64, Items, (), ()>;

    fn ends() -> (W, R) {
        let marks = Marks::new(8, None, Most::Slots(8)).expect("legal marks");
        let (write, read) =
            ring(8, marks, Most::Slots(8), Items, 0, FenceInterval::NEVER).expect("memory");
        (
            Writer::new(write, (), Arc::new(())),
            Reader::new(read, (), Arc::new(())),
        )
    }

    #[test]
    fn what_an_end_has_in_registers_is_no_more_than_a_cache_line() {
        assert!(size_of::<W>() <= 64);
        assert!(size_of::<R>() <= 64);
    }

    #[test]
    fn the_ends_and_what_they_publish_share_no_lines() {
        let (writer, reader) = ends();
        assert_apart([
            ("write end", pairs(&**writer.end)),
            ("read end", pairs(&**reader.end)),
            ("write", pairs(&writer.accounting.write)),
            ("read", pairs(&writer.accounting.read)),
        ]);
    }

    #[test]
    fn what_was_lent_is_brought_back_by_whoever_asks_for_the_cursor() {
        let (mut writer, mut reader) = ends();
        for item in 0..7 {
            writer.slot_below_mark(1).expect("below the mark").publish(
                item,
                |_, _, _| false,
                |_| (),
            );
        }
        assert!(!writer.has_room(), "the next one reaches the mark");
        assert_eq!(writer.len(), 7);
        assert_eq!(writer.end().cursor.index(), 7);
        assert_eq!(writer.len(), 7, "the same when it was brought back");

        assert!(reader.occupied().is_none());
        assert_eq!(reader.ask(|end| end.cursor.look()), 7);
        for item in 0..3 {
            assert_eq!(reader.peek(), Some(&item));
            assert_eq!(
                reader
                    .occupied()
                    .expect("it was seen")
                    .take(|i| i, |_, _, _| false, |_| ()),
                item
            );
        }
        assert_eq!(reader.index(), 3);
        #[cfg(feature = "std")]
        assert_eq!(reader.items_seen(), 4);
        let cursor = &mut reader.end_mut().cursor;
        assert_eq!((cursor.index(), cursor.items_seen()), (3, 4));
        assert_eq!(reader.index(), 3, "the same when it was brought back");
        assert!(
            reader.occupied().is_none(),
            "nothing is lent until the next question"
        );
        assert_eq!(reader.peek(), Some(&3), "but it may be looked at");
    }

    #[test]
    fn a_reader_that_is_dropped_leaves_its_cursor_only_what_was_not_taken() {
        let marks = Marks::new(8, None, Most::Slots(8)).expect("legal marks");
        let (write, read) =
            ring(8, marks, Most::Slots(8), Items, 0, FenceInterval::NEVER).expect("memory");
        let mut writer = Writer::new(write, (), Arc::new(()));
        let mut reader = Reader::new(read, (), Arc::new(()));
        let item = Arc::new(());
        for _ in 0..3 {
            let slot = writer.slot_below_mark(1).expect("below the mark");
            slot.publish(item.clone(), |_, _, _| false, |_| ());
        }
        assert_eq!(reader.ask(|end| end.cursor.look()), 3);
        let taken = reader.occupied().expect("it was seen");
        let taken = taken.take(|item| item, |_, _, _| false, |_| ());
        drop(reader);
        drop(writer);
        drop(taken);
        assert_eq!(Arc::strong_count(&item), 1, "each was dropped once");
    }

    #[test]
    fn what_is_written_when_the_reader_has_gone_goes_with_the_ring_at_the_latest() {
        let marks = Marks::new(8, None, Most::Slots(8)).expect("legal marks");
        let (write, read) =
            ring(8, marks, Most::Slots(8), Items, 0, FenceInterval::NEVER).expect("memory");
        let mut writer = Writer::new(write, (), Arc::new(()));
        drop(read);
        let item = Arc::new(());
        let slot = writer.slot_below_mark(1).expect("below the mark");
        slot.publish(item.clone(), |_, _, _| false, |_| ());
        assert_eq!(Arc::strong_count(&item), 2);
        drop(writer);
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
