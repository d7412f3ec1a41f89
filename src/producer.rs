//! The writing end: joins the write cursor and the two gates.
#![forbid(unsafe_code)]

use crate::{
    error::{MarkError, Reason, TryWriteError, WaitError},
    monitor::Monitor,
    ring::{End, Slot, Vacant, WriteCursor, Writer},
    shared::{moves_cheaply, ProducerState, Shared},
    sync::Arc,
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
        error::{WaitTimeoutError, WriteError, WriteTimeoutError},
        sync::{Deadline, Instant},
        wait::{listener::Callback, Awaited, Listening, Sleeper},
    },
    std::error::Error,
};

/// What a write says besides "accepted": whether to go on.
///
/// To ignore it is a compiler warning. Nothing breaks if you go on nevertheless, up to the capacity:
/// an item that finds no room comes back as [`TryWriteError::WouldBlock`].
///
/// # Examples
///
/// ```
/// use highwater::Flow;
///
/// let (mut producer, _consumer) = highwater::channel(2);
/// assert_eq!(producer.try_write("first")?, Flow::Ready);
/// assert_eq!(producer.try_write("second")?, Flow::Backpressure);
/// # Ok::<(), highwater::TryWriteError<&str>>(())
/// ```
#[must_use = "`Flow::Backpressure` says: stop writing until the channel has drained (`wait_drain`, `need_drain`)"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// Go on.
    Ready,
    /// The item was accepted, and the length is now at or above the high-water mark: stop, and go on
    /// after drain.
    Backpressure,
}

impl Flow {
    pub(crate) fn judged(is_high: bool) -> Self {
        if is_high {
            Self::Backpressure
        } else {
            Self::Ready
        }
    }

    /// Whether this says stop.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(1);
    /// assert!(producer.try_write("item")?.is_backpressure());
    /// # Ok::<(), highwater::TryWriteError<&str>>(())
    /// ```
    pub fn is_backpressure(self) -> bool {
        self == Self::Backpressure
    }
}

/// The writing end of a channel.
///
/// One thread at a time owns it; it can be sent to another, but neither cloned nor shared. Dropping
/// it without [`end`](Self::end) is an abandonment: the consumer reads what is buffered and then
/// gets `Abandoned`, so that a crash cannot pass for an end.
///
/// # Examples
///
/// Never blocking, and obeying the signal:
///
/// ```
/// use highwater::{Flow, TryWriteError};
///
/// let (mut producer, mut consumer) = highwater::channel(8);
/// for sample in 0..100 {
///     match producer.try_write(sample) {
///         Ok(Flow::Ready) => {}
///         Ok(Flow::Backpressure) => break, // accepted; the next one after drain
///         Err(TryWriteError::WouldBlock(sample)) => unreachable!("{sample} ignored the signal"),
///         Err(TryWriteError::Closed(sample)) => panic!("nobody wants {sample}"),
///     }
/// }
/// assert_eq!(producer.len(), 8);
/// # consumer.try_read().unwrap();
/// ```
///
/// To share it does not compile:
///
/// ```compile_fail,E0277
/// let (producer, _consumer) = highwater::channel::<u8>(1);
/// std::thread::scope(|scope| {
///     scope.spawn(|| producer.len());
/// });
/// ```
pub struct Producer<T, W = Items> {
    pub(crate) writer: Writer<T, W, OfProducer, Shared>,
    /// Neither end is Sync: each operation needs `&mut self` or is the owner's question.
    not_sync: PhantomData<Cell<()>>,
}

/// What the slow ways need beside the cursor.
pub(crate) struct OfProducer {
    pub(crate) shared: Arc<Shared>,
    #[cfg(feature = "std")]
    pub(crate) sleeper: Sleeper,
    /// What was published last. (A load of the published one would be as good, but hides the store
    /// after it from the search of a model.)
    state: Cell<ProducerState>,
}

/// Where the slow ways are: without what the fast one has in registers.
pub(crate) type WriteEnd<T, W = Items> = End<WriteCursor<T, W>, OfProducer>;

/// How sure it is that there is a slot for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surely {
    /// By what was known already.
    BelowMark,
    /// By a look at the other side; it may reach the mark.
    Admitted,
}

/// Why there is no slot for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    WouldBlock,
    Closed,
}

impl Refused {
    #[inline]
    fn with<T>(self, item: T) -> TryWriteError<T> {
        match self {
            Self::WouldBlock => TryWriteError::WouldBlock(item),
            Self::Closed => TryWriteError::Closed(item),
        }
    }
}

/// Where the next item goes, on the fast path. The item is moved last, and once: it may be large.
pub(crate) struct Place<'a, T, W> {
    slot: Slot<'a, T, W, OfProducer, Shared>,
}

impl<T, W: Weigh<T>> Place<'_, T, W> {
    #[inline(always)]
    pub(crate) fn write(self, item: T) {
        self.slot.publish(
            item,
            |shared, before, now| shared.readable.is_due(before, now),
            |shared| shared.readable.ring(),
        );
    }
}

impl<T, W: Weigh<T>> Producer<T, W> {
    pub(crate) fn new(cursor: WriteCursor<T, W>, shared: Arc<Shared>) -> Self {
        let rest = OfProducer {
            #[cfg(feature = "std")]
            sleeper: Sleeper::new(&shared.writable),
            shared: shared.clone(),
            state: Cell::new(ProducerState::Open),
        };
        Self {
            writer: Writer::new(cursor, rest, shared),
            not_sync: PhantomData,
        }
    }

