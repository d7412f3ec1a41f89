//! Items that are counted: how often each was dropped, whether it arrives in order and whole.

use std::sync::atomic::{AtomicU32, AtomicU8, Ordering};

/// As many items can be made in one round.
const MOST: usize = 1 << 16;

/// Keeps count of the items of one lane. Never freed, so that a drop too many is found, and harms nothing.
pub struct Ledger {
    /// Items of earlier rounds are known by it.
    round: AtomicU32,
    made: AtomicU32,
    drops: Box<[AtomicU8]>,
    /// Drops of what is no item of this round.
    strangers: AtomicU32,
}

/// What the drops of a round should have been.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Miscounted {
    pub never_dropped: usize,
    pub dropped_again: usize,
}

impl Ledger {
    pub fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            round: AtomicU32::new(0),
            made: AtomicU32::new(0),
            drops: (0..MOST).map(|_| AtomicU8::new(0)).collect(),
            strangers: AtomicU32::new(0),
        }))
    }

    /// An item that is to arrive as number `sequence`.
    pub fn make(&'static self, sequence: u64) -> Item {
        let id = self.made.fetch_add(1, Ordering::Relaxed);
        assert!((id as usize) < MOST, "a round makes too many items");
        let round = self.round.load(Ordering::Relaxed);
        Item {
            ledger: self,
            round,
            id,
            sequence,
            check: check(round, id, sequence),
        }
    }

    pub fn is_nearly_full(&self) -> bool {
        self.made.load(Ordering::Relaxed) as usize > MOST - 1024
    }

    /// Ends a round, in which all items are gone, and begins the next.
    pub fn close(&self) -> Miscounted {
        let made = self.made.swap(0, Ordering::Relaxed) as usize;
        let mut miscounted = Miscounted {
            never_dropped: 0,
            dropped_again: self.strangers.swap(0, Ordering::Relaxed) as usize,
        };
        for drops in &self.drops[..made] {
            match drops.swap(0, Ordering::Relaxed) {
                0 => miscounted.never_dropped += 1,
                more => miscounted.dropped_again += usize::from(more) - 1,
            }
        }
        self.round.fetch_add(1, Ordering::Relaxed);
        miscounted
    }
}

/// Relaxed counters are enough: a round is closed when its threads were joined.
pub struct Item {
    ledger: &'static Ledger,
    round: u32,
    id: u32,
    sequence: u64,
    check: u64,
}

fn check(round: u32, id: u32, sequence: u64) -> u64 {
    (u64::from(round) << 32 | u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ sequence
}

impl Item {
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What is wrong with it, if it should be number `sequence`.
    pub fn fault(&self, sequence: u64) -> Option<String> {
        if self.check != check(self.round, self.id, self.sequence) {
            return Some(format!("item {sequence} is torn"));
        }
        if self.round != self.ledger.round.load(Ordering::Relaxed) {
            return Some(format!("item {sequence} is of an earlier round"));
        }
        (self.sequence != sequence).then(|| {
            let fault = if self.sequence < sequence {
                "came again"
            } else {
                "came too early: something before it is lost"
            };
            format!("item {} {fault}, in the place of {sequence}", self.sequence)
        })
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        let is_ours = self.check == check(self.round, self.id, self.sequence)
            && self.round == self.ledger.round.load(Ordering::Relaxed);
        if is_ours {
            self.ledger.drops[self.id as usize].fetch_add(1, Ordering::Relaxed);
        } else {
            self.ledger.strangers.fetch_add(1, Ordering::Relaxed);
        }
    }
}
