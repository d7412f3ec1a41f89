//! How long a task goes on that never has to wait: the others of its executor have to get their turn.
//!
//! Each end has a bound of its own, which holds under any executor. tokio has one for each task, shared by
//! all that the task uses: with the feature `tokio` the ends take part in it.
#![forbid(unsafe_code)]

use crate::sync::MODEL;
use core::task::{Context, Poll};
#[cfg(feature = "tokio")]
use {
    futures_core::ready,
    tokio::{
        runtime::{Handle, RuntimeFlavor},
        task::coop,
    },
};

/// As many as tokio's budget has.
const MOST_IN_A_ROW: u32 = 128;
/// So many turns are one unit of tokio's budget: an item costs some nanoseconds, and to ask for the budget costs
/// more.
const TURNS_A_UNIT: u32 = if cfg!(feature = "tokio") {
    16
} else {
    MOST_IN_A_ROW
};

/// The turns that an end has taken in a row, without a wait between them.
pub(crate) struct Turns {
    in_a_row: u32,
    /// Up to here nobody has to be asked.
    granted: u32,
}

/// Whether a task that finds nothing had better look once more in its next turn, before it leaves its
/// Waker: that spares both ends the barrier and the wake-up, if the other end is a task of the same thread.
/// Found out by trying, now and then, and not before it has waited a few times.
pub(crate) struct SecondLook {
    is_under_way: bool,
    waits_without: u32,
    waits_between: u32,
}

/// Waits that are taken as they come, before and between tries that were in vain.
const FEWEST_WAITS: u32 = 8;
const MOST_WAITS: u32 = 256;

impl SecondLook {
    pub(crate) fn new() -> Self {
        Self {
            is_under_way: false,
            // In a model it would show nothing.
            waits_without: if MODEL { u32::MAX } else { FEWEST_WAITS },
            waits_between: FEWEST_WAITS,
        }
    }

    /// The task has found what it waits for.
    #[inline]
    pub(crate) fn has_found(&mut self) {
        if core::mem::take(&mut self.is_under_way) {
            self.waits_between = FEWEST_WAITS;
        }
    }

    /// The task has found nothing: whether to look once more, and not to wait yet.
    pub(crate) fn is_due(&mut self) -> bool {
        if core::mem::take(&mut self.is_under_way) {
            self.waits_without = self.waits_between;
            self.waits_between = (2 * self.waits_between).min(MOST_WAITS);
        } else if self.waits_without > 0 {
            self.waits_without -= 1;
        } else {
            self.is_under_way = stays_on_its_thread();
        }
        self.is_under_way
    }
}

/// Whether a task that wakes itself is sure to come back on its thread. A runtime of several threads has such a task
/// stolen by the next one that is idle, and wakes one for that; whereas a task that is woken by the other end's
/// runs next on the thread of that.
fn stays_on_its_thread() -> bool {
    #[cfg(feature = "tokio")]
    if let Ok(runtime) = Handle::try_current() {
        return runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
    }
    true
}

/// Leave to go on, in one poll.
#[must_use = "a turn that was used counts"]
pub(crate) struct Turn {
    /// What was taken from the budget for this turn and those after it.
    #[cfg(feature = "tokio")]
    of_budget: Option<coop::RestoreOnPending>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            in_a_row: 0,
            granted: 0,
        }
    }

    /// The task has to wait, so that the others get their turn in any case.
    pub(crate) fn start_again(&mut self) {
        *self = Self::new();
    }

    /// Whether the next turn is granted already; if it is used, it has to be counted.
    #[inline(always)]
    pub(crate) fn is_granted(&self) -> bool {
        self.in_a_row < self.granted
    }

    /// A turn that was granted already has been used.
    #[inline(always)]
    pub(crate) fn count(&mut self) {
        self.in_a_row += 1;
    }

    /// Pending says: others first. The task is woken, so that it comes back after them.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if !self.is_granted() {
            // Taken back, if the budget says no.
            let in_a_row = core::mem::replace(self, Self::new()).in_a_row;
            if in_a_row >= MOST_IN_A_ROW {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            #[cfg(feature = "tokio")]
            let of_budget = Some(ready!(coop::poll_proceed(cx)));
            *self = Self {
                in_a_row: in_a_row + 1,
                granted: in_a_row + TURNS_A_UNIT,
            };
            return Poll::Ready(Turn {
                #[cfg(feature = "tokio")]
                of_budget,
            });
        }
        self.count();
        Poll::Ready(Turn {
            #[cfg(feature = "tokio")]
            of_budget: None,
        })
    }
}

impl Turn {
    /// It ends with a result. One that ends with a wait takes nothing from tokio's budget.
    pub(crate) fn was_used(self) {
        #[cfg(feature = "tokio")]
        if let Some(of_budget) = self.of_budget {
            of_budget.made_progress();
        }
    }
}
