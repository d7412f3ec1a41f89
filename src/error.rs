//! The error family: one type for each way of asking, so that an impossible case cannot be matched.
#![forbid(unsafe_code)]

mod bulk;

#[cfg(feature = "std")]
pub use bulk::{ChunkError, DrainError, FillError, ReadExactError, ReserveError, WriteAllError};
pub use bulk::{TryChunkError, TryReserveError};

use alloc::{boxed::Box, sync::Arc};
use core::fmt;

#[cfg(not(feature = "std"))]
use core::error::Error;
#[cfg(feature = "std")]
use std::{error::Error, io};

/// Why an end gave up: what was passed to [`Producer::abort`](crate::Producer::abort) or
/// [`Consumer::cancel`](crate::Consumer::cancel).
///
/// Any error, or a string. Cheap to clone. Two reasons are equal if one is a clone of the other.
///
/// # Examples
///
/// ```
/// use highwater::TryReadError;
///
/// let (producer, mut consumer) = highwater::channel::<u8>(4);
/// producer.abort("the sensor was unplugged");
/// match consumer.try_read() {
///     Err(TryReadError::Aborted(reason)) => {
///         assert_eq!(reason.to_string(), "the sensor was unplugged");
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone)]
pub struct Reason(Arc<dyn Error + Send + Sync>);

impl Reason {
    /// Makes a reason of an error or a string. One that came from another channel is passed on as it is.
    ///
    /// ```
    /// use highwater::Reason;
    /// let reason = Reason::new("the disk is full");
    /// assert_eq!(reason.to_string(), "the disk is full");
    /// assert_eq!(reason, reason.clone());
    /// assert_ne!(reason, Reason::new("the disk is full")); // another one, with the same words
    /// ```
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        match reason.into().downcast::<Self>() {
            Ok(reason) => *reason,
            Err(reason) => Self(Arc::from(reason)),
        }
    }

    /// The error itself, for instance to `downcast_ref` it.
    ///
    /// ```
    /// use std::io;
    /// let reason = highwater::Reason::new(io::Error::from(io::ErrorKind::AddrInUse));
    /// let error = reason.get_ref().downcast_ref::<io::Error>().unwrap();
    /// assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    /// ```
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Reason {
    // What the reason displays is its error; that error's own source comes next.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        // The data pointers alone: one type may have several vtables.
        core::ptr::eq(
            Arc::as_ptr(&self.0).cast::<()>(),
            Arc::as_ptr(&other.0).cast::<()>(),
        )
    }
}

impl Eq for Reason {}

/// Marks that contradict each other, or what the channel can hold.
///
/// What must hold: low-water mark <= high-water mark <= capacity (of a channel that counts items), or
/// <= limit (of one that weighs them).
///
/// # Examples
///
/// ```
/// use highwater::MarkError;
///
/// let (mut producer, _consumer) = highwater::channel::<u8>(8); // capacity 8, marks 8 and 4
/// let refused = producer.set_high_water_mark(9);
/// assert_eq!(refused, Err(MarkError::HighAboveCapacity { high: 9, capacity: 8 }));
/// let refused = producer.set_low_water_mark(9);
/// assert_eq!(refused, Err(MarkError::LowAboveHigh { low: 9, high: 8 }));
/// assert_eq!((producer.high_water_mark(), producer.low_water_mark()), (8, 4)); // as they were
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MarkError {
    /// The low-water mark is above the high-water mark.
    LowAboveHigh {
        /// The low-water mark, in items or weight.
        low: usize,
        /// The high-water mark, in items or weight.
        high: usize,
    },
    /// The high-water mark is more items than the channel has slots.
    HighAboveCapacity {
        /// The high-water mark, in items.
        high: usize,
        /// The capacity in slots.
        capacity: usize,
    },
    /// The high-water mark is above the hard limit of a weighted channel.
    HighAboveLimit {
        /// The high-water mark, in weight.
        high: usize,
        /// The limit, in weight.
        limit: usize,
    },
}

