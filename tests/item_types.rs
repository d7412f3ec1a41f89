//! Items of every kind: of no size, aligned to a cache line, huge, owning, borrowed, of one thread.
#![cfg(feature = "std")]

mod common;

use common::{deadline, Drops};
use highwater::{
    Builder, Flow, ReadError, ReadTimeoutError, TryReadError, TryWriteError, WriteTimeoutError,
};
use std::{
    cell::Cell,
    collections::HashSet,
    mem::{align_of, size_of},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

#[test]
fn items_of_no_size_are_counted_and_dropped_like_others() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    assert_eq!(size_of::<Nothing>(), 0);

    let (mut producer, mut consumer) = highwater::channel(3);
    for round in 0..10 {
        for _ in 0..3 {
            producer.write(Nothing).unwrap();
        }
        assert!(matches!(
            producer.try_write(Nothing),
            Err(TryWriteError::WouldBlock(_))
        ));
        assert_eq!(consumer.len(), 3);
        assert_eq!(consumer.try_iter().count(), 3);
        assert_eq!(DROPS.load(Ordering::Relaxed), 4 * (round + 1));
    }
    for _ in 0..3 {
        producer.write(Nothing).unwrap();
    }
    consumer.chunk_up_to(1).unwrap().consume_all();
    assert_eq!(DROPS.load(Ordering::Relaxed), 41);
    let mut chunk = producer.try_reserve(1).unwrap();
    assert_eq!(chunk.fill_with(|| Nothing), 1);
    drop(chunk);
    assert_eq!(DROPS.load(Ordering::Relaxed), 42, "not committed");
    drop(consumer);
    assert_eq!(DROPS.load(Ordering::Relaxed), 44);
}

#[test]
fn many_items_of_no_size_pass_between_threads() {
    deadline(|| {
        // No slot takes memory, so that this capacity costs nothing.
        let (mut producer, consumer) = Builder::new()
            .high_water_mark(1 << (usize::BITS - 24))
            .build::<()>()
            .unwrap();
        let reader = thread::spawn(move || consumer.into_iter().filter(Result::is_ok).count());
        for _ in 0..100_000 {
            producer.write(()).unwrap();
        }
        producer.end().wait().unwrap();
        assert_eq!(reader.join().unwrap(), 100_000);
    });
}

#[repr(align(128))]
#[derive(Debug, PartialEq)]
struct Aligned(u8);

#[repr(align(4096))]
struct Page(u8);

#[test]
fn over_aligned_items_lie_aligned_in_every_slot() {
    let (mut producer, mut consumer) = highwater::channel(5);
    let mut addresses = HashSet::new();
    for i in 0..20 {
        producer.write(Aligned(i)).unwrap();
        let item = consumer.peek().expect("it was written");
        let address = item as *const Aligned as usize;
        assert_eq!(address % align_of::<Aligned>(), 0, "slot of item {i}");
        assert_eq!(item, &Aligned(i));
        addresses.insert(address);
        assert_eq!(consumer.read(), Ok(Aligned(i)));
    }
    assert!(addresses.len() >= 5, "the items went round the ring");

    let (mut producer, mut consumer) = highwater::channel(2);
    producer.write(Page(9)).unwrap();
    let page = consumer.peek().expect("it was written");
    assert_eq!(page as *const Page as usize % 4096, 0);
    assert_eq!(page.0, 9);
}

#[test]
fn items_of_a_mebibyte_by_value_arrive_whole() {
    const SIZE: usize = 1 << 20;
    struct Huge {
        bytes: [u8; SIZE],
    }
    // Unoptimised, a move through three functions is three copies on the stack.
    let big_stack = || thread::Builder::new().stack_size(64 * SIZE);
    deadline(move || {
        let writer = big_stack()
            .spawn(move || {
                let (mut producer, mut consumer) = highwater::channel(3);
                let reader = big_stack()
                    .spawn(move || {
                        let mut read = 0u8;
                        while let Ok(item) = consumer.read() {
                            let Huge { bytes } = item;
                            assert!(bytes.iter().all(|byte| *byte == read));
                            read += 1;
                        }
                        read
                    })
                    .unwrap();
                for i in 0..10 {
                    producer.write(Huge { bytes: [i; SIZE] }).unwrap();
                }
                producer.end();
                assert_eq!(reader.join().unwrap(), 10);
            })
            .unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn strings_keep_their_memory_on_the_way() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::channel::<String>(4);
        let writer = thread::spawn(move || {
            (0..100)
                .map(|i| {
                    let text = "x".repeat(i) + "end";
                    let address = text.as_ptr() as usize;
                    producer.write(text).unwrap();
                    address
                })
                .collect::<Vec<_>>()
        });
        let mut addresses = Vec::new();
        let mut texts = Vec::new(); // kept, so that no memory is used twice
        for i in 0..100 {
            let text = consumer.read().unwrap();
            assert_eq!(text.len(), i + 3);
            addresses.push(text.as_ptr() as usize);
            texts.push(text);
        }
        assert_eq!(consumer.read(), Err(ReadError::Abandoned));
        assert_eq!(addresses, writer.join().unwrap());
    });
}

