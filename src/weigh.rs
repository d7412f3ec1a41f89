//! What an item counts: one, its bytes, or any function of it.
#![forbid(unsafe_code)]

/// Says how much an item adds to the [length](crate#words) of a channel.
///
/// The weight is measured once, in the producer's thread, as the item is written; the same number is
/// subtracted when the item is read, even if the item would weigh something else by then. A
/// weight of more than [`isize::MAX`] counts as `isize::MAX`. A weight of 0 is legal: such an item
/// takes a slot and nothing else.
///
/// Any `Fn(&T) -> usize` is a `Weigh<T>`. If it panics the item is dropped with the panic, and the
/// channel is as if the write had never been tried.
///
/// # Examples
///
/// ```
/// use highwater::{Builder, Flow};
///
/// struct Frame { pixels: u32 }
///
/// let (mut producer, _consumer) = Builder::new()
///     .weigh_by(|frame: &Frame| frame.pixels as usize)
///     .high_water_mark(1_000_000)
///     .build::<Frame>()?;
///
/// assert_eq!(producer.try_write(Frame { pixels: 640_000 })?, Flow::Ready);
/// assert_eq!(producer.try_write(Frame { pixels: 640_000 })?, Flow::Backpressure);
/// assert_eq!(producer.len(), 1_280_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Weigh<T: ?Sized> {
    /// The weight of `item`.
    ///
    /// ```
    /// use highwater::{Bytes, Items, Weigh};
    /// assert_eq!(Items.weigh("four"), 1);
    /// assert_eq!(Bytes.weigh("four"), 4);
    /// assert_eq!((|text: &str| text.lines().count()).weigh("two\nlines"), 2);
    /// ```
    fn weigh(&self, item: &T) -> usize;

    /// Whether each item counts 1, so that nothing has to be weighed. Only [`Items`] says so: the type
    /// cannot be named elsewhere.
    #[doc(hidden)]
    const COUNTS_ITEMS: sealed::CountsItems = sealed::CountsItems::NO;
}

mod sealed {
    /// Decides whether a ring has weights: memory safety hangs on it.
    ///
    /// So nobody else can say it of a weight of their own:
    ///
    /// ```compile_fail
    /// struct Liar;
    ///
    /// impl highwater::Weigh<u8> for Liar {
    ///     fn weigh(&self, _item: &u8) -> usize {
    ///         7
    ///     }
    ///
    ///     const COUNTS_ITEMS: highwater::CountsItems = <highwater::Items as highwater::Weigh<u8>>::COUNTS_ITEMS;
    /// }
    /// ```
    #[derive(Clone, Copy, Debug)]
    pub struct CountsItems(bool);

    impl CountsItems {
        pub(crate) const YES: Self = Self(true);
        pub(crate) const NO: Self = Self(false);

        pub(crate) const fn get(self) -> bool {
            self.0
        }
    }
}

impl<T: ?Sized, F: Fn(&T) -> usize> Weigh<T> for F {
    fn weigh(&self, item: &T) -> usize {
        self(item)
    }
}

/// Counts items: each weighs 1. The default, and free: the two indices are the count.
///
/// # Examples
///
/// ```
/// use highwater::{Builder, Items};
///
/// let (mut producer, _consumer) = Builder::new().weigh_by(Items).build::<Vec<u8>>()?;
/// let _ = producer.try_write(vec![0; 1500])?;
/// assert_eq!(producer.len(), 1);
/// assert_eq!(producer.high_water_mark(), 16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Items;

impl<T: ?Sized> Weigh<T> for Items {
    fn weigh(&self, _item: &T) -> usize {
        1
    }

    const COUNTS_ITEMS: sealed::CountsItems = sealed::CountsItems::YES;
}

/// Counts bytes: the length of a `Vec<u8>`, a `String`, a `&[u8]`, or whatever else is
/// [`AsRef<[u8]>`](AsRef).
///
/// # Examples
///
/// ```
/// use highwater::{Builder, Bytes};
///
/// let (mut producer, _consumer) = Builder::new().weigh_by(Bytes).build::<Vec<u8>>()?;
/// let _ = producer.try_write(vec![0; 1500])?;
/// assert_eq!(producer.len(), 1500);
/// assert_eq!(producer.high_water_mark(), 65_536);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes;

impl<T: AsRef<[u8]> + ?Sized> Weigh<T> for Bytes {
    fn weigh(&self, item: &T) -> usize {
        item.as_ref().len()
    }
}
