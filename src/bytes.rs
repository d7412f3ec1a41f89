//! Byte streams: the two ends of a channel of bytes as `std::io` knows them.
#![forbid(unsafe_code)]

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(any(feature = "futures-io", feature = "tokio"))]
mod poll;
#[cfg(feature = "tokio")]
mod tokio;

use crate::{
    chunk::WriteChunk,
    error::{DrainError, FillError, ReadError, TryReserveError, TryWriteError, WaitError},
    Consumer, Finish, Monitor, Producer, Reason,
};
use std::{
    error::Error,
    io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write},
};

/// Makes a byte stream between two threads, which says stop at `high_water_mark` bytes and goes on at
/// half of that: as a pipe of the operating system, without the system calls.
///
/// For other marks build a channel of `u8` with the [`Builder`](crate::Builder), and turn its ends with
/// `from`.
///
/// # Panics
///
/// If there is no memory for so many bytes.
///
/// # Examples
///
/// ```
/// use std::{io::{BufRead, Write}, thread};
///
/// let (mut producer, consumer) = highwater::bytes(64 * 1024);
/// let writer = thread::spawn(move || {
///     for i in 0..1000 {
///         writeln!(producer, "line {i}")?;
///     }
///     producer.end(); // without it the reader gets `UnexpectedEof`
///     std::io::Result::Ok(())
/// });
/// assert_eq!(consumer.lines().last().unwrap()?, "line 999");
/// # writer.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
pub fn bytes(high_water_mark: usize) -> (ByteProducer, ByteConsumer) {
    let (producer, consumer) = crate::channel(high_water_mark);
    (producer.into(), consumer.into())
}

/// The writing end of a byte stream: [`Write`], blocking, as the writing end of a pipe.
///
/// A write takes what leaves the length at or below the high-water mark, at least one byte, and sleeps
/// while the stream has to drain. It fails with [`ErrorKind::BrokenPipe`] once the consumer takes no
/// more. `flush` has nothing to do: what was written can be read at once; to wait until it was, use
/// [`end`](Self::end). The form that does not block is [`NonBlocking`].
///
/// Dropped without an [`end`](Self::end) it leaves a stream that broke off, which is an error to the
/// reader: a crash cannot pass for an end.
///
/// # In a task
///
/// With the feature `futures-io`, and with `tokio`, it is the `AsyncWrite` of these, by the same rules. To close
/// it, or shut it down, ends the stream; a write after that fails with [`ErrorKind::BrokenPipe`], and closing it
/// again does nothing. That does not wait until everything was read: [`end`](Self::end) gives the future for
/// that, also after a close.
///
/// A `write` that is dropped before it is ready has written nothing. (Of what calls it many times, as
/// `write_all` does, some may have gone.) Its `Waker` stays until this end waits again, or goes, and wakes its
/// task once in vain at the most.
///
/// # Examples
///
/// ```
/// use std::io::{ErrorKind, Write};
///
/// let (mut producer, consumer) = highwater::bytes(4);
/// assert_eq!(producer.write(b"abcdef")?, 4); // as far as the high-water mark
/// drop(consumer);
/// assert_eq!(producer.write(b"ef").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ByteProducer {
    items: Producer<u8>,
}

