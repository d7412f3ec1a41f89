//! The heavy barrier turns out to be refused: a channel that began without fences changes over to them,
//! and whoever goes to sleep meanwhile, with the other side not knowing yet, is not left alone.

use highwater::{Builder, Consumer, Producer};
use loom::thread;
use loom_tests::model;

fn ends(high: usize) -> (Producer<usize>, Consumer<usize>) {
    Builder::new()
        .high_water_mark(high)
        .low_water_mark(0)
        .refused_barrier()
        .build()
        .unwrap()
}

#[test]
fn data_wakes_a_consumer_that_was_refused() {
    model(100, || {
        let (mut producer, mut consumer) = ends(4);
        let writer = thread::spawn(move || {
            for i in 0..2 {
                let _ = producer.try_write(i).unwrap();
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
fn drain_wakes_a_producer_that_was_refused() {
    model(100, || {
        let (mut producer, mut consumer) = ends(1);
        let reader = thread::spawn(move || {
            let mut read = 0;
            while read < 2 {
                match consumer.try_read() {
                    Ok(item) => {
                        assert_eq!(item, read);
                        read += 1;
                    }
                    Err(_) => thread::yield_now(),
                }
            }
            consumer
        });
        for i in 0..2 {
            producer.write(i).unwrap();
        }
        drop(reader.join().unwrap());
    });
}

#[test]
fn an_end_wakes_a_consumer_that_was_refused() {
    model(5, || {
        let (mut producer, mut consumer) = ends(2);
        let writer = thread::spawn(move || {
            let _ = producer.try_write(1).unwrap();
            producer.end();
        });
        assert_eq!(consumer.iter().collect::<Result<Vec<_>, _>>(), Ok(vec![1]));
        writer.join().unwrap();
    });
}
