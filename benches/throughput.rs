//! How many items per second, one at a time? `cargo bench --bench throughput`
//!
//! Figures drift with whatever else the machine does: to compare contestants, use `versus`, which
//! interleaves them.

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use highwater_benches::CONTESTANTS;
use std::time::Duration;

/// Few enough for a short sample, enough to make the start of the threads vanish.
const ITEMS: u64 = 1_000_000;

fn throughput(c: &mut Criterion) {
    for blocking in [false, true] {
        for capacity in [64, 1024, 65_536] {
            let kind = if blocking { "blocking" } else { "polling" };
            let mut group = c.benchmark_group(format!("{kind}/{capacity}/u64"));
            group
                .throughput(Throughput::Elements(ITEMS))
                .sample_size(10)
                .warm_up_time(Duration::from_millis(200))
                .measurement_time(Duration::from_secs(2));
            for contestant in CONTESTANTS.iter().filter(|c| c.blocking == blocking) {
                group.bench_function(BenchmarkId::from_parameter(contestant.name), |bencher| {
                    bencher.iter_custom(|iterations| {
                        (0..iterations)
                            .map(|_| contestant.race(capacity, ITEMS))
                            .sum()
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, throughput);
criterion_main!(benches);
