//! Length, marks and counters for a third thread.
#![forbid(unsafe_code)]

use crate::{
    shared::{ProducerState, Shared},
    sync::Arc,
};
use core::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

/// Watches a channel from any thread, as often and from as many threads as you like.
///
/// Holds neither end: it keeps no item alive, does not keep the stream from ending, and can be kept
/// after both ends are gone. Everything it says is a snapshot that may be old by the time it is read.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = highwater::channel(4);
/// let monitor = producer.monitor();
/// for i in 0..3 {
///     producer.write(i)?;
/// }
/// let watched = std::thread::spawn(move || (monitor.len(), monitor.stats().items_written));
/// assert_eq!(watched.join().unwrap(), (3, 3));
/// # drop(consumer.try_read());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
}

/// Where a channel stands in its life.
///
/// # Examples
///
/// ```
/// use highwater::State;
///
/// let (mut producer, mut consumer) = highwater::channel(4);
/// let monitor = producer.monitor();
/// producer.write("an item")?;
/// assert_eq!(monitor.state(), State::Open);
/// producer.end();
/// assert_eq!(monitor.state(), State::Ended); // the item is still there
/// consumer.read()?;
/// assert_eq!(monitor.state(), State::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Both ends are at work.
    Open,
    /// The consumer takes no more items, and reads what is buffered.
    Closed,
    /// The producer has ended the stream; not everything has been consumed yet.
    Ended,
    /// The producer has ended the stream, or the consumer has closed it, and everything was consumed.
    Finished,
    /// The producer was dropped without ending the stream. Stays so when everything was consumed.
    Abandoned,
    /// The producer has aborted.
    Aborted,
    /// The consumer has cancelled, or was dropped, before everything was consumed.
    Cancelled,
}

/// What has happened in a channel so far. Numbers wrap with `usize`.
///
/// Whoever sees an item counted as written (or read) also sees what the producer (or consumer) did
/// before that.
///
/// # Examples
///
/// ```
/// use highwater::Flow;
///
/// let (mut producer, mut consumer) = highwater::channel(2); // low-water mark: 1
/// while producer.try_write("item")? == Flow::Ready {}
/// consumer.read()?;
/// assert!(!producer.need_drain()); // finds the drain
///
/// let stats = consumer.monitor().stats();
/// assert_eq!((stats.items_written, stats.items_read, stats.peak_len), (2, 1, 2));
/// assert_eq!((stats.times_told_to_stop, stats.drains), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Items written.
    pub items_written: usize,
    /// Items read. Those that an end left behind as it died do not count.
    pub items_read: usize,
    /// Weight written; where items are counted, their number.
    pub weight_written: usize,
    /// Weight read; where items are counted, their number.
    pub weight_read: usize,
    /// How often the producer was told to stop: each time that *need drain* began, also within a
    /// blocking write.
    pub times_told_to_stop: usize,
    /// How often *need drain* ended by a drain. At most `times_told_to_stop`; there is none for a stop
    /// that a cancel ended, or a write that gave up.
    pub drains: usize,
    /// The greatest length, in items or weight, that either end, or this call, has seen. Never more than there was, and not
    /// much less: the ends do not look at each other for every item, so that a peak which the consumer
    /// cut down at once may have gone by unseen.
    pub peak_len: usize,
    /// How often the producer, or its `Finish`, began to wait: asleep, as a pending task (not one that is to be
    /// polled a second time at once), or by a descriptor or a callback. A wait that looks again by itself counts each time.
    pub producer_parks: usize,
    /// How often the consumer's doings woke it.
    pub producer_wake_ups: usize,
    /// How often the consumer began to wait, in the same sense.
    pub consumer_parks: usize,
    /// How often the producer's doings woke it.
    pub consumer_wake_ups: usize,
}

