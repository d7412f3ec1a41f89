//! Millions of items between real threads, through small and large channels, with each mixture of ends
//! that block and ends that poll.
//!
//! `HIGHWATER_ITEMS=10000000 cargo test --release --test threads -- --nocapture` moves the full number,
//! and says how long each channel took; by default there are fewer, so that the smallest channels,
//! where each item may be a wake-up, take seconds.
#![cfg(feature = "std")]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{deadline, while_progress, Progress};
#[cfg(feature = "async")]
use futures_util::{Sink, Stream};
use highwater::{Builder, Consumer, Flow, Monitor, Producer, TryReadError, TryWriteError};
use std::{
    hint,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Barrier,
    },
    thread,
    time::{Duration, Instant},
};
#[cfg(feature = "async")]
use std::{
    pin::Pin,
    task::{Context, Wake, Waker},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn items(capacity: usize) -> u64 {
    match std::env::var("HIGHWATER_ITEMS") {
        Ok(items) => items.parse().expect("HIGHWATER_ITEMS is a number"),
        Err(_) if capacity < 64 => 20_000,
        Err(_) => 500_000,
    }
}

/// Polls without waiting, but lets others run where there is one processor only.
fn pause(polls: &mut u32) {
    *polls = polls.wrapping_add(1);
    if *polls % 64 == 0 {
        thread::yield_now();
    } else {
        hint::spin_loop();
    }
}

fn write_all(mut producer: Producer<u64>, items: u64, blocking: bool, progress: &Progress) {
    let mut polls = 0;
    for item in 0..items {
        if item % 1024 == 0 {
            progress.made();
        }
        if blocking {
            producer.write(item).expect("the consumer is there");
            continue;
        }
        let mut item = item;
        loop {
            match producer.try_write(item) {
                Ok(Flow::Ready | Flow::Backpressure) => break,
                Err(TryWriteError::WouldBlock(refused)) => item = refused,
                Err(TryWriteError::Closed(_)) => panic!("closed"),
            }
            pause(&mut polls);
        }
    }
    producer.end();
}

fn read_all(mut consumer: Consumer<u64>, items: u64, blocking: bool) {
    let mut polls = 0;
    for expected in 0..items {
        let item = loop {
            if blocking {
                break consumer.read().expect("the producer has not ended");
            }
            match consumer.try_read() {
                Ok(item) => break item,
                Err(TryReadError::Empty) => pause(&mut polls),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(item, expected, "out of order, lost or doubled");
    }
    while consumer.try_read() == Err(TryReadError::Empty) {
        pause(&mut polls);
    }
    assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
}

fn all_mixtures(full_fences: bool) {
    for capacity in [1, 2, 3, 7, 1024] {
        let items = items(capacity);
        for (write_blocks, read_blocks) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let (producer, consumer) = Builder::new()
                .high_water_mark(capacity)
                .full_fences(full_fences)
                .build()
                .expect("legal marks");
            let monitor = producer.monitor();
            let describe = {
                let monitor = monitor.clone();
                move || {
                    format!(
                        "capacity {capacity}, writer blocks: {write_blocks}, reader blocks: \
                         {read_blocks}, {:?}",
                        monitor.stats()
                    )
                }
            };
            let begin = Instant::now();
            while_progress(PATIENCE, describe.clone(), move |progress| {
                let reader = thread::spawn(move || read_all(consumer, items, read_blocks));
                write_all(producer, items, write_blocks, &progress);
                reader.join().expect("the reader does not panic");
            });
            let took = begin.elapsed();
            println!(
                "{items} items in {took:.2?}, full fences: {full_fences}, {}",
                describe()
            );
            assert_eq!(monitor.stats().items_read as u64, items);
            assert!(monitor.stats().peak_len <= capacity);
        }
    }
}

#[test]
fn every_mixture_of_ends_passes_every_item_in_order() {
    all_mixtures(false);
}

#[test]
fn every_mixture_of_ends_passes_every_item_in_order_with_full_fences() {
    all_mixtures(true);
}

/// The waiting side must not spin where nobody else can run, and a side that is preempted anywhere
/// must not leave the other waiting.
#[cfg(target_os = "linux")]
#[test]
fn every_mixture_of_ends_works_on_one_processor() {
    use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

    const NAME: &str = "every_mixture_of_ends_works_on_one_processor";
    if process::is_child(NAME) {
        assert_eq!(
            thread::available_parallelism().map(usize::from).ok(),
            Some(1)
        );
        all_mixtures(false);
        all_mixtures(true);
        return;
    }
    // A process inherits the processors of the thread that starts it.
    let starter = thread::spawn(|| {
        let allowed = sched_getaffinity(None).expect("a thread may ask");
        let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
        let mut one = CpuSet::new();
        one.set(first.expect("this thread runs somewhere"));
        sched_setaffinity(None, &one).expect("a thread may restrict itself");
        process::run(NAME);
    });
    starter.join().expect("it works on one processor");
}

// ---- A thread that is stopped -----------------------------------------------------------------

/// What an end is woken by: stops the other end's thread until the test lets it go.
struct Stop {
    is_over: AtomicBool,
    is_reached: Barrier,
    goes_on: Barrier,
}

impl Stop {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            is_over: AtomicBool::new(false),
            is_reached: Barrier::new(2),
            goes_on: Barrier::new(2),
        })
    }

    /// Only the first time: an end may call its callback itself, too.
    fn stop(&self) {
        if !self.is_over.swap(true, Ordering::SeqCst) {
            self.is_reached.wait();
            self.goes_on.wait();
        }
    }

    /// What `other` does while a thread is stopped in the wake-up that is the last thing that `wake` does.
    fn while_stopped(&self, wake: impl FnOnce() + Send + 'static, other: impl FnOnce()) {
        let stopped = thread::spawn(wake);
        self.is_reached.wait();
        other();
        assert!(!stopped.is_finished());
        self.goes_on.wait();
        stopped.join().expect("it goes on");
    }
}