impl fmt::Display for MarkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LowAboveHigh { low, high } => write!(
                f,
                "the low-water mark ({low}) is above the high-water mark ({high}): lower the one or raise the other"
            ),
            Self::HighAboveCapacity { high, capacity } => write!(
                f,
                "the high-water mark ({high}) is above the capacity ({capacity} slots) and could never be reached: lower the mark or raise the capacity"
            ),
            Self::HighAboveLimit { high, limit } => {
                let raise = if *limit < isize::MAX as usize {
                    " or raise the limit"
                } else {
                    ", which cannot be raised" // of the limit, which stands before it
                };
                write!(
                    f,
                    "the high-water mark ({high}) is above the limit ({limit}): lower the mark{raise}"
                )
            }
        }
    }
}

impl Error for MarkError {}

/// Why [`Builder::build`](crate::Builder::build) made no channel.
///
/// # Examples
///
/// ```
/// use highwater::{BuildError, Builder, MarkError};
///
/// let error = Builder::new().high_water_mark(100).capacity(10).build::<u8>().unwrap_err();
/// assert_eq!(error, BuildError::Marks(MarkError::HighAboveCapacity { high: 100, capacity: 10 }));
/// let error = Builder::new().limit(1000).build::<u8>().unwrap_err(); // counts items: 1000 of what?
/// assert_eq!(error, BuildError::LimitWithoutWeight { limit: 1000 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The capacity is 0: no item could ever go through.
    ZeroCapacity,
    /// The capacity is more than a channel can have on this machine.
    CapacityTooLarge {
        /// The capacity asked for, in slots.
        capacity: usize,
        /// The greatest that is possible.
        max: usize,
    },
    /// There is no memory for that many slots.
    OutOfMemory {
        /// The capacity asked for, in slots.
        capacity: usize,
        /// The size of a slot in bytes: an item, and its weight where items have one.
        slot_size: usize,
    },
    /// A limit was set for a channel that counts items; its limit is the capacity.
    LimitWithoutWeight {
        /// The limit, in weight.
        limit: usize,
    },
    /// The marks contradict each other or the capacity.
    Marks(MarkError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroCapacity => f.write_str("a channel needs a capacity of at least 1 slot"),
            Self::CapacityTooLarge { capacity, max } => write!(
                f,
                "a capacity of {capacity} slots is too large: at most {max} are possible"
            ),
            Self::OutOfMemory {
                capacity,
                slot_size,
            } => write!(
                f,
                "no memory for {capacity} slots of {slot_size} bytes: lower the capacity or box the items"
            ),
            Self::LimitWithoutWeight { limit } => write!(
                f,
                "a limit ({limit}) needs a weighted channel: call weigh_by, or set the capacity instead"
            ),
            Self::Marks(error) => error.fmt(f),
        }
    }
}

// No source: what it would give is what `Display` has already said.
impl Error for BuildError {}

impl From<MarkError> for BuildError {
    fn from(error: MarkError) -> Self {
        Self::Marks(error)
    }
}

const WOULD_BLOCK: &str = "the channel is full: wait for drain and write the item again";
const CLOSED: &str =
    "the consumer takes no more items, or this end was closed as a sink: stop writing";
#[cfg(feature = "std")]
const WRITE_TIMEOUT: &str =
    "the channel did not drain in time: write the item again later, or give up";
#[cfg(feature = "std")]
const WAIT_TIMEOUT: &str = "it did not happen in time: wait again, or give up";
const EMPTY: &str = "no item is there yet: read again later";
#[cfg(feature = "std")]
const READ_TIMEOUT: &str = "no item came in time: read again, or give up";
const ENDED: &str = "the stream has ended: everything was read, nothing more will come";
const ABANDONED: &str =
    "the producer went away without ending the stream: what was read may be incomplete";

