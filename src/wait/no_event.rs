//! Where there is no `eventfd`, or it is not wanted: nobody can have one. Stands in for `event.rs`.
#![forbid(unsafe_code)]

/// There is none.
pub(super) enum Event {}

impl Event {
    pub(super) fn notify(&self) {
        match *self {}
    }

    pub(super) fn set(&self) {
        match *self {}
    }

    pub(super) fn clear(&self) {
        match *self {}
    }
}