#[cfg(feature = "async")]
impl Wake for Stop {
    fn wake(self: Arc<Self>) {
        self.stop();
    }
}

/// Leaves somebody to be woken in the place of one end.
type Door<End> = fn(&mut End, Arc<Stop>);
/// Wakes the other end.
type Event<End> = (&'static str, fn(End));

fn what_a_monitor_does(monitor: Monitor) {
    let _ = (monitor.len(), monitor.state(), monitor.stats());
    let _ = (monitor.high_water_mark(), monitor.low_water_mark());
}

fn what_a_consumer_does(mut consumer: Consumer<u64>) {
    what_a_monitor_does(consumer.monitor());
    let _ = (consumer.len(), consumer.is_ended(), consumer.peek());
    let _ = consumer.try_read();
    let _ = consumer.read_timeout(Duration::ZERO);
    let _ = consumer.try_read_slice(&mut [0; 4]);
    let _ = consumer.try_chunk(1).map(|chunk| chunk.consume_all());
    assert_eq!(consumer.try_iter().count(), 0);
    #[cfg(feature = "async")]
    let _ = Pin::new(&mut consumer).poll_next(&mut Context::from_waker(&Stop::waker_of_nobody()));
    consumer.on_ready(|| ());
    assert!(consumer.try_read().is_err());
    consumer.close();
    consumer.cancel("enough");
}

fn what_a_producer_does(mut producer: Producer<u64>) {
    what_a_monitor_does(producer.monitor());
    let _ = (producer.len(), producer.need_drain(), producer.is_closed());
    let _ = producer.cancel_reason();
    let _ = producer.try_write(1);
    let _ = producer.write_timeout(1, Duration::ZERO);
    let _ = producer.try_write_slice(&[1; 2]);
    let _ = producer.try_reserve(1).map(drop);
    let _ = producer.batch().try_write(1);
    #[cfg(feature = "async")]
    let _ = Pin::new(&mut producer).poll_ready(&mut Context::from_waker(&Stop::waker_of_nobody()));
    producer.on_drain(|| ());
    let _ = producer.set_low_water_mark(1);
    while producer.try_write(1).is_ok() {}
    let finish = producer.end();
    let _ = (finish.try_wait(), finish.monitor().len());
}

#[cfg(feature = "async")]
impl Stop {
    fn waker_of_nobody() -> Waker {
        let nobody = Self::new();
        nobody.is_over.store(true, Ordering::SeqCst);
        nobody.into()
    }
}

const DOORS_OF_A_CONSUMER: &[Door<Consumer<u64>>] = &[
    |consumer, stop| {
        consumer.on_ready(move || stop.stop());
        assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    },
    #[cfg(feature = "async")]
    |consumer, stop| {
        let waker = stop.into();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(consumer).poll_next(&mut cx).is_pending());
    },
];

const DOORS_OF_A_PRODUCER: &[Door<Producer<u64>>] = &[
    |producer, stop| {
        producer.on_drain(move || stop.stop());
        assert!(producer.need_drain());
    },
    #[cfg(feature = "async")]
    |producer, stop| {
        let waker = stop.into();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(producer).poll_ready(&mut cx).is_pending());
    },
];

const EVENTS_OF_A_PRODUCER: &[Event<Producer<u64>>] = &[
    ("a write", |mut producer| {
        let _ = producer.try_write(1);
    }),
    ("a batch", |mut producer| {
        let _ = producer.batch().try_write(1);
    }),
    ("an end", |producer| drop(producer.end())),
    ("an abandonment", drop),
    ("an abort", |producer| producer.abort("no disk")),
];

const EVENTS_OF_A_CONSUMER: &[Event<Consumer<u64>>] = &[
    ("a read", |mut consumer| {
        let _ = consumer.try_read();
    }),
    ("a chunk", |mut consumer| {
        let _ = consumer.try_chunk(2).map(|chunk| chunk.consume_all());
    }),
    ("a close", |mut consumer| consumer.close()),
    ("a cancel", |consumer| consumer.cancel("enough")),
    ("a drop", drop),
];

/// While one end's thread is stopped inside of what it wakes, each call of the other end, but those that wait for it,
/// returns, as do those of a third thread.
#[test]
fn a_thread_that_is_stopped_in_the_midst_of_a_wake_up_stops_nobody_else() {
    for full_fences in [false, true] {
        let ends = move || {
            let builder = Builder::new().high_water_mark(2).capacity(8);
            builder.full_fences(full_fences).build().unwrap()
        };
        for door in DOORS_OF_A_CONSUMER {
            for (event, wake) in EVENTS_OF_A_PRODUCER {
                deadline(move || {
                    println!("stopped in {event}, full fences: {full_fences}");
                    let ((producer, mut consumer), stop) = (ends(), Stop::new());
                    door(&mut consumer, stop.clone());
                    stop.while_stopped(|| wake(producer), || what_a_consumer_does(consumer));
                });
            }
        }
        for door in DOORS_OF_A_PRODUCER {
            for (event, wake) in EVENTS_OF_A_CONSUMER {
                deadline(move || {
                    println!("stopped in {event}, full fences: {full_fences}");
                    let ((mut producer, consumer), stop) = (ends(), Stop::new());
                    producer.write_all(&[1, 2]).unwrap();
                    door(&mut producer, stop.clone());
                    stop.while_stopped(|| wake(consumer), || what_a_producer_does(producer));
                });
            }
        }
    }
}
