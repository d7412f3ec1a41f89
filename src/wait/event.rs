//! Readiness as an `eventfd` (Linux), for loops of epoll and what is built on it.
//!
//! The kernel keeps the count, so that no notification is lost: one that comes before the loop looks is
//! found there. See eventfd(2).
#![forbid(unsafe_code)]

use crate::{
    error::EventFdError,
    sync::{AtomicUsize, Ordering},
};
use alloc::sync::Arc;
use core::fmt;
use system::Descriptor;

/// A descriptor that is readable while an end has something to do: an `eventfd`, for epoll and everything
/// that is built on it (`mio`, tokio's `AsyncFd`, `polling`). Made by
/// [`Producer::drain_fd`](crate::Producer::drain_fd), [`Consumer::ready_fd`](crate::Consumer::ready_fd) and
/// [`Finish::finish_fd`](crate::Finish::finish_fd).
///
/// It is level-triggered: it becomes readable when there is something to do, and stays so until an operation
/// of its end finds nothing more to do (`Empty`, `WouldBlock`, `Backpressure`, or
/// [`need_drain`](crate::Producer::need_drain) that is true). That operation makes it unreadable again, and
/// from then on the other end will notify it (of a [`Batch`](crate::Batch) that says so at the latest when it is published: until
/// then the descriptor may stay readable). So the loop needs no step of its own: **wait for the descriptor,
/// work until the end would block, wait again.** With edge-triggered waiting it is the same, as always.
///
/// When the other end goes (end, abandonment, abort; close, cancel) there is something to do, namely to hear of
/// it, and the descriptor stays readable: take it out of the loop then.
///
/// Only wait for it. To read from it or write to it is left to its end; it is non-blocking and closed on
/// `exec`.
///
/// Clones are the same descriptor. It is closed when its end and all clones are gone, as a descriptor that is
/// closed while a loop still uses it could be any other file by the next moment. An end that you keep no clone of
/// closes it as it goes.
///
/// # Examples
///
/// ```
/// use rustix::event::{epoll, Timespec};
///
/// let (mut producer, mut consumer) = highwater::channel(4);
/// let fd = consumer.ready_fd()?;
/// let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
/// epoll::add(&epoll, &fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
///
/// let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
/// let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
/// assert_eq!(epoll::wait(&epoll, &mut events, Some(&at_once))?, 0); // nothing there
///
/// producer.write("an item")?;
/// assert_eq!(epoll::wait(&epoll, &mut events, None)?, 1);
/// assert_eq!(consumer.try_read()?, "an item");
/// assert!(consumer.try_read().is_err()); // would block: from here on the descriptor waits
/// assert_eq!(epoll::wait(&epoll, &mut events, Some(&at_once))?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventFd(pub(super) Arc<Event>);

impl EventFd {
    /// How many notifications the other end has sent since this was last called, or since the descriptor
    /// was made: one for each time that it ended a wait.
    ///
    /// A statistic, which any thread may ask for: it leaves the descriptor as it is. 0 if there was none, also if the
    /// descriptor is readable: it begins so when there is something to do already.
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let fd = consumer.ready_fd()?; // nothing is there: it waits
    /// producer.write(1)?;
    /// producer.write(2)?; // nobody waits for this one
    /// assert_eq!(fd.acknowledge(), 1);
    /// assert_eq!(fd.acknowledge(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acknowledge(&self) -> usize {
        // Relaxed: a number on its own.
        self.0.notifications.swap(0, Ordering::Relaxed)
    }

    /// Waits until it is readable, as epoll would.
    #[cfg(all(loom, feature = "loom"))]
    #[doc(hidden)]
    pub fn wait_readable(&self) {
        self.0.descriptor.wait_readable();
    }

    /// Whether it is readable.
    #[cfg(all(loom, feature = "loom"))]
    #[doc(hidden)]
    pub fn is_readable(&self) -> bool {
        self.0.descriptor.is_readable()
    }
}

#[cfg(not(all(loom, feature = "loom")))]
impl std::os::unix::io::AsFd for EventFd {
    fn as_fd(&self) -> std::os::unix::io::BorrowedFd<'_> {
        self.0.descriptor.as_fd()
    }
}

#[cfg(not(all(loom, feature = "loom")))]
impl std::os::unix::io::AsRawFd for EventFd {
    fn as_raw_fd(&self) -> std::os::unix::io::RawFd {
        std::os::unix::io::AsFd::as_fd(self).as_raw_fd()
    }
}

impl fmt::Debug for EventFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventFd").field(&self.0.descriptor).finish()
    }
}

/// What an [`EventFd`] is a handle of.
pub(super) struct Event {
    descriptor: Descriptor,
    notifications: AtomicUsize,
}

impl Event {
    pub(super) fn new() -> Result<Self, EventFdError> {
        Ok(Self {
            descriptor: Descriptor::new().map_err(EventFdError)?,
            notifications: AtomicUsize::new(0),
        })
    }

    /// For the other end: there is something to do.
    pub(super) fn notify(&self) {
        // Relaxed: a number on its own.
        self.notifications.fetch_add(1, Ordering::Relaxed);
        self.descriptor.add();
    }

    /// For the owner: makes it readable.
    pub(super) fn set(&self) {
        self.descriptor.add();
    }

    /// For the owner: makes it unreadable.
    pub(super) fn clear(&self) {
        self.descriptor.clear();
    }
}

#[cfg(not(all(loom, feature = "loom")))]
mod system {
    use rustix::{
        event::{eventfd, EventfdFlags},
        io::{read, retry_on_intr, write},
    };
    use std::{
        io,
        os::unix::io::{AsFd, BorrowedFd, OwnedFd},
    };

    #[derive(Debug)]
    pub(super) struct Descriptor(OwnedFd);

    impl Descriptor {
        pub(super) fn new() -> io::Result<Self> {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            Ok(Self(eventfd(0, flags)?))
        }

        /// The only error there can be says that the count is at its end: then it is readable.
        pub(super) fn add(&self) {
            let _ = retry_on_intr(|| write(&self.0, &1_u64.to_ne_bytes()));
        }

        /// The only error there can be says that the count is 0.
        pub(super) fn clear(&self) {
            let mut count = [0; 8];
            let _ = retry_on_intr(|| read(&self.0, &mut count));
        }

        pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

/// A model has no kernel: the count, and whoever waits for it.
#[cfg(all(loom, feature = "loom"))]
mod system {
    use crate::sync::{Condvar, Deadline, Mutex};
    use std::io;

    #[derive(Debug)]
    pub(super) struct Descriptor {
        count: Mutex<u64>,
        changed: Condvar,
    }

    impl Descriptor {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                count: Mutex::new(0),
                changed: Condvar::default(),
            })
        }

        pub(super) fn add(&self) {
            *self.count.lock() += 1;
            self.changed.notify_one();
        }

        pub(super) fn clear(&self) {
            *self.count.lock() = 0;
        }

        pub(super) fn is_readable(&self) -> bool {
            *self.count.lock() != 0
        }

        pub(super) fn wait_readable(&self) {
            let mut count = self.count.lock();
            while *count == 0 {
                count = self.changed.wait(count, &Deadline::NEVER);
            }
        }
    }
}
