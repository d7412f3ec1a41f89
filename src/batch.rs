//! Writes that are published together: Node's `cork` and `uncork`.
#![forbid(unsafe_code)]

use crate::{
    error::TryWriteError,
    producer::{Flow, Producer},
    weigh::{Items, Weigh},
};
use core::fmt;

#[cfg(feature = "std")]
use crate::{
    error::{WriteError, WriteTimeoutError},
    sync::{Deadline, Instant},
};
#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
use std::time::Duration;

/// Holds back what is written until it is flushed or dropped, and then publishes all of it at once:
/// one publication, and at most one wake-up. Made by [`Producer::batch`].
///
/// What is held back counts: it takes room, and is part of the length and of the signal. A batch that
/// is forgotten ([`core::mem::forget`]) loses nothing either: the producer's next operation that writes, waits, asks
/// [`need_drain`](Producer::need_drain) or ends publishes what it held.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(4);
/// let mut batch = producer.batch();
/// batch.write(1)?;
/// batch.write(2)?;
/// assert!(consumer.try_read().is_err());
/// drop(batch);
/// assert_eq!(consumer.try_read(), Ok(1));
/// # Ok::<(), highwater::WriteError<i32>>(())
/// ```
#[must_use = "what is written to a batch is published when it is dropped"]
pub struct Batch<'a, T, W: Weigh<T> = Items> {
    producer: &'a mut Producer<T, W>,
}

impl<T, W: Weigh<T>> Producer<T, W> {
    /// Begins a batch: what is written through it is published together. As `cork` of a Node.js
    /// stream; [`Batch::flush`] or the drop is `uncork`.
    ///
    /// For many small items that belong together, and for weighted channels, where
    /// [`reserve`](Producer::reserve) is not to be had.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Flow, TryReadError};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let mut batch = producer.batch();
    /// assert_eq!(batch.try_write("header")?, Flow::Ready);
    /// assert_eq!(batch.try_write("body")?, Flow::Ready);
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Empty)); // held back, but counted:
    /// assert_eq!(batch.producer().len(), 2);
    /// drop(batch);
    /// assert_eq!(consumer.try_iter().collect::<Vec<_>>(), ["header", "body"]);
    /// # Ok::<(), highwater::TryWriteError<&str>>(())
    /// ```
    pub fn batch(&mut self) -> Batch<'_, T, W> {
        self.writer.end().publish_forgotten();
        Batch { producer: self }
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Producer<T, W> {
    /// Writes all items of an iterator; sleeps whenever *need drain* is set. As [`Extend`] does it for
    /// collections, but here the consumer may go.
    ///
    /// They are published many at a time: when the producer has to wait, every 64 items, and at the end.
    /// For an iterator that takes its time over each item, write them one by one.
    ///
    /// # Errors
    ///
    /// [`WriteError`] with the item that was refused, if the consumer takes no more. What comes after it
    /// is still in the iterator, if that was passed as `&mut`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, consumer) = highwater::channel(64);
    /// let adder = thread::spawn(move || consumer.into_iter().sum::<Result<u64, _>>());
    /// producer.write_iter(0..1000)?;
    /// producer.end();
    /// assert_eq!(adder.join().unwrap()?, 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_iter(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), WriteError<T>> {
        /// A consumer that waits is not to wait for long.
        const AT_ONCE: usize = 64;

        let mut batch = self.batch();
        // Not `enumerate`, which may be at its end after 2^32 items.
        let mut held_back = 0;
        for item in items {
            batch.write(item)?;
            held_back += 1;
            if held_back == AT_ONCE {
                // No flush, which lets the listener wait: this goes on itself.
                batch.producer.writer.end().publish_rest();
                held_back = 0;
            }
        }
        Ok(())
    }
}