impl ByteProducer {
    /// Ends the stream: the reader gets all that is buffered, and then the end of file.
    ///
    /// The [`Finish`] tells when everything was consumed. It can be dropped if you do not care.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// let (mut producer, mut consumer) = highwater::bytes(64);
    /// producer.write_all(b"all of it")?;
    /// let finish = producer.end();
    /// assert!(!finish.try_wait()?); // nothing was read yet
    /// let mut text = String::new();
    /// consumer.read_to_string(&mut text)?; // reads to the end of file
    /// assert_eq!(text, "all of it");
    /// assert!(finish.try_wait()?);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn end(self) -> Finish {
        self.items.end()
    }

    /// Gives up: the reader gets the reason as its error, at once. What is buffered is dropped.
    ///
    /// If the reason is an [`io::Error`], the reader's has the same kind, unless that is `Interrupted` or `WouldBlock`, which
    /// would ask for another try; or `TimedOut`, for a read with a time limit of its own.
    ///
    /// ```
    /// use std::io::{Error, ErrorKind, Read};
    /// let (producer, mut consumer) = highwater::bytes(64);
    /// producer.abort(Error::from(ErrorKind::ConnectionReset));
    /// let error = consumer.read(&mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// ```
    pub fn abort(self, reason: impl Into<Box<dyn Error + Send + Sync>>) {
        self.items.abort(reason);
    }

    /// The end of the channel, for everything else: marks, length, waiting with a time limit.
    ///
    /// ```
    /// use std::io::Write;
    /// let (mut producer, _consumer) = highwater::bytes(64);
    /// producer.write_all(b"abcd")?;
    /// assert_eq!(producer.get_ref().desired_size(), 60);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn get_ref(&self) -> &Producer<u8> {
        &self.items
    }

    /// The same, to be used.
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::{io::Write, time::Duration};
    /// let (mut producer, _consumer) = highwater::bytes(4);
    /// producer.write_all(b"abcd")?; // the next write would sleep
    /// let drained = producer.get_mut().wait_drain_timeout(Duration::ZERO);
    /// assert_eq!(drained, Err(WaitTimeoutError::Timeout));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn get_mut(&mut self) -> &mut Producer<u8> {
        &mut self.items
    }

    /// Turns it back into the end of a channel.
    ///
    /// If it has waited in a task it may have asked the other end for a full fence with each read
    /// ([`barrier::Mode::Asymmetric`](crate::barrier::Mode::Asymmetric)), and that stays.
    ///
    /// ```
    /// use highwater::Flow;
    /// let (producer, _consumer) = highwater::bytes(2);
    /// let mut producer = producer.into_inner();
    /// assert_eq!(producer.try_write(b'a'), Ok(Flow::Ready)); // an item is a byte
    /// assert_eq!(producer.try_write(b'b'), Ok(Flow::Backpressure));
    /// ```
    pub fn into_inner(#[allow(unused_mut)] mut self) -> Producer<u8> {
        #[cfg(feature = "async")]
        self.items.writer.rest_mut().sleeper.moves_many(false);
        self.items
    }

    /// A handle through which any thread can watch the stream.
    ///
    /// ```
    /// use std::io::Write;
    /// let (mut producer, _consumer) = highwater::bytes(64);
    /// let monitor = producer.monitor();
    /// producer.write_all(b"abcd")?;
    /// assert_eq!(monitor.len(), 4); // bytes
    /// # std::io::Result::Ok(())
    /// ```
    pub fn monitor(&self) -> Monitor {
        self.items.monitor()
    }

    /// Lets a source write straight into the memory of the stream, once: no copy but the source's own.
    /// Returns how many bytes came; 0 is the source's end of file.
    ///
    /// Sleeps while the stream has to drain, and as long as the source does. What is offered to the
    /// source is at most half of the capacity, rounded up, so that both ends have something to do.
    /// [`ErrorKind::Interrupted`] is tried again, unless the consumer takes no more by then.
    ///
    /// # Errors
    ///
    /// [`FillError`], which says whether it was the source, or that the consumer takes no more. Nothing
    /// has been written then. A source that claims to have given more than there was room for has failed, with
    /// [`ErrorKind::InvalidData`].
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::bytes(1024);
    /// let mut source = &b"as it comes"[..];
    /// while producer.fill_from(&mut source)? > 0 {}
    /// producer.end();
    /// let mut copy = Vec::new();
    /// while consumer.drain_to(&mut copy)? > 0 {}
    /// assert_eq!(copy, b"as it comes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill_from(&mut self, source: &mut (impl Read + ?Sized)) -> Result<usize, FillError> {
        let half = (self.items.capacity() + 1) / 2;
        let mut chunk = self
            .items
            .writer
            .end_mut()
            .room_to_mark(half)
            .map_err(FillError::Closed)?;
        chunk.fill_with_anything();
        let shared = chunk.shared();
        let (first, second) = chunk.as_mut_slices();
        let offered = first.len() + second.len();
        let read = || {
            if second.is_empty() {
                source.read(first)
            } else {
                source.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)])
            }
        };
        let came = match retry(read, || !shared.is_refusing()) {
            Some(came) => came
                .and_then(|came| no_more_than(offered, came))
                .map_err(FillError::Source)?,
            None => {
                let reason = shared.cancel_reason();
                return Err(FillError::Closed(WaitError { reason }));
            }
        };
        // Obeyed by the next call.
        let _ = chunk.commit_first(came);
        Ok(came)
    }
}

