#![doc = "placeholder"]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod builder;
mod consumer;
mod error;
mod monitor;
mod producer;
mod ring;
mod shared;
mod sync;
mod wait;
mod weigh;

pub use builder::{channel, Builder};
pub use consumer::{Consumer, TryIter};
pub use error::{BuildError, MarkError, ReadError, Reason, TryReadError, TryWriteError, WaitError};
pub use monitor::{Monitor, State, Stats};
pub use producer::{Finish, Flow, Producer};
pub use weigh::{Bytes, Items, Weigh};

#[cfg(feature = "std")]
pub use {
    consumer::{IntoIter, Iter},
    error::{ReadTimeoutError, WaitTimeoutError, WriteError, WriteTimeoutError},
};

/// How it is made sure that no wake-up is lost, and how to choose.
#[cfg(feature = "std")]
pub mod barrier {
    pub use crate::wait::barrier::{mode, use_fences, Mode, TooLate};
}

/// For the models in `loom-tests`.
#[cfg(all(loom, feature = "loom"))]
#[doc(hidden)]
pub mod model {
    pub use crate::sync::Instant;
}
