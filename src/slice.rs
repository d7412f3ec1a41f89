//! Items that can be copied, many at a time.
#![forbid(unsafe_code)]

use crate::{
    consumer::Consumer,
    error::{TryReadError, TryReserveError, TryWriteError},
    producer::Producer,
};

#[cfg(feature = "std")]
use crate::{
    error::{
        ReadError, ReadExactError, ReadTimeoutError, WaitError, WaitTimeoutError, WriteAllError,
    },
    sync::{Deadline, Instant},
};
#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
use std::time::Duration;

/// # Slices
///
/// Some of it and all of it never share a name: a `write_slice` says how many went, `write_all` writes
/// all.
impl<T: Copy> Producer<T> {
    /// Writes the first items of a slice, as many as there is room for; returns how many: at least
    /// one, unless the slice is empty. Never waits.
    ///
    /// As for [`try_write`](Self::try_write) the room ends at the capacity; whether the high-water mark
    /// was reached says [`need_drain`](Self::need_drain).
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room at all, which also sets *need drain*; `Closed` if the consumer
    /// takes no more. The slice is the caller's, so nothing comes back.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryWriteError;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// assert_eq!(producer.try_write_slice(&[1, 2, 3]), Ok(3));
    /// assert_eq!(producer.try_write_slice(&[4, 5, 6]), Ok(1));
    /// assert_eq!(producer.try_write_slice(&[5, 6]), Err(TryWriteError::WouldBlock(())));
    ///
    /// let mut items = [0; 8];
    /// assert_eq!(consumer.try_read_slice(&mut items), Ok(4));
    /// assert_eq!(items[..4], [1, 2, 3, 4]);
    /// ```
    #[inline]
    pub fn try_write_slice(&mut self, items: &[T]) -> Result<usize, TryWriteError<()>> {
        if items.is_empty() || self.write_slice_below_mark(items, true) {
            return Ok(items.len());
        }
        let mut chunk = match self.try_reserve_up_to(items.len()) {
            Ok(chunk) => chunk,
            Err(TryReserveError::Closed) => return Err(TryWriteError::Closed(())),
            Err(_) => return Err(TryWriteError::WouldBlock(())),
        };
        let written = chunk.fill_from_slice(items);
        // The signal stays where it can be asked for.
        let _ = chunk.commit();
        Ok(written)
    }
}

impl<T: Copy> Producer<T> {
    /// The fast path: no note from the consumer, and sure to stay below the mark. Returns whether it was taken. Not to claim
    /// lines is faster where the consumer runs on the same processor.
    #[inline]
    pub(crate) fn write_slice_below_mark(&mut self, items: &[T], claims: bool) -> bool {
        let end = self.writer.end_mut();
        let gate = &end.rest.shared.readable;
        if !gate.is_quiet_or_fenced() {
            return false;
        }
        match end.cursor.push_slice_below_mark(items) {
            Some((before, now)) => {
                gate.passed_with_notes(before, now);
                if claims {
                    end.cursor.claim_behind((before, now));
                }
                true
            }
            None => false,
        }
    }
}

#[cfg(feature = "std")]
impl<T: Copy> Producer<T> {
    /// Writes the first items of a slice, as many as leave the length at or below the high-water mark;
    /// returns how many: at least one, unless the slice is empty. While *need drain* is set, sleeps.
    ///
    /// # Errors
    ///
    /// [`WaitError`] if the consumer takes no more, also if that happens during the sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, consumer) = highwater::channel(4);
    /// assert_eq!(producer.write_slice(&[1, 2, 3])?, 3);
    /// assert_eq!(producer.write_slice(&[4, 5, 6])?, 1); // up to the mark
    /// let reader = thread::spawn(move || consumer.into_iter().count());
    /// assert!(producer.write_slice(&[5, 6])? >= 1); // waited for drain
    /// drop(producer);
    /// assert!(reader.join().unwrap() > 5); // the last is the news of the abandonment
    /// # Ok::<(), highwater::WaitError>(())
    /// ```
    pub fn write_slice(&mut self, items: &[T]) -> Result<usize, WaitError> {
        self.write_slice_in_time(items, || Deadline::NEVER)
            .map_err(WaitTimeoutError::without_deadline)
    }

