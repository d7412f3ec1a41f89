//! A third thread stops the channel: whoever sleeps in it is woken, and nothing is lost or dropped twice.

use highwater::{Builder, ReadError};
use loom::thread;
use loom_tests::{exhaustive_model, model, weighted_ends, Drops, AS_IT_SAYS};

#[test]
fn a_stop_wakes_a_parked_consumer() {
    exhaustive_model(280, || {
        let (producer, mut consumer) = highwater::channel::<u8>(1);
        let monitor = producer.monitor();
        let stopper = thread::spawn(move || monitor.stop());
        assert!(matches!(consumer.read(), Err(ReadError::Aborted(_))));
        stopper.join().unwrap();
        assert!(producer.is_closed());
    });
}

#[test]
fn a_stop_wakes_a_parked_producer() {
    for capacity in [1, 2, 3] {
        exhaustive_model(360, move || {
            let (mut producer, mut consumer) = highwater::channel(capacity);
            for i in 0..capacity {
                producer.write(i).unwrap();
            }
            let monitor = producer.monitor();
            let stopper = thread::spawn(move || monitor.stop());
            assert!(producer.write(9).is_err());
            assert!(producer.cancel_reason().is_some());
            stopper.join().unwrap();
            assert!(consumer.try_read().is_err());
        });
    }
}

#[test]
fn a_stop_wakes_a_producer_that_waits_for_weight() {
    exhaustive_model(1100, || {
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (2, 4), 2);
        producer.write(2).unwrap();
        let monitor = producer.monitor();
        let stopper = thread::spawn(move || monitor.stop());
        assert_eq!(producer.write(3).unwrap_err().into_inner(), 3);
        stopper.join().unwrap();
        assert!(consumer.try_read().is_err());
        assert_eq!(consumer.len(), 0);
    });
}

#[test]
fn a_stop_wakes_a_finish() {
    exhaustive_model(15_000, || {
        let (mut producer, consumer) = highwater::channel(1);
        producer.write(1).unwrap();
        let monitor = producer.monitor();
        let stopper = thread::spawn(move || monitor.stop());
        assert!(producer.end().wait().is_err());
        stopper.join().unwrap();
        drop(consumer);
    });
}

#[test]
fn a_stop_among_writes_drops_every_item_once() {
    for capacity in [1, 3] {
        exhaustive_model(530, move || {
            let drops = Drops::new();
            let items = drops.clone();
            let (mut producer, mut consumer) = highwater::channel(capacity);
            for _ in 1..capacity {
                producer.write(drops.item()).map_err(drop).unwrap();
            }
            let monitor = producer.monitor();
            let writer = thread::spawn(move || {
                let _ = producer.write(items.item());
                producer
            });
            monitor.stop();
            drop(consumer.read());
            let producer = writer.join().unwrap();
            assert!(producer.is_closed());
            drop(consumer);
            assert_eq!(drops.alive(), 0, "the producer still lives");
        });
    }
}

#[test]
fn a_stop_is_never_a_clean_end_though_the_producer_heard_of_it_first() {
    model(9100, || {
        let (producer, mut consumer) = highwater::channel::<u8>(1);
        let monitor = producer.monitor();
        let stopper = thread::spawn(move || monitor.stop());
        let writer = thread::spawn(move || {
            let _ = producer.is_closed();
            producer
        });
        assert!(!consumer.is_ended());
        assert!(matches!(consumer.read(), Err(ReadError::Aborted(_))));
        assert!(!consumer.is_ended());
        stopper.join().unwrap();
        drop(writer.join().unwrap());
    });
}
