//! The least that moving items takes: a ring that is published a block at a time.

use super::{Channel, Item, Receive1, Send1};
use crossbeam_utils::CachePadded;
use std::{
    cell::UnsafeCell,
    hint::spin_loop,
    mem::MaybeUninit,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
};

/// 1024 items at a time, or half the ring. Whole blocks only: the rest of one is never seen.
pub struct Blocks;

impl Channel for Blocks {
    const NAME: &'static str = "limit: ring published in blocks";
    type Sender<T: Item> = End<T>;
    type Receiver<T: Item> = End<T>;

    fn new<T: Item>(capacity: usize) -> (End<T>, End<T>) {
        let slots = || UnsafeCell::new(MaybeUninit::uninit());
        let ring = Arc::new(Ring {
            head: CachePadded::new(AtomicUsize::new(0)),
            tail: CachePadded::new(AtomicUsize::new(0)),
            slots: (0..capacity.next_power_of_two()).map(|_| slots()).collect(),
        });
        let block = (ring.slots.len() / 2).clamp(1, 1024);
        let end = || End {
            at: 0,
            block,
            ring: ring.clone(),
        };
        (end(), end())
    }
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
    #[inline]
    fn slot(&self) -> *mut MaybeUninit<T> {
        let slots = &self.ring.slots;
        slots[self.at & (slots.len() - 1)].get()
    }

    #[inline]
    fn is_at_border(&self) -> bool {
        self.at & (self.block - 1) == 0
    }
}

impl<T: Item> Send1<T> for End<T> {
    #[inline]
    fn send(&mut self, item: T) {
        if self.is_at_border() {
            let free =
                || self.ring.slots.len() - (self.at - self.ring.head.load(Ordering::Acquire));
            while free() < self.block {
                spin_loop();
            }
        }
        // SAFETY: this block has been found free, and is not published.
        unsafe { (*self.slot()).write(item) };
        self.at += 1;
        if self.is_at_border() {
            self.ring.tail.store(self.at, Ordering::Release);
        }
    }
}

impl<T: Item> Receive1<T> for End<T> {
    #[inline]
    fn receive(&mut self) -> T {
        if self.is_at_border() {
            while self.ring.tail.load(Ordering::Acquire) == self.at {
                spin_loop();
            }
        }
        // SAFETY: this block has been published, and is not given back.
        let item = unsafe { (*self.slot()).assume_init_read() };
        self.at += 1;
        if self.is_at_border() {
            self.ring.head.store(self.at, Ordering::Release);
        }
        item
    }
}
