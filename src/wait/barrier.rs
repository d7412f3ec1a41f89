//! The heavy half of the asymmetric barrier, and how it is decided whether there is one.
//!
//! The waker publishes an index and then asks whether the other side sleeps; the sleeper announces
//! itself and then looks at the index. Each is a store followed by a load of another word, and unless
//! both are kept in order a wake-up can be lost. With `membarrier(2)` (private expedited, Linux 4.14)
//! the sleeper pays for both: the call makes every running thread of the process pass a full barrier,
//! so that the waker needs nothing but a compiler fence. Without it both need a full fence.
//!
//! The only file that knows `membarrier`. Sources: membarrier(2); folly's `asymmetricHeavyBarrier`;
//! P1202, "Asymmetric fences".
#![forbid(unsafe_code)]

use core::fmt;
// Not loom's: a model never leaves `Undecided`, see `crate::sync::light_barrier`.
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

const UNDECIDED: u8 = 0;
const ASYMMETRIC: u8 = 1;
const FENCE: u8 = 2;

/// Where the call cannot be had there is nothing to find out, and no channel has to change over. (A
/// model brings its own pair of barriers.)
static MODE: AtomicU8 = AtomicU8::new(
    if cfg!(any(
        all(feature = "membarrier", target_os = "linux"),
        all(loom, feature = "loom")
    )) {
        UNDECIDED
    } else {
        FENCE
    },
);
/// How many threads are in the call, which the kernel takes one after the other.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// How the channels of this process make sure that no wake-up is lost.
///
/// # Examples
///
/// ```
/// use highwater::barrier::{self, Mode};
///
/// barrier::use_fences()?;
/// assert_eq!(barrier::mode(), Mode::Fence);
/// # Ok::<(), barrier::TooLate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Nobody has begun to wait yet but producers whose drain was far away, so nothing had to be decided.
    Undecided,
    /// Whoever begins to wait calls `membarrier(2)`: a thread about to sleep, a task about to be pending, a descriptor
    /// or a callback as it begins to listen; but not a producer that waits for the consumer to read 128 items or
    /// more. Writing takes no fence, and reading one in so many items where the marks are as far apart. (But for
    /// byte streams that wait in tasks: where the call turns out to take long, as it does while another processor runs a
    /// thread of the process, the end that waits asks the other for a fence with each piece, for good.)
    Asymmetric,
    /// Each read and each write takes a full fence (some 10 ns): `membarrier(2)` is not available, or
    /// [`use_fences`] was called.
    Fence,
}

/// Which mode is on.
///
/// Decided the first time that anything in the process would make the call: a thread about to sleep in a channel, a task
/// about to be pending, a descriptor or a callback that begins to listen. A process that uses none of these never
/// does. `Asymmetric` can become `Fence` if the kernel begins to refuse the call (a seccomp filter installed late);
/// `Fence` is final.
///
/// # Examples
///
/// ```
/// use highwater::barrier::{self, Mode};
///
/// let (_producer, mut consumer) = highwater::channel::<u8>(4);
/// assert_ne!(barrier::mode(), Mode::Asymmetric); // nobody has waited yet
/// consumer.on_ready(|| {}); // begins to listen
/// assert_ne!(barrier::mode(), Mode::Undecided); // which one it is depends on the system
/// ```
pub fn mode() -> Mode {
    // Relaxed: a hint for humans, paired with nothing.
    match MODE.load(Ordering::Relaxed) {
        ASYMMETRIC => Mode::Asymmetric,
        FENCE => Mode::Fence,
        _ => Mode::Undecided,
    }
}