    /// Writes an item if there is room, and says whether to go on. Never waits.
    ///
    /// `Ok` means that the item is in the channel. [`Flow::Backpressure`] is judged by the length
    /// right after this write alone: after one, a later write can return `Ready` again as the
    /// consumer moves on, although [`need_drain`](Self::need_drain) stays set until the length has
    /// fallen to the low-water mark.
    ///
    /// # Errors
    ///
    /// The item comes back: [`WouldBlock`](TryWriteError::WouldBlock) if there is no room for it,
    /// which also sets *need drain*; [`Closed`](TryWriteError::Closed) if the consumer takes no more.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Builder, Flow, TryWriteError};
    ///
    /// // One item of headroom above the mark, for a producer that cannot stop at once.
    /// let (mut producer, consumer) = Builder::new().high_water_mark(2).capacity(3).build()?;
    /// assert_eq!(producer.try_write('a'), Ok(Flow::Ready));
    /// assert_eq!(producer.try_write('b'), Ok(Flow::Backpressure));
    /// assert_eq!(producer.try_write('c'), Ok(Flow::Backpressure));
    /// assert_eq!(producer.try_write('d'), Err(TryWriteError::WouldBlock('d')));
    /// drop(consumer);
    /// assert_eq!(producer.try_write('d'), Err(TryWriteError::Closed('d')));
    /// # Ok::<(), highwater::BuildError>(())
    /// ```
    #[inline(always)] // A call for each item, as the compiler made of it in a larger program, halves the rate.
    pub fn try_write(&mut self, item: T) -> Result<Flow, TryWriteError<T>> {
        let weight = self.writer.measure(&item);
        if let Some(slot) = self.writer.slot_below_mark(weight) {
            if slot.shared().readable.is_quiet() {
                Place { slot }.write(item);
                return Ok(Flow::Ready);
            }
            // A way of its own, if the item can be moved there: if both questions had the same answer the compiler
            // would compute one of them, for each item, where two branches are free.
            if W::COUNTS_ITEMS.get() && moves_cheaply::<T>() {
                return self.writer.ask(|end| end.try_write_noted(item, weight));
            }
        }
        if moves_cheaply::<T>() {
            self.writer
                .ask(|end| end.try_write_after_look(item, weight))
        } else {
            self.writer.ask(|end| {
                let found = end.find_slot_or_listen(weight);
                end.write_if_found(item, weight, found)
            })
        }
    }

    /// The fast path: a slot, if there is no note from the consumer, and an item of this weight is sure to stay
    /// below the mark.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn slot_below_mark(&mut self, weight: usize) -> Option<Place<'_, T, W>> {
        // First: the index was written down right before, and an atomic load between would have it loaded again.
        let slot = self.writer.slot_below_mark(weight)?;
        if !slot.shared().readable.is_quiet() {
            return None;
        }
        Some(Place { slot })
    }

    /// Whether the producer was told to stop and the channel has not drained since.
    ///
    /// Looks at the consumer, so that a drain is found by asking. While this is false there is
    /// nothing to wait for; so it is once the consumer takes no more, which a write then says.
    ///
    /// A producer that was told to stop by [`WouldBlock`](TryWriteError::WouldBlock) has drained when
    /// the length is at the low-water mark *and* there is room for the refused item (in a weighted
    /// channel whose slots were full: when half of them are free), so that it is not sent in circles.
    /// That holds until another item is accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// assert!(!producer.need_drain());
    /// producer.write_all(&[1, 2]).unwrap();
    /// assert!(producer.need_drain()); // at the high-water mark
    /// consumer.try_read().unwrap();
    /// assert!(!producer.need_drain()); // at the low one
    /// ```
    pub fn need_drain(&self) -> bool {
        // The usual case: while there is surely room nobody was told to stop, and nothing is held back.
        if self.writer.has_room() {
            self.writer.rest().relieve_listener();
            return false;
        }
        self.writer.end().need_drain()
    }

    /// As `WriteEnd::publish_forgotten`.
    #[cfg(feature = "std")]
    pub(crate) fn publish_forgotten(&self) {
        // While there is surely room nothing is held back.
        if !self.writer.has_room() {
            self.writer.end().publish_forgotten();
        }
    }

    /// What is buffered now, in items or weight. The consumer can make it less at any moment, and
    /// nobody can make it more. 0 once the consumer is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(4);
    /// producer.write_all(&[1, 2]).unwrap();
    /// assert_eq!((producer.len(), producer.is_empty()), (2, false));
    /// assert_eq!((producer.high_water_mark(), producer.low_water_mark(), producer.capacity()), (4, 2, 4));
    /// ```
    pub fn len(&self) -> usize {
        if self.writer.shared().is_gone() {
            0
        } else {
            self.writer.len()
        }
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length from which a write says stop, in items or weight.
    pub fn high_water_mark(&self) -> usize {
        self.writer.level().marks().high()
    }

    /// The length at which a drain happens, in items or weight.
    pub fn low_water_mark(&self) -> usize {
        self.writer.level().marks().low()
    }

    /// The number of slots.
    pub fn capacity(&self) -> usize {
        self.writer.level().capacity()
    }

    /// How much more is welcome: the high-water mark minus the length, negative when there is too
    /// much. As `desiredSize` of a WHATWG stream.
    ///
    /// ```
    /// use highwater::Builder;
    /// let (mut producer, _consumer) = Builder::new().high_water_mark(1).capacity(4).build()?;
    /// assert_eq!(producer.desired_size(), 1);
    /// for i in 0..3 {
    ///     let _ = producer.try_write(i)?;
    /// }
    /// assert_eq!(producer.desired_size(), -2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn desired_size(&self) -> isize {
        self.writer.level().marks().desired_size(self.len())
    }

    /// Changes the high-water mark. A low-water mark that was never chosen stays half of it.
    ///
    /// Takes effect with the next write. Does not by itself set or clear *need drain*, unless the
    /// low-water mark moves along and a drain is found at once.
    ///
    /// # Errors
    ///
    /// [`MarkError`] if it would be below the low-water mark or above what the channel can hold;
    /// nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Builder, MarkError};
    ///
    /// let (mut producer, _consumer) = Builder::new().high_water_mark(4).capacity(8).build::<u8>()?;
    /// producer.set_high_water_mark(8)?;
    /// assert_eq!((producer.high_water_mark(), producer.low_water_mark()), (8, 4));
    /// assert!(matches!(producer.set_high_water_mark(9), Err(MarkError::HighAboveCapacity { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_high_water_mark(&mut self, mark: usize) -> Result<(), MarkError> {
        let end = self.writer.end_mut();
        end.cursor.set_high_mark(mark)?;
        end.marks_changed();
        Ok(())
    }

    /// Changes the low-water mark. Takes effect with the next look for a drain.
    ///
    /// # Errors
    ///
    /// [`MarkError`] if it would be above the high-water mark; nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::MarkError;
    ///
    /// let (mut producer, _consumer) = highwater::channel::<u8>(8);
    /// producer.set_low_water_mark(6)?;
    /// assert_eq!(producer.low_water_mark(), 6);
    /// assert!(matches!(producer.set_low_water_mark(9), Err(MarkError::LowAboveHigh { .. })));
    /// # Ok::<(), MarkError>(())
    /// ```
    pub fn set_low_water_mark(&mut self, mark: usize) -> Result<(), MarkError> {
        let end = self.writer.end_mut();
        end.cursor.set_low_mark(mark)?;
        end.marks_changed();
        Ok(())
    }

    /// Ends the stream: the consumer gets all that is buffered and then `Ended`.
    ///
    /// The [`Finish`] tells when everything was consumed. It can be dropped if you do not care.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::TryReadError;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write("last").unwrap();
    /// let finish = producer.end();
    /// assert_eq!(consumer.try_read(), Ok("last"));
    /// assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
    /// assert_eq!(finish.try_wait(), Ok(true));
    /// ```
    #[inline]
    pub fn end(self) -> Finish {
        self.writer.end().end()
    }
}

