//! Whether there is a second processor for the other side to run on: if not, spinning is a waste.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicUsize, Ordering};

/// Whether this process may run on one processor only, by its affinity and cgroup. Found out once.
pub(super) fn is_single() -> bool {
    static PROCESSORS: AtomicUsize = AtomicUsize::new(0);
    // Relaxed, both: a number on its own; racing threads find much the same.
    let known = PROCESSORS.load(Ordering::Relaxed);
    if known != 0 {
        return known == 1;
    }
    let found = std::thread::available_parallelism().map_or(1, usize::from);
    // That is 1 also if only the calling thread is bound to a processor. Each of two threads on a
    // processor of its own is the very case for spinning.
    let found = if found == 1 {
        system::affinity_of_main_thread().unwrap_or(1)
    } else {
        found
    };
    PROCESSORS.store(found, Ordering::Relaxed);
    found == 1
}

#[cfg(all(feature = "membarrier", target_os = "linux"))]
mod system {
    use rustix::{process::Pid, thread::sched_getaffinity};

    /// The processors that the main thread may use, if this thread is bound to one and that is not.
    pub(super) fn affinity_of_main_thread() -> Option<usize> {
        let own = sched_getaffinity(None).ok()?.count();
        if own > 1 {
            // Not bound: a cgroup gives the process no more than one processor's time.
            return None;
        }
        let pid = Pid::from_raw(i32::try_from(std::process::id()).ok()?)?;
        usize::try_from(sched_getaffinity(Some(pid)).ok()?.count()).ok()
    }
}

#[cfg(not(all(feature = "membarrier", target_os = "linux")))]
mod system {
    pub(super) fn affinity_of_main_thread() -> Option<usize> {
        None
    }
}
