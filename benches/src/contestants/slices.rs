//! Many items at a time, out of a slice and into one.

use super::limit;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use std::{hint::spin_loop, num::NonZeroUsize};

/// Sends the first items of a slice; none if there is no room.
pub trait TrySendSlice<T>: Send {
    fn try_send_slice(&mut self, items: &[T]) -> usize;

    /// Sends all, asking again and again.
    #[inline(always)]
    fn send_slice(&mut self, mut items: &[T]) {
        while !items.is_empty() {
            let sent = self.try_send_slice(items);
            items = &items[sent..];
            if sent == 0 {
                spin_loop();
            }
        }
    }
}

/// Receives what is there and fits into a slice.
pub trait TryReceiveSlice<T>: Send {
    fn try_receive_slice(&mut self, items: &mut [T]) -> usize;

    /// Fills the slice, asking again and again.
    #[inline(always)]
    fn receive_slice(&mut self, mut items: &mut [T]) {
        while !items.is_empty() {
            let received = self.try_receive_slice(items);
            items = &mut items[received..];
            if received == 0 {
                spin_loop();
            }
        }
    }
}

/// What can stand in a slice.
pub trait Element: Copy + Default + Send + Sync + 'static {}
impl<T: Copy + Default + Send + Sync + 'static> Element for T {}

/// A way to make a pair of ends.
pub trait SliceChannel {
    const NAME: &'static str;
    type Sender<T: Element>: TrySendSlice<T> + 'static;
    type Receiver<T: Element>: TryReceiveSlice<T> + 'static;

    fn new<T: Element>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
}

macro_rules! slice_channel {
    ($name:ident, $said:literal, $new:expr,
        $sender:ty, |$to:ident, $out:ident| $send:expr, $receiver:ty, |$from:ident, $into:ident| $receive:expr
    ) => {
        pub struct $name;

        impl SliceChannel for $name {
            const NAME: &'static str = $said;
            type Sender<T: Element> = $sender;
            type Receiver<T: Element> = $receiver;

            fn new<T: Element>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $new(capacity)
            }
        }

        impl<T: Element> TrySendSlice<T> for $sender {
            #[inline(always)]
            fn try_send_slice(&mut self, $out: &[T]) -> usize {
                let $to = self;
                $send
            }
        }

        impl<T: Element> TryReceiveSlice<T> for $receiver {
            #[inline(always)]
            fn try_receive_slice(&mut self, $into: &mut [T]) -> usize {
                let $from = self;
                $receive
            }
        }
    };
}

slice_channel!(
    Highwater,
    "highwater (slices)",
    highwater::channel,
    highwater::Producer<T>,
    |to, items| to.try_write_slice(items).unwrap_or(0),
    highwater::Consumer<T>,
    |from, items| from.try_read_slice(items).unwrap_or(0)
);

slice_channel!(
    Rtrb,
    "rtrb (slices)",
    rtrb::RingBuffer::new,
    rtrb::Producer<T>,
    |to, items| to.push_partial_slice(items).0.len(),
    rtrb::Consumer<T>,
    |from, items| from.pop_partial_slice(items).0.len()
);

slice_channel!(
    Ringbuf,
    "ringbuf (slices)",
    |capacity| ringbuf::HeapRb::new(capacity).split(),
    ringbuf::HeapProd<T>,
    |to, items| to.push_slice(items),
    ringbuf::HeapCons<T>,
    |from, items| from.pop_slice(items)
);

slice_channel!(
    Fq,
    "fq (slices)",
    fq::FastQueue::new,
    fq::Producer<T>,
    |to, items| to.push_slice(items),
    fq::Consumer<T>,
    |from, items| from.pop_slice(items)
);

slice_channel!(
    Gil,
    "gil (write_buffer, read_guard)",
    |capacity| gil::spsc::channel(NonZeroUsize::new(capacity).expect("a capacity")),
    gil::spsc::Sender<T>,
    |to, items| {
        let room = to.write_buffer();
        let count = room.len().min(items.len());
        room[..count].write_copy_of_slice(&items[..count]);
        // SAFETY: so many have been written.
        unsafe { to.commit(count) };
        count
    },
    gil::spsc::Receiver<T>,
    |from, items| from.read_guard().copy_into(items)
);

slice_channel!(
    Halves,
    "limit: memcpy, handed over by halves",
    limit::halves,
    limit::End<T>,
    |to, items| to.try_send_slice(items),
    limit::End<T>,
    |from, items| from.try_receive_slice(items)
);
