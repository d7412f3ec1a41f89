//! A sleeping thread, as a `Waker`: a counter of notifications behind a condition variable.
//!
//! Not `std::thread::park`: its token belongs to the caller's code, and a library that takes it
//! breaks others that do.
#![forbid(unsafe_code)]

use crate::sync::{Condvar, Deadline, SleepMutex};
use alloc::{sync::Arc, task::Wake};
use core::time::Duration;

/// Where one end sleeps. Notifications are counted, so none that comes before the sleep is lost.
pub(crate) struct Parker {
    notifications: SleepMutex<usize>,
    changed: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            notifications: SleepMutex::new(0),
            changed: Condvar::default(),
        }
    }

    /// Forgets notifications of an earlier sleep.
    pub(crate) fn reset(&self) {
        *self.notifications.lock() = 0;
    }

    /// Sleeps until notified or until the deadline; returns whether it was notified.
    pub(crate) fn park(&self, deadline: &Deadline) -> bool {
        let mut notifications = self.notifications.lock();
        while *notifications == 0 && !deadline.has_passed() {
            notifications = self.changed.wait(notifications, deadline);
        }
        core::mem::take(&mut *notifications) != 0
    }

    /// The same, but sleeps no longer than `patience`.
    pub(crate) fn park_for(&self, patience: Duration, deadline: &Deadline) {
        // There is no time in a model: it is over when the others have run for a while.
        #[cfg(all(loom, feature = "loom"))]
        let _ = (patience, deadline, loom::thread::yield_now());
        #[cfg(not(all(loom, feature = "loom")))]
        self.park(&deadline.at_most(patience));
    }

    fn notify(&self) {
        let mut notifications = self.notifications.lock();
        *notifications = notifications.saturating_add(1);
        // Unlocked before the wake-up, so that the woken thread does not run into the lock. The Arc
        // that we were called through keeps the condition variable alive.
        drop(notifications);
        self.changed.notify_one();
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
