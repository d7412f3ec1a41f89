//! What a ring can pass from one processor to another, and why: words through bare rings that differ only in what the
//! producer stores, with rounds sorted by how far the processors are from each other.
//!
//! `cargo run --release --bin lines -- --rounds 11`

use clap::Parser;
use crossbeam_utils::CachePadded;
use highwater_benches::{
    harness::placement::{between, round_trip, Placements},
    race::pin,
};
use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering::*},
    thread,
    time::Instant,
};

/// Words through bare rings
#[derive(Parser)]
struct Arguments {
    /// How often each way is measured
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

const WORDS: u64 = 8_000_000;
const PER_LINE: u64 = 8;

/// What the producer stores besides the words.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// The index, after each word; otherwise only after all that there is room for.
    each: bool,
    /// A copy of the index of its own, too.
    own: bool,
    /// So many lines are claimed at once.
    claims: u64,
    prefetchw: bool,
}

const WAYS: &[Way] = &{
    const BLOCKS: Way = Way {
        name: "index once for all that there is room for",
        each: false,
        own: false,
        claims: 0,
        prefetchw: false,
    };
    const EACH: Way = Way {
        name: "index after each word",
        each: true,
        ..BLOCKS
    };
    const OWN: Way = Way {
        name: "the same, and a copy of its own",
        own: true,
        ..EACH
    };
    [
        BLOCKS,
        EACH,
        OWN,
        Way {
            name: "the same, prefetchw 4 lines ahead",
            prefetchw: true,
            ..OWN
        },
        Way {
            name: "the copy, and claims of 1 line",
            claims: 1,
            ..OWN
        },
        Way {
            name: "claims of 2 lines",
            claims: 2,
            ..OWN
        },
        Way {
            name: "claims of 4 lines",
            claims: 4,
            ..OWN
        },
        Way {
            name: "claims of 8 lines",
            claims: 8,
            ..OWN
        },
        Way {
            name: "claims of 16 lines",
            claims: 16,
            ..OWN
        },
    ]
};

struct Ring {
    words: Box<[AtomicU64]>,
    tail: CachePadded<AtomicU64>,
    head: CachePadded<AtomicU64>,
    own: CachePadded<AtomicU64>,
}

impl Ring {
    fn new(capacity: u64) -> Self {
        Self {
            words: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
            tail: CachePadded::default(),
            head: CachePadded::default(),
            own: CachePadded::default(),
        }
    }

    fn word(&self, index: u64) -> &AtomicU64 {
        &self.words[index as usize & (self.words.len() - 1)]
    }

    fn produce(&self, way: Way) {
        let capacity = self.words.len() as u64;
        let mut index = 0;
        while index < WORDS {
            // Waits until half of it is free, as a producer does that was told to stop.
            let head = loop {
                let head = self.head.load(Acquire);
                if index - head <= capacity / 2 {
                    break head;
                }
                spin_loop();
            };
            let limit = (head + capacity).min(WORDS);
            while index < limit {
                let group = PER_LINE * way.claims;
                if way.claims > 0 && index % group == 0 && index + 2 * group <= limit {
                    for line in 0..way.claims {
                        // It is written over before the consumer may look.
                        self.word(index + group + PER_LINE * line).store(0, Relaxed);
                    }
                }
                let ahead = index + 4 * PER_LINE;
                if way.prefetchw && index % PER_LINE == 0 && ahead < limit {
                    prefetch_to_write(self.word(ahead));
                }
                self.word(index).store(index, Relaxed);
                index += 1;
                if way.each {
                    self.tail.store(index, Release);
                }
                if way.own {
                    self.own.store(index, Relaxed);
                }
            }
            self.tail.store(index, Release);
        }
    }

    fn consume(&self) -> u64 {
        let (mut index, mut sum) = (0_u64, 0_u64);
        while index < WORDS {
            let tail = loop {
                let tail = self.tail.load(Acquire);
                // Lets a quarter gather.
                if tail - index >= self.words.len() as u64 / 4 || tail == WORDS {
                    break tail;
                }
                (0..32).for_each(|_| spin_loop());
            };
            while index < tail {
                sum = sum.wrapping_add(self.word(index).load(Relaxed));
                index += 1;
                self.head.store(index, Release);
            }
        }
        sum
    }
}

fn prefetch_to_write(_word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which does nothing that the program could see.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) _word, options(nostack, preserves_flags, readonly));
    }
}

/// Million words a second.
fn rate(capacity: u64, way: Way) -> f64 {
    let ring = &Ring::new(capacity);
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(0);
            ring.produce(way);
        });
        let sum = scope.spawn(move || {
            pin(1);
            ring.consume()
        });
        let sum = sum.join().expect("the consumer does not panic");
        assert_eq!(sum, WORDS * (WORDS - 1) / 2, "a word was lost");
    });
    WORDS as f64 / begin.elapsed().as_secs_f64() / 1e6
}

fn main() -> anyhow::Result<()> {
    let rounds = Arguments::parse().rounds;
    let capacities = [1024, 65_536];
    // (capacity, way, round trip, rate)
    let mut samples = Vec::new();
    for _ in 0..rounds {
        for capacity in capacities {
            for (number, way) in WAYS.iter().enumerate() {
                let before = round_trip();
                let rate = rate(capacity, *way);
                let trips = before.zip(round_trip());
                if let Some(trip) = trips.and_then(|(before, after)| between(before, after)) {
                    samples.push((capacity, number, trip, rate));
                }
            }
        }
    }
    let placements = Placements::of(samples.iter().map(|sample| sample.2).collect());
    for placement in placements.iter() {
        println!(
            "\nA line takes {:.0} ns there and back:\n",
            placement.median
        );
        println!("| the producer stores | 1024 words | 65,536 words |\n| --- | --- | --- |");
        for (number, way) in WAYS.iter().enumerate() {
            let median = |capacity| {
                let mut rates: Vec<_> = samples
                    .iter()
                    .filter(|s| (s.0, s.1) == (capacity, number) && placement.contains(s.2))
                    .map(|s| s.3)
                    .collect();
                rates.sort_by(f64::total_cmp);
                rates
                    .get(rates.len() / 2)
                    .map_or_else(String::new, |rate| format!("{rate:.0}"))
            };
            println!("| {} | {} | {} |", way.name, median(1024), median(65_536));
        }
    }
    Ok(())
}