/// Why [`Producer::try_write`](crate::Producer::try_write) did not accept an item, and the item.
///
/// # Examples
///
/// ```
/// use highwater::{Flow, TryWriteError};
///
/// let (mut producer, mut consumer) = highwater::channel(1);
/// producer.write(String::from("first"))?;
/// let item = match producer.try_write(String::from("second")) {
///     Err(TryWriteError::WouldBlock(item)) => item, // not lost: to be written after drain
///     other => panic!("{other:?}"),
/// };
/// assert_eq!(consumer.read()?, "first");
/// assert_eq!(producer.try_write(item), Ok(Flow::Backpressure));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryWriteError<T> {
    /// The channel is full. Wait for drain, then write the item again.
    WouldBlock(T),
    /// The consumer takes no more items: it has closed the channel, cancelled, or is gone.
    /// [`Producer::cancel_reason`](crate::Producer::cancel_reason) has its reason, if it gave one.
    Closed(T),
}

/// Why a blocking write did not accept an item: the consumer takes no more. Holds the item.
///
/// # Examples
///
/// ```
/// use highwater::WriteError;
///
/// let (mut producer, consumer) = highwater::channel::<&str>(4);
/// consumer.cancel("the disk is full");
/// assert_eq!(producer.write("a line"), Err(WriteError("a line")));
/// assert_eq!(producer.cancel_reason().unwrap().to_string(), "the disk is full");
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WriteError<T>(pub T);

/// Why a write with a time limit did not accept an item, and the item.
///
/// # Examples
///
/// ```
/// use highwater::WriteTimeoutError;
/// use std::time::Duration;
///
/// let (mut producer, consumer) = highwater::channel(1);
/// producer.write("taken")?;
/// let late = producer.write_timeout("late", Duration::ZERO);
/// assert_eq!(late, Err(WriteTimeoutError::Timeout("late")));
/// drop(consumer);
/// let late = producer.write_timeout("late", Duration::from_secs(3600)); // returns at once
/// assert_eq!(late, Err(WriteTimeoutError::Closed("late")));
/// # Ok::<(), highwater::WriteError<&str>>(())
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WriteTimeoutError<T> {
    /// The channel did not drain in time.
    Timeout(T),
    /// The consumer takes no more items; see [`TryWriteError::Closed`].
    Closed(T),
}

/// What the three errors of a write have in common: an item inside, `Debug` and `Display` that do
/// not need it to have either, and a kind of `io::Error`.
macro_rules! write_error {
    ($name:ident { $($pattern:pat => $item:ident, $text:expr, $label:expr, $kind:ident;)+ }) => {
        impl<T> $name<T> {
            /// Gives the item back.
            ///
            /// ```
            /// use std::time::Duration;
            /// let (mut producer, consumer) = highwater::channel(4);
            /// drop(consumer);
            /// assert_eq!(producer.try_write("one").unwrap_err().into_inner(), "one");
            /// assert_eq!(producer.write("two").unwrap_err().into_inner(), "two");
            /// let error = producer.write_timeout("three", Duration::ZERO).unwrap_err();
            /// assert_eq!(error.into_inner(), "three");
            /// ```
            pub fn into_inner(self) -> T {
                match self {
                    $($pattern => $item,)+
                }
            }
        }

        #[allow(unused_variables)]
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($pattern => f.write_str($label),)+
                }
            }
        }

        #[allow(unused_variables)]
        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($pattern => f.write_str($text),)+
                }
            }
        }

        impl<T> Error for $name<T> {}

        /// Drops the item. Take it out first with `into_inner` if it is still needed.
        #[cfg(feature = "std")]
        #[allow(unused_variables)]
        impl<T> From<$name<T>> for io::Error {
            fn from(error: $name<T>) -> Self {
                match error {
                    $($pattern => io::Error::new(io::ErrorKind::$kind, $text),)+
                }
            }
        }
    };
}

write_error!(TryWriteError {
    TryWriteError::WouldBlock(item) => item, WOULD_BLOCK, "WouldBlock(..)", WouldBlock;
    TryWriteError::Closed(item) => item, CLOSED, "Closed(..)", BrokenPipe;
});

#[cfg(feature = "std")]
write_error!(WriteError {
    WriteError(item) => item, CLOSED, "WriteError(..)", BrokenPipe;
});

#[cfg(feature = "std")]
write_error!(WriteTimeoutError {
    WriteTimeoutError::Timeout(item) => item, WRITE_TIMEOUT, "Timeout(..)", TimedOut;
    WriteTimeoutError::Closed(item) => item, CLOSED, "Closed(..)", BrokenPipe;
});

