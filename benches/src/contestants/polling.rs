//! Queues that never sleep: who finds no room, or no item, has to ask again.

use super::{Answer, Channel, Item, Polling, Send1, TryReceive, TrySend};
use highwater::{Flow, TryWriteError};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use std::{hint::spin_loop, num::NonZeroUsize, sync::Arc};

pub struct Highwater;

impl Channel for Highwater {
    const NAME: &'static str = "highwater";
    type Sender<T: Item> = Obedient<T>;
    type Receiver<T: Item> = Polling<highwater::Consumer<T>>;

    fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        let (producer, consumer) = highwater::channel(capacity);
        (Obedient(producer), Polling(consumer))
    }
}

/// A producer that stops when it is told to, and polls for the drain.
pub struct Obedient<T>(highwater::Producer<T>);

impl<T: Item> Send1<T> for Obedient<T> {
    #[inline(always)]
    fn send(&mut self, mut item: T) {
        loop {
            match self.0.try_write(item) {
                Ok(Flow::Ready) => return,
                Ok(Flow::Backpressure) => {
                    while self.0.need_drain() {
                        spin_loop();
                    }
                    return;
                }
                Err(TryWriteError::WouldBlock(refused)) => item = refused,
                Err(TryWriteError::Closed(_)) => panic!("the consumer is gone"),
            }
        }
    }
}

impl<T: Item> TryReceive<T> for highwater::Consumer<T> {
    #[inline(always)]
    fn try_receive(&mut self) -> impl Answer<T> {
        self.try_read()
    }
}

/// A queue whose ends are [`TrySend`] and [`TryReceive`].
macro_rules! polling_channel {
    ($name:ident, $said:literal, $sender:ty, $receiver:ty, $new:expr) => {
        pub struct $name;

        impl Channel for $name {
            const NAME: &'static str = $said;
            type Sender<T: Item> = Polling<$sender>;
            type Receiver<T: Item> = Polling<$receiver>;

            fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                let (sender, receiver) = $new(capacity);
                (Polling(sender), Polling(receiver))
            }
        }
    };
}

macro_rules! try_ends {
    ($sender:ty, |$to:ident, $item:ident| $send:expr, $receiver:ty, |$from:ident| $receive:expr) => {
        impl<T: Item> TrySend<T> for $sender {
            #[inline(always)]
            fn try_send(&mut self, $item: T) -> Result<(), T> {
                let $to = self;
                $send
            }
        }

        impl<T: Item> TryReceive<T> for $receiver {
            #[inline(always)]
            fn try_receive(&mut self) -> impl Answer<T> {
                let $from = self;
                $receive
            }
        }
    };
}

polling_channel!(
    Rtrb,
    "rtrb",
    rtrb::Producer<T>,
    rtrb::Consumer<T>,
    rtrb::RingBuffer::new
);
try_ends!(
    rtrb::Producer<T>,
    |to, item| to.push(item).map_err(|rtrb::PushError::Full(item)| item),
    rtrb::Consumer<T>,
    |from| from.pop()
);

polling_channel!(
    Ringbuf,
    "ringbuf",
    ringbuf::HeapProd<T>,
    ringbuf::HeapCons<T>,
    |capacity| ringbuf::HeapRb::new(capacity).split()
);
try_ends!(
    ringbuf::HeapProd<T>,
    |to, item| to.try_push(item),
    ringbuf::HeapCons<T>,
    |from| from.try_pop()
);

polling_channel!(
    Fq,
    "fq",
    fq::Producer<T>,
    fq::Consumer<T>,
    fq::FastQueue::new
);
try_ends!(
    fq::Producer<T>,
    |to, item| to.push(item),
    fq::Consumer<T>,
    |from| from.pop()
);

polling_channel!(
    Gil,
    "gil",
    gil::spsc::Sender<T>,
    gil::spsc::Receiver<T>,
    |capacity| gil::spsc::channel(NonZeroUsize::new(capacity).expect("a capacity"))
);
try_ends!(
    gil::spsc::Sender<T>,
    |to, item| to.try_send(item),
    gil::spsc::Receiver<T>,
    |from| from.try_recv()
);

polling_channel!(
    Nexus,
    "nexus-channel",
    nexus_channel::Sender<T>,
    nexus_channel::Receiver<T>,
    nexus_channel::channel
);
try_ends!(
    nexus_channel::Sender<T>,
    |to, item| nexus_channel::Sender::try_send(to, item).map_err(|error| error.into_inner()),
    nexus_channel::Receiver<T>,
    |from| from.try_recv()
);

polling_channel!(
    Omango,
    "omango",
    omango::queue::spsc::BSender<T>,
    omango::queue::spsc::BReceiver<T>,
    |capacity| omango::queue::spsc::bounded(capacity as u32)
);
try_ends!(
    omango::queue::spsc::BSender<T>,
    |to, item| omango::queue::spsc::BSender::try_send(to, item).map_err(|error| match error {
        omango::error::TrySendError::Full(item)
        | omango::error::TrySendError::Disconnected(item) => item,
    }),
    omango::queue::spsc::BReceiver<T>,
    |from| from.try_recv()
);

polling_channel!(
    ArrayQueue,
    "crossbeam-queue (ArrayQueue)",
    Arc<crossbeam_queue::ArrayQueue<T>>,
    Arc<crossbeam_queue::ArrayQueue<T>>,
    |capacity| {
        let queue = Arc::new(crossbeam_queue::ArrayQueue::new(capacity));
        (queue.clone(), queue)
    }
);
try_ends!(
    Arc<crossbeam_queue::ArrayQueue<T>>,
    |to, item| to.push(item),
    Arc<crossbeam_queue::ArrayQueue<T>>,
    |from| from.pop()
);

polling_channel!(
    Heapless,
    "heapless",
    heapless::spsc::Producer<'static, T>,
    heapless::spsc::Consumer<'static, T>,
    |capacity| {
        // It keeps one slot free.
        match capacity {
            64 => heapless_ends::<T, 65>(),
            1024 => heapless_ends::<T, 1025>(),
            65_536 => heapless_ends::<T, 65_537>(),
            _ => unimplemented!("a capacity of {capacity}: it is part of the type"),
        }
    }
);
try_ends!(
    heapless::spsc::Producer<'static, T>,
    |to, item| to.enqueue(item),
    heapless::spsc::Consumer<'static, T>,
    |from| from.dequeue()
);

fn heapless_ends<T: Item, const N: usize>() -> (
    heapless::spsc::Producer<'static, T>,
    heapless::spsc::Consumer<'static, T>,
) {
    Box::leak(Box::new(heapless::spsc::Queue::<T, N>::new())).split()
}
