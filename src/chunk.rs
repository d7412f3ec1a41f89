//! Many items as one: room in the ring that is filled and committed, items that are read where they
//! lie.
#![allow(unsafe_code)]

use crate::{
    consumer::{Consumer, ReadEnd},
    error::{TryChunkError, TryReadError, TryReserveError},
    producer::{Flow, Producer, WriteEnd},
    ring::{ReadRegion, WriteRegion},
    shared::Shared,
    weigh::{Items, Weigh},
};
use core::{fmt, mem::MaybeUninit};

#[cfg(feature = "std")]
use crate::{
    error::{ChunkError, ReadError, ReadTimeoutError, ReserveError, WaitError, WaitTimeoutError},
    producer::listen_for_drain,
    sync::{Deadline, Instant},
    wait::Sleeper,
};
#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
use std::time::Duration;

/// Room for items in a channel, to be filled and then committed as one: one publication, and at most
/// one wake-up, for all of them.
///
/// Made by [`Producer::try_reserve`] and its relatives. The room is in the ring itself: nothing is
/// copied later. What was put in and not committed is dropped with the chunk; the consumer sees
/// nothing of it. A chunk that is forgotten ([`core::mem::forget`]) leaks what was put in.
///
/// # Examples
///
/// ```
/// use highwater::Flow;
///
/// let (mut producer, mut consumer) = highwater::channel(8);
/// let mut chunk = producer.try_reserve(4)?;
/// assert_eq!(chunk.fill(1..), 4);
/// assert_eq!(chunk.commit(), Flow::Ready);
/// assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
/// # Ok::<(), highwater::TryReserveError>(())
/// ```
#[must_use = "what is not committed is dropped"]
pub struct WriteChunk<'a, T> {
    region: WriteRegion<'a, T>,
    shared: &'a Shared,
    /// Borrowed as the cursor is: a chunk may be sent to another thread.
    #[cfg(feature = "std")]
    sleeper: &'a mut Sleeper,
}

