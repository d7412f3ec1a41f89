//! Chunks and batches move an index by more than one, publish late, and may be forgotten: nobody
//! sleeps on, and no item is lost, doubled or dropped twice.

use highwater::{Builder, ChunkError, Consumer, Producer, ReadTimeoutError, TryReadError};
use loom::thread;
use loom_tests::{at_once::commit, exhaustive_model, model, Drops, Goes, Leaves};
use std::mem;

/// Begins where both the memory and the integer wrap with the first item.
fn builder() -> Builder {
    Builder::new().first_index(usize::MAX)
}

/// The barrier modes: light and heavy, a full fence on both sides, and as if the kernel refused the heavy barrier, where
/// a sleeper has to look by itself.
const MODES: [fn() -> Builder; 3] = [
    builder,
    || builder().full_fences(true),
    || builder().refused_barrier(),
];

/// In the first two.
#[track_caller]
fn in_both_modes(at_least: usize, body: impl Fn(Builder) + Copy + Sync + Send + 'static) {
    for mode in &MODES[..2] {
        model(at_least, move || body(mode()));
    }
}

#[track_caller]
fn in_all_modes(at_least: usize, body: impl Fn(Builder) + Copy + Sync + Send + 'static) {
    for mode in MODES {
        model(at_least, move || body(mode()));
    }
}

#[track_caller]
fn exhaustive_model_in_all_modes(
    at_least: usize,
    body: impl Fn(Builder) + Copy + Sync + Send + 'static,
) {
    for mode in MODES {
        exhaustive_model(at_least, move || body(mode()));
    }
}

fn ends<T>(builder: Builder, low: usize, capacity: usize) -> (Producer<T>, Consumer<T>) {
    builder
        .low_water_mark(low)
        .high_water_mark(capacity)
        .capacity(capacity)
        .build()
        .unwrap()
}

#[test]
fn a_chunk_across_the_edge_wakes_a_consumer_that_waits_for_one_item_and_is_seen_whole() {
    for count in [2, 3] {
        in_all_modes(270, move |builder| {
            let (mut producer, mut consumer) = ends(builder, 0, count);
            let monitor = producer.monitor();
            let writer = thread::spawn(move || {
                commit(&mut producer, 0..count);
                producer
            });
            assert_eq!(consumer.read(), Ok(0));
            // One publication: with the first came all.
            assert_eq!(consumer.try_chunk(count - 1).unwrap().len(), count - 1);
            for i in 1..count {
                assert_eq!(consumer.try_read(), Ok(i));
            }
            drop(writer.join().unwrap());
            assert!(monitor.stats().consumer_wake_ups <= 1);
        });
    }
}

