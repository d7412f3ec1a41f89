//! Memory: the only place that reads and writes raw slots.
//!
//! Knows nothing of heads, tails or marks: which slot holds an item is the callers' promise, which
//! `cursor.rs` keeps. Indices run on for ever and wrap; a mask makes slots of them.

use crate::{
    error::BuildError,
    sync::{AtomicUsize, Ordering},
};
use alloc::{boxed::Box, vec::Vec};
use core::{cell::UnsafeCell, mem::MaybeUninit, slice};

/// Consecutive slots: up to the edge of the memory, and from its beginning on.
pub(crate) type Halves<'a, T> = (&'a mut [T], &'a mut [T]);

/// The slots for the items, and for weighted channels a parallel array of weights.
///
/// The weights lie beside the items, not among them, so that neighbouring items stay a slice.
pub(crate) struct Slots<T> {
    memory: Box<[UnsafeCell<MaybeUninit<T>>]>,
    weights: Box<[AtomicUsize]>,
    shadow: shadow::Shadow,
    mask: usize,
}

// SAFETY: Slots hands out items, and references to them, only through unsafe methods, whose
// callers promise that each slot is touched by one thread at a time; then moving items between
// threads is all that is asked of T.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Slots<T> {}

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
        let no_memory = |_| BuildError::OutOfMemory {
            capacity,
            item_size: core::mem::size_of::<T>(),
        };

        let mut memory = Vec::new();
        memory.try_reserve_exact(count).map_err(no_memory)?;
        // SAFETY: the memory is reserved, and an UnsafeCell<MaybeUninit<T>> needs no initialisation.
        unsafe { memory.set_len(count) };

        let mut weights = Vec::new();
        if weighted {
            weights.try_reserve_exact(count).map_err(no_memory)?;
            weights.resize_with(count, || AtomicUsize::new(0));
        }

        Ok(Self {
            memory: memory.into_boxed_slice(),
            weights: weights.into_boxed_slice(),
            shadow: shadow::Shadow::new(count),
            mask: count - 1,
        })
    }

    #[inline(always)]
    fn slot(&self, index: usize) -> *mut T {
        // SAFETY: mask is memory.len() - 1, so the masked index is within bounds.
        let cell = unsafe { self.memory.get_unchecked(index & self.mask) };
        cell.get().cast()
    }

    /// How many items share a cache line; 0 if an item fills one or more, as it then pays less to ask for
    /// them ahead of time.
    const PER_LINE: usize = {
        const LINE: usize = 64;
        let size = core::mem::size_of::<T>();
        if size == 0 || size > LINE {
            0
        } else {
            // The power of two below it.
            1 << (usize::BITS - 1 - (LINE / size).leading_zeros())
        }
    };

    /// Asks the processor for the slots that will be read soon, if there are any before `end`.
    #[inline(always)]
    pub(crate) fn prefetch_to_read(&self, index: usize, end: usize) {
        if let Some(_slot) = self.soon(index, end) {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            // SAFETY: a hint, which does nothing that the program could see.
            unsafe {
                use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
                _mm_prefetch::<_MM_HINT_T0>(_slot.cast());
            }
        }
    }

    /// Asks the processor for the slots that will be written soon, if there are any before `end`.
    #[inline(always)]
    pub(crate) fn prefetch_to_write(&self, index: usize, end: usize) {
        if let Some(_slot) = self.soon(index, end) {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            // SAFETY: as above; where a processor does not know it, it does nothing at all. (As an
            // intrinsic it is to be had for chosen processors only.)
            unsafe {
                core::arch::asm!(
                    "prefetchw [{}]", in(reg) _slot, options(nostack, preserves_flags, readonly)
                );
            }
        }
    }

    /// What to ask for: the line that is four lines ahead, whenever `index` comes to a new one. Measured to
    /// help most so. A line at `end` must be left to the other side, which is at work there.
    #[inline(always)]
    fn soon(&self, index: usize, end: usize) -> Option<*mut T> {
        let ahead = 4 * Self::PER_LINE;
        (Self::PER_LINE > 0 && index & (Self::PER_LINE - 1) == 0 && end.wrapping_sub(index) > ahead)
            .then(|| self.slot(index.wrapping_add(ahead)))
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

    /// Drops the item in the slot at `index` where it lies.
    ///
    /// # Safety
    ///
    /// As for [`take`](Self::take).
    pub(crate) unsafe fn drop_in_place(&self, index: usize) {
        self.shadow.write(index & self.mask);
        // SAFETY: the caller promises that the slot is initialised, ours, and not used again.
        unsafe { self.slot(index).drop_in_place() }
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
            (0..count).for_each(|i| touch(&self.shadow, index.wrapping_add(i) & self.mask));
        }
    }

    /// How many of `count` slots from `index` on come before the edge of the memory.
    #[inline(always)]
    fn before_edge(&self, index: usize, count: usize) -> usize {
        count.min(self.memory.len() - (index & self.mask))
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
        debug_assert!(count <= self.memory.len());
        self.shadow_range(index, count, shadow::Shadow::write);
        let first = self.before_edge(index, count);
        let base = UnsafeCell::raw_get(self.memory.as_ptr());
        // SAFETY: both ranges are within the memory, by `before_edge` and the caller's promise; they
        // do not overlap, as there are no more than all slots; the caller is alone with them.
        unsafe {
            (
                slice::from_raw_parts_mut(base.add(index & self.mask), first),
                slice::from_raw_parts_mut(base, count - first),
            )
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
        debug_assert!(count <= self.memory.len());
        self.shadow_range(index, count, shadow::Shadow::read);
        let first = self.before_edge(index, count);
        let base: *const T = self.memory.as_ptr().cast();
        // SAFETY: as in `uninit`; the slots are initialised, and nobody writes to them.
        unsafe {
            (
                slice::from_raw_parts(base.add(index & self.mask), first),
                slice::from_raw_parts(base, count - first),
            )
        }
    }

    /// The number of slots, a power of two.
    pub(crate) fn count(&self) -> usize {
        self.memory.len()
    }

    /// Notes the total weight written up to and with the item at `index`. Weighted channels only.
    #[inline(always)]
    pub(crate) fn set_weight(&self, index: usize, total: usize) {
        // Relaxed: handed over with the item, by the Release store of the index.
        self.weights[index & self.mask].store(total, Ordering::Relaxed);
    }

    /// What [`set_weight`](Self::set_weight) noted.
    #[inline(always)]
    pub(crate) fn weight(&self, index: usize) -> usize {
        // Relaxed: as in `set_weight`; the reader has acquired the index.
        self.weights[index & self.mask].load(Ordering::Relaxed)
    }
}

#[cfg(not(all(loom, feature = "loom")))]
mod shadow {
    /// Outside a model the slots need no shadow.
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
    use loom::cell::UnsafeCell;

    /// One loom cell beside each slot, touched with it: loom then sees each race on plain memory.
    pub(super) struct Shadow(Box<[UnsafeCell<()>]>);

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