#[cfg(feature = "std")]
impl<T> From<WriteError<T>> for TryWriteError<T> {
    fn from(error: WriteError<T>) -> Self {
        Self::Closed(error.0)
    }
}

#[cfg(feature = "std")]
impl<T> From<WriteError<T>> for WriteTimeoutError<T> {
    fn from(error: WriteError<T>) -> Self {
        Self::Closed(error.0)
    }
}

/// The consumer takes no more items, so that what was waited for (drain, finish) will not happen.
///
/// Has the consumer's reason, if it gave one.
///
/// # Examples
///
/// ```
/// let (mut producer, consumer) = highwater::channel(4);
/// producer.write("unread")?;
/// drop(consumer);
/// let error = producer.end().wait().unwrap_err(); // it will never be read
/// assert_eq!(error.reason(), None);
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok::<(), highwater::WriteError<&str>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitError {
    pub(crate) reason: Option<Reason>,
}

impl WaitError {
    /// What the consumer passed to [`cancel`](crate::Consumer::cancel); `None` if it was
    /// dropped, or closed the channel.
    ///
    /// ```
    /// use std::io;
    /// let (mut producer, consumer) = highwater::channel::<u8>(4);
    /// consumer.cancel(io::Error::from(io::ErrorKind::PermissionDenied));
    /// let error = producer.wait_drain().unwrap_err();
    /// let cause = error.reason().unwrap().get_ref().downcast_ref::<io::Error>().unwrap();
    /// assert_eq!(cause.kind(), io::ErrorKind::PermissionDenied);
    /// ```
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "the consumer cancelled: {reason}"),
            None => f.write_str(CLOSED),
        }
    }
}

impl Error for WaitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.as_ref().and_then(Error::source)
    }
}

/// Why a wait with a time limit did not see what it waited for.
///
/// # Examples
///
/// ```
/// use highwater::WaitTimeoutError;
/// use std::time::Duration;
///
/// let (mut producer, consumer) = highwater::channel(4);
/// producer.write("unread")?;
/// let mut finish = producer.end();
/// assert_eq!(finish.wait_timeout(Duration::ZERO), Err(WaitTimeoutError::Timeout)); // it can be asked again
/// drop(consumer);
/// assert!(matches!(finish.wait_timeout(Duration::ZERO), Err(WaitTimeoutError::Closed(_)))); // final
/// # Ok::<(), highwater::WriteError<&str>>(())
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitTimeoutError {
    /// It did not happen in time.
    Timeout,
    /// It will not happen: the consumer takes no more items.
    Closed(WaitError),
}

#[cfg(feature = "std")]
impl fmt::Display for WaitTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str(WAIT_TIMEOUT),
            Self::Closed(error) => error.fmt(f),
        }
    }
}

#[cfg(feature = "std")]
impl Error for WaitTimeoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Timeout => None,
            Self::Closed(error) => error.source(),
        }
    }
}

#[cfg(feature = "std")]
impl From<WaitError> for WaitTimeoutError {
    fn from(error: WaitError) -> Self {
        Self::Closed(error)
    }
}

#[cfg(feature = "std")]
impl From<WaitError> for io::Error {
    fn from(error: WaitError) -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, error)
    }
}

#[cfg(feature = "std")]
impl From<WaitTimeoutError> for io::Error {
    fn from(error: WaitTimeoutError) -> Self {
        match error {
            WaitTimeoutError::Timeout => io::Error::new(io::ErrorKind::TimedOut, error),
            WaitTimeoutError::Closed(error) => error.into(),
        }
    }
}

/// Why a read gave no item although it could wait: nothing will come any more.
///
/// # Examples
///
/// ```
/// use highwater::ReadError;
/// use std::io;
///
/// let (mut producer, mut consumer) = highwater::channel(4);
/// producer.write("half of it")?;
/// drop(producer); // a panic, an early return: no end
/// assert_eq!(consumer.read(), Ok("half of it"));
/// assert_eq!(consumer.read(), Err(ReadError::Abandoned));
/// assert_eq!(io::Error::from(ReadError::Abandoned).kind(), io::ErrorKind::UnexpectedEof);
/// # Ok::<(), highwater::WriteError<&str>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The producer ended the stream, and everything was read.
    Ended,
    /// The producer was dropped without ending the stream (a panic, an early return), and everything
    /// it left was read. Do not take this for an end.
    Abandoned,
    /// The producer aborted. What was buffered is gone.
    Aborted(Reason),
}

