//! What both ends of a round have: chance, a pace, a record of what they did, and the doors at which they wait.

use crate::plan::{Pace, Part, Pause};
use fastrand::Rng;
use futures_lite::future::block_on;
use highwater::{Consumer, EventFd, EventFdError, Finish, Producer, ReadError, Reason, Weigh};
use rustix::{
    event::epoll::{self, EventData, EventFlags},
    fd::OwnedFd,
};
use std::{
    panic,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, Condvar, Mutex, PoisonError,
    },
    thread,
    time::Duration,
};

/// How a thread waits. (A task has its one way.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Door {
    Sleep,
    Poll,
    /// A future, run to its end by an executor of a few lines.
    Future,
    Epoll,
    Callback,
}

const DOORS: [Door; 5] = [
    Door::Sleep,
    Door::Poll,
    Door::Future,
    Door::Epoll,
    Door::Callback,
];

/// What happened in a round, as its ends tell.
#[derive(Debug, Default)]
pub struct Record {
    /// Written, and not given back. Each number has one writer.
    pub accepted: AtomicU64,
    pub received: AtomicU64,
    pub closed: AtomicBool,
    /// `None`: it was dropped, or killed.
    pub producer: Mutex<Option<ProducerEnding>>,
    pub consumer: Mutex<Option<ConsumerEnding>>,
    pub faults: Mutex<Vec<String>>,
    /// What the consumer last waited for, otherwise than asleep.
    pub waits_for: Mutex<String>,
}

