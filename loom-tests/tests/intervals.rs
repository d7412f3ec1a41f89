//! A producer that has an interval of fences to go sleeps without the heavy barrier, and is woken all the same.
//!
//! The heavy barrier is refused in these models, so that a consumer's publications have no fence but once in an interval; a
//! producer that relies on any other one, or on that one too early, is left alone.

use highwater::{Builder, Consumer, Producer};
use loom::thread;
use loom_tests::model;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

/// Reads some items that are there.
type Read = fn(&mut Consumer<usize>, &[usize]);
type Reads = &'static [(Read, usize)];

/// A channel that is full with `items`, of which the first has this index; the producer is told to stop, until all are read.
fn full(items: usize, interval: usize, first_index: usize) -> (Producer<usize>, Consumer<usize>) {
    let (mut producer, consumer) = Builder::new()
        .high_water_mark(items)
        .low_water_mark(0)
        .fence_interval(interval)
        .first_index(first_index)
        .refused_barrier()
        .build()
        .unwrap();
    for item in 0..items {
        let _ = producer.try_write(item).unwrap();
    }
    (producer, consumer)
}

fn one_by_one(consumer: &mut Consumer<usize>, items: &[usize]) {
    for item in items {
        assert_eq!(consumer.try_read(), Ok(*item));
    }
}

fn as_a_slice(consumer: &mut Consumer<usize>, items: &[usize]) {
    let mut read = vec![0; items.len()];
    assert_eq!(consumer.try_read_slice(&mut read), Ok(items.len()));
    assert_eq!(read, items);
}

fn as_a_chunk(consumer: &mut Consumer<usize>, items: &[usize]) {
    let chunk = consumer.try_chunk_up_to(items.len()).unwrap();
    assert_eq!(chunk.as_slices(), (items, &[][..]));
    chunk.consume_all();
}

fn from_a_chunk(consumer: &mut Consumer<usize>, items: &[usize]) {
    let chunk = consumer.try_chunk_up_to(items.len()).unwrap();
    assert!(chunk.into_iter().eq(items.iter().copied()));
}

/// All three, as single items.
const THREE: Reads = &[(one_by_one, 3)];

/// The producer waits while the consumer reads all: so many in each way, one after the other.
fn drains(
    (producer, mut consumer): (Producer<usize>, Consumer<usize>),
    wait: impl FnOnce(Producer<usize>),
    reads: Reads,
) {
    let reader = thread::spawn(move || {
        let mut next = 0;
        for &(read, count) in reads {
            let items: Vec<_> = (next..next + count).collect();
            read(&mut consumer, &items);
            next += count;
        }
        consumer
    });
    wait(producer);
    drop(reader.join().unwrap());
}

fn in_a_thread(mut producer: Producer<usize>) {
    producer.wait_drain().unwrap();
    assert_eq!(producer.len(), 0);
}

#[test]
fn a_producer_with_a_fence_on_its_way_is_woken_by_the_publication_behind_it() {
    // The first publication has no fence, the second one has, the third one wakes.
    model(10000, || {
        drains(full(3, 2, 0), in_a_thread, THREE);
    });
}

#[test]
fn a_producer_with_a_fence_on_its_way_is_woken_by_the_fenced_publication_itself() {
    // The first and the third have one.
    model(8000, || {
        drains(full(3, 2, 1), in_a_thread, THREE);
    });
}

#[test]
fn a_producer_with_nothing_but_a_fenced_publication_to_go_is_woken_by_that() {
    model(3000, || {
        drains(full(2, 2, 0), in_a_thread, &[(one_by_one, 2)]);
    });
}

#[test]
fn several_items_that_go_at_once_pass_a_fence_too() {
    const WAYS: [Reads; 9] = [
        &[(as_a_slice, 3)],
        &[(one_by_one, 1), (as_a_slice, 2)],
        &[(as_a_slice, 2), (one_by_one, 1)],
        &[(as_a_chunk, 3)],
        &[(one_by_one, 1), (as_a_chunk, 2)],
        &[(as_a_chunk, 2), (one_by_one, 1)],
        &[(from_a_chunk, 3)],
        &[(one_by_one, 1), (from_a_chunk, 2)],
        &[(from_a_chunk, 2), (one_by_one, 1)],
    ];
    for reads in WAYS {
        model(300, move || drains(full(3, 2, 0), in_a_thread, reads));
    }
}

/// Polls when it was woken, and lets the others run before: a task that looks again by itself wakes itself.
struct Woken(loom::sync::Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

#[test]
fn a_task_with_a_fence_on_its_way_is_woken() {
    model(20000, || {
        drains(
            full(3, 2, 0),
            |mut producer| {
                let woken = Arc::new(Woken(loom::sync::Notify::new()));
                let waker = Waker::from(woken.clone());
                let mut drained = producer.wait_drain_async();
                while Pin::new(&mut drained)
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
                {
                    woken.0.wait();
                    thread::yield_now();
                }
                drop(drained);
                assert_eq!(producer.len(), 0);
            },
            THREE,
        );
    });
}

#[test]
fn who_waits_for_the_last_item_to_be_read_is_woken_behind_a_fence() {
    model(1000, || {
        drains(
            full(3, 2, 0),
            |producer| producer.end().wait().unwrap(),
            THREE,
        );
    });
}

#[test]
fn a_descriptor_becomes_readable_behind_a_fence() {
    model(1000, || {
        let (mut producer, consumer) = full(3, 2, 0);
        let drained = producer.drain_fd().unwrap();
        let in_a_loop = |producer: Producer<usize>| {
            while producer.need_drain() {
                drained.wait_readable();
            }
            assert_eq!(producer.len(), 0);
        };
        drains((producer, consumer), in_a_loop, THREE);
    });
}
