//! One way to stop all that belongs together.
#![forbid(unsafe_code)]

use crate::{
    shared::Shared,
    sync::{Arc, Mutex},
};
use core::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

/// Stops a [`Pipe`](crate::Pipe) or a [`Pipeline`](crate::Pipeline) from any thread, before it runs or while
/// it does. Clones stop the same.
///
/// Whoever waits in a channel of it is woken at once. Whoever is in a call of its own (a read of a
/// socket, say) is not interrupted in it; [`run`](crate::Pipe::run) does not wait for a source in such a
/// call, but is itself the thread of the sink.
///
/// # Examples
///
/// ```
/// use highwater::{Pipe, PipeFailure};
/// use std::thread;
///
/// let pipe = Pipe::new();
/// let handle = pipe.cancel_handle();
/// thread::spawn(move || handle.cancel());
/// let error = pipe.run(std::io::repeat(0), std::io::sink()).unwrap_err(); // would never end
/// assert!(matches!(error.failure, PipeFailure::Cancelled));
/// ```
#[derive(Clone)]
pub struct CancelHandle(Arc<Mutex<Channels>>);

struct Channels {
    is_cancelled: bool,
    /// Nothing is to run any more: cancelled, or failed.
    is_over: bool,
    attached: Vec<Arc<Shared>>,
}

// Nothing of the caller's runs while it is changed: a Waker that panics is caught where it is called.
impl UnwindSafe for CancelHandle {}
impl RefUnwindSafe for CancelHandle {}

impl CancelHandle {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Channels {
            is_cancelled: false,
            is_over: false,
            attached: Vec::new(),
        })))
    }

    /// Stops it, for good. Does nothing if it is through already.
    ///
    /// A source or a sink that is in a call of its own just then is not woken. If that call ends with
    /// [`ErrorKind::Interrupted`](std::io::ErrorKind::Interrupted), as by a signal, it is not made again.
    ///
    /// ```
    /// use highwater::{Pipeline, PipelineFailure};
    /// let pipeline = Pipeline::source(0_u64..); // would never end
    /// pipeline.cancel_handle().cancel(); // before it has begun
    /// let error = pipeline.run(|_| Ok::<(), String>(())).unwrap_err();
    /// assert!(matches!(error.failure, PipelineFailure::Cancelled));
    /// assert_eq!(error.items, 0);
    /// ```
    pub fn cancel(&self) {
        self.0.lock().is_cancelled = true;
        self.stop();
    }

    /// Stops it without having been cancelled.
    pub(super) fn stop(&self) {
        let mut channels = self.0.lock();
        channels.is_over = true;
        for shared in channels.attached.drain(..) {
            shared.stop();
        }
    }

    /// It is through: there is nothing to stop any more.
    pub(super) fn detach(&self) {
        self.0.lock().attached.clear();
    }

    /// Whether [`cancel`](Self::cancel) was called.
    ///
    /// ```
    /// use highwater::Pipe;
    /// let handle = Pipe::new().cancel_handle();
    /// let clone = handle.clone();
    /// assert!(!handle.is_cancelled());
    /// clone.cancel();
    /// assert!(handle.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().is_cancelled
    }

    /// Stops this channel, too.
    pub(super) fn attach(&self, shared: &Arc<Shared>) {
        let mut channels = self.0.lock();
        if channels.is_over {
            shared.stop();
        } else {
            channels.attached.push(shared.clone());
        }
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