impl From<Producer<u8>> for ByteProducer {
    fn from(#[allow(unused_mut)] mut items: Producer<u8>) -> Self {
        #[cfg(feature = "async")]
        items.writer.rest_mut().sleeper.moves_many(true);
        Self { items }
    }
}

impl Write for ByteProducer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.items.write_slice(bytes)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match total(slices) {
            0 => Ok(0),
            wanted => Ok(write_slices(
                self.items.writer.end_mut().room_to_mark(wanted)?,
                slices,
            )),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Of a batch that was forgotten.
        self.items.publish_forgotten();
        Ok(())
    }
}

/// The reading end of a byte stream: [`Read`] and [`BufRead`], blocking, as the reading end of a pipe.
///
/// A read gives what is there, at least one byte, and sleeps while there is none. The clean end is
/// `Ok(0)`; a producer that was dropped without an end is [`ErrorKind::UnexpectedEof`], after what it
/// left; an abort is an error with its reason, at once. The form that does not block is
/// [`NonBlocking`].
///
/// As [`BufRead`] it lends out the memory of the stream: no copy is made.
///
/// # In a task
///
/// With the feature `futures-io`, and with `tokio`, it is the `AsyncRead` and `AsyncBufRead` of these, by the same
/// rules.
///
/// A `read` that is dropped before it is ready has taken nothing: no byte is lost. (What calls it many times, as
/// `read_exact` does, may have taken some.) Its `Waker` stays until this end waits again, or goes, and wakes its
/// task once in vain at the most.
///
/// # Examples
///
/// ```
/// use std::io::{BufRead, ErrorKind, Write};
///
/// let (mut producer, mut consumer) = highwater::bytes(64);
/// producer.write_all(b"whole\nha")?;
/// drop(producer); // without an end
///
/// let mut line = String::new();
/// consumer.read_line(&mut line)?;
/// assert_eq!(line, "whole\n");
/// assert_eq!(consumer.fill_buf()?, b"ha"); // lent out, not copied
/// consumer.consume(2);
/// assert_eq!(consumer.fill_buf().unwrap_err().kind(), ErrorKind::UnexpectedEof);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ByteConsumer {
    items: Consumer<u8>,
}

impl ByteConsumer {
    /// Gives up: the producer's next write fails, and finds the reason. What is buffered is dropped.
    ///
    /// ```
    /// use std::io::{ErrorKind, Write};
    /// let (mut producer, consumer) = highwater::bytes(64);
    /// consumer.cancel("this is no text");
    /// let error = producer.write(b"\0\0").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    /// assert_eq!(error.to_string(), "the consumer cancelled: this is no text");
    /// ```
    pub fn cancel(self, reason: impl Into<Box<dyn Error + Send + Sync>>) {
        self.items.cancel(reason);
    }

    /// The end of the channel, for everything else: marks, length, reading with a time limit.
    ///
    /// ```
    /// let (producer, consumer) = highwater::bytes(64);
    /// assert!(!consumer.get_ref().is_ended()); // a read would sleep
    /// producer.end();
    /// assert!(consumer.get_ref().is_ended()); // a read would give 0
    /// ```
    pub fn get_ref(&self) -> &Consumer<u8> {
        &self.items
    }

