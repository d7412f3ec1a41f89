//! Atomics, locks and time: the real ones, or loom's in a model.
//!
//! The only file that knows which of the two it is; everything else imports from here.
#![forbid(unsafe_code)]

#[cfg(all(loom, feature = "loom"))]
pub(crate) use loom::sync::{
    atomic::{fence, AtomicBool, AtomicU8, AtomicUsize, Ordering},
    Arc,
};

#[cfg(not(all(loom, feature = "loom")))]
pub(crate) use {
    alloc::sync::Arc,
    core::sync::atomic::{fence, AtomicBool, AtomicU8, AtomicUsize, Ordering},
};

#[cfg(not(all(loom, feature = "loom")))]
pub(crate) use core::hint::spin_loop;
#[cfg(all(loom, feature = "loom"))]
pub(crate) use loom::hint::spin_loop;

/// Whether this build is a model.
pub(crate) const MODEL: bool = cfg!(all(loom, feature = "loom"));

/// The light half of the asymmetric barrier: keeps the compiler from moving the announcement's
/// load above the publication's store; the processor is dealt with by `wait::barrier::heavy`.
/// (A model's is a full fence: see `Gate::light_barrier`.)
#[inline(always)]
pub(crate) fn light_barrier() {
    #[cfg(all(loom, feature = "loom"))]
    fence(Ordering::SeqCst);
    #[cfg(not(all(loom, feature = "loom")))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// A statistic with one writer, read by anyone.
///
/// No decision hangs on it, so that a channel's is never loom's: a model need not branch on it. (One by itself is: `model::Counter`.)
/// Release and Acquire, so that who reads two of one writer in turn sees the second no older than the first.
#[derive(Debug, Default)]
pub(crate) struct Counter<A = core::sync::atomic::AtomicUsize>(A);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(core::sync::atomic::AtomicUsize::new(0))
    }
}

impl<A: Word> Counter<A> {
    #[inline]
    pub(crate) fn get(&self) -> usize {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Ordering::Acquire)
    }

    /// Adds one. Only the counter's one writer calls this.
    #[inline]
    pub(crate) fn bump(&self) {
        self.set(self.get().wrapping_add(1));
    }

    /// Adds one, when there may be several writers.
    #[cfg(feature = "std")]
    pub(crate) fn bump_shared(&self) {
        // Release: as in `set`.
        self.0.fetch_add(1, Ordering::Release);
    }

    /// Raises the counter to `value`. Only the counter's one writer calls this.
    #[inline]
    pub(crate) fn raise(&self, value: usize) {
        if value > self.get() {
            self.set(value);
        }
    }

    #[inline]
    pub(crate) fn set(&self, value: usize) {
        // Release: pairs with the Acquire in `get`. One writer, so that no read-modify-write is
        // needed.
        self.0.store(value, Ordering::Release);
    }
}

/// What a counter is made of.
pub(crate) trait Word {
    fn load(&self, ordering: Ordering) -> usize;
    fn store(&self, value: usize, ordering: Ordering);
    #[cfg(feature = "std")]
    fn fetch_add(&self, value: usize, ordering: Ordering) -> usize;
}

macro_rules! word {
    ($atomic:ty) => {
        impl Word for $atomic {
            #[inline]
            fn load(&self, ordering: Ordering) -> usize {
                <$atomic>::load(self, ordering)
            }

            #[inline]
            fn store(&self, value: usize, ordering: Ordering) {
                <$atomic>::store(self, value, ordering);
            }

            #[cfg(feature = "std")]
            #[inline]
            fn fetch_add(&self, value: usize, ordering: Ordering) -> usize {
                <$atomic>::fetch_add(self, value, ordering)
            }
        }
    };
}

word!(core::sync::atomic::AtomicUsize);
#[cfg(all(loom, feature = "loom"))]
word!(loom::sync::atomic::AtomicUsize);

#[cfg(feature = "std")]
pub(crate) use locks::{Condvar, Mutex, SleepMutex};
#[cfg(feature = "std")]
pub(crate) use time::Deadline;
#[cfg(feature = "std")]
pub use time::Instant;