impl<T> WriteChunk<'_, T> {
    /// The slots of this chunk, filled or not.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(8);
    /// let mut chunk = producer.try_reserve_up_to(3)?;
    /// assert_eq!((chunk.capacity(), chunk.len(), chunk.is_empty()), (3, 0, true));
    /// chunk.push("item").unwrap();
    /// assert_eq!((chunk.capacity(), chunk.len(), chunk.is_empty()), (3, 1, false));
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.region.slots()
    }

    /// The items that were put in so far.
    pub fn len(&self) -> usize {
        self.region.filled()
    }

    /// Whether nothing was put in yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts one item in.
    ///
    /// # Errors
    ///
    /// The item, if the chunk is full.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(8);
    /// let mut chunk = producer.try_reserve(1)?;
    /// assert_eq!(chunk.push("fits"), Ok(()));
    /// assert_eq!(chunk.push("does not"), Err("does not"));
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.region.push(item)
    }

    /// Puts items in until the chunk is full, or there are no more; returns how many. Takes no more from
    /// the iterator than fit.
    ///
    /// If the iterator panics what it gave so far is in the chunk, which is dropped or committed as
    /// you like.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(8);
    /// let mut numbers = 0..100;
    /// let mut chunk = producer.try_reserve(4)?;
    /// assert_eq!(chunk.fill(&mut numbers), 4);
    /// assert_eq!(numbers.next(), Some(4)); // not one too many was taken
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub fn fill(&mut self, items: impl IntoIterator<Item = T>) -> usize {
        self.region.extend(items)
    }

    /// Puts in what `make` returns until the chunk is full.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// let mut chunk = producer.try_reserve(2)?;
    /// assert_eq!(chunk.fill_with(String::new), 2);
    /// let _ = chunk.commit();
    /// assert_eq!(consumer.try_read(), Ok(String::new()));
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub fn fill_with(&mut self, make: impl FnMut() -> T) -> usize {
        self.fill(core::iter::repeat_with(make))
    }

    /// Copies the first items of a slice into the chunk, as many as fit; returns how many.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(8);
    /// let mut chunk = producer.try_reserve(4)?;
    /// assert_eq!(chunk.fill_from_slice(b"abc"), 3);
    /// assert_eq!(chunk.fill_from_slice(b"def"), 1); // as many as fit
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub fn fill_from_slice(&mut self, items: &[T]) -> usize
    where
        T: Copy,
    {
        self.region.extend_from_slice(items)
    }

    /// The slots that are not filled yet, in order: two slices, as they may lie across the edge of the
    /// ring. Say with [`assume_init`](Self::assume_init) how many you have filled.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel::<u32>(8);
    /// let mut chunk = producer.try_reserve(3)?;
    /// let (first, second) = chunk.as_uninit();
    /// for (i, slot) in first.iter_mut().chain(second).enumerate() {
    ///     slot.write(i as u32);
    /// }
    /// // SAFETY: all three slots have been written.
    /// unsafe { chunk.assume_init(3) };
    /// let _ = chunk.commit();
    /// assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub fn as_uninit(&mut self) -> (&mut [MaybeUninit<T>], &mut [MaybeUninit<T>]) {
        self.region.uninit()
    }

    /// Counts the first `count` slots of [`as_uninit`](Self::as_uninit) as filled.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    ///
    /// # Safety
    ///
    /// These slots have been initialised.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (mut producer, mut consumer) = highwater::channel::<u8>(8);
    /// let mut chunk = producer.try_reserve(2)?;
    /// chunk.as_uninit().0[0].write(7);
    /// // SAFETY: the first slot has been written; there is one at least, as two were reserved.
    /// unsafe { chunk.assume_init(1) };
    /// assert_eq!(chunk.len(), 1);
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub unsafe fn assume_init(&mut self, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.region.assume_filled(count) };
    }

    /// What was put in so far, in order: two slices, as it may lie across the edge of the ring.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// let mut chunk = producer.try_reserve(3)?;
    /// chunk.fill([3, 1, 2]);
    /// chunk.as_mut_slices().0.sort(); // of a ring that was never written before: one slice
    /// let _ = chunk.commit();
    /// assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        self.region.filled_mut()
    }

    /// Writes everything that was put in to the channel, and says whether to go on, as
    /// [`try_write`](Producer::try_write) does.
    ///
    /// Cannot fail: whoever got the room can use it. If the consumer has gone meanwhile, that is as if
    /// it had gone just after; the next operation says so.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Flow;
    ///
    /// let (mut producer, _consumer) = highwater::channel(4);
    /// let mut chunk = producer.try_reserve(2)?;
    /// chunk.fill(1..);
    /// assert_eq!(chunk.commit(), Flow::Ready);
    /// let mut chunk = producer.try_reserve(2)?;
    /// chunk.fill(3..);
    /// assert_eq!(chunk.commit(), Flow::Backpressure);
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    #[inline]
    pub fn commit(self) -> Flow {
        let all = self.len();
        self.commit_first(all)
    }

    /// As [`commit`](Self::commit), of the first `count` items; the others are dropped.
    ///
    /// # Panics
    ///
    /// If fewer were put in; nothing is committed then. And if the drop of one of the others panics: the first `count` are committed then.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// let mut chunk = producer.try_reserve(3)?;
    /// chunk.fill(["kept", "kept too", "dropped"]);
    /// let _ = chunk.commit_first(2);
    /// assert_eq!(consumer.try_iter().count(), 2);
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    #[inline]
    pub fn commit_first(mut self, count: usize) -> Flow {
        match self.region.publish_below_mark(count) {
            Some((before, now)) => {
                self.shared.readable.passed_with_notes(before, now);
                // Making the chunk may have found the drain.
                #[cfg(feature = "std")]
                listen_for_drain(self.region.cursor(), self.shared, self.sleeper, Flow::Ready);
                self.region.claim_behind((before, now));
                Flow::Ready
            }
            None => self.commit_and_judge(count),
        }
    }

    #[inline(never)]
    fn commit_and_judge(mut self, count: usize) -> Flow {
        let is_refusing = self.shared.is_refusing();
        if !is_refusing {
            // A drain is looked for right before each write, so that none is missed. After a cancel there is none.
            let _ = self.region.cursor().free_slots(0);
        }
        let mut published = None;
        let flow = Flow::judged(if count == 0 {
            !is_refusing && self.region.cursor().need_drain()
        } else {
            published = self.region.publish(count);
            if let Some((before, now)) = published {
                self.shared.readable.passed_with_notes(before, now);
            }
            self.region.cursor().is_high(count)
        });
        #[cfg(feature = "std")]
        listen_for_drain(self.region.cursor(), self.shared, self.sleeper, flow);
        if let Some(published) = published {
            self.region.claim_behind(published);
        }
        flow
    }
}

#[cfg(feature = "std")]
impl<'a> WriteChunk<'a, u8> {
    /// For who has lent the slots out: whether what is put in is still of use.
    pub(crate) fn shared(&self) -> &'a Shared {
        self.shared
    }

    /// Fills the chunk with bytes of no meaning, to be written over.
    pub(crate) fn fill_with_anything(&mut self) {
        self.region.fill_with_anything();
    }
}