/// Makes every channel of this process use full fences and never call `membarrier(2)`.
///
/// For sandboxes that kill a process for the mere call, and for real-time programs whose threads
/// must not be interrupted (the call sends an interrupt to each processor that runs a thread of the
/// process). To leave the call out at compile time, build without the feature `membarrier`; for a
/// single channel there is [`Builder::full_fences`](crate::Builder::full_fences).
///
/// A channel that was made before this changes over when its other end next writes or reads; until
/// then an end that waits in it looks for itself, after 1 ms and at intervals that double from there, up to 100 ms (a
/// task is woken for that, and a callback called, by a thread of its own). The same holds for all channels of the
/// moment at which the kernel turns out to refuse the call.
///
/// # Errors
///
/// [`TooLate`] if the call was made already, because a thread, a task or a listener has waited. Call this first thing in `main`.
///
/// # Examples
///
/// ```
/// use highwater::barrier::{self, Mode};
///
/// barrier::use_fences()?; // the first line of `main`
///
/// let (_producer, mut consumer) = highwater::channel::<u8>(4);
/// consumer.on_ready(|| {}); // makes no call, and decides nothing
/// assert_eq!(barrier::mode(), Mode::Fence);
/// assert_eq!(barrier::use_fences(), Ok(())); // once more does no harm, at any time
/// # Ok::<(), barrier::TooLate>(())
/// ```
pub fn use_fences() -> Result<(), TooLate> {
    // Relaxed: nothing is handed over but the value.
    match MODE.compare_exchange(UNDECIDED, FENCE, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) | Err(FENCE) => Ok(()),
        Err(_) => Err(TooLate(())),
    }
}

/// [`use_fences`] was called after a thread, a task, a descriptor or a callback of the process had begun to wait in a channel.
///
/// # Examples
///
/// ```
/// use highwater::barrier::{self, Mode};
///
/// let (_producer, mut consumer) = highwater::channel::<u8>(4);
/// consumer.on_ready(|| {}); // begins to listen
/// // It is too late where the system has the call, and where it has not there was nothing to forbid.
/// let is_too_late = barrier::use_fences().is_err();
/// assert_eq!(is_too_late, barrier::mode() == Mode::Asymmetric);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLate(());

impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("membarrier is in use already: call use_fences before anything waits in a channel, or build without the feature `membarrier`")
    }
}

impl std::error::Error for TooLate {}

/// Whether new channels start with full fences.
pub(crate) fn is_fence() -> bool {
    MODE.load(Ordering::Relaxed) == FENCE // Relaxed: the channel it decides on is made here.
}

/// Whether another thread is in the call right now, so that ours would queue behind it.
pub(crate) fn is_under_way() -> bool {
    UNDER_WAY.load(Ordering::Relaxed) != 0 // Relaxed: a hint.
}

/// A full barrier on every running thread of the process, or `false`: not available, and never will
/// be again.
pub(crate) fn heavy() -> bool {
    // Relaxed: see `mode`. Racing threads come to the same answer.
    let decided = MODE.load(Ordering::Relaxed);
    if decided == FENCE {
        return false;
    }
    UNDER_WAY.fetch_add(1, Ordering::Relaxed); // Relaxed: a hint.
    let done = (decided == ASYMMETRIC || system::register()) && system::barrier();
    UNDER_WAY.fetch_sub(1, Ordering::Relaxed); // Relaxed: a hint.
    if !done {
        MODE.store(FENCE, Ordering::Relaxed); // Relaxed: see `mode`.
        return false;
    }
    // Relaxed: see `mode`. A failure means that somebody chose fences meanwhile, which stands.
    match MODE.compare_exchange(decided, ASYMMETRIC, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) | Err(ASYMMETRIC) => true,
        Err(_) => false,
    }
}

#[cfg(all(
    feature = "membarrier",
    target_os = "linux",
    not(all(loom, feature = "loom"))
))]
mod system {
    use rustix::thread::{membarrier, MembarrierCommand};

    /// Any error means "not available": old kernels, gVisor, container profiles.
    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn barrier() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(not(all(
    feature = "membarrier",
    target_os = "linux",
    not(all(loom, feature = "loom"))
)))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        false
    }
}
