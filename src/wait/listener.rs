//! A lasting registration, for ends that wait neither in a thread nor in a task: a descriptor, a callback, or
//! both, as one `Waker`.
//!
//! It is put into the gate's slot anew each time that an operation of its end would have blocked. Knows
//! nothing of the protocol, which is `Gate::listen`'s.
#![forbid(unsafe_code)]

use super::event::Event;
use alloc::{sync::Arc, task::Wake};

/// What is to be called when an end has something to do.
pub(crate) type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Doors {
    pub(super) event: Option<Arc<Event>>,
    pub(super) callback: Option<Callback>,
}

/// Who hears that an end has something to do.
pub(super) struct Listener {
    doors: Doors,
}

impl Listener {
    /// `None` if nobody is behind any door. It is not armed yet, and so its descriptor is readable.
    pub(super) fn of(doors: Doors) -> Option<Self> {
        if doors.event.is_none() && doors.callback.is_none() {
            return None;
        }
        let listener = Self { doors };
        listener.set();
        Some(listener)
    }

    pub(super) fn doors(&self) -> &Doors {
        &self.doors
    }

    /// For the owner, before it is armed: what was notified so far has been dealt with.
    pub(super) fn clear(&self) {
        if let Some(event) = &self.doors.event {
            event.clear();
        }
    }

    /// For the owner: the descriptor is readable until it is armed, as nobody will notify it. (Whoever would
    /// hear a callback, on the other hand, is at work.)
    pub(super) fn set(&self) {
        if let Some(event) = &self.doors.event {
            event.set();
        }
    }

    /// For the other end.
    fn notify(&self) {
        if let Some(event) = &self.doors.event {
            event.notify();
        }
        self.call();
    }

    /// As if the other end had notified it, but it has not.
    pub(super) fn set_and_call(&self) {
        self.set();
        self.call();
    }

    fn call(&self) {
        if let Some(callback) = &self.doors.callback {
            callback();
        }
    }
}

impl Wake for Listener {
    fn wake(self: Arc<Self>) {
        self.notify();
    }
}
