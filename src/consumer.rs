//! The reading end: joins the read cursor and the two gates.
#![forbid(unsafe_code)]

use crate::{
    error::{Reason, TryReadError},
    monitor::Monitor,
    ring::{End, Occupied, ReadCursor, Reader},
    shared::{moves_cheaply, ProducerState, Shared},
    sync::Arc,
    wait::pace::Pace,
    weigh::{Items, Weigh},
};
use alloc::boxed::Box;
use core::{
    cell::Cell,
    fmt,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
};

#[cfg(not(feature = "std"))]
use core::error::Error;
#[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
use std::time::Duration;
#[cfg(feature = "std")]
use {
    crate::{
        error::{ReadError, ReadTimeoutError},
        sync::{Deadline, Instant},
        wait::{listener::Callback, Listening, Sleeper},
    },
    core::iter::FusedIterator,
    std::error::Error,
};

/// The reading end of a channel.
///
/// One thread at a time owns it; it can be sent to another, but neither cloned nor shared. Dropping
/// it is a [`cancel`](Self::cancel) without a reason: what is buffered is dropped right then.
///
/// # Examples
///
/// A loop that cannot take a crash for an end:
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(4);
/// # let writer =
/// std::thread::spawn(move || {
///     for word in ["in", "order"] {
///         producer.write(word).unwrap();
///     }
///     // No `end()`: as if this thread had panicked.
/// });
/// let mut words = Vec::new();
/// let result: Result<(), highwater::ReadError> = (|| {
///     for word in consumer.iter() {
///         words.push(word?);
///     }
///     Ok(())
/// })();
/// assert_eq!(words, ["in", "order"]);
/// assert_eq!(result, Err(highwater::ReadError::Abandoned));
/// # writer.join().unwrap();
/// ```
///
/// To share it does not compile:
///
/// ```compile_fail,E0277
/// let (_producer, consumer) = highwater::channel::<u8>(1);
/// std::thread::scope(|scope| {
///     scope.spawn(|| consumer.len());
/// });
/// ```
pub struct Consumer<T, W = Items> {
    pub(crate) reader: Reader<T, W, OfConsumer, Shared>,
    /// As a `Stream` it has given its last item.
    #[cfg(feature = "async")]
    pub(crate) stream_is_done: bool,
    /// Neither end is Sync: each operation needs `&mut self` or is the owner's question.
    not_sync: PhantomData<Cell<()>>,
}

/// What the slow ways need beside the cursor.
pub(crate) struct OfConsumer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pace: Pace,
    #[cfg(feature = "std")]
    pub(crate) sleeper: Sleeper,
    /// `cancel` has been called: the drop that follows has nothing to say.
    has_left: bool,
}

/// Where the slow ways are: without what the fast one has in registers.
pub(crate) type ReadEnd<T, W = Items> = End<ReadCursor<T, W>, OfConsumer>;

/// The next item, on the fast path. It is moved last, and once: it may be large.
pub(crate) struct Seen<'a, T, W> {
    occupied: Occupied<'a, T, W, OfConsumer, Shared>,
}

impl<T, W: Weigh<T>> Seen<'_, T, W> {
    #[inline(always)]
    pub(crate) fn read<E>(self) -> Result<T, E> {
        let is_due = |shared: &Shared, before, now| shared.writable.is_due(before, now);
        let ring = |shared: &Shared| shared.writable.ring();
        if moves_cheaply::<T>() {
            // It stays in registers.
            Ok(self.occupied.take(|item| item, is_due, ring))
        } else {
            // Behind the barrier it would be moved once more to become a `Result`.
            self.occupied.take(Ok, is_due, ring)
        }
    }
}

/// What a glance at the other side says.
enum Glance {
    /// An item that was seen before, by a chunk for instance.
    Known,
    /// So many, as a look has just found.
    Items(usize),
    Nothing,
    /// It has to be looked at properly.
    Unclear,
}

