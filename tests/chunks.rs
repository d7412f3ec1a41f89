//! Many items as one: chunks, batches and slices.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Counted, Drops, Random, LONG};
use highwater::{
    Builder, ChunkError, Consumer, Flow, Producer, ReadError, ReadExactError, ReadTimeoutError,
    ReserveError, TryChunkError, TryReadError, TryReserveError, TryWriteError, WaitTimeoutError,
    WriteAllError, WriteChunk,
};
use std::{
    collections::VecDeque,
    error::Error,
    io, mem,
    panic::{catch_unwind, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

/// Long enough to fall asleep, and to be told that it was in vain.
const SHORT: Duration = Duration::from_millis(10);

/// A channel that counts items, whose indices soon wrap.
fn ends<T>(low: usize, high: usize, capacity: usize) -> (Producer<T>, Consumer<T>) {
    Builder::new()
        .low_water_mark(low)
        .high_water_mark(high)
        .capacity(capacity)
        .first_index(usize::MAX - 3)
        .build()
        .expect("legal marks")
}

/// Writes `items` as one, if there is room.
fn put(producer: &mut Producer<usize>, items: std::ops::Range<usize>) -> Flow {
    let mut chunk = producer.try_reserve_up_to(items.len()).unwrap();
    assert_eq!(chunk.fill(items.clone()), items.len());
    chunk.commit()
}

/// Fills a chunk with its own size, and says what that is.
fn put_its_size(mut chunk: WriteChunk<'_, usize>) -> usize {
    let slots = chunk.capacity();
    chunk.fill_with(|| slots);
    let _ = chunk.commit();
    slots
}

fn panics<R>(body: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

type Reserve = fn(&mut Producer<usize>, usize) -> Result<usize, ReserveError>;

/// The forms of `reserve` that wait, with as much time as they need.
const RESERVE: [Reserve; 3] = [
    |producer, slots| producer.reserve(slots).map(put_its_size),
    |producer, slots| producer.reserve_timeout(slots, LONG).map(put_its_size),
    |producer, slots| {
        let deadline = Instant::now() + LONG;
        producer.reserve_deadline(slots, deadline).map(put_its_size)
    },
];

const RESERVE_UP_TO: [Reserve; 3] = [
    |producer, slots| producer.reserve_up_to(slots).map(put_its_size),
    |producer, slots| {
        let chunk = producer.reserve_up_to_timeout(slots, LONG);
        chunk.map(put_its_size)
    },
    |producer, slots| {
        let chunk = producer.reserve_up_to_deadline(slots, Instant::now() + LONG);
        chunk.map(put_its_size)
    },
];

/// Those with a time limit, with no time at all or too little.
const RESERVE_BRIEFLY: [Reserve; 4] = [
    |producer, slots| {
        let chunk = producer.reserve_timeout(slots, Duration::ZERO);
        chunk.map(put_its_size)
    },
    |producer, slots| producer.reserve_timeout(slots, SHORT).map(put_its_size),
    |producer, slots| {
        let chunk = producer.reserve_deadline(slots, Instant::now());
        chunk.map(put_its_size)
    },
    |producer, slots| {
        let chunk = producer.reserve_deadline(slots, Instant::now() + SHORT);
        chunk.map(put_its_size)
    },
];

const RESERVE_UP_TO_BRIEFLY: [Reserve; 4] = [
    |producer, slots| {
        let chunk = producer.reserve_up_to_timeout(slots, Duration::ZERO);
        chunk.map(put_its_size)
    },
    |producer, slots| {
        let chunk = producer.reserve_up_to_timeout(slots, SHORT);
        chunk.map(put_its_size)
    },
    |producer, slots| {
        let chunk = producer.reserve_up_to_deadline(slots, Instant::now());
        chunk.map(put_its_size)
    },
    |producer, slots| {
        let chunk = producer.reserve_up_to_deadline(slots, Instant::now() + SHORT);
        chunk.map(put_its_size)
    },
];

type Chunk = fn(&mut Consumer<usize>, usize) -> Result<Vec<usize>, ChunkError>;

/// The forms of `chunk` that wait, with as much time as they need; each takes what it got.
const CHUNK: [Chunk; 3] = [
    |consumer, items| Ok(consumer.chunk(items)?.into_iter().collect()),
    |consumer, items| Ok(consumer.chunk_timeout(items, LONG)?.into_iter().collect()),
    |consumer, items| {
        let chunk = consumer.chunk_deadline(items, Instant::now() + LONG)?;
        Ok(chunk.into_iter().collect())
    },
];

const CHUNK_UP_TO: [Chunk; 3] = [
    |consumer, items| match consumer.chunk_up_to(items) {
        Ok(chunk) => Ok(chunk.into_iter().collect()),
        Err(error) => Err(ReadTimeoutError::from(error).into()),
    },
    |consumer, items| {
        let chunk = consumer.chunk_up_to_timeout(items, LONG)?;
        Ok(chunk.into_iter().collect())
    },
    |consumer, items| {
        let chunk = consumer.chunk_up_to_deadline(items, Instant::now() + LONG)?;
        Ok(chunk.into_iter().collect())
    },
];

const CHUNK_BRIEFLY: [Chunk; 4] = [
    |consumer, items| {
        let chunk = consumer.chunk_timeout(items, Duration::ZERO)?;
        Ok(chunk.into_iter().collect())
    },
    |consumer, items| Ok(consumer.chunk_timeout(items, SHORT)?.into_iter().collect()),
    |consumer, items| {
        let chunk = consumer.chunk_deadline(items, Instant::now())?;
        Ok(chunk.into_iter().collect())
    },
    |consumer, items| {
        let chunk = consumer.chunk_deadline(items, Instant::now() + SHORT)?;
        Ok(chunk.into_iter().collect())
    },
];

const CHUNK_UP_TO_BRIEFLY: [Chunk; 4] = [
    |consumer, items| {
        let chunk = consumer.chunk_up_to_timeout(items, Duration::ZERO)?;
        Ok(chunk.into_iter().collect())
    },
    |consumer, items| {
        let chunk = consumer.chunk_up_to_timeout(items, SHORT)?;
        Ok(chunk.into_iter().collect())
    },
    |consumer, items| {
        let chunk = consumer.chunk_up_to_deadline(items, Instant::now())?;
        Ok(chunk.into_iter().collect())
    },
    |consumer, items| {
        let chunk = consumer.chunk_up_to_deadline(items, Instant::now() + SHORT)?;
        Ok(chunk.into_iter().collect())
    },
];

// ---------------------------------------------------------------- room

#[test]
fn what_waits_for_room_returns_at_once_when_it_is_there() {
    deadline(|| {
        for reserve in RESERVE.iter().chain(&RESERVE_BRIEFLY) {
            let (mut producer, _consumer) = ends(2, 5, 5);
            assert_eq!(reserve(&mut producer, 0), Ok(0));
            assert_eq!(reserve(&mut producer, 3), Ok(3));
            assert_eq!(reserve(&mut producer, 1), Ok(1));
            assert_eq!(producer.len(), 4);
            assert_eq!(producer.monitor().stats().producer_parks, 0);
        }
        for reserve in RESERVE_UP_TO.iter().chain(&RESERVE_UP_TO_BRIEFLY) {
            // As far as the capacity, above the mark.
            let (mut producer, _consumer) = ends(2, 3, 5);
            assert_eq!(reserve(&mut producer, 0), Ok(0));
            assert_eq!(reserve(&mut producer, 2), Ok(2));
            assert_eq!(reserve(&mut producer, usize::MAX), Ok(3));
            assert_eq!(producer.monitor().stats().producer_parks, 0);
        }
    });
}

#[test]
fn reserve_sleeps_until_all_of_the_room_is_there_though_it_was_not_told_to_stop() {
    for reserve in RESERVE {
        deadline(move || {
            let (mut producer, mut consumer) = ends(1, 4, 4);
            assert_eq!(put(&mut producer, 0..3), Flow::Ready);
            let monitor = producer.monitor();
            let writer = thread::spawn(move || (reserve(&mut producer, 3), producer));
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            assert_eq!(consumer.try_read(), Ok(0));
            assert_eq!(monitor.stats().items_written, 3, "two slots are not three");
            assert_eq!(consumer.try_read(), Ok(1));
            let (reserved, producer) = writer.join().unwrap();
            assert_eq!(reserved, Ok(3));
            assert!(consumer.try_iter().eq([2, 3, 3, 3]));
            drop(producer);
        });
    }
}

#[test]
fn reserve_up_to_sleeps_until_drain_and_then_takes_all_the_room_it_may() {
    for reserve in RESERVE_UP_TO {
        for (asked, got) in [(2, 2), (3, 3), (9, 3)] {
            deadline(move || {
                let (mut producer, mut consumer) = ends(1, 4, 4);
                assert_eq!(put(&mut producer, 0..4), Flow::Backpressure);
                let monitor = producer.monitor();
                let writer = thread::spawn(move || (reserve(&mut producer, asked), producer));
                eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
                consumer.try_chunk(2).unwrap().consume(2);
                assert_eq!(monitor.stats().items_written, 4, "not drained yet");
                consumer.try_chunk(1).unwrap().consume(1);
                let (reserved, producer) = writer.join().unwrap();
                assert_eq!(reserved, Ok(got));
                assert_eq!(monitor.stats().drains, 1);
                drop(producer);
            });
        }
    }
}

#[test]
fn reserve_obeys_the_signal_though_there_is_room_above_the_mark() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(0, 2, 4);
        assert_eq!(put(&mut producer, 0..2), Flow::Backpressure);
        for reserve in RESERVE_BRIEFLY.iter().chain(&RESERVE_UP_TO_BRIEFLY) {
            assert_eq!(reserve(&mut producer, 1), Err(ReserveError::Timeout));
            assert!(producer.need_drain());
        }
        // Which try_reserve leaves to the caller, as try_write does.
        assert_eq!(put(&mut producer, 2..4), Flow::Backpressure);
        assert!(consumer.try_chunk(0).unwrap().is_empty());
        let chunk = consumer.try_chunk(4).unwrap();
        assert!(!chunk.is_empty());
        chunk.consume_all();
        assert_eq!(RESERVE[0](&mut producer, 4), Ok(4));
    });
}

