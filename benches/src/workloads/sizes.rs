//! Items of several sizes, one at a time, from one pinned thread to another.

use super::{contestant, each, items::RATE};
use crate::{
    contestants::{blocking, limit, polling, Channel, Item},
    harness::{child::DEADLINE, Case, Contestant, Disturbance, Workload},
    race::race,
};
use std::{hint::black_box, mem::size_of};

const CAPACITY: usize = 1024;

/// An item of so many words.
#[derive(Clone, Copy)]
struct Words<const N: usize>([u64; N]);

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Item for Words<N> {
    // Whole in memory at either end: otherwise a queue that is inlined to its last line has the item made in its slot, and
    // the one word read that is looked at.
    #[inline]
    fn numbered(number: u64) -> Self {
        black_box(Self([number; N]))
    }

    #[inline]
    fn number(&self) -> u64 {
        black_box(self).0[0]
    }
}

fn racer<C: Channel, T: Item>() -> Contestant {
    contestant(C::NAME, |effort| {
        race::<T>(C::new(CAPACITY), CAPACITY, effort) / 1e6
    })
}

fn case<T: Item>(contestants: Vec<Contestant>) -> Case {
    Case {
        name: format!("{} bytes", size_of::<T>()),
        disturbance: Disturbance::InvoluntarySwitches,
        contestants,
    }
}

pub fn polling() -> Workload {
    fn contestants<T: Item>((): ()) -> Case {
        use polling::*;
        fn of<T: Item, C: Channel>() -> Contestant {
            racer::<C, T>()
        }
        case::<T>(vec![
            of::<T, Highwater>(),
            of::<T, Rtrb>(),
            of::<T, Ringbuf>(),
            of::<T, Nexus>(),
            of::<T, Gil>(),
            of::<T, Fq>(),
            of::<T, limit::Blocks>(),
        ])
    }
    Workload {
        name: "sizes/polling",
        about: "Items of several sizes, one at a time, through 1024 slots between two pinned threads; who has to \
                wait asks again and again.",
        figures: RATE,
        cases: each!(contestants(()): u64, Words<8>, Words<32>, Words<512>),
        deadline: DEADLINE,
    }
}

pub fn blocking() -> Workload {
    fn contestants<T: Item>((): ()) -> Case {
        use blocking::*;
        fn of<T: Item, C: Channel>() -> Contestant {
            racer::<C, T>()
        }
        case::<T>(vec![
            of::<T, Highwater>(),
            of::<T, Std>(),
            of::<T, Crossbeam>(),
            of::<T, Kanal>(),
            of::<T, Omango>(),
            of::<T, Nexus>(),
            of::<T, Crossfire>(),
            of::<T, limit::Blocks>(),
        ])
    }
    Workload {
        name: "sizes/blocking",
        about: "Items of several sizes, one at a time, through 1024 slots between two pinned threads; who has to \
                wait sleeps. The limit does not.",
        figures: RATE,
        cases: each!(contestants(()): u64, Words<8>, Words<32>, Words<512>),
        deadline: DEADLINE,
    }
}