impl<T, W: Weigh<T>> Consumer<T, W> {
    pub(crate) fn new(cursor: ReadCursor<T, W>, shared: Arc<Shared>, pace: Pace) -> Self {
        let rest = OfConsumer {
            pace,
            #[cfg(feature = "std")]
            sleeper: Sleeper::new(&shared.readable),
            shared: shared.clone(),
            has_left: false,
        };
        Self {
            reader: Reader::new(cursor, rest, shared),
            #[cfg(feature = "async")]
            stream_is_done: false,
            not_sync: PhantomData,
        }
    }

    /// Takes the next item, if one is there. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryReadError`]: `Empty` if nothing is there yet; `Ended`, `Abandoned` or `Aborted` if
    /// nothing will come any more. `Ended` and `Abandoned` come only after everything that was written has
    /// been read.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryReadError;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    /// producer.write(7)?;
    /// producer.end();
    /// assert_eq!(consumer.try_read(), Ok(7));
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
    /// # Ok::<(), highwater::WriteError<i32>>(())
    /// ```
    #[inline]
    pub fn try_read(&mut self) -> Result<T, TryReadError> {
        // As in `Producer::try_write`.
        if let Some(occupied) = self.reader.occupied() {
            if occupied.shared().writable.is_quiet() {
                return Seen { occupied }.read();
            }
            if W::COUNTS_ITEMS.get() && moves_cheaply::<T>() {
                return self.reader.ask(ReadEnd::try_read_noted);
            }
        }
        if moves_cheaply::<T>() {
            self.reader.ask(ReadEnd::try_read_after_look)
        } else {
            self.reader
                .find_and_take(ReadEnd::find_or_listen, ReadEnd::read_found)
        }
    }

    /// The fast path: no note from the producer, and an item that we know of.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn seen(&mut self) -> Option<Seen<'_, T, W>> {
        let occupied = self.reader.occupied()?;
        if !occupied.shared().writable.is_quiet() {
            return None;
        }
        Some(Seen { occupied })
    }

    /// Looks at the next item without taking it. `None` if nothing is there; to learn why, read.
    ///
    /// The item still counts in [`len`](Self::len).
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write('x')?;
    /// assert_eq!(consumer.peek(), Some(&'x'));
    /// assert_eq!(consumer.try_read(), Ok('x'));
    /// # Ok::<(), highwater::WriteError<char>>(())
    /// ```
    pub fn peek(&mut self) -> Option<&T> {
        self.reader.ask(|end| end.look_or_listen(1, 1)).ok()?;
        self.reader.peek()
    }

    /// Takes items as long as there are any. Never waits, and does not say why it stopped: read to
    /// learn that.
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// for i in 0..3 {
    ///     producer.write(i)?;
    /// }
    /// assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), highwater::WriteError<i32>>(())
    /// ```
    pub fn try_iter(&mut self) -> TryIter<'_, T, W> {
        TryIter { consumer: self }
    }

    /// Whether the stream has come to its clean end: the producer ended it (or was told that this
    /// end takes no more), and everything was read. False after an abandonment or an abort, which
    /// reading tells.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write("last").unwrap();
    /// producer.end();
    /// assert!(!consumer.is_ended()); // one is still there
    /// consumer.try_read()?;
    /// assert!(consumer.is_ended());
    /// # Ok::<(), highwater::TryReadError>(())
    /// ```
    pub fn is_ended(&self) -> bool {
        self.reader.shared().meaning_of_empty() == TryReadError::Ended
            && !self
                .reader
                .shared()
                .accounting
                .has_items(self.reader.index(), 1)
    }
}

/// # Slow ways
impl<T, W: Weigh<T>> ReadEnd<T, W> {
    #[cold]
    #[inline(never)]
    fn try_read_noted(&mut self) -> Result<T, TryReadError> {
        self.try_read_after_look()
    }

    #[cold]
    #[inline(never)]
    fn try_read_after_look(&mut self) -> Result<T, TryReadError> {
        match self.glance() {
            Glance::Known => self.read_found(),
            Glance::Items(found) => self.read_at_a_glance(found),
            Glance::Nothing => Err(TryReadError::Empty),
            Glance::Unclear => self.try_read_unclear(),
        }
    }

