//! What each of highwater's own operations costs. `cargo bench`; the report is `target/criterion/report/index.html`.
//!
//! On one thread: the work itself. Between two threads: with the traffic between their caches. To compare with
//! other crates, use `versus`, which interleaves them.

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use highwater::{Builder, Bytes};
use highwater_benches::{
    contestants::{blocking, polling, Channel, Receive1, Send1},
    race::flow,
};
use std::{hint::black_box, time::Duration};

const CAPACITY: usize = 1024;
/// Items that are moved at a time.
const BLOCK: usize = 64;
/// Items between two threads: few enough for a short sample, enough to make the start of the threads vanish.
const ITEMS: u64 = 1_000_000;

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("one thread/u64");

    group.throughput(Throughput::Elements(1));
    group.bench_function("try_write, try_read", |bencher| {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        bencher.iter(|| {
            let flow = producer.try_write(black_box(7_u64));
            (flow, consumer.try_read())
        });
    });
    group.bench_function("write, read", |bencher| {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        bencher.iter(|| {
            let written = producer.write(black_box(7_u64));
            (written, consumer.read())
        });
    });
    group.bench_function("write, read (full fences)", |bencher| {
        let (mut producer, mut consumer) = Builder::new()
            .high_water_mark(CAPACITY)
            .full_fences(true)
            .build()
            .unwrap();
        bencher.iter(|| {
            let written = producer.write(black_box(7_u64));
            (written, consumer.read())
        });
    });

    group.throughput(Throughput::Elements(BLOCK as u64));
    group.bench_function("try_write_slice, try_read_slice", |bencher| {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        let (from, mut to) = ([7_u64; BLOCK], [0; BLOCK]);
        bencher.iter(|| {
            let written = producer.try_write_slice(black_box(&from));
            (written, consumer.try_read_slice(black_box(&mut to)))
        });
    });
    group.bench_function("try_reserve, try_chunk", |bencher| {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        bencher.iter(|| {
            let mut chunk = producer.try_reserve(BLOCK).unwrap();
            chunk.fill_with(|| black_box(7_u64));
            let flow = chunk.commit();
            let sum: u64 = consumer.try_chunk(BLOCK).unwrap().into_iter().sum();
            (flow, sum)
        });
    });
    group.bench_function("batch, try_iter", |bencher| {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        bencher.iter(|| {
            let mut batch = producer.batch();
            for _ in 0..BLOCK {
                let _ = batch.try_write(black_box(7_u64)).unwrap();
            }
            drop(batch);
            consumer.try_iter().sum::<u64>()
        });
    });
    group.finish();

    let mut group = c.benchmark_group("one thread/weighed");
    group.throughput(Throughput::Elements(1));
    group.bench_function("try_write, try_read", |bencher| {
        let (mut producer, mut consumer) = Builder::new().weigh_by(Bytes).build().unwrap();
        bencher.iter(|| {
            let flow = producer.try_write(black_box(&[7_u8; 16][..]));
            (flow, consumer.try_read())
        });
    });
    group.finish();
}

fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("two threads/u64");
    group
        .throughput(Throughput::Elements(ITEMS))
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2));
    for capacity in [64, 1024, 65_536] {
        let mut one_at_a_time = |name, race: fn(usize) -> Duration| {
            group.bench_function(BenchmarkId::new(name, capacity), |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| race(capacity)).sum());
            });
        };
        one_at_a_time("try_write, try_read", race::<polling::Highwater>);
        one_at_a_time("write, read", race::<blocking::Highwater>);
        one_at_a_time(
            "write, read (full fences)",
            race::<blocking::HighwaterFullFences>,
        );
    }
    group.finish();
}

fn race<C: Channel>(capacity: usize) -> Duration {
    let (mut sender, mut receiver) = C::new::<u64>(capacity);
    let warm_up = 2 * capacity as u64;
    let (_, elapsed) = flow(
        move |number| sender.send(number),
        move || receiver.receive(),
        warm_up,
        |_| ITEMS,
    );
    elapsed
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