    /// As [`write_slice`](Self::write_slice), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError`]. Nothing was written then.
    ///
    /// # Examples
    ///
    /// A whole slice, with one time limit:
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, _consumer) = highwater::channel(4);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// let mut rest = &[1, 2, 3, 4, 5, 6][..];
    /// let outcome = loop {
    ///     match producer.write_slice_deadline(rest, deadline) {
    ///         Ok(written) => rest = &rest[written..],
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!(outcome, WaitTimeoutError::Timeout);
    /// assert_eq!(rest, [5, 6]);
    /// ```
    pub fn write_slice_deadline(
        &mut self,
        items: &[T],
        deadline: Instant,
    ) -> Result<usize, WaitTimeoutError> {
        self.write_slice_in_time(items, || Deadline::at(deadline))
    }

    /// As [`write_slice`](Self::write_slice), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError`]. Nothing was written then.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::time::Duration;
    ///
    /// let (mut producer, _consumer) = highwater::channel(2);
    /// let limit = Duration::from_millis(1);
    /// assert_eq!(producer.write_slice_timeout(&[1, 2, 3], limit), Ok(2));
    /// assert_eq!(producer.write_slice_timeout(&[3], limit), Err(WaitTimeoutError::Timeout));
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn write_slice_timeout(
        &mut self,
        items: &[T],
        timeout: Duration,
    ) -> Result<usize, WaitTimeoutError> {
        self.write_slice_in_time(items, || Deadline::after(timeout))
    }

    /// The clock is asked only if there is something to wait for.
    fn write_slice_in_time(
        &mut self,
        items: &[T],
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<usize, WaitTimeoutError> {
        if items.is_empty() || self.write_slice_below_mark(items, true) {
            return Ok(items.len());
        }
        let end = self.writer.end_mut();
        let mut chunk = end.room_to_mark_in_time(items.len(), &deadline())?;
        let written = chunk.fill_from_slice(items);
        // Obeyed by the next call.
        let _ = chunk.commit();
        Ok(written)
    }

    /// Writes all items of a slice; sleeps whenever *need drain* is set.
    ///
    /// # Errors
    ///
    /// [`WriteAllError`] with the number of items that were written, if the consumer takes no more.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let samples = vec![0.5_f32; 10_000];
    /// let (mut producer, mut consumer) = highwater::channel(1024);
    /// let writer = thread::spawn(move || producer.write_all(&samples).map(|()| producer.end()));
    /// let mut block = [0.0; 100];
    /// for _ in 0..100 {
    ///     consumer.read_exact(&mut block)?;
    ///     assert_eq!(block, [0.5; 100]);
    /// }
    /// # writer.join().unwrap().unwrap();
    /// # Ok::<(), highwater::ReadExactError>(())
    /// ```
    pub fn write_all(&mut self, items: &[T]) -> Result<(), WriteAllError> {
        let mut written = 0;
        while written < items.len() {
            match self.write_slice(&items[written..]) {
                Ok(more) => written += more,
                Err(cause) => return Err(WriteAllError { written, cause }),
            }
        }
        Ok(())
    }
}

impl<T: Copy> Consumer<T> {
    /// The fast path: no note from the producer, and a whole slice that was there when this end last looked. Returns
    /// whether it was taken.
    #[inline]
    pub(crate) fn read_slice_seen(&mut self, to: &mut [T]) -> bool {
        self.copy_out_seen(to.len(), |first, second| {
            let (to_first, to_second) = to.split_at_mut(first.len());
            to_first.copy_from_slice(first);
            to_second.copy_from_slice(second);
        })
    }

    /// The same, wherever `copy` takes it.
    #[inline]
    pub(crate) fn copy_out_seen(&mut self, count: usize, copy: impl FnOnce(&[T], &[T])) -> bool {
        let end = self.reader.end_mut();
        let gate = &end.rest.shared.writable;
        if !gate.is_quiet_or_fenced() {
            return false;
        }
        match end.cursor.copy_out(count, copy) {
            Some((before, now)) => {
                gate.passed_with_notes(before, now);
                true
            }
            None => false,
        }
    }

    /// Reads as many items as are there and fit into a slice; returns how many: at least one, unless the
    /// slice is empty. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryReadError`] if there is none, as of [`try_read`](Self::try_read).
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryReadError;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let mut items = [0; 8];
    /// assert_eq!(consumer.try_read_slice(&mut items), Err(TryReadError::Empty));
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// assert_eq!(consumer.try_read_slice(&mut items), Ok(3));
    /// assert_eq!(items[..3], [1, 2, 3]);
    /// ```
    #[inline]
    pub fn try_read_slice(&mut self, items: &mut [T]) -> Result<usize, TryReadError> {
        if items.is_empty() || self.read_slice_seen(items) {
            return Ok(items.len());
        }
        self.try_read_slice_after_look(items)
    }