    /// The same, to be used.
    ///
    /// ```
    /// use highwater::ReadTimeoutError;
    /// use std::time::Duration;
    /// let (_producer, mut consumer) = highwater::bytes(64);
    /// let byte = consumer.get_mut().read_timeout(Duration::ZERO);
    /// assert_eq!(byte, Err(ReadTimeoutError::Timeout));
    /// ```
    pub fn get_mut(&mut self) -> &mut Consumer<u8> {
        &mut self.items
    }

    /// Turns it back into the end of a channel.
    ///
    /// If it has waited in a task it may have asked the other end for a full fence with each write, as a
    /// [`ByteProducer`] does with each read, and that stays.
    ///
    /// ```
    /// use highwater::ReadError;
    /// let (producer, consumer) = highwater::bytes(64);
    /// producer.end();
    /// let mut consumer = consumer.into_inner();
    /// assert_eq!(consumer.read(), Err(ReadError::Ended)); // where `Read` gives 0
    /// ```
    pub fn into_inner(#[allow(unused_mut)] mut self) -> Consumer<u8> {
        #[cfg(feature = "async")]
        self.items.reader.rest_mut().sleeper.moves_many(false);
        self.items
    }

    /// A handle through which any thread can watch the stream.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// let (mut producer, mut consumer) = highwater::bytes(64);
    /// let monitor = consumer.monitor();
    /// producer.write_all(b"abcd")?;
    /// consumer.read_exact(&mut [0; 3])?;
    /// assert_eq!((monitor.stats().items_read, monitor.len()), (3, 1)); // bytes
    /// # std::io::Result::Ok(())
    /// ```
    pub fn monitor(&self) -> Monitor {
        self.items.monitor()
    }

    /// Writes what is there straight out of the memory of the stream to a sink, once: no copy but the
    /// sink's own. Returns how many bytes it took; 0 is the clean end of the stream.
    ///
    /// Sleeps until there is something, and as long as the sink does. What is offered to the sink is at
    /// most half of the capacity, rounded up, so that both ends have something to do.
    /// [`ErrorKind::Interrupted`] is tried again, unless the producer has aborted by then.
    ///
    /// # Errors
    ///
    /// [`DrainError`], which says whether it was the sink, or that the stream broke off. What the sink was
    /// offered is still in the stream then. A sink that takes nothing has failed, with [`ErrorKind::WriteZero`], and so
    /// has one that claims to have taken more than it was offered, with [`ErrorKind::InvalidData`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// let (mut producer, mut consumer) = highwater::bytes(8);
    /// producer.write_all(b"abcdef")?;
    /// producer.end();
    /// let mut copy = Vec::new();
    /// assert_eq!(consumer.drain_to(&mut copy)?, 4); // half of the capacity
    /// assert_eq!(consumer.drain_to(&mut copy)?, 2);
    /// assert_eq!(consumer.drain_to(&mut copy)?, 0); // the end
    /// assert_eq!(copy, b"abcdef");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn drain_to(&mut self, sink: &mut (impl Write + ?Sized)) -> Result<usize, DrainError> {
        let most = (self.items.capacity() + 1) / 2;
        let chunk = match self.items.chunk_up_to(most) {
            Ok(chunk) => chunk,
            Err(ReadError::Ended) => return Ok(0),
            Err(error) => return Err(DrainError::Stream(error)),
        };
        let shared = chunk.shared();
        let (first, second) = chunk.as_slices();
        let offered = first.len() + second.len();
        let write = || {
            if second.is_empty() {
                sink.write(first)
            } else {
                sink.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
            }
        };
        let taken = match retry(write, || !shared.is_aborted()) {
            Some(taken) => taken,
            None => {
                let reason = shared.abort_reason();
                return Err(DrainError::Stream(ReadError::Aborted(reason)));
            }
        }
        .and_then(|taken| no_more_than(offered, taken))
        .and_then(|taken| match taken {
            0 => Err(io::Error::new(
                ErrorKind::WriteZero,
                "the sink takes no more bytes, and does not say why",
            )),
            _ => Ok(taken),
        })
        .map_err(DrainError::Sink)?;
        chunk.consume(taken);
        Ok(taken)
    }
}

