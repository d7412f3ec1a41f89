//! Millions of items between real threads, through small and large channels, with each mixture of ends
//! that block and ends that poll.
//!
//! `HIGHWATER_ITEMS=10000000 cargo test --release --test threads` moves the full number; by default
//! there are fewer, so that the smallest channels, where each item is a wake-up, take seconds.
#![cfg(feature = "std")]

mod common;

use common::{while_progress, Progress};
use highwater::{Builder, Consumer, Flow, Producer, TryReadError, TryWriteError};
use std::{thread, time::Duration};

const PATIENCE: Duration = Duration::from_secs(20);

fn items(capacity: usize) -> u64 {
    match std::env::var("HIGHWATER_ITEMS") {
        Ok(items) => items.parse().expect("HIGHWATER_ITEMS is a number"),
        Err(_) if capacity < 64 => 20_000,
        Err(_) => 500_000,
    }
}

fn write_all(mut producer: Producer<u64>, items: u64, blocking: bool, progress: &Progress) {
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
            thread::yield_now();
        }
    }
    producer.end();
}

fn read_all(mut consumer: Consumer<u64>, items: u64, blocking: bool) {
    for expected in 0..items {
        let item = loop {
            if blocking {
                break consumer.read().expect("the producer has not ended");
            }
            match consumer.try_read() {
                Ok(item) => break item,
                Err(TryReadError::Empty) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(item, expected, "out of order, lost or doubled");
    }
    while consumer.try_read() == Err(TryReadError::Empty) {
        thread::yield_now();
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
            while_progress(PATIENCE, describe, move |progress| {
                let reader = thread::spawn(move || read_all(consumer, items, read_blocks));
                write_all(producer, items, write_blocks, &progress);
                reader.join().expect("the reader does not panic");
            });
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

/// Round trips with random delays, around the moment that the other side goes to sleep.
fn round_trips(full_fences: bool) {
    let rounds: u64 = if cfg!(debug_assertions) {
        5_000
    } else {
        50_000
    };
    let ends = || {
        Builder::new()
            .high_water_mark(1)
            .full_fences(full_fences)
            .build::<u64>()
            .expect("legal marks")
    };
    let ((mut ask, mut asked), (mut answer, mut answered)) = (ends(), ends());
    let monitors = (ask.monitor(), answer.monitor());
    let stats = (monitors.0.clone(), monitors.1.clone());
    let describe = move || format!("{:?} {:?}", stats.0.stats(), stats.1.stats());
    while_progress(PATIENCE, describe, move |progress| {
        let other = thread::spawn(move || {
            let mut random = common::Random::new(1);
            while let Ok(question) = asked.read() {
                delay(&mut random);
                answer.write(question).expect("the asker is there");
            }
        });
        let mut random = common::Random::new(2);
        for round in 0..rounds {
            delay(&mut random);
            ask.write(round).expect("the other is there");
            assert_eq!(answered.read(), Ok(round));
            progress.made();
        }
        drop(ask.end());
        other.join().expect("the other does not panic");
    });
    // Whoever spins long enough is never asleep: the test must not pass by luck.
    let parks = monitors.0.stats().consumer_parks + monitors.1.stats().consumer_parks;
    assert!(parks as u64 > rounds / 10, "{parks} sleeps prove nothing");
}

/// Mostly a few microseconds, now and then about as long as a side spins before it sleeps.
fn delay(random: &mut common::Random) {
    let micros = match random.below(2) {
        0 => random.below(8),
        _ => random.below(120),
    };
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

#[test]
fn no_wake_up_is_lost_in_round_trips_around_the_moment_of_sleep() {
    round_trips(false);
    println!("mode: {:?}", highwater::barrier::mode());
}

#[test]
fn no_wake_up_is_lost_in_round_trips_with_full_fences() {
    round_trips(true);
}
