//! A channel between one producer and one consumer thread, with real backpressure.
//!
//! A fast producer must not bury a slow consumer: without flow control what lies between them grows
//! until the program dies. Node.js streams solved this for one thread with a small vocabulary: a
//! *length*, a *high-water mark*, a `write` that says when to stop, and a *drain* that says when to go
//! on. This crate brings that vocabulary to two threads, over a bounded, lock-free ring.
//!
//! ```
//! use std::thread;
//!
//! let (mut producer, consumer) = highwater::channel(64); // says stop at 64 items, goes on at 32
//!
//! let sum = thread::spawn(move || -> Result<u64, highwater::ReadError> {
//!     let mut sum = 0;
//!     for item in consumer {
//!         sum += item?; // an Err is the last item of a stream that did not end cleanly
//!     }
//!     Ok(sum)
//! });
//! for i in 0..1000 {
//!     producer.write(i)?; // obeys: sleeps while there is too much
//! }
//! producer.end().wait()?; // everything was consumed
//! assert_eq!(sum.join().unwrap()?, 499_500);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Backpressure
//!
//! [`try_write`](Producer::try_write) never waits, and answers with a [`Flow`] that the compiler does
//! not let you overlook. **The rule: on [`Backpressure`](Flow::Backpressure) stop, and go on after
//! drain.**
//!
//! ```
//! use highwater::{Flow, TryWriteError};
//!
//! let (mut producer, mut consumer) = highwater::channel(2);
//! assert_eq!(producer.try_write(1), Ok(Flow::Ready));
//! assert_eq!(producer.try_write(2), Ok(Flow::Backpressure)); // accepted, and: stop
//! assert_eq!(producer.try_write(3), Err(TryWriteError::WouldBlock(3))); // ignored it: comes back
//!
//! assert_eq!(consumer.try_read(), Ok(1));
//! assert!(!producer.need_drain()); // drained to the low-water mark: go on
//! assert_eq!(producer.try_write(3), Ok(Flow::Backpressure));
//! ```
//!
//! # Words
//!
//! ```text
//!    0          low-water mark        high-water mark        capacity
//!    |--------------|-----------------------|--------------------|
//!                   |                       '- a write that ends here or above: accepted, "stop"
//!                   '- a producer that was told to stop may go on: drain
//! ```
//!
//! - **length**: what is buffered, written and not yet consumed: in items, or in what a
//!   [`Weigh`] says.
//! - **high-water mark**: a write that leaves the length at or above it was accepted, and says stop.
//! - **low-water mark**: drain happens when a producer that was told to stop finds the length at or
//!   below it. The gap between the two makes one wake-up pay for many items.
//! - **capacity**: the slots, the hard limit. What lies above the high-water mark is headroom for a
//!   producer that cannot stop at once.
//! - **need drain**: the producer was told to stop, and no drain has happened since.
//! - **end** and **finish**: the producer is done; everything was consumed.
//! - **abandoned**: the producer was dropped without an end: a panic, an early return.
//! - **abort** and **cancel**: the producer gives up; the consumer gives up.
//! - **close**: the consumer takes no more, but reads the rest.
//!
//! # Waiting
//!
//! | | at once | sleeps | gives up |
//! |---|---|---|---|
//! | write | [`try_write`](Producer::try_write) | [`write`](Producer::write) | `write_timeout`, `write_deadline` |
//! | until drain | [`need_drain`](Producer::need_drain) | [`wait_drain`](Producer::wait_drain) | `wait_drain_timeout`, `wait_drain_deadline` |
//! | read | [`try_read`](Consumer::try_read) | [`read`](Consumer::read) | `read_timeout`, `read_deadline` |
//! | until finish | [`Finish::try_wait`] | [`Finish::wait`] | `wait_timeout`, `wait_deadline` |
//!
//! What waits many times in a row (`write_all`, `read_exact`, `write_iter`, iterators, [`fill_from`](ByteProducer::fill_from),
//! [`drain_to`](ByteConsumer::drain_to)) has no time limit of its own: repeat what it is made of, with one deadline.
//!
//! All can be mixed on the same end. An end that waits spins at first, for 20 to 80 microseconds at most and only where that
//! has helped, in a task, too; then it sleeps, and uses no CPU. Every event that can end its wait wakes it: data or drain, end, abandonment,
//! abort, close, cancel. An item that finds room, or is there, costs no lock, no system call, and on
//! Linux no fence either, but for one read in 128 or more ([`barrier`] says how, and how to have it
//! otherwise). Only the item for which the other side sleeps pays for more: the wake-up; and in an event loop the
//! operation after which an end has to wait, for arming its descriptor or callback.
//!
//! # Ordering
//!
//! Items come in the order in which they were written, each once. What a producer did before it wrote an item, or before it ended,
//! aborted or went, has happened before the read that returns the item, or the operation that tells of the end (in the sense of
//! the memory model, as if a lock were handed over). The same holds the other way round: what a consumer did before it read an item has happened
//! before the operation that finds the room, the shorter length, the drain or the finish that comes of it; and what it did before it closed,
//! cancelled or went, before the `Closed` that tells of that. A [`Monitor`] in a third thread sees states, lengths and numbers in the same way.
//!
//! # Three doors
//!
//! An end waits as its program does, and the other one need not know. Every pair works, and one end may use
//! different doors one after another: nothing is missed in the change. (A task that was told `Pending`, and then asks something of an end that
//! has a descriptor or a callback, too, is woken to poll again, as that takes its place: in a task, ask before you poll.)
//!
//! | | until drain | until there is an item | until finish |
//! |---|---|---|---|
//! | in a thread | [`wait_drain`](Producer::wait_drain), [`write`](Producer::write) | [`read`](Consumer::read) | [`Finish::wait`] |
//! | in a task (feature `async`) | `ready`, `write_async`, `Sink` | `read_async`, `Stream` | `Finish` as a future |
//! | in an event loop (Linux) | [`drain_fd`](Producer::drain_fd) | [`ready_fd`](Consumer::ready_fd) | [`finish_fd`](Finish::finish_fd) |
//! | anything else | [`on_drain`](Producer::on_drain) | [`on_ready`](Consumer::on_ready) | |
//!
//! Futures are of no particular runtime. Descriptors are [`EventFd`]s, for epoll, `mio`, tokio's `AsyncFd`,
//! `polling`. A door that nobody waits at costs the other side nothing.
//!
//! # Many items at once
//!
//! | | at once | sleeps | |
//! |---|---|---|---|
//! | room in the ring, filled and committed as one | [`try_reserve`](Producer::try_reserve) | [`reserve`](Producer::reserve) | [`WriteChunk`] |
//! | items where they lie, let go as one | [`try_chunk`](Consumer::try_chunk), [`try_chunk_up_to`](Consumer::try_chunk_up_to) | [`chunk`](Consumer::chunk), [`chunk_up_to`](Consumer::chunk_up_to) | [`ReadChunk`] |
//! | slices of items that can be copied: some of it | [`try_write_slice`](Producer::try_write_slice), [`try_read_slice`](Consumer::try_read_slice) | [`write_slice`](Producer::write_slice), [`read_slice`](Consumer::read_slice) | |
//! | all of it | | [`write_all`](Producer::write_all), [`read_exact`](Consumer::read_exact) | |
//! | single writes, published together (Node's `cork`) | [`batch`](Producer::batch) | [`batch`](Producer::batch), [`write_iter`](Producer::write_iter) | [`Batch`] |
//!
//! What sleeps has forms with a time limit here, too: `reserve_timeout`, `write_slice_deadline`, and so on.
//!
//! Each chunk, slice and flush is one publication, and at most one wake-up (`write_all` and `read_exact` are as many slices as it
//! takes, `write_iter` flushes every 64 items). A chunk that is dropped publishes nothing: what was put in and not
//! committed is dropped, and what was not taken out stays. One that is forgotten
//! ([`core::mem::forget`]) may leak, and hands nothing out twice.
//!
//! # Bytes and pipes
//!
//! [`bytes`] makes ends that are [`Read`](std::io::Read), [`BufRead`](std::io::BufRead) and
//! [`Write`](std::io::Write), and can be filled from a source and drained to a sink without another copy.
//! [`pipe`] does the whole job: a source and a sink that work at the same time, with bounded memory, a
//! progress, and a way to stop. [`pipe_items`] and [`Pipeline`] do it for items, in any number of stages.
//!
//! With the features `futures-io` and `tokio` the same ends are `AsyncRead`, `AsyncBufRead` and `AsyncWrite`, by
//! the same rules: what sleeps in a thread is pending in a task, and the other side may be either. Where both
//! [`Read`](std::io::Read) and an `AsyncReadExt` are imported, a call has to say which it means.
//!
//! # Ends
//!
//! | what happened | the consumer | the producer |
//! |---|---|---|
//! | [`end`](Producer::end) | reads the rest, then `Ended` | its [`Finish`] waits for the last item |
//! | producer dropped, panicked | reads the rest, then `Abandoned` | |
//! | [`abort`](Producer::abort) | `Aborted(reason)` at once; the rest is dropped | |
//! | [`close`](Consumer::close) | reads the rest, then `Ended` | `Closed`, with the item |
//! | [`cancel`](Consumer::cancel), consumer dropped | | `Closed`, with the item; the rest is dropped |
//!
//! So a crash cannot pass for an end. Nothing is lost silently: an item is in the channel, or back in
//! your hands inside the error.
//!
//! # Choosing numbers
//!
//! The high-water mark is how much work the consumer should find when the producer is late: about what
//! it does in the time that a sleeping thread takes to run again (some 25 microseconds where it was measured), and more
//! if either side works in bursts. Larger marks cost memory and delay, and bring nothing more. For
//! messages of varied size count bytes: [`Builder::weigh_by`] with [`Bytes`]. The [`Monitor`] shows
//! how it went: if `times_told_to_stop` is high the consumer is the slow side, and no mark will help.
//!
//! # When not to use this
//!
//! More than one producer or consumer; a rendezvous (nothing buffered at all); an unbounded queue; two processes:
//! a channel that was made before a `fork` is of no use to the child, whose copy of the other end never moves.
//!
//! # Features
//!
//! - `std` (default): everything that sleeps. Without it the crate is `no_std` + `alloc` (and needs
//!   Rust 1.81), and ends can only be polled.
//! - `membarrier` (default): allows the call to `membarrier(2)` on Linux, see [`barrier`].
//! - `eventfd` (default): on Linux, descriptors for event loops, see [`EventFd`].
//! - `async`: the same waits as futures, of no particular runtime; `Stream` and `Future` for the ends.
//! - `futures-io`: `async`, and byte streams as the `AsyncRead`, `AsyncBufRead` and `AsyncWrite` of futures-io.
//! - `tokio`: `async`, and the same of tokio; and in a task of tokio an end that never has to wait gives way to
//!   others by the task's budget. Needs tokio 1.47, and so Rust 1.70.
//! - `loom`: for the crate's own models.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]
// Allowed in a few files, forbidden in all others: tests/unsafe_code.rs has the list.
#![deny(unsafe_code)]