/// # Slow ways
impl<T, W: Weigh<T>> WriteEnd<T, W> {
    #[cold]
    #[inline(never)]
    fn try_write_noted(&mut self, item: T, weight: usize) -> Result<Flow, TryWriteError<T>> {
        self.try_write_after_look(item, weight)
    }

    #[cold]
    #[inline(never)]
    fn try_write_after_look(&mut self, item: T, weight: usize) -> Result<Flow, TryWriteError<T>> {
        let found = self.find_slot_or_listen(weight);
        self.write_if_found(item, weight, found)
    }

    #[cold]
    #[inline(never)]
    fn find_slot_or_listen(&mut self, weight: usize) -> Result<Surely, Refused> {
        let found = self.find_slot(weight);
        match found {
            Ok(_) => {}
            Err(Refused::WouldBlock) => self.listen_for_drain(Flow::Backpressure),
            // There is nothing to hear of any more; only one that waited hears that.
            Err(Refused::Closed) => self.rest.relieve_listener(),
        }
        found
    }

    /// The fast path of a batch.
    #[inline(always)]
    pub(crate) fn slot_in_batch(&mut self, weight: usize) -> Option<Vacant<'_, T, W>> {
        if !self.rest.shared.readable.is_quiet() {
            return None;
        }
        self.cursor.vacant_in_batch(weight)
    }

    /// As `try_write`, for an operation that waits otherwise.
    #[cfg(feature = "async")]
    pub(crate) fn write_at_once(
        &mut self,
        item: T,
        weight: usize,
    ) -> Result<Flow, TryWriteError<T>> {
        let found = self.find_slot(weight);
        self.write_if_found(item, weight, found)
    }

    /// Looks for a slot for an item of this weight, which is then written by `write_found`. Whether anybody listens
    /// for the room that there is not is the caller's business: it may wait itself.
    fn find_slot(&mut self, weight: usize) -> Result<Surely, Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        // The note may have been no more than the wish for fences.
        if self.cursor.vacant_below_mark(weight).is_some() {
            return Ok(Surely::BelowMark);
        }
        self.cursor.look();
        if self.cursor.admits(weight) {
            Ok(Surely::Admitted)
        } else {
            // What was held back, too, had better be read.
            self.publish_rest();
            Err(Refused::WouldBlock)
        }
    }

    #[inline]
    fn write_if_found(
        &mut self,
        item: T,
        weight: usize,
        found: Result<Surely, Refused>,
    ) -> Result<Flow, TryWriteError<T>> {
        match found {
            Ok(surely) => Ok(self.write_found(item, weight, surely)),
            Err(refused) => Err(refused.with(item)),
        }
    }

    /// Writes an item for which a slot was found.
    #[inline]
    fn write_found(&mut self, item: T, weight: usize, surely: Surely) -> Flow {
        self.cursor.hold_back(item, weight);
        self.publish_found(weight, surely)
    }

    #[inline(never)]
    fn publish_found(&mut self, weight: usize, surely: Surely) -> Flow {
        self.publish_rest();
        let flow = Flow::judged(self.cursor.is_high(weight));
        debug_assert!(surely == Surely::Admitted || flow == Flow::Ready);
        if surely == Surely::Admitted {
            self.listen_for_drain(flow);
        }
        flow
    }

    /// If the producer has been told to stop, its listener hears of the drain; or, once, that the consumer takes no more.
    /// By what the operation `says` it is told so now, or was before.
    #[inline]
    pub(crate) fn listen_for_drain(&self, says: Flow) {
        #[cfg(feature = "std")]
        if self.rest.sleeper.has_listener() {
            self.let_listener_wait(says);
        }
        #[cfg(not(feature = "std"))]
        let _ = says;
    }

    #[cfg(feature = "std")]
    #[cold]
    #[inline(never)]
    fn let_listener_wait(&self, says: Flow) {
        let sleeper = &self.rest.sleeper;
        if sleeper.has_heard_of_end.get() || !self.rest.is_open() {
            self.rest.relieve_listener();
            return;
        }
        let_listener_wait(&self.cursor, &self.rest.shared, sleeper, says);
        // What it has heard it is not to hear again of each operation that follows. (The producer itself was told nothing: it may
        // still abort, for instance.)
        sleeper.has_heard_of_end.set(self.rest.shared.is_refusing());
    }

    /// A batch has said stop. If the consumer comes to a drain by what is published, the listener hears of that; if not, it goes
    /// without a place until the rest is, and hears if the drain is found before.
    pub(crate) fn batch_was_stopped(&self) {
        #[cfg(feature = "std")]
        if self.rest.sleeper.has_listener() {
            if self.cursor.is_drain_published() {
                self.let_listener_wait(Flow::Backpressure);
            } else {
                self.rest.sleeper.goes_on_waiting(true);
            }
        }
    }

    fn need_drain(&self) -> bool {
        let need_drain = self.has_to_drain();
        if need_drain {
            self.listen_for_drain(Flow::Backpressure);
        } else {
            self.rest.relieve_listener();
        }
        need_drain
    }

    /// Publishes what a batch has left that was forgotten. Whoever was told to stop by it hears of the drain, as of
    /// a batch that publishes itself.
    pub(crate) fn publish_forgotten(&self) {
        if self.publish_rest() {
            self.listen_for_drain(Flow::Ready);
        }
    }

    /// As `need_drain`, for an operation that waits itself.
    pub(crate) fn has_to_drain(&self) -> bool {
        // What the consumer does not see it cannot drain.
        self.publish_rest();
        self.is_stopped()
    }

    /// As `has_to_drain`, while a batch is open that goes on holding back.
    pub(crate) fn is_stopped(&self) -> bool {
        // First: once the consumer takes no more no drain is found, and there is nothing to wait for.
        !self.rest.shared.is_refusing() && self.cursor.need_drain()
    }

    #[inline(never)]
    fn end(&self) -> Finish {
        let (state, shared) = (self.state_at_end(), &self.rest.shared);
        let finish = Finish {
            shared: shared.clone(),
            last: self.cursor.index(),
            is_cancelled: state == ProducerState::Told,
            #[cfg(feature = "std")]
            sleeper: Box::new(Sleeper::new(&shared.writable)),
            not_sync: PhantomData,
        };
        self.go_on_to(state);
        finish
    }

    /// Ends the stream by a mutable reference: this end stays, and takes nothing more.
    #[cfg(feature = "async")]
    pub(crate) fn close_as_sink(&mut self) {
        if self.rest.state.get() == ProducerState::Open {
            self.publish_rest();
            self.cursor.close();
            self.rest.relieve_listener();
            self.go_on_to(self.state_at_end());
            if self.rest.shared.is_gone() {
                // As in `take_note`, which no later operation comes to.
                self.cursor.sweep();
            }
        }
    }

    /// A consumer that waits for so many items that this end may now have to stop before they are there
    /// has to know.
    fn marks_changed(&self) {
        self.publish_rest();
        self.rest.shared.readable.ring();
        // It waits for a drain by the marks of before.
        #[cfg(feature = "std")]
        self.rest.shared.writable.displace_task(&self.rest.sleeper);
        self.listen_for_drain(Flow::Ready);
    }

    /// After a cancel there is no finish, even if everything had been consumed before; unless the stream had
    /// ended before, as a `Sink`.
    fn state_at_end(&self) -> ProducerState {
        let is_cancelled = self.rest.shared.is_gone() && !self.rest.shared.is_closed();
        if is_cancelled && self.rest.state.get() != ProducerState::Ended {
            ProducerState::Told
        } else {
            ProducerState::Ended
        }
    }
}

