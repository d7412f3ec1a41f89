//! Whoever sleeps is woken by what it waits for. In each model the sleep, the wake-up and the second
//! look are the real ones; only spinning is left out.

use highwater::{Builder, Consumer, Flow, Producer};
use loom::thread;
use loom_tests::{
    exhaustive_model, exhaustive_model_in_both_modes, in_both_modes, model, weighted_ends,
    AS_IT_SAYS,
};

fn ends(builder: Builder, high: usize, low: usize) -> (Producer<usize>, Consumer<usize>) {
    builder
        .high_water_mark(high)
        .low_water_mark(low)
        .build()
        .unwrap()
}

/// With the items 0, 1 and so on in all slots, the last of which said stop.
fn full(builder: Builder, capacity: usize, low: usize) -> (Producer<usize>, Consumer<usize>) {
    let (mut producer, consumer) = ends(builder, capacity, low);
    for i in 0..capacity {
        let flow = producer.try_write(i).unwrap();
        assert_eq!(flow.is_backpressure(), i == capacity - 1);
    }
    (producer, consumer)
}

#[test]
fn data_wakes_a_parked_consumer() {
    exhaustive_model_in_both_modes(250, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2, 1);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(7).unwrap();
            producer
        });
        assert_eq!(consumer.read(), Ok(7));
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_consumer_that_sleeps_twice_is_woken_twice() {
    in_both_modes(2400, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2, 1);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            let _ = producer.try_write(2).unwrap();
            producer
        });
        assert_eq!(consumer.read(), Ok(1));
        assert_eq!(consumer.read(), Ok(2));
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_wake_up_for_another_reason_leaves_the_wait_its_waker() {
    in_both_modes(860, |builder| {
        let (mut producer, mut consumer) = ends(builder, 2, 1);
        let writer = thread::spawn(move || {
            // Rings, as a consumer that waits for more than that would have to give up.
            producer.set_low_water_mark(0).unwrap();
            let _ = producer.try_write(7).unwrap();
            producer
        });
        assert_eq!(consumer.read(), Ok(7));
        drop(writer.join().unwrap());
    });
}

#[test]
fn drain_wakes_a_parked_producer() {
    exhaustive_model_in_both_modes(170, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1, 0);
        assert_eq!(producer.try_write(1), Ok(Flow::Backpressure));
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        producer.wait_drain().unwrap();
        assert_eq!(producer.len(), 0);
        drop(reader.join().unwrap());
    });
}

#[test]
fn a_producer_sleeps_on_above_the_low_mark_and_is_woken_at_it() {
    for capacity in [2, 3] {
        in_both_modes(220, move |builder| {
            let (mut producer, mut consumer) = full(builder, capacity, 0);
            let reader = thread::spawn(move || {
                for i in 0..capacity {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            producer.wait_drain().unwrap();
            assert_eq!(producer.len(), 0);
            drop(reader.join().unwrap());
        });
    }
}

#[test]
fn a_low_mark_above_zero_wakes_the_producer_while_there_is_still_work() {
    for (capacity, low) in [(2, 1), (3, 1), (3, 2)] {
        exhaustive_model_in_both_modes(170, move |builder| {
            let (mut producer, mut consumer) = full(builder, capacity, low);
            let reads = capacity - low;
            let reader = thread::spawn(move || {
                // Only as far as the low mark.
                for i in 0..reads {
                    assert_eq!(consumer.try_read(), Ok(i));
                }
                consumer
            });
            producer.write(capacity).unwrap();
            let mut consumer = reader.join().unwrap();
            assert!(consumer.try_iter().eq(reads..=capacity));
        });
    }
}

#[test]
fn both_sides_sleep_by_turns() {
    in_both_modes(9300, |builder| {
        let (mut producer, mut consumer) = ends(builder, 1, 0);
        let writer = thread::spawn(move || {
            for i in 0..2 {
                producer.write(i).unwrap();
            }
            producer
        });
        for i in 0..2 {
            assert_eq!(consumer.read(), Ok(i));
        }
        drop(writer.join().unwrap());
    });
}

#[test]
fn a_question_and_an_answer_go_through_two_channels() {
    model(2400, || {
        let (mut ask, mut asked) = highwater::channel(1);
        let (mut answer, mut answered) = highwater::channel(1);
        let other = thread::spawn(move || {
            let question: usize = asked.read().unwrap();
            answer.write(question + 1).unwrap();
            (asked, answer)
        });
        ask.write(1).unwrap();
        assert_eq!(answered.read(), Ok(2));
        drop(other.join().unwrap());
    });
}

#[test]
fn a_drain_leaves_room_for_the_item_that_was_refused() {
    // With the low mark at the capacity a full channel counts as drained, but takes nothing.
    exhaustive_model(350, || {
        let (mut producer, mut consumer) = ends(Builder::new(), 1, 1);
        let _ = producer.try_write(1).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        producer.write(2).unwrap();
        assert_eq!(reader.join().unwrap().try_read(), Ok(2));
    });
}

#[test]
fn a_producer_that_waits_for_weight_is_woken_by_the_item_that_makes_room() {
    model(380, || {
        let (mut producer, mut consumer) = weighted_ends(Builder::new(), AS_IT_SAYS, (2, 4), 2);
        let _ = producer.try_write(1).unwrap();
        let _ = producer.try_write(2).unwrap();
        let reader = thread::spawn(move || {
            // 3 does not fit beside 2, only into an empty channel or beside 1.
            assert_eq!(consumer.try_read(), Ok(1));
            assert_eq!(consumer.try_read(), Ok(2));
            consumer
        });
        producer.write(3).unwrap();
        let mut consumer = reader.join().unwrap();
        assert_eq!(consumer.try_read(), Ok(3));
    });
}

#[test]
fn a_low_mark_raised_while_told_to_stop_still_wakes_the_producer() {
    exhaustive_model(170, || {
        let (mut producer, mut consumer) = ends(Builder::new(), 2, 0);
        let _ = producer.try_write(1).unwrap();
        let _ = producer.try_write(2).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.try_read(), Ok(1));
            consumer
        });
        producer.set_low_water_mark(1).unwrap();
        producer.wait_drain().unwrap();
        assert_eq!(reader.join().unwrap().len(), 1);
    });
}