extern crate alloc;

mod batch;
mod builder;
#[cfg(feature = "std")]
mod bytes;
mod chunk;
mod consumer;
mod deferred;
mod error;
mod interval;
mod lines;
mod monitor;
#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
mod pipe;
mod producer;
mod ring;
mod shared;
mod slice;
mod sync;
#[cfg(feature = "async")]
mod task;
mod wait;
mod weigh;

pub use batch::Batch;
pub use builder::{channel, Builder};
pub use chunk::{ReadChunk, ReadChunkIter, WriteChunk};
pub use consumer::{Consumer, TryIter};
pub use error::{
    BuildError, MarkError, ReadError, Reason, TryChunkError, TryReadError, TryReserveError,
    TryWriteError, WaitError,
};
pub use monitor::{Monitor, State, Stats};
pub use producer::{Finish, Flow, Producer};
pub use weigh::{Bytes, Items, Weigh};

#[cfg(feature = "std")]
pub use {
    bytes::{bytes, ByteConsumer, ByteProducer, NonBlocking},
    consumer::{IntoIter, Iter},
    error::{
        ChunkError, DrainError, FillError, ReadExactError, ReadTimeoutError, ReserveError,
        WaitTimeoutError, WriteAllError, WriteError, WriteTimeoutError,
    },
};

