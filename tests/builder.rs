//! Settings: defaults for every capacity, and what is refused, with its numbers.
#![cfg(feature = "std")]

use highwater::{BuildError, Builder, Bytes, Flow, MarkError};
use std::panic::catch_unwind;

/// An item of 1 KiB.
struct Large(#[allow(dead_code)] [u8; 1024]);

const MOST: usize = isize::MAX as usize;

#[test]
fn the_defaults_are_legal_for_every_capacity() {
    let all = (1..=200).chain([1000, 65_535, 65_536, 65_537, 1 << 20]);
    for capacity in all {
        let (mut producer, consumer) = Builder::new().capacity(capacity).build::<u8>().unwrap();
        let high = capacity.min(16);
        assert_eq!(producer.capacity(), capacity);
        assert_eq!(producer.high_water_mark(), high);
        assert_eq!(producer.low_water_mark(), high / 2);
        assert_eq!(
            (
                consumer.capacity(),
                consumer.high_water_mark(),
                consumer.low_water_mark()
            ),
            (capacity, high, high / 2)
        );
        let accepted = (0..).take_while(|_| producer.try_write(1).is_ok()).count();
        assert_eq!(accepted, capacity, "exact, not the next power of two");
    }
}

#[test]
fn the_capacity_is_the_high_mark_if_nobody_chose_it_but_at_least_one() {
    for high in 0..=100 {
        let (producer, _consumer) = highwater::channel::<u8>(high);
        assert_eq!(producer.high_water_mark(), high);
        assert_eq!(producer.low_water_mark(), high / 2);
        assert_eq!(producer.capacity(), high.max(1));
    }
    let (producer, _consumer) = Builder::default().build::<u8>().unwrap();
    assert_eq!(
        (producer.low_water_mark(), producer.high_water_mark()),
        (8, 16)
    );
    assert_eq!(producer.capacity(), 16);
}

#[test]
fn the_defaults_of_a_weighted_channel_are_legal_for_every_limit() {
    let marks = |builder: Builder<Bytes>| {
        let (producer, _consumer) = builder.build::<Vec<u8>>().unwrap();
        (
            producer.low_water_mark(),
            producer.high_water_mark(),
            producer.capacity(),
        )
    };
    let bytes = || Builder::new().weigh_by(Bytes);
    assert_eq!(marks(bytes()), (32_768, 65_536, 1024));
    assert_eq!(marks(bytes().capacity(3)), (32_768, 65_536, 3));
    assert_eq!(marks(bytes().high_water_mark(7)), (3, 7, 1024));
    for limit in (0..=100).chain([65_535, 65_536, 65_537, MOST, usize::MAX]) {
        let high = limit.min(65_536);
        assert_eq!(marks(bytes().limit(limit)), (high / 2, high, 1024));
    }
}

#[test]
fn settings_can_come_in_any_order_and_a_builder_be_used_again() {
    let weigh = |item: &u32| *item as usize;
    let first = Builder::new()
        .weigh_by(weigh)
        .limit(40)
        .capacity(5)
        .low_water_mark(10)
        .high_water_mark(30);
    let last = Builder::new()
        .high_water_mark(30)
        .low_water_mark(10)
        .capacity(5)
        .full_fences(true)
        .weigh_by(weigh)
        .limit(40);
    for builder in [first.clone(), first, last] {
        let (mut producer, _consumer) = builder.build::<u32>().unwrap();
        assert_eq!(
            (producer.low_water_mark(), producer.high_water_mark()),
            (10, 30)
        );
        assert_eq!(producer.capacity(), 5);
        assert_eq!(producer.try_write(29), Ok(Flow::Ready));
        assert!(producer.try_write(12).is_err());
        assert_eq!(producer.try_write(11), Ok(Flow::Backpressure));
    }
}

#[test]
fn marks_that_contradict_each_other_are_refused_with_the_numbers() {
    let refused = |low: Option<usize>, high, capacity| {
        let builder = Builder::new().high_water_mark(high).capacity(capacity);
        let builder = match low {
            Some(low) => builder.low_water_mark(low),
            None => builder,
        };
        builder.build::<u8>().map(drop)
    };
    for high in 0..=6 {
        for low in 0..=7 {
            for capacity in 1..=6 {
                let expected = if low > high {
                    Err(BuildError::Marks(MarkError::LowAboveHigh { low, high }))
                } else if high > capacity {
                    Err(BuildError::Marks(MarkError::HighAboveCapacity {
                        high,
                        capacity,
                    }))
                } else {
                    Ok(())
                };
                assert_eq!(refused(Some(low), high, capacity), expected);
            }
        }
    }
    assert_eq!(
        refused(None, 9, 8),
        Err(BuildError::Marks(MarkError::HighAboveCapacity {
            high: 9,
            capacity: 8
        }))
    );
    assert_eq!(refused(None, 0, 0), Err(BuildError::ZeroCapacity));
    assert_eq!(refused(Some(2), 1, 0), Err(BuildError::ZeroCapacity));
}

#[test]
fn a_low_mark_above_a_default_high_mark_is_refused_with_both() {
    let error = Builder::new().low_water_mark(17).build::<u8>().unwrap_err();
    let expected = MarkError::LowAboveHigh { low: 17, high: 16 };
    assert_eq!(error, BuildError::Marks(expected));
    let error = Builder::new()
        .low_water_mark(5)
        .capacity(4)
        .build::<u8>()
        .unwrap_err();
    let expected = MarkError::LowAboveHigh { low: 5, high: 4 };
    assert_eq!(error, BuildError::Marks(expected));
}

#[test]
fn a_high_mark_above_the_limit_is_refused_with_both_and_one_at_it_is_not() {
    let build = |high, limit| {
        Builder::new()
            .weigh_by(Bytes)
            .high_water_mark(high)
            .limit(limit)
            .build::<String>()
            .map(drop)
    };
    assert_eq!(build(8, 8), Ok(()));
    assert_eq!(
        build(9, 8),
        Err(BuildError::Marks(MarkError::HighAboveLimit {
            high: 9,
            limit: 8
        }))
    );
    assert_eq!(build(MOST, usize::MAX), Ok(()));
    assert_eq!(
        build(MOST + 1, usize::MAX),
        Err(BuildError::Marks(MarkError::HighAboveLimit {
            high: MOST + 1,
            limit: MOST
        }))
    );
}

#[test]
fn a_weighted_high_mark_has_nothing_to_do_with_the_slots() {
    let built = Builder::new()
        .weigh_by(Bytes)
        .high_water_mark(1_000_000)
        .capacity(1)
        .build::<String>();
    assert!(built.is_ok());
}

#[test]
fn a_limit_without_a_weight_is_refused() {
    for builder in [Builder::new().limit(5), Builder::new().capacity(9).limit(5)] {
        assert_eq!(
            builder.build::<u8>().unwrap_err(),
            BuildError::LimitWithoutWeight { limit: 5 }
        );
    }
}

#[test]
fn an_absurd_capacity_is_an_error_and_no_crash() {
    let too_large = |capacity| Builder::new().capacity(capacity).build::<u8>().map(drop);
    match too_large(usize::MAX) {
        Err(BuildError::CapacityTooLarge { capacity, max }) => {
            assert_eq!(capacity, usize::MAX);
            assert_eq!(
                too_large(max + 1),
                Err(BuildError::CapacityTooLarge {
                    capacity: max + 1,
                    max
                })
            );
            // (Of 32 bits' addresses one in four may well be free.)
            if usize::BITS == 64 {
                assert_eq!(
                    too_large(max),
                    Err(BuildError::OutOfMemory {
                        capacity: max,
                        slot_size: 1
                    })
                );
            }
            let larger = Builder::new().capacity(max).build::<u16>();
            assert_eq!(
                larger.unwrap_err(),
                BuildError::OutOfMemory {
                    capacity: max,
                    slot_size: 2
                }
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        Builder::new().high_water_mark(usize::MAX).build::<u8>(),
        Err(BuildError::CapacityTooLarge { .. })
    ));
}

#[test]
fn more_memory_than_there_is_is_an_error_and_no_crash() {
    let out_of_memory = |capacity, slot_size| BuildError::OutOfMemory {
        capacity,
        slot_size,
    };
    // More than a computer has; nothing of the kind fits into the addresses of 32 bits.
    let absent = 1 << (usize::BITS - 24);
    let absent = [absent, absent + 1]
        .into_iter()
        .filter(|_| usize::BITS == 64);
    // More than there are addresses.
    for capacity in absent.chain([1 << (usize::BITS - 9), 1 << (usize::BITS - 2)]) {
        let items = Builder::new().capacity(capacity).build::<Large>();
        assert_eq!(items.unwrap_err(), out_of_memory(capacity, 1024));
        let weighted = Builder::new()
            .capacity(capacity)
            .weigh_by(|_: &Large| 1)
            .build::<Large>();
        let slot_size = 1024 + std::mem::size_of::<usize>();
        assert_eq!(weighted.unwrap_err(), out_of_memory(capacity, slot_size));
    }
}

#[test]
fn the_short_form_panics_with_the_same_words() {
    let panic = catch_unwind(|| highwater::channel::<u8>(usize::MAX)).unwrap_err();
    let text = panic.downcast_ref::<String>().expect("a message");
    assert!(text.contains("too large"), "{text}");
}

#[test]
fn items_of_no_size_take_no_memory_however_many_slots() {
    let most = 1 << (usize::BITS - 2);
    for capacity in [3, 1 << 20, most - 1, most] {
        let (mut producer, mut consumer) = Builder::new()
            .capacity(capacity)
            .high_water_mark(capacity)
            .build()
            .unwrap();
        assert_eq!(producer.capacity(), capacity);
        assert_eq!(producer.desired_size(), capacity as isize);
        for _ in 0..2 {
            assert_eq!(producer.try_write(()), Ok(Flow::Ready));
        }
        assert_eq!(consumer.len(), 2);
        assert_eq!(consumer.try_iter().count(), 2);
    }
}

#[test]
fn items_of_no_size_are_dropped_once_each() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (mut producer, mut consumer) = highwater::channel(3);
    for _ in 0..3 {
        assert!(producer.try_write(Nothing).is_ok());
    }
    let refused = producer.try_write(Nothing).unwrap_err();
    assert_eq!(DROPS.load(Ordering::Relaxed), 0);
    drop(refused);
    drop(consumer.try_read().unwrap());
    assert_eq!(DROPS.load(Ordering::Relaxed), 2);
    drop(consumer);
    assert_eq!(DROPS.load(Ordering::Relaxed), 4);
}

#[test]
fn a_channel_with_full_fences_behaves_the_same() {
    let (mut producer, mut consumer) = Builder::new()
        .high_water_mark(2)
        .full_fences(true)
        .build()
        .unwrap();
    for round in 0..10 {
        assert_eq!(producer.try_write(round), Ok(Flow::Ready));
        assert_eq!(producer.try_write(round), Ok(Flow::Backpressure));
        assert!(producer.try_write(round).is_err());
        assert_eq!(consumer.try_iter().count(), 2);
    }
    drop(consumer);
    assert!(producer.is_closed());
}
