//! What a channel takes of memory while it is idle: bounds on which a server with many of them can count.
#![cfg(all(target_arch = "x86_64", feature = "std", not(loom)))]

use highwater::{Builder, Bytes, Consumer, Producer};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    mem::size_of,
};

thread_local! {
    /// What this thread has allocated and not freed.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_sub(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes on the heap that belong to what `make` returns.
fn heap<T>(make: impl FnOnce() -> T) -> usize {
    let before = ALLOCATED.with(Cell::get);
    let made = make();
    let after = ALLOCATED.with(Cell::get);
    drop(made);
    assert_eq!(ALLOCATED.with(Cell::get), before, "all is given back");
    after.wrapping_sub(before)
}

/// What comes on top of the slots: the lines that each side has for itself, and what its waits need.
const OVERHEAD: usize = 2048;
/// Both ends, which lie wherever they are kept; what only a wait needs is on the heap.
const ENDS: usize = 384;

#[test]
fn an_idle_channel_takes_its_slots_and_at_most_two_kibibytes_more() {
    let takes = |slots: usize, all: usize| {
        println!("{slots} bytes of slots: {} more", all - slots);
        assert!((slots..=slots + OVERHEAD).contains(&all), "{all}");
    };
    takes(8 * 1024, heap(|| highwater::channel::<u64>(1024)));
    takes(8 * 1024, heap(|| highwater::channel::<u64>(1000)));
    // The lines of a small channel's slots are its own, too.
    takes(128, heap(|| highwater::channel::<u8>(1)));
    takes(0, heap(|| highwater::channel::<()>(1 << 20)));
    // A word for each weight.
    takes(
        (24 + 8) * 1024,
        heap(|| {
            let builder = Builder::new().capacity(1024).weigh_by(Bytes);
            builder.build::<String>().expect("legal marks")
        }),
    );
    let ends = [size_of::<Producer<u64>>(), size_of::<Consumer<u64>>()];
    println!("a producer and a consumer: {ends:?}");
    assert!(ends[0] + ends[1] <= ENDS, "{ends:?}");
}
