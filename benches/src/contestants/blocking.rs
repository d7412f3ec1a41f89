//! Channels whose ends sleep when they have to wait.

use super::{Channel, Item, Receive1, Send1};
use highwater::Builder;
use std::{num::NonZeroUsize, sync::mpsc};

pub struct Highwater;

impl Channel for Highwater {
    const NAME: &'static str = "highwater";
    type Sender<T: Item> = highwater::Producer<T>;
    type Receiver<T: Item> = highwater::Consumer<T>;

    fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        highwater::channel(capacity)
    }
}

pub struct HighwaterFullFences;

impl Channel for HighwaterFullFences {
    const NAME: &'static str = "highwater (full fences)";
    type Sender<T: Item> = highwater::Producer<T>;
    type Receiver<T: Item> = highwater::Consumer<T>;

    fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        Builder::new()
            .high_water_mark(capacity)
            .full_fences(true)
            .build()
            .expect("a capacity that fits into memory")
    }
}

macro_rules! blocking_channel {
    ($name:ident, $said:literal, $sender:ty, $receiver:ty, $new:expr) => {
        pub struct $name;

        impl Channel for $name {
            const NAME: &'static str = $said;
            type Sender<T: Item> = $sender;
            type Receiver<T: Item> = $receiver;

            fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $new(capacity)
            }
        }
    };
}

macro_rules! blocking_ends {
    ($sender:ty, |$to:ident, $item:ident| $send:expr, $receiver:ty, |$from:ident| $receive:expr) => {
        impl<T: Item> Send1<T> for $sender {
            #[inline(always)]
            fn send(&mut self, $item: T) {
                let $to = self;
                $send.expect("the receiver is there");
            }
        }

        impl<T: Item> Receive1<T> for $receiver {
            #[inline(always)]
            fn receive(&mut self) -> T {
                let $from = self;
                $receive.expect("the sender is there")
            }

            #[inline(always)]
            fn receive_and<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
                let $from = self;
                look($receive.as_ref().expect("the sender is there"))
            }
        }
    };
}

blocking_ends!(
    highwater::Producer<T>,
    |to, item| to.write(item),
    highwater::Consumer<T>,
    |from| from.read()
);

blocking_channel!(
    Std,
    "std (sync_channel)",
    mpsc::SyncSender<T>,
    mpsc::Receiver<T>,
    mpsc::sync_channel
);
blocking_ends!(
    mpsc::SyncSender<T>,
    |to, item| mpsc::SyncSender::send(to, item),
    mpsc::Receiver<T>,
    |from| from.recv()
);

blocking_channel!(
    Crossbeam,
    "crossbeam-channel",
    crossbeam_channel::Sender<T>,
    crossbeam_channel::Receiver<T>,
    crossbeam_channel::bounded
);
blocking_ends!(
    crossbeam_channel::Sender<T>,
    |to, item| crossbeam_channel::Sender::send(to, item),
    crossbeam_channel::Receiver<T>,
    |from| from.recv()
);

blocking_channel!(
    Flume,
    "flume",
    flume::Sender<T>,
    flume::Receiver<T>,
    flume::bounded
);
blocking_ends!(
    flume::Sender<T>,
    |to, item| flume::Sender::send(to, item),
    flume::Receiver<T>,
    |from| from.recv()
);

blocking_channel!(
    Kanal,
    "kanal",
    kanal::Sender<T>,
    kanal::Receiver<T>,
    kanal::bounded
);
blocking_ends!(
    kanal::Sender<T>,
    |to, item| kanal::Sender::send(to, item),
    kanal::Receiver<T>,
    |from| from.recv()
);

blocking_channel!(
    Thingbuf,
    "thingbuf",
    thingbuf::mpsc::blocking::Sender<T>,
    thingbuf::mpsc::blocking::Receiver<T>,
    thingbuf::mpsc::blocking::channel
);
blocking_ends!(
    thingbuf::mpsc::blocking::Sender<T>,
    |to, item| thingbuf::mpsc::blocking::Sender::send(to, item).ok(),
    thingbuf::mpsc::blocking::Receiver<T>,
    |from| from.recv()
);

blocking_channel!(
    AsyncChannel,
    "async-channel (send_blocking)",
    async_channel::Sender<T>,
    async_channel::Receiver<T>,
    async_channel::bounded
);
blocking_ends!(
    async_channel::Sender<T>,
    |to, item| to.send_blocking(item).ok(),
    async_channel::Receiver<T>,
    |from| from.recv_blocking()
);

blocking_channel!(
    Tokio,
    "tokio mpsc (blocking_send)",
    tokio::sync::mpsc::Sender<T>,
    tokio::sync::mpsc::Receiver<T>,
    tokio::sync::mpsc::channel
);
blocking_ends!(
    tokio::sync::mpsc::Sender<T>,
    |to, item| to.blocking_send(item).ok(),
    tokio::sync::mpsc::Receiver<T>,
    |from| from.blocking_recv()
);

blocking_channel!(
    Omango,
    "omango",
    omango::queue::spsc::BSender<T>,
    omango::queue::spsc::BReceiver<T>,
    |capacity| omango::queue::spsc::bounded(capacity as u32)
);
blocking_ends!(
    omango::queue::spsc::BSender<T>,
    |to, item| omango::queue::spsc::BSender::send(to, item).ok(),
    omango::queue::spsc::BReceiver<T>,
    |from| from.recv().ok()
);

blocking_channel!(
    Gil,
    "gil (parking)",
    gil::spsc::parking::Sender<T>,
    gil::spsc::parking::Receiver<T>,
    |capacity| gil::spsc::parking::channel(NonZeroUsize::new(capacity).expect("a capacity"))
);
blocking_ends!(
    gil::spsc::parking::Sender<T>,
    |to, item| {
        gil::spsc::parking::Sender::send(to, item);
        Some(())
    },
    gil::spsc::parking::Receiver<T>,
    |from| Some(from.recv())
);

blocking_channel!(
    Nexus,
    "nexus-channel",
    nexus_channel::Sender<T>,
    nexus_channel::Receiver<T>,
    nexus_channel::channel
);
blocking_ends!(
    nexus_channel::Sender<T>,
    |to, item| nexus_channel::Sender::send(to, item).ok(),
    nexus_channel::Receiver<T>,
    |from| from.recv()
);

blocking_channel!(
    Crossfire,
    "crossfire",
    crossfire::Tx<crossfire::spsc::Array<T>>,
    crossfire::Rx<crossfire::spsc::Array<T>>,
    |capacity| {
        crossfire::detect_backoff_cfg(); // as its documentation advises
        crossfire::spsc::bounded_blocking(capacity)
    }
);
blocking_ends!(
    crossfire::Tx<crossfire::spsc::Array<T>>,
    |to, item| crossfire::Tx::send(to, item).ok(),
    crossfire::Rx<crossfire::spsc::Array<T>>,
    |from| from.recv()
);
