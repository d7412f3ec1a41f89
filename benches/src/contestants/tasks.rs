//! Channels between two tasks.

use crate::contestants::{blocking, Channel, Receive1, Send1};
use futures::StreamExt as _;
use std::future::Future;

/// Sends in a task.
pub trait TaskSend: Send {
    fn send(&mut self, item: u64) -> impl Future<Output = ()> + Send;
}

/// Receives in a task.
pub trait TaskReceive: Send {
    fn receive(&mut self) -> impl Future<Output = u64> + Send;
}

/// A way to make a pair of ends for two tasks.
pub trait TaskChannel {
    const NAME: &'static str;
    type Sender: TaskSend + 'static;
    type Receiver: TaskReceive + 'static;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver);
}

/// Between a task and a thread, either way.
pub trait MixedChannel: TaskChannel {
    type ThreadSender: Send1<u64> + 'static;
    type ThreadReceiver: Receive1<u64> + 'static;

    fn to_task(capacity: usize) -> (Self::ThreadSender, Self::Receiver);
    fn to_thread(capacity: usize) -> (Self::Sender, Self::ThreadReceiver);
}

macro_rules! task_channel {
    ($name:ident, $said:literal, $new:expr,
        $sender:ty, |$to:ident, $item:ident| $send:expr, $receiver:ty, |$from:ident| $receive:expr
    ) => {
        pub struct $name;

        impl TaskChannel for $name {
            const NAME: &'static str = $said;
            type Sender = $sender;
            type Receiver = $receiver;

            fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
                $new(capacity)
            }
        }

        impl TaskSend for $sender {
            #[inline(always)]
            async fn send(&mut self, $item: u64) {
                let $to = self;
                $send.await.expect("the receiver is there");
            }
        }

        impl TaskReceive for $receiver {
            #[inline(always)]
            async fn receive(&mut self) -> u64 {
                let $from = self;
                $receive.await.expect("the sender is there")
            }
        }
    };
}

/// The same ends serve tasks and threads.
macro_rules! mixed_channel {
    ($name:ident) => {
        impl MixedChannel for $name {
            type ThreadSender = <blocking::$name as Channel>::Sender<u64>;
            type ThreadReceiver = <blocking::$name as Channel>::Receiver<u64>;

            fn to_task(capacity: usize) -> (Self::ThreadSender, Self::Receiver) {
                Self::new(capacity)
            }

            fn to_thread(capacity: usize) -> (Self::Sender, Self::ThreadReceiver) {
                Self::new(capacity)
            }
        }
    };
}

task_channel!(
    Highwater,
    "highwater",
    highwater::channel,
    highwater::Producer<u64>,
    |to, item| to.write_async(item),
    highwater::Consumer<u64>,
    |from| from.read_async()
);
mixed_channel!(Highwater);

task_channel!(
    Tokio,
    "tokio mpsc",
    tokio::sync::mpsc::channel,
    tokio::sync::mpsc::Sender<u64>,
    |to, item| tokio::sync::mpsc::Sender::send(to, item),
    tokio::sync::mpsc::Receiver<u64>,
    |from| from.recv()
);
mixed_channel!(Tokio);

task_channel!(
    AsyncChannel,
    "async-channel",
    async_channel::bounded,
    async_channel::Sender<u64>,
    |to, item| async_channel::Sender::send(to, item),
    async_channel::Receiver<u64>,
    |from| from.recv()
);
mixed_channel!(AsyncChannel);

task_channel!(
    Flume,
    "flume",
    flume::bounded,
    flume::Sender<u64>,
    |to, item| to.send_async(item),
    flume::Receiver<u64>,
    |from| from.recv_async()
);
mixed_channel!(Flume);

task_channel!(
    Futures,
    "futures mpsc",
    futures::channel::mpsc::channel,
    futures::channel::mpsc::Sender<u64>,
    |to, item| futures::SinkExt::send(to, item),
    futures::channel::mpsc::Receiver<u64>,
    |from| from.next()
);

task_channel!(
    Thingbuf,
    "thingbuf",
    thingbuf::mpsc::channel,
    thingbuf::mpsc::Sender<u64>,
    |to, item| thingbuf::mpsc::Sender::send(to, item),
    thingbuf::mpsc::Receiver<u64>,
    |from| from.recv()
);

task_channel!(
    Kanal,
    "kanal",
    kanal::bounded_async,
    kanal::AsyncSender<u64>,
    |to, item| kanal::AsyncSender::send(to, item),
    kanal::AsyncReceiver<u64>,
    |from| from.recv()
);

impl MixedChannel for Kanal {
    type ThreadSender = kanal::Sender<u64>;
    type ThreadReceiver = kanal::Receiver<u64>;

    fn to_task(capacity: usize) -> (Self::ThreadSender, Self::Receiver) {
        let (sender, receiver) = kanal::bounded(capacity);
        (sender, receiver.to_async())
    }

    fn to_thread(capacity: usize) -> (Self::Sender, Self::ThreadReceiver) {
        let (sender, receiver) = kanal::bounded(capacity);
        (sender.to_async(), receiver)
    }
}

task_channel!(
    Crossfire,
    "crossfire",
    |capacity| {
        crossfire::detect_backoff_cfg(); // as its documentation advises
        crossfire::spsc::bounded_async(capacity)
    },
    crossfire::AsyncTx<crossfire::spsc::Array<u64>>,
    |to, item| crossfire::AsyncTx::send(to, item),
    crossfire::AsyncRx<crossfire::spsc::Array<u64>>,
    |from| from.recv()
);

impl MixedChannel for Crossfire {
    type ThreadSender = crossfire::Tx<crossfire::spsc::Array<u64>>;
    type ThreadReceiver = crossfire::Rx<crossfire::spsc::Array<u64>>;

    fn to_task(capacity: usize) -> (Self::ThreadSender, Self::Receiver) {
        crossfire::spsc::bounded_blocking_async(capacity)
    }

    fn to_thread(capacity: usize) -> (Self::Sender, Self::ThreadReceiver) {
        crossfire::spsc::bounded_async_blocking(capacity)
    }
}
