//! A producer that has an interval of fences to go sleeps without the heavy barrier, and is woken all the same.
//!
//! The heavy barrier is refused in these models, so that a consumer's publications have no fence but once in an interval; a
//! producer that relies on any other one, or on that one too early, is left alone.

use futures_sink::Sink;
use highwater::{Builder, Consumer, Producer};
use loom::thread;
use loom_tests::{
    at_once::{as_a_chunk, as_a_slice, from_a_chunk, Read},
    exhaustive_model, model, Leaves,
};
use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

/// Ways to read items that are there, one after the other, and how many.
type Reads<'a> = &'a [(Read, usize)];

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

/// All three, as single items.
const THREE: Reads<'_> = &[(one_by_one, 3)];

/// The producer waits while the consumer reads: so many in each way, one after the other.
fn drains(
    (producer, mut consumer): (Producer<usize>, Consumer<usize>),
    wait: impl FnOnce(Producer<usize>),
    reads: Reads<'_>,
) {
    let reads = reads.to_vec();
    let reader = thread::spawn(move || {
        let mut next = 0;
        for (read, count) in reads {
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
    model(2600, || {
        drains(full(3, 2, 0), in_a_thread, THREE);
    });
}

#[test]
fn a_producer_with_a_fence_on_its_way_is_woken_by_the_fenced_publication_itself() {
    // The first and the third have one.
    model(2000, || {
        drains(full(3, 2, 1), in_a_thread, THREE);
    });
}

#[test]
fn a_producer_with_nothing_but_a_fenced_publication_to_go_is_woken_by_that() {
    model(1200, || {
        drains(full(2, 2, 0), in_a_thread, &[(one_by_one, 2)]);
    });
}

#[test]
fn several_items_that_go_at_once_pass_a_fence_too() {
    const WAYS: [Reads<'_>; 9] = [
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
        model(160, move || drains(full(3, 2, 0), in_a_thread, reads));
    }
}

/// Polls when it was woken, and lets the others run before: a task that looks again by itself wakes itself.
struct Woken(loom::sync::Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn in_a_task<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let woken = Arc::new(Woken(loom::sync::Notify::new()));
    let waker = Waker::from(woken.clone());
    loop {
        if let Poll::Ready(done) = poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        woken.0.wait();
        thread::yield_now();
    }
}

#[test]
fn a_task_with_a_fence_on_its_way_is_woken() {
    model(6500, || {
        drains(
            full(3, 2, 0),
            |mut producer| {
                let mut drained = producer.wait_drain_async();
                in_a_task(|cx| Pin::new(&mut drained).poll(cx)).unwrap();
                drop(drained);
                assert_eq!(producer.len(), 0);
            },
            THREE,
        );
    });
}

/// How many items there are, and the mark before and after: it comes nearer, with no fence on the way any more, or one that may
/// have been passed already; or it moves away, to behind a fence. The consumer reads just as many as it takes.
const MOVES: [(usize, usize, usize); 3] = [(3, 0, 2), (3, 0, 1), (2, 1, 0)];

/// The mark may move while the producer waits.
fn drains_at_another_mark(
    (items, before, after): (usize, usize, usize),
    wait: impl FnOnce(Producer<usize>),
) {
    let (mut producer, consumer) = full(items, 2, 0);
    producer.set_low_water_mark(before).unwrap();
    drains((producer, consumer), wait, &[(one_by_one, items - after)]);
}

#[test]
fn a_mark_that_moves_while_a_task_relies_on_a_fence_misses_no_drain() {
    for (items, before, after) in MOVES {
        model(570, move || {
            drains_at_another_mark((items, before, after), |mut producer| {
                let mut moves = true;
                let drained = in_a_task(|cx| {
                    let polled = Pin::new(&mut producer).poll_ready(cx);
                    if mem::take(&mut moves) {
                        producer.set_low_water_mark(after).unwrap();
                    }
                    polled
                });
                drained.unwrap();
                assert!(producer.len() <= before.max(after));
            });
        });
    }
}

#[test]
fn a_mark_that_moves_while_a_descriptor_relies_on_a_fence_misses_no_drain() {
    model(7800, || {
        drains_at_another_mark((3, 0, 2), |mut producer| {
            let drained = producer.drain_fd().unwrap();
            producer.set_low_water_mark(2).unwrap();
            loom_tests::poll(|| {
                drained.wait_readable();
                (!producer.need_drain()).then_some(())
            });
            assert!(producer.len() <= 2);
        });
    });
}

/// The consumer leaves after the first publication, which has no fence, or before it, while the producer is sure of one.
fn leaves_on_the_way(
    leaves: Leaves,
    (producer, mut consumer): (Producer<usize>, Consumer<usize>),
    wait: impl FnOnce(Producer<usize>),
) {
    let reader = thread::spawn(move || {
        assert_eq!(consumer.try_read(), Ok(0));
        leaves.apply(consumer)
    });
    wait(producer);
    drop(reader.join().unwrap());
}

#[test]
fn a_consumer_that_goes_or_closes_wakes_a_producer_that_relies_on_a_fence() {
    for leaves in Leaves::ALL {
        model(1000, move || {
            leaves_on_the_way(leaves, full(3, 2, 0), |mut producer| {
                leaves.check(producer.wait_drain().unwrap_err().reason());
            });
        });
    }
}

#[test]
fn a_consumer_that_goes_or_closes_wakes_a_task_that_relies_on_a_fence() {
    for leaves in Leaves::ALL {
        model(1400, move || {
            leaves_on_the_way(leaves, full(3, 2, 0), |mut producer| {
                let mut drained = producer.wait_drain_async();
                let error = in_a_task(|cx| Pin::new(&mut drained).poll(cx)).unwrap_err();
                leaves.check(error.reason());
            });
        });
    }
}

#[test]
fn a_consumer_that_goes_or_closes_makes_a_descriptor_readable_that_relies_on_a_fence() {
    for leaves in Leaves::ALL {
        model(370, move || {
            let (mut producer, consumer) = full(3, 2, 0);
            let drained = producer.drain_fd().unwrap();
            leaves_on_the_way(leaves, (producer, consumer), |producer| {
                while producer.need_drain() {
                    drained.wait_readable();
                }
                assert!(producer.is_closed());
                leaves.check(producer.cancel_reason().as_ref());
            });
        });
    }
}

#[test]
fn a_consumer_that_goes_wakes_a_finish_that_relies_on_a_fence() {
    for leaves in Leaves::FOR_GOOD {
        model(3500, move || {
            leaves_on_the_way(leaves, full(3, 2, 0), |producer| {
                leaves.check(producer.end().wait().unwrap_err().reason());
            });
        });
    }
}

#[test]
fn who_waits_for_the_last_item_to_be_read_is_woken_behind_a_fence() {
    model(1400, || {
        drains(
            full(3, 2, 0),
            |producer| producer.end().wait().unwrap(),
            THREE,
        );
    });
}

#[test]
fn a_descriptor_becomes_readable_behind_a_fence() {
    exhaustive_model(5500, || {
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
