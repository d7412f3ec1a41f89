//! The door for tasks: what sleeps elsewhere is a future here, of no particular runtime.
//!
//! A future borrows its end, so that there is one waiter at a time, and registers the task's `Waker` at
//! the gate where a thread would leave its own: the protocol is that of `wait/mod.rs`.
#![forbid(unsafe_code)]

use crate::{
    consumer::{Consumer, ReadEnd},
    error::{ReadError, TryReadError, TryWriteError, WaitError, WriteError},
    producer::{drain_of, Finish, Producer, WriteEnd},
    wait::{Awaited, OfFuture},
    weigh::{Items, Weigh},
};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use futures_core::{ready, FusedStream, Stream};
use futures_sink::Sink;

/// # Tasks
///
/// The same waits as futures, of no particular runtime. Each borrows its end, costs no allocation, and can be
/// dropped at any time: what was not written or read by then has not been, and no `Waker` stays behind. (Where the kernel
/// turns out to refuse `membarrier(2)` a poll may start a thread: see [`barrier`](crate::barrier).) One
/// end may wait in a task, then in a thread, then in a task again.
///
/// An end that never has to wait gives way to other tasks after 128 turns in a row. With the feature `tokio`, in
/// a task of tokio, it also uses the task's budget, which all that the task waits for has in common: see
/// [`tokio::task::coop`](https://docs.rs/tokio/latest/tokio/task/coop/index.html).
///
/// (With feature `async`.)
impl<T, W: Weigh<T>> Producer<T, W> {
    /// As [`wait_drain`](Producer::wait_drain), for tasks: resolves when one may write. It is *ready* of a
    /// WHATWG stream.
    ///
    /// # Errors
    ///
    /// [`WaitError`] if the consumer takes no more.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped at any time: it changes nothing, and leaves no `Waker`.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use futures_lite::future::zip;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let write = async move {
    ///     for i in 0..100 {
    ///         producer.ready().await?;
    ///         let _ = producer.try_write(i).expect("it may write");
    ///     }
    ///     Ok::<_, highwater::WaitError>(producer.end())
    /// };
    /// let read = async move {
    ///     let mut sum = 0;
    ///     while let Ok(item) = consumer.read_async().await {
    ///         sum += item;
    ///     }
    ///     sum
    /// };
    /// assert_eq!(zip(write, read).await.1, 4950);
    /// # });
    /// ```
    pub fn ready(&mut self) -> WaitDrain<'_, T, W> {
        self.wait_drain_async()
    }

    /// The same under the name that the blocking form has.
    ///
    /// # Errors
    ///
    /// [`WaitError`] if the consumer takes no more.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (mut producer, mut consumer) = highwater::channel(1);
    /// producer.write_async("item").await.unwrap();
    /// consumer.try_read().unwrap();
    /// assert_eq!(producer.wait_drain_async().await, Ok(()));
    /// # });
    /// ```
    pub fn wait_drain_async(&mut self) -> WaitDrain<'_, T, W> {
        WaitDrain {
            producer: self,
            left: OfFuture::default(),
        }
    }

    /// As [`write`](Producer::write), for tasks: while *need drain* is set, waits until drain first.
    ///
    /// # Errors
    ///
    /// [`WriteError`] with the item, if the consumer takes no more.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready the item is dropped with it, and was not written. To keep
    /// it, wait for [`ready`](Self::ready) and then [`try_write`](Self::try_write).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use std::thread;
    ///
    /// let (mut producer, consumer) = highwater::channel(4);
    /// let adder = thread::spawn(move || consumer.into_iter().sum::<Result<u32, _>>());
    /// for i in 0..100 {
    ///     producer.write_async(i).await?;
    /// }
    /// producer.end();
    /// assert_eq!(adder.join().unwrap(), Ok(4950));
    /// # Ok::<(), highwater::WriteError<u32>>(())
    /// # }).unwrap();
    /// ```
    pub fn write_async(&mut self, item: T) -> WriteAsync<'_, T, W> {
        WriteAsync {
            item: Some(item),
            weight: None,
            producer: self,
            left: OfFuture::default(),
            was_refused: false,
        }
    }

    /// Resolves when the consumer takes no more items: it has closed the channel, cancelled, or is gone. With
    /// its reason, if it gave one.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped at any time: it changes nothing, and leaves no `Waker`.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (mut producer, consumer) = highwater::channel::<u8>(4);
    /// consumer.cancel("enough");
    /// assert_eq!(producer.closed().await.reason().unwrap().to_string(), "enough");
    /// # });
    /// ```
    pub fn closed(&mut self) -> Closed<'_, T, W> {
        Closed {
            producer: self,
            left: OfFuture::default(),
        }
    }
}