#[test]
fn a_reserve_that_times_out_leaves_need_drain_as_it_was() {
    deadline(|| {
        for reserve in RESERVE_BRIEFLY {
            // Not told to stop before ..
            let (mut producer, mut consumer) = ends(1, 4, 4);
            assert_eq!(put(&mut producer, 0..3), Flow::Ready);
            assert_eq!(reserve(&mut producer, 2), Err(ReserveError::Timeout));
            assert!(!producer.need_drain());
            assert_eq!(producer.monitor().stats().drains, 0);
            // .. told to stop before.
            assert_eq!(producer.try_write(3), Ok(Flow::Backpressure));
            assert_eq!(reserve(&mut producer, 3), Err(ReserveError::Timeout));
            assert!(producer.need_drain());
            assert_eq!(producer.len(), 4);
            assert!(consumer.try_iter().eq(0..4));
            assert!(!producer.need_drain());
            assert_eq!(producer.monitor().stats().drains, 1);
            assert_eq!(reserve(&mut producer, 3), Ok(3), "what is there is given");
        }
        for reserve in RESERVE_UP_TO_BRIEFLY {
            // Full, but at the low mark, and so drained.
            let (mut producer, mut consumer) = ends(2, 2, 2);
            assert_eq!(put(&mut producer, 0..2), Flow::Backpressure);
            assert!(!producer.need_drain());
            assert_eq!(reserve(&mut producer, 1), Err(ReserveError::Timeout));
            assert!(!producer.need_drain());
            assert_eq!(consumer.try_read(), Ok(0));
            assert_eq!(reserve(&mut producer, 9), Ok(1));

            let (mut producer, _consumer) = ends(0, 2, 2);
            assert_eq!(put(&mut producer, 0..2), Flow::Backpressure);
            assert_eq!(reserve(&mut producer, 1), Err(ReserveError::Timeout));
            assert!(producer.need_drain());
        }
    });
}

#[test]
fn a_reserve_that_gave_up_is_woken_as_if_it_had_never_waited() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(2, 4, 4);
        let _ = put(&mut producer, 0..3);
        let timeout = producer.reserve_timeout(2, SHORT).unwrap_err();
        assert_eq!(timeout, ReserveError::Timeout);
        let before = producer.monitor().stats().producer_parks;
        let monitor = producer.monitor();
        let writer = thread::spawn(move || (producer.reserve(2).map(put_its_size), producer));
        eventually("it sleeps again", || {
            monitor.stats().producer_parks > before
        });
        assert_eq!(consumer.try_read(), Ok(0));
        assert_eq!(writer.join().unwrap().0, Ok(2));
    });
}

#[test]
fn what_waits_for_room_gets_closed_with_the_reason_also_in_its_sleep() {
    enum Goes {
        Cancels,
        Drops,
        Closes,
    }
    for reserve in RESERVE.into_iter().chain(RESERVE_UP_TO) {
        for goes in [Goes::Cancels, Goes::Drops, Goes::Closes] {
            deadline(move || {
                let (mut producer, mut consumer) = ends(0, 2, 2);
                let _ = put(&mut producer, 0..2);
                let monitor = producer.monitor();
                let writer = thread::spawn(move || (reserve(&mut producer, 2), producer));
                eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
                let reason = match goes {
                    Goes::Cancels => {
                        consumer.cancel("enough");
                        Some("enough".to_string())
                    }
                    Goes::Drops => {
                        drop(consumer);
                        None
                    }
                    Goes::Closes => {
                        consumer.close();
                        None
                    }
                };
                let (error, mut producer) = writer.join().unwrap();
                for error in [error, reserve(&mut producer, 1)] {
                    let Err(ReserveError::Closed(error)) = error else {
                        panic!("{error:?}");
                    };
                    assert_eq!(error.reason().map(ToString::to_string), reason);
                }
                assert_eq!(
                    producer.try_reserve(1).unwrap_err(),
                    TryReserveError::Closed
                );
                assert_eq!(
                    producer.try_reserve_up_to(1).unwrap_err(),
                    TryReserveError::Closed
                );
            });
        }
    }
}

#[test]
fn try_reserve_takes_up_to_the_capacity_or_says_would_block_and_stop() {
    let (mut producer, mut consumer) = ends(3, 4, 6);
    assert_eq!(put(&mut producer, 0..3), Flow::Ready);
    assert_eq!(put(&mut producer, 3..5), Flow::Backpressure);
    assert_eq!(
        producer.try_reserve(2).unwrap_err(),
        TryReserveError::WouldBlock
    );
    assert_eq!(producer.try_reserve_up_to(2).unwrap().capacity(), 1);
    assert_eq!(put(&mut producer, 5..6), Flow::Backpressure);
    assert_eq!(
        producer.try_reserve_up_to(2).unwrap_err(),
        TryReserveError::WouldBlock
    );
    assert!(producer.need_drain());
    assert_eq!(producer.len(), 6);
    assert!(consumer.try_iter().eq(0..6));
}

#[test]
fn drain_after_a_refused_chunk_means_that_there_is_room_for_it() {
    for wanted in 1..=4 {
        let (mut producer, mut consumer) = ends(1, 5, 5);
        let _ = put(&mut producer, 0..5);
        let refused = producer.try_reserve(wanted).unwrap_err();
        assert_eq!(refused, TryReserveError::WouldBlock);
        for left in (0..5).rev() {
            consumer.try_read().unwrap();
            let drained = left <= 1 && left + wanted <= 5;
            assert_eq!(producer.need_drain(), !drained, "{wanted}, {left} left");
        }
        assert_eq!(producer.monitor().stats().drains, 1);
        assert!(producer.try_reserve(wanted).is_ok());
    }
}

#[test]
fn a_chunk_that_could_never_be_had_is_too_large_and_the_error_has_the_numbers() {
    deadline(|| {
        let (mut producer, mut consumer) = ends::<usize>(2, 4, 5);
        for slots in [6, usize::MAX] {
            assert_eq!(
                producer.try_reserve(slots).unwrap_err(),
                TryReserveError::TooLarge { slots, most: 3 }
            );
            assert_eq!(
                consumer.try_chunk(slots).unwrap_err(),
                TryChunkError::TooLarge {
                    items: slots,
                    most: 5
                }
            );
        }
        assert_eq!((producer.max_reserve(), consumer.max_chunk()), (3, 3));
        for reserve in RESERVE.into_iter().chain(RESERVE_BRIEFLY) {
            for slots in [4, usize::MAX] {
                assert_eq!(
                    reserve(&mut producer, slots),
                    Err(ReserveError::TooLarge { slots, most: 3 })
                );
            }
        }
        for chunk in CHUNK.into_iter().chain(CHUNK_BRIEFLY) {
            for items in [4, usize::MAX] {
                assert_eq!(
                    chunk(&mut consumer, items),
                    Err(ChunkError::TooLarge { items, most: 3 })
                );
            }
        }
        assert!(!producer.need_drain(), "nobody was told to stop");
        // The bounds move with the mark.
        producer.set_low_water_mark(1).unwrap();
        assert_eq!((producer.max_reserve(), consumer.max_chunk()), (4, 2));
        assert!(producer.reserve(4).is_ok());
    });
}

#[test]
fn a_low_mark_that_sinks_ends_the_sleep_of_a_consumer_that_waits_for_more() {
    for chunk in CHUNK {
        deadline(move || {
            let (mut producer, mut consumer) = ends(2, 4, 4);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || (chunk(&mut consumer, 3), consumer));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            let _ = put(&mut producer, 0..2);
            producer.set_low_water_mark(1).unwrap();
            let (error, mut consumer) = reader.join().unwrap();
            assert_eq!(error, Err(ChunkError::TooLarge { items: 3, most: 2 }));
            assert_eq!(chunk(&mut consumer, 2), Ok(vec![0, 1]));
        });
    }
}