    #[inline(never)]
    fn try_read_unclear(&mut self) -> Result<T, TryReadError> {
        self.look_or_listen(1, 1)?;
        self.read_found()
    }

    /// Looks for an item, which is then taken by `read_found`.
    #[cold]
    #[inline(never)]
    fn find_or_listen(&mut self) -> Result<(), TryReadError> {
        self.find_by(|consumer| consumer.look_or_listen(1, 1))
    }

    #[inline(always)]
    fn find_by(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<(), TryReadError>,
    ) -> Result<(), TryReadError> {
        match self.glance() {
            Glance::Known => Ok(()),
            Glance::Items(found) => {
                self.rest.pace.found(found);
                Ok(())
            }
            Glance::Nothing => Err(TryReadError::Empty),
            Glance::Unclear => look(self),
        }
    }

    /// The usual cases of a look, for those who poll: nobody has left a note, nobody listens, and it is
    /// open whether there is an item.
    #[inline(always)]
    fn glance(&mut self) -> Glance {
        let is_quiet = self.rest.shared.writable.is_quiet();
        if is_quiet && self.cursor.has_item() {
            return Glance::Known;
        }
        if self.has_listener() || self.cursor.has_unpublished() || !is_quiet {
            return Glance::Unclear;
        }
        self.rest.pace.pause();
        let found = self.cursor.look();
        if found > 0 {
            return Glance::Items(found);
        }
        self.rest.pace.found(0);
        // What comes after this is no news: the answer was true when it was asked.
        if self.rest.shared.producer_state() == ProducerState::Open {
            Glance::Nothing
        } else {
            Glance::Unclear
        }
    }

    /// The first of the items of a glance, which has seen that there is no note. For items that move cheaply.
    #[inline]
    fn read_at_a_glance<E>(&mut self, found: usize) -> Result<T, E> {
        // The pace comes last: meanwhile the item is on its way from the other processor.
        let before = self.cursor.index();
        let item = self.cursor.pop();
        let writable = &self.rest.shared.writable;
        writable.passed(before, before.wrapping_add(1));
        self.rest.pace.found(found);
        Ok(item) // Not before, so that it is in a register until then.
    }

    fn has_listener(&self) -> bool {
        #[cfg(feature = "std")]
        return self.rest.sleeper.has_listener();
        #[cfg(not(feature = "std"))]
        false
    }

    /// As `try_read`, for an operation that waits otherwise.
    #[cfg(feature = "async")]
    pub(crate) fn read_at_once(&mut self) -> Result<T, TryReadError> {
        self.find()?;
        self.read_found()
    }

    /// As `find_or_listen`, for an operation that waits otherwise.
    #[cfg(feature = "std")]
    #[inline(never)]
    fn find(&mut self) -> Result<(), TryReadError> {
        self.find_by(|consumer| consumer.look_for(1, 1))
    }

    /// Takes the item that was found.
    #[inline]
    fn read_found<E>(&mut self) -> Result<T, E> {
        let writable = &self.rest.shared.writable;
        let passed = |before, now| writable.passed_with_notes(before, now);
        // As in `Seen::read`.
        if moves_cheaply::<T>() {
            Ok(self.cursor.pop_as(|item| item, passed))
        } else {
            self.cursor.pop_as(Ok, passed)
        }
    }

    /// As `look_for`, for an operation that does not wait: if it would have to, the listener hears when
    /// there is something.
    #[inline]
    pub(crate) fn look_or_listen(
        &mut self,
        wanted: usize,
        enough: usize,
    ) -> Result<(), TryReadError> {
        if self.has_seen(enough) {
            Ok(())
        } else {
            self.look_for_more_or_listen(wanted, enough)
        }
    }