impl<T, W: Weigh<T>> WriteEnd<T, W> {
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WaitError>> {
        if self.has_to_drain() {
            let (cursor, rest) = (&self.cursor, &mut self.rest);
            let shared = &*rest.shared;
            let is_ready = shared.writable.poll_until(
                &mut rest.sleeper,
                cx.waker(),
                || drain_of(cursor),
                || shared.is_refusing() || !cursor.need_drain(),
            );
            if !is_ready {
                return Poll::Pending;
            }
        }
        let rest = &self.rest;
        rest.shared.writable.displace_listener(&rest.sleeper);
        Poll::Ready(self.open_or_error())
    }

    /// As `when_drained`, in a task's turn.
    fn poll_when_drained<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Self) -> Option<R>,
    ) -> Poll<Result<R, WaitError>> {
        let (cursor, rest) = (&self.cursor, &mut self.rest);
        let gate = &rest.shared.writable;
        let turn = ready!(gate.poll_turn(&mut rest.sleeper, cx, || drain_of(cursor)));
        let done = loop {
            if let Err(error) = ready!(self.poll_drained(cx)) {
                break Err(error);
            }
            if let Some(done) = attempt(self) {
                break Ok(done);
            }
        };
        turn.was_used();
        self.rest.sleeper.is_ready();
        Poll::Ready(done)
    }

    fn open_or_error(&self) -> Result<(), WaitError> {
        if self.is_closed() {
            let reason = self.rest.shared.cancel_reason();
            Err(WaitError { reason })
        } else {
            Ok(())
        }
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio"))]
impl<T: Copy> Producer<T> {
    /// Writes a whole slice, if by what this end last saw that surely stays below the mark, in a turn that is
    /// granted: which it then takes.
    #[inline]
    pub(crate) fn write_slice_in_turn(&mut self, items: &[T]) -> bool {
        let is_granted = self.writer.rest().sleeper.turns.is_granted();
        // Without claims: the other end is a task, too, and maybe of the same thread (bytes: 26 → 23 GiB/s with them).
        let is_written = is_granted && self.write_slice_below_mark(items, false);
        if is_written {
            self.writer.rest_mut().sleeper.turns.count();
        }
        is_written
    }
}

impl<T> Producer<T> {
    /// Waits until it has drained and a slot is free.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WaitError>> {
        let is_fast = self.writer.rest().sleeper.turns.is_granted()
            && self.writer.shared().readable.is_quiet_or_fenced()
            && self.writer.has_room();
        if is_fast {
            self.writer.rest_mut().sleeper.turns.count();
            return Poll::Ready(Ok(()));
        }
        self.writer.ask(|end| {
            end.poll_when_drained(cx, |end| {
                // With both marks at the capacity a full channel counts as drained.
                let is_free = end.cursor.free_slots(1) > 0;
                if !is_free {
                    end.cursor.refuse_slots(1);
                }
                is_free.then_some(())
            })
        })
    }
}

