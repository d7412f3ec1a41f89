//! The errors of chunks and slices.
#![forbid(unsafe_code)]

use super::{TryReadError, CLOSED};
use core::fmt;

#[cfg(not(feature = "std"))]
use core::error::Error;
#[cfg(feature = "std")]
use {
    super::{ReadError, ReadTimeoutError, WaitError, WaitTimeoutError},
    std::{error::Error, io},
};

/// Why [`Producer::try_reserve`](crate::Producer::try_reserve) reserved no room.
///
/// # Examples
///
/// ```
/// use highwater::TryReserveError;
///
/// let (mut producer, _consumer) = highwater::channel::<u8>(8); // low-water mark: 4
/// let error = producer.try_reserve(5).unwrap_err(); // drain, at 4 items, might leave no more room than 4
/// assert_eq!(error, TryReserveError::TooLarge { slots: 5, most: 4 });
/// assert_eq!(producer.try_write_slice(&[0; 5]), Ok(5));
/// assert_eq!(producer.try_reserve(4).unwrap_err(), TryReserveError::WouldBlock); // three are free
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryReserveError {
    /// Not so many slots are free. Wait for drain, then reserve again.
    WouldBlock,
    /// The consumer takes no more items: it has closed the channel, cancelled, or is gone.
    Closed,
    /// So many free slots might never come.
    TooLarge {
        /// How many were asked for.
        slots: usize,
        /// The most that can be: [`Producer::max_reserve`](crate::Producer::max_reserve).
        most: usize,
    },
}

/// Why [`Producer::reserve`](crate::Producer::reserve) and its relatives reserved no room.
///
/// # Examples
///
/// ```
/// use highwater::ReserveError;
/// use std::time::Duration;
///
/// let (mut producer, consumer) = highwater::channel::<u8>(8);
/// assert_eq!(producer.try_write_slice(&[0; 8]), Ok(8)); // full
/// assert_eq!(producer.reserve_timeout(4, Duration::ZERO).unwrap_err(), ReserveError::Timeout);
/// consumer.cancel("enough");
/// let error = producer.reserve(4).unwrap_err(); // returns at once
/// assert!(matches!(error, ReserveError::Closed(error) if error.reason().unwrap().to_string() == "enough"));
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveError {
    /// Not so many slots became free in time. Only where there is a time limit.
    Timeout,
    /// The consumer takes no more items.
    Closed(WaitError),
    /// So many free slots might never come.
    TooLarge {
        /// How many were asked for.
        slots: usize,
        /// The most that can be: [`Producer::max_reserve`](crate::Producer::max_reserve).
        most: usize,
    },
}

/// Why [`Consumer::try_chunk`](crate::Consumer::try_chunk) gave no chunk.
///
/// # Examples
///
/// ```
/// use highwater::{TryChunkError, TryReadError};
///
/// let (mut producer, mut consumer) = highwater::channel(8);
/// assert_eq!(consumer.try_chunk(9).unwrap_err(), TryChunkError::TooLarge { items: 9, most: 8 });
/// producer.write("the only one")?;
/// assert_eq!(consumer.try_chunk(2).unwrap_err(), TryChunkError::Read(TryReadError::Empty)); // not two yet
/// # Ok::<(), highwater::WriteError<&str>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryChunkError {
    /// Not so many items are there yet, or none will come any more.
    Read(TryReadError),
    /// There are not so many slots.
    TooLarge {
        /// How many were asked for.
        items: usize,
        /// The capacity.
        most: usize,
    },
}

/// Why [`Consumer::chunk`](crate::Consumer::chunk) and its relatives gave no chunk.
///
/// # Examples
///
/// ```
/// use highwater::{ChunkError, ReadTimeoutError};
///
/// let (producer, mut consumer) = highwater::channel::<u8>(8); // low-water mark: 4
/// let error = consumer.chunk(6).unwrap_err(); // at 5 items the producer may wait for drain
/// assert_eq!(error, ChunkError::TooLarge { items: 6, most: 5 });
/// drop(producer);
/// assert_eq!(consumer.chunk(5).unwrap_err(), ChunkError::Read(ReadTimeoutError::Abandoned));
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// Not so many items came in time (only where there is a time limit), or none will come any more.
    Read(ReadTimeoutError),
    /// So many items might never come.
    TooLarge {
        /// How many items were asked for.
        items: usize,
        /// The most that can be: [`Consumer::max_chunk`](crate::Consumer::max_chunk).
        most: usize,
    },
}

