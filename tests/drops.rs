//! Each item is dropped exactly once, and when it should be, however the ends go and whatever a drop
//! does. `ends.rs` has the results that the ends see.
#![cfg(feature = "std")]

mod common;

use common::{while_progress, Counted, Drops, Random};
use highwater::{Builder, Consumer, Producer, TryReadError, TryWriteError};
use std::{
    cell::RefCell,
    hint,
    panic::{self, catch_unwind, AssertUnwindSafe},
    rc::Rc,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Once,
    },
    thread,
    time::Duration,
};

/// Rounds of a race.
fn races() -> u64 {
    match std::env::var("HIGHWATER_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("HIGHWATER_ROUNDS is a number"),
        Err(_) if cfg!(debug_assertions) => 1_000,
        Err(_) => 5_000,
    }
}

type Ends = (Producer<Counted>, Consumer<Counted>);

/// Three items in a ring of four slots, three of them usable, that lie across its edge: where the slots
/// begin again if `by` says so, or also where the indices do.
fn three_items_round_the_edge(drops: &Drops, full_fences: bool, by: usize) -> Ends {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(3)
        .full_fences(full_fences)
        .first_index(usize::MAX - 3)
        .build()
        .expect("legal marks");
    for _ in 0..by {
        producer.write(drops.item()).expect("there is room");
        drop(consumer.try_read().expect("it was written"));
    }
    for _ in 0..3 {
        producer.write(drops.item()).expect("there is room");
    }
    assert_eq!(drops.alive(), 3);
    (producer, consumer)
}

fn each_edge(body: impl Fn(Drops, Producer<Counted>, Consumer<Counted>)) {
    for full_fences in [false, true] {
        for by in 0..6 {
            let drops = Drops::new();
            let (producer, consumer) = three_items_round_the_edge(&drops, full_fences, by);
            body(drops.clone(), producer, consumer);
            drops.assert_each_dropped_once();
        }
    }
}

#[test]
fn after_an_end_what_is_left_dies_with_the_consumer() {
    each_edge(|drops, producer, mut consumer| {
        let finish = producer.end();
        assert_eq!(drops.alive(), 3);
        drop(consumer.try_read().unwrap());
        assert_eq!(drops.alive(), 2);
        drop(consumer);
        assert_eq!(drops.alive(), 0);
        drop(finish);
    });
}

