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
    error::{WaitTimeoutError, WriteError},
    sync::Deadline,
};

/// Holds back what is written until it is flushed or dropped, and then publishes all of it at once:
/// one publication, and at most one wake-up. Made by [`Producer::batch`].
///
/// What is held back counts: it takes room, and is part of the length and of the signal. A batch that
/// is forgotten ([`core::mem::forget`]) loses nothing either: the producer's next operation publishes
/// what it held.
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
        self.writer.end().publish_rest();
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
        for (number, item) in items.into_iter().enumerate() {
            batch.write(item)?;
            if number % AT_ONCE == AT_ONCE - 1 {
                batch.flush();
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
    /// As of [`Producer::try_write`]. If there is no room: nothing of this batch can be read yet, so that
    /// only a [`flush`](Self::flush) lets the consumer make some.
    #[inline]
    pub fn try_write(&mut self, item: T) -> Result<Flow, TryWriteError<T>> {
        let end = self.producer.writer.end_mut();
        let weight = end.cursor.measure(&item);
        match end.slot_in_batch(weight) {
            Some(slot) => {
                slot.hold_back(item);
                Ok(Flow::Ready)
            }
            None => self.try_write_after_look(item, weight),
        }
    }

    #[inline(never)]
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
    #[cfg(feature = "std")]
    #[inline]
    pub fn write(&mut self, item: T) -> Result<(), WriteError<T>> {
        let end = self.producer.writer.end_mut();
        let weight = end.cursor.measure(&item);
        match end.slot_in_batch(weight) {
            Some(slot) => {
                slot.hold_back(item);
                Ok(())
            }
            None => self.write_when_drained(item, weight),
        }
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn write_when_drained(&mut self, item: T, weight: usize) -> Result<(), WriteError<T>> {
        let mut waiting = Some(item);
        while let Some(item) = waiting.take() {
            let item = if self.producer.writer.end().cursor.need_drain() {
                item
            } else {
                match self.try_write_after_look(item, weight) {
                    Ok(_) => break,
                    Err(TryWriteError::Closed(item)) => return Err(WriteError(item)),
                    Err(TryWriteError::WouldBlock(item)) => item,
                }
            };
            let end = self.producer.writer.end_mut();
            match end.wait_until_drained(&Deadline::NEVER) {
                Ok(()) => waiting = Some(item),
                Err(WaitTimeoutError::Closed(_)) => return Err(WriteError(item)),
                Err(WaitTimeoutError::Timeout) => unreachable!("there was no deadline"),
            }
        }
        Ok(())
    }

    /// Publishes what was written so far, and goes on holding back.
    pub fn flush(&mut self) {
        let end = self.producer.writer.end();
        end.publish_rest();
        end.listen_for_drain();
    }

    /// As [`Producer::need_drain`], but goes on holding back: what is held back counts, and the consumer
    /// cannot drain it.
    pub fn need_drain(&self) -> bool {
        !self.producer.writer.shared().is_refusing()
            && self.producer.writer.end().cursor.need_drain()
    }

    /// The producer, to ask it something. [`need_drain`](Producer::need_drain) and
    /// [`is_closed`](Producer::is_closed) publish what is held back first: the consumer cannot drain what it
    /// does not see.
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
