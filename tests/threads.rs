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

use common::{while_progress, Progress};
use highwater::{Builder, Consumer, Flow, Producer, TryReadError, TryWriteError};
use std::{
    hint, thread,
    time::{Duration, Instant},
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
