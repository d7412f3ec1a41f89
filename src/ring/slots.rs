//! Memory: the only place that reads and writes raw slots.
//!
//! Knows nothing of heads, tails or marks: which slot holds an item is the callers' promise, which
//! `cursor.rs` keeps. Indices run on for ever and wrap; a mask makes slots of them.
#![allow(unsafe_code)]

use super::cursor::is_before;
use crate::{
    error::BuildError,
    lines::LINE,
    sync::{AtomicUsize, Ordering, MODEL},
};
use alloc::{
    alloc::{alloc, dealloc, Layout},
    boxed::Box,
};
use core::{
    cell::UnsafeCell,
    mem::{align_of, MaybeUninit},
    ptr::NonNull,
    slice,
};
use crossbeam_utils::CachePadded;

/// What a weight takes.
const WEIGHT: usize = core::mem::size_of::<usize>();

/// So many weights of 0, or `None` if there is no memory for them. As the slots, they take none before they are used.
#[cfg(not(all(loom, feature = "loom")))]
fn zeros(count: usize) -> Option<Box<[AtomicUsize]>> {
    let layout = Layout::array::<AtomicUsize>(count).ok()?;
    if layout.size() == 0 || layout.size() > isize::MAX as usize {
        return None;
    }
    // SAFETY: the size is not 0.
    let begin = NonNull::new(unsafe { alloc::alloc::alloc_zeroed(layout) }.cast::<AtomicUsize>())?;
    let weights = core::ptr::slice_from_raw_parts_mut(begin.as_ptr(), count);
    // SAFETY: it was allocated with the layout of this slice, an atomic number is laid out as a number, and all of them are 0.
    Some(unsafe { Box::from_raw(weights) })
}

/// A model's numbers are more than numbers.
#[cfg(all(loom, feature = "loom"))]
fn zeros(count: usize) -> Option<Box<[AtomicUsize]>> {
    Some((0..count).map(|_| AtomicUsize::new(0)).collect())
}

/// Consecutive slots: up to the edge of the memory, and from its beginning on.
pub(crate) type Halves<'a, T> = (&'a mut [T], &'a mut [T]);

/// Uninitialised memory on pairs of cache lines of its own: what is written to the first slots and the last
/// ones is not to slow down whoever has the neighbours in the heap, nor they us.
struct Memory<T> {
    /// Invariant in `T`, as the cells are.
    begin: NonNull<UnsafeCell<MaybeUninit<T>>>,
    count: usize,
}

impl<T> Memory<T> {
    /// `None` if there is not so much.
    fn new(count: usize) -> Option<Self> {
        let layout = Self::layout(count)?;
        let begin = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            // SAFETY: the size is not 0.
            NonNull::new(unsafe { alloc(layout) }.cast())?
        };
        Some(Self { begin, count })
    }

    fn layout(count: usize) -> Option<Layout> {
        let pair = align_of::<CachePadded<u8>>();
        let slots = Layout::array::<T>(count).ok()?.align_to(pair).ok()?;
        // Offsets within it are to fit: an old `Layout` does not see to that.
        let layout = slots.pad_to_align();
        (layout.size() <= isize::MAX as usize).then_some(layout)
    }

    #[inline(always)]
    fn begin(&self) -> *mut T {
        self.begin.as_ptr().cast()
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.count).filter(|layout| layout.size() > 0) {
            // SAFETY: `new` allocated it with this layout.
            unsafe { dealloc(self.begin.as_ptr().cast(), layout) };
        }
    }
}

/// The slots for the items, and for weighted channels a parallel array of weights.
///
/// The weights lie beside the items, not among them, so that neighbouring items stay a slice.
pub(crate) struct Slots<T> {
    memory: Memory<T>,
    weights: Box<[AtomicUsize]>,
    place: Place<T>,
}

/// Where the slots of a ring are: what an end keeps by value, so that a loop has it in registers. Nothing asks whether
/// the memory is still there: each end keeps its ring.
pub(crate) struct Place<T> {
    /// Invariant in `T`, as [`Memory`] is.
    begin: NonNull<UnsafeCell<MaybeUninit<T>>>,
    mask: usize,
    shadow: shadow::Shadow,
}

// SAFETY: Slots hands out items, and references to them, only through unsafe methods, whose
// callers promise that each slot is touched by one thread at a time; then moving items between
// threads is all that is asked of T.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Place<T> {}