impl<T> fmt::Debug for WriteChunk<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteChunk")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// # Chunks
///
/// Only where items are counted: how much room an item takes in a weighted channel shows when it is
/// there. [`batch`](Producer::batch) serves both.
///
/// The most that can be asked for is [`max_reserve`](Producer::max_reserve) slots: the capacity, less the
/// low-water mark. Two ends that wait for each other, one for more room, one for more items, would wait
/// for ever; with that bound, and its counterpart [`max_chunk`](Consumer::max_chunk), there is always
/// one that has enough.
impl<T> Producer<T> {
    /// The most slots that can be reserved at once: the capacity, less the low-water mark; at least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let (producer, _consumer) = highwater::channel::<u8>(8);
    /// assert_eq!(producer.max_reserve(), 4); // 8 slots, the low-water mark at 4
    /// ```
    pub fn max_reserve(&self) -> usize {
        self.writer.level().max_reserve()
    }

    /// Reserves exactly `slots` slots, if they are free. Never waits.
    ///
    /// The room ends at the [`capacity`](Self::capacity), not at the high-water mark: whether that was
    /// reached is what the commit says.
    ///
    /// # Errors
    ///
    /// [`TryReserveError`]: `WouldBlock` if fewer are free, which also sets *need drain* (and drain
    /// then means that there is room for so many); `TooLarge` if that might never come, see
    /// [`max_reserve`](Self::max_reserve); `Closed` if the consumer takes no more.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryReserveError;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3, 4, 5, 6]).unwrap();
    /// assert_eq!(producer.try_reserve(3).unwrap_err(), TryReserveError::WouldBlock);
    /// consumer.try_read().unwrap();
    /// assert!(producer.try_reserve(3).is_ok());
    /// ```
    #[inline]
    pub fn try_reserve(&mut self, slots: usize) -> Result<WriteChunk<'_, T>, TryReserveError> {
        let end = self.writer.end_mut();
        let most = end.cursor.level().max_reserve();
        if slots > most {
            return Err(TryReserveError::TooLarge { slots, most });
        }
        if !end.has_room_below_mark(slots) && end.find_room(slots)? < slots {
            return Err(end.refuse_slots(slots));
        }
        Ok(end.chunk_of(slots))
    }

    /// Reserves as many slots as are free, at least one and at most `slots` of them. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryReserveError`]: `WouldBlock` if none is free, which also sets *need drain*; `Closed` if the
    /// consumer takes no more.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3, 4, 5]).unwrap();
    /// assert_eq!(producer.try_reserve_up_to(100)?.capacity(), 3);
    /// # Ok::<(), highwater::TryReserveError>(())
    /// ```
    #[inline]
    pub fn try_reserve_up_to(
        &mut self,
        slots: usize,
    ) -> Result<WriteChunk<'_, T>, TryReserveError> {
        let end = self.writer.end_mut();
        if !end.has_room_below_mark(slots) && end.find_room(slots)? == 0 && slots > 0 {
            return Err(end.refuse_slots(1));
        }
        Ok(end.chunk_of(slots))
    }
}

impl<T> WriteEnd<T> {
    #[cold]
    fn refuse_slots(&mut self, wanted: usize) -> TryReserveError {
        self.cursor.refuse_slots(wanted);
        self.listen_for_drain(Flow::Backpressure);
        TryReserveError::WouldBlock
    }

    /// The usual case: nothing has to be asked of the other side, or told it.
    #[inline]
    fn has_room_below_mark(&self, slots: usize) -> bool {
        let has_room = (1..=self.cursor.room_below_mark()).contains(&slots);
        has_room && self.rest.shared.readable.is_quiet_or_fenced()
    }

    /// Looks for free slots, if by what we last saw there are fewer.
    #[inline(never)]
    fn find_room(&mut self, slots: usize) -> Result<usize, TryReserveError> {
        self.publish_forgotten();
        if self.rest.may_be_closed() && self.is_closed() {
            return Err(TryReserveError::Closed);
        }
        Ok(self.cursor.free_slots(slots))
    }

    #[inline]
    fn chunk_of(&mut self, slots: usize) -> WriteChunk<'_, T> {
        WriteChunk {
            region: WriteRegion::new(&mut self.cursor, slots),
            shared: &self.rest.shared,
            #[cfg(feature = "std")]
            sleeper: &mut self.rest.sleeper,
        }
    }
}