#[test]
fn whatever_the_marks_one_of_two_ends_that_wait_for_each_other_has_enough() {
    deadline(|| {
        for capacity in 1..=4 {
            for high in 0..=capacity {
                for low in 0..=high {
                    for len in 0..=capacity {
                        for singly in [false, true] {
                            let (mut producer, mut consumer) = ends(low, high, capacity);
                            for i in 0..len {
                                let _ = producer.try_write(i).unwrap();
                            }
                            let waits = if singly {
                                producer.write_timeout(len, Duration::ZERO).is_err()
                            } else {
                                let slots = producer.max_reserve().max(1);
                                let room = producer.reserve_timeout(slots, Duration::ZERO);
                                matches!(room, Err(ReserveError::Timeout))
                            };
                            let items = consumer.max_chunk();
                            if waits {
                                let what = (low, high, capacity, len, singly);
                                assert!(consumer.try_chunk(items).is_ok(), "{what:?}");
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn with_both_marks_at_the_capacity_a_chunk_larger_than_that_is_too_large_and_not_waited_for() {
    deadline(|| {
        let (_producer, mut consumer) = ends::<usize>(2, 2, 2);
        let error = consumer.chunk_timeout(3, Duration::ZERO).unwrap_err();
        assert_eq!(error, ChunkError::TooLarge { items: 3, most: 2 });
    });
}

#[test]
fn a_drain_after_a_refused_try_reserve_does_not_wait_for_a_consumer_that_waits_for_items() {
    // Who is refused waits for drain, as the error says; and the consumer for as many as it may.
    for wanted in 1..=4 {
        let (mut producer, mut consumer) = ends(2, 4, 4);
        let _ = put(&mut producer, 0..2);
        let refused = producer.try_reserve(wanted).is_err();
        let both_wait =
            refused && producer.need_drain() && consumer.try_chunk(consumer.max_chunk()).is_err();
        assert!(!both_wait, "{wanted} slots of 4, low mark 2");
    }
}

#[test]
fn the_bound_leaves_two_threads_no_way_to_wait_for_each_other() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };
    for (low, capacity) in [(0, 1), (0, 3), (1, 3), (2, 3), (3, 4), (2, 7)] {
        deadline(move || {
            let (mut producer, mut consumer) = ends(low, capacity, capacity);
            let (slots, items) = (producer.max_reserve(), consumer.max_chunk());
            let writer = thread::spawn(move || {
                for round in 0..ROUNDS {
                    let mut chunk = producer.reserve(slots).unwrap();
                    chunk.fill(round * slots..);
                    let _ = chunk.commit();
                }
                producer.end();
            });
            let mut read = 0;
            loop {
                match consumer.chunk(items) {
                    Ok(chunk) => {
                        assert!(chunk.len() == items || read + chunk.len() == ROUNDS * slots);
                        for item in chunk {
                            assert_eq!(item, read);
                            read += 1;
                        }
                    }
                    Err(error) => {
                        assert_eq!(error, ChunkError::Read(ReadTimeoutError::Ended));
                        break;
                    }
                }
            }
            assert_eq!(read, ROUNDS * slots);
            writer.join().unwrap();
        });
    }
}

// ---------------------------------------------------------------- filling

#[test]
fn a_write_chunk_takes_as_much_as_it_has_slots_and_the_consumer_sees_nothing_before_the_commit() {
    let (mut producer, mut consumer) = ends(0, 5, 5);
    let monitor = producer.monitor();
    let mut chunk = producer.try_reserve(5).unwrap();
    assert_eq!(
        format!("{chunk:?}"),
        "WriteChunk { capacity: 5, len: 0, .. }"
    );
    assert!(chunk.is_empty());
    chunk.push(0).unwrap();
    assert!(!chunk.is_empty());
    assert_eq!(chunk.fill_from_slice(&[1, 2]), 2);
    let mut more = 3..;
    assert_eq!(chunk.fill(&mut more), 2);
    assert_eq!(more.next(), Some(5), "no more was taken than fits");
    assert_eq!(chunk.push(5), Err(5));
    assert_eq!(chunk.fill_from_slice(&[5]), 0);
    assert_eq!(chunk.fill_with(|| unreachable!("no slot is left")), 0);
    assert_eq!((chunk.len(), chunk.capacity()), (5, 5));
    assert_eq!(monitor.len(), 0);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    assert_eq!(chunk.commit(), Flow::Backpressure);
    assert!(consumer.try_iter().eq(0..5));
}

#[test]
fn an_iterator_is_left_alone_after_its_first_none_also_at_the_edge_of_the_ring() {
    // The edge lies after the fourth item: the first `None` comes before it, right at it, and after it.
    for before in 0..=6 {
        let (mut producer, mut consumer) = ends(0, 8, 8);
        let mut chunk = producer.try_reserve(6).unwrap();
        let mut asked = 0;
        let items = std::iter::from_fn(|| {
            asked += 1;
            (asked != before + 1).then_some(asked)
        });
        assert_eq!(chunk.fill(items), before, "{before}");
        assert_eq!(chunk.len(), before);
        let _ = chunk.commit();
        assert!(consumer.try_iter().eq(1..=before));
    }
}

#[test]
fn what_was_put_in_can_be_changed_before_the_commit_across_the_edge_of_the_ring() {
    // The edge lies after the fourth item.
    let (mut producer, mut consumer) = ends(0, 8, 8);
    let mut chunk = producer.try_reserve(6).unwrap();
    chunk.fill(0..6);
    let (first, second) = chunk.as_mut_slices();
    assert_eq!((&*first, &*second), (&[0, 1, 2, 3][..], &[4, 5][..]));
    second.reverse();
    first[0] = 9;
    let _ = chunk.commit();
    assert!(consumer.try_iter().eq([9, 1, 2, 3, 5, 4]));
}

#[test]
fn a_commit_is_judged_by_the_length_after_it() {
    for high in 0..=5 {
        for count in 0..=5 {
            let (mut producer, _consumer) = ends(0, high, 5);
            let stops = count >= high.max(1);
            assert_eq!(put(&mut producer, 0..count).is_backpressure(), stops);
            assert_eq!(producer.need_drain(), stops, "{count}, mark {high}");
        }
    }
}

#[test]
fn a_commit_finds_the_drain_before_it() {
    let (mut producer, mut consumer) = ends(1, 3, 3);
    let _ = put(&mut producer, 0..3);
    // Open across the drain; the reservation comes before it.
    consumer.try_chunk(1).unwrap().consume(1);
    let mut chunk = producer.try_reserve(1).unwrap();
    consumer.try_chunk(1).unwrap().consume(1);
    chunk.push(3).unwrap();
    assert_eq!(chunk.commit(), Flow::Ready);
    let stats = producer.monitor().stats();
    assert_eq!((stats.times_told_to_stop, stats.drains), (1, 1));
}

#[test]
fn an_empty_commit_writes_nothing_and_says_what_held_before() {
    let (mut producer, mut consumer) = ends(0, 2, 4);
    assert_eq!(producer.try_reserve(2).unwrap().commit(), Flow::Ready);
    let _ = put(&mut producer, 0..2);
    let chunk = producer.try_reserve(2).unwrap();
    assert_eq!(chunk.commit(), Flow::Backpressure);
    assert_eq!(producer.len(), 2);
    consumer.try_chunk(2).unwrap().consume_all();
    assert_eq!(producer.try_reserve(0).unwrap().commit(), Flow::Ready);
}

#[test]
fn a_part_commit_writes_the_first_and_drops_the_rest_once() {
    for committed in 0..=4 {
        let drops = Drops::new();
        let (mut producer, mut consumer) = ends(0, 6, 6);
        let mut chunk = producer.try_reserve(5).unwrap();
        for _ in 0..4 {
            assert!(chunk.push(drops.item()).is_ok());
        }
        let _ = chunk.commit_first(committed);
        assert_eq!(drops.alive(), committed);
        assert_eq!(producer.len(), committed);
        let ids: Vec<_> = consumer.try_iter().map(|item| item.id).collect();
        assert!(ids.into_iter().eq(0..committed));
        drops.assert_each_dropped_once();
    }
}

#[test]
fn a_part_commit_in_a_large_channel_leaves_the_rest_as_it_is_until_it_is_dropped() {
    // What follows a commit is claimed for the next one, but not if something is there: below the mark, and when the chunk was
    // made while the producer was told to stop, which the commit finds to be over.
    for is_stopped in [false, true] {
        for committed in [0, 1, 63, 64, 65, 128, 199, 200] {
            let drops = Drops::new();
            let (mut producer, mut consumer) = ends(0, 256, 512);
            let before = if is_stopped { 256 } else { 0 };
            for _ in 0..before {
                assert!(producer.try_write(drops.item()).is_ok());
            }
            assert_eq!(producer.need_drain(), is_stopped);
            let mut chunk = producer.try_reserve_up_to(200).unwrap();
            for _ in 0..200 {
                assert!(chunk.push(drops.item()).is_ok());
            }
            assert_eq!(consumer.try_iter().count(), before);
            let _ = chunk.commit_first(committed);
            assert_eq!(drops.alive(), committed);
            let ids: Vec<_> = consumer.try_iter().map(|item| item.id - before).collect();
            assert!(ids.into_iter().eq(0..committed));
            drops.assert_each_dropped_once();
        }
    }
}

#[test]
fn a_commit_of_more_than_was_put_in_panics_and_commits_nothing() {
    // Below the mark, and up to it.
    for capacity in [8, 4] {
        let drops = Drops::new();
        let (mut producer, mut consumer) = ends(0, capacity, capacity);
        assert!(producer.try_write(drops.item()).is_ok());
        let mut chunk = producer.try_reserve(3).unwrap();
        chunk.fill((0..2).map(|_| drops.item()));
        let panic = catch_unwind(AssertUnwindSafe(|| chunk.commit_first(3))).unwrap_err();
        let said = panic.downcast_ref::<String>().unwrap();
        assert_eq!(said, "3 items are more than the 2 that were put in");
        assert_eq!(producer.len(), 1);
        // What was put in belongs to the chunk, and goes with it.
        assert_eq!(drops.alive(), 1);
        assert!(consumer.try_read().is_ok());
        assert!(consumer.try_read().is_err());
        assert_eq!(producer.try_reserve(capacity).unwrap().capacity(), capacity);
        drops.assert_each_dropped_once();
    }
}

#[test]
fn an_iterator_that_panics_leaves_what_it_gave_in_the_chunk() {
    for commits in [false, true] {
        for with in [false, true] {
            let drops = Drops::new();
            let (mut producer, mut consumer) = ends(0, 8, 8);
            let mut chunk = producer.try_reserve(6).unwrap();
            let mut left = 4;
            let make = || {
                assert!(left > 0, "no more");
                left -= 1;
                drops.item()
            };
            assert!(panics(|| if with {
                chunk.fill_with(make)
            } else {
                chunk.fill(std::iter::repeat_with(make))
            }));
            assert_eq!((chunk.len(), drops.alive()), (4, 4));
            if commits {
                assert!(chunk.push(drops.item()).is_ok(), "it goes on as before");
                assert_eq!(chunk.commit(), Flow::Ready);
                let ids = consumer.try_iter().map(|item| item.id);
                assert!(ids.eq(0..5));
            } else {
                drop(chunk);
                assert_eq!(producer.len(), 0);
            }
            drops.assert_each_dropped_once();
        }
    }
}

#[test]
fn a_drop_that_panics_in_a_dropped_chunk_or_the_rest_of_a_commit_does_not_keep_the_others_alive() {
    for committed in [None, Some(0), Some(1)] {
        let drops = Drops::new();
        let (mut producer, mut consumer) = ends(0, 8, 8);
        let mut chunk = producer.try_reserve(6).unwrap();
        for i in 0..5 {
            let item = if i == 2 {
                drops.panicking_item()
            } else {
                drops.item()
            };
            assert!(chunk.push(item).is_ok());
        }
        assert!(panics(|| match committed {
            None => drop(chunk),
            Some(count) => drop(chunk.commit_first(count)),
        }));
        assert_eq!(producer.len(), committed.unwrap_or(0));
        assert!(
            producer.try_write(drops.item()).is_ok(),
            "as whole as before"
        );
        assert_eq!(consumer.try_iter().count(), committed.unwrap_or(0) + 1);
        drops.assert_each_dropped_once();
    }
}

#[test]
fn uninitialised_slots_are_those_that_are_not_filled_and_count_when_one_says_so() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 8, 8);
    let mut chunk = producer.try_reserve(6).unwrap();
    assert!(chunk.push(drops.item()).is_ok());
    let (first, second) = chunk.as_uninit();
    assert_eq!(
        (first.len(), second.len()),
        (3, 2),
        "the edge is in between"
    );
    for slot in first.iter_mut().chain(&mut second[..1]) {
        slot.write(drops.item());
    }
    // SAFETY: four slots have been written.
    unsafe { chunk.assume_init(4) };
    assert_eq!(chunk.len(), 5);
    let (first, second) = chunk.as_uninit();
    assert_eq!((first.len(), second.len()), (1, 0));
    // SAFETY: of none is said that it was written.
    unsafe { chunk.assume_init(0) };
    let _ = chunk.commit();
    assert!(consumer.try_iter().map(|item| item.id).eq(0..5));
    drops.assert_each_dropped_once();
}

#[test]
fn to_claim_more_slots_than_there_are_panics_and_changes_nothing() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 4, 4);
    let mut chunk = producer.try_reserve(2).unwrap();
    assert!(chunk.push(drops.item()).is_ok());
    for count in [2, 3, usize::MAX] {
        // SAFETY: panics before it relies on anything.
        assert!(panics(|| unsafe { chunk.assume_init(count) }));
    }
    assert_eq!(chunk.len(), 1);
    let _ = chunk.commit();
    assert_eq!(consumer.try_iter().count(), 1);
    drops.assert_each_dropped_once();
}

#[test]
fn slots_that_were_written_and_not_claimed_are_not_dropped() {
    let drops = Drops::new();
    let (mut producer, _consumer) = ends(0, 4, 4);
    let mut chunk = producer.try_reserve(2).unwrap();
    chunk.as_uninit().0[0].write(drops.item());
    drop(chunk);
    assert_eq!(drops.alive(), 1, "leaked, as of any MaybeUninit");
}

#[test]
fn a_chunk_committed_after_the_consumer_went_is_dropped_and_the_next_operation_says_so() {
    let drops = Drops::new();
    let (mut producer, consumer) = ends(0, 4, 4);
    let mut chunk = producer.try_reserve(2).unwrap();
    chunk.fill_with(|| drops.item());
    drop(consumer);
    let _ = chunk.commit();
    assert_eq!(
        producer.try_reserve(1).unwrap_err(),
        TryReserveError::Closed
    );
    drops.assert_each_dropped_once();
}

#[test]
fn a_chunk_committed_after_a_close_can_still_be_read() {
    let (mut producer, mut consumer) = ends(0, 4, 4);
    let mut chunk = producer.try_reserve(2).unwrap();
    chunk.fill(0..);
    consumer.close();
    let _ = chunk.commit();
    assert!(producer.is_closed());
    assert!(consumer.chunk_up_to(4).unwrap().into_iter().eq(0..2));
    assert_eq!(consumer.read(), Err(ReadError::Ended));
}

// ---------------------------------------------------------------- reading

#[test]
fn what_waits_for_items_returns_at_once_when_they_are_there() {
    deadline(|| {
        for chunk in CHUNK.iter().chain(&CHUNK_BRIEFLY) {
            let (mut producer, mut consumer) = ends(2, 5, 5);
            let _ = put(&mut producer, 0..4);
            assert_eq!(chunk(&mut consumer, 0), Ok(vec![]));
            assert_eq!(chunk(&mut consumer, 3), Ok(vec![0, 1, 2]));
            assert_eq!(chunk(&mut consumer, 1), Ok(vec![3]));
            assert_eq!(producer.monitor().stats().consumer_parks, 0);
        }
        for chunk in CHUNK_UP_TO.iter().chain(&CHUNK_UP_TO_BRIEFLY) {
            let (mut producer, mut consumer) = ends(0, 5, 5);
            let _ = put(&mut producer, 0..4);
            assert_eq!(chunk(&mut consumer, 0), Ok(vec![]));
            assert_eq!(chunk(&mut consumer, 3), Ok(vec![0, 1, 2]));
            assert_eq!(chunk(&mut consumer, usize::MAX), Ok(vec![3]));
            assert_eq!(producer.monitor().stats().consumer_parks, 0);
        }
    });
}

#[test]
fn chunk_sleeps_until_all_of_it_is_there_and_chunk_up_to_until_one_is() {
    for chunk in CHUNK {
        deadline(move || {
            let (mut producer, mut consumer) = ends(2, 5, 5);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || (chunk(&mut consumer, 3), consumer));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            let _ = put(&mut producer, 0..2);
            assert_eq!(monitor.stats().items_read, 0, "two are not three");
            let _ = put(&mut producer, 2..4);
            let (items, consumer) = reader.join().unwrap();
            assert_eq!(items, Ok(vec![0, 1, 2]));
            assert_eq!(consumer.len(), 1);
            assert!(monitor.stats().consumer_wake_ups <= 1);
        });
    }
    for chunk in CHUNK_UP_TO {
        deadline(move || {
            let (mut producer, mut consumer) = ends(2, 5, 5);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || (chunk(&mut consumer, 3), consumer));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            let _ = put(&mut producer, 0..4);
            let (items, consumer) = reader.join().unwrap();
            assert_eq!(items, Ok(vec![0, 1, 2]));
            assert_eq!(consumer.len(), 1);
        });
    }
}

#[test]
fn a_chunk_that_does_not_come_in_time_takes_nothing() {
    deadline(|| {
        let timeout = Err(ChunkError::Read(ReadTimeoutError::Timeout));
        let (mut producer, mut consumer) = ends(2, 5, 5);
        for chunk in CHUNK_UP_TO_BRIEFLY.into_iter().chain(CHUNK_BRIEFLY) {
            assert_eq!(chunk(&mut consumer, 1), timeout);
        }
        let _ = put(&mut producer, 0..2);
        for chunk in CHUNK_BRIEFLY {
            assert_eq!(chunk(&mut consumer, 3), timeout);
        }
        assert_eq!(
            consumer.try_chunk(3).unwrap_err(),
            TryChunkError::Read(TryReadError::Empty)
        );
        assert_eq!(consumer.len(), 2);
        let _ = put(&mut producer, 2..3);
        assert_eq!(CHUNK[0](&mut consumer, 3), Ok(vec![0, 1, 2]));
    });
}

#[test]
fn the_last_chunk_is_shorter_whether_the_stream_ends_or_breaks_off() {
    for ends_cleanly in [false, true] {
        for chunk in CHUNK.into_iter().chain(CHUNK_BRIEFLY) {
            deadline(move || {
                let (mut producer, mut consumer) = ends(2, 5, 5);
                let _ = put(&mut producer, 0..5);
                let error = if ends_cleanly {
                    producer.end();
                    ReadTimeoutError::Ended
                } else {
                    drop(producer);
                    ReadTimeoutError::Abandoned
                };
                assert_eq!(chunk(&mut consumer, 3), Ok(vec![0, 1, 2]));
                assert_eq!(consumer.try_chunk(3).unwrap().len(), 2);
                assert_eq!(chunk(&mut consumer, 3), Ok(vec![3, 4]));
                assert_eq!(chunk(&mut consumer, 1), Err(error.clone().into()));
                assert_eq!(CHUNK_UP_TO[0](&mut consumer, 1), Err(error.into()));
                let error = consumer.try_chunk(1).unwrap_err();
                assert!(matches!(
                    error,
                    TryChunkError::Read(TryReadError::Ended | TryReadError::Abandoned)
                ));
            });
        }
    }
}

#[test]
fn a_consumer_that_sleeps_for_more_gets_the_last_chunk_when_the_producer_goes() {
    for ends_cleanly in [false, true] {
        for chunk in CHUNK {
            deadline(move || {
                let (mut producer, mut consumer) = ends(2, 5, 5);
                let monitor = producer.monitor();
                let _ = put(&mut producer, 0..1);
                let reader = thread::spawn(move || (chunk(&mut consumer, 3), consumer));
                eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
                let _ = put(&mut producer, 1..2);
                let error = if ends_cleanly {
                    producer.end();
                    ReadError::Ended
                } else {
                    drop(producer);
                    ReadError::Abandoned
                };
                let (items, mut consumer) = reader.join().unwrap();
                assert_eq!(items, Ok(vec![0, 1]));
                assert_eq!(consumer.read(), Err(error));
            });
        }
    }
}

#[test]
fn an_abort_is_the_next_answer_also_to_a_consumer_that_sleeps_for_more() {
    for chunk in CHUNK {
        deadline(move || {
            let (mut producer, mut consumer) = ends(2, 5, 5);
            let monitor = producer.monitor();
            let _ = put(&mut producer, 0..2);
            let reader = thread::spawn(move || (chunk(&mut consumer, 3), consumer));
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            producer.abort("because");
            let (items, mut consumer) = reader.join().unwrap();
            let Err(ChunkError::Read(ReadTimeoutError::Aborted(reason))) = items else {
                panic!("{items:?}");
            };
            assert_eq!(reason.to_string(), "because");
            for chunk in CHUNK.iter().chain(&CHUNK_UP_TO).chain(&CHUNK_BRIEFLY) {
                let error = chunk(&mut consumer, 1).unwrap_err();
                assert!(matches!(
                    error,
                    ChunkError::Read(ReadTimeoutError::Aborted(_))
                ));
            }
        });
    }
}

#[test]
fn an_abort_while_a_chunk_is_read_does_not_touch_it_and_drops_the_rest_in_the_next_operation() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 4, 4);
    for _ in 0..4 {
        assert!(producer.try_write(drops.item()).is_ok());
    }
    let chunk = consumer.try_chunk(3).unwrap();
    producer.abort("because");
    assert_eq!(drops.alive(), 4);
    chunk.consume(1);
    assert_eq!(drops.alive(), 3);
    assert!(matches!(
        consumer.try_chunk(1),
        Err(TryChunkError::Read(TryReadError::Aborted(_)))
    ));
    drops.assert_each_dropped_once();
}

