//! A wait that is given up leaves no trace. The deadline is a coin that falls when the waiter is about
//! to sleep: see `Instant` in `src/sync.rs`.

use highwater::{ReadTimeoutError, WaitTimeoutError, WriteTimeoutError};
use loom::thread;
use loom_tests::{model, Instant};

#[test]
fn a_read_that_times_out_as_data_comes_loses_neither() {
    model(20, || {
        let (mut producer, mut consumer) = highwater::channel(2);
        let deadline = Instant::new();
        let clock = deadline.clone();
        let writer = thread::spawn(move || {
            clock.pass();
            let _ = producer.try_write(7).unwrap();
            producer
        });
        match consumer.read_deadline(deadline) {
            Ok(item) => assert_eq!(item, 7),
            Err(error) => {
                assert_eq!(error, ReadTimeoutError::Timeout);
                // The next wait is woken as if there had been none before.
                assert_eq!(consumer.read(), Ok(7));
            }
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_write_that_times_out_as_the_channel_drains_gives_its_item_back() {
    model(20, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        let _ = producer.try_write(1).unwrap();
        let deadline = Instant::new();
        let clock = deadline.clone();
        let reader = thread::spawn(move || {
            clock.pass();
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        match producer.write_deadline(2, deadline) {
            Ok(()) => {}
            Err(WriteTimeoutError::Timeout(item)) => producer.write(item).unwrap(),
            Err(WriteTimeoutError::Closed(_)) => panic!("closed"),
        }
        assert_eq!(reader.join().unwrap().try_read(), Ok(2));
    });
}

#[test]
fn a_wait_for_drain_or_finish_can_be_given_up_and_taken_up_again() {
    model(20, || {
        let (mut producer, mut consumer) = highwater::channel(1);
        let _ = producer.try_write(1).unwrap();
        let deadline = Instant::new();
        let clock = deadline.clone();
        let reader = thread::spawn(move || {
            clock.pass();
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        if let Err(error) = producer.wait_drain_deadline(deadline.clone()) {
            assert_eq!(error, WaitTimeoutError::Timeout);
        }
        let mut finish = producer.end();
        if finish.wait_deadline(deadline).is_err() {
            finish.wait().unwrap();
        }
        drop(reader.join().unwrap());
    });
}