/// The most slots a channel may have: distances between indices stay below half of their range,
/// so that wrapping comparisons are unambiguous, and the next power of two exists.
pub(crate) const MAX_CAPACITY: usize = (usize::MAX >> 2) + 1;

impl<T> Slots<T> {
    /// Memory for at least `capacity` items: the next power of two, as the index is masked.
    pub(crate) fn new(capacity: usize, weighted: bool) -> Result<Self, BuildError> {
        debug_assert!(capacity > 0);
        if capacity > MAX_CAPACITY {
            return Err(BuildError::CapacityTooLarge {
                capacity,
                max: MAX_CAPACITY,
            });
        }
        let count = capacity.next_power_of_two();
        let no_memory = BuildError::OutOfMemory {
            capacity,
            slot_size: core::mem::size_of::<T>() + if weighted { WEIGHT } else { 0 },
        };

        let memory = Memory::new(count).ok_or(no_memory)?;
        let weights = match weighted {
            true => zeros(count).ok_or(no_memory)?,
            false => Box::default(),
        };

        let place = Place {
            begin: memory.begin,
            mask: count - 1,
            shadow: shadow::Shadow::new(count),
        };

        Ok(Self {
            memory,
            weights,
            place,
        })
    }

    pub(crate) fn place(&self) -> &Place<T> {
        &self.place
    }

    /// Drops the item in the slot at `index` where it lies.
    ///
    /// # Safety
    ///
    /// As for [`take`](Self::take).
    pub(crate) unsafe fn drop_in_place(&self, index: usize) {
        self.place.shadow.write(index & self.place.mask);
        // SAFETY: the caller promises that the slot is initialised, ours, and not used again.
        unsafe { self.place.slot(index).drop_in_place() }
    }