/// Why [`Consumer::try_read`](crate::Consumer::try_read) gave no item.
///
/// # Examples
///
/// ```
/// use highwater::TryReadError;
/// use std::io;
///
/// let (producer, mut consumer) = highwater::channel::<u8>(4);
/// assert_eq!(consumer.try_read(), Err(TryReadError::Empty)); // not final
/// producer.end();
/// assert_eq!(consumer.try_read(), Err(TryReadError::Ended)); // final
/// assert_eq!(io::Error::from(TryReadError::Empty).kind(), io::ErrorKind::WouldBlock);
/// assert_eq!(io::Error::from(TryReadError::Ended).kind(), io::ErrorKind::UnexpectedEof);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryReadError {
    /// Nothing is there yet.
    Empty,
    /// As [`ReadError::Ended`].
    Ended,
    /// As [`ReadError::Abandoned`].
    Abandoned,
    /// As [`ReadError::Aborted`].
    Aborted(Reason),
}

/// Why a read with a time limit gave no item.
///
/// # Examples
///
/// ```
/// use highwater::ReadTimeoutError;
/// use std::time::Duration;
///
/// let (producer, mut consumer) = highwater::channel::<u8>(4);
/// assert_eq!(consumer.read_timeout(Duration::ZERO), Err(ReadTimeoutError::Timeout));
/// producer.abort("the sensor was unplugged");
/// match consumer.read_timeout(Duration::from_secs(3600)) { // returns at once
///     Err(ReadTimeoutError::Aborted(reason)) => assert_eq!(reason.to_string(), "the sensor was unplugged"),
///     other => panic!("{other:?}"),
/// }
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadTimeoutError {
    /// Nothing came in time.
    Timeout,
    /// As [`ReadError::Ended`].
    Ended,
    /// As [`ReadError::Abandoned`].
    Abandoned,
    /// As [`ReadError::Aborted`].
    Aborted(Reason),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str(ENDED),
            Self::Abandoned => f.write_str(ABANDONED),
            Self::Aborted(reason) => write!(f, "the producer aborted: {reason}"),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Ended | Self::Abandoned => None,
            Self::Aborted(reason) => reason.source(),
        }
    }
}

