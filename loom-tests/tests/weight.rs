//! The accounting as a third thread sees it.

use highwater::{Builder, Consumer, Producer};
use loom::thread;
use loom_tests::{exhaustive_model, model, weighted_ends, WeighBy, AS_IT_SAYS};

type Weighted = WeighBy<usize>;

/// Two items of weight 2 and 3, the first one written already.
fn weighted() -> (Producer<usize, Weighted>, Consumer<usize, Weighted>) {
    let (mut producer, consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (5, 10), 2);
    let _ = producer.try_write(2).unwrap();
    (producer, consumer)
}

#[test]
fn a_third_thread_never_sees_a_length_that_could_not_be() {
    exhaustive_model(4300, || {
        let (mut producer, mut consumer) = weighted();
        let monitor = producer.monitor();
        let observer = thread::spawn(move || {
            let len = monitor.len();
            assert!([0, 2, 3, 5].contains(&len), "{len}");
        });
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(2));
            consumer
        });
        let _ = producer.try_write(3).unwrap();
        observer.join().unwrap();
        let consumer = reader.join().unwrap();
        assert_eq!((producer.len(), consumer.len()), (3, 3));
    });
}

#[test]
fn a_third_thread_never_sees_more_read_than_written() {
    model(33_000, || {
        let (mut producer, mut consumer) = weighted();
        let monitor = producer.monitor();
        let observer = thread::spawn(move || {
            let stats = monitor.stats();
            assert!(stats.items_read <= stats.items_written, "{stats:?}");
            assert!(stats.weight_read <= stats.weight_written, "{stats:?}");
        });
        let writer = thread::spawn(move || {
            let _ = producer.try_write(3).unwrap();
            producer
        });
        while consumer.try_read().is_ok() {}
        observer.join().unwrap();
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_producer_never_finds_less_than_nothing() {
    exhaustive_model(90, || {
        let (mut producer, mut consumer) = weighted();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(2));
            consumer
        });
        let _ = producer.try_write(3).unwrap();
        assert!([3, 5].contains(&producer.len()));
        let _consumer = reader.join().unwrap();
        assert_eq!(producer.len(), 3);
    });
}

#[test]
fn a_drain_that_is_seen_leaves_the_slot_that_it_comes_with() {
    exhaustive_model(15, || {
        // Both slots are full. What the first weighs is nearly all.
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (1, 10), 2);
        let _ = producer.try_write(9).unwrap();
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            consumer.try_read().unwrap();
            consumer
        });
        let len = producer.len();
        if len == 1 || !producer.need_drain() {
            assert!(
                producer.try_write(1).is_ok(),
                "drained, and no slot is free"
            );
        }
        let consumer = reader.join().unwrap();
        assert!(consumer.len() <= 2);
    });
}