#[test]
fn a_chunk_is_looked_at_where_it_lies_and_what_is_not_taken_stays() {
    let (mut producer, mut consumer) = ends(0, 8, 8);
    let _ = put(&mut producer, 0..6);
    let mut chunk = consumer.try_chunk(6).unwrap();
    assert_eq!(format!("{chunk:?}"), "[0, 1, 2, 3, 4, 5]");
    assert_eq!(chunk.as_slices(), (&[0, 1, 2, 3][..], &[4, 5][..]));
    let (first, second) = chunk.as_mut_slices();
    (first[0], second[1]) = (7, 8);
    drop(chunk);
    assert_eq!(consumer.len(), 6, "nothing was taken");
    assert_eq!(consumer.peek(), Some(&7));
    consumer.try_chunk_up_to(4).unwrap().consume(1);
    let mut iter = consumer.try_chunk(3).unwrap().into_iter();
    assert_eq!((iter.len(), iter.next(), iter.len()), (3, Some(1), 2));
    assert_eq!(iter.next(), Some(2));
    drop(iter);
    let mut iter = consumer.try_chunk(2).unwrap().into_iter();
    assert_eq!(iter.by_ref().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(iter.next(), None);
    drop(iter);
    assert_eq!(consumer.try_read(), Ok(8));
    assert_eq!(producer.monitor().stats().items_read, 6);
}

#[test]
fn slots_come_back_when_the_chunk_goes_and_not_item_by_item() {
    let (mut producer, mut consumer) = ends(0, 4, 4);
    let _ = put(&mut producer, 0..4);
    let mut iter = consumer.try_chunk(4).unwrap().into_iter();
    assert!(iter.by_ref().take(3).eq(0..3));
    assert_eq!(producer.len(), 4);
    assert!(producer.need_drain());
    drop(iter);
    assert_eq!(producer.len(), 1);
    assert_eq!(producer.try_reserve(3).unwrap().capacity(), 3);
}

#[test]
fn to_consume_more_than_there_is_panics_and_takes_nothing() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 4, 4);
    for _ in 0..3 {
        assert!(producer.try_write(drops.item()).is_ok());
    }
    for count in [3, 4, usize::MAX] {
        let chunk = consumer.try_chunk(2).unwrap();
        assert!(panics(|| chunk.consume(count)));
    }
    assert_eq!(drops.alive(), 3);
    assert!(consumer.try_iter().map(|item| item.id).eq(0..3));
    drops.assert_each_dropped_once();

    // Of items that need no drop, which are given back without a look at each.
    let (mut producer, mut consumer) = ends(0, 4, 4);
    producer.write_all(&[0, 1, 2]).unwrap();
    for count in [3, 4, usize::MAX] {
        let chunk = consumer.try_chunk(2).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| chunk.consume(count))).unwrap_err();
        let said = panic.downcast_ref::<String>().unwrap();
        assert_eq!(
            *said,
            format!("{count} items are more than the 2 of this chunk")
        );
    }
    assert!(consumer.try_iter().eq(0..3));
}