#[test]
fn a_chunk_of_two_or_three_wakes_a_consumer_that_waits_for_two() {
    // What it waits for lies at the end of the range that is published, or in the middle.
    for count in [2, 3] {
        for full_fences in [false, true] {
            exhaustive_model(590, move || {
                let builder = builder().full_fences(full_fences);
                let (mut producer, mut consumer) = ends(builder, 1, count);
                let writer = thread::spawn(move || {
                    commit(&mut producer, 0..count);
                    producer
                });
                let chunk = consumer.chunk(2).unwrap();
                assert_eq!(chunk.as_slices(), (&[0][..], &[1][..]));
                chunk.consume_all();
                for i in 2..count {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                drop(writer.join().unwrap());
            });
        }
    }
}

#[test]
fn a_chunk_of_two_wakes_a_consumer_that_was_refused_and_waits_for_two() {
    exhaustive_model(36_000, || {
        let (mut producer, mut consumer) = ends(builder().refused_barrier(), 1, 2);
        let writer = thread::spawn(move || {
            commit(&mut producer, 0..2);
            producer
        });
        assert!(consumer.chunk(2).unwrap().into_iter().eq(0..2));
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_consumer_that_waits_for_two_sleeps_through_the_first_and_is_woken_by_the_second() {
    in_all_modes(470, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1, 3);
        let monitor = producer.monitor();
        let writer = thread::spawn(move || {
            let _ = producer.try_write(0).unwrap();
            commit(&mut producer, 1..3);
            producer
        });
        assert!(consumer.chunk(2).unwrap().into_iter().eq(0..2));
        assert_eq!(consumer.read(), Ok(2));
        drop(writer.join().unwrap());
        assert!(monitor.stats().consumer_wake_ups <= 1);
    });
}

#[test]
fn an_end_wakes_a_consumer_that_waits_for_two_and_gives_it_the_last_one() {
    for goes in [Goes::Ends, Goes::IsDropped, Goes::Panics] {
        in_all_modes(490, move |builder| {
            let (mut producer, mut consumer) = ends(builder, 1, 2);
            let writer = thread::spawn(move || {
                commit(&mut producer, 0..1);
                goes.apply(producer);
            });
            assert!(consumer.chunk(2).unwrap().into_iter().eq(0..1));
            assert!(consumer.chunk(2).is_err());
            writer.join().unwrap();
        });
    }
}

#[test]
fn an_abort_wakes_a_consumer_that_waits_for_two_though_one_is_there() {
    exhaustive_model_in_all_modes(1400, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1, 2);
        let _ = producer.try_write(0).unwrap();
        let writer = thread::spawn(move || Goes::Aborts.apply(producer));
        assert!(matches!(
            consumer.chunk(2),
            Err(ChunkError::Read(ReadTimeoutError::Aborted(_)))
        ));
        writer.join().unwrap();
    });
}