#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
pub use pipe::{
    pipe, pipe_items, CancelHandle, Pipe, PipeError, PipeFailure, PipeProgress, PipeReport,
    Pipeline, PipelineError, PipelineFailure, PipelineReport,
};

#[cfg(all(feature = "eventfd", target_os = "linux"))]
pub use {error::EventFdError, wait::event::EventFd};

#[cfg(feature = "async")]
pub use task::{Closed, ReadAsync, SinkError, WaitDrain, WriteAsync};

/// How it is made sure that no wake-up is lost, and how to choose.
///
/// A thread that is about to sleep and one that has just published an item each write one word and
/// then read another; unless the processor keeps both in order, both may miss each other and the
/// sleeper sleeps for ever. The usual cure is a full fence for every item. On Linux the side that goes
/// to sleep, which is the rare case, can pay for both, by a call to
/// [`membarrier(2)`](https://man7.org/linux/man-pages/man2/membarrier.2.html); the item then costs
/// no fence at all. Where the call is not available both sides use fences.
///
/// A producer that was told to stop mostly waits for many items to be read. Where the marks are 256 items or more apart the
/// consumer passes a fence on its way from one to the other, with one read in 128 to 4096, and the producer sleeps without
/// that call, which takes longer than all the rest of a sleep and interrupts the consumer.
#[cfg(feature = "std")]
pub mod barrier {
    pub use crate::wait::barrier::{mode, use_fences, Mode, TooLate};
}

/// For the models in `loom-tests`.
#[cfg(all(loom, feature = "loom"))]
#[doc(hidden)]
pub mod model {
    use crate::sync;

    pub use sync::Instant;

    /// A statistic of a channel's, by itself.
    #[derive(Default)]
    pub struct Counter(sync::Counter<loom::sync::atomic::AtomicUsize>);

    impl Counter {
        /// What its one writer's `bump` ends with. (Not all of it: where a thread reads back what it writes, a model is blind.)
        pub fn set(&self, value: usize) {
            self.0.set(value);
        }

        /// Adds one; others may do so, too.
        pub fn bump_shared(&self) {
            self.0.bump_shared();
        }

        /// How much it is by now.
        pub fn get(&self) -> usize {
            self.0.get()
        }
    }
}

/// The README's examples are run with the doc tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