    #[inline(never)]
    fn try_read_slice_after_look(&mut self, items: &mut [T]) -> Result<usize, TryReadError> {
        self.reader.end_mut().look_or_listen(1, items.len())?;
        if self.read_slice_seen(items) {
            return Ok(items.len());
        }
        let end = self.reader.end_mut();
        Ok(end.chunk_of(items.len()).copy_to_slice(items))
    }
}

#[cfg(feature = "std")]
impl<T: Copy> Consumer<T> {
    /// Reads as many items as are there and fit into a slice; returns how many: at least one, unless the
    /// slice is empty. Sleeps until there is one.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if nothing will come any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let writer = thread::spawn(move || producer.write_all(&[1; 100]).map(|()| producer.end()));
    /// let (mut buffer, mut count) = ([0; 16], 0);
    /// while let Ok(more) = consumer.read_slice(&mut buffer) {
    ///     count += more;
    /// }
    /// assert_eq!(count, 100);
    /// # writer.join().unwrap().unwrap();
    /// ```
    pub fn read_slice(&mut self, items: &mut [T]) -> Result<usize, ReadError> {
        self.read_slice_in_time(items, || Deadline::NEVER)
            .map_err(ReadTimeoutError::without_deadline)
    }

    /// As [`read_slice`](Self::read_slice), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`ReadTimeoutError`]. Nothing was read then.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReadTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write_all(&[1, 2]).unwrap();
    /// let (mut items, deadline) = ([0; 4], Instant::now() + Duration::from_millis(1));
    /// assert_eq!(consumer.read_slice_deadline(&mut items, deadline), Ok(2));
    /// let late = consumer.read_slice_deadline(&mut items, deadline);
    /// assert_eq!(late, Err(ReadTimeoutError::Timeout));
    /// ```
    pub fn read_slice_deadline(
        &mut self,
        items: &mut [T],
        deadline: Instant,
    ) -> Result<usize, ReadTimeoutError> {
        self.read_slice_in_time(items, || Deadline::at(deadline))
    }

    /// As [`read_slice`](Self::read_slice), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`ReadTimeoutError`]. Nothing was read then.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReadTimeoutError;
    /// use std::time::Duration;
    ///
    /// let (_producer, mut consumer) = highwater::channel::<u8>(4);
    /// let nothing = consumer.read_slice_timeout(&mut [0; 4], Duration::from_millis(1));
    /// assert_eq!(nothing, Err(ReadTimeoutError::Timeout));
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn read_slice_timeout(
        &mut self,
        items: &mut [T],
        timeout: Duration,
    ) -> Result<usize, ReadTimeoutError> {
        self.read_slice_in_time(items, || Deadline::after(timeout))
    }

    /// The clock is asked only if there is something to wait for.
    fn read_slice_in_time(
        &mut self,
        items: &mut [T],
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<usize, ReadTimeoutError> {
        if items.is_empty() || self.read_slice_seen(items) {
            return Ok(items.len());
        }
        let end = self.reader.end_mut();
        end.find_some(items.len(), &deadline())?;
        Ok(end.chunk_of(items.len()).copy_to_slice(items))
    }

    /// Fills a slice; sleeps until there are enough items.
    ///
    /// # Errors
    ///
    /// [`ReadExactError`] with the number of items that were read, if no more will come.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// producer.end();
    /// let mut pair = [0; 2];
    /// consumer.read_exact(&mut pair)?;
    /// assert_eq!(pair, [1, 2]);
    /// assert_eq!(consumer.read_exact(&mut pair).unwrap_err().read, 1); // the end came first
    /// # Ok::<(), highwater::ReadExactError>(())
    /// ```
    pub fn read_exact(&mut self, items: &mut [T]) -> Result<(), ReadExactError> {
        let mut read = 0;
        while read < items.len() {
            match self.read_slice(&mut items[read..]) {
                Ok(more) => read += more,
                Err(cause) => return Err(ReadExactError { read, cause }),
            }
        }
        Ok(())
    }
}
