//! Looking again by itself, for an end whose other side is not sure to wake it yet: it may have published without a
//! fence. A thread sleeps for a while at most; a task and an event loop have no clock, and are woken.
//!
//! That happens where `membarrier` turns out to be refused while channels exist, and until the other end's next
//! operation.
#![forbid(unsafe_code)]

use crate::sync::{Mutex, MODEL};
use alloc::{boxed::Box, sync::Arc};
use core::{cell::Cell, time::Duration};
use std::thread;

/// The first while, and the longest.
pub(super) const SOON: Duration = Duration::from_millis(1);
pub(super) const LATE: Duration = Duration::from_millis(100);

type Call = Box<dyn FnOnce() + Send>;

/// When an end looks again.
pub(super) struct Again {
    patience: Cell<Duration>,
    /// What the thread that waits is to call; without a call there is no such thread. Made when it is needed, which
    /// is hardly ever.
    next: Cell<Option<Arc<Mutex<Option<Call>>>>>,
}

impl Again {
    pub(super) fn new() -> Self {
        Self {
            patience: Cell::new(SOON),
            next: Cell::default(),
        }
    }

    fn next(&self) -> Arc<Mutex<Option<Call>>> {
        let next = self.next.take();
        let next = next.unwrap_or_else(|| Arc::new(Mutex::new(None)));
        self.next.set(Some(next.clone()));
        next
    }

    /// Makes a call after a while, which is twice as long each time; or, if one is to be made already, makes this one in
    /// its place. `false` if it cannot be.
    pub(super) fn call_later(&self, call: impl FnOnce() + Send + 'static) -> bool {
        // There is no time in a model.
        if MODEL {
            return false;
        }
        let next = self.next();
        let replaced = next.lock().replace(Box::new(call));
        if replaced.is_some() {
            // A Waker in it runs anybody's code as it is dropped.
            super::shielded(|| drop(replaced));
            return true;
        }
        let patience = self.patience.get();
        self.patience.set((patience * 2).min(LATE));
        let calls = next.clone();
        let spawned = thread::Builder::new().spawn(move || {
            thread::sleep(patience);
            // Out of the lock before it is made: it may lead to the next one.
            let call = calls.lock().take();
            super::shielded(|| call.into_iter().for_each(|call| call()));
        });
        if spawned.is_err() {
            let call = next.lock().take();
            super::shielded(|| drop(call));
        }
        spawned.is_ok()
    }

    /// Makes no call any more, but for one that is under way.
    pub(super) fn cancel(&self) {
        if let Some(next) = self.next.take() {
            let call = next.lock().take();
            super::shielded(|| drop(call));
            self.next.set(Some(next));
        }
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.cancel();
    }
}
