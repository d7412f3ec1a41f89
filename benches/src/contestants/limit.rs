//! The least that moving items takes: a ring that is published a block at a time.
//!
//! Whole blocks only: what is in one that is not full is never seen.

use super::{Channel, Item, Receive1, Send1};
use crossbeam_utils::CachePadded;
use std::{
    cell::UnsafeCell,
    collections::VecDeque,
    hint::spin_loop,
    mem::MaybeUninit,
    ptr,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Condvar, Mutex,
    },
};

/// 1024 items at a time, or half the ring.
pub struct Blocks;

impl Channel for Blocks {
    const NAME: &'static str = "limit: ring published in blocks";
    type Sender<T: Item> = End<T>;
    type Receiver<T: Item> = End<T>;

    fn new<T: Item>(capacity: usize) -> (End<T>, End<T>) {
        ring(capacity, (capacity / 2).clamp(1, 1024))
    }
}

/// Half the ring at a time, for slices.
pub fn halves<T>(capacity: usize) -> (End<T>, End<T>) {
    ring(capacity, capacity / 2)
}

fn ring<T>(capacity: usize, block: usize) -> (End<T>, End<T>) {
    assert!(capacity.is_power_of_two() && block.is_power_of_two());
    let slot = || UnsafeCell::new(MaybeUninit::uninit());
    let ring = Arc::new(Ring {
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        slots: (0..capacity).map(|_| slot()).collect(),
    });
    let end = || End {
        at: 0,
        block,
        ring: ring.clone(),
    };
    (end(), end())
}

struct Ring<T> {
    head: CachePadded<AtomicUsize>,
    tail: CachePadded<AtomicUsize>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: the indices say whose a slot is.
unsafe impl<T: Send> Sync for Ring<T> {}

pub struct End<T> {
    at: usize,
    block: usize,
    ring: Arc<Ring<T>>,
}

impl<T> End<T> {
    #[inline(always)]
    fn slot(&self) -> *mut T {
        let slots = &self.ring.slots;
        // SAFETY: the mask keeps it within the slots.
        let slot = unsafe { slots.as_ptr().add(self.at & (slots.len() - 1)) };
        UnsafeCell::raw_get(slot).cast()
    }

    #[inline(always)]
    fn is_at_border(&self) -> bool {
        self.at & (self.block - 1) == 0
    }

    /// What is left of this block.
    #[inline(always)]
    fn rest(&self) -> usize {
        self.block - (self.at & (self.block - 1))
    }

    #[inline(always)]
    fn has_room(&self) -> bool {
        let used = self.at - self.ring.head.load(Ordering::Acquire);
        self.ring.slots.len() - used >= self.block
    }

    #[inline(always)]
    fn has_items(&self) -> bool {
        self.ring.tail.load(Ordering::Acquire) != self.at
    }

    #[inline(always)]
    fn sent(&mut self, count: usize) {
        self.at += count;
        if self.is_at_border() {
            self.ring.tail.store(self.at, Ordering::Release);
        }
    }

    #[inline(always)]
    fn received(&mut self, count: usize) {
        self.at += count;
        if self.is_at_border() {
            self.ring.head.store(self.at, Ordering::Release);
        }
    }
}

impl<T: Copy> End<T> {
    #[inline(always)]
    pub fn try_send_slice(&mut self, items: &[T]) -> usize {
        if self.is_at_border() && !self.has_room() {
            return 0;
        }
        let count = items.len().min(self.rest());
        // SAFETY: this block has been found free, and is not published.
        unsafe { ptr::copy_nonoverlapping(items.as_ptr(), self.slot(), count) };
        self.sent(count);
        count
    }

    #[inline(always)]
    pub fn try_receive_slice(&mut self, items: &mut [T]) -> usize {
        if self.is_at_border() && !self.has_items() {
            return 0;
        }
        let count = items.len().min(self.rest());
        // SAFETY: this block has been published, and is not given back.
        unsafe { ptr::copy_nonoverlapping(self.slot(), items.as_mut_ptr(), count) };
        self.received(count);
        count
    }
}

impl<T: Item> Send1<T> for End<T> {
    #[inline(always)]
    fn send(&mut self, item: T) {
        if self.is_at_border() {
            while !self.has_room() {
                spin_loop();
            }
        }
        // SAFETY: this block has been found free, and is not published.
        unsafe { self.slot().write(item) };
        self.sent(1);
    }
}

impl<T: Item> Receive1<T> for End<T> {
    #[inline(always)]
    fn receive(&mut self) -> T {
        if self.is_at_border() {
            while !self.has_items() {
                spin_loop();
            }
        }
        // SAFETY: this block has been published, and is not given back.
        let item = unsafe { self.slot().read() };
        self.received(1);
        item
    }
}

/// A ring whose full producer is woken only when it is half empty: what backpressure brings by itself, without
/// a lock-free ring.
pub struct HalfEmpty;

impl Channel for HalfEmpty {
    const NAME: &'static str = "reference: mutex, woken at half";
    type Sender<T: Item> = LockedEnd<T>;
    type Receiver<T: Item> = LockedEnd<T>;

    fn new<T: Item>(capacity: usize) -> (LockedEnd<T>, LockedEnd<T>) {
        let ring = Arc::new(Locked {
            capacity,
            items: Mutex::new(VecDeque::with_capacity(capacity)),
            drain: Condvar::new(),
            ready: Condvar::new(),
        });
        (LockedEnd(ring.clone()), LockedEnd(ring))
    }
}

struct Locked<T> {
    capacity: usize,
    items: Mutex<VecDeque<T>>,
    drain: Condvar,
    ready: Condvar,
}

pub struct LockedEnd<T>(Arc<Locked<T>>);

impl<T: Item> Send1<T> for LockedEnd<T> {
    fn send(&mut self, item: T) {
        let ring = &*self.0;
        let mut items = ring.items.lock().expect("no panic");
        if items.len() == ring.capacity {
            let is_full = |items: &mut VecDeque<T>| items.len() > ring.capacity / 2;
            items = ring.drain.wait_while(items, is_full).expect("no panic");
        }
        items.push_back(item);
        if items.len() == 1 {
            ring.ready.notify_one();
        }
    }
}

impl<T: Item> Receive1<T> for LockedEnd<T> {
    fn receive(&mut self) -> T {
        let ring = &*self.0;
        let items = ring.items.lock().expect("no panic");
        let mut items = ring
            .ready
            .wait_while(items, |items| items.is_empty())
            .expect("no panic");
        let item = items.pop_front().expect("an item is there");
        if items.len() == ring.capacity / 2 {
            ring.drain.notify_one();
        }
        item
    }
}
