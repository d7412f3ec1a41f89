//! Many channels in one process.

use super::{contestant, each, items::RATE};
use crate::{
    contestants::{blocking, Channel, Receive1 as _, Send1 as _},
    harness::{child::DEADLINE, Better, Case, Contestant, Disturbance, Effort, Figure, Workload},
};
use std::{
    hint::black_box,
    mem::size_of,
    sync::{
        atomic::{AtomicBool, Ordering},
        Barrier,
    },
    thread,
    time::Instant,
};

const CAPACITY: usize = 256;
const LAST: u64 = u64::MAX;

pub fn many() -> Workload {
    racing(
        "many",
        "Many channels at once, each between two threads of its own, 256 slots; what goes through all of them.",
        &[1, 2, 8, 64, 1024],
        0,
    )
}

pub fn busy() -> Workload {
    racing(
        "busy",
        "The same where two threads more compute all the time, and never wait.",
        &[1, 8, 64],
        2,
    )
}

fn racing(
    name: &'static str,
    about: &'static str,
    channels: &[usize],
    computing: usize,
) -> Workload {
    use blocking::*;
    Workload {
        name,
        about,
        figures: RATE,
        cases: channels
            .iter()
            .map(|&channels| Case {
                name: format!("{channels} at once"),
                disturbance: Disturbance::Unknown,
                contestants: each!(racer((channels, computing)): Highwater, Std, Crossbeam, Flume, Kanal),
            })
            .collect(),
        deadline: DEADLINE,
    }
}

fn racer<C: Channel>((channels, computing): (usize, usize)) -> Contestant {
    contestant(C::NAME, move |effort| {
        at_once::<C>(channels, computing, effort) / 1e6
    })
}

/// Items a second, of all channels together, beside so many threads that compute.
fn at_once<C: Channel>(channels: usize, computing: usize, effort: Effort) -> f64 {
    let (start, stop) = (&Barrier::new(2 * channels + 1), &AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..computing {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    (0..1000).for_each(|i| {
                        black_box(i);
                    });
                }
            });
        }
        let receiving: Vec<_> = (0..channels)
            .map(|_| {
                let (mut sender, mut receiver) = C::new::<u64>(CAPACITY);
                scope.spawn(move || {
                    start.wait();
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        sender.send(number);
                        number += 1;
                    }
                    sender.send(LAST);
                    // Until the other one has read.
                    start.wait();
                });
                scope.spawn(move || {
                    start.wait();
                    let begin = Instant::now();
                    let mut count = 0;
                    loop {
                        match receiver.receive() {
                            LAST => break,
                            number => assert_eq!(number, count, "an item was lost or changed"),
                        }
                        count += 1;
                    }
                    let end = Instant::now();
                    start.wait();
                    (count, begin, end)
                })
            })
            .collect();
        start.wait();
        thread::sleep(effort.target);
        stop.store(true, Ordering::Relaxed);
        start.wait();
        let counts: Vec<_> = receiving
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        // With so many threads, some are through before this one runs again.
        let begin = counts.iter().map(|(_, begin, _)| *begin).min();
        let end = counts.iter().map(|(_, _, end)| *end).max();
        let elapsed = end.zip(begin).map(|(end, begin)| end - begin);
        let elapsed = elapsed.expect("there is a channel").as_secs_f64();
        counts.iter().map(|(count, _, _)| count).sum::<u64>() as f64 / elapsed
    })
}

pub fn memory() -> Workload {
    use blocking::*;
    Workload {
        name: "memory",
        about: "What a channel of u64 takes that nobody has used yet: both ends, and what they have allocated.",
        figures: &[Figure {
            name: "bytes",
            better: Better::Less,
        }],
        cases: [16, 1024]
            .into_iter()
            .map(|capacity| Case {
                name: format!("capacity {capacity}"),
                disturbance: Disturbance::Unknown,
                contestants: each!(weighed(capacity):
                    Highwater, Std, Crossbeam, Flume, Kanal, Thingbuf, AsyncChannel, Tokio, Omango, Gil,
                    Nexus, Crossfire),
            })
            .collect(),
        deadline: DEADLINE,
    }
}

fn weighed<C: Channel>(capacity: usize) -> Contestant {
    contestant(C::NAME, move |_| {
        const MANY: usize = 1000;
        // What is made once in a process.
        let first = C::new::<u64>(capacity);
        let mut channels = Vec::with_capacity(MANY);
        let before = allocated();
        channels.extend((0..MANY).map(|_| C::new::<u64>(capacity)));
        let of_each = (allocated() - before) as f64 / MANY as f64;
        drop((first, channels));
        of_each + (size_of::<C::Sender<u64>>() + size_of::<C::Receiver<u64>>()) as f64
    })
}

/// The bytes that are allocated now, as the allocator counts them. (One that counts would slow down all
/// other workloads.)
fn allocated() -> usize {
    // SAFETY: it only reads the allocator's own counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