impl<T, W> Producer<T, W> {
    /// Gives up: the consumer gets `Aborted(reason)` at once, also if it sleeps. What is buffered is
    /// dropped, by the consumer's thread: in its next operation, or when it goes.
    ///
    /// If this end knows already that the consumer takes no more ([`is_closed`](Self::is_closed), or
    /// a `Closed` from any operation), the stream is over and nobody hears the reason: a consumer
    /// that has closed the channel reads the rest and gets `Ended`.
    ///
    /// ```
    /// use highwater::TryReadError;
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write(1)?;
    /// producer.abort("lost the connection");
    /// assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
    /// # Ok::<(), highwater::WriteError<i32>>(())
    /// ```
    #[inline]
    pub fn abort(self, reason: impl Into<Box<dyn Error + Send + Sync>>) {
        // First: if the conversion panics this end is dropped as it is, and so abandoned.
        let reason = Reason::new(reason);
        self.writer.end().abort(reason);
    }

    /// Whether the consumer takes no more items: it has closed the channel, cancelled, or is gone.
    /// Once true, stays true.
    ///
    /// # Examples
    ///
    /// ```
    /// let (producer, consumer) = highwater::channel::<u8>(4);
    /// assert!(!producer.is_closed());
    /// drop(consumer);
    /// assert!(producer.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.writer.rest().may_be_closed() && self.writer.end().is_closed()
    }

    /// What the consumer passed to [`cancel`](crate::Consumer::cancel), if it did.
    ///
    /// # Examples
    ///
    /// ```
    /// let (producer, consumer) = highwater::channel::<u8>(4);
    /// consumer.cancel("found it");
    /// assert_eq!(producer.cancel_reason().unwrap().to_string(), "found it");
    /// ```
    pub fn cancel_reason(&self) -> Option<Reason> {
        self.writer.shared().cancel_reason()
    }

    /// A handle through which any thread can watch the channel.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, _consumer) = highwater::channel(4);
    /// let monitor = producer.monitor();
    /// producer.write("item").unwrap();
    /// assert_eq!(monitor.len(), 1);
    /// ```
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.writer.shared().clone())
    }
}

impl OfProducer {
    /// Whether to look at `is_closed`, by a glance.
    #[inline]
    pub(crate) fn may_be_closed(&self) -> bool {
        !self.shared.readable.is_quiet() || !self.is_open()
    }

    /// Whether the producer has not ended, nor been told that the consumer takes no more.
    pub(crate) fn is_open(&self) -> bool {
        self.state.get() == ProducerState::Open
    }

    /// What it waits for is there, or will not come, as the operation says.
    pub(crate) fn relieve_listener(&self) {
        #[cfg(feature = "std")]
        if self.sleeper.has_listener() {
            let _ = self.shared.writable.relieve(&self.sleeper);
            self.sleeper.has_waited();
        }
    }
}

impl<T, W> WriteEnd<T, W> {
    #[inline(never)]
    fn abort(&self, reason: Reason) {
        let shared = &self.rest.shared;
        // The consumer may have got its `Ended` already, which is final.
        if self.rest.state.get() == ProducerState::Open && !shared.is_gone() {
            self.publish_rest();
            shared.announce_abort(reason);
            self.go_on_to(ProducerState::Aborted);
        }
    }