impl From<Consumer<u8>> for ByteConsumer {
    fn from(#[allow(unused_mut)] mut items: Consumer<u8>) -> Self {
        #[cfg(feature = "async")]
        items.reader.rest_mut().sleeper.moves_many(true);
        Self { items }
    }
}

impl Read for ByteConsumer {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        end_of_file(self.items.read_slice(to))
    }

    fn read_vectored(&mut self, to: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match to.iter().map(|slice| slice.len()).sum() {
            0 => Ok(0),
            wanted => end_of_file(
                self.items
                    .chunk_up_to(wanted)
                    .map(|chunk| chunk.copy_to_slices(to)),
            ),
        }
    }
}

impl BufRead for ByteConsumer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Looked for first, as the chunk that is borrowed here does not live long enough.
        match self.items.chunk_up_to(1).map(drop) {
            Ok(()) => Ok(self.items.reader.end_mut().cursor.as_slices().0),
            Err(ReadError::Ended) => Ok(&[]),
            Err(error) => Err(error.into()),
        }
    }

    /// # Panics
    ///
    /// If `count` is more than lies in the memory at the place that `fill_buf` shows: what it gave, and what has come behind that since.
    fn consume(&mut self, count: usize) {
        self.items.consume_lent(count);
    }
}

/// The ends of a byte stream as `std::io` sees them, without blocking: what would have to wait fails with
/// [`ErrorKind::WouldBlock`].
///
/// A type of its own, since much that is built for blocking streams is no use here: `write_all`, for
/// one, cannot say how much went before it would have blocked.
///
/// # Examples
///
/// ```
/// use std::io::{ErrorKind, Read, Write};
///
/// let (producer, consumer) = highwater::bytes(4);
/// let mut producer = highwater::NonBlocking::new(producer);
/// let mut consumer = highwater::NonBlocking::new(consumer);
///
/// let mut buffer = [0; 8];
/// assert_eq!(consumer.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
/// assert_eq!(producer.write(b"abcdef")?, 4);
/// assert_eq!(producer.write(b"ef").unwrap_err().kind(), ErrorKind::WouldBlock);
/// assert_eq!(consumer.read(&mut buffer)?, 4);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct NonBlocking<E> {
    end: E,
}

impl<E> NonBlocking<E> {
    /// Makes a non-blocking end of a [`ByteProducer`] or [`ByteConsumer`], or of a `&mut` to one.
    ///
    /// ```
    /// use highwater::NonBlocking;
    /// use std::io::Write;
    /// let (mut producer, _consumer) = highwater::bytes(4);
    /// let written = NonBlocking::new(&mut producer).write(b"abcdef")?; // just this once
    /// assert_eq!(written, 4);
    /// assert_eq!(producer.get_ref().len(), 4);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(end: E) -> Self {
        Self { end }
    }

    /// The blocking end.
    ///
    /// ```
    /// use highwater::NonBlocking;
    /// let (_producer, consumer) = highwater::bytes(4);
    /// let consumer = NonBlocking::new(consumer);
    /// assert_eq!(consumer.get_ref().get_ref().capacity(), 4);
    /// ```
    pub fn get_ref(&self) -> &E {
        &self.end
    }

    /// The blocking end, to be used.
    ///
    /// ```
    /// use highwater::NonBlocking;
    /// use std::io::{Read, Write};
    /// let (mut producer, consumer) = highwater::bytes(4);
    /// let mut consumer = NonBlocking::new(consumer);
    /// producer.write_all(b"abcd")?;
    /// let mut all = [0; 4];
    /// consumer.get_mut().read_exact(&mut all)?; // would sleep if one were missing
    /// assert_eq!(&all, b"abcd");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn get_mut(&mut self) -> &mut E {
        &mut self.end
    }

    /// Turns it back into the blocking end.
    ///
    /// ```
    /// use highwater::NonBlocking;
    /// use std::io::Read;
    /// let (producer, mut consumer) = highwater::bytes(4);
    /// let producer = NonBlocking::new(producer);
    /// producer.into_inner().end(); // only the end itself can end the stream
    /// assert_eq!(consumer.read(&mut [0; 4])?, 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_inner(self) -> E {
        self.end
    }
}