#[test]
fn a_drop_that_panics_while_a_chunk_is_consumed_takes_all_of_it_and_gives_the_slots_back() {
    for bad in 0..3 {
        let drops = Drops::new();
        let (mut producer, mut consumer) = ends(0, 5, 5);
        for i in 0..5 {
            let item = if i == bad {
                drops.panicking_item()
            } else {
                drops.item()
            };
            assert!(producer.try_write(item).is_ok());
        }
        let chunk = consumer.try_chunk(4).unwrap();
        assert!(panics(|| chunk.consume(3)));
        assert_eq!(drops.alive(), 2);
        assert_eq!(producer.len(), 2);
        assert_eq!(producer.try_reserve(3).unwrap().capacity(), 3);
        assert!(consumer.try_iter().map(|item| item.id).eq(3..5));
        drops.assert_each_dropped_once();
    }
}

#[test]
fn a_panic_while_a_chunk_is_iterated_takes_what_was_taken_and_leaves_the_rest() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 5, 5);
    for _ in 0..5 {
        assert!(producer.try_write(drops.item()).is_ok());
    }
    let chunk = consumer.try_chunk(4).unwrap();
    assert!(panics(|| chunk
        .into_iter()
        .for_each(|item| assert_ne!(item.id, 1))));
    assert_eq!(producer.len(), 3);
    assert!(consumer.try_iter().map(|item| item.id).eq(2..5));
    drops.assert_each_dropped_once();
}

#[test]
fn a_chunk_of_a_weighted_channel_takes_the_weight_of_its_items_off() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(100)
        .low_water_mark(10)
        .capacity(8)
        .first_index(usize::MAX - 3)
        .build::<usize>()
        .unwrap();
    for weight in [10, 20, 30, 0, 40, 5] {
        let _ = producer.try_write(weight).unwrap();
    }
    let mut chunk = consumer.try_chunk_up_to(9).unwrap();
    assert_eq!(chunk.len(), 6);
    chunk.as_mut_slices().0[0] = 77; // counts what it counted at the write
    chunk.consume(1);
    assert_eq!(producer.len(), 95);
    let mut iter = consumer.chunk_up_to(4).unwrap().into_iter();
    assert!(iter.by_ref().take(3).eq([20, 30, 0]));
    drop(iter);
    assert_eq!((producer.len(), consumer.len()), (45, 45));
    assert!(producer.need_drain());
    consumer.try_chunk_up_to(1).unwrap().consume_all();
    assert_eq!(producer.len(), 5);
    assert!(!producer.need_drain());
}

#[test]
fn items_without_a_size_go_through_chunks_too() {
    let (mut producer, mut consumer) = ends(0, 5, 5);
    let mut chunk = producer.try_reserve(5).unwrap();
    assert_eq!(chunk.fill_from_slice(&[(); 9]), 5);
    let _ = chunk.commit();
    let chunk = consumer.try_chunk(4).unwrap();
    let (first, second) = chunk.as_slices();
    assert_eq!(first.len() + second.len(), 4);
    assert_eq!(chunk.into_iter().count(), 4);
    assert_eq!(producer.len(), 1);
}

// ---------------------------------------------------------------- forgotten guards

#[test]
fn a_write_chunk_that_is_forgotten_leaks_what_was_put_in_and_nothing_else() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 3, 3);
    let mut chunk = producer.try_reserve(3).unwrap();
    chunk.fill((0..2).map(|_| drops.item()));
    mem::forget(chunk);
    assert_eq!(producer.len(), 0);
    for _ in 0..3 {
        assert!(producer.try_write(drops.item()).is_ok());
    }
    assert!(consumer.try_iter().map(|item| item.id).eq(2..5));
    drop((producer, consumer));
    assert_eq!(drops.alive(), 2);
    assert!(drops.is_alive(0) && drops.is_alive(1));
}

#[test]
fn a_read_chunk_that_is_forgotten_takes_nothing() {
    let drops = Drops::new();
    let (mut producer, mut consumer) = ends(0, 3, 3);
    for _ in 0..3 {
        assert!(producer.try_write(drops.item()).is_ok());
    }
    mem::forget(consumer.try_chunk(2).unwrap());
    assert_eq!(consumer.len(), 3);
    assert!(consumer.try_iter().map(|item| item.id).eq(0..3));
    drops.assert_each_dropped_once();
}

#[test]
fn an_iterator_of_a_chunk_that_is_forgotten_gives_the_slots_back_with_the_next_operation() {
    type Next = fn(Consumer<Counted>) -> Option<Consumer<Counted>>;
    let nexts: [Next; 9] = [
        |mut consumer| {
            assert!(consumer.try_chunk(0).ok()?.is_empty());
            Some(consumer)
        },
        |mut consumer| {
            assert_eq!(consumer.try_read().ok()?.id, 2);
            Some(consumer)
        },
        |mut consumer| {
            assert_eq!(consumer.read().ok()?.id, 2);
            Some(consumer)
        },
        |mut consumer| {
            assert_eq!(consumer.peek()?.id, 2);
            Some(consumer)
        },
        |mut consumer| {
            let chunk = consumer.try_chunk(2).ok()?;
            assert_eq!(chunk.as_slices().0[0].id, 2);
            drop(chunk);
            Some(consumer)
        },
        |mut consumer| {
            consumer.chunk_up_to(9).ok()?.consume(1);
            Some(consumer)
        },
        |mut consumer| {
            let error = consumer.chunk_timeout(3, Duration::ZERO);
            assert!(matches!(error, Err(ChunkError::TooLarge { .. })));
            drop(error);
            assert!(consumer.try_chunk(3).is_err());
            Some(consumer)
        },
        |consumer| {
            drop(consumer);
            None
        },
        |consumer| {
            consumer.cancel("enough");
            None
        },
    ];
    deadline(move || {
        for next in nexts {
            let drops = Drops::new();
            let (mut producer, mut consumer) = ends(1, 4, 4);
            for _ in 0..4 {
                assert!(producer.try_write(drops.item()).is_ok());
            }
            let mut iter = consumer.try_chunk(3).unwrap().into_iter();
            assert!(iter.by_ref().take(2).map(|item| item.id).eq(0..2));
            mem::forget(iter);
            assert_eq!(producer.len(), 4);
            assert_eq!(drops.alive(), 2, "what was taken is gone");
            let consumer = next(consumer);
            assert!(producer.len() <= 2);
            assert_eq!(producer.is_closed(), consumer.is_none());
            drop((producer, consumer));
            drops.assert_each_dropped_once();
        }
    });
}

#[test]
fn a_producer_asleep_is_woken_by_the_operation_after_a_forgotten_iterator() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(1, 3, 3);
        let monitor = producer.monitor();
        let _ = put(&mut producer, 0..3);
        let writer = thread::spawn(move || producer.write(3).map(|()| producer).unwrap());
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        let mut iter = consumer.try_chunk(3).unwrap().into_iter();
        assert!(iter.by_ref().eq(0..3));
        mem::forget(iter);
        assert_eq!(consumer.read(), Ok(3));
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_batch_that_is_forgotten_comes_with_the_next_operation() {
    type Next = fn(Producer<Counted>, &Drops) -> Option<Producer<Counted>>;
    let nexts: [(Next, usize); 9] = [
        (
            |mut producer, drops| {
                assert_eq!(producer.try_write(drops.item()).ok()?, Flow::Backpressure);
                Some(producer)
            },
            3,
        ),
        (
            |mut producer, drops| {
                producer.write(drops.item()).ok()?;
                Some(producer)
            },
            3,
        ),
        (
            |mut producer, _| {
                drop(producer.batch());
                Some(producer)
            },
            2,
        ),
        (
            |mut producer, drops| {
                let mut chunk = producer.try_reserve(1).ok()?;
                chunk.push(drops.item()).ok()?;
                let _ = chunk.commit();
                Some(producer)
            },
            3,
        ),
        (
            |mut producer, _| {
                assert!(producer.reserve_timeout(2, Duration::ZERO).is_err());
                Some(producer)
            },
            2,
        ),
        (
            |mut producer, _| {
                producer.wait_drain().ok()?;
                Some(producer)
            },
            2,
        ),
        (
            |producer, _| {
                assert_eq!(producer.end().try_wait(), Ok(false));
                None
            },
            2,
        ),
        (|_producer, _| None, 2),
        (
            |mut producer, _| {
                let mut batch = producer.batch();
                batch.flush();
                mem::forget(batch);
                Some(producer)
            },
            2,
        ),
    ];
    deadline(move || {
        for (next, written) in nexts {
            let drops = Drops::new();
            let (mut producer, mut consumer) = ends(1, 3, 3);
            let mut batch = producer.batch();
            for _ in 0..2 {
                assert!(batch.try_write(drops.item()).is_ok());
            }
            mem::forget(batch);
            assert_eq!(producer.len(), 2);
            assert_eq!(consumer.try_iter().count(), 0);
            let producer = next(producer, &drops);
            assert!(consumer.try_iter().map(|item| item.id).eq(0..written));
            drop((producer, consumer));
            drops.assert_each_dropped_once();
        }
    });
}

