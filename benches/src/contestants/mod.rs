//! highwater and its peers, each behind the same few traits.

pub mod blocking;
pub mod limit;
pub mod polling;
pub mod raw;
pub mod slices;
pub mod tasks;

use std::hint::spin_loop;

/// Everything that takes part, by the name of its package.
pub const PACKAGES: &[&str] = &[
    "highwater",
    "async-channel",
    "crossbeam-channel",
    "crossbeam-queue",
    "crossfire",
    "flume",
    "fq",
    "futures",
    "gil",
    "heapless",
    "kanal",
    "nexus-channel",
    "omango",
    "piper",
    "ringbuf",
    "rtrb",
    "thingbuf",
    "tokio",
];

/// Who should take part and cannot, and why.
pub const ABSENT: &[(&str, &str)] = &[];

/// What is sent: something that knows its number.
pub trait Item: Copy + Default + Send + Sync + Unpin + 'static {
    fn numbered(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    #[inline(always)]
    fn numbered(number: u64) -> Self {
        number
    }

    #[inline(always)]
    fn number(&self) -> u64 {
        *self
    }
}

/// Sends items; waits, in its own way, when there is no room.
pub trait Send1<T>: Send {
    fn send(&mut self, item: T);
}

/// Receives items; waits, in its own way, when there is none.
pub trait Receive1<T>: Send {
    fn receive(&mut self) -> T;

    /// Looks at the item where the contestant has put it. To take a large one out of an `Option` or a `Result` would move it
    /// once more, which is no part of what is measured.
    #[inline(always)]
    fn receive_and<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.receive())
    }
}

/// A way to make a pair of ends.
pub trait Channel: 'static {
    const NAME: &'static str;
    type Sender<T: Item>: Send1<T> + 'static;
    type Receiver<T: Item>: Receive1<T> + 'static;

    fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
}

/// Sends if there is room.
pub trait TrySend<T>: Send {
    fn try_send(&mut self, item: T) -> Result<(), T>;
}

/// Receives if there is an item.
pub trait TryReceive<T>: Send {
    fn try_receive(&mut self) -> impl Answer<T>;
}

/// An item or none, as the contestant says it.
pub trait Answer<T> {
    fn item(&self) -> Option<&T>;
    fn into_item(self) -> Option<T>;
}

impl<T> Answer<T> for Option<T> {
    #[inline(always)]
    fn item(&self) -> Option<&T> {
        self.as_ref()
    }

    #[inline(always)]
    fn into_item(self) -> Option<T> {
        self
    }
}

impl<T, E> Answer<T> for Result<T, E> {
    #[inline(always)]
    fn item(&self) -> Option<&T> {
        self.as_ref().ok()
    }

    #[inline(always)]
    fn into_item(self) -> Option<T> {
        self.ok()
    }
}

/// An end that is asked again and again.
pub struct Polling<E>(pub E);

impl<T, E: TrySend<T>> Send1<T> for Polling<E> {
    #[inline(always)]
    fn send(&mut self, mut item: T) {
        while let Err(refused) = self.0.try_send(item) {
            item = refused;
            spin_loop();
        }
    }
}

impl<T, E: TryReceive<T>> Receive1<T> for Polling<E> {
    #[inline(always)]
    fn receive(&mut self) -> T {
        loop {
            if let Some(item) = self.0.try_receive().into_item() {
                return item;
            }
            spin_loop();
        }
    }

    #[inline(always)]
    fn receive_and<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        loop {
            if let Some(item) = self.0.try_receive().item() {
                return look(item);
            }
            spin_loop();
        }
    }
}