impl<T, W: Weigh<T>> Consumer<T, W> {
    /// As [`read`](Consumer::read), for tasks: waits until there is an item.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if nothing will come any more.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped at any time: an item stays in the channel until the very poll that returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use std::thread;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let writer = thread::spawn(move || producer.write("from a thread").map(|()| producer.end()));
    /// assert_eq!(consumer.read_async().await, Ok("from a thread"));
    /// # writer.join().unwrap().unwrap();
    /// # });
    /// ```
    pub fn read_async(&mut self) -> ReadAsync<'_, T, W> {
        ReadAsync {
            consumer: self,
            left: OfFuture::default(),
        }
    }

    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ReadError>> {
        if self.reader.rest().sleeper.turns.is_granted() {
            if let Some(seen) = self.seen() {
                let item = seen.read();
                self.reader.rest_mut().sleeper.turns.count();
                return Poll::Ready(item);
            }
        }
        self.reader.ask(|end| end.poll_read_after_look(cx))
    }
}

impl<T, W: Weigh<T>> ReadEnd<T, W> {
    /// Tries something, in a task's turn and each time that something may have come, until the channel is
    /// not empty for it.
    pub(crate) fn poll_when_there<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Self) -> Result<R, TryReadError>,
    ) -> Poll<Result<R, ReadError>> {
        let (index, rest) = (self.cursor.index(), &mut self.rest);
        let shared = &*rest.shared;
        let turn = ready!(shared.readable.poll_turn(&mut rest.sleeper, cx, || shared
            .writing_up_to(index.wrapping_add(1))));
        // A task does not pause: that would hold up the others of its thread, and the producer may be one.
        self.rest.pace.skip_pause();
        let done = loop {
            match attempt(self) {
                Ok(done) => break Ok(done),
                Err(error) => {
                    if let Some(error) = error.into_read_error() {
                        break Err(error);
                    }
                }
            }
            let (index, rest) = (self.cursor.index(), &mut self.rest);
            let shared = &*rest.shared;
            let is_ready = shared.readable.poll_until(
                &mut rest.sleeper,
                cx.waker(),
                || shared.writing_up_to(index.wrapping_add(1)),
                || shared.has_news(index, 1),
            );
            if !is_ready {
                return Poll::Pending;
            }
        };
        turn.was_used();
        self.rest.sleeper.is_ready();
        Poll::Ready(done)
    }

    #[inline(never)]
    fn poll_read_after_look(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ReadError>> {
        self.poll_when_there(cx, Self::read_at_once)
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio"))]
impl<T: Copy> Consumer<T> {
    /// Whether that many items are there, by what this end last saw, in a turn that is granted: which it then takes.
    #[inline]
    pub(crate) fn has_in_turn(&mut self, items: usize) -> bool {
        let is_fast = self.reader.rest().sleeper.turns.is_granted()
            && self.reader.shared().writable.is_quiet_or_fenced()
            && self.reader.items_seen() >= items;
        if is_fast {
            self.reader.rest_mut().sleeper.turns.count();
        }
        is_fast
    }

    /// Fills a slice in the same case.
    #[cfg(feature = "futures-io")]
    #[inline]
    pub(crate) fn read_slice_in_turn(&mut self, to: &mut [T]) -> bool {
        let is_granted = self.reader.rest().sleeper.turns.is_granted();
        let is_read = is_granted && self.read_slice_seen(to);
        if is_read {
            self.reader.rest_mut().sleeper.turns.count();
        }
        is_read
    }

    /// Has that many items copied out in the same case.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn copy_out_in_turn(&mut self, count: usize, copy: impl FnOnce(&[T], &[T])) -> bool {
        let is_granted = self.reader.rest().sleeper.turns.is_granted();
        let is_read = is_granted && self.copy_out_seen(count, copy);
        if is_read {
            self.reader.rest_mut().sleeper.turns.count();
        }
        is_read
    }
}

/// A future that has registered a `Waker` takes it back when it is dropped.
macro_rules! forget_on_drop {
    ($future:ident, $end:ident . $place:ident, $gate:ident) => {
        impl<T, W: Weigh<T>> Drop for $future<'_, T, W> {
            fn drop(&mut self) {
                let rest = self.$end.$place.rest();
                let gate = &rest.shared.$gate;
                gate.forget_registration(&rest.sleeper, &self.left);
            }
        }

        impl<T, W: Weigh<T>> fmt::Debug for $future<'_, T, W> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($future)).finish_non_exhaustive()
            }
        }
    };
}