#[cfg(feature = "std")]
impl<T> Producer<T> {
    /// Reserves exactly `slots` slots; while *need drain* is set, or fewer are free, sleeps.
    ///
    /// # Errors
    ///
    /// [`ReserveError`]: `TooLarge` if it could wait for ever, see [`max_reserve`](Self::max_reserve);
    /// `Closed` if the consumer takes no more, also if that happens during the sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, mut consumer) = highwater::channel::<u64>(64);
    /// let writer = thread::spawn(move || {
    ///     for block in 0..100 {
    ///         let mut chunk = producer.reserve(10)?;
    ///         chunk.fill(10 * block..);
    ///         let _ = chunk.commit(); // `reserve` obeys the signal
    ///     }
    ///     producer.end();
    ///     Ok::<(), highwater::ReserveError>(())
    /// });
    /// let mut sum = 0;
    /// while let Ok(chunk) = consumer.chunk_up_to(64) {
    ///     sum += chunk.into_iter().sum::<u64>();
    /// }
    /// assert_eq!(sum, 499_500);
    /// # writer.join().unwrap()?;
    /// # Ok::<(), highwater::ReserveError>(())
    /// ```
    pub fn reserve(&mut self, slots: usize) -> Result<WriteChunk<'_, T>, ReserveError> {
        self.writer
            .end_mut()
            .reserve_when_drained(slots, Least::All, &Deadline::NEVER)
    }

    /// As [`reserve`](Self::reserve), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`ReserveError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReserveError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, _consumer) = highwater::channel(2);
    /// producer.write_all(&[1, 2]).unwrap();
    /// let late = producer.reserve_deadline(1, Instant::now() + Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ReserveError::Timeout);
    /// ```
    pub fn reserve_deadline(
        &mut self,
        slots: usize,
        deadline: Instant,
    ) -> Result<WriteChunk<'_, T>, ReserveError> {
        self.writer
            .end_mut()
            .reserve_when_drained(slots, Least::All, &Deadline::at(deadline))
    }

    /// As [`reserve`](Self::reserve), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`ReserveError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReserveError;
    /// use std::time::Duration;
    ///
    /// let (mut producer, _consumer) = highwater::channel(2);
    /// producer.write_all(&[1, 2]).unwrap();
    /// let late = producer.reserve_timeout(1, Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ReserveError::Timeout);
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn reserve_timeout(
        &mut self,
        slots: usize,
        timeout: Duration,
    ) -> Result<WriteChunk<'_, T>, ReserveError> {
        self.writer
            .end_mut()
            .reserve_when_drained(slots, Least::All, &Deadline::after(timeout))
    }

    /// Reserves as many slots as are free, at least one and at most `slots` of them; while *need drain*
    /// is set, or none is free, sleeps.
    ///
    /// # Errors
    ///
    /// [`ReserveError`]: `Closed` if the consumer takes no more, also if that happens during the sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, consumer) = highwater::channel(8);
    /// let adder = thread::spawn(move || consumer.into_iter().sum::<Result<u32, _>>());
    /// let mut numbers = 0..100;
    /// while numbers.len() > 0 {
    ///     let mut chunk = producer.reserve_up_to(numbers.len())?;
    ///     chunk.fill(&mut numbers);
    ///     let _ = chunk.commit(); // `reserve_up_to` obeys the signal
    /// }
    /// producer.end();
    /// assert_eq!(adder.join().unwrap(), Ok(4950));
    /// # Ok::<(), highwater::ReserveError>(())
    /// ```
    pub fn reserve_up_to(&mut self, slots: usize) -> Result<WriteChunk<'_, T>, ReserveError> {
        self.writer
            .end_mut()
            .reserve_when_drained(slots, Least::One, &Deadline::NEVER)
    }

    /// As [`reserve_up_to`](Self::reserve_up_to), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`ReserveError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReserveError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, _consumer) = highwater::channel(2);
    /// producer.write_all(&[1, 2]).unwrap();
    /// let late = producer.reserve_up_to_deadline(2, Instant::now() + Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ReserveError::Timeout);
    /// ```
    pub fn reserve_up_to_deadline(
        &mut self,
        slots: usize,
        deadline: Instant,
    ) -> Result<WriteChunk<'_, T>, ReserveError> {
        self.writer
            .end_mut()
            .reserve_when_drained(slots, Least::One, &Deadline::at(deadline))
    }

    /// As [`reserve_up_to`](Self::reserve_up_to), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`ReserveError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReserveError;
    /// use std::time::Duration;
    ///
    /// let (mut producer, _consumer) = highwater::channel(2);
    /// producer.write_all(&[1, 2]).unwrap();
    /// let late = producer.reserve_up_to_timeout(2, Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ReserveError::Timeout);
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn reserve_up_to_timeout(
        &mut self,
        slots: usize,
        timeout: Duration,
    ) -> Result<WriteChunk<'_, T>, ReserveError> {
        self.writer
            .end_mut()
            .reserve_when_drained(slots, Least::One, &Deadline::after(timeout))
    }
}

