//! Capacity, marks and weight in; the two ends out.
#![forbid(unsafe_code)]

use crate::{
    consumer::Consumer,
    error::BuildError,
    interval::FenceInterval,
    producer::Producer,
    ring::{self, Marks, Most, MAX_LENGTH},
    shared::Shared,
    sync::Arc,
    wait::{pace::Pace, Fences},
    weigh::{Items, Weigh},
};

/// Items at which a channel says stop if nobody chose the mark, as in Node's object mode.
const DEFAULT_HIGH_WATER_MARK: usize = 16;
/// The same for weighted channels, where weights are mostly bytes.
const DEFAULT_HIGH_WATER_WEIGHT: usize = 64 * 1024;
/// The slots of a weighted channel: its items may average down to 64 bytes before the slots, and
/// not the mark, say stop.
const DEFAULT_WEIGHTED_CAPACITY: usize = 1024;

/// Makes a channel that counts items and says stop at `high_water_mark` of them.
///
/// The low-water mark is half of it, the capacity as much but at least 1. For anything else there
/// is the [`Builder`].
///
/// # Panics
///
/// If there is no memory for that many slots, or if they are more than a quarter of what an index can count, whatever the size of an item.
/// [`Builder::build`] returns an error instead.
///
/// # Examples
///
/// ```
/// use highwater::Flow;
///
/// let (mut producer, mut consumer) = highwater::channel::<&str>(2);
/// assert_eq!(producer.try_write("one")?, Flow::Ready);
/// assert_eq!(producer.try_write("two")?, Flow::Backpressure); // accepted, and: stop
/// assert_eq!(consumer.try_read()?, "one");
/// assert!(!producer.need_drain()); // at the low-water mark: go on
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<T>(high_water_mark: usize) -> (Producer<T>, Consumer<T>) {
    Builder::new()
        .high_water_mark(high_water_mark)
        .build()
        .unwrap_or_else(|error| panic!("{}", error))
}

/// Makes a channel with marks, capacity and weight of your choice.
///
/// | | counts items | weighs items |
/// |---|---|---|
/// | high-water mark | 16, or the capacity if that is less | 65,536, or the limit if that is less |
/// | low-water mark | half of the high-water mark | half of the high-water mark |
/// | capacity (slots) | the high-water mark, but at least 1 | 1024 |
/// | limit | (the capacity) | none |
///
/// # Examples
///
/// ```
/// use highwater::{Builder, Bytes};
///
/// // Says stop at 1 MiB, goes on at 256 KiB, takes up to 4096 messages and 2 MiB.
/// let (producer, consumer) = Builder::new()
///     .weigh_by(Bytes)
///     .high_water_mark(1024 * 1024)
///     .low_water_mark(256 * 1024)
///     .capacity(4096)
///     .limit(2 * 1024 * 1024)
///     .build::<Vec<u8>>()?;
/// assert_eq!(producer.capacity(), 4096);
/// # Ok::<(), highwater::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a Builder does nothing until `build`"]
pub struct Builder<W = Items> {
    high_water_mark: Option<usize>,
    low_water_mark: Option<usize>,
    capacity: Option<usize>,
    limit: Option<usize>,
    weigh: W,
    fences: Fences,
    adaptive_pause: bool,
    first_index: usize,
    fence_interval: Option<usize>,
}

impl Builder {
    /// A builder with the defaults, which counts items.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Builder;
    ///
    /// let (producer, _consumer) = Builder::new().build::<u64>()?;
    /// assert_eq!((producer.high_water_mark(), producer.low_water_mark()), (16, 8));
    /// # Ok::<(), highwater::BuildError>(())
    /// ```
    pub fn new() -> Self {
        Self {
            high_water_mark: None,
            low_water_mark: None,
            capacity: None,
            limit: None,
            weigh: Items,
            fences: Fences::Asymmetric,
            adaptive_pause: true,
            first_index: 0,
            fence_interval: None,
        }
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl<W> Builder<W> {
    /// The length from which a write says stop, in items or weight. With 0 every write that weighs
    /// anything does.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Builder, Flow};
    ///
    /// let (mut producer, _consumer) = Builder::new().high_water_mark(2).capacity(8).build()?;
    /// assert_eq!(producer.try_write(1)?, Flow::Ready);
    /// assert_eq!(producer.try_write(2)?, Flow::Backpressure); // at the mark
    /// assert_eq!(producer.try_write(3)?, Flow::Backpressure); // above it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn high_water_mark(mut self, mark: usize) -> Self {
        self.high_water_mark = Some(mark);
        self
    }

    /// The length at which a producer that was told to stop may go on, in items or weight. 0 is
    /// Node's rule: only when all was consumed.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Builder;
    ///
    /// let (mut producer, mut consumer) = Builder::new().high_water_mark(2).low_water_mark(0).build()?;
    /// producer.write_all(&[1, 2])?;
    /// consumer.try_read()?;
    /// assert!(producer.need_drain()); // one is left
    /// consumer.try_read()?;
    /// assert!(!producer.need_drain());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn low_water_mark(mut self, mark: usize) -> Self {
        self.low_water_mark = Some(mark);
        self
    }

