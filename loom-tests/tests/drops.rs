//! Each item is dropped once, whichever end goes when.

use highwater::Builder;
use loom::thread;
use loom_tests::{exhaustive_model, model, weighted_ends, Drops, Leaves};

#[test]
fn both_ends_dropped_at_once_drop_what_is_buffered_once() {
    exhaustive_model(56_000, || {
        let drops = Drops::new();
        let (mut producer, consumer) = highwater::channel(2);
        let _ = producer.try_write(drops.item()).unwrap();
        let writer = thread::spawn(move || drop(producer));
        drop(consumer);
        writer.join().unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn an_item_written_as_both_ends_go_is_dropped_once() {
    model(1600, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, consumer) = highwater::channel(1);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(items.item());
        });
        drop(consumer);
        writer.join().unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn an_item_written_as_the_consumer_goes_is_dropped_in_the_producers_next_operation() {
    for capacity in [1, 2, 3] {
        for leaves in Leaves::FOR_GOOD {
            exhaustive_model(140, move || {
                let drops = Drops::new();
                let items = drops.clone();
                let (mut producer, consumer) = highwater::channel(capacity);
                for _ in 1..capacity {
                    let _ = producer.try_write(drops.item()).unwrap();
                }
                let writer = thread::spawn(move || {
                    let _ = producer.try_write(items.item());
                    producer
                });
                leaves.apply(consumer);
                let mut producer = writer.join().unwrap();
                let refused = producer.try_write(drops.item());
                assert!(refused.is_err());
                drop(refused);
                assert_eq!(drops.alive(), 0, "the producer still lives");
            });
        }
    }
}

#[test]
fn items_that_weigh_something_are_dropped_once_as_the_consumer_goes() {
    // The first is read, the second is there, the third is written meanwhile.
    exhaustive_model(4600, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), |_| 2, (0, 6), 3);
        for _ in 0..2 {
            let _ = producer.try_write(drops.item()).unwrap();
        }
        let writer = thread::spawn(move || {
            let _ = producer.try_write(items.item());
            producer
        });
        drop(consumer.try_read().unwrap());
        drop(consumer);
        let producer = writer.join().unwrap();
        assert!(producer.is_closed());
        assert_eq!(drops.alive(), 0, "the producer still lives");
        assert_eq!(producer.len(), 0);
    });
}

#[test]
fn an_item_written_as_the_consumer_goes_is_dropped_by_one_sweeper_or_the_other() {
    // The producer's second operation may come while the consumer still sweeps, which must then see
    // the item: nobody comes back for it.
    exhaustive_model(320, || {
        let drops = Drops::new();
        let items = drops.clone();
        // Without a light barrier, whose fence in a model would hide what the sweepers lack.
        let (mut producer, consumer) = Builder::new()
            .high_water_mark(2)
            .refused_barrier()
            .build()
            .unwrap();
        let writer = thread::spawn(move || {
            let _ = producer.try_write(items.item());
            let knows = producer.is_closed();
            (producer, knows)
        });
        drop(consumer);
        let (_producer, knows) = writer.join().unwrap();
        if knows {
            assert_eq!(drops.alive(), 0, "the producer still lives");
        }
    });
}

#[test]
fn a_consumer_that_has_gone_leaves_none_of_the_items_that_were_there_behind() {
    // Also if the producer has noticed, and would sweep as well.
    exhaustive_model(14, || {
        let drops = Drops::new();
        let (mut producer, consumer) = highwater::channel(2);
        let _ = producer.try_write(drops.item()).unwrap();
        let writer = thread::spawn(move || {
            let _ = producer.is_closed();
            producer
        });
        drop(consumer);
        assert_eq!(drops.alive(), 0);
        drop(writer.join().unwrap());
    });
}

#[test]
fn an_aborted_consumer_drops_what_is_buffered_in_its_next_operation() {
    exhaustive_model(57, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, mut consumer) = highwater::channel(2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(items.item());
            producer.abort("because");
        });
        drop(consumer.try_read());
        writer.join().unwrap();
        assert!(consumer.try_read().is_err());
        assert_eq!(drops.alive(), 0, "the consumer still lives");
    });
}

#[test]
fn what_nobody_read_is_dropped_with_the_channel() {
    for capacity in [1, 3] {
        what_nobody_read_is_dropped(capacity);
    }
}

fn what_nobody_read_is_dropped(capacity: usize) {
    model(3900, move || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, mut consumer) = highwater::channel(capacity);
        for _ in 1..capacity {
            let _ = producer.try_write(items.item()).map(drop);
        }
        let writer = thread::spawn(move || {
            let _ = producer.try_write(items.item()).map(drop);
            let _ = producer.try_write(items.item()).map(drop);
            drop(producer.end());
        });
        drop(consumer.try_read());
        drop(consumer);
        writer.join().unwrap();
        assert_eq!(drops.alive(), 0);
    });
}