    /// The producer goes.
    #[inline(never)]
    fn go(&self) {
        let shared = &self.rest.shared;
        if self.rest.state.get() == ProducerState::Open {
            self.go_on_to(if shared.is_refusing() {
                ProducerState::Told
            } else {
                ProducerState::Abandoned
            });
        }
        // Of a task that has polled it, or of its listener.
        #[cfg(feature = "std")]
        shared.writable.forget_waker();
        if shared.is_gone() {
            self.cursor.sweep();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        if self.rest.state.get() == ProducerState::Ended {
            return true; // closed as a `Sink`
        }
        let closed = self.rest.shared.is_refusing();
        if closed {
            self.take_note();
        }
        closed
    }

    /// Publishes what a batch has left, also one that was forgotten, and wakes the consumer if it waits
    /// for any of it. Returns whether there was anything.
    pub(crate) fn publish_rest(&self) -> bool {
        let published = self.cursor.publish_rest();
        if let Some((before, now)) = published {
            self.rest.shared.readable.passed_with_notes(before, now);
        }
        published.is_some()
    }

    /// Nothing is written after this, so that nothing may be left to publish.
    fn go_on_to(&self, state: ProducerState) {
        self.publish_rest();
        self.rest.state.set(state);
        self.rest.shared.set_producer_state(state);
    }

    /// The producer has seen that the consumer takes no more, and so has written its last item.
    #[cold]
    fn take_note(&self) {
        if self.rest.state.get() == ProducerState::Open {
            self.go_on_to(ProducerState::Told);
        }
        if self.rest.shared.is_gone() {
            // What was written as the consumer went is nobody else's to drop.
            self.cursor.sweep();
        }
    }
}

/// As `WriteEnd::listen_for_drain`, for who has no more than the parts of that.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn listen_for_drain<T, W: Weigh<T>>(
    cursor: &WriteCursor<T, W>,
    shared: &Shared,
    sleeper: &Sleeper,
    says: Flow,
) {
    if sleeper.has_listener() {
        let_listener_wait(cursor, shared, sleeper, says);
    }
}

/// What a producer that was told to stop waits for.
#[cfg(feature = "std")]
pub(crate) fn drain_of<T, W: Weigh<T>>(
    cursor: &WriteCursor<T, W>,
) -> Awaited<impl Fn() -> usize + '_> {
    Awaited {
        wake_at: cursor.drain_index(),
        now: move || cursor.head(),
    }
}

#[cfg(feature = "std")]
#[cold]
#[inline(never)]
fn let_listener_wait<T, W: Weigh<T>>(
    cursor: &WriteCursor<T, W>,
    shared: &Shared,
    sleeper: &Sleeper,
    says: Flow,
) {
    let was_stopped = cursor.level().need_drain();
    // After a cancel no drain is found.
    if shared.is_refusing() || !cursor.need_drain() {
        // Drained, or the stop was taken back; maybe without the consumer's having passed what was announced, as
        // where items weigh the same index can be another target by now. Or there is nothing to wait for any more.
        let hears = shared.writable.relieve(sleeper);
        // Without a place, it is still to hear of what was said before.
        let is_owed = sleeper.is_listening();
        sleeper.has_waited();
        // Who is told to stop now waits for a call from now on. What the listener has heard so far does not count: it may have
        // been late, of an earlier stop.
        let is_told = was_stopped && says == Flow::Backpressure;
        if !hears && (is_owed || is_told) {
            sleeper.notify_listener();
        }
        return;
    }
    let listening = shared.writable.listen(sleeper, &drain_of(cursor), || {
        shared.is_refusing() || !cursor.need_drain()
    });
    // It is about to be told to stop, and must hear that this is over.
    if let Listening::IsReady {
        was_told: false, ..
    } = listening
    {
        sleeper.notify_listener();
    }
}