/// Waits until a producer may write. Made by [`Producer::ready`].
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (mut producer, consumer) = highwater::channel::<u8>(1);
/// drop(consumer);
/// assert!(producer.ready().await.is_err()); // the consumer takes no more
/// # });
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct WaitDrain<'a, T, W: Weigh<T> = Items> {
    producer: &'a mut Producer<T, W>,
    left: OfFuture,
}

impl<T, W: Weigh<T>> Future for WaitDrain<'_, T, W> {
    type Output = Result<(), WaitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let writer = &mut this.producer.writer;
        let before = writer.rest().sleeper.registration();
        let polled = writer.ask(|end| end.poll_when_drained(cx, |_| Some(())));
        this.left.note(before, writer.rest().sleeper.registration());
        polled
    }
}

forget_on_drop!(WaitDrain, producer.writer, writable);

/// Writes an item. Made by [`Producer::write_async`].
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (mut producer, consumer) = highwater::channel(1);
/// drop(consumer);
/// assert_eq!(producer.write_async("item").await.unwrap_err().into_inner(), "item");
/// # });
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct WriteAsync<'a, T, W: Weigh<T> = Items> {
    /// `None` when it is written, or was given back.
    item: Option<T>,
    /// What the item counts, once it had to wait: it is measured once.
    weight: Option<usize>,
    producer: &'a mut Producer<T, W>,
    left: OfFuture,
    /// There was no room for this very item: the producer was told to stop on its account.
    was_refused: bool,
}

// The item is moved out, and never pinned.
impl<T, W: Weigh<T>> Unpin for WriteAsync<'_, T, W> {}

impl<T, W: Weigh<T>> Future for WriteAsync<'_, T, W> {
    type Output = Result<(), WriteError<T>>;

    /// # Panics
    ///
    /// If it is polled again after it was ready.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let item = this.item.as_ref().expect("polled after it was ready");
        let weight = match this.weight {
            Some(weight) => weight,
            None => this.producer.writer.measure(item),
        };
        if this.producer.writer.rest().sleeper.turns.is_granted() {
            if let Some(slot) = this.producer.slot_below_mark(weight) {
                if let Some(item) = this.item.take() {
                    slot.write(item);
                }
                this.producer.writer.rest_mut().sleeper.turns.count();
                return Poll::Ready(Ok(()));
            }
        }
        this.weight = Some(weight);
        this.poll_when_drained(weight, cx)
    }
}

impl<T, W: Weigh<T>> WriteAsync<'_, T, W> {
    #[inline(never)]
    fn poll_when_drained(
        &mut self,
        weight: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError<T>>> {
        let Self {
            producer,
            item: waiting,
            was_refused,
            ..
        } = self;
        let writer = &mut producer.writer;
        let before = writer.rest().sleeper.registration();
        let polled = writer.ask(|end| {
            end.poll_when_drained(cx, |end| {
                let item = waiting.take().expect("it comes back if it is refused");
                match end.write_at_once(item, weight) {
                    Ok(_) => Some(Ok(())),
                    Err(TryWriteError::Closed(item)) => Some(Err(WriteError(item))),
                    Err(TryWriteError::WouldBlock(item)) => {
                        *waiting = Some(item);
                        *was_refused = true;
                        None
                    }
                }
            })
        });
        self.left
            .note(before, self.producer.writer.rest().sleeper.registration());
        match ready!(polled) {
            Ok(written) => Poll::Ready(written),
            Err(_) => {
                let item = self.item.take().expect("nothing was tried since");
                Poll::Ready(Err(WriteError(item)))
            }
        }
    }
}

impl<T, W: Weigh<T>> Drop for WriteAsync<'_, T, W> {
    fn drop(&mut self) {
        let rest = self.producer.writer.rest();
        let gate = &rest.shared.writable;
        gate.forget_registration(&rest.sleeper, &self.left);
        if self.was_refused && self.item.is_some() {
            self.producer.writer.end_mut().take_back_stop();
        }
    }
}

