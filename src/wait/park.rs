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
    state: SleepMutex<State>,
    changed: Condvar,
}

struct State {
    notifications: usize,
    /// Somebody has to be woken: `std`'s condition variable makes a system call for that in any case.
    is_asleep: bool,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            state: SleepMutex::new(State {
                notifications: 0,
                is_asleep: false,
            }),
            changed: Condvar::default(),
        }
    }

    /// Forgets notifications of an earlier sleep.
    pub(crate) fn reset(&self) {
        self.state.lock().notifications = 0;
    }

    /// Sleeps until notified or until the deadline.
    pub(crate) fn park(&self, deadline: &Deadline) {
        let mut state = self.state.lock();
        state.is_asleep = true;
        while state.notifications == 0 && !deadline.has_passed() {
            state = self.changed.wait(state, deadline);
        }
        state.is_asleep = false;
        state.notifications = 0;
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
        let mut state = self.state.lock();
        state.notifications = state.notifications.saturating_add(1);
        let is_asleep = state.is_asleep;
        // Unlocked before the wake-up, so that the woken thread does not run into the lock. The Arc
        // that we were called through keeps the condition variable alive.
        drop(state);
        if is_asleep {
            self.changed.notify_one();
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }
}