    /// Drops the items in `count` slots from `index` on; those behind one that panics, too.
    ///
    /// # Safety
    ///
    /// As for [`take`](Self::take), for each of them.
    pub(crate) unsafe fn drop_range(&self, index: usize, count: usize) {
        /// What is left of the range.
        struct Rest<'a, T>(&'a Slots<T>, usize, usize);

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.2 > 0 {
                    // Stepped over first: a drop that panics is not repeated, and unwinding comes
                    // back here for the rest.
                    let index = self.1;
                    self.1 = index.wrapping_add(1);
                    self.2 -= 1;
                    let rest = Rest(self.0, self.1, core::mem::take(&mut self.2));
                    // SAFETY: the caller of `drop_range` promises that the slot holds an item.
                    unsafe { self.0.drop_in_place(index) };
                    self.2 = rest.2;
                    core::mem::forget(rest);
                }
            }
        }

        if core::mem::needs_drop::<T>() {
            drop(Rest(self, index, count));
        }
    }

    fn shadow_range(&self, index: usize, count: usize, touch: fn(&shadow::Shadow, usize)) {
        if cfg!(all(loom, feature = "loom")) {
            (0..count)
                .for_each(|i| touch(&self.place.shadow, index.wrapping_add(i) & self.place.mask));
        }
    }

    /// How many of `count` slots from `index` on come before the edge of the memory.
    #[inline(always)]
    fn before_edge(&self, index: usize, count: usize) -> usize {
        count.min(self.count() - (index & self.place.mask))
    }

    /// `count` slots from `index` on, without a claim that they hold items: in two slices, as they may
    /// lie across the edge of the memory.
    ///
    /// # Safety
    ///
    /// There are that many slots, and while the slices live nobody else touches these.
    #[inline]
    #[allow(clippy::mut_from_ref)] // each slot is a cell; the caller promises to be alone with it
    pub(crate) unsafe fn uninit(&self, index: usize, count: usize) -> Halves<'_, MaybeUninit<T>> {
        debug_assert!(count <= self.count());
        self.shadow_range(index, count, shadow::Shadow::write);
        let first = self.before_edge(index, count);
        let base: *mut MaybeUninit<T> = self.memory.begin().cast();
        // SAFETY: both ranges are within the memory, by `before_edge` and the caller's promise; they
        // do not overlap, as there are no more than all slots; the caller is alone with them.
        unsafe {
            (
                slice::from_raw_parts_mut(base.add(index & self.place.mask), first),
                slice::from_raw_parts_mut(base, count - first),
            )
        }
    }

    /// Copies `items` into the slots from `index` on.
    ///
    /// # Safety
    ///
    /// As for [`uninit`](Self::uninit); what the slots hold is not dropped.
    #[inline]
    pub(crate) unsafe fn copy_from_slice(&self, index: usize, items: &[T])
    where
        T: Copy,
    {
        // SAFETY: the caller's promise.
        let (first, second) = unsafe { self.uninit(index, items.len()) };
        let (to_first, to_second) = items.split_at(first.len());
        // As whole pieces: a loop that writes slot by slot was compiled to one of narrow moves, of half the speed.
        // SAFETY: source and target have the same length, and the target is nobody else's.
        unsafe {
            let to = first.as_mut_ptr().cast();
            to_first.as_ptr().copy_to_nonoverlapping(to, to_first.len());
            let to = second.as_mut_ptr().cast();
            to_second
                .as_ptr()
                .copy_to_nonoverlapping(to, to_second.len());
        }
    }

    /// The items in `count` slots from `index` on.
    ///
    /// # Safety
    ///
    /// As for [`uninit`](Self::uninit), and each of the slots holds an item.
    #[inline]
    #[allow(clippy::mut_from_ref)] // as for `uninit`
    pub(crate) unsafe fn items_mut(&self, index: usize, count: usize) -> Halves<'_, T> {
        // SAFETY: the caller's promise; a MaybeUninit<T> that is initialised is a T.
        unsafe {
            let (first, second) = self.uninit(index, count);
            (
                slice::from_raw_parts_mut(first.as_mut_ptr().cast(), first.len()),
                slice::from_raw_parts_mut(second.as_mut_ptr().cast(), second.len()),
            )
        }
    }

    /// The same, to look at only.
    ///
    /// # Safety
    ///
    /// Each of the slots holds an item, and while the slices live nobody takes or changes any.
    #[inline]
    pub(crate) unsafe fn items(&self, index: usize, count: usize) -> (&[T], &[T]) {
        debug_assert!(count <= self.count());
        self.shadow_range(index, count, shadow::Shadow::read);
        let first = self.before_edge(index, count);
        let base = self.memory.begin();
        // SAFETY: as in `uninit`; the slots are initialised, and nobody writes to them.
        unsafe {
            (
                slice::from_raw_parts(base.add(index & self.place.mask), first),
                slice::from_raw_parts(base, count - first),
            )
        }
    }

    /// The number of slots, a power of two.
    pub(crate) fn count(&self) -> usize {
        self.memory.count
    }

    /// Notes the total weight written up to and with the item at `index`. Weighted channels only.
    #[inline(always)]
    pub(crate) fn set_weight(&self, index: usize, total: usize) {
        // Relaxed: handed over with the item, by the Release store of the index.
        self.weights[index & self.place.mask].store(total, Ordering::Relaxed);
    }

    /// What [`set_weight`](Self::set_weight) noted.
    #[inline(always)]
    pub(crate) fn weight(&self, index: usize) -> usize {
        // Relaxed: as in `set_weight`; the reader has acquired the index.
        self.weights[index & self.place.mask].load(Ordering::Relaxed)
    }
}

impl<T> Place<T> {
    #[inline(always)]
    fn slot(&self, index: usize) -> *mut T {
        // SAFETY: mask is one less than the number of slots, so the masked index is within bounds.
        unsafe { self.begin.as_ptr().cast::<T>().add(index & self.mask) }
    }

    /// How many items share a cache line; 0 if an item is larger than one: it then pays less to ask for them ahead
    /// of time.
    const PER_LINE: usize = items_per_line(core::mem::size_of::<T>());