    /// The number of slots, and so of items that can be buffered at most. Exact; the memory taken
    /// is that of the next power of two.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Builder, TryWriteError};
    ///
    /// let (mut producer, _consumer) = Builder::new().high_water_mark(1).capacity(2).build()?;
    /// let _ = producer.try_write(1)?; // says stop
    /// let _ = producer.try_write(2)?; // what lies above the mark is headroom
    /// assert_eq!(producer.try_write(3), Err(TryWriteError::WouldBlock(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, slots: usize) -> Self {
        self.capacity = Some(slots);
        self
    }

    /// Counts what `weigh` says instead of items: [`Bytes`](crate::Bytes), or a function of the item.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Builder, Flow};
    ///
    /// let (mut producer, _consumer) = Builder::new()
    ///     .weigh_by(|line: &String| line.len())
    ///     .high_water_mark(10)
    ///     .build()?;
    /// assert_eq!(producer.try_write("four".to_string())?, Flow::Ready);
    /// assert_eq!(producer.try_write("sixsix".to_string())?, Flow::Backpressure);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weigh_by<V>(self, weigh: V) -> Builder<V> {
        Builder {
            high_water_mark: self.high_water_mark,
            low_water_mark: self.low_water_mark,
            capacity: self.capacity,
            limit: self.limit,
            weigh,
            fences: self.fences,
            adaptive_pause: self.adaptive_pause,
            first_index: self.first_index,
            fence_interval: self.fence_interval,
        }
    }

    /// The hard limit of a weighted channel, beside its slots: an item that would take the length
    /// past it is refused as `WouldBlock`, except into an empty channel, so that one that is larger
    /// than the limit can still go through.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{Builder, Bytes, TryWriteError};
    ///
    /// let (mut producer, _consumer) = Builder::new()
    ///     .weigh_by(Bytes)
    ///     .high_water_mark(4)
    ///     .limit(8)
    ///     .build::<Vec<u8>>()?;
    /// let _ = producer.try_write(vec![0; 20])?; // larger than the limit, but the channel was empty
    /// assert!(matches!(producer.try_write(vec![0]), Err(TryWriteError::WouldBlock(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limit(mut self, weight: usize) -> Self {
        self.limit = Some(weight);
        self
    }

    /// Whether this channel uses a full fence at each read and write, instead of a call to
    /// `membarrier(2)` when an end is about to sleep. For all channels of the process, and why:
    /// [`barrier::use_fences`](crate::barrier::use_fences).
    ///
    /// A channel whose ends sleep after almost every item may be faster this way.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{barrier, Builder};
    /// use std::time::Duration;
    ///
    /// let (_producer, mut consumer) = Builder::new().full_fences(true).build::<u8>()?;
    /// assert!(consumer.read_timeout(Duration::from_millis(1)).is_err()); // slept, without the call
    /// assert_eq!(barrier::mode(), barrier::Mode::Undecided);
    /// # Ok::<(), highwater::BuildError>(())
    /// ```
    #[cfg(feature = "std")]
    pub fn full_fences(mut self, always: bool) -> Self {
        self.fences = if always {
            Fences::Full
        } else {
            Fences::Asymmetric
        };
        self
    }

    /// Whether the consumer may pause for a moment before it looks for more, while items come so fast that it
    /// would otherwise run right behind the producer, which slows both down. On by default: it is what keeps a
    /// channel fast whichever side is ahead.
    ///
    /// The pause adapts, to none at all while items come slowly, and is at most 128 spin-loop hints: 1.4
    /// microseconds on a recent AMD processor, 5 on an Intel one of the Skylake family. A single hint passes also
    /// before each look behind one that has found several items. For a hard real-time consumer, switch them off by `false`.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Builder;
    ///
    /// let (mut producer, mut consumer) = Builder::new().adaptive_pause(false).build()?;
    /// producer.write("tick")?;
    /// assert_eq!(consumer.try_read()?, "tick");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn adaptive_pause(mut self, allowed: bool) -> Self {
        self.adaptive_pause = allowed;
        self
    }

    /// As if the kernel refused the heavy barrier, for models.
    #[cfg(all(loom, feature = "loom"))]
    #[doc(hidden)]
    pub fn refused_barrier(mut self) -> Self {
        self.fences = Fences::Refused;
        self
    }

    /// With how many items between two that the consumer gives back with a full fence, rounded down to a power of two;
    /// for models, whose rings are too small to have any. Only where items are counted.
    #[doc(hidden)]
    pub fn fence_interval(mut self, items: usize) -> Self {
        self.fence_interval = Some(items);
        self
    }

    /// Where the indices begin, for tests of their wrap-around.
    #[doc(hidden)]
    pub fn first_index(mut self, index: usize) -> Self {
        self.first_index = index;
        self
    }

    /// None where items have a weight: their fast path would have to ask before each publication.
    fn interval<T>(&self, marks: Marks) -> FenceInterval
    where
        W: Weigh<T>,
    {
        match self.fence_interval {
            _ if !W::COUNTS_ITEMS.get() => FenceInterval::NEVER,
            Some(items) => FenceInterval::of(items),
            None => FenceInterval::between(marks),
        }
    }

    /// Makes the channel.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with the numbers, if they contradict each other, or if there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::{BuildError, Builder};
    ///
    /// let too_small = Builder::new().high_water_mark(100).capacity(10).build::<u8>();
    /// assert!(matches!(too_small, Err(BuildError::Marks(_))));
    /// ```
    #[allow(clippy::type_complexity)] // a pair of ends needs no name of its own
    pub fn build<T>(self) -> Result<(Producer<T, W>, Consumer<T, W>), BuildError>
    where
        W: Weigh<T>,
    {
        let (capacity, most, default_high) = if W::COUNTS_ITEMS.get() {
            if let Some(limit) = self.limit {
                return Err(BuildError::LimitWithoutWeight { limit });
            }
            let high = self.high_water_mark.unwrap_or(DEFAULT_HIGH_WATER_MARK);
            let capacity = self.capacity.unwrap_or_else(|| high.max(1));
            let default_high = DEFAULT_HIGH_WATER_MARK.min(capacity);
            (capacity, Most::Slots(capacity), default_high)
        } else {
            let limit = self.limit.unwrap_or(MAX_LENGTH).min(MAX_LENGTH);
            let capacity = self.capacity.unwrap_or(DEFAULT_WEIGHTED_CAPACITY);
            let default_high = DEFAULT_HIGH_WATER_WEIGHT.min(limit);
            (capacity, Most::Limit(limit), default_high)
        };
        if capacity == 0 {
            return Err(BuildError::ZeroCapacity);
        }
        let high = self.high_water_mark.unwrap_or(default_high);
        let marks = Marks::new(high, self.low_water_mark, most)?;

        let interval = self.interval::<T>(marks);
        let (write, read) = ring::cursor::ring(
            capacity,
            marks,
            most,
            self.weigh,
            self.first_index,
            interval,
        )?;
        #[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
        let fences = if crate::wait::barrier::is_fence() {
            Fences::Full
        } else {
            self.fences
        };
        #[cfg(not(all(feature = "std", not(all(loom, feature = "loom")))))]
        let fences = self.fences;
        let shared = Arc::new(Shared::new(
            write.accounting().clone(),
            self.first_index,
            fences,
            interval,
        ));
        let pace = if self.adaptive_pause {
            let most = if W::COUNTS_ITEMS.get() {
                marks.high().min(capacity)
            } else {
                capacity
            };
            Pace::new(most, core::mem::size_of::<T>())
        } else {
            Pace::off()
        };
        Ok((
            Producer::new(write, shared.clone()),
            Consumer::new(read, shared, pace),
        ))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::weigh::Bytes;

    #[test]
    fn the_consumer_passes_fences_where_items_are_counted_and_nowhere_else() {
        let marks = Marks::new(1024, None, Most::Slots(1024)).expect("legal marks");
        let counted = Builder::new();
        assert_eq!(counted.interval::<u8>(marks), FenceInterval::of(256));
        let asked = Builder::new().fence_interval(2);
        assert_eq!(asked.interval::<u8>(marks), FenceInterval::of(2));
        for weighted in [Builder::new(), Builder::new().fence_interval(2)] {
            let weighted = weighted.weigh_by(Bytes);
            assert_eq!(weighted.interval::<&[u8]>(marks), FenceInterval::NEVER);
        }
    }
}