    #[inline(never)]
    fn look_for_more_or_listen(
        &mut self,
        wanted: usize,
        enough: usize,
    ) -> Result<(), TryReadError> {
        match self.look_for_more(wanted, enough) {
            // The listener waits, unless that has changed meanwhile.
            Err(TryReadError::Empty) if self.listen_for(wanted) => self.look_for(wanted, enough),
            looked => looked,
        }
    }

    /// Returns whether something has come meanwhile.
    fn listen_for(&mut self, _wanted: usize) -> bool {
        #[cfg(feature = "std")]
        if self.has_listener() {
            self.rest.pace.was_slow();
            return self.let_listener_wait(_wanted) != Listening::Waits;
        }
        false
    }

    #[cfg(feature = "std")]
    fn let_listener_wait(&self, wanted: usize) -> Listening {
        let (shared, index) = (&*self.rest.shared, self.cursor.index());
        let awaited = shared.writing_up_to(index.wrapping_add(wanted));
        let is_ready = || shared.has_items_or_end(index, wanted);
        shared
            .readable
            .listen(&self.rest.sleeper, &awaited, is_ready)
    }

    /// Sees to it that the cursor knows of `wanted` items, or better of `enough`; of fewer only if these
    /// are the last ones. Or says why there are not so many.
    #[inline]
    pub(crate) fn look_for(&mut self, wanted: usize, enough: usize) -> Result<(), TryReadError> {
        if self.has_seen(enough) {
            Ok(())
        } else {
            self.look_for_more(wanted, enough)
        }
    }

    /// Whether nobody has to be asked; none are read but not given back, as this end would then have seen none.
    #[inline]
    fn has_seen(&self, enough: usize) -> bool {
        enough > 0
            && self.cursor.items_seen() >= enough
            && self.rest.shared.writable.is_quiet_or_fenced()
    }

    #[inline(never)]
    fn look_for_more(&mut self, wanted: usize, enough: usize) -> Result<(), TryReadError> {
        // Of a chunk that was forgotten.
        self.publish_rest();
        if !self.rest.shared.is_aborted() {
            let seen = self.cursor.items_seen();
            if seen < enough {
                self.rest.pace.pause();
                self.cursor.look();
                self.rest.pace.found(self.cursor.items_seen() - seen);
            }
            if self.cursor.items_seen() >= wanted {
                return Ok(());
            }
            // The end before the last look: what was written before an end is never missed.
            if self.rest.shared.producer_state() == ProducerState::Open {
                return Err(TryReadError::Empty);
            }
            return self.look_at_end();
        }
        Err(self.aborted())
    }

    #[cold]
    #[inline(never)]
    fn look_at_end(&mut self) -> Result<(), TryReadError> {
        match self.rest.shared.meaning_of_empty() {
            TryReadError::Aborted(_) => Err(self.aborted()),
            _ if self.cursor.look() > 0 => Ok(()),
            end => Err(end),
        }
    }

    #[cold]
    #[inline(never)]
    fn aborted(&mut self) -> TryReadError {
        drop(self.cursor.stop_reading());
        TryReadError::Aborted(self.rest.shared.abort_reason())
    }
}

impl<T, W> Consumer<T, W> {
    /// Gives up: what is buffered is dropped, and the producer's next operation, or the one it
    /// sleeps in, returns `Closed`. It finds the reason with
    /// [`cancel_reason`](crate::Producer::cancel_reason) or in its [`WaitError`](crate::WaitError).
    ///
    /// # Panics
    ///
    /// If the drop of an item panics; all others are dropped all the same, and the producer has been told. So it is as this end is dropped,
    /// and in the first operation after an abort, which drops what was buffered.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, consumer) = highwater::channel(4);
    /// producer.write(1)?;
    /// consumer.cancel("disk full");
    /// let error = producer.wait_drain().unwrap_err();
    /// assert_eq!(error.reason().unwrap().to_string(), "disk full");
    /// # Ok::<(), highwater::WriteError<i32>>(())
    /// ```
    #[inline]
    pub fn cancel(mut self, reason: impl Into<Box<dyn Error + Send + Sync>>) {
        let reason = Some(Reason::new(reason));
        self.reader.end_mut().leave(reason);
    }