#[test]
fn closures_are_sent_and_called_by_the_consumer() {
    deadline(|| {
        let (mut producer, consumer) = highwater::channel::<Box<dyn FnOnce() -> u32 + Send>>(2);
        let worker = thread::spawn(move || {
            consumer
                .into_iter()
                .map(|job| job.expect("a clean end")())
                .sum::<u32>()
        });
        let drops = Drops::new();
        for i in 0..10 {
            let captured = drops.item();
            producer
                .write(Box::new(move || {
                    drop(captured);
                    i
                }))
                .unwrap();
        }
        producer.end();
        assert_eq!(worker.join().unwrap(), 45);
        drops.assert_each_dropped_once();
    });
}

#[test]
fn items_bound_to_a_thread_go_through_a_channel_of_that_thread() {
    let (mut producer, mut consumer) = highwater::channel(2);
    let count = Rc::new(Cell::new(0));
    for _ in 0..5 {
        producer.write(count.clone()).unwrap();
        assert_eq!(Rc::strong_count(&count), 2);
        let item = consumer.read().unwrap();
        item.set(item.get() + 1);
    }
    producer.write(count.clone()).unwrap();
    drop(consumer);
    assert_eq!((count.get(), Rc::strong_count(&count)), (5, 1));
    assert_eq!(
        producer.write(count).map_err(|e| e.into_inner().get()),
        Err(5)
    );
}

#[test]
fn borrowed_items_pass_between_scoped_threads() {
    deadline(|| {
        let text = String::from("to be or not to be");
        let mut lengths = [0; 6];
        thread::scope(|scope| {
            let (mut producer, mut consumer) = highwater::channel::<(&str, &mut usize)>(2);
            scope.spawn(move || {
                for (word, length) in consumer.iter().map(|item| item.expect("a clean end")) {
                    *length = word.len();
                }
            });
            for item in text.split(' ').zip(&mut lengths) {
                producer.write(item).unwrap();
            }
            producer.end().wait().unwrap();
        });
        assert_eq!(lengths, [2, 2, 2, 3, 2, 2]);
    });
}

#[test]
fn an_end_can_be_an_item_of_another_channel() {
    deadline(|| {
        // A service: each request carries the producer for its answers.
        let (mut requests, service) = highwater::channel::<(u32, highwater::Producer<u32>)>(2);
        let worker = thread::spawn(move || {
            for request in service {
                let (number, mut answers) = request.expect("a clean end");
                for i in 0..number {
                    answers.write(i).unwrap();
                }
                answers.end();
            }
        });
        for number in [0, 1, 5] {
            let (answer, mut answers) = highwater::channel(2);
            requests.write((number, answer)).unwrap();
            let got: Result<Vec<_>, _> = answers.iter().collect();
            assert_eq!(got.unwrap(), (0..number).collect::<Vec<_>>());
        }
        requests.end();
        worker.join().unwrap();
    });
}

#[test]
fn large_items_are_missed_and_refused_as_small_ones_are() {
    type Page = [u8; 4096];
    let (mut producer, mut consumer) = highwater::channel::<Page>(1);
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    let at_once = Duration::ZERO;
    assert_eq!(
        consumer.read_timeout(at_once),
        Err(ReadTimeoutError::Timeout)
    );
    assert_eq!(producer.try_write([1; 4096]), Ok(Flow::Backpressure));
    let refused = producer.try_write([2; 4096]);
    assert_eq!(refused, Err(TryWriteError::WouldBlock([2; 4096])));
    let refused = producer.write_timeout([3; 4096], at_once);
    assert_eq!(refused, Err(WriteTimeoutError::Timeout([3; 4096])));
    assert_eq!(consumer.try_read(), Ok([1; 4096]));
    assert_eq!(consumer.try_read(), Err(TryReadError::Empty));
    producer.end();
    assert_eq!(consumer.try_read(), Err(TryReadError::Ended));
}