/// Why [`Producer::write_all`](crate::Producer::write_all) did not write everything: the consumer takes no
/// more.
///
/// # Examples
///
/// ```
/// use std::thread;
///
/// let (mut producer, mut consumer) = highwater::channel::<u8>(8);
/// let reader = thread::spawn(move || {
///     drop(consumer.chunk_up_to(1).unwrap()); // sleeps until something is there, and takes nothing
///     consumer.cancel("enough");
/// });
/// let error = producer.write_all(&[0; 10]).unwrap_err();
/// assert_eq!(error.written, 8); // up to the mark, as one; then it slept
/// assert_eq!(error.cause.reason().unwrap().to_string(), "enough");
/// # reader.join().unwrap();
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteAllError {
    /// How many items went into the channel before that: the first ones of the slice.
    pub written: usize,
    /// Why there were no more.
    pub cause: WaitError,
}

/// Why [`Consumer::read_exact`](crate::Consumer::read_exact) did not fill the slice: nothing more will come.
///
/// # Examples
///
/// ```
/// use highwater::{ReadError, ReadExactError};
///
/// let (mut producer, mut consumer) = highwater::channel(8);
/// producer.write_all(&[1, 2, 3])?;
/// producer.end();
/// let mut items = [0; 4];
/// let error = consumer.read_exact(&mut items).unwrap_err();
/// assert_eq!(error, ReadExactError { read: 3, cause: ReadError::Ended });
/// assert_eq!(items, [1, 2, 3, 0]);
/// # Ok::<(), highwater::WriteAllError>(())
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadExactError {
    /// How many items were read before that: they are at the beginning of the slice.
    pub read: usize,
    /// Why there were no more.
    pub cause: ReadError,
}

impl From<TryReadError> for TryChunkError {
    fn from(error: TryReadError) -> Self {
        Self::Read(error)
    }
}

#[cfg(feature = "std")]
impl From<ReadTimeoutError> for ChunkError {
    fn from(error: ReadTimeoutError) -> Self {
        Self::Read(error)
    }
}

#[cfg(feature = "std")]
impl From<WaitTimeoutError> for ReserveError {
    fn from(error: WaitTimeoutError) -> Self {
        match error {
            WaitTimeoutError::Timeout => Self::Timeout,
            WaitTimeoutError::Closed(error) => Self::Closed(error),
        }
    }
}

/// `Display`, `Error` and the way into an `io::Error` of an enum: a pattern for each case, what it says,
/// and the kind, or the error inside that knows both.
macro_rules! bulk_error {
    ($name:ident {
        $($pattern:pat => $kind:ident, $text:expr;)*
        @ $($inner:pat => $error:ident;)*
    }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($pattern => f.write_fmt($text),)*
                    $($inner => $error.fmt(f),)*
                }
            }
        }

        impl Error for $name {
            #[allow(unused_variables)]
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self {
                    $($pattern => None,)*
                    $($inner => $error.source(),)*
                }
            }
        }

        #[cfg(feature = "std")]
        impl From<$name> for io::Error {
            #[allow(unused_variables)]
            fn from(error: $name) -> Self {
                match &error {
                    $($pattern => io::Error::new(io::ErrorKind::$kind, error),)*
                    $($inner => io::Error::from($error.clone()),)*
                }
            }
        }
    };
}

bulk_error!(TryReserveError {
    TryReserveError::WouldBlock => WouldBlock,
        format_args!("not so many slots are free: wait for drain and reserve them again");
    TryReserveError::Closed => BrokenPipe, format_args!("{CLOSED}");
    TryReserveError::TooLarge { slots, most } => InvalidInput,
        format_args!("{slots} free slots might never come: at most {most} are sure to (capacity less low-water mark): ask for fewer, or build the channel with a larger capacity");
    @
});

#[cfg(feature = "std")]
bulk_error!(ReserveError {
    ReserveError::Timeout => TimedOut,
        format_args!("the channel did not drain, or not so many slots came free, in time: reserve them again later, or give up");
    ReserveError::TooLarge { slots, most } => InvalidInput,
        format_args!("{slots} free slots might never come: at most {most} are sure to (capacity less low-water mark): ask for fewer, or build the channel with a larger capacity");
    @ ReserveError::Closed(error) => error;
});