    /// Takes no more items, but lets everything that was accepted be read: the producer is refused
    /// from now on.
    ///
    /// `Ended` comes once the producer has noticed (as it writes, waits, also if it sleeps in that, or
    /// asks [`is_closed`](crate::Producer::is_closed)) or is gone: a write under way at this moment may still succeed, and is not lost.
    ///
    /// ```
    /// use highwater::{TryReadError, TryWriteError};
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write(1)?;
    /// consumer.close();
    /// assert_eq!(consumer.try_read(), Ok(1));
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Empty)); // the producer does not know yet
    /// assert_eq!(producer.try_write(2), Err(TryWriteError::Closed(2)));
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
    /// # Ok::<(), highwater::WriteError<i32>>(())
    /// ```
    pub fn close(&mut self) {
        // A producer that is gone already has said how.
        if self.reader.shared().producer_state() == ProducerState::Open {
            self.reader.shared().close();
        }
    }

    /// What is buffered now, in items or weight. The producer can make it more at any moment, and
    /// nobody can make it less. 0 once the producer has aborted.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, consumer) = highwater::channel(4);
    /// producer.write_all(&[1, 2]).unwrap();
    /// assert_eq!((consumer.len(), consumer.is_empty()), (2, false));
    /// assert_eq!((consumer.high_water_mark(), consumer.low_water_mark(), consumer.capacity()), (4, 2, 4));
    /// ```
    pub fn len(&self) -> usize {
        self.reader.shared().len()
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length from which a write says stop, in items or weight. The producer can change it.
    pub fn high_water_mark(&self) -> usize {
        self.reader.shared().accounting.high()
    }

    /// The length at which a drain happens, in items or weight. The producer can change it.
    pub fn low_water_mark(&self) -> usize {
        self.reader.shared().accounting.low()
    }

    /// The number of slots.
    pub fn capacity(&self) -> usize {
        self.reader.shared().accounting.capacity
    }

    /// A handle through which any thread can watch the channel.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let monitor = consumer.monitor();
    /// producer.write("item").unwrap();
    /// consumer.try_read().unwrap();
    /// assert_eq!(monitor.stats().items_read, 1);
    /// ```
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.reader.shared().clone())
    }
}

impl<T, W> ReadEnd<T, W> {
    #[inline(never)]
    fn leave(&mut self, reason: Option<Reason>) {
        self.publish_rest();
        if !self.rest.has_left {
            self.rest.has_left = true;
            #[cfg(feature = "std")]
            self.rest.shared.readable.forget_waker();
            // Swept last: the producer is told before drops run that may take long, or panic. Until
            // then nobody else can sweep, so that all is dropped when this returns.
            let _sweep = self.cursor.stop_reading();
            self.rest.shared.leave(reason);
        }
    }

    /// Gives the slots back of what was read in a chunk, and wakes the producer if it waits for that.
    pub(crate) fn publish_rest(&mut self) {
        if let Some((before, now)) = self.cursor.publish_rest() {
            self.rest.shared.writable.passed_with_notes(before, now);
        }
    }
}