/// # Event loops
///
/// For a producer that waits neither in a thread nor in a task of its own.
#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Producer<T, W> {
    /// A descriptor that is readable while this end may write, or has to hear that the consumer takes no more:
    /// for epoll and everything that is built on it. See [`EventFd`](crate::EventFd).
    ///
    /// It becomes unreadable when an operation that does not wait tells the producer to stop, and readable
    /// again at drain. Asked for again, it is the same one.
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
    /// use highwater::Flow;
    /// use rustix::event::{poll, PollFd, PollFlags};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// let drained = producer.drain_fd()?;
    /// # let reader =
    /// std::thread::spawn(move || consumer.iter().count());
    /// for i in 0..100 {
    ///     if producer.try_write(i)? == Flow::Backpressure {
    ///         poll(&mut [PollFd::new(&drained, PollFlags::IN)], None)?; // and whatever else there is
    ///     }
    /// }
    /// # producer.end();
    /// # assert_eq!(reader.join().unwrap(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(all(feature = "eventfd", target_os = "linux"))]
    pub fn drain_fd(&mut self) -> Result<crate::EventFd, crate::EventFdError> {
        let end = self.writer.end_mut();
        let gate = &end.rest.shared.writable;
        let (fd, is_new) = gate.event_fd(&mut end.rest.sleeper)?;
        if is_new {
            end.publish_rest();
            end.listen_for_drain(Flow::Ready);
        }
        Ok(fd)
    }

    /// Calls `callback` at each drain that an operation which does not wait has asked for, by `Backpressure`,
    /// `WouldBlock` or [`need_drain`](Self::need_drain); and when the consumer takes no more while the
    /// producer waits for that, or this end is closed as a `Sink`. As `on('drain')` of a Node.js stream. It replaces an earlier callback.
    ///
    /// A [`Batch`](crate::Batch) that was told to stop has to be published before its drain, or a close, is waited for: by its drop
    /// or a [`flush`](crate::Batch::flush).
    ///
    /// For those who integrate something else: let it set a flag, send a message to an event loop, or signal
    /// a semaphore. It says that it is time to look, and may come once too often: ask
    /// [`need_drain`](Self::need_drain) again, or write.
    ///
    /// - **Thread**: it runs in the thread that brings the drain about, which is the consumer's, within
    ///   its reading, and holds that up; if the drain came during the very operation that asks for it (or the
    ///   producer has been told to stop already as this is called, and has drained meanwhile), in the producer's
    ///   own thread, before that operation returns.
    /// - **Re-entrancy**: no lock of the channel is held. It must not wait for either end, or for a lock that
    ///   is held while an end is used.
    /// - **Panics** are caught: the panic hook reports them, and the operation goes on.
    /// - An operation that waits (`write`, `wait_drain`, a future) hears of the drain itself, and not the
    ///   callback; but one that returns as it reaches the mark leaves the wait to the next, and the callback may
    ///   come in between. If it gives up (a timeout, a future that is dropped) after the callback had been asked for, that is
    ///   called at once, in the producer's own thread, as it would miss a drain from then on. A poll as a `Sink` or an
    ///   `AsyncWrite` cannot be seen to be given up: after one, ask [`need_drain`](Self::need_drain) to have the callback again.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Flow;
    /// use std::sync::mpsc;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// let (events, event_loop) = mpsc::channel();
    /// producer.on_drain(move || drop(events.send("drain")));
    /// while producer.try_write("item")? == Flow::Ready {}
    ///
    /// consumer.read()?;
    /// assert_eq!(event_loop.try_recv(), Ok("drain"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_drain(&mut self, callback: impl Fn() + Send + Sync + 'static) {
        self.set_callback(Some(alloc::sync::Arc::new(callback)));
    }

    /// Calls nothing any more at drain. A call that is under way in the consumer's thread may still go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(1);
    /// let (events, event_loop) = mpsc::channel();
    /// producer.on_drain(move || drop(events.send("drain")));
    /// assert!(producer.try_write("item").unwrap().is_backpressure()); // it would be called at the drain
    /// producer.clear_on_drain();
    /// consumer.try_read().unwrap();
    /// assert!(event_loop.try_recv().is_err());
    /// ```
    pub fn clear_on_drain(&mut self) {
        self.set_callback(None);
    }

    fn set_callback(&mut self, callback: Option<Callback>) {
        let end = self.writer.end_mut();
        let gate = &end.rest.shared.writable;
        gate.set_callback(&mut end.rest.sleeper, callback);
        end.publish_rest();
        // It has not heard what the producer was told before.
        end.listen_for_drain(Flow::Backpressure);
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> Producer<T, W> {
    /// Writes an item; while *need drain* is set, sleeps until drain first. So it does while there is no room for the item, as there can be
    /// none below the mark too: slots or the [limit](crate::Builder::limit) of a weighted channel.
    ///
    /// # Errors
    ///
    /// [`WriteError`] with the item if the consumer takes no more, also if that happens during the
    /// sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let (mut producer, consumer) = highwater::channel(64);
    /// let adder = thread::spawn(move || consumer.into_iter().sum::<Result<u64, _>>());
    /// for i in 0..1000 {
    ///     producer.write(i)?; // sleeps whenever the adder falls 64 items behind
    /// }
    /// producer.end();
    /// assert_eq!(adder.join().unwrap()?, 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn write(&mut self, item: T) -> Result<(), WriteError<T>> {
        self.write_in_time(item, || Deadline::NEVER)
            .map_err(|error| WriteError(error.into_inner()))
    }

    /// As [`write`](Self::write), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`WriteTimeoutError`], with the item. The channel is then as if nothing had been tried.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WriteTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, _consumer) = highwater::channel(1);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert_eq!(producer.write_deadline("taken", deadline), Ok(()));
    /// assert_eq!(producer.write_deadline("late", deadline), Err(WriteTimeoutError::Timeout("late")));
    /// ```
    #[inline]
    pub fn write_deadline(
        &mut self,
        item: T,
        deadline: Instant,
    ) -> Result<(), WriteTimeoutError<T>> {
        self.write_in_time(item, || Deadline::at(deadline))
    }

    /// As [`write`](Self::write), but gives up after some time. With a timeout of 0 an item that may
    /// be written at once still is.
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
    /// let (mut producer, _consumer) = highwater::channel(1);
    /// producer.write("taken")?;
    /// let refused = producer.write_timeout("refused", Duration::from_millis(1));
    /// assert_eq!(refused, Err(WriteTimeoutError::Timeout("refused")));
    /// # Ok::<(), highwater::WriteError<&str>>(())
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline]
    pub fn write_timeout(
        &mut self,
        item: T,
        timeout: Duration,
    ) -> Result<(), WriteTimeoutError<T>> {
        self.write_in_time(item, || Deadline::after(timeout))
    }

    /// The clock is asked only if there is something to wait for.
    #[inline(always)]
    fn write_in_time(
        &mut self,
        item: T,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<(), WriteTimeoutError<T>> {
        let weight = self.writer.measure(&item);
        match self.slot_below_mark(weight) {
            Some(slot) => {
                slot.write(item);
                Ok(())
            }
            None if moves_cheaply::<T>() => {
                let deadline = deadline();
                self.writer
                    .ask(|end| end.write_when_drained(item, weight, &deadline))
            }
            None => {
                let deadline = deadline();
                self.writer.ask(|end| {
                    let found = end.find_slot_when_drained(weight, &deadline);
                    end.write_if_found_in_time(item, weight, found)
                })
            }
        }
    }
    /// Sleeps until the channel has drained. Returns at once if the producer was not told to stop.
    ///
    /// # Errors
    ///
    /// [`WaitError`], with the reason if there is one, if the consumer takes no more.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Flow;
    /// use std::thread;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(2);
    /// producer.wait_drain()?; // nothing to wait for
    /// while producer.try_write("item")? == Flow::Ready {}
    /// let reader = thread::spawn(move || consumer.read().map(|_| consumer));
    /// producer.wait_drain()?;
    /// assert_eq!(producer.len(), 1);
    /// # reader.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_drain(&mut self) -> Result<(), WaitError> {
        self.writer.ask(WriteEnd::wait_drain)
    }

    /// As [`wait_drain`](Self::wait_drain), but gives up at an instant.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, _consumer) = highwater::channel(1);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert_eq!(producer.wait_drain_deadline(deadline), Ok(())); // nobody was told to stop
    /// producer.write("item").unwrap();
    /// assert_eq!(producer.wait_drain_deadline(deadline), Err(WaitTimeoutError::Timeout));
    /// ```
    pub fn wait_drain_deadline(&mut self, deadline: Instant) -> Result<(), WaitTimeoutError> {
        self.writer
            .ask(|end| end.wait_until_drained(&Deadline::at(deadline)))
    }

    /// As [`wait_drain`](Self::wait_drain), but gives up after some time.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::time::Duration;
    ///
    /// let (mut producer, mut consumer) = highwater::channel(1);
    /// producer.write("item").unwrap();
    /// assert_eq!(producer.wait_drain_timeout(Duration::from_millis(1)), Err(WaitTimeoutError::Timeout));
    /// consumer.try_read().unwrap();
    /// assert_eq!(producer.wait_drain_timeout(Duration::from_millis(1)), Ok(()));
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn wait_drain_timeout(&mut self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.writer
            .ask(|end| end.wait_until_drained(&Deadline::after(timeout)))
    }
}

