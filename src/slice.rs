//! Items that can be copied, many at a time.
#![forbid(unsafe_code)]

use crate::{
    consumer::Consumer,
    error::{TryReadError, TryReserveError, TryWriteError},
    producer::Producer,
};

#[cfg(feature = "std")]
use crate::error::{ReadError, ReadExactError, WaitError, WriteAllError};

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
    pub fn write_slice(&mut self, items: &[T]) -> Result<usize, WaitError> {
        if items.is_empty() || self.write_slice_below_mark(items, true) {
            return Ok(items.len());
        }
        let mut chunk = self.writer.end_mut().room_to_mark(items.len())?;
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
    pub fn read_slice(&mut self, items: &mut [T]) -> Result<usize, ReadError> {
        if items.is_empty() || self.read_slice_seen(items) {
            return Ok(items.len());
        }
        self.chunk_up_to(items.len())
            .map(|chunk| chunk.copy_to_slice(items))
    }

    /// Fills a slice; sleeps until there are enough items.
    ///
    /// # Errors
    ///
    /// [`ReadExactError`] with the number of items that were read, if no more will come.
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