/// # Event loops
///
/// For a consumer that waits neither in a thread nor in a task of its own.
#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Consumer<T, W> {
    /// A descriptor that is readable while there is something to read, or an end to hear of: for epoll and
    /// everything that is built on it. See [`EventFd`](crate::EventFd).
    ///
    /// It becomes unreadable when an operation that does not wait finds too little (`Empty`), and readable
    /// again when there is enough for that operation. Asked for again, it is the same one.
    ///
    /// One end may use it, and sleep in a thread or a task, by turns: nothing is missed in the change. While
    /// it waits in another way the descriptor may be readable.
    ///
    /// # Errors
    ///
    /// [`EventFdError`](crate::EventFdError) if the system gives no descriptor, for instance as the process
    /// has too many. The channel is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryReadError;
    /// use rustix::event::{poll, PollFd, PollFlags};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// let ready = consumer.ready_fd()?;
    /// # let writer =
    /// std::thread::spawn(move || producer.write_iter(0..100).map(|()| producer.end()));
    /// let mut sum = 0;
    /// loop {
    ///     match consumer.try_read() {
    ///         Ok(item) => sum += item,
    ///         Err(TryReadError::Empty) => {
    ///             poll(&mut [PollFd::new(&ready, PollFlags::IN)], None)?; // and whatever else there is
    ///         }
    ///         Err(TryReadError::Ended) => break,
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// assert_eq!(sum, 4950);
    /// # writer.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(all(feature = "eventfd", target_os = "linux"))]
    pub fn ready_fd(&mut self) -> Result<crate::EventFd, crate::EventFdError> {
        let end = self.reader.end_mut();
        let gate = &end.rest.shared.readable;
        let (fd, is_new) = gate.event_fd(&mut end.rest.sleeper)?;
        if is_new {
            end.listen_again();
        }
        Ok(fd)
    }

    /// Calls `callback` when there is something to read, or an end to hear of, each time after an
    /// operation that does not wait has found too little (`Empty`). It replaces an earlier callback.
    ///
    /// Begin by reading until `Empty`: it is not called for what is there before. It says that it is time to
    /// look, and may come once too often. As for [`Producer::on_drain`](crate::Producer::on_drain): it runs in
    /// the thread of the other end, within its writing, and must not wait for either end, or for a lock that
    /// is held while an end is used; no lock of the channel is held; panics are caught; an operation that
    /// waits hears of the item itself, and if it gives up the callback is called. (A poll as a `Stream` or an `AsyncRead`
    /// cannot be seen to be given up: after one, read until `Empty` again.)
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryReadError;
    /// use std::sync::mpsc;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// let (events, event_loop) = mpsc::channel();
    /// consumer.on_ready(move || drop(events.send("ready")));
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    ///
    /// producer.write("item")?;
    /// assert_eq!(event_loop.try_recv(), Ok("ready"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_ready(&mut self, callback: impl Fn() + Send + Sync + 'static) {
        self.set_callback(Some(alloc::sync::Arc::new(callback)));
    }

    /// Calls nothing any more. A call that is under way in the producer's thread may still go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// let (events, event_loop) = mpsc::channel();
    /// consumer.on_ready(move || drop(events.send("ready")));
    /// assert!(consumer.try_read().is_err()); // it would be called at the next item
    /// consumer.clear_on_ready();
    /// producer.write("item").unwrap();
    /// assert!(event_loop.try_recv().is_err());
    /// ```
    pub fn clear_on_ready(&mut self) {
        self.set_callback(None);
    }

    fn set_callback(&mut self, callback: Option<Callback>) {
        let end = self.reader.end_mut();
        let gate = &end.rest.shared.readable;
        gate.set_callback(&mut end.rest.sleeper, callback);
        end.listen_again();
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> ReadEnd<T, W> {
    /// For a listener that is new, or was one of the same doors and armed: that one still has to hear of what
    /// has come since, as no operation of the caller's finds it.
    fn listen_again(&mut self) {
        let was_armed = self.rest.sleeper.is_armed();
        if self.look_for(1, 1) != Err(TryReadError::Empty) {
            self.rest.shared.readable.relieve(&self.rest.sleeper);
            return;
        }
        let listening = self.let_listener_wait(1);
        if let Listening::IsReady {
            was_told: false,
            was_rung: false,
        } = listening
        {
            if was_armed {
                self.rest.sleeper.notify_listener();
            }
        }
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Consumer<T, W> {
    /// Takes the next item; sleeps until there is one.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if nothing will come any more. `Ended` and `Abandoned` come only after
    /// everything that was written has been read.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReadError;
    /// use std::thread;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let writer = thread::spawn(move || producer.write("hello").map(|()| producer.end()));
    /// assert_eq!(consumer.read(), Ok("hello"));
    /// assert_eq!(consumer.read(), Err(ReadError::Ended));
    /// # writer.join().unwrap().unwrap();
    /// ```
    #[inline]
    pub fn read(&mut self) -> Result<T, ReadError> {
        self.read_in_time(|| Deadline::NEVER, ReadTimeoutError::without_deadline)
    }

    /// As [`read`](Self::read), but gives up at an instant.
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
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// producer.write("in time").unwrap();
    /// assert_eq!(consumer.read_deadline(deadline), Ok("in time"));
    /// assert_eq!(consumer.read_deadline(deadline), Err(ReadTimeoutError::Timeout));
    /// ```
    #[inline]
    pub fn read_deadline(&mut self, deadline: Instant) -> Result<T, ReadTimeoutError> {
        self.read_in_time(|| Deadline::at(deadline), |error| error)
    }

    /// As [`read`](Self::read), but gives up after some time.
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
    /// let nothing = consumer.read_timeout(Duration::from_millis(1));
    /// assert_eq!(nothing, Err(ReadTimeoutError::Timeout));
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline]
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<T, ReadTimeoutError> {
        self.read_in_time(|| Deadline::after(timeout), |error| error)
    }

    /// The clock is asked only if there is something to wait for. The error is changed in here, as to map a `Result`
    /// would move the item once more.
    #[inline(always)]
    fn read_in_time<E>(
        &mut self,
        deadline: impl FnOnce() -> Deadline,
        into_error: impl FnOnce(ReadTimeoutError) -> E,
    ) -> Result<T, E> {
        match self.seen() {
            Some(seen) => seen.read(),
            None if moves_cheaply::<T>() => {
                let deadline = deadline();
                self.reader
                    .ask(|end| end.read_when_there(&deadline))
                    .map_err(into_error)
            }
            None => {
                let deadline = deadline();
                self.reader.find_and_take(
                    |end| end.find_when_there(&deadline).map_err(into_error),
                    ReadEnd::read_found,
                )
            }
        }
    }

    /// Iterates over the items; sleeps while there are none. As [`std::io::Lines`] does, it gives
    /// `Result`s: a clean end stops the iteration, an abandonment or an abort is one last `Err`.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::ReadError;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write_all(&[1, 2]).unwrap();
    /// drop(producer); // without an end
    /// let items: Vec<_> = consumer.iter().collect();
    /// assert_eq!(items, [Ok(1), Ok(2), Err(ReadError::Abandoned)]);
    /// ```
    pub fn iter(&mut self) -> Iter<'_, T, W> {
        Iter {
            consumer: self,
            is_done: false,
        }
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> ReadEnd<T, W> {
    #[cold]
    #[inline(never)]
    fn read_when_there(&mut self, deadline: &Deadline) -> Result<T, ReadTimeoutError> {
        match self.glance() {
            Glance::Known => return self.read_found(),
            Glance::Items(found) => return self.read_at_a_glance(found),
            Glance::Nothing | Glance::Unclear => {}
        }
        self.find_when_there(deadline)?;
        self.read_found()
    }

    #[cold]
    #[inline(never)]
    fn find_when_there(&mut self, deadline: &Deadline) -> Result<(), ReadTimeoutError> {
        loop {
            match self.find() {
                Ok(()) => return Ok(()),
                Err(error) => match error.into_read_error() {
                    Some(error) => return Err(error.into()),
                    None => self.wait_for_items(1, deadline)?,
                },
            }
        }
    }

    /// Sleeps until so many items are there, or the producer has gone, or waits for drain.
    pub(crate) fn wait_for_items(
        &mut self,
        wanted: usize,
        deadline: &Deadline,
    ) -> Result<(), ReadTimeoutError> {
        let (index, rest) = (self.cursor.index(), &mut self.rest);
        let shared = &*rest.shared;
        let awaited = shared.writing_up_to(index.wrapping_add(wanted));
        let in_time = shared
            .readable
            .wait_until(&mut rest.sleeper, &awaited, deadline, || {
                shared.has_news(index, wanted)
            });
        if !rest.sleeper.was_quick() {
            rest.pace.was_slow();
        }
        if in_time {
            Ok(())
        } else {
            Err(ReadTimeoutError::Timeout)
        }
    }
}

impl<T, W> Drop for Consumer<T, W> {
    fn drop(&mut self) {
        self.reader.end_mut().leave(None);
    }
}

// As for Producer: nothing of the caller's runs while the channel is in pieces.
impl<T, W> UnwindSafe for Consumer<T, W> {}
impl<T, W> RefUnwindSafe for Consumer<T, W> {}

impl<T, W> fmt::Debug for Consumer<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("len", &self.len())
            .field("high_water_mark", &self.high_water_mark())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// Takes what is there. Made by [`Consumer::try_iter`].
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(4);
/// producer.write_all(&[1, 2, 3]).unwrap();
/// assert_eq!(consumer.try_iter().sum::<i32>(), 6);
/// ```
pub struct TryIter<'a, T, W = Items> {
    consumer: &'a mut Consumer<T, W>,
}

impl<T, W> fmt::Debug for TryIter<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TryIter").field(&self.consumer).finish()
    }
}