    /// Asks the processor for the slot that will be read now.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: usize) {
        let _slot = self.slot(index);
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a hint, which does nothing that the program could see.
        unsafe {
            use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
            _mm_prefetch::<_MM_HINT_T0>(_slot.cast());
        }
    }

    /// Asks the processor for the slots that will be read soon, before `end`.
    #[inline(always)]
    pub(crate) fn prefetch_to_read(&self, index: usize, end: usize) {
        if let Some(soon) = self.soon(index, end) {
            self.prefetch(soon);
        }
    }

    /// How many items are claimed at once; 0 if none.
    const GROUP: usize = items_per_group(core::mem::size_of::<T>());

    /// The most of those that were written at once for as many to be claimed.
    const MANY: usize = Self::GROUP * 8;

    /// Whether `index` comes to a new group, so that it is time to claim the next one.
    #[inline(always)]
    pub(super) fn begins_group(index: usize) -> bool {
        Self::GROUP != 0 && index & (Self::GROUP - 1) == 0
    }

    /// Up to where to claim if the next item is to be at `index`: all of the next group.
    pub(super) fn next_group(index: usize) -> usize {
        index.wrapping_add(2 * Self::GROUP - (index & Self::GROUP.saturating_sub(1)))
    }

    /// The same right before an item is written that begins a group: that one was claimed before.
    pub(super) fn of_next_group(index: usize) -> (usize, usize) {
        let next = index.wrapping_add(Self::GROUP);
        (next, next.wrapping_add(Self::GROUP))
    }

    /// The same behind as many as have been written at once, if they came to a new group: what comes next is as long.
    #[inline(always)]
    pub(super) fn next_many(before: usize, now: usize) -> Option<usize> {
        let group = Self::GROUP;
        if group == 0 || (before ^ now) & !(group - 1) == 0 {
            return None;
        }
        let many = now.wrapping_sub(before).clamp(group, Self::MANY);
        Some(now.wrapping_add(many))
    }

    /// Claims the slots from `from` on, up to `to` and before `end`: takes their cache lines from the other processor's cache, by
    /// writing to each. Returns up to where.
    ///
    /// Stores leave a processor one after the other. One to a line that the reader has looked at waits until that is ours
    /// again; and if each is followed by one to the index, all wait for one line after the other. One after
    /// the other to several such lines they wait for all at once. (Measured on AMD's Zen 4. A prefetch with intent to write does
    /// nothing there for a line that both caches have.)
    ///
    /// # Safety
    ///
    /// The slots from `from` to `end` hold no items that anyone will read or drop, and no other thread touches them until an index behind them is published.
    #[inline]
    pub(super) unsafe fn claim(&self, from: usize, to: usize, end: usize) -> usize {
        // In a ring of few lines the reader is at work on those that would be claimed.
        if Self::GROUP == 0 || self.mask < 2 * Self::GROUP || !is_before(from, end) {
            return from;
        }
        // Items that share a line are claimed together. What shares one with `end` the reader may still be at work on.
        let together = Self::PER_LINE.max(1);
        let end = end.wrapping_sub(end & (together - 1));
        let to = if is_before(to, end) { to } else { end };
        if !is_before(from, to) {
            return from;
        }
        // In one piece but for the edge of the memory.
        let count = to.wrapping_sub(from);
        let to_edge = (self.mask + 1 - (from & self.mask)).min(count);
        for (from, count) in [
            (from, to_edge),
            (from.wrapping_add(to_edge), count - to_edge),
        ] {
            #[cfg(all(loom, feature = "loom"))]
            for slot in 0..count {
                self.shadow.write(from.wrapping_add(slot) & self.mask);
            }
            let begin = self.slot(from).cast::<u8>();
            let bytes = count * core::mem::size_of::<T>();
            let mut byte = 0;
            while byte < bytes {
                // SAFETY: within the slots, which are ours by the caller's promise, and may hold anything. Volatile, as what is
                // written here is overwritten before anybody reads it.
                unsafe { begin.add(byte).write_volatile(0) };
                byte += LINE;
            }
        }
        to
    }

    /// What to ask for, whenever `index` comes to a new line: the line that is four lines ahead, measured to help
    /// most. One at `end` must be left to the other side, which is at work there: then it is the slot itself, which is no
    /// loss, whereas a second condition would be computed for each item.
    #[inline(always)]
    fn soon(&self, index: usize, end: usize) -> Option<usize> {
        if Self::PER_LINE == 0 || index & (Self::PER_LINE - 1) != 0 {
            return None;
        }
        let ahead = 4 * Self::PER_LINE;
        let is_near = end.wrapping_sub(index) <= ahead;
        Some(if is_near {
            index
        } else {
            index.wrapping_add(ahead)
        })
    }

    /// Moves `item` into the slot at `index`.
    ///
    /// # Safety
    ///
    /// The slot holds no item, and no other thread touches it until the index is published.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, index: usize, item: T) {
        self.shadow.write(index & self.mask);
        // SAFETY: the pointer is in bounds and aligned; the caller promises that it is ours.
        unsafe { self.slot(index).write(item) }
    }

    /// Moves the item out of the slot at `index`.
    ///
    /// # Safety
    ///
    /// The slot holds an item, which is not used again, and no other thread touches the slot.
    #[inline(always)]
    pub(crate) unsafe fn take(&self, index: usize) -> T {
        self.shadow.write(index & self.mask);
        // SAFETY: the caller promises that the slot is initialised and ours.
        unsafe { self.slot(index).read() }
    }

    /// Borrows the item in the slot at `index`.
    ///
    /// # Safety
    ///
    /// The slot holds an item, and nothing takes or overwrites it while the reference lives.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, index: usize) -> &T {
        self.shadow.read(index & self.mask);
        // SAFETY: the caller promises that the slot is initialised and stays so.
        unsafe { &*self.slot(index) }
    }
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        Self {
            begin: self.begin,
            mask: self.mask,
            shadow: self.shadow.clone(),
        }
    }
}