bulk_error!(TryChunkError {
    TryChunkError::TooLarge { items, most } => InvalidInput,
        format_args!("{items} items were asked for, and the channel holds {most}: ask for fewer, or build it with a larger capacity");
    TryChunkError::Read(TryReadError::Empty) => WouldBlock,
        format_args!("not so many items are there yet: ask again later, or for fewer");
    @ TryChunkError::Read(error) => error;
});

#[cfg(feature = "std")]
bulk_error!(ChunkError {
    ChunkError::TooLarge { items, most } => InvalidInput,
        format_args!("{items} items might never come: the producer may stop when {most} are there (one above the low-water mark): ask for fewer, or raise the mark");
    ChunkError::Read(ReadTimeoutError::Timeout) => TimedOut,
        format_args!("not so many items came in time: ask again, or for fewer, or give up");
    @ ChunkError::Read(error) => error;
});

/// The two that count what went: a cause and a number.
#[cfg(feature = "std")]
macro_rules! partial_error {
    ($name:ident, $count:ident, $verb:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} (after {} {})", self.cause, self.$count, $verb)
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.cause.source()
            }
        }

        impl From<$name> for io::Error {
            /// Without the number: as of the cause.
            fn from(error: $name) -> Self {
                error.cause.into()
            }
        }
    };
}

#[cfg(feature = "std")]
partial_error!(WriteAllError, written, "items were written");
#[cfg(feature = "std")]
partial_error!(ReadExactError, read, "items were read");

/// Why [`ByteProducer::fill_from`](crate::ByteProducer::fill_from) wrote nothing.
///
/// # Examples
///
/// ```
/// use highwater::FillError;
/// use std::io::ErrorKind;
///
/// let (mut producer, consumer) = highwater::bytes(8);
/// let (other, mut source) = highwater::bytes(8);
/// drop(other); // so that this source fails: it broke off
/// let error = producer.fill_from(&mut source).unwrap_err();
/// assert!(matches!(error, FillError::Source(error) if error.kind() == ErrorKind::UnexpectedEof));
/// drop(consumer);
/// let error = producer.fill_from(&mut &b"more"[..]).unwrap_err();
/// assert!(matches!(error, FillError::Closed(_)));
/// ```
#[cfg(feature = "std")]
#[derive(Debug)]
pub enum FillError {
    /// The source failed.
    Source(io::Error),
    /// The consumer takes no more.
    Closed(WaitError),
}

/// Why [`ByteConsumer::drain_to`](crate::ByteConsumer::drain_to) read nothing.
///
/// # Examples
///
/// ```
/// use highwater::{DrainError, ReadError};
/// use std::io::{self, ErrorKind, Write};
///
/// let (mut producer, mut consumer) = highwater::bytes(8);
/// producer.write_all(b"rest")?;
/// drop(producer); // without an end
/// let mut full: &mut [u8] = &mut []; // a sink without room
/// let error = consumer.drain_to(&mut full).unwrap_err();
/// assert!(matches!(error, DrainError::Sink(error) if error.kind() == ErrorKind::WriteZero));
/// assert_eq!(consumer.drain_to(&mut io::sink())?, 4); // nothing was lost
/// let error = consumer.drain_to(&mut io::sink()).unwrap_err();
/// assert!(matches!(error, DrainError::Stream(ReadError::Abandoned)));
/// # io::Result::Ok(())
/// ```
#[cfg(feature = "std")]
#[derive(Debug)]
pub enum DrainError {
    /// The sink failed. What it was offered is still in the stream.
    Sink(io::Error),
    /// The stream broke off: the producer was dropped without an end, or aborted.
    Stream(ReadError),
}

/// An error of either side, as it is.
#[cfg(feature = "std")]
macro_rules! either_error {
    ($name:ident, $outside:ident, $inside:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::$outside(error) => error.fmt(f),
                    Self::$inside(error) => error.fmt(f),
                }
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self {
                    Self::$outside(error) => error.source(),
                    Self::$inside(error) => error.source(),
                }
            }
        }

        impl From<$name> for io::Error {
            fn from(error: $name) -> Self {
                match error {
                    $name::$outside(error) => error,
                    $name::$inside(error) => error.into(),
                }
            }
        }
    };
}

#[cfg(feature = "std")]
either_error!(FillError, Source, Closed);
#[cfg(feature = "std")]
either_error!(DrainError, Sink, Stream);