#[test]
fn after_an_abandonment_what_is_left_dies_with_the_consumer() {
    each_edge(|drops, producer, mut consumer| {
        drop(producer);
        assert_eq!(drops.alive(), 3);
        drop(consumer.try_read().unwrap());
        assert_eq!(drops.alive(), 2);
        drop(consumer);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn after_an_abort_what_is_left_dies_with_the_consumers_next_operation() {
    each_edge(|drops, producer, mut consumer| {
        producer.abort("because");
        assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
        assert_eq!(drops.alive(), 0);
        assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
    });
    each_edge(|drops, producer, mut consumer| {
        producer.abort("because");
        assert!(consumer.peek().is_none());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn after_an_abort_what_is_left_dies_with_a_consumer_that_never_looks() {
    each_edge(|drops, producer, consumer| {
        producer.abort("because");
        drop(consumer);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_cancel_drops_what_is_buffered_while_the_producer_lives() {
    each_edge(|drops, mut producer, consumer| {
        consumer.cancel("enough");
        assert_eq!(drops.alive(), 0);
        let refused = producer.try_write(drops.item()).unwrap_err();
        assert!(matches!(refused, TryWriteError::Closed(_)));
        assert_eq!(drops.alive(), 1, "it came back");
        drop(refused);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_dropped_consumer_drops_what_is_buffered_while_the_producer_lives() {
    each_edge(|drops, producer, consumer| {
        drop(consumer);
        assert_eq!(drops.alive(), 0);
        drop(producer);
    });
}

#[test]
fn a_close_drops_nothing() {
    each_edge(|drops, mut producer, mut consumer| {
        consumer.close();
        assert!(producer.try_write(drops.item()).is_err());
        assert_eq!(drops.alive(), 3);
        assert_eq!(consumer.try_iter().count(), 3);
        assert_eq!(drops.alive(), 0);
        assert_eq!(consumer.try_read().err(), Some(TryReadError::Ended));
    });
    each_edge(|drops, _producer, mut consumer| {
        consumer.close();
        drop(consumer);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn an_item_that_came_back_is_the_callers_to_drop() {
    each_edge(|drops, mut producer, consumer| {
        let refused = producer.try_write(drops.item()).unwrap_err();
        assert_eq!(drops.alive(), 4);
        drop(refused);
        assert_eq!(drops.alive(), 3);
        let refused = producer.write_timeout(drops.item(), Duration::ZERO);
        drop(refused.unwrap_err().into_inner());
        assert_eq!(drops.alive(), 3);
        drop(consumer);
    });
}

#[test]
fn a_weight_that_panics_drops_its_item_and_no_other() {
    let drops = Drops::new();
    let heavy = 1; // the second of the items made here
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(move |item: &Counted| {
            assert_ne!(item.id, heavy, "too heavy");
            1
        })
        .build()
        .unwrap();
    producer.write(drops.item()).unwrap();
    let item = drops.item();
    assert!(catch_unwind(AssertUnwindSafe(|| producer.write(item))).is_err());
    assert_eq!(drops.alive(), 1);
    producer.write(drops.item()).unwrap();
    producer.end();
    assert_eq!(consumer.try_iter().count(), 2);
    drops.assert_each_dropped_once();
}

// A drop that panics.

/// Keeps the panics of bad items out of the output: a race has thousands.
fn expect_bad_drops() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let expected = info
                .payload()
                .downcast_ref::<String>()
                .map_or(false, |message| message.starts_with("the drop of item"));
            if !expected {
                print(info);
            }
        }));
    });
}

/// Five items, the third of which panics as it is dropped.
fn with_a_bad_item(drops: &Drops) -> Ends {
    expect_bad_drops();
    let (mut producer, consumer) = highwater::channel(5);
    for i in 0..5 {
        let item = if i == 2 {
            drops.panicking_item()
        } else {
            drops.item()
        };
        producer.write(item).expect("there is room");
    }
    (producer, consumer)
}

#[track_caller]
fn assert_panics(body: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(body)).is_err(), "no panic");
}

#[test]
fn a_panic_as_the_consumer_is_dropped_loses_and_doubles_no_item() {
    let drops = Drops::new();
    let (mut producer, consumer) = with_a_bad_item(&drops);
    assert_panics(|| drop(consumer));
    drops.assert_each_dropped_once();
    let refused = producer.try_write(drops.item());
    assert!(
        matches!(refused, Err(TryWriteError::Closed(_))),
        "the producer knows that the consumer has gone"
    );
    drop(refused);
    drop(producer);
    drops.assert_each_dropped_once();
}

#[test]
fn a_panic_in_a_cancel_loses_and_doubles_no_item_nor_the_reason() {
    let drops = Drops::new();
    let (producer, consumer) = with_a_bad_item(&drops);
    assert_panics(|| consumer.cancel("enough"));
    drops.assert_each_dropped_once();
    assert_eq!(producer.cancel_reason().unwrap().to_string(), "enough");
}

#[test]
fn a_panic_as_an_abort_is_read_loses_and_doubles_no_item_nor_the_reason() {
    let drops = Drops::new();
    let (producer, mut consumer) = with_a_bad_item(&drops);
    producer.abort("because");
    assert_panics(|| drop(consumer.try_read()));
    drops.assert_each_dropped_once();
    match consumer.try_read() {
        Err(TryReadError::Aborted(reason)) => assert_eq!(reason.to_string(), "because"),
        other => panic!("{:?}", other.map(|item| item.id)),
    }
    drop(consumer);
    drops.assert_each_dropped_once();
}

#[test]
fn a_panic_as_the_last_end_is_dropped_loses_and_doubles_no_item() {
    let drops = Drops::new();
    let (producer, consumer) = with_a_bad_item(&drops);
    drop(producer);
    assert_panics(|| drop(consumer));
    drops.assert_each_dropped_once();
}

#[test]
fn a_panic_in_the_reader_of_an_item_leaves_a_channel_that_works() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = with_a_bad_item(&drops);
    assert_panics(|| while consumer.try_read().is_ok() {});
    assert_eq!(drops.alive(), 2);
    producer.write(drops.item()).unwrap();
    producer.end();
    assert_eq!(consumer.try_iter().count(), 3);
    assert_eq!(consumer.try_read().err(), Some(TryReadError::Ended));
    drops.assert_each_dropped_once();
}

// Items that are ends.

#[test]
fn ends_of_other_channels_die_with_the_items_that_hold_them() {
    let drops = Drops::new();
    let (mut inner_producer, mut orphan_consumer) = highwater::channel(4);
    let (mut orphan_producer, inner_consumer) = highwater::channel(4);
    inner_producer.write(drops.item()).unwrap();
    orphan_producer.write(drops.item()).unwrap();

    let (mut producer, consumer) = highwater::channel(4);
    producer.write((inner_producer, inner_consumer)).unwrap();
    drop(consumer);
    assert!(orphan_producer.is_closed());
    assert_eq!(drops.alive(), 1, "one went with the inner consumer");
    drop(orphan_consumer.try_read().unwrap());
    assert_eq!(
        orphan_consumer.try_read().err(),
        Some(TryReadError::Abandoned)
    );
    drops.assert_each_dropped_once();
}

#[test]
fn a_chain_of_channels_inside_channels_comes_down_as_a_whole() {
    struct Link(#[allow(dead_code)] Option<(Counted, Consumer<Link>, Producer<Link>)>);

    let drops = Drops::new();
    let (mut producer, mut consumer) = highwater::channel(1);
    producer.write(Link(None)).unwrap();
    for _ in 0..100 {
        let (mut outer, outer_consumer) = highwater::channel(1);
        outer
            .write(Link(Some((drops.item(), consumer, producer))))
            .unwrap();
        (producer, consumer) = (outer, outer_consumer);
    }
    assert_eq!(drops.alive(), 100);
    drop(consumer);
    drops.assert_each_dropped_once();
    drop(producer);
}

type Cell<T> = Rc<RefCell<Option<T>>>;

/// An item that shares the ownership of the producer of the very channel that it lies in.
struct Own(Counted, #[allow(dead_code)] Cell<Producer<Own>>);

fn full_of_itself(drops: &Drops) -> (Cell<Producer<Own>>, Consumer<Own>) {
    let (mut producer, consumer) = highwater::channel(4);
    let cell = Cell::default();
    for _ in 0..3 {
        producer
            .write(Own(drops.item(), cell.clone()))
            .ok()
            .unwrap();
    }
    *cell.borrow_mut() = Some(producer);
    (cell, consumer)
}

#[test]
fn a_producer_inside_its_own_channel_dies_with_the_last_item() {
    let drops = Drops::new();
    let (cell, mut consumer) = full_of_itself(&drops);
    drop(cell);
    let mut ids = Vec::new();
    let end = loop {
        match consumer.try_read() {
            Ok(item) => ids.push(item.0.id),
            Err(end) => break end,
        }
    };
    assert_eq!((ids.len(), end), (3, TryReadError::Abandoned));
    drops.assert_each_dropped_once();
}

#[test]
fn a_producer_inside_its_own_channel_dies_while_the_consumer_goes() {
    let drops = Drops::new();
    let (cell, consumer) = full_of_itself(&drops);
    let weak = Rc::downgrade(&cell);
    drop(cell);
    drop(consumer);
    drops.assert_each_dropped_once();
    assert!(weak.upgrade().is_none(), "the producer is gone as well");
}

/// An item that tries to write another as it is dropped.
struct Writes(Counted, Cell<Producer<Writes>>, Drops);

impl Drop for Writes {
    fn drop(&mut self) {
        // No two drops write at once: the one inside finds the producer borrowed.
        if let Ok(mut producer) = self.1.try_borrow_mut() {
            if let Some(producer) = producer.as_mut() {
                let item = Writes(self.2.item(), Cell::default(), self.2.clone());
                let _ = producer.try_write(item);
            }
        }
    }
}

#[test]
fn an_item_that_writes_to_its_channel_as_it_is_dropped_is_refused_when_the_consumer_goes() {
    let drops = Drops::new();
    let (mut producer, consumer) = highwater::channel(4);
    let cell = Cell::default();
    for _ in 0..3 {
        let item = Writes(drops.item(), cell.clone(), drops.clone());
        producer.write(item).ok().unwrap();
    }
    *cell.borrow_mut() = Some(producer);
    drop(consumer);
    assert_eq!(drops.made(), 6, "each has tried");
    drops.assert_each_dropped_once();
    assert!(cell.borrow().as_ref().unwrap().is_closed());
}

#[test]
fn an_item_that_writes_to_its_channel_as_it_is_read_and_dropped_is_accepted() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = highwater::channel(4);
    let cell = Cell::default();
    let item = Writes(drops.item(), cell.clone(), drops.clone());
    producer.write(item).ok().unwrap();
    *cell.borrow_mut() = Some(producer);
    drop(consumer.try_read().ok().unwrap());
    assert_eq!(
        drops.alive(),
        1,
        "the first is dropped, the second lies in the channel"
    );
    let id = consumer.try_read().ok().unwrap().0.id;
    assert_eq!(id, 1);
    drop(consumer);
    drops.assert_each_dropped_once();
}

// Two threads at the same moment.

/// Runs both at the same moment, give or take some tens of nanoseconds, which vary.
fn at_once<A: Send, B: Send>(
    random: &mut Random,
    left: impl FnOnce() -> A + Send,
    right: impl FnOnce() -> B + Send,
) -> (A, B) {
    fn start(there: &AtomicUsize, hints: u64) {
        there.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0;
        while there.load(Ordering::SeqCst) < 2 {
            hint::spin_loop();
            looks += 1;
            if looks % 1000 == 0 {
                thread::yield_now();
            }
        }
        for _ in 0..hints {
            hint::spin_loop();
        }
    }

    let there = AtomicUsize::new(0);
    let hints = (random.below(20), random.below(20));
    thread::scope(|scope| {
        let left = scope.spawn(|| {
            start(&there, hints.0);
            left()
        });
        start(&there, hints.1);
        let right = right();
        (left.join().expect("this side does not panic"), right)
    })
}

/// A channel with some items in it, which may lie across the edge of the ring.
fn with_items(drops: &Drops, random: &mut Random) -> Ends {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(3)
        .full_fences(random.below(2) == 0)
        .first_index(usize::MAX - 1)
        .build()
        .expect("legal marks");
    for _ in 0..random.below(4) {
        producer.write(drops.item()).expect("there is room");
        drop(consumer.try_read().expect("it was written"));
    }
    for _ in 0..random.below(3) {
        producer.write(drops.item()).expect("there is room");
    }
    (producer, consumer)
}

fn race(seed: u64, round: impl Fn(&Drops, &mut Random) + Send + 'static) {
    let patience = Duration::from_secs(20);
    while_progress(patience, String::new, move |progress| {
        let mut random = Random::new(seed);
        for number in 0..races() {
            let drops = Drops::new();
            round(&drops, &mut random);
            assert_eq!(drops.alive(), 0, "round {number}: not dropped");
            drops.assert_each_dropped_once();
            progress.made();
        }
    });
}

#[test]
fn both_ends_dropped_at_once_drop_every_item_once() {
    race(1, |drops, random| {
        let (producer, consumer) = with_items(drops, random);
        at_once(random, || drop(producer), || drop(consumer));
    });
}

#[test]
fn an_item_written_as_the_consumer_goes_is_dropped_by_the_producers_next_operation() {
    let saved = Arc::new(AtomicUsize::new(0));
    let accepted = saved.clone();
    race(2, move |drops, random| {
        let (mut producer, consumer) = with_items(drops, random);
        let item = drops.item();
        let next = random.below(3);
        let ((producer, last), ()) = at_once(
            random,
            move || {
                let last = producer.try_write(item);
                (producer, last)
            },
            || drop(consumer),
        );
        if last.is_ok() {
            accepted.fetch_add(1, Ordering::Relaxed);
        }
        drop(last); // it may have come back
        let mut producer = producer;
        match next {
            0 => assert!(producer.try_write(drops.item()).is_err()),
            1 => assert!(producer.is_closed()),
            _ => assert!(producer.wait_drain().is_err()),
        }
        assert_eq!(drops.alive(), 0, "the producer still lives");
    });
    let accepted = saved.load(Ordering::Relaxed);
    println!("accepted in {accepted} of {} rounds", races());
    assert!(
        accepted > 0,
        "the consumer was always quicker: this proves nothing"
    );
}

#[test]
fn an_item_is_dropped_once_the_consumer_has_gone_and_the_producer_knows() {
    race(8, |drops, random| {
        let (mut producer, consumer) = with_items(drops, random);
        let item = drops.item();
        let (_producer, ()) = at_once(
            random,
            move || {
                drop(producer.try_write(item));
                // Each look may clear up beside the consumer, which is at the same.
                while !producer.is_closed() {
                    hint::spin_loop();
                }
                producer
            },
            || drop(consumer),
        );
        assert_eq!(drops.alive(), 0, "the producer still lives");
    });
}

#[test]
fn an_item_written_as_the_consumer_goes_is_dropped_with_the_producer_at_the_latest() {
    race(3, |drops, random| {
        let (mut producer, consumer) = with_items(drops, random);
        let item = drops.item();
        at_once(
            random,
            move || drop(producer.try_write(item)), // and drops the producer
            || drop(consumer),
        );
    });
}

#[test]
fn an_item_that_panics_as_both_ends_go_is_dropped_once_and_loses_no_other() {
    expect_bad_drops();
    race(4, |drops, random| {
        let (mut producer, consumer) = with_items(drops, random);
        let item = drops.panicking_item();
        let panics = at_once(
            random,
            move || {
                catch_unwind(AssertUnwindSafe(|| {
                    drop(producer.try_write(item));
                    drop(producer);
                }))
                .is_err()
            },
            || catch_unwind(AssertUnwindSafe(|| drop(consumer))).is_err(),
        );
        assert!(panics.0 != panics.1, "one panic, on one side: {panics:?}");
    });
}

#[test]
fn an_end_as_the_consumer_goes_drops_every_item_once() {
    race(5, |drops, random| {
        let (mut producer, consumer) = with_items(drops, random);
        let item = drops.item();
        let (finish, ()) = at_once(
            random,
            move || {
                let written = producer.try_write(item).map(drop);
                (written.is_ok(), producer.end())
            },
            || drop(consumer),
        );
        if finish.0 {
            assert!(finish.1.wait().is_err(), "the last item was not consumed");
        }
    });
}

#[test]
fn an_abort_as_the_consumer_goes_or_reads_drops_every_item_once() {
    race(6, |drops, random| {
        let (mut producer, mut consumer) = with_items(drops, random);
        let item = drops.item();
        let reads = random.below(3);
        at_once(
            random,
            move || {
                drop(producer.try_write(item));
                producer.abort("because");
            },
            || {
                for _ in 0..reads {
                    drop(consumer.try_read());
                }
                drop(consumer);
            },
        );
    });
}

#[test]
fn an_item_that_waits_for_room_comes_back_when_the_consumer_cancels() {
    race(7, |drops, random| {
        let (mut producer, mut consumer) = with_items(drops, random);
        while producer.try_write(drops.item()).is_ok() {}
        let item = drops.item();
        let id = item.id;
        let read = random.below(2) == 0;
        let (written, ()) = at_once(
            random,
            move || producer.write(item),
            || {
                if read {
                    drop(consumer.try_read());
                }
                consumer.cancel("enough");
            },
        );
        if let Err(refused) = written {
            assert_eq!(refused.into_inner().id, id, "another item came back");
        }
    });
}