#[cfg(not(all(loom, feature = "loom")))]
mod shadow {
    /// Outside a model the slots need no shadow.
    #[derive(Clone)]
    pub(super) struct Shadow;

    impl Shadow {
        pub(super) fn new(_count: usize) -> Self {
            Self
        }
        #[inline(always)]
        pub(super) fn write(&self, _slot: usize) {}
        #[inline(always)]
        pub(super) fn read(&self, _slot: usize) {}
    }
}

#[cfg(all(loom, feature = "loom"))]
mod shadow {
    use alloc::sync::Arc;
    use loom::cell::UnsafeCell;

    /// One loom cell beside each slot, touched with it: loom then sees each race on plain memory.
    #[derive(Clone)]
    pub(super) struct Shadow(Arc<[UnsafeCell<()>]>);

    impl Shadow {
        pub(super) fn new(count: usize) -> Self {
            Self((0..count).map(|_| UnsafeCell::new(())).collect())
        }
        pub(super) fn write(&self, slot: usize) {
            self.0[slot].with_mut(|_| ());
        }
        pub(super) fn read(&self, slot: usize) {
            self.0[slot].with(|_| ());
        }
    }
}

/// See [`Place::GROUP`]: a power of two, so that it is asked for with a mask, and eight lines or nearly so. What is larger
/// than half of that is written to several lines one after the other anyway.
const fn items_per_group(size: usize) -> usize {
    const BYTES: usize = 8 * LINE;
    if size == 0 || size > BYTES / 2 {
        0
    } else if MODEL {
        1
    } else {
        1 << (usize::BITS - 1 - (BYTES / size).leading_zeros())
    }
}

