//! What the system offers by itself: a word to hand over a number, and a way to wake the one who waits for it.
//! One number at a time, and only as long as the other side takes turns.

use super::{
    blocking,
    tasks::{TaskReceive, TaskSend},
    Channel, Item, Receive1, Send1,
};
use crossbeam_utils::CachePadded;
use futures::task::AtomicWaker;
use rustix::{
    event::{epoll, eventfd, EventfdFlags},
    fd::OwnedFd,
    io,
};
use std::{
    future::poll_fn,
    hint::spin_loop,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, OnceLock,
    },
    task::Poll,
    thread::{self, Thread},
};

/// A word that holds a number more than what was sent, or 0.
#[derive(Default)]
struct Word(CachePadded<AtomicU64>);

impl Word {
    fn put(&self, item: impl Item) {
        self.0.store(item.number() + 1, Ordering::SeqCst);
    }

    fn take<T: Item>(&self) -> Option<T> {
        // Looks before it writes: who spins must not keep the line to itself.
        if self.0.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.0
            .swap(0, Ordering::SeqCst)
            .checked_sub(1)
            .map(T::numbered)
    }
}

/// A flag on a cache line of its own.
pub struct Flag;

impl Channel for Flag {
    const NAME: &'static str = "limit: an atomic flag each way";
    type Sender<T: Item> = FlagEnd;
    type Receiver<T: Item> = FlagEnd;

    fn new<T: Item>(_: usize) -> (FlagEnd, FlagEnd) {
        let flag = Arc::new(CachePadded::new(AtomicU64::new(0)));
        let end = || FlagEnd {
            last: 0,
            flag: flag.clone(),
        };
        (end(), end())
    }
}

pub struct FlagEnd {
    last: u64,
    flag: Arc<CachePadded<AtomicU64>>,
}

impl<T: Item> Send1<T> for FlagEnd {
    #[inline(always)]
    fn send(&mut self, item: T) {
        self.flag
            .store(item.number().wrapping_add(1), Ordering::Release);
    }
}

impl<T: Item> Receive1<T> for FlagEnd {
    #[inline(always)]
    fn receive(&mut self) -> T {
        loop {
            let number = self.flag.load(Ordering::Acquire);
            if number != self.last {
                self.last = number;
                return T::numbered(number.wrapping_sub(1));
            }
            spin_loop();
        }
    }
}

pub struct Park;

impl Channel for Park {
    const NAME: &'static str = "limit: std::thread::park";
    type Sender<T: Item> = ParkEnd;
    type Receiver<T: Item> = ParkEnd;

    fn new<T: Item>(_: usize) -> (ParkEnd, ParkEnd) {
        let shared = Arc::new((Word::default(), OnceLock::new()));
        (ParkEnd(shared.clone()), ParkEnd(shared))
    }
}

pub struct ParkEnd(Arc<(Word, OnceLock<Thread>)>);

impl<T: Item> Send1<T> for ParkEnd {
    fn send(&mut self, item: T) {
        let (word, sleeper) = &*self.0;
        word.put(item);
        if let Some(sleeper) = sleeper.get() {
            sleeper.unpark();
        }
    }
}

impl<T: Item> Receive1<T> for ParkEnd {
    fn receive(&mut self) -> T {
        let (word, sleeper) = &*self.0;
        sleeper.get_or_init(thread::current);
        loop {
            if let Some(item) = word.take() {
                return item;
            }
            thread::park();
        }
    }
}

/// The number goes through the eventfd itself.
pub struct EventFd;

impl Channel for EventFd {
    const NAME: &'static str = "limit: eventfd, blocking read";
    type Sender<T: Item> = EventFdEnd;
    type Receiver<T: Item> = EventFdEnd;

    fn new<T: Item>(_: usize) -> (EventFdEnd, EventFdEnd) {
        let fd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd"));
        (EventFdEnd(fd.clone()), EventFdEnd(fd))
    }
}

pub struct EventFdEnd(Arc<OwnedFd>);

impl<T: Item> Send1<T> for EventFdEnd {
    fn send(&mut self, item: T) {
        let bytes = (item.number() + 1).to_ne_bytes();
        io::write(&self.0, &bytes).expect("an eventfd can be written to");
    }
}

impl<T: Item> Receive1<T> for EventFdEnd {
    fn receive(&mut self) -> T {
        let mut bytes = [0; 8];
        io::read(&self.0, &mut bytes).expect("an eventfd can be read");
        T::numbered(u64::from_ne_bytes(bytes) - 1)
    }
}

/// A descriptor to wait for, in an epoll of its own.
struct Epoll(OwnedFd);

impl Epoll {
    fn new(fd: impl rustix::fd::AsFd) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, fd, data, epoll::EventFlags::IN).expect("an eventfd can be waited for");
        Self(epoll)
    }

    fn wait(&self) {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        match epoll::wait(&self.0, &mut events, None) {
            Ok(_) | Err(io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
    }
}

pub struct EventFdInEpoll;

impl Channel for EventFdInEpoll {
    const NAME: &'static str = "limit: eventfd in epoll";
    type Sender<T: Item> = EventFdEnd;
    type Receiver<T: Item> = InEpoll<EventFdEnd>;

    fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        let (sender, receiver) = EventFd::new::<T>(capacity);
        let epoll = Epoll::new(&*receiver.0);
        (
            sender,
            InEpoll {
                end: receiver,
                epoll,
            },
        )
    }
}

/// An end that waits in an epoll.
pub struct InEpoll<E> {
    end: E,
    epoll: Epoll,
}

impl<T: Item> Receive1<T> for InEpoll<EventFdEnd> {
    fn receive(&mut self) -> T {
        self.epoll.wait();
        self.end.receive()
    }
}

/// A consumer of highwater in an event loop.
pub struct HighwaterInEpoll;

impl Channel for HighwaterInEpoll {
    const NAME: &'static str = "highwater (ready_fd)";
    type Sender<T: Item> = highwater::Producer<T>;
    type Receiver<T: Item> = InEpoll<highwater::Consumer<T>>;

    fn new<T: Item>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        let (producer, mut consumer) = blocking::Highwater::new(capacity);
        let epoll = Epoll::new(consumer.ready_fd().expect("an eventfd"));
        (
            producer,
            InEpoll {
                end: consumer,
                epoll,
            },
        )
    }
}

impl<T: Item> Receive1<T> for InEpoll<highwater::Consumer<T>> {
    fn receive(&mut self) -> T {
        loop {
            if let Ok(item) = self.end.try_read() {
                return item;
            }
            self.epoll.wait();
        }
    }
}

/// A task that is woken by a thread.
pub fn atomic_waker() -> (WakerEnd, WakerEnd) {
    let shared = Arc::new((Word::default(), AtomicWaker::new()));
    (WakerEnd(shared.clone()), WakerEnd(shared))
}

pub struct WakerEnd(Arc<(Word, AtomicWaker)>);

impl Send1<u64> for WakerEnd {
    fn send(&mut self, item: u64) {
        self.0 .0.put(item);
        self.0 .1.wake();
    }
}

impl TaskReceive for WakerEnd {
    async fn receive(&mut self) -> u64 {
        let (word, waker) = &*self.0;
        poll_fn(|cx| {
            waker.register(cx.waker());
            word.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl TaskSend for ParkEnd {
    async fn send(&mut self, item: u64) {
        Send1::send(self, item);
    }
}