#[cfg(feature = "std")]
impl<T, W: Weigh<T>> WriteEnd<T, W> {
    #[cold]
    #[inline(never)]
    fn write_when_drained(
        &mut self,
        item: T,
        weight: usize,
        deadline: &Deadline,
    ) -> Result<(), WriteTimeoutError<T>> {
        let found = self.find_slot_when_drained(weight, deadline);
        self.write_if_found_in_time(item, weight, found)
    }

    /// As `write_when_drained`, but leaves the item unpublished.
    pub(crate) fn hold_back_when_drained(
        &mut self,
        item: T,
        weight: usize,
        deadline: &Deadline,
    ) -> Result<(), WriteTimeoutError<T>> {
        match self.find_slot_when_drained(weight, deadline) {
            Ok(_) => {
                self.cursor.hold_back(item, weight);
                let _ = self.cursor.is_high(weight); // obeyed by the next call
                Ok(())
            }
            Err(error) => Err(error.with_item(item)),
        }
    }

    #[inline]
    fn write_if_found_in_time(
        &mut self,
        item: T,
        weight: usize,
        found: Result<Surely, WaitTimeoutError>,
    ) -> Result<(), WriteTimeoutError<T>> {
        match found {
            Ok(surely) => {
                let _ = self.write_found(item, weight, surely); // obeyed by the next call
                Ok(())
            }
            Err(error) => Err(error.with_item(item)),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_slot_when_drained(
        &mut self,
        weight: usize,
        deadline: &Deadline,
    ) -> Result<Surely, WaitTimeoutError> {
        let mut found = Surely::Admitted;
        self.when_drained(deadline, |end| match end.find_slot(weight) {
            Ok(surely) => {
                found = surely;
                true
            }
            Err(_) => false,
        })?;
        Ok(found)
    }

    /// Tries something, each time that the channel has drained, until it works. If it does not, it has
    /// told the producer to stop: then the next drain leaves room for it.
    pub(crate) fn when_drained(
        &mut self,
        deadline: &Deadline,
        mut attempt: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), WaitTimeoutError> {
        let mut refused = false;
        let was_listening = self.rest.sleeper.is_listening();
        let done = loop {
            match self.wait_until_drained(deadline) {
                Err(WaitTimeoutError::Timeout) if refused => {
                    self.take_back_stop();
                    return Err(WaitTimeoutError::Timeout);
                }
                Err(WaitTimeoutError::Timeout) => return Err(WaitTimeoutError::Timeout),
                Err(error) => break Err(error),
                Ok(()) if attempt(self) => break Ok(()),
                Ok(()) => {
                    refused = true;
                    self.rest.sleeper.goes_on_waiting(was_listening);
                }
            }
        };
        self.rest.sleeper.has_waited();
        done
    }

    /// Nobody was told of the last stop, and nobody waits for the room any more.
    pub(crate) fn take_back_stop(&mut self) {
        self.cursor.take_back_stop();
        self.listen_for_drain(Flow::Ready);
    }

    /// See [`Producer::wait_drain`].
    pub(crate) fn wait_drain(&mut self) -> Result<(), WaitError> {
        self.wait_until_drained(&Deadline::NEVER)
            .map_err(WaitTimeoutError::without_deadline)
    }

    pub(crate) fn wait_until_drained(
        &mut self,
        deadline: &Deadline,
    ) -> Result<(), WaitTimeoutError> {
        let in_time = !self.has_to_drain() || {
            let (cursor, rest) = (&self.cursor, &mut self.rest);
            let shared = &*rest.shared;
            shared
                .writable
                .wait_until(&mut rest.sleeper, &drain_of(cursor), deadline, || {
                    shared.is_refusing() || !cursor.need_drain()
                })
        };
        if in_time {
            let rest = &self.rest;
            rest.shared.writable.displace_listener(&rest.sleeper);
            // Also where nothing had to be waited for: for the stop of a batch.
            rest.sleeper.has_waited();
        }
        if self.is_closed() {
            return Err(WaitTimeoutError::Closed(WaitError {
                reason: self.rest.shared.cancel_reason(),
            }));
        }
        if in_time {
            Ok(())
        } else {
            Err(WaitTimeoutError::Timeout)
        }
    }
}

impl<T, W> Drop for Producer<T, W> {
    fn drop(&mut self) {
        self.writer.end().go();
    }
}

// Every operation leaves the channel whole before anything of the caller's (a weight, a drop, a
// Waker) can panic.
impl<T, W> UnwindSafe for Producer<T, W> {}
impl<T, W> RefUnwindSafe for Producer<T, W> {}

impl<T, W: Weigh<T>> fmt::Debug for Producer<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("len", &self.len())
            .field("high_water_mark", &self.high_water_mark())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// Tells when everything that was written before the [`end`](Producer::end) has been consumed.
///
/// Dropping it changes nothing for the consumer.
///
/// # Examples
///
/// ```
/// use std::thread;
///
/// let (mut producer, consumer) = highwater::channel(8);
/// let printer = thread::spawn(move || consumer.into_iter().map(Result::unwrap).count());
/// producer.write("last words")?;
/// producer.end().wait()?; // they were heard
/// # assert_eq!(printer.join().unwrap(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Finish {
    pub(crate) shared: Arc<Shared>,
    pub(crate) last: usize,
    /// The consumer had gone before the end.
    is_cancelled: bool,
    #[cfg(feature = "std")]
    pub(crate) sleeper: Box<Sleeper>,
    /// Not Sync: one reader at a time for the consumer's reason.
    not_sync: PhantomData<Cell<()>>,
}

impl Finish {
    /// Whether everything has been consumed. Never waits.
    ///
    /// # Errors
    ///
    /// [`WaitError`] if the consumer went before that, or before the end.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write("last").unwrap();
    /// let finish = producer.end();
    /// assert_eq!(finish.try_wait(), Ok(false));
    /// consumer.try_read().unwrap();
    /// assert_eq!(finish.try_wait(), Ok(true));
    /// ```
    pub fn try_wait(&self) -> Result<bool, WaitError> {
        match self.look() {
            #[cfg(feature = "std")]
            Ok(false) if self.listen() != Listening::Waits => self.look(),
            looked => looked,
        }
    }