#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
mod locks {
    pub(crate) use parking_lot::Mutex;
    use std::{
        sync::{MutexGuard, PoisonError},
        time::Instant,
    };

    /// What a thread sleeps with: `std`'s, as that and its condition variable are two words, where the system has futexes. To wake a
    /// sleeper of `parking_lot`'s takes two cache lines more, those of the table and of the sleeper, from another processor,
    /// which makes a microsecond of two wake-ups.
    #[derive(Debug)]
    pub(crate) struct SleepMutex<T>(std::sync::Mutex<T>);

    impl<T> SleepMutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        /// Nothing panics under this lock.
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// For a [`SleepMutex`].
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(std::sync::Condvar);

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Waits, at most until `deadline`. Wakes up spuriously now and then.
        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            deadline: &super::Deadline,
        ) -> MutexGuard<'a, T> {
            match deadline.instant() {
                Some(instant) => {
                    let left = instant.saturating_duration_since(Instant::now());
                    let woken = self.0.wait_timeout(guard, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.0.wait(guard);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}

#[cfg(all(loom, feature = "loom"))]
mod locks {
    use loom::sync::MutexGuard;

    pub(crate) use self::Mutex as SleepMutex;

    /// loom's, with `parking_lot`'s infallible `lock`.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model does not poison its locks")
        }
    }

    #[derive(Debug)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Default for Condvar {
        fn default() -> Self {
            Self(loom::sync::Condvar::new())
        }
    }

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            deadline: &super::Deadline,
        ) -> MutexGuard<'a, T> {
            // There is no time in a model: a deadline is a coin that falls when the waiter is
            // about to sleep. As the other threads may have run any distance by then, this is as
            // general as giving up at any moment of the sleep.
            if deadline.has_passed() {
                guard
            } else {
                self.0
                    .wait(guard)
                    .expect("a model does not poison its locks")
            }
        }
    }
}

#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
mod time {
    use std::time::Duration;
    pub use std::time::Instant;

    /// When to give up waiting: at an instant, or never.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Deadline(Option<Instant>);

    impl Deadline {
        pub(crate) const NEVER: Self = Self(None);

        pub(crate) fn at(instant: Instant) -> Self {
            Self(Some(instant))
        }

        /// A timeout too far away for the clock is no deadline at all.
        pub(crate) fn after(timeout: Duration) -> Self {
            Self(Instant::now().checked_add(timeout))
        }

        pub(crate) fn instant(&self) -> Option<Instant> {
            self.0
        }

        pub(crate) fn has_passed(&self) -> bool {
            self.0.map_or(false, |instant| Instant::now() >= instant)
        }

        /// The earlier of this deadline and `timeout` from now.
        pub(crate) fn at_most(&self, timeout: Duration) -> Self {
            let soon = Self::after(timeout);
            match (self.0, soon.0) {
                (Some(a), Some(b)) => Self(Some(a.min(b))),
                (a, b) => Self(a.or(b)),
            }
        }
    }
}

#[cfg(all(loom, feature = "loom"))]
mod time {
    /// A model's deadline: passes when the model says so, and is noticed at some time after.
    #[derive(Clone, Debug)]
    pub struct Instant(loom::sync::Arc<loom::sync::atomic::AtomicBool>);

    impl Instant {
        /// A deadline that has not passed.
        #[allow(clippy::new_without_default)]
        pub fn new() -> Self {
            Self(loom::sync::Arc::new(loom::sync::atomic::AtomicBool::new(
                false,
            )))
        }

        /// Lets the deadline pass. A waiter may still read the old value: it is a coin.
        pub fn pass(&self) {
            // Relaxed: nothing is handed over with it.
            self.0.store(true, loom::sync::atomic::Ordering::Relaxed);
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Deadline(Option<Instant>);

    impl Deadline {
        pub(crate) const NEVER: Self = Self(None);

        pub(crate) fn at(instant: Instant) -> Self {
            Self(Some(instant))
        }

        pub(crate) fn has_passed(&self) -> bool {
            // Relaxed: pairs with nothing, see `pass`.
            self.0
                .as_ref()
                .map_or(false, |i| i.0.load(loom::sync::atomic::Ordering::Relaxed))
        }
    }
}