#[cfg(feature = "std")]
impl<T> WriteEnd<T> {
    /// Room for at most so many items, up to and with the one that reaches the high-water mark; while
    /// *need drain* is set, sleeps.
    pub(crate) fn room_to_mark(&mut self, wanted: usize) -> Result<WriteChunk<'_, T>, WaitError> {
        self.room_to_mark_in_time(wanted, &Deadline::NEVER)
            .map_err(WaitTimeoutError::without_deadline)
    }

    /// The same, with a time limit.
    pub(crate) fn room_to_mark_in_time(
        &mut self,
        wanted: usize,
        deadline: &Deadline,
    ) -> Result<WriteChunk<'_, T>, WaitTimeoutError> {
        let was_listening = self.rest.sleeper.is_listening();
        // First, or what there is room for is what there was before the sleep.
        self.wait_until_drained(deadline)?;
        self.rest.sleeper.goes_on_waiting(was_listening);
        let wanted = wanted.min(self.cursor.level().capacity());
        let room = self.cursor.room_to_mark(wanted);
        match self.reserve_when_drained(wanted.min(room), Least::One, deadline) {
            Ok(chunk) => Ok(chunk),
            Err(ReserveError::Closed(error)) => Err(WaitTimeoutError::Closed(error)),
            Err(ReserveError::Timeout) => Err(WaitTimeoutError::Timeout),
            Err(ReserveError::TooLarge { .. }) => unreachable!("one slot is never too many"),
        }
    }

    fn reserve_when_drained(
        &mut self,
        slots: usize,
        least: Least,
        deadline: &Deadline,
    ) -> Result<WriteChunk<'_, T>, ReserveError> {
        let most = self.cursor.level().max_reserve();
        let wanted = match least {
            Least::All if slots > most => return Err(ReserveError::TooLarge { slots, most }),
            Least::All => slots,
            Least::One => slots.min(1),
        };
        self.when_drained(deadline, |end| {
            let free = end.cursor.free_slots(slots);
            if free < wanted {
                end.cursor.refuse_slots(wanted);
            }
            free >= wanted
        })?;
        Ok(self.chunk_of(slots))
    }
}

/// How much of what was asked for must be there.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
enum Least {
    One,
    All,
}

/// Items in a channel, where they lie: to look at, and then to let go as one.
///
/// Made by [`Consumer::try_chunk`] and its relatives. Nothing is taken by looking: a chunk that is
/// dropped leaves all its items in the channel. [`consume`](Self::consume) and iteration take them,
/// with one publication, and at most one wake-up, for all.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(16);
/// producer.write_all(b"one\ntwo\nth").unwrap();
/// // Takes a whole line, or nothing.
/// let chunk = consumer.try_chunk_up_to(16).unwrap();
/// let (first, second) = chunk.as_slices();
/// let end = first.iter().chain(second).position(|byte| *byte == b'\n').unwrap();
/// chunk.consume(end + 1);
/// assert_eq!(consumer.len(), 6);
/// ```
#[must_use = "a chunk that is dropped leaves its items in the channel"]
pub struct ReadChunk<'a, T, W: Weigh<T> = Items> {
    region: ReadRegion<'a, T, W>,
    shared: &'a Shared,
}

#[cfg(feature = "std")]
impl<'a, T, W: Weigh<T>> ReadChunk<'a, T, W> {
    /// For who has lent the items out: whether they are still of use.
    pub(crate) fn shared(&self) -> &'a Shared {
        self.shared
    }
}