impl<T, W: Weigh<T>> Iterator for TryIter<'_, T, W> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.consumer.try_read().ok()
    }
}

/// Reads to the end. Made by [`Consumer::iter`].
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(4);
/// producer.write_all(&[1, 2, 3]).unwrap();
/// producer.end();
/// assert_eq!(consumer.iter().sum::<Result<i32, _>>(), Ok(6));
/// ```
#[cfg(feature = "std")]
pub struct Iter<'a, T, W = Items> {
    consumer: &'a mut Consumer<T, W>,
    is_done: bool,
}

/// Reads to the end. Made by `into_iter` of a [`Consumer`].
///
/// # Examples
///
/// ```
/// let (mut producer, consumer) = highwater::channel(4);
/// producer.write_all(&[1, 2, 3]).unwrap();
/// producer.end();
/// for item in consumer {
///     assert!(item? > 0);
/// }
/// # Ok::<(), highwater::ReadError>(())
/// ```
#[cfg(feature = "std")]
pub struct IntoIter<T, W = Items> {
    consumer: Consumer<T, W>,
    is_done: bool,
}

#[cfg(feature = "std")]
impl<T, W> fmt::Debug for Iter<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(&self.consumer).finish()
    }
}

#[cfg(feature = "std")]
impl<T, W> fmt::Debug for IntoIter<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.consumer).finish()
    }
}

