//! Looking again by itself, for an end whose other side is not sure to wake it yet: it may have published without a
//! fence. A thread sleeps for a while at most; a task and an event loop have no clock, and are woken.
//!
//! That happens where `membarrier` turns out to be refused while channels exist, and until the other end's next
//! operation.
#![forbid(unsafe_code)]

use crate::sync::MODEL;
use core::{cell::Cell, time::Duration};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
};

/// The first while, and the longest.
pub(super) const SOON: Duration = Duration::from_millis(1);
pub(super) const LATE: Duration = Duration::from_millis(100);

/// When an end looks again.
pub(super) struct Again {
    patience: Cell<Duration>,
    /// Whether a thread waits to make its call. Made when it is needed, which is hardly ever.
    is_under_way: Cell<Option<Arc<AtomicBool>>>,
}

impl Again {
    pub(super) fn new() -> Self {
        Self {
            patience: Cell::new(SOON),
            is_under_way: Cell::default(),
        }
    }

    fn flag(&self) -> Arc<AtomicBool> {
        let flag = self.is_under_way.take().unwrap_or_default();
        self.is_under_way.set(Some(flag.clone()));
        flag
    }

    /// Whether a call is under way.
    pub(super) fn is_under_way(&self) -> bool {
        // Acquire: pairs with the Release in `call_later`.
        self.flag().load(Ordering::Acquire)
    }

    /// Makes a call after a while, which is twice as long each time. `false` if it cannot be.
    pub(super) fn call_later(&self, call: impl FnOnce() + Send + 'static) -> bool {
        // There is no time in a model.
        if MODEL || self.is_under_way() {
            return false;
        }
        let patience = self.patience.get();
        self.patience.set((patience * 2).min(LATE));
        // Relaxed: only this side sets it, before the thread begins.
        let flag = self.flag();
        flag.store(true, Ordering::Relaxed);
        let is_under_way = flag.clone();
        let spawned = thread::Builder::new().spawn(move || {
            thread::sleep(patience);
            // Release: pairs with the load in `is_under_way`. Before the call, after which there may be the
            // next one.
            is_under_way.store(false, Ordering::Release);
            super::shielded(call);
        });
        if spawned.is_err() {
            flag.store(false, Ordering::Relaxed); // Relaxed: there is no thread.
        }
        spawned.is_ok()
    }
}