impl<T, W: Weigh<T>> fmt::Debug for WriteAsync<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteAsync").finish_non_exhaustive()
    }
}

/// Waits until the consumer takes no more. Made by [`Producer::closed`].
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (mut producer, consumer) = highwater::channel::<u8>(1);
/// drop(consumer);
/// assert!(producer.closed().await.reason().is_none());
/// # });
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct Closed<'a, T, W: Weigh<T> = Items> {
    producer: &'a mut Producer<T, W>,
    left: OfFuture,
}

impl<T, W: Weigh<T>> Future for Closed<'_, T, W> {
    type Output = WaitError;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WaitError> {
        let this = self.get_mut();
        let end = this.producer.writer.end_mut();
        end.publish_forgotten();
        let before = end.rest.sleeper.registration();
        let (cursor, rest) = (&end.cursor, &mut end.rest);
        let shared = &*rest.shared;
        // A listener, whose place this takes, is to hear of the drain all the same: this hears of it first.
        let drains = rest.sleeper.has_listener() && !shared.is_refusing() && cursor.need_drain();
        let _ = shared.is_refusing()
            || shared.writable.leave_waker(
                &mut rest.sleeper,
                cx.waker(),
                || Awaited {
                    wake_at: match drains {
                        true => cursor.drain_index(),
                        // Out of the consumer's reach, as long as nothing more is written.
                        false => cursor.index().wrapping_add(1),
                    },
                    now: || cursor.head(),
                },
                || shared.is_refusing(),
            );
        // Behind the announcement: a drain that comes later wakes this task, and is found in its next poll.
        if shared.is_refusing() || !cursor.need_drain() {
            rest.sleeper.tell_displaced_listener();
        }
        this.left.note(before, rest.sleeper.registration());
        match end.open_or_error() {
            Err(error) => Poll::Ready(error),
            Ok(()) => Poll::Pending,
        }
    }
}

forget_on_drop!(Closed, producer.writer, writable);

/// Reads an item. Made by [`Consumer::read_async`].
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (producer, mut consumer) = highwater::channel::<u8>(1);
/// producer.end();
/// assert_eq!(consumer.read_async().await, Err(highwater::ReadError::Ended));
/// # });
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct ReadAsync<'a, T, W: Weigh<T> = Items> {
    consumer: &'a mut Consumer<T, W>,
    left: OfFuture,
}

impl<T, W: Weigh<T>> Future for ReadAsync<'_, T, W> {
    type Output = Result<T, ReadError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let before = this.consumer.reader.rest().sleeper.registration();
        let polled = this.consumer.poll_read(cx);
        if polled.is_pending() {
            let now = this.consumer.reader.rest().sleeper.registration();
            this.left.note(before, now);
        }
        polled
    }
}

forget_on_drop!(ReadAsync, consumer.reader, readable);

/// Resolves when everything has been consumed, as [`Finish::wait`] does.
///
/// # Cancel safety
///
/// Borrowed (`(&mut finish).await`) it can be dropped at any time, and asked again. Dropped itself it changes nothing for the consumer.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (mut producer, mut consumer) = highwater::channel(4);
/// producer.write("last").unwrap();
/// let finish = producer.end();
/// consumer.try_read().unwrap();
/// assert_eq!(finish.await, Ok(()));
/// # });
/// ```
impl Future for Finish {
    type Output = Result<(), WaitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (shared, last) = (&*this.shared, this.last);
        let is_over = shared.is_over(last)
            || shared.writable.leave_waker(
                &mut this.sleeper,
                cx.waker(),
                || shared.reading_up_to(last),
                || shared.is_over(last),
            );
        if !is_over {
            return Poll::Pending;
        }
        match this.look() {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending, // cannot be: it is over
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// As [`Consumer::iter`]: `Result`s, of which a clean end is none, and an abandonment or an abort is one last
/// `Err`.
///
/// # Cancel safety
///
/// What borrows the stream for its next item (`next`) can be dropped at any time: the item stays in the channel. Its `Waker` stays until this
/// end waits again, or goes, and wakes its task once in vain at the most. Of several tasks that poll one end the last is woken, as with any
/// stream.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use futures_lite::StreamExt;
///
/// let (mut producer, mut consumer) = highwater::channel(4);
/// producer.write_all(&[1, 2, 3]).unwrap();
/// producer.end();
/// let items: Result<Vec<_>, _> = (&mut consumer).try_collect().await;
/// assert_eq!(items.unwrap(), [1, 2, 3]);
/// assert_eq!(consumer.next().await, None);
/// # });
/// ```
impl<T, W: Weigh<T>> Stream for Consumer<T, W> {
    type Item = Result<T, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.stream_is_done {
            return Poll::Ready(None);
        }
        match this.poll_read(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(item)) => Poll::Ready(Some(Ok(item))),
            Poll::Ready(Err(error)) => {
                this.stream_is_done = true;
                Poll::Ready(Some(error).filter(|e| *e != ReadError::Ended).map(Err))
            }
        }
    }
}

