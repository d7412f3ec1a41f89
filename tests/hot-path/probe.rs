//! The operations whose machine code `tests/hot_path.rs` looks at, and a program that performs each many
//! times, whose instructions `tests/instructions.rs` counts.

use highwater::{Builder, Bytes, Consumer, Flow, Producer};
use std::{
    mem,
    sync::atomic::{fence, Ordering},
    time::Duration,
};

/// How many items the bulk operations move at once.
const BLOCK: usize = 64;
/// How far the producer runs ahead of the consumer, who so finds enough to never pause.
const AHEAD: u64 = 512;
const BLOCKS: u64 = AHEAD / BLOCK as u64;
const CAPACITY: usize = 1024;
const LAPS: u64 = 20;

/// The item. An error is forgotten: to drop its reason, of which others may know, takes a lock.
fn some<T, E>(result: Result<T, E>) -> Option<T> {
    result.map_err(mem::forget).ok()
}

#[no_mangle]
#[inline(never)]
pub fn probe_try_write(producer: &mut Producer<u64>, item: u64) -> bool {
    matches!(producer.try_write(item), Ok(Flow::Ready))
}

#[no_mangle]
#[inline(never)]
pub fn probe_try_read(consumer: &mut Consumer<u64>) -> Option<u64> {
    some(consumer.try_read())
}

#[no_mangle]
#[inline(never)]
pub fn probe_write(producer: &mut Producer<u64>, item: u64) -> bool {
    producer.write(item).is_ok()
}

#[no_mangle]
#[inline(never)]
pub fn probe_read(consumer: &mut Consumer<u64>) -> Option<u64> {
    some(consumer.read())
}

#[no_mangle]
#[inline(never)]
pub fn probe_write_timeout(producer: &mut Producer<u64>, item: u64, timeout: Duration) -> bool {
    producer.write_timeout(item, timeout).is_ok()
}

#[no_mangle]
#[inline(never)]
pub fn probe_read_timeout(consumer: &mut Consumer<u64>, timeout: Duration) -> Option<u64> {
    some(consumer.read_timeout(timeout))
}

type Word = &'static str;
const WORD: Word = "six of";

#[no_mangle]
#[inline(never)]
pub fn probe_weighted_try_write(producer: &mut Producer<Word, Bytes>, item: Word) -> bool {
    matches!(producer.try_write(item), Ok(Flow::Ready))
}

#[no_mangle]
#[inline(never)]
pub fn probe_weighted_try_read(consumer: &mut Consumer<Word, Bytes>) -> Option<Word> {
    some(consumer.try_read())
}

#[no_mangle]
#[inline(never)]
pub fn probe_weighted_write(producer: &mut Producer<Word, Bytes>, item: Word) -> bool {
    producer.write(item).is_ok()
}

#[no_mangle]
#[inline(never)]
pub fn probe_weighted_read(consumer: &mut Consumer<Word, Bytes>) -> Option<Word> {
    some(consumer.read())
}

#[no_mangle]
#[inline(never)]
pub fn probe_write_slice(producer: &mut Producer<u64>, items: &[u64; BLOCK]) -> usize {
    some(producer.try_write_slice(items)).unwrap_or(0)
}

#[no_mangle]
#[inline(never)]
pub fn probe_read_slice(consumer: &mut Consumer<u64>, items: &mut [u64; BLOCK]) -> usize {
    some(consumer.try_read_slice(items)).unwrap_or(0)
}

#[no_mangle]
#[inline(never)]
pub fn probe_write_chunk(producer: &mut Producer<u64>, first: u64) -> bool {
    some(producer.try_reserve_up_to(BLOCK)).map_or(false, |mut chunk| {
        chunk.fill(first..) == BLOCK && chunk.commit() == Flow::Ready
    })
}

#[no_mangle]
#[inline(never)]
pub fn probe_read_chunk(consumer: &mut Consumer<u64>) -> Option<u64> {
    let chunk = some(consumer.try_chunk_up_to(BLOCK))?;
    let first = *chunk.as_slices().0.first()?;
    chunk.consume_all();
    Some(first)
}