    pub(crate) fn look(&self) -> Result<bool, WaitError> {
        // Gone first: what was consumed before it went is then visible.
        let gone = self.shared.is_gone();
        if !self.is_cancelled && self.shared.accounting.consumed_up_to(self.last) {
            return Ok(true);
        }
        if gone {
            return Err(WaitError {
                reason: self.shared.cancel_reason(),
            });
        }
        Ok(false)
    }

    /// A handle through which any thread can watch the channel.
    ///
    /// # Examples
    ///
    /// ```
    /// let (producer, _consumer) = highwater::channel::<u8>(4);
    /// let finish = producer.end();
    /// assert_eq!(finish.monitor().state(), highwater::State::Finished); // nothing was buffered
    /// ```
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.shared.clone())
    }
}

#[cfg(feature = "std")]
impl Finish {
    /// A descriptor that is readable when everything has been consumed, or the consumer has gone before that:
    /// for epoll and everything that is built on it. See [`EventFd`](crate::EventFd).
    ///
    /// # Errors
    ///
    /// [`EventFdError`](crate::EventFdError), as of [`Producer::drain_fd`].
    ///
    /// # Examples
    ///
    /// ```
    /// use rustix::event::{poll, PollFd, PollFlags};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write("last")?;
    /// let mut finish = producer.end();
    /// let finished = finish.finish_fd()?;
    /// std::thread::spawn(move || consumer.read());
    /// poll(&mut [PollFd::new(&finished, PollFlags::IN)], None)?; // and whatever else there is
    /// assert_eq!(finish.try_wait(), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(all(feature = "eventfd", target_os = "linux"))]
    pub fn finish_fd(&mut self) -> Result<crate::EventFd, crate::EventFdError> {
        let (fd, is_new) = self.shared.writable.event_fd(&mut self.sleeper)?;
        if is_new {
            self.listen();
        }
        Ok(fd)
    }

    fn listen(&self) -> Listening {
        let (shared, last) = (&*self.shared, self.last);
        shared
            .writable
            .listen(&self.sleeper, &shared.reading_up_to(last), || {
                shared.is_over(last)
            })
    }

    /// Sleeps until everything has been consumed.
    ///
    /// # Errors
    ///
    /// [`WaitError`], with the reason if there is one, if the consumer goes before that.
    ///
    /// # Examples
    ///
    /// ```
    /// let (mut producer, consumer) = highwater::channel(4);
    /// producer.write("unheard").unwrap();
    /// let finish = producer.end();
    /// consumer.cancel("no time");
    /// assert_eq!(finish.wait().unwrap_err().reason().unwrap().to_string(), "no time");
    /// ```
    pub fn wait(mut self) -> Result<(), WaitError> {
        self.wait_until_consumed(&Deadline::NEVER)
            .map_err(WaitTimeoutError::without_deadline)
    }

    /// As [`wait`](Self::wait), but gives up at an instant. Can be called again then.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::time::{Duration, Instant};
    ///
    /// let (mut producer, mut consumer) = highwater::channel(4);
    /// producer.write("last").unwrap();
    /// let mut finish = producer.end();
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert_eq!(finish.wait_deadline(deadline), Err(WaitTimeoutError::Timeout));
    /// consumer.try_read().unwrap();
    /// assert_eq!(finish.wait_deadline(deadline), Ok(()));
    /// ```
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<(), WaitTimeoutError> {
        self.wait_until_consumed(&Deadline::at(deadline))
    }

    /// As [`wait`](Self::wait), but gives up after some time. Can be called again then.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::WaitTimeoutError;
    /// use std::time::Duration;
    ///
    /// let (mut producer, _consumer) = highwater::channel(4);
    /// producer.write("last").unwrap();
    /// let mut finish = producer.end();
    /// assert_eq!(finish.wait_timeout(Duration::from_millis(1)), Err(WaitTimeoutError::Timeout));
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.wait_until_consumed(&Deadline::after(timeout))
    }

    fn wait_until_consumed(&mut self, deadline: &Deadline) -> Result<(), WaitTimeoutError> {
        let (shared, last) = (&*self.shared, self.last);
        shared.writable.wait_until(
            &mut self.sleeper,
            &shared.reading_up_to(last),
            deadline,
            || shared.is_over(last),
        );
        if self.look()? {
            Ok(())
        } else {
            Err(WaitTimeoutError::Timeout)
        }
    }
}

#[cfg(feature = "std")]
impl Drop for Finish {
    fn drop(&mut self) {
        // As of a producer.
        self.shared.writable.forget_waker();
    }
}

// As of a producer.
impl UnwindSafe for Finish {}
impl RefUnwindSafe for Finish {}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finish")
            .field("finished", &self.look())
            .finish_non_exhaustive()
    }
}