#[test]
fn a_batch_that_is_forgotten_is_dropped_with_the_channel_or_by_an_abort() {
    for aborts in [false, true] {
        for consumer_first in [false, true] {
            let drops = Drops::new();
            let (mut producer, consumer) = ends(0, 3, 3);
            let mut consumer = Some(consumer);
            let mut batch = producer.batch();
            for _ in 0..2 {
                assert!(batch.try_write(drops.item()).is_ok());
            }
            mem::forget(batch);
            if consumer_first {
                consumer = None;
            }
            if aborts {
                producer.abort("because");
            } else {
                drop(producer);
            }
            if let (true, Some(consumer)) = (aborts, &mut consumer) {
                assert!(matches!(consumer.try_read(), Err(TryReadError::Aborted(_))));
            }
            drop(consumer);
            drops.assert_each_dropped_once();
        }
    }
}

// ---------------------------------------------------------------- batches

#[test]
fn a_batch_counts_what_it_holds_back_and_publishes_it_as_one() {
    let (mut producer, mut consumer) = ends(0, 3, 4);
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(0), Ok(Flow::Ready));
    assert_eq!(batch.try_write(1), Ok(Flow::Ready));
    assert_eq!(batch.producer().len(), 2);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    assert_eq!(batch.try_write(2), Ok(Flow::Backpressure));
    assert!(batch.producer().need_drain());
    batch.flush();
    batch.flush();
    assert_eq!(batch.try_write(3), Ok(Flow::Backpressure));
    assert_eq!(batch.try_write(4), Err(TryWriteError::WouldBlock(4)));
    assert!(consumer.try_iter().eq(0..3), "flushed");
    drop(batch);
    assert!(consumer.try_iter().eq(3..4));
    let stats = producer.monitor().stats();
    assert_eq!((stats.times_told_to_stop, stats.drains), (1, 0));
    assert!(!producer.need_drain());
}

#[test]
fn an_iterator_is_handed_over_64_items_at_a_time() {
    let (mut producer, mut consumer) = ends(0, 1000, 1000);
    let mut seen = Vec::new();
    let items = (0..150).inspect(|_| seen.push(consumer.len()));
    producer.write_iter(items).unwrap();
    let so_many_are_there = |item: usize| item / 64 * 64;
    assert!(seen.into_iter().eq((0..150).map(so_many_are_there)));
    assert!(consumer.try_iter().eq(0..150));
}

#[test]
fn a_batch_that_fills_the_channel_waits_for_the_consumer_to_read_it() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(0, 3, 3);
        let writer = thread::spawn(move || {
            let mut batch = producer.batch();
            for i in 0..10 {
                batch.write(i).unwrap();
            }
            drop(batch);
            producer.end();
        });
        let items: Vec<_> = consumer.iter().map(Result::unwrap).collect();
        assert!(items.into_iter().eq(0..10));
        writer.join().unwrap();
    });
}

#[test]
fn a_batch_gives_the_item_back_when_the_consumer_goes_also_in_its_sleep() {
    deadline(|| {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, consumer) = ends(0, 2, 2);
        let monitor = producer.monitor();
        let writer = thread::spawn(move || {
            let mut batch = producer.batch();
            for _ in 0..2 {
                assert!(batch.write(items.item()).is_ok());
            }
            assert_eq!(batch.write(items.item()).unwrap_err().into_inner().id, 2);
            let refused = batch.try_write(items.item()).map_err(|error| match error {
                TryWriteError::Closed(item) => item.id,
                TryWriteError::WouldBlock(_) => unreachable!("nobody reads"),
            });
            assert_eq!(refused, Err(3));
        });
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        drop(consumer);
        writer.join().unwrap();
        drops.assert_each_dropped_once();
    });
}

#[test]
fn a_batch_of_a_weighted_channel_counts_weight() {
    let (mut producer, mut consumer) = Builder::new()
        .weigh_by(|weight: &usize| *weight)
        .high_water_mark(10)
        .limit(12)
        .capacity(4)
        .build::<usize>()
        .unwrap();
    let mut batch = producer.batch();
    assert_eq!(batch.try_write(4), Ok(Flow::Ready));
    assert_eq!(batch.try_write(5), Ok(Flow::Ready));
    assert_eq!(batch.try_write(4), Err(TryWriteError::WouldBlock(4)));
    assert_eq!(batch.try_write(1), Ok(Flow::Backpressure));
    assert_eq!(batch.producer().len(), 10);
    drop(batch);
    assert_eq!(consumer.len(), 10);
    assert!(consumer.try_iter().eq([4, 5, 1]));
    assert!(!producer.need_drain());
}

// ---------------------------------------------------------------- slices

#[test]
fn write_slice_stops_at_the_high_mark_and_try_write_slice_at_the_capacity() {
    deadline(|| {
        let items: Vec<usize> = (0..10).collect();
        let (mut producer, mut consumer) = ends(2, 4, 7);
        assert_eq!(producer.write_slice(&items[..3]), Ok(3));
        assert_eq!(producer.write_slice(&items[3..]), Ok(1), "up to the mark");
        assert!(producer.need_drain());
        assert_eq!(producer.try_write_slice(&items[4..]), Ok(3));
        assert_eq!(
            producer.try_write_slice(&items[7..]),
            Err(TryWriteError::WouldBlock(()))
        );
        let mut read = [0; 5];
        assert_eq!(consumer.try_read_slice(&mut read), Ok(5));
        assert_eq!(read, [0, 1, 2, 3, 4]);
        assert_eq!(producer.write_slice(&items[7..]), Ok(2), "drained");
        assert_eq!(producer.len(), 4);
        assert_eq!(consumer.read_slice(&mut read), Ok(4));
        assert_eq!(read[..4], [5, 6, 7, 8]);
        assert_eq!(consumer.try_read_slice(&mut read), Err(TryReadError::Empty));
    });
}

#[test]
fn write_slice_writes_one_item_even_if_the_mark_is_zero_and_none_of_an_empty_slice() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(0, 0, 4);
        assert_eq!(producer.write_slice(&[]), Ok(0));
        assert_eq!(producer.write_slice(&[1, 2]), Ok(1));
        assert_eq!(producer.write_slice(&[]), Ok(0), "nothing to wait for");
        assert_eq!(producer.try_write_slice(&[]), Ok(0));
        assert_eq!(consumer.try_read_slice(&mut []), Ok(0));
        assert_eq!(consumer.try_read(), Ok(1));
        assert_eq!(producer.write_slice(&[2]), Ok(1));
    });
}

#[test]
fn write_slice_that_slept_until_drain_writes_up_to_the_mark_again() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(2, 6, 6);
        let monitor = producer.monitor();
        assert_eq!(producer.write_slice(&[0; 9]), Ok(6));
        let writer = thread::spawn(move || (producer.write_slice(&[1; 9]), producer));
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        consumer.try_chunk(4).unwrap().consume_all();
        let (written, producer) = writer.join().unwrap();
        assert_eq!(written, Ok(4), "as many as leave the length at the mark");
        assert_eq!(producer.len(), 6);
    });
}

#[test]
fn write_all_and_read_exact_move_all_of_it() {
    deadline(|| {
        let items: Vec<usize> = (0..1000).collect();
        let (mut producer, mut consumer) = ends(3, 7, 7);
        let writer = thread::spawn(move || {
            producer.write_all(&items).unwrap();
            producer.write_all(&[]).unwrap();
            producer
        });
        let mut read = [0; 1000];
        consumer.read_exact(&mut read[..1]).unwrap();
        consumer.read_exact(&mut read[1..]).unwrap();
        consumer.read_exact(&mut []).unwrap();
        assert!(read.into_iter().eq(0..1000));
        drop(writer.join().unwrap());
    });
}

#[test]
fn write_all_says_how_many_went_before_the_consumer_did() {
    for reason in [None, Some("enough")] {
        deadline(move || {
            let (mut producer, mut consumer) = ends(0, 4, 4);
            let monitor = producer.monitor();
            let writer = thread::spawn(move || {
                let error = producer.write_all(&[7; 100]).unwrap_err();
                (error, producer)
            });
            let mut read = [0; 3];
            consumer.read_exact(&mut read).unwrap();
            eventually("the producer sleeps", || {
                monitor.stats().items_written == 4 && monitor.stats().producer_parks > 0
            });
            match reason {
                Some(reason) => consumer.cancel(reason),
                None => drop(consumer),
            }
            let (error, mut producer) = writer.join().unwrap();
            assert_eq!(error.written, 4);
            let said = error.cause.reason().map(ToString::to_string);
            assert_eq!(said.as_deref(), reason);
            assert_eq!(producer.write_all(&[7]).unwrap_err().written, 0);
            assert_eq!(producer.write_slice(&[7]).unwrap_err(), error.cause);
            assert_eq!(
                producer.try_write_slice(&[7]),
                Err(TryWriteError::Closed(()))
            );
        });
    }
}