/// One step of either iterator.
#[cfg(feature = "std")]
#[inline]
fn next<T, W: Weigh<T>>(
    consumer: &mut Consumer<T, W>,
    is_done: &mut bool,
) -> Option<Result<T, ReadError>> {
    if *is_done {
        return None;
    }
    match consumer.read() {
        Ok(item) => Some(Ok(item)),
        Err(error) => {
            *is_done = true;
            Some(error).filter(|e| *e != ReadError::Ended).map(Err)
        }
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Iterator for Iter<'_, T, W> {
    type Item = Result<T, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        next(self.consumer, &mut self.is_done)
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Iterator for IntoIter<T, W> {
    type Item = Result<T, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        next(&mut self.consumer, &mut self.is_done)
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> FusedIterator for Iter<'_, T, W> {}
#[cfg(feature = "std")]
impl<T, W: Weigh<T>> FusedIterator for IntoIter<T, W> {}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> IntoIterator for Consumer<T, W> {
    type Item = Result<T, ReadError>;
    type IntoIter = IntoIter<T, W>;

    fn into_iter(self) -> IntoIter<T, W> {
        IntoIter {
            consumer: self,
            is_done: false,
        }
    }
}

#[cfg(feature = "std")]
impl<'a, T, W: Weigh<T>> IntoIterator for &'a mut Consumer<T, W> {
    type Item = Result<T, ReadError>;
    type IntoIter = Iter<'a, T, W>;

    fn into_iter(self) -> Iter<'a, T, W> {
        self.iter()
    }
}