#[test]
fn a_consumer_that_goes_or_closes_wakes_a_producer_that_waits_for_room_for_two() {
    for leaves in Leaves::ALL {
        exhaustive_model_in_all_modes(270, move |builder| {
            let (mut producer, consumer) = ends(builder, 0, 2);
            let _ = producer.try_write(0).unwrap();
            let reader = thread::spawn(move || leaves.apply(consumer));
            assert!(producer.reserve(2).is_err());
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn what_is_not_committed_of_a_chunk_is_dropped_once_and_the_rest_arrives() {
    for capacity in [2, 3] {
        exhaustive_model_in_all_modes(250, move |builder| {
            let drops = Drops::new();
            let items = drops.clone();
            let (mut producer, mut consumer) = ends(builder, 0, capacity);
            let writer = thread::spawn(move || {
                let mut chunk = producer.try_reserve(capacity).unwrap();
                chunk.fill_with(|| items.item());
                let _ = chunk.commit_first(1);
                producer
            });
            drop(consumer.read().unwrap());
            let producer = writer.join().unwrap();
            assert_eq!(drops.alive(), 0);
            assert!(consumer.try_read().is_err());
            drop((producer, consumer));
        });
    }
}

/// How a reader gives two slots back, or one.
#[derive(Clone, Copy, Debug)]
enum Gives {
    Consumes(usize),
    Iterates(usize),
    /// The slots come back with the next operation.
    Forgets(usize),
}

impl Gives {
    fn count(self) -> usize {
        match self {
            Self::Consumes(count) | Self::Iterates(count) | Self::Forgets(count) => count,
        }
    }

    /// Takes from all that are there, which begin with 0.
    fn apply(self, consumer: &mut Consumer<usize>) {
        let chunk = consumer.try_chunk_up_to(3).unwrap();
        match self {
            Self::Consumes(count) => chunk.consume(count),
            Self::Iterates(count) => assert!(chunk.into_iter().take(count).eq(0..count)),
            Self::Forgets(count) => {
                let mut iter = chunk.into_iter();
                assert!(iter.by_ref().take(count).eq(0..count));
                mem::forget(iter);
            }
        }
    }
}

#[test]
fn slots_that_a_chunk_gives_back_wake_a_producer_that_waits_for_drain() {
    // (capacity, low): two of two leave none or one, two of three pass the mark at 2, or end at 1.
    for (capacity, low, gives) in [
        (2, 1, Gives::Consumes(1)),
        (2, 0, Gives::Iterates(2)),
        (3, 2, Gives::Consumes(2)),
        (3, 1, Gives::Iterates(2)),
    ] {
        exhaustive_model_in_all_modes(170, move |builder| {
            let (mut producer, mut consumer) = ends(builder, low, capacity);
            commit(&mut producer, 0..capacity);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || {
                gives.apply(&mut consumer);
                consumer
            });
            producer.write(capacity).unwrap();
            let mut consumer = reader.join().unwrap();
            assert!(consumer.try_iter().eq(gives.count()..=capacity));
            assert!(monitor.stats().producer_wake_ups <= 1);
        });
    }
}

#[test]
fn slots_that_a_chunk_gives_back_wake_a_producer_that_waits_for_room_for_two() {
    for (capacity, low, filled, gives) in [
        (2, 0, 1, Gives::Consumes(1)),
        (2, 0, 1, Gives::Iterates(1)),
        (3, 1, 2, Gives::Iterates(1)),
        (3, 1, 3, Gives::Consumes(2)),
        (3, 1, 3, Gives::Consumes(3)),
    ] {
        exhaustive_model_in_all_modes(170, move |builder| {
            let (mut producer, mut consumer) = ends(builder, low, capacity);
            commit(&mut producer, 0..filled);
            let reader = thread::spawn(move || {
                gives.apply(&mut consumer);
                consumer
            });
            let mut chunk = producer.reserve(2).unwrap();
            assert_eq!(chunk.fill(filled..), 2);
            let _ = chunk.commit();
            let mut consumer = reader.join().unwrap();
            assert!(consumer.try_iter().eq(gives.count()..filled + 2));
        });
    }
}

#[test]
fn a_chunk_that_was_forgotten_half_read_doubles_nothing_and_its_slots_come_back_with_the_next_read()
{
    for (capacity, low, full_fences) in [(2, 1, false), (2, 1, true), (3, 2, false)] {
        model(2600, move || {
            let builder = builder().full_fences(full_fences);
            let (mut producer, mut consumer) = ends(builder, low, capacity);
            commit(&mut producer, 0..capacity);
            let reader = thread::spawn(move || {
                Gives::Forgets(1).apply(&mut consumer);
                for i in 1..=capacity {
                    assert_eq!(consumer.read(), Ok(i));
                }
                consumer
            });
            producer.write(capacity).unwrap();
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn a_chunk_that_was_forgotten_after_its_last_item_gives_the_slots_back_before_the_reader_sleeps() {
    in_both_modes(490, |builder| {
        let (mut producer, mut consumer) = ends(builder, 0, 2);
        commit(&mut producer, 0..2);
        let reader = thread::spawn(move || {
            Gives::Forgets(2).apply(&mut consumer);
            assert_eq!(consumer.read(), Ok(2));
            consumer
        });
        producer.write(2).unwrap();
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_chunk_that_was_forgotten_half_read_drops_each_item_once_when_the_consumer_goes() {
    exhaustive_model(19_000, || {
        let drops = Drops::new();
        let (mut producer, mut consumer) = ends(builder(), 1, 2);
        for _ in 0..2 {
            let _ = producer.try_write(drops.item()).unwrap();
        }
        let reader = thread::spawn(move || {
            let mut iter = consumer.try_chunk(2).unwrap().into_iter();
            drop(iter.next());
            mem::forget(iter);
        });
        // Drain, or the cancel: it wakes either way.
        let _ = producer.wait_drain();
        reader.join().unwrap();
        assert_eq!(drops.alive(), 0, "the producer still lives");
    });
}

#[test]
fn a_batch_wakes_a_sleeping_consumer_once_when_it_is_flushed_or_dropped() {
    for flushes in [false, true] {
        for capacity in [2, 3] {
            in_all_modes(94, move |builder| {
                let (mut producer, mut consumer) = ends(builder, 0, capacity);
                let monitor = producer.monitor();
                let writer = thread::spawn(move || {
                    let mut batch = producer.batch();
                    for i in 0..2 {
                        let _ = batch.try_write(i).unwrap();
                    }
                    if flushes {
                        batch.flush();
                        mem::forget(batch);
                    } else {
                        drop(batch);
                    }
                    producer
                });
                assert_eq!(consumer.read(), Ok(0));
                assert_eq!(consumer.try_read(), Ok(1), "both come at once");
                drop(writer.join().unwrap());
                assert!(monitor.stats().consumer_wake_ups <= 1);
            });
        }
    }
}

#[test]
fn weights_that_a_batch_adds_and_a_chunk_takes_wake_both_ends() {
    for capacity in [1, 2] {
        model(7500, move || {
            let (mut producer, mut consumer) = builder()
                .weigh_by(|weight: &usize| *weight)
                .high_water_mark(3)
                .low_water_mark(0)
                .capacity(capacity)
                .build::<usize>()
                .unwrap();
            let writer = thread::spawn(move || {
                let mut batch = producer.batch();
                for weight in [3, 1] {
                    batch.write(weight).unwrap();
                }
                drop(batch);
                producer
            });
            let mut weight = 0;
            while weight < 4 {
                weight += consumer.chunk_up_to(2).unwrap().into_iter().sum::<usize>();
            }
            assert_eq!(consumer.len(), 0);
            drop(writer.join().unwrap());
        });
    }
}

#[test]
fn a_batch_that_has_to_wait_publishes_what_it_holds_before_it_sleeps() {
    in_both_modes(5600, |builder| {
        let builder = builder.high_water_mark(1).low_water_mark(0).capacity(2);
        let (mut producer, mut consumer) = builder.build().unwrap();
        let writer = thread::spawn(move || {
            let mut batch = producer.batch();
            for i in 0..2 {
                batch.write(i).unwrap();
            }
            drop(batch);
            producer
        });
        for i in 0..2 {
            assert_eq!(consumer.read(), Ok(i));
        }
        drop(writer.join().unwrap());
    });
}

/// What may follow a batch of two that was forgotten.
#[derive(Clone, Copy)]
enum Then {
    Writes,
    Reserves,
    Ends,
    IsDropped,
    WaitsForDrain,
}

#[test]
fn a_batch_that_was_forgotten_comes_with_whatever_the_producer_does_next() {
    for then in [
        Then::Writes,
        Then::Reserves,
        Then::Ends,
        Then::IsDropped,
        Then::WaitsForDrain,
    ] {
        let body = move |builder| {
            // Two of two are a reason to wait for drain, and two of three leave room for a third.
            let more = matches!(then, Then::Writes | Then::Reserves);
            let count = if more { 3 } else { 2 };
            let (mut producer, mut consumer) = ends(builder, 0, count);
            let writer = thread::spawn(move || {
                let mut batch = producer.batch();
                for i in 0..2 {
                    let _ = batch.try_write(i).unwrap();
                }
                mem::forget(batch);
                match then {
                    Then::Writes => producer.write(2).unwrap(),
                    Then::Reserves => commit(&mut producer, 2..3),
                    Then::WaitsForDrain => producer.wait_drain().unwrap(),
                    Then::Ends => {
                        producer.end();
                        return None;
                    }
                    Then::IsDropped => return None,
                }
                // Not dropped before all was read: that would publish, and wake.
                Some(producer)
            });
            for i in 0..count {
                assert_eq!(consumer.read(), Ok(i));
            }
            drop(writer.join().unwrap());
        };
        in_both_modes(400, body);
        if matches!(then, Then::Ends | Then::IsDropped) {
            model(3100, move || body(builder().refused_barrier()));
        }
    }
}

#[test]
fn a_batch_that_was_forgotten_as_the_consumer_goes_is_dropped_once() {
    exhaustive_model(570, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, consumer) = ends(builder(), 0, 2);
        let writer = thread::spawn(move || {
            let mut batch = producer.batch();
            for _ in 0..2 {
                let _ = batch.try_write(items.item()).map_err(drop);
            }
            mem::forget(batch);
            producer
        });
        drop(consumer);
        let producer = writer.join().unwrap();
        assert!(producer.is_closed());
        assert_eq!(drops.alive(), 0, "the producer still lives");
    });
}

#[test]
fn a_batch_that_was_forgotten_before_an_abort_is_dropped_once() {
    exhaustive_model(57, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, mut consumer) = ends(builder(), 0, 2);
        let writer = thread::spawn(move || {
            let mut batch = producer.batch();
            for _ in 0..2 {
                let _ = batch.try_write(items.item()).map(drop);
            }
            mem::forget(batch);
            producer.abort("because");
        });
        drop(consumer.try_read());
        writer.join().unwrap();
        assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
        drop(consumer);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_write_chunk_open_as_the_consumer_goes_is_dropped_once_committed_or_not() {
    for commits in [0, 1, 2] {
        for reason in [None, Some("because")] {
            exhaustive_model(21, move || {
                let drops = Drops::new();
                let items = drops.clone();
                // Without a light barrier, whose fence in a model would hide what the sweepers lack.
                let (mut producer, consumer) = ends(builder().refused_barrier(), 0, 3);
                let _ = producer.try_write(drops.item()).unwrap();
                let writer = thread::spawn(move || {
                    if let Ok(mut chunk) = producer.try_reserve(2) {
                        assert_eq!(chunk.fill_with(|| items.item()), 2);
                        let _ = chunk.commit_first(commits);
                    }
                    producer
                });
                match reason {
                    Some(reason) => consumer.cancel(reason),
                    None => drop(consumer),
                }
                let mut producer = writer.join().unwrap();
                assert!(producer.try_reserve(1).is_err());
                assert_eq!(drops.alive(), 0, "the producer still lives");
            });
        }
    }
}

#[test]
fn a_write_chunk_committed_as_both_ends_go_is_dropped_once() {
    model(2100, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, consumer) = ends(builder(), 0, 2);
        let writer = thread::spawn(move || {
            if let Ok(mut chunk) = producer.try_reserve(2) {
                chunk.fill_with(|| items.item());
                let _ = chunk.commit();
            }
        });
        drop(consumer);
        writer.join().unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_read_chunk_open_as_the_producer_aborts_keeps_its_items_and_each_is_dropped_once() {
    for gives in [Some(Gives::Consumes(1)), Some(Gives::Forgets(1)), None] {
        exhaustive_model(5, move || {
            let drops = Drops::new();
            let (mut producer, mut consumer) = ends(builder(), 0, 2);
            for _ in 0..2 {
                let _ = producer.try_write(drops.item()).unwrap();
            }
            let writer = thread::spawn(move || producer.abort("because"));
            if let Ok(chunk) = consumer.try_chunk(2) {
                assert_eq!(chunk.len(), 2);
                assert_eq!(drops.alive(), 2, "the abort drops nothing that is lent");
                match gives {
                    Some(Gives::Consumes(count)) => chunk.consume(count),
                    Some(_) => {
                        let mut iter = chunk.into_iter();
                        drop(iter.next());
                        mem::forget(iter);
                    }
                    None => drop(chunk),
                }
            }
            writer.join().unwrap();
            assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
            assert_eq!(drops.alive(), 0, "the consumer still lives");
        });
    }
}

#[test]
fn a_low_mark_that_sinks_below_what_a_sleeping_consumer_waits_for_ends_the_sleep() {
    for capacity in [2, 3] {
        for full_fences in [false, true] {
            exhaustive_model(190, move || {
                let builder = builder().full_fences(full_fences);
                let (mut producer, mut consumer) = ends::<usize>(builder, 1, capacity);
                let writer = thread::spawn(move || {
                    producer.set_low_water_mark(0).unwrap();
                    producer
                });
                let error = consumer.chunk(2).unwrap_err();
                assert_eq!(error, ChunkError::TooLarge { items: 2, most: 1 });
                drop(writer.join().unwrap());
            });
        }
    }
    // And one that moves along with the high mark, with an item there already.
    in_all_modes(72, |builder| {
        let (mut producer, mut consumer) = builder.high_water_mark(3).build::<usize>().unwrap();
        let _ = producer.try_write(0).unwrap();
        let writer = thread::spawn(move || {
            producer.set_high_water_mark(1).unwrap();
            producer
        });
        let error = consumer.chunk(2).unwrap_err();
        assert_eq!(error, ChunkError::TooLarge { items: 2, most: 1 });
        drop(writer.join().unwrap());
    });
}

#[test]
fn two_ends_that_wait_for_as_much_as_they_may_do_not_wait_for_each_other() {
    for (capacity, low) in [(2, 0), (2, 1), (3, 1), (3, 2)] {
        // At the length where the producer has just enough room, and one above, where the consumer
        // has just enough items.
        for begin in [low, low + 1] {
            in_both_modes(130, move |builder| {
                let (mut producer, mut consumer) = ends(builder, low, capacity);
                let (slots, items) = (producer.max_reserve(), consumer.max_chunk());
                assert_eq!((slots, items), (capacity - low, low + 1));
                commit(&mut producer, 0..begin);
                let writer = thread::spawn(move || {
                    let mut chunk = producer.reserve(slots).unwrap();
                    assert_eq!(chunk.fill(begin..), slots);
                    let _ = chunk.commit();
                    producer
                });
                assert!(consumer.chunk(items).unwrap().into_iter().eq(0..items));
                let rest = begin + slots - items;
                if rest > 0 {
                    let chunk = consumer.chunk_up_to(1).unwrap();
                    assert!(chunk.into_iter().eq(items..items + 1));
                }
                drop(writer.join().unwrap());
            });
        }
    }
}

#[test]
fn two_ends_that_wait_for_each_other_by_turns_go_on() {
    model(5600, || {
        let (mut producer, mut consumer) = ends(builder(), 1, 3);
        let _ = producer.try_write(0).unwrap();
        let writer = thread::spawn(move || {
            for begin in [1, 3] {
                let mut chunk = producer.reserve(2).unwrap();
                assert_eq!(chunk.fill(begin..), 2);
                let _ = chunk.commit();
            }
            producer
        });
        for begin in [0, 2] {
            let chunk = consumer.chunk(2).unwrap();
            assert!(chunk.into_iter().eq(begin..begin + 2));
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn an_end_that_waits_for_as_much_as_it_may_wakes_one_that_was_refused() {
    model(13_000, || {
        let (mut producer, mut consumer) = ends(builder().refused_barrier(), 1, 3);
        commit(&mut producer, 0..2);
        let writer = thread::spawn(move || {
            let mut chunk = producer.reserve(2).unwrap();
            assert_eq!(chunk.fill(2..), 2);
            let _ = chunk.commit();
            producer
        });
        for begin in [0, 2] {
            let chunk = consumer.chunk(2).unwrap();
            assert!(chunk.into_iter().eq(begin..begin + 2));
        }
        drop(writer.join().unwrap());
    });
}

/// What is longer than the channel has to wait within.
fn more_than_fits_goes_through(
    write: fn(&mut Producer<usize>, std::ops::Range<usize>),
    read: fn(&mut Consumer<usize>, usize) -> Vec<usize>,
) {
    for capacity in [1, 2, 3] {
        model(3200, move || {
            let (mut producer, mut consumer) = ends(builder(), capacity - 1, capacity);
            let writer = thread::spawn(move || {
                write(&mut producer, 0..capacity + 1);
                producer
            });
            let items = read(&mut consumer, capacity + 1);
            assert!(items.into_iter().eq(0..=capacity));
            drop(writer.join().unwrap());
        });
    }
}

#[test]
fn a_slice_longer_than_the_channel_goes_through_it_whole() {
    more_than_fits_goes_through(
        |producer, items| producer.write_all(&items.collect::<Vec<_>>()).unwrap(),
        |consumer, count| {
            let mut items = vec![0; count];
            consumer.read_exact(&mut items).unwrap();
            items
        },
    );
}

#[test]
fn an_iterator_longer_than_the_channel_goes_through_it_whole() {
    more_than_fits_goes_through(
        |producer, items| producer.write_iter(items).unwrap(),
        |consumer, count| {
            let mut items = Vec::new();
            while items.len() < count {
                items.extend(consumer.chunk_up_to(count).unwrap());
            }
            items
        },
    );
}