#[test]
fn read_exact_says_how_many_came_before_the_end() {
    deadline(|| {
        for ends_cleanly in [false, true] {
            let (mut producer, mut consumer) = ends(0, 4, 4);
            producer.write_all(&[1, 2, 3]).unwrap();
            let cause = if ends_cleanly {
                producer.end();
                ReadError::Ended
            } else {
                drop(producer);
                ReadError::Abandoned
            };
            let mut items = [9; 5];
            assert_eq!(
                consumer.read_exact(&mut items),
                Err(ReadExactError {
                    read: 3,
                    cause: cause.clone()
                })
            );
            assert_eq!(items, [1, 2, 3, 9, 9]);
            let error = consumer.read_exact(&mut items).unwrap_err();
            assert_eq!((error.read, &error.cause), (0, &cause));
            assert_eq!(consumer.read_slice(&mut items), Err(cause));
        }

        let (mut producer, mut consumer) = ends(0, 4, 4);
        let monitor = producer.monitor();
        producer.write_all(&[1, 2, 3]).unwrap();
        let reader = thread::spawn(move || consumer.read_exact(&mut [0; 5]).unwrap_err());
        eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
        producer.abort("because");
        let error = reader.join().unwrap();
        assert_eq!(error.read, 3);
        assert!(matches!(error.cause, ReadError::Aborted(_)));
    });
}

// ---------------------------------------------------------------- threads

/// Writes the numbers below `total`, in a way of its own.
type Write = fn(&mut Producer<u64>, total: u64);
/// Reads numbers until the end, in a way of its own, and hands them over in order.
type Read = fn(&mut Consumer<u64>, &mut dyn FnMut(u64));

const WRITES: [Write; 5] = [
    |producer, total| {
        let (mut random, mut next) = (Random::new(1), 0);
        while next < total {
            let count = random.below(200).min(total - next);
            let items: Vec<_> = (next..next + count).collect();
            producer.write_all(&items).unwrap();
            next += count;
        }
    },
    |producer, total| {
        let (mut random, mut next) = (Random::new(2), 0);
        let most = producer.max_reserve() as u64;
        while next < total {
            let count = random.below(most + 1).min(total - next);
            let mut chunk = producer.reserve(count as usize).unwrap();
            assert_eq!(chunk.fill(next..) as u64, count);
            let _ = chunk.commit();
            next += count;
        }
    },
    |producer, total| {
        let (mut random, mut next) = (Random::new(3), 0);
        while next < total {
            let most = (1 + random.below(300)).min(total - next);
            let mut chunk = producer.reserve_up_to(most as usize).unwrap();
            let (first, second) = chunk.as_uninit();
            let mut count = 0;
            for slot in first.iter_mut().chain(second) {
                slot.write(next);
                next += 1;
                count += 1;
            }
            // SAFETY: all of them were written.
            unsafe { chunk.assume_init(count) };
            let _ = chunk.commit();
        }
    },
    |producer, total| {
        let (mut random, mut next) = (Random::new(4), 0);
        while next < total {
            let count = random.below(100).min(total - next);
            let mut batch = producer.batch();
            for item in next..next + count {
                batch.write(item).unwrap();
            }
            next += count;
            if next % 7 == 0 {
                mem::forget(batch);
            }
        }
    },
    |producer, total| {
        let (mut random, mut next) = (Random::new(5), 0);
        while next < total {
            // By turns, and never waiting but for drain.
            if random.below(2) == 0 {
                match producer.try_write(next) {
                    Ok(_) => next += 1,
                    Err(_) => producer.wait_drain().unwrap(),
                }
            } else {
                let count = random.below(20).min(total - next) as usize;
                if let Ok(mut chunk) = producer.try_reserve(count) {
                    chunk.fill(next..);
                    let some = count - count / 3;
                    let _ = chunk.commit_first(some);
                    next += some as u64;
                    continue;
                }
                producer.wait_drain().unwrap();
            }
        }
    },
];

const READS: [Read; 4] = [
    |consumer, take| {
        let mut random = Random::new(6);
        let mut items = [0; 150];
        loop {
            let most = random.below(150) as usize;
            let (read, more) = match consumer.read_exact(&mut items[..most]) {
                Ok(()) => (most, true),
                Err(error) => (error.read, false),
            };
            items[..read].iter().for_each(|item| take(*item));
            if !more {
                return;
            }
        }
    },
    |consumer, take| {
        let mut random = Random::new(7);
        // Such a chunk is what the producer may wait for, too: see `max_chunk`.
        let most = consumer.max_chunk() as u64;
        while let Ok(chunk) = consumer.chunk(1 + random.below(most) as usize) {
            let some = 1 + random.below(chunk.len() as u64) as usize;
            let (first, second) = chunk.as_slices();
            let items = first.iter().chain(second).take(some);
            items.for_each(|item| take(*item));
            chunk.consume(some);
        }
    },
    |consumer, take| {
        let mut random = Random::new(8);
        while let Ok(chunk) = consumer.chunk_up_to(usize::MAX) {
            let some = 1 + random.below(chunk.len() as u64) as usize;
            let mut iter = chunk.into_iter();
            iter.by_ref().take(some).for_each(&mut *take);
            if some % 5 == 0 {
                mem::forget(iter);
            }
        }
    },
    |consumer, take| {
        for item in consumer {
            take(item.unwrap());
        }
    },
];

#[test]
fn a_million_items_arrive_in_order_whichever_way_they_are_written_and_read() {
    const ITEMS: u64 = if cfg!(miri) { 500 } else { 1_000_000 };
    for (w, write) in WRITES.into_iter().enumerate() {
        for (r, read) in READS.into_iter().enumerate() {
            let capacity = if (w + r) % 2 == 0 { 64 } else { 100 };
            deadline(move || {
                let (mut producer, mut consumer) = ends(capacity / 2, capacity - 7, capacity);
                let writer = thread::spawn(move || {
                    write(&mut producer, ITEMS);
                    producer.end().wait().unwrap();
                });
                let (mut next, mut sum) = (0, 0);
                read(&mut consumer, &mut |item| {
                    assert_eq!(item, next, "writer {w}, reader {r}");
                    next += 1;
                    sum += item;
                });
                assert_eq!((next, sum), (ITEMS, ITEMS * (ITEMS - 1) / 2));
                assert_eq!(consumer.read(), Err(ReadError::Ended));
                writer.join().unwrap();
            });
        }
    }
}

#[test]
fn counted_items_are_dropped_once_whatever_the_ends_do_with_their_chunks() {
    const ITEMS: usize = if cfg!(miri) { 100 } else { 20_000 };
    deadline(|| {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, mut consumer) = ends::<Counted>(4, 11, 11);
        let writer = thread::spawn(move || {
            let mut random = Random::new(1);
            let mut written = 0;
            while written < ITEMS {
                let Ok(mut chunk) = producer.reserve(random.below(7) as usize) else {
                    return;
                };
                chunk.fill_with(|| items.item());
                let some = random.below(chunk.len() as u64 + 1) as usize;
                let _ = chunk.commit_first(some);
                written += some;
            }
        });
        let mut random = Random::new(2);
        let mut read = 0;
        while read < ITEMS / 2 {
            let chunk = consumer.chunk(1 + random.below(5) as usize).unwrap();
            let some = random.below(chunk.len() as u64 + 1) as usize;
            if some % 2 == 0 {
                chunk.consume(some);
            } else {
                assert_eq!(chunk.into_iter().take(some).count(), some);
            }
            read += some;
        }
        drop(consumer);
        writer.join().unwrap();
        drops.assert_each_dropped_once();
    });
}

#[test]
fn a_chunk_wakes_a_sleeper_once_at_most() {
    deadline(|| {
        let (mut producer, mut consumer) = ends(0, 8, 8);
        let monitor = producer.monitor();
        let reader = thread::spawn(move || {
            for i in 0..8 {
                assert_eq!(consumer.read(), Ok(i));
            }
            consumer
        });
        eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
        let _ = put(&mut producer, 0..8);
        let mut consumer = reader.join().unwrap();
        assert!(monitor.stats().consumer_wake_ups <= 1);

        let _ = put(&mut producer, 0..8);
        let writer = thread::spawn(move || {
            for i in 8..16 {
                let _ = producer.write(i);
            }
            producer
        });
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert!(consumer.try_chunk(8).unwrap().into_iter().eq(0..8));
        drop(writer.join().unwrap());
        assert!(monitor.stats().producer_wake_ups <= 1);
        assert!(consumer.try_iter().eq(8..16));
    });
}

#[test]
fn there_are_no_more_wake_ups_than_chunks() {
    const CHUNKS: usize = if cfg!(miri) { 50 } else { 5_000 };
    for capacity in [8, 64, 512] {
        deadline(move || {
            let (mut producer, mut consumer) = ends(capacity / 2, capacity, capacity);
            let monitor = producer.monitor();
            let size = capacity / 4;
            let writer = thread::spawn(move || {
                for _ in 0..CHUNKS {
                    put_its_size(producer.reserve(size).unwrap());
                }
                producer
            });
            let (mut read, mut chunks) = (0, 0);
            while read < CHUNKS * size {
                let chunk = consumer.chunk_up_to(capacity).unwrap();
                (read, chunks) = (read + chunk.len(), chunks + 1);
                chunk.consume_all();
            }
            drop(writer.join().unwrap());
            let stats = monitor.stats();
            assert!(stats.consumer_wake_ups <= CHUNKS, "{stats:?}");
            assert!(stats.producer_wake_ups <= chunks, "{stats:?}");
        });
    }
}

// ---------------------------------------------------------------- indices

#[test]
fn chunks_of_every_size_cross_the_wrap_of_the_indices_whole_and_in_order() {
    for capacity in 1..=9 {
        for size in 1..=capacity {
            let (mut producer, mut consumer) = ends(0, capacity, capacity);
            for round in 0..12 {
                let begin = round * size;
                let _ = put(&mut producer, begin..begin + size);
                assert_eq!((producer.len(), consumer.len()), (size, size));
                let chunk = consumer.try_chunk(size).unwrap();
                let (first, second) = chunk.as_slices();
                let items = first.iter().chain(second).copied();
                assert!(items.eq(begin..begin + size), "{size} of {capacity}");
                assert!(!first.is_empty());
                chunk.consume_all();
                assert!(!producer.need_drain());
            }
            let stats = producer.monitor().stats();
            assert_eq!(
                (stats.items_written, stats.items_read),
                (12 * size, 12 * size)
            );
        }
    }
}