#[derive(Clone, Debug)]
pub enum ProducerEnding {
    Ended,
    Finished,
    FinishRefused,
    Aborted,
    Refused(Option<Reason>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerEnding {
    SawEnd,
    SawAbandonment,
    SawAbort(Reason),
    Cancelled,
}

impl ConsumerEnding {
    pub fn of(error: ReadError) -> Self {
        match error {
            ReadError::Ended => Self::SawEnd,
            ReadError::Abandoned => Self::SawAbandonment,
            ReadError::Aborted(reason) => Self::SawAbort(reason),
        }
    }
}

impl Record {
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub fn fault(&self, fault: String) {
        let mut faults = lock(&self.faults);
        faults.push(fault);
        if faults.len() == 100 {
            // Or an item that comes again and again would be a round without end.
            panic_as_planned();
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The panics that are part of the plan. They say nothing: the hook is not called.
pub struct Planned;

pub fn panic_as_planned() -> ! {
    panic::resume_unwind(Box::new(Planned))
}

pub struct Side {
    pub rng: Rng,
    pub record: Arc<Record>,
    pace: Pace,
    until_pause: u64,
    /// So that a round takes no more than moments.
    naps: u32,
    door: Door,
    steps_at_door: u32,
    epoll: Option<(OwnedFd, EventFd)>,
    signal: Arc<Signal>,
}

impl Side {
    pub fn new<F>(seed: u64, part: &Part<F>, record: &Arc<Record>) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            record: record.clone(),
            pace: part.pace,
            until_pause: part.pace.every,
            naps: 200,
            door: Door::Sleep,
            steps_at_door: 0,
            epoll: None,
            signal: Arc::default(),
        }
    }

    /// The door of the next step: the same for a while, then any.
    pub fn door(&mut self) -> Door {
        if self.steps_at_door == 0 {
            self.door = *self.rng.choice(&DOORS).expect("there are some");
            self.steps_at_door = self.rng.u32(1..40);
        }
        self.steps_at_door -= 1;
        self.door
    }

    pub fn is_polling(&self) -> bool {
        self.door == Door::Poll
    }

    pub fn one_in(&mut self, chances: u32) -> bool {
        self.rng.u32(0..chances) == 0
    }

    /// A small number, at most `most`.
    pub fn some(&mut self, most: u64) -> usize {
        let bits = self.rng.u32(0..8);
        self.rng.u64(1..=1 << bits).min(most) as usize
    }

    pub fn soon(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(0..200))
    }

    fn is_pause_due(&mut self, went: u64) -> bool {
        let is_due = went >= self.until_pause;
        self.until_pause = if is_due {
            self.pace.every
        } else {
            self.until_pause - went
        };
        is_due
    }

    fn nap(&mut self, nap: Duration) -> Duration {
        self.naps = self.naps.saturating_sub(1);
        if self.naps > 0 {
            nap
        } else {
            Duration::ZERO
        }
    }

    /// Keeps the pace, in a thread, after so many items.
    pub fn breathe(&mut self, went: u64) {
        if !self.is_pause_due(went) {
            return;
        }
        match self.pace.pause {
            Pause::None => {}
            Pause::Yield => thread::yield_now(),
            Pause::Spin(hints) => (0..hints).for_each(|_| std::hint::spin_loop()),
            Pause::Nap(nap) => thread::sleep(self.nap(nap)),
        }
    }

    /// The same in a task.
    pub async fn breathe_async(&mut self, went: u64) {
        if !self.is_pause_due(went) {
            return;
        }
        match self.pace.pause {
            Pause::None => {}
            Pause::Yield => tokio::task::yield_now().await,
            Pause::Spin(hints) => (0..hints).for_each(|_| std::hint::spin_loop()),
            Pause::Nap(nap) => tokio::time::sleep(self.nap(nap)).await,
        }
    }

    /// Waits until the producer may write. That it is refused shows in its next write.
    pub fn until_drained<T, W: Weigh<T>>(&mut self, producer: &mut Producer<T, W>, door: Door) {
        match door {
            Door::Sleep if self.rng.bool() => drop(producer.wait_drain()),
            Door::Sleep => drop(producer.wait_drain_timeout(self.soon())),
            Door::Poll => {
                while producer.need_drain() {
                    thread::yield_now();
                }
            }
            Door::Future => drop(block_on(producer.ready())),
            Door::Epoll => {
                while producer.need_drain() {
                    self.wait_readable(|| producer.drain_fd());
                }
            }
            Door::Callback => {
                producer.on_drain(self.signal.callback());
                while producer.need_drain() {
                    self.signal.wait();
                }
                if self.rng.bool() {
                    producer.clear_on_drain();
                }
            }
        }
    }

    /// Waits until there may be something to read: `attempt` says when.
    pub fn until_ready<T, W: Weigh<T>>(
        &mut self,
        consumer: &mut Consumer<T, W>,
        door: Door,
        mut attempt: impl FnMut(&mut Consumer<T, W>) -> bool,
    ) {
        match door {
            Door::Sleep | Door::Future => unreachable!("they have operations of their own"),
            Door::Poll => {
                while !attempt(consumer) {
                    thread::yield_now();
                }
            }
            Door::Epoll => {
                while !attempt(consumer) {
                    self.wait_readable(|| consumer.ready_fd());
                }
            }
            Door::Callback => {
                consumer.on_ready(self.signal.callback());
                while !attempt(consumer) {
                    self.signal.wait();
                }
                if self.rng.bool() {
                    consumer.clear_on_ready();
                }
            }
        }
    }

    pub fn until_finished(&mut self, finish: &mut Finish) {
        // That of the producer is another one.
        self.epoll = None;
        self.wait_readable(|| finish.finish_fd());
    }

    fn wait_readable(&mut self, make: impl FnOnce() -> Result<EventFd, EventFdError>) {
        let (epoll, _fd) = self.epoll.get_or_insert_with(|| {
            let fd = make().expect("a descriptor can be had");
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll can be had");
            epoll::add(&epoll, &fd, EventData::new_u64(0), EventFlags::IN).expect("it is new");
            (epoll, fd)
        });
        let mut events = Vec::with_capacity(1);
        let spare = rustix::buffer::spare_capacity(&mut events);
        if let Err(error) = epoll::wait(epoll, spare, None) {
            assert_eq!(error, rustix::io::Errno::INTR);
        }
    }
}

/// What a callback sets, and a thread waits for.
#[derive(Default)]
struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn callback(self: &Arc<Self>) -> impl Fn() + Send + Sync + 'static {
        let signal = self.clone();
        move || {
            *lock(&signal.is_set) = true;
            signal.changed.notify_one();
        }
    }

    fn wait(&self) {
        let mut is_set = lock(&self.is_set);
        while !*is_set {
            is_set = self
                .changed
                .wait(is_set)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *is_set = false;
    }
}