impl<T, W: Weigh<T>> ReadChunk<'_, T, W> {
    /// The number of items.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// let chunk = consumer.try_chunk_up_to(8)?;
    /// assert_eq!((chunk.len(), chunk.is_empty()), (3, false));
    /// # Ok::<(), highwater::TryReadError>(())
    /// ```
    pub fn len(&self) -> usize {
        self.region.items()
    }

    /// Whether there are none: only if none were asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items in order: two slices, as they may lie across the edge of the ring. The second is empty
    /// unless they do; the first is not, unless the chunk is.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// consumer.try_chunk(3).unwrap().consume_all();
    /// producer.write_all(&[4, 5, 6]).unwrap(); // across the edge of the ring
    /// assert_eq!(consumer.try_chunk(3).unwrap().as_slices(), (&[4][..], &[5, 6][..]));
    /// ```
    pub fn as_slices(&self) -> (&[T], &[T]) {
        self.region.as_slices()
    }

    /// As [`as_slices`](Self::as_slices), to be changed where they lie. (What they count stays what it
    /// was when they were written.)
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write_all(b"abc").unwrap();
    /// consumer.try_chunk(3).unwrap().as_mut_slices().0.make_ascii_uppercase();
    /// assert_eq!(consumer.try_read(), Ok(b'A'));
    /// ```
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        self.region.as_mut_slices()
    }

    /// Takes the first `count` items out of the channel and drops them; the others stay.
    ///
    /// # Panics
    ///
    /// If there are not so many: nothing is taken then. And if the drop of an item panics: all `count`
    /// are gone then.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// consumer.try_chunk(3).unwrap().consume(2);
    /// assert_eq!(consumer.try_read(), Ok(3));
    /// ```
    #[inline]
    pub fn consume(mut self, count: usize) {
        if let Some((before, now)) = self.region.give_back(count) {
            self.shared.writable.passed_with_notes(before, now);
        } else {
            // Publishes when it is dropped, whatever panics.
            self.region.discard(count);
        }
    }

    /// Copies the items into the first places of a slice, as many as fit, and takes them out of the
    /// channel; returns how many.
    pub(crate) fn copy_to_slice(self, to: &mut [T]) -> usize
    where
        T: Copy,
    {
        let count = self.copy_from(0, to);
        self.consume(count);
        count
    }

    /// Copies the items from `begin` on into the first places of a slice, as many as fit; returns how
    /// many.
    fn copy_from(&self, begin: usize, to: &mut [T]) -> usize
    where
        T: Copy,
    {
        let (first, second) = self.as_slices();
        let second = &second[begin.saturating_sub(first.len())..];
        let first = &first[begin.min(first.len())..];
        let (to_first, to_second) = to.split_at_mut(to.len().min(first.len()));
        let count = to_second.len().min(second.len());
        to_first.copy_from_slice(&first[..to_first.len()]);
        to_second[..count].copy_from_slice(&second[..count]);
        to_first.len() + count
    }

    /// Takes all items out of the channel and drops them.
    ///
    /// # Panics
    ///
    /// If the drop of an item panics: all are gone then.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// consumer.try_chunk_up_to(8).unwrap().consume_all();
    /// assert!(consumer.is_empty());
    /// ```
    #[inline]
    pub fn consume_all(self) {
        let all = self.len();
        self.consume(all);
    }
}

impl<T, W: Weigh<T>> Drop for ReadChunk<'_, T, W> {
    fn drop(&mut self) {
        if let Some((before, now)) = self.region.cursor().publish_rest() {
            self.shared.writable.passed_with_notes(before, now);
        }
    }
}

impl<T: fmt::Debug, W: Weigh<T>> fmt::Debug for ReadChunk<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.as_slices();
        f.debug_list().entries(first).entries(second).finish()
    }
}

impl<T, W: Weigh<T>> Consumer<T, W> {
    /// Borrows as many items as are there, at least one and at most `items` of them. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryReadError`] if there is none, as of [`try_read`](Self::try_read).
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3]).unwrap();
    /// let chunk = consumer.try_chunk_up_to(2)?;
    /// assert_eq!(chunk.into_iter().collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), highwater::TryReadError>(())
    /// ```
    #[inline]
    pub fn try_chunk_up_to(&mut self, items: usize) -> Result<ReadChunk<'_, T, W>, TryReadError> {
        let end = self.reader.end_mut();
        end.look_or_listen(items.min(1), items)?;
        Ok(end.chunk_of(items))
    }
}

impl<T, W: Weigh<T>> ReadEnd<T, W> {
    #[inline]
    pub(crate) fn chunk_of(&mut self, items: usize) -> ReadChunk<'_, T, W> {
        ReadChunk {
            region: ReadRegion::new(&mut self.cursor, items),
            shared: &self.rest.shared,
        }
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Consumer<T, W> {
    /// Borrows as many items as are there, at least one and at most `items` of them; sleeps until there
    /// is one.
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
    /// let (mut producer, mut consumer) = highwater::channel(64);
    /// let writer = thread::spawn(move || producer.write_iter(0..1000).map(|()| producer.end()));
    /// let mut sum = 0;
    /// while let Ok(chunk) = consumer.chunk_up_to(64) {
    ///     sum += chunk.as_slices().0.iter().chain(chunk.as_slices().1).sum::<u64>();
    ///     chunk.consume_all(); // all 64 slots are free at once
    /// }
    /// assert_eq!(sum, 499_500);
    /// # writer.join().unwrap().unwrap();
    /// ```
    pub fn chunk_up_to(&mut self, items: usize) -> Result<ReadChunk<'_, T, W>, ReadError> {
        let end = self.reader.end_mut();
        end.find_some(items, &Deadline::NEVER)
            .map_err(ReadTimeoutError::without_deadline)?;
        Ok(end.chunk_of(items))
    }

