//! How long a task goes on that never has to wait: the others of its executor have to get their turn.
//!
//! Each end has a bound of its own, which holds under any executor. tokio has one for each task, shared by
//! all that the task uses: with the feature `tokio` the ends take part in it.
#![forbid(unsafe_code)]

use core::task::{Context, Poll};
#[cfg(feature = "tokio")]
use {futures_core::ready, tokio::task::coop};

/// As many as tokio's budget has.
const MOST_IN_A_ROW: u32 = 128;

/// The turns that an end has taken in a row, without a wait between them.
pub(crate) struct Turns {
    in_a_row: u32,
}

/// Leave to go on, in one poll.
#[must_use = "a turn that was used counts"]
pub(crate) struct Turn {
    #[cfg(feature = "tokio")]
    of_budget: coop::RestoreOnPending,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { in_a_row: 0 }
    }

    /// The task has to wait, so that the others get their turn in any case.
    pub(crate) fn start_again(&mut self) {
        self.in_a_row = 0;
    }

    /// Pending says: others first. The task is woken, so that it comes back after them.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let in_a_row = core::mem::replace(&mut self.in_a_row, 0);
        if in_a_row == MOST_IN_A_ROW {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        #[cfg(feature = "tokio")]
        let of_budget = ready!(coop::poll_proceed(cx));
        self.in_a_row = in_a_row + 1;
        Poll::Ready(Turn {
            #[cfg(feature = "tokio")]
            of_budget,
        })
    }
}

impl Turn {
    /// It ends with a result. One that ends with a wait takes nothing from tokio's budget.
    pub(crate) fn was_used(self) {
        #[cfg(feature = "tokio")]
        self.of_budget.made_progress();
    }
}
