//! A third thread stops the channel: whoever sleeps in it is woken, and nothing is lost or dropped twice.

use highwater::ReadError;
use loom::thread;
use loom_tests::{exhaustive_model, model, Drops};

#[test]
fn a_stop_wakes_a_parked_consumer() {
    exhaustive_model(5, || {
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
    exhaustive_model(5, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        producer.write(1).unwrap();
        let monitor = producer.monitor();
        let stopper = thread::spawn(move || monitor.stop());
        assert!(producer.write(2).is_err());
        assert!(producer.cancel_reason().is_some());
        stopper.join().unwrap();
        assert!(consumer.try_read().is_err());
    });
}

#[test]
fn a_stop_wakes_a_finish() {
    exhaustive_model(5, || {
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
    model(100, || {
        let drops = Drops::new();
        let items = drops.clone();
        let (mut producer, mut consumer) = highwater::channel(1);
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

#[test]
fn a_stop_is_never_a_clean_end_though_the_producer_heard_of_it_first() {
    model(50, || {
        let (producer, mut consumer) = highwater::channel::<u8>(1);
        let monitor = producer.monitor();
        let stopper = thread::spawn(move || monitor.stop());
        let writer = thread::spawn(move || {
            let _ = producer.is_closed();
            producer
        });
        assert!(matches!(consumer.read(), Err(ReadError::Aborted(_))));
        stopper.join().unwrap();
        drop(writer.join().unwrap());
    });
}