#[cfg(feature = "std")]
impl ReadError {
    /// As an `io::Error`, of any kind but `not_yet`, by which the operation says that nothing is final.
    fn into_io_error(self, not_yet: io::ErrorKind) -> io::Error {
        let kind = match &self {
            Self::Ended | Self::Abandoned => io::ErrorKind::UnexpectedEof,
            Self::Aborted(reason) => reason
                .get_ref()
                .downcast_ref::<io::Error>()
                .map(io::Error::kind)
                .filter(|kind| {
                    // Whoever got these would try again, for ever.
                    !matches!(kind, io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
                        && *kind != not_yet
                })
                .unwrap_or(io::ErrorKind::ConnectionAborted),
        };
        io::Error::new(kind, self)
    }
}

#[cfg(feature = "std")]
impl From<ReadError> for io::Error {
    /// An abort keeps the kind of its reason, if that is an `io::Error`; but not `Interrupted` or `WouldBlock`, which ask for another try.
    fn from(error: ReadError) -> Self {
        error.into_io_error(io::ErrorKind::WouldBlock)
    }
}

/// `TryReadError` and `ReadTimeoutError` are a `ReadError` and one case more.
macro_rules! read_error {
    ($name:ident, $extra:ident, $text:expr, $kind:ident) => {
        impl From<ReadError> for $name {
            fn from(error: ReadError) -> Self {
                match error {
                    ReadError::Ended => Self::Ended,
                    ReadError::Abandoned => Self::Abandoned,
                    ReadError::Aborted(reason) => Self::Aborted(reason),
                }
            }
        }

        impl $name {
            /// The same as a [`ReadError`], or `None` if nothing is final yet.
            ///
            /// ```
            /// use highwater::ReadError;
            /// use std::time::Duration;
            /// let (producer, mut consumer) = highwater::channel::<u8>(4);
            /// assert_eq!(consumer.try_read().unwrap_err().into_read_error(), None); // empty
            /// let in_time = consumer.read_timeout(Duration::ZERO);
            /// assert_eq!(in_time.unwrap_err().into_read_error(), None); // timed out
            /// producer.end();
            /// assert_eq!(consumer.try_read().unwrap_err().into_read_error(), Some(ReadError::Ended));
            /// ```
            pub fn into_read_error(self) -> Option<ReadError> {
                match self {
                    Self::$extra => None,
                    Self::Ended => Some(ReadError::Ended),
                    Self::Abandoned => Some(ReadError::Abandoned),
                    Self::Aborted(reason) => Some(ReadError::Aborted(reason)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.clone().into_read_error() {
                    None => f.write_str($text),
                    Some(error) => error.fmt(f),
                }
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self {
                    Self::Aborted(reason) => reason.source(),
                    _ => None,
                }
            }
        }

        #[cfg(feature = "std")]
        impl From<$name> for io::Error {
            #[doc = concat!("As for [`ReadError`]; nor is an abort ever of the kind `", stringify!($kind), "`, which says that nothing is final yet.")]
            fn from(error: $name) -> Self {
                match error.into_read_error() {
                    None => io::Error::new(io::ErrorKind::$kind, $text),
                    Some(error) => error.into_io_error(io::ErrorKind::$kind),
                }
            }
        }
    };
}

read_error!(TryReadError, Empty, EMPTY, WouldBlock);
#[cfg(feature = "std")]
read_error!(ReadTimeoutError, Timeout, READ_TIMEOUT, TimedOut);

#[cfg(feature = "std")]
impl WaitTimeoutError {
    pub(crate) fn without_deadline(self) -> WaitError {
        match self {
            Self::Closed(error) => error,
            Self::Timeout => unreachable!("there was no deadline"),
        }
    }

    /// As the error of a write, which gives the item back.
    pub(crate) fn with_item<T>(self, item: T) -> WriteTimeoutError<T> {
        match self {
            Self::Timeout => WriteTimeoutError::Timeout(item),
            Self::Closed(_) => WriteTimeoutError::Closed(item),
        }
    }
}

#[cfg(feature = "std")]
impl ReadTimeoutError {
    pub(crate) fn without_deadline(self) -> ReadError {
        self.into_read_error()
            .unwrap_or_else(|| unreachable!("there was no deadline"))
    }
}

/// There is no [`EventFd`](crate::EventFd) for this end. The channel goes on without it.
///
/// # Examples
///
/// ```
/// use rustix::{io::Errno, process::{getrlimit, setrlimit, Resource, Rlimit}};
///
/// let (_producer, mut consumer) = highwater::channel::<u8>(4);
/// let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
/// setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum })?; // no more descriptors
/// let error = std::io::Error::from(consumer.ready_fd().unwrap_err());
/// assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
/// setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
/// assert!(consumer.ready_fd().is_ok()); // it can be asked again
/// # Ok::<(), Errno>(())
/// ```
#[cfg(all(feature = "eventfd", target_os = "linux"))]
#[derive(Debug)]
pub struct EventFdError(pub(crate) io::Error);

#[cfg(all(feature = "eventfd", target_os = "linux"))]
impl fmt::Display for EventFdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no eventfd: {}; close descriptors or raise the limit of open files, and ask again, or wait in a thread or a task: the channel goes on without it",
            self.0
        )
    }
}

#[cfg(all(feature = "eventfd", target_os = "linux"))]
impl Error for EventFdError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(all(feature = "eventfd", target_os = "linux"))]
impl From<EventFdError> for io::Error {
    /// The error of eventfd(2).
    fn from(error: EventFdError) -> Self {
        error.0
    }
}