#[no_mangle]
#[inline(never)]
pub fn probe_write_batch(producer: &mut Producer<u64>, first: u64) -> bool {
    let mut batch = producer.batch();
    (first..first + BLOCK as u64).all(|item| matches!(batch.try_write(item), Ok(Flow::Ready)))
}

/// What must be noticed, or the tests are blind.
#[no_mangle]
#[inline(never)]
pub fn probe_fenced_write(producer: &mut Producer<u64>, item: u64) -> bool {
    let written = producer.write(item).is_ok();
    fence(Ordering::SeqCst);
    written
}

/// As above: an allocation for each item.
#[no_mangle]
#[inline(never)]
pub fn probe_allocating_write(producer: &mut Producer<u64>, item: u64) -> bool {
    producer.write(item.to_string().len() as u64).is_ok()
}

/// As above: the fence is in the operation's callee.
#[no_mangle]
#[inline(never)]
pub fn probe_calls_fenced_write(producer: &mut Producer<u64>, item: u64) -> bool {
    probe_fenced_write(producer, item) && item < AHEAD
}

/// Each channel is used for `LAPS` times so many items, and never comes near its mark.
fn items(mut lap: impl FnMut(&mut Producer<u64>, &mut Consumer<u64>)) {
    let (mut producer, mut consumer) = highwater::channel(CAPACITY);
    (0..LAPS).for_each(|_| lap(&mut producer, &mut consumer));
}

/// As `items`.
fn words(mut lap: impl FnMut(&mut Producer<Word, Bytes>, &mut Consumer<Word, Bytes>)) {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(Bytes)
        .capacity(CAPACITY)
        .high_water_mark(CAPACITY * WORD.len())
        .build()
        .expect("legal marks");
    (0..LAPS).for_each(|_| lap(&mut producer, &mut consumer));
}

fn all(count: u64, operation: impl FnMut(u64) -> bool) {
    assert!((0..count).all(operation));
}

fn main() {
    let patience = Duration::from_secs(1);

    items(|producer, consumer| {
        all(AHEAD, |i| probe_try_write(producer, i));
        all(AHEAD, |i| probe_try_read(consumer) == Some(i));
    });
    items(|producer, consumer| {
        all(AHEAD, |i| probe_write(producer, i));
        all(AHEAD, |i| probe_read(consumer) == Some(i));
    });
    items(|producer, consumer| {
        all(AHEAD, |i| probe_write_timeout(producer, i, patience));
        all(AHEAD, |i| probe_read_timeout(consumer, patience) == Some(i));
    });
    words(|producer, consumer| {
        all(AHEAD, |_| probe_weighted_try_write(producer, WORD));
        all(AHEAD, |_| probe_weighted_try_read(consumer) == Some(WORD));
    });
    words(|producer, consumer| {
        all(AHEAD, |_| probe_weighted_write(producer, WORD));
        all(AHEAD, |_| probe_weighted_read(consumer) == Some(WORD));
    });
    items(|producer, consumer| {
        let mut block = [7; BLOCK];
        all(BLOCKS, |_| probe_write_slice(producer, &block) == BLOCK);
        all(BLOCKS, |_| probe_read_slice(consumer, &mut block) == BLOCK);
    });
    items(|producer, consumer| {
        all(BLOCKS, |i| probe_write_chunk(producer, i));
        all(BLOCKS, |i| probe_read_chunk(consumer) == Some(i));
    });
    items(|producer, consumer| {
        all(BLOCKS, |i| probe_write_batch(producer, i));
        all(AHEAD, |_| consumer.try_read().is_ok());
    });

    items(|producer, consumer| {
        all(AHEAD, |i| probe_fenced_write(producer, i));
        all(AHEAD, |i| consumer.read() == Ok(i));
        all(AHEAD, |i| probe_allocating_write(producer, i));
        all(AHEAD, |_| consumer.read().is_ok());
        all(AHEAD, |i| probe_calls_fenced_write(producer, i));
        all(AHEAD, |i| consumer.read() == Ok(i));
    });
}