impl<E: std::borrow::BorrowMut<ByteProducer>> Write for NonBlocking<E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let items = &mut self.end.borrow_mut().items;
        match items.try_write_slice(bytes) {
            Err(TryWriteError::Closed(())) => Err(closed(items)),
            other => Ok(other?),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match total(slices) {
            0 => Ok(0),
            wanted => {
                let items = &mut self.end.borrow_mut().items;
                match items.try_reserve_up_to(wanted) {
                    Ok(chunk) => return Ok(write_slices(chunk, slices)),
                    Err(TryReserveError::Closed) => {}
                    Err(error) => return Err(error.into()),
                }
                Err(closed(items))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end.borrow_mut().flush()
    }
}

impl<E: std::borrow::BorrowMut<ByteConsumer>> Read for NonBlocking<E> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        try_end_of_file(self.end.borrow_mut().items.try_read_slice(to))
    }

    fn read_vectored(&mut self, to: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match to.iter().map(|slice| slice.len()).sum() {
            0 => Ok(0),
            wanted => try_end_of_file(
                self.end
                    .borrow_mut()
                    .items
                    .try_chunk_up_to(wanted)
                    .map(|chunk| chunk.copy_to_slices(to)),
            ),
        }
    }
}

impl<E: std::borrow::BorrowMut<ByteConsumer>> BufRead for NonBlocking<E> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let items = &mut self.end.borrow_mut().items;
        try_end_of_file(items.try_chunk_up_to(1).map(|chunk| chunk.len()))?;
        Ok(items.reader.end_mut().cursor.as_slices().0)
    }

    /// # Panics
    ///
    /// If `count` is more than lies in the memory at the place that `fill_buf` shows: what it gave, and what has come behind that since.
    fn consume(&mut self, count: usize) {
        self.end.borrow_mut().consume(count);
    }
}

/// Why a producer is refused, as a blocking write says it.
fn closed(items: &Producer<u8>) -> io::Error {
    let reason = items.cancel_reason();
    WaitError { reason }.into()
}

fn total(slices: &[IoSlice<'_>]) -> usize {
    slices
        .iter()
        .fold(0, |sum: usize, slice| sum.saturating_add(slice.len()))
}

fn write_slices(mut chunk: WriteChunk<'_, u8>, slices: &[IoSlice<'_>]) -> usize {
    let written = slices
        .iter()
        .map(|slice| chunk.fill_from_slice(slice))
        .sum();
    // Obeyed by the next call.
    let _ = chunk.commit();
    written
}

/// The clean end is the end of file, any other an error.
fn end_of_file(read: Result<usize, ReadError>) -> io::Result<usize> {
    match read {
        Err(ReadError::Ended) => Ok(0),
        other => Ok(other?),
    }
}

fn try_end_of_file(read: Result<usize, crate::TryReadError>) -> io::Result<usize> {
    match read {
        Err(crate::TryReadError::Ended) => Ok(0),
        other => Ok(other?),
    }
}

/// Calls again what was interrupted, as long as that is of use: `None` if it is not any more.
fn retry(
    mut call: impl FnMut() -> io::Result<usize>,
    is_of_use: impl Fn() -> bool,
) -> Option<io::Result<usize>> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                if !is_of_use() {
                    return None;
                }
            }
            other => return Some(other),
        }
    }
}

/// A reader or writer may claim anything.
fn no_more_than(offered: usize, claimed: usize) -> io::Result<usize> {
    if claimed <= offered {
        return Ok(claimed);
    }
    let text = format!("{claimed} bytes are said to have gone where {offered} were offered");
    Err(io::Error::new(ErrorKind::InvalidData, Reason::new(text)))
}