impl<T, W: Weigh<T>> FusedStream for Consumer<T, W> {
    fn is_terminated(&self) -> bool {
        self.stream_is_done
    }
}

/// `poll_ready` is the signal: it resolves when one may write, by the high- and low-water mark. Flushing has
/// nothing to do, as what was sent can be read at once. Closing is [`end`](Producer::end): after it, this end
/// refuses all that is written.
///
/// # Cancel safety
///
/// A `poll_ready`, or a `feed` or `send` that is dropped before it is ready, has written nothing; the item is dropped with the latter two.
/// The `Waker` stays until this end waits again, or goes, and wakes its task once in vain at the most.
///
/// # Where it is not to be had
///
/// Only where items are counted: in a weighted channel it shows with the item whether there is room for
/// it. [`write_async`](Producer::write_async) serves both.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use futures_util::{SinkExt, StreamExt};
///
/// let (mut producer, consumer) = highwater::channel(4);
/// producer.send("one").await?;
/// producer.send("two").await?;
/// producer.close().await?;
/// let items: Vec<_> = consumer.map(Result::unwrap).collect().await;
/// assert_eq!(items, ["one", "two"]);
/// # Ok::<(), highwater::SinkError<&str>>(())
/// # }).unwrap();
/// ```
impl<T> Sink<T> for Producer<T> {
    type Error = SinkError<T>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut()
            .poll_room(cx)
            .map_err(|cause| SinkError { item: None, cause })
    }

    /// # Panics
    ///
    /// If there is no room, which `poll_ready` would have told.
    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Self::Error> {
        let this = self.get_mut();
        match this.try_write(item) {
            // Obeyed by the next `poll_ready`.
            Ok(_) => Ok(()),
            Err(TryWriteError::Closed(item)) => Err(SinkError {
                item: Some(item),
                cause: WaitError {
                    reason: this.cancel_reason(),
                },
            }),
            Err(TryWriteError::WouldBlock(_)) => panic!("`start_send` without `poll_ready`"),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.publish_forgotten();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().writer.end_mut().close_as_sink();
        Poll::Ready(Ok(()))
    }
}

/// A [`Sink`] that is refused: the consumer takes no more.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use futures_util::SinkExt;
///
/// let (mut producer, consumer) = highwater::channel(1);
/// consumer.cancel("enough");
/// let refused = producer.feed("item").await.unwrap_err();
/// assert_eq!(refused.cause.reason().unwrap().to_string(), "enough");
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SinkError<T> {
    /// What was to be sent; `None` where there was nothing: of `poll_ready`, `poll_flush` and `poll_close`.
    pub item: Option<T>,
    /// Why.
    pub cause: WaitError,
}

impl<T> fmt::Debug for SinkError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkError")
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SinkError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<T> std::error::Error for SinkError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl<T> From<SinkError<T>> for std::io::Error {
    /// Drops the item.
    fn from(error: SinkError<T>) -> Self {
        error.cause.into()
    }
}

// An end is never pinned to its place: what is in the ring does not move with it.
impl<T, W> Unpin for Producer<T, W> {}
impl<T, W> Unpin for Consumer<T, W> {}
