//! What a channel takes of memory while it is idle, and when: bounds on which a server with many of them can
//! count.
#![cfg(all(target_arch = "x86_64", feature = "std", not(loom)))]

use highwater::{Builder, Bytes, Consumer, Producer};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    mem::size_of,
    time::Duration,
};

thread_local! {
    /// What this thread has allocated and not freed.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    /// How often.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
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

/// How often `body` allocates.
fn allocations(body: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    body();
    ALLOCATIONS.with(Cell::get) - before
}

/// What comes on top of the slots: the lines that each side has for itself, and what its waits need.
const OVERHEAD: usize = 2304;
/// Both ends, which lie wherever they are kept; what only a wait needs is on the heap.
const ENDS: usize = 144;

#[test]
fn an_idle_channel_takes_its_slots_and_at_most_two_and_a_quarter_kibibytes_more() {
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

#[test]
fn what_does_not_wait_allocates_nothing_nor_do_waits_after_the_first() {
    let (mut producer, mut consumer) = Builder::new().high_water_mark(4).build::<u64>().unwrap();
    let without_a_wait = |producer: &mut Producer<u64>, consumer: &mut Consumer<u64>| {
        for i in 0..100 {
            while producer.try_write(i).is_ok() {}
            let _ = (producer.len(), producer.need_drain(), consumer.peek());
            while consumer.try_read().is_ok() {}
            producer.write(i).unwrap();
            producer.wait_drain().unwrap();
            producer.batch().try_write(i).unwrap().is_backpressure();
            let _ = producer.try_write_slice(&[i; 3]);
            consumer.read().unwrap();
            consumer.try_chunk_up_to(9).unwrap().consume(1);
            assert!(consumer.try_iter().count() > 0);
            let mut chunk = producer.try_reserve(2).unwrap();
            chunk.fill([i, i]);
            let _ = chunk.commit();
            assert_eq!(consumer.try_read_slice(&mut [0; 4]), Ok(2));
        }
    };
    assert_eq!(
        allocations(|| without_a_wait(&mut producer, &mut consumer)),
        0
    );

    let wait = |consumer: &mut Consumer<u64>| {
        let monitor = consumer.monitor();
        let before = monitor.stats().consumer_parks;
        while monitor.stats().consumer_parks == before {
            assert!(consumer.read_timeout(Duration::from_millis(1)).is_err());
        }
    };
    // Several, as the very first may be over before it sleeps: the system takes its time to allow `membarrier`.
    let first = allocations(|| (0..5).for_each(|_| wait(&mut consumer)));
    println!("{first} for the first waits of a thread");
    assert!((1..=4).contains(&first), "{first}");
    assert_eq!(allocations(|| (0..10).for_each(|_| wait(&mut consumer))), 0);
    assert_eq!(
        allocations(|| without_a_wait(&mut producer, &mut consumer)),
        0
    );
}