    /// As [`chunk_up_to`](Self::chunk_up_to), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`ReadTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReadTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (_producer, mut consumer) = highwater::channel::<u8>(4);
    /// let late = consumer.chunk_up_to_deadline(4, Instant::now() + Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ReadTimeoutError::Timeout);
    /// ```
    pub fn chunk_up_to_deadline(
        &mut self,
        items: usize,
        deadline: Instant,
    ) -> Result<ReadChunk<'_, T, W>, ReadTimeoutError> {
        let end = self.reader.end_mut();
        end.find_some(items, &Deadline::at(deadline))?;
        Ok(end.chunk_of(items))
    }

    /// As [`chunk_up_to`](Self::chunk_up_to), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`ReadTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReadTimeoutError;
    /// use std::time::Duration;
    ///
    /// let (_producer, mut consumer) = highwater::channel::<u8>(4);
    /// let late = consumer.chunk_up_to_timeout(4, Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ReadTimeoutError::Timeout);
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn chunk_up_to_timeout(
        &mut self,
        items: usize,
        timeout: Duration,
    ) -> Result<ReadChunk<'_, T, W>, ReadTimeoutError> {
        let end = self.reader.end_mut();
        end.find_some(items, &Deadline::after(timeout))?;
        Ok(end.chunk_of(items))
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> ReadEnd<T, W> {
    /// Sees to it that the cursor knows of an item, better of `items`.
    pub(crate) fn find_some(
        &mut self,
        items: usize,
        deadline: &Deadline,
    ) -> Result<(), ReadTimeoutError> {
        loop {
            match self.look_for(items.min(1), items) {
                Ok(()) => return Ok(()),
                Err(error) => match error.into_read_error() {
                    Some(error) => return Err(error.into()),
                    None => self.wait_for_items(1, deadline)?,
                },
            }
        }
    }
}

/// # Chunks of a certain size
///
/// Only where items are counted: in a weighted channel a producer may have to stop at any number of
/// items, and whoever waits for one more would wait for ever.
impl<T> Consumer<T> {
    /// The most items that are sure to come while none is taken: one above the low-water mark, as long as
    /// that is within the capacity. With so many there, a producer that was told to stop may wait for
    /// drain.
    ///
    /// Less from one moment to the next if the producer lowers that mark. [`chunk`](Self::chunk) then fails as
    /// `TooLarge`; whoever waits by a descriptor or a callback for so many, as [`try_chunk`](Self::try_chunk)
    /// found fewer, asks for this once more, before the wait.
    ///
    /// # Examples
    ///
    /// ```
    /// let (_producer, consumer) = highwater::channel::<u8>(8);
    /// assert_eq!(consumer.max_chunk(), 5); // at 4, the low-water mark, a producer that was told to stop goes on
    /// ```
    pub fn max_chunk(&self) -> usize {
        self.reader.shared().max_chunk()
    }

    /// Borrows exactly `items` items; fewer only if these are the last ones of the stream. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryChunkError`]: as of [`try_read`](Self::try_read), where `Empty` means that there are not so
    /// many yet; `TooLarge` if the channel has fewer slots. (More than [`max_chunk`](Self::max_chunk)
    /// may never come from a producer that obeys the signal.)
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{TryChunkError, TryReadError};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(8);
    /// producer.write_all(&[1, 2, 3])?;
    /// let too_few = consumer.try_chunk(4).unwrap_err();
    /// assert_eq!(too_few, TryChunkError::Read(TryReadError::Empty));
    /// assert_eq!(consumer.try_chunk(2).unwrap().into_iter().sum::<i32>(), 3);
    /// producer.end();
    /// assert_eq!(consumer.try_chunk(4).unwrap().len(), 1); // the last one
    /// # Ok::<(), highwater::WriteAllError>(())
    /// ```
    #[inline]
    pub fn try_chunk(&mut self, items: usize) -> Result<ReadChunk<'_, T>, TryChunkError> {
        let most = self.capacity();
        if items > most {
            return Err(TryChunkError::TooLarge { items, most });
        }
        let end = self.reader.end_mut();
        end.look_or_listen(items, items)?;
        Ok(end.chunk_of(items))
    }
}

