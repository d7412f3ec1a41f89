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
    /// Made when it is needed, which is hardly ever.
    next: Cell<Option<Arc<Mutex<Next>>>>,
}

/// What a thread is to do when it has slept for a while.
#[derive(Default)]
struct Next {
    call: Option<Call>,
    /// There is such a thread. It sleeps on without a call, as the next one may come soon: there is one at most.
    is_awaited: bool,
}

impl Again {
    pub(super) fn new() -> Self {
        Self {
            patience: Cell::new(SOON),
            next: Cell::default(),
        }
    }

    fn next(&self) -> Arc<Mutex<Next>> {
        let next = self.next.take();
        let next = next.unwrap_or_else(|| Arc::new(Mutex::new(Next::default())));
        self.next.set(Some(next.clone()));
        next
    }

    /// Makes a call after a while, which is twice as long each time; or, if one is to be made already or was cancelled only now, makes this one
    /// in its place. `false` if it cannot be.
    pub(super) fn call_later(&self, call: impl FnOnce() + Send + 'static) -> bool {
        // There is no time in a model.
        if MODEL {
            return false;
        }
        let next = self.next();
        let mut locked = next.lock();
        let replaced = locked.call.replace(Box::new(call));
        let is_awaited = core::mem::replace(&mut locked.is_awaited, true);
        drop(locked);
        // A Waker in it runs anybody's code as it is dropped.
        super::shielded(|| drop(replaced));
        if is_awaited {
            return true;
        }
        let patience = self.patience.get();
        self.patience.set((patience * 2).min(LATE));
        let calls = next.clone();
        let spawned = thread::Builder::new().spawn(move || {
            thread::sleep(patience);
            // Out of the lock before it is made: it may lead to the next one.
            let Next { call, .. } = core::mem::take(&mut *calls.lock());
            super::shielded(|| call.into_iter().for_each(|call| call()));
        });
        if spawned.is_err() {
            let Next { call, .. } = core::mem::take(&mut *next.lock());
            super::shielded(|| drop(call));
        }
        spawned.is_ok()
    }

    /// Makes no call any more, but for one that is under way.
    pub(super) fn cancel(&self) {
        if let Some(next) = self.next.take() {
            let call = next.lock().call.take();
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