#[test]
fn a_sleeper_is_woken_across_the_wrap_of_the_indices() {
    for wanted in [1, 3, 5] {
        deadline(move || {
            let (mut producer, mut consumer) = ends(4, 8, 8);
            let monitor = producer.monitor();
            let reader = thread::spawn(move || {
                let items: Vec<_> = consumer.chunk(wanted).unwrap().into_iter().collect();
                (items, consumer)
            });
            eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
            let _ = put(&mut producer, 0..8);
            let (items, mut consumer) = reader.join().unwrap();
            assert!(items.into_iter().eq(0..wanted));
            assert_eq!(consumer.try_iter().count(), 8 - wanted);

            let _ = put(&mut producer, 0..8);
            let writer = thread::spawn(move || (producer.wait_drain(), producer));
            eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
            consumer.try_chunk(8).unwrap().consume(4 + wanted.min(4));
            assert_eq!(writer.join().unwrap().0, Ok(()));
        });
    }
}

#[test]
fn any_mixture_of_chunks_batches_and_single_items_behaves_as_a_queue() {
    const STEPS: usize = if cfg!(miri) { 30 } else { 400 };
    for capacity in 1..=9_usize {
        for seed in 0..8 {
            let drops = Drops::new();
            let mut random = Random::new(seed);
            let mut below = |bound: usize| random.below(bound as u64) as usize;
            let (mut producer, mut consumer) = ends::<Counted>(capacity / 2, capacity, capacity);
            // What can be read, what a forgotten batch holds, how many slots a forgotten iterator
            // holds, and how many items a forgotten chunk has leaked.
            let (mut queue, mut held) = (VecDeque::new(), Vec::new());
            let (mut kept, mut leaked) = (0, 0);
            for _ in 0..STEPS {
                let what = below(11);
                let free = capacity - queue.len() - held.len() - kept;
                match what {
                    0..=5 if what != 4 => queue.extend(held.drain(..)),
                    4 => queue.extend(held.drain(..)),
                    _ => kept = 0,
                }
                match what {
                    0 => match producer.try_write(drops.item()) {
                        Ok(_) => {
                            assert!(free > 0);
                            queue.push_back(drops.made() - 1);
                        }
                        Err(_) => assert_eq!(free, 0),
                    },
                    1 => {
                        let slots = below(producer.max_reserve() + 1);
                        match producer.try_reserve(slots) {
                            Ok(mut chunk) => {
                                assert!(slots <= free && chunk.capacity() == slots);
                                let begin = drops.made();
                                let filled = below(slots + 1);
                                chunk.fill((0..filled).map(|_| drops.item()));
                                let some = below(filled + 1);
                                let _ = chunk.commit_first(some);
                                queue.extend(begin..begin + some);
                            }
                            Err(_) => assert!(slots > free),
                        }
                    }
                    2 | 3 => match producer.try_reserve_up_to(1 + below(capacity)) {
                        Ok(mut chunk) => {
                            assert!((1..=free).contains(&chunk.capacity()));
                            let filled = chunk.fill_with(|| drops.item());
                            if what == 3 {
                                leaked += filled;
                                mem::forget(chunk);
                            }
                        }
                        Err(_) => assert_eq!(free, 0),
                    },
                    4 | 5 => {
                        let mut batch = producer.batch();
                        for _ in 0..below(capacity + 1) {
                            match batch.try_write(drops.item()) {
                                Ok(_) => held.push(drops.made() - 1),
                                Err(_) => assert_eq!(held.len(), free),
                            }
                        }
                        if what == 4 {
                            mem::forget(batch);
                        } else {
                            drop(batch);
                            queue.extend(held.drain(..));
                        }
                    }
                    6 => assert_eq!(consumer.try_read().ok().map(|i| i.id), queue.pop_front()),
                    7 => {
                        let items = below(capacity + 1);
                        match consumer.try_chunk(items) {
                            Ok(chunk) => {
                                assert_eq!(chunk.len(), items);
                                let (first, second) = chunk.as_slices();
                                let seen = first.iter().chain(second).map(|item| item.id);
                                assert!(seen.eq(queue.iter().copied().take(items)));
                                let some = below(items + 1);
                                chunk.consume(some);
                                queue.drain(..some);
                            }
                            Err(_) => assert!(items > queue.len()),
                        };
                    }
                    8 | 9 => {
                        if let Ok(chunk) = consumer.try_chunk_up_to(capacity) {
                            assert_eq!(chunk.len(), queue.len());
                            let some = below(queue.len() + 1);
                            let mut iter = chunk.into_iter();
                            let seen = iter.by_ref().take(some).map(|item| item.id);
                            assert!(seen.eq(queue.drain(..some)));
                            if what == 9 {
                                kept = some;
                                mem::forget(iter);
                            }
                        } else {
                            assert!(queue.is_empty());
                        }
                    }
                    _ => mem::forget(consumer.try_chunk_up_to(capacity)),
                }
                assert_eq!(producer.len(), queue.len() + held.len() + kept, "{what}");
                assert_eq!(consumer.len(), queue.len() + kept, "{what}");
            }
            assert_eq!(drops.alive(), queue.len() + held.len() + leaked);
            drop((producer, consumer));
            assert_eq!(drops.alive(), leaked);
        }
    }
}

// ---------------------------------------------------------------- errors

fn kind(error: impl Into<io::Error>) -> io::ErrorKind {
    error.into().kind()
}

#[test]
fn each_error_of_a_chunk_has_its_kind_of_io_error() {
    use io::ErrorKind::*;
    let (producer, consumer) = highwater::channel::<u8>(1);
    consumer.cancel("enough");
    let closed = producer.end().try_wait().unwrap_err();
    let reason = highwater::Reason::new(io::Error::from(AddrInUse));

    assert_eq!(kind(TryReserveError::WouldBlock), WouldBlock);
    assert_eq!(kind(TryReserveError::Closed), BrokenPipe);
    let too_large = TryReserveError::TooLarge { slots: 2, most: 1 };
    assert_eq!(kind(too_large), InvalidInput);

    assert_eq!(kind(ReserveError::Timeout), TimedOut);
    assert_eq!(kind(ReserveError::Closed(closed.clone())), BrokenPipe);
    let too_large = ReserveError::TooLarge { slots: 2, most: 1 };
    assert_eq!(kind(too_large), InvalidInput);

    assert_eq!(kind(TryChunkError::Read(TryReadError::Empty)), WouldBlock);
    assert_eq!(
        kind(TryChunkError::Read(TryReadError::Ended)),
        UnexpectedEof
    );
    let aborted = TryReadError::Aborted(reason.clone());
    assert_eq!(kind(TryChunkError::Read(aborted)), AddrInUse);
    let too_large = TryChunkError::TooLarge { items: 2, most: 1 };
    assert_eq!(kind(too_large), InvalidInput);

    assert_eq!(kind(ChunkError::Read(ReadTimeoutError::Timeout)), TimedOut);
    let abandoned = ChunkError::Read(ReadTimeoutError::Abandoned);
    assert_eq!(kind(abandoned), UnexpectedEof);
    let aborted = ReadTimeoutError::Aborted(reason.clone());
    assert_eq!(kind(ChunkError::Read(aborted)), AddrInUse);
    let too_large = ChunkError::TooLarge { items: 2, most: 1 };
    assert_eq!(kind(too_large), InvalidInput);

    let (written, cause) = (3, closed);
    assert_eq!(kind(WriteAllError { written, cause }), BrokenPipe);
    let (read, cause) = (3, ReadError::Ended);
    assert_eq!(kind(ReadExactError { read, cause }), UnexpectedEof);
    let cause = ReadError::Aborted(reason);
    assert_eq!(kind(ReadExactError { read, cause }), AddrInUse);
}

#[test]
fn each_error_of_a_chunk_says_what_happened_and_what_to_do() {
    let (producer, consumer) = highwater::channel::<u8>(1);
    consumer.cancel("enough");
    let closed = producer.end().try_wait().unwrap_err();

    let said = |error: &dyn Error| error.to_string();
    for (error, words) in [
        (
            said(&TryReserveError::WouldBlock),
            &["not so many slots", "drain", "reserve"][..],
        ),
        (said(&TryReserveError::Closed), &["no more", "stop"]),
        (
            said(&TryReserveError::TooLarge { slots: 12, most: 7 }),
            &["12", "7", "fewer", "capacity"],
        ),
        (said(&ReserveError::Timeout), &["in time", "reserve"]),
        (said(&ReserveError::Closed(closed.clone())), &["enough"]),
        (
            said(&ReserveError::TooLarge { slots: 12, most: 7 }),
            &["12", "7", "low-water mark"],
        ),
        (
            said(&TryChunkError::TooLarge { items: 12, most: 7 }),
            &["12", "7", "capacity"],
        ),
        (
            said(&TryChunkError::Read(TryReadError::Empty)),
            &["not so many items", "later", "fewer"],
        ),
        (
            said(&ChunkError::TooLarge { items: 12, most: 7 }),
            &["12", "7", "low-water mark"],
        ),
        (
            said(&ChunkError::Read(ReadTimeoutError::Timeout)),
            &["in time"],
        ),
        (
            said(&WriteAllError {
                written: 12,
                cause: closed,
            }),
            &["enough", "12", "written"],
        ),
        (
            said(&ReadExactError {
                read: 12,
                cause: ReadError::Ended,
            }),
            &["ended", "12", "read"],
        ),
    ] {
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    }
}

#[test]
fn the_source_of_an_error_is_what_lies_behind_what_it_says() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let outer = || Outer(io::Error::new(io::ErrorKind::Other, "inner"));
    let source = |error: &dyn Error| error.source().map(ToString::to_string);
    let inner = Some("inner".to_string());

    let (mut producer, consumer) = highwater::channel(1);
    consumer.cancel(outer());
    assert_eq!(source(&producer.reserve(9).unwrap_err()), None, "too large");
    assert_eq!(source(&producer.reserve(1).unwrap_err()), inner);
    assert_eq!(source(&producer.write_all(&[1]).unwrap_err()), inner);
    let timeout = producer.wait_drain_timeout(LONG).unwrap_err();
    let WaitTimeoutError::Closed(closed) = timeout else {
        panic!("{timeout:?}");
    };
    assert_eq!(source(&ReserveError::Closed(closed)), inner);

    let (producer, mut consumer) = highwater::channel::<u8>(2);
    producer.abort(outer());
    assert_eq!(source(&consumer.try_chunk(1).unwrap_err()), inner);
    assert_eq!(source(&consumer.chunk(1).unwrap_err()), inner);
    assert_eq!(source(&consumer.read_exact(&mut [0]).unwrap_err()), inner);
}