impl<T, W: Weigh<T>> Batch<'_, T, W> {
    /// As [`Producer::try_write`], but holds the item back.
    ///
    /// # Errors
    ///
    /// As of [`Producer::try_write`]. If there is no room: what is held back cannot be read, so that, once the rest is, only
    /// a [`flush`](Self::flush) lets the consumer make more.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Flow, TryWriteError};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// let mut batch = producer.batch();
    /// assert_eq!(batch.try_write(1), Ok(Flow::Ready));
    /// assert_eq!(batch.try_write(2), Ok(Flow::Backpressure)); // what is held back counts
    /// assert_eq!(batch.try_write(3), Err(TryWriteError::WouldBlock(3)));
    /// batch.flush();
    /// consumer.try_read().unwrap();
    /// assert_eq!(batch.try_write(3), Ok(Flow::Backpressure));
    /// ```
    #[inline]
    pub fn try_write(&mut self, item: T) -> Result<Flow, TryWriteError<T>> {
        let end = self.producer.writer.end_mut();
        let weight = end.cursor.measure(&item);
        match end.slot_in_batch(weight) {
            Some(slot) => {
                slot.hold_back(item);
                Ok(Flow::Ready)
            }
            None => self.try_write_or_listen(item, weight),
        }
    }

    #[inline(never)]
    fn try_write_or_listen(&mut self, item: T, weight: usize) -> Result<Flow, TryWriteError<T>> {
        let written = self.try_write_after_look(item, weight);
        if let Ok(Flow::Backpressure) | Err(TryWriteError::WouldBlock(_)) = written {
            self.producer.writer.end().batch_was_stopped();
        }
        written
    }

    /// Whether anybody listens for the drain is the caller's business: it may wait itself.
    fn try_write_after_look(&mut self, item: T, weight: usize) -> Result<Flow, TryWriteError<T>> {
        let end = self.producer.writer.end_mut();
        if end.rest.may_be_closed() && end.is_closed() {
            return Err(TryWriteError::Closed(item));
        }
        // The note may have been no more than the wish for fences.
        if let Some(slot) = end.cursor.vacant_in_batch(weight) {
            slot.hold_back(item);
            return Ok(Flow::Ready);
        }
        end.cursor.look();
        if !end.cursor.admits(weight) {
            return Err(TryWriteError::WouldBlock(item));
        }
        end.cursor.hold_back(item, weight);
        Ok(Flow::judged(end.cursor.is_high(weight)))
    }

    /// As [`Producer::write`], but holds the item back; unless it has to wait: then everything is
    /// published first.
    ///
    /// # Errors
    ///
    /// As of [`Producer::write`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, consumer) = highwater::channel(2);
    /// let reader = thread::spawn(move || consumer.into_iter().map(Result::unwrap).collect::<Vec<_>>());
    /// let mut batch = producer.batch();
    /// for i in 0..4 {
    ///     batch.write(i)?; // the third waits: it publishes the first two, so that they can be read
    /// }
    /// drop(batch);
    /// producer.end();
    /// assert_eq!(reader.join().unwrap(), [0, 1, 2, 3]);
    /// # Ok::<(), highwater::WriteError<i32>>(())
    /// ```
    #[cfg(feature = "std")]
    #[inline]
    pub fn write(&mut self, item: T) -> Result<(), WriteError<T>> {
        self.write_in_time(item, || Deadline::NEVER)
            .map_err(|error| WriteError(error.into_inner()))
    }

    /// As [`write`](Self::write), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`WriteTimeoutError`], with the item. What was held back has been published.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WriteTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, _consumer) = highwater::channel(1);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// let mut batch = producer.batch();
    /// assert_eq!(batch.write_deadline("taken", deadline), Ok(()));
    /// assert_eq!(batch.write_deadline("late", deadline), Err(WriteTimeoutError::Timeout("late")));
    /// ```
    #[cfg(feature = "std")]
    pub fn write_deadline(
        &mut self,
        item: T,
        deadline: Instant,
    ) -> Result<(), WriteTimeoutError<T>> {
        self.write_in_time(item, || Deadline::at(deadline))
    }

    /// As [`write`](Self::write), but gives up after some time.
    ///
    /// # Errors
    ///
    /// As [`write_deadline`](Self::write_deadline).
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WriteTimeoutError;
    /// use std::time::Duration;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(1);
    /// let mut batch = producer.batch();
    /// batch.write("taken").unwrap();
    /// let refused = batch.write_timeout("late", Duration::from_millis(1));
    /// assert_eq!(refused, Err(WriteTimeoutError::Timeout("late")));
    /// assert_eq!(consumer.try_read(), Ok("taken")); // published, so that it can make room
    /// ```
    #[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
    pub fn write_timeout(
        &mut self,
        item: T,
        timeout: Duration,
    ) -> Result<(), WriteTimeoutError<T>> {
        self.write_in_time(item, || Deadline::after(timeout))
    }

    /// The clock is asked only if there is something to wait for.
    #[cfg(feature = "std")]
    #[inline(always)]
    fn write_in_time(
        &mut self,
        item: T,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<(), WriteTimeoutError<T>> {
        let end = self.producer.writer.end_mut();
        let weight = end.cursor.measure(&item);
        match end.slot_in_batch(weight) {
            Some(slot) => {
                slot.hold_back(item);
                Ok(())
            }
            None => self.write_when_drained(item, weight, &deadline()),
        }
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn write_when_drained(
        &mut self,
        item: T,
        weight: usize,
        deadline: &Deadline,
    ) -> Result<(), WriteTimeoutError<T>> {
        let mut item = item;
        let is_stopped = self.producer.writer.end().is_stopped();
        if !is_stopped {
            item = match self.try_write_after_look(item, weight) {
                Ok(_) => return Ok(()),
                Err(TryWriteError::Closed(item)) => return Err(WriteTimeoutError::Closed(item)),
                Err(TryWriteError::WouldBlock(item)) => item,
            };
        }
        let end = self.producer.writer.end_mut();
        let written = end.hold_back_when_drained(item, weight, deadline);
        if let (false, Err(WriteTimeoutError::Timeout(_))) = (is_stopped, &written) {
            // Told to stop by the attempt above, and by nothing before it.
            end.take_back_stop();
        }
        written
    }

    /// Publishes what was written so far, and goes on holding back.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let mut batch = producer.batch();
    /// batch.write("a whole message")?;
    /// batch.flush();
    /// assert_eq!(consumer.try_read(), Ok("a whole message"));
    /// batch.write("the next one")?;
    /// assert!(consumer.try_read().is_err());
    /// # Ok::<(), highwater::WriteError<&str>>(())
    /// ```
    pub fn flush(&mut self) {
        let end = self.producer.writer.end();
        end.publish_rest();
        end.listen_for_drain(Flow::Ready);
    }

    /// As [`Producer::need_drain`], but goes on holding back: what is held back counts, and the consumer
    /// cannot drain it.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(2);
    /// let mut batch = producer.batch();
    /// while !batch.need_drain() {
    ///     let _ = batch.try_write("item").unwrap();
    /// }
    /// assert_eq!(batch.producer().len(), 2);
    /// ```
    pub fn need_drain(&self) -> bool {
        let end = self.producer.writer.end();
        let is_stopped = end.is_stopped();
        if is_stopped {
            end.batch_was_stopped();
        } else {
            end.rest.relieve_listener();
        }
        is_stopped
    }

    /// The producer, to ask it something. Its [`need_drain`](Producer::need_drain) publishes what is held back first: the
    /// consumer cannot drain what it does not see.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel::<u8>(8);
    /// let mut batch = producer.batch();
    /// let _ = batch.try_write(1)?;
    /// assert_eq!(batch.producer().desired_size(), 7);
    /// # Ok::<(), highwater::TryWriteError<u8>>(())
    /// ```
    pub fn producer(&self) -> &Producer<T, W> {
        self.producer
    }
}

impl<T, W: Weigh<T>> Drop for Batch<'_, T, W> {
    fn drop(&mut self) {
        self.flush();
    }
}

impl<T, W: Weigh<T>> fmt::Debug for Batch<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batch").field(&self.producer).finish()
    }
}