#[cfg(feature = "std")]
impl<T> Consumer<T> {
    /// Borrows exactly `items` items; fewer only if these are the last ones of the stream. Sleeps until
    /// there are so many.
    ///
    /// # Errors
    ///
    /// [`ChunkError`]: as of [`read`](Self::read); `TooLarge` if it could wait for ever, see
    /// [`max_chunk`](Self::max_chunk). If the producer lowers its mark so that this comes true during the
    /// sleep, the sleep ends with that.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(16);
    /// let writer = thread::spawn(move || producer.write_iter(0..10).map(|()| producer.end()));
    /// assert_eq!(consumer.chunk(4)?.into_iter().sum::<i32>(), 0 + 1 + 2 + 3);
    /// assert_eq!(consumer.chunk(4)?.into_iter().sum::<i32>(), 4 + 5 + 6 + 7);
    /// assert_eq!(consumer.chunk(4)?.len(), 2); // the last ones
    /// # writer.join().unwrap().unwrap();
    /// # Ok::<(), highwater::ChunkError>(())
    /// ```
    pub fn chunk(&mut self, items: usize) -> Result<ReadChunk<'_, T>, ChunkError> {
        self.reader
            .end_mut()
            .chunk_when_there(items, &Deadline::NEVER)
    }

    /// As [`chunk`](Self::chunk), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`ChunkError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{ChunkError, ReadTimeoutError};
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write(1).unwrap();
    /// let late = consumer.chunk_deadline(2, Instant::now() + Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ChunkError::Read(ReadTimeoutError::Timeout));
    /// assert_eq!(consumer.try_read(), Ok(1)); // nothing was taken
    /// ```
    pub fn chunk_deadline(
        &mut self,
        items: usize,
        deadline: Instant,
    ) -> Result<ReadChunk<'_, T>, ChunkError> {
        self.reader
            .end_mut()
            .chunk_when_there(items, &Deadline::at(deadline))
    }

    /// As [`chunk`](Self::chunk), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`ChunkError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{ChunkError, ReadTimeoutError};
    /// use std::time::Duration;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write(1).unwrap();
    /// let late = consumer.chunk_timeout(2, Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err(), ChunkError::Read(ReadTimeoutError::Timeout));
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn chunk_timeout(
        &mut self,
        items: usize,
        timeout: Duration,
    ) -> Result<ReadChunk<'_, T>, ChunkError> {
        self.reader
            .end_mut()
            .chunk_when_there(items, &Deadline::after(timeout))
    }
}

#[cfg(feature = "std")]
impl<T> ReadEnd<T> {
    fn chunk_when_there(
        &mut self,
        items: usize,
        deadline: &Deadline,
    ) -> Result<ReadChunk<'_, T>, ChunkError> {
        let was_listening = self.rest.sleeper.is_listening();
        let found = loop {
            let most = self.rest.shared.max_chunk();
            if items > most {
                self.rest.sleeper.tell_displaced_listener();
                return Err(ChunkError::TooLarge { items, most });
            }
            match self.look_for(items, items) {
                Ok(()) => break Ok(()),
                Err(error) => match error.into_read_error() {
                    Some(error) => break Err(ChunkError::Read(error.into())),
                    None => self.wait_for_items(items, deadline)?,
                },
            }
            self.rest.sleeper.goes_on_waiting(was_listening);
        };
        self.rest.sleeper.has_waited();
        found.map(|()| self.chunk_of(items))
    }
}

#[cfg(feature = "std")]
impl ReadChunk<'_, u8> {
    /// As `copy_to_slice`, into several.
    pub(crate) fn copy_to_slices(self, to: &mut [std::io::IoSliceMut<'_>]) -> usize {
        let mut count = 0;
        for slice in to {
            count += self.copy_from(count, slice);
        }
        self.consume(count);
        count
    }
}

#[cfg(feature = "std")]
impl Consumer<u8> {
    /// Consumes the first `count` of the items that were lent out, as far as the edge of the memory.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub(crate) fn consume_lent(&mut self, count: usize) {
        let end = self.reader.end_mut();
        let lent = end.cursor.as_slices().0.len();
        assert!(count <= lent, "{count} bytes are consumed of {lent}");
        end.chunk_of(count).consume(count);
    }
}

/// Takes the items of a [`ReadChunk`] one by one. Those that were not taken stay in the channel.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(8);
/// producer.write_all(&[1, 2, 3]).unwrap();
/// let mut items = consumer.try_chunk(3).unwrap().into_iter();
/// assert_eq!((items.next(), items.len()), (Some(1), 2));
/// drop(items);
/// assert_eq!(consumer.len(), 2); // the others are still there
/// ```
pub struct ReadChunkIter<'a, T, W: Weigh<T> = Items> {
    chunk: ReadChunk<'a, T, W>,
}

impl<'a, T, W: Weigh<T>> IntoIterator for ReadChunk<'a, T, W> {
    type Item = T;
    type IntoIter = ReadChunkIter<'a, T, W>;

    fn into_iter(self) -> ReadChunkIter<'a, T, W> {
        ReadChunkIter { chunk: self }
    }
}

impl<T, W: Weigh<T>> Iterator for ReadChunkIter<'_, T, W> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.chunk.region.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.chunk.len(), Some(self.chunk.len()))
    }
}

impl<T, W: Weigh<T>> ExactSizeIterator for ReadChunkIter<'_, T, W> {}
impl<T, W: Weigh<T>> core::iter::FusedIterator for ReadChunkIter<'_, T, W> {}

impl<T: fmt::Debug, W: Weigh<T>> fmt::Debug for ReadChunkIter<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadChunkIter").field(&self.chunk).finish()
    }
}