/// See [`Place::PER_LINE`]: a power of two, so that it is asked for with a mask.
const fn items_per_line(size: usize) -> usize {
    if size == 0 || size > LINE {
        0
    } else if MODEL {
        1
    } else {
        1 << (usize::BITS - 1 - (LINE / size).leading_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::PAIR;
    use alloc::vec::Vec;

    fn begin_and_size<T>(capacity: usize) -> (usize, usize) {
        let slots = Slots::<T>::new(capacity, false).expect("there is memory");
        let layout = Memory::<T>::layout(slots.count()).expect("as allocated");
        (slots.place.slot(0) as usize, layout.size())
    }

    #[test]
    fn slots_have_pairs_of_cache_lines_of_their_own() {
        for capacity in [1, 3, 64, 1000, 100_000] {
            for (begin, size) in [
                begin_and_size::<u8>(capacity),
                begin_and_size::<u64>(capacity),
                begin_and_size::<[u8; 3]>(capacity),
            ] {
                assert_eq!((begin % PAIR, size % PAIR), (0, 0), "capacity {capacity}");
            }
        }
    }

    #[test]
    fn slots_are_aligned_for_items_that_want_more_and_take_nothing_for_items_without_a_size() {
        #[repr(align(4096))]
        struct Page;
        #[repr(align(4096))]
        struct FullPage(#[allow(dead_code)] u8);

        assert_eq!(begin_and_size::<FullPage>(3).0 % 4096, 0);
        let (begin, size) = begin_and_size::<Page>(1 << (usize::BITS - 24));
        assert_eq!((begin % 4096, size), (0, 0));
    }

    #[test]
    fn slots_that_cannot_be_had_are_an_error() {
        // The one has no size that fits into a `usize`, the other one that no machine has.
        let too_much = MAX_CAPACITY / if usize::BITS == 64 { 8 } else { 4 };
        for capacity in [MAX_CAPACITY, too_much] {
            assert!(Memory::<u64>::new(capacity).is_none());
        }
    }

    /// Claims of 1024 slots; which of their lines were written to, and up to where they are claimed.
    fn claim<T>(from: usize, to: usize, end: usize) -> (Vec<usize>, usize) {
        let slots = Slots::<T>::new(1024, false).expect("there is memory");
        let (begin, size) = (
            slots.place().slot(0).cast::<u8>(),
            core::mem::size_of::<T>(),
        );
        let bytes = size * slots.count();
        // SAFETY: the memory of all slots, which nobody else has, and which hold nothing.
        let (claimed, memory) = unsafe {
            begin.write_bytes(7, bytes);
            let claimed = slots.place().claim(from, to, end);
            (claimed, slice::from_raw_parts(begin, bytes))
        };
        let written: Vec<_> = (0..bytes).filter(|byte| memory[*byte] == 0).collect();
        let mut lines: Vec<_> = written.into_iter().map(|byte| byte / LINE).collect();
        lines.dedup();
        (lines, claimed)
    }

    #[test]
    fn each_line_is_claimed_also_over_the_edge_and_where_indices_wrap() {
        let all = |lines: core::ops::Range<usize>, claimed| (lines.collect(), claimed);
        assert_eq!(claim::<u64>(0, 128, 1024), all(0..16, 128));
        assert_eq!(claim::<u64>(3, 128, 1024), all(0..16, 128));
        assert_eq!(claim::<u64>(15, 128, 1024), all(1..16, 128));
        let at_edge = || (0..8).chain(120..128).collect();
        assert_eq!(claim::<u64>(960, 1088, 1500), (at_edge(), 1088));
        let from = usize::MAX - 63;
        assert_eq!(claim::<u64>(from, 64, 500), (at_edge(), 64));
        // Also if an item is not whole lines, or larger than one.
        assert_eq!(claim::<[u8; 12]>(5, 64, 1024), all(0..12, 64));
        assert_eq!(claim::<[u8; 64]>(1, 16, 1024), all(1..16, 16));
        assert_eq!(claim::<[u8; 100]>(4, 12, 1024), all(6..19, 12));
        assert_eq!(claim::<[u8; 256]>(0, 4, 1024), all(0..16, 4));
    }

    #[test]
    fn nothing_is_claimed_from_the_line_of_the_end_on() {
        assert_eq!(claim::<u64>(8, 136, 21), (Vec::from([1]), 16));
        for end in [13, 8, 5] {
            assert_eq!(claim::<u64>(8, 136, end), (Vec::new(), 8), "{end}");
        }
    }

    #[test]
    fn nothing_is_claimed_of_a_ring_of_few_lines_nor_of_items_with_no_size_or_of_many_lines() {
        assert_eq!(claim::<u8>(0, 1024, 1024), (Vec::new(), 0));
        assert_eq!(claim::<[u8; 257]>(0, 4, 1024), (Vec::new(), 0));
        assert_eq!(claim::<[u8; 0]>(0, 4, 1024), (Vec::new(), 0));
    }

    #[test]
    fn what_is_claimed_next_is_a_group_or_as_long_as_what_came_last() {
        type Words = Place<u64>;
        assert!(Words::begins_group(0) && Words::begins_group(64) && !Words::begins_group(65));
        assert_eq!([0, 1, 63, 64].map(Words::next_group), [128, 128, 128, 192]);
        assert_eq!(Words::of_next_group(64), (128, 192));
        assert_eq!(Words::next_many(1, 63), None);
        assert_eq!(Words::next_many(65, 127), None);
        assert_eq!(Words::next_many(63, 64), Some(128));
        assert_eq!(Words::next_many(0, 100), Some(200));
        assert_eq!(Words::next_many(0, 1000), Some(1512));
        assert_eq!(Words::next_many(usize::MAX, 1), Some(65));
        assert_eq!(Place::<()>::next_group(7), 7);
        type Large = Place<[u8; 300]>;
        assert!(!Large::begins_group(0));
        assert_eq!(Large::next_many(0, 100), None);
    }

    #[test]
    fn items_of_a_group_are_counted_by_a_power_of_two() {
        let sizes = [0, 1, 8, 12, 33, 64, 65, 100, 256, 257];
        let groups = [0, 512, 64, 32, 8, 8, 4, 4, 2, 0];
        assert_eq!(sizes.map(items_per_group), groups);
    }

    #[test]
    fn items_that_share_a_line_are_counted_by_a_power_of_two() {
        let sizes = [0, 1, 8, 12, 33, 64, 65];
        assert_eq!(sizes.map(items_per_line), [0, 64, 8, 4, 1, 1, 0]);
    }
}
