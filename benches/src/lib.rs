//! The contestants, and the race: one item at a time from one pinned thread to another. Byte streams
//! are in [`bytes`].

pub mod bytes;

use crossbeam_channel as crossbeam;
use highwater::{Builder, Flow, TryWriteError};
use std::{
    hint::spin_loop,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Sends items; waits, in its own way, when there is no room.
pub trait Send1: Send {
    fn send(&mut self, item: u64);
}

/// Receives items; waits, in its own way, when there is none.
pub trait Receive1: Send {
    fn receive(&mut self) -> u64;
}

/// One way to move items: makes a fresh channel of a capacity, and races it.
pub struct Contestant {
    pub name: &'static str,
    /// Whether the ends sleep when they have to wait, or poll.
    pub blocking: bool,
    /// Items per second are so much lower that fewer items do.
    pub slow: bool,
    race: fn(capacity: usize, items: u64) -> Duration,
}

impl Contestant {
    /// Moves `items` items through a new channel and returns how long that took.
    ///
    /// # Panics
    ///
    /// If an item is lost or changed.
    pub fn race(&self, capacity: usize, items: u64) -> Duration {
        (self.race)(capacity, items)
    }
}

pub const CONTESTANTS: &[Contestant] = &[
    Contestant {
        name: "highwater",
        blocking: false,
        slow: false,
        race: |capacity, items| {
            let (producer, consumer) = highwater::channel(capacity);
            race(Polling(producer), Polling(consumer), items)
        },
    },
    Contestant {
        name: "rtrb",
        blocking: false,
        slow: false,
        race: |capacity, items| {
            let (producer, consumer) = rtrb::RingBuffer::new(capacity);
            race(producer, consumer, items)
        },
    },
    Contestant {
        name: "highwater",
        blocking: true,
        slow: false,
        race: |capacity, items| {
            let (producer, consumer) = highwater::channel(capacity);
            race(producer, consumer, items)
        },
    },
    Contestant {
        name: "highwater, full fences",
        blocking: true,
        slow: false,
        race: |capacity, items| {
            let (producer, consumer) = Builder::new()
                .high_water_mark(capacity)
                .full_fences(true)
                .build()
                .expect("a capacity that fits into memory");
            race(producer, consumer, items)
        },
    },
    Contestant {
        name: "crossbeam-channel",
        blocking: true,
        slow: true,
        race: |capacity, items| {
            let (sender, receiver) = crossbeam::bounded(capacity);
            race(sender, receiver, items)
        },
    },
];

/// An end of highwater that never sleeps.
struct Polling<E>(E);

impl Send1 for Polling<highwater::Producer<u64>> {
    #[inline]
    fn send(&mut self, mut item: u64) {
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

impl Receive1 for Polling<highwater::Consumer<u64>> {
    #[inline]
    fn receive(&mut self) -> u64 {
        loop {
            if let Ok(item) = self.0.try_read() {
                return item;
            }
            spin_loop();
        }
    }
}

impl Send1 for highwater::Producer<u64> {
    #[inline]
    fn send(&mut self, item: u64) {
        self.write(item).expect("the consumer is there");
    }
}

impl Receive1 for highwater::Consumer<u64> {
    #[inline]
    fn receive(&mut self) -> u64 {
        self.read().expect("the producer is there")
    }
}

impl Send1 for rtrb::Producer<u64> {
    #[inline]
    fn send(&mut self, mut item: u64) {
        while let Err(rtrb::PushError::Full(refused)) = self.push(item) {
            item = refused;
            spin_loop();
        }
    }
}

impl Receive1 for rtrb::Consumer<u64> {
    #[inline]
    fn receive(&mut self) -> u64 {
        loop {
            if let Ok(item) = self.pop() {
                return item;
            }
            spin_loop();
        }
    }
}

impl Send1 for crossbeam::Sender<u64> {
    #[inline]
    fn send(&mut self, item: u64) {
        crossbeam::Sender::send(self, item).expect("the receiver is there");
    }
}

impl Receive1 for crossbeam::Receiver<u64> {
    #[inline]
    fn receive(&mut self) -> u64 {
        self.recv().expect("the sender is there")
    }
}

/// The time from when both threads are ready until the last item is received.
fn race(
    mut sender: impl Send1 + 'static,
    mut receiver: impl Receive1 + 'static,
    items: u64,
) -> Duration {
    race_ends(
        move |()| {
            for item in 0..items {
                sender.send(item);
            }
            Box::new(sender)
        },
        move |begin| {
            let mut sum = 0_u64;
            for _ in 0..items {
                sum = sum.wrapping_add(receiver.receive());
            }
            let elapsed = begin.elapsed();
            assert_eq!(sum, items * (items - 1) / 2, "an item was lost or changed");
            (elapsed, Box::new(receiver))
        },
    )
}

/// Something that is kept until the race is over.
trait Kept: Send {}
impl<T: Send> Kept for T {}

/// Runs the two ends on a processor each, from the moment at which both are ready. What they return is
/// kept until both are through, so that taking a channel down is not measured.
fn race_ends(
    send: impl FnOnce(()) -> Box<dyn Kept> + Send,
    receive: impl FnOnce(Instant) -> (Duration, Box<dyn Kept>) + Send,
) -> Duration {
    let (start, end) = (&Barrier::new(2), &Barrier::new(2));
    thread::scope(|scope| {
        // Moved: each end lies on the stack of its own thread, and shares no cache line with the
        // other.
        scope.spawn(move || {
            pin(0);
            start.wait();
            let kept = send(());
            end.wait();
            drop(kept);
        });
        let receiving = scope.spawn(move || {
            pin(1);
            start.wait();
            let (elapsed, kept) = receive(Instant::now());
            end.wait();
            drop(kept);
            elapsed
        });
        receiving.join().expect("the receiver does not panic")
    })
}

/// Binds the calling thread to the `n`th processor, if there is one.
fn pin(n: usize) {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(processor) = processors.get(n) {
        core_affinity::set_for_current(*processor);
    }
}