impl Monitor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Stops both ends, as a cancelled pipe does. For models.
    #[cfg(all(loom, feature = "loom"))]
    #[doc(hidden)]
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// What is buffered now, in items or weight; 0 after an abort or a cancel.
    ///
    /// Exact at some moment of the call. Only if both ends are so busy that no moment can be caught it
    /// is an estimate, from 0 to the capacity (or limit).
    ///
    /// ```
    /// use highwater::Builder;
    /// let (mut producer, _consumer) = Builder::new().high_water_mark(4).capacity(6).build()?;
    /// let monitor = producer.monitor();
    /// for i in 0..5 {
    ///     let _ = producer.try_write(i)?; // ignores the signal
    /// }
    /// assert_eq!(monitor.len(), 5);
    /// assert_eq!((monitor.low_water_mark(), monitor.high_water_mark(), monitor.capacity()), (2, 4, 6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether nothing is buffered. A channel with items of weight 0 is not empty to its consumer,
    /// but has a length of 0.
    ///
    /// ```
    /// use highwater::{Builder, Bytes};
    /// let (mut producer, mut consumer) = Builder::new().weigh_by(Bytes).build::<&str>()?;
    /// producer.write("")?;
    /// assert!(consumer.monitor().is_empty());
    /// assert_eq!(consumer.read()?, "");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length from which a write says stop, in items or weight. The producer can change it.
    ///
    /// ```
    /// let (mut producer, consumer) = highwater::channel::<u8>(8);
    /// let monitor = consumer.monitor();
    /// producer.set_high_water_mark(4)?;
    /// assert_eq!((monitor.high_water_mark(), monitor.low_water_mark()), (4, 2)); // half of it, as nobody chose
    /// # Ok::<(), highwater::MarkError>(())
    /// ```
    pub fn high_water_mark(&self) -> usize {
        self.shared.accounting.high()
    }

    /// The length at which a drain happens, in items or weight. The producer can change it.
    pub fn low_water_mark(&self) -> usize {
        self.shared.accounting.low()
    }

    /// The number of slots.
    pub fn capacity(&self) -> usize {
        self.shared.accounting.capacity
    }

    /// Where the channel stands.
    ///
    /// ```
    /// use highwater::State;
    /// let (mut producer, consumer) = highwater::channel(4);
    /// let monitor = producer.monitor();
    /// producer.write("unread")?;
    /// drop(producer);
    /// assert_eq!(monitor.state(), State::Abandoned);
    /// drop(consumer); // with what was left in it
    /// assert_eq!(monitor.state(), State::Cancelled);
    /// # Ok::<(), highwater::WriteError<&str>>(())
    /// ```
    pub fn state(&self) -> State {
        let (shared, accounting) = (&*self.shared, &*self.shared.accounting);
        // In this order: an end that is not open any more has moved its index for the last time.
        let producer = shared.producer_state();
        let (gone, closed) = (shared.is_gone(), shared.is_closed());
        let all_read = accounting.items_read() == accounting.items_written();
        match producer {
            ProducerState::Aborted => State::Aborted,
            ProducerState::Ended if all_read => State::Finished,
            // A write may be under way: whether that was all shows when the producer has noticed.
            ProducerState::Open if closed && (all_read || !gone) => State::Closed,
            _ if closed && all_read => State::Finished,
            ProducerState::Abandoned if all_read => State::Abandoned,
            _ if gone => State::Cancelled,
            ProducerState::Ended => State::Ended,
            _ if closed => State::Closed,
            ProducerState::Abandoned => State::Abandoned,
            ProducerState::Open | ProducerState::Told => State::Open,
        }
    }

    /// The counters. Each is exact at some moment of the call, but not all at the same one.
    ///
    /// ```
    /// use highwater::{Builder, Bytes};
    /// let (mut producer, mut consumer) = Builder::new().weigh_by(Bytes).build::<&str>()?;
    /// producer.write("four")?;
    /// producer.write("seventy")?;
    /// consumer.read()?;
    /// let stats = producer.monitor().stats();
    /// assert_eq!((stats.items_written, stats.weight_written), (2, 11));
    /// assert_eq!((stats.items_read, stats.weight_read), (1, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        let accounting = &shared.accounting;
        // Read before written: then no snapshot has read more than was written.
        let items_read = accounting.items_read();
        let weight_read = accounting.weight_read();
        let drains = accounting.drains();
        Stats {
            items_read,
            items_written: accounting.items_written(),
            weight_read,
            weight_written: accounting.weight_written(),
            drains,
            times_told_to_stop: accounting.told_to_stop(),
            peak_len: accounting.peak().max(shared.exact_len().unwrap_or(0)),
            producer_parks: shared.writable.parks(),
            producer_wake_ups: shared.writable.wake_ups(),
            consumer_parks: shared.readable.parks(),
            consumer_wake_ups: shared.readable.wake_ups(),
        }
    }
}

// It reads counters, each of which is right by itself whatever panicked elsewhere.
impl UnwindSafe for Monitor {}
impl RefUnwindSafe for Monitor {}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("state", &self.state())
            .field("len", &self.len())
            .field("high_water_mark", &self.high_water_mark())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
