//! `u64`, 64 at a time, from one pinned thread to another.

use super::{contestant, each, items::RATE};
use crate::{
    contestants::slices::{self, SliceChannel, TryReceiveSlice, TrySendSlice},
    harness::{child::DEADLINE, Case, Contestant, Disturbance, Workload},
    race::{flow_of, sum_to},
};
use std::hint::spin_loop;

const CAPACITY: usize = 4096;
const BLOCK: usize = 64;

pub fn slices() -> Workload {
    let mut contestants = vec![highwater_chunks(), highwater_blocking(), rtrb_chunks()];
    {
        use slices::*;
        contestants.splice(0..0, each!(slice_racer(()): Highwater));
        contestants.extend(each!(slice_racer(()): Rtrb, Ringbuf, Fq, Gil, Halves));
    }
    Workload {
        name: "slices",
        about: "u64, 64 at a time, through 4096 slots between two pinned threads. Chunks are made and summed up \
                where they lie, slices are copied in and out.",
        figures: RATE,
        cases: vec![Case {
            name: "64 of 4096".to_owned(),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants,
        }],
        deadline: DEADLINE,
    }
}

/// `send` sends a block that begins with its number, and goes on counting; `receive` returns the sum of a
/// block.
fn racer<S, R>(name: &str, ends: impl Fn() -> (S, R) + 'static) -> Contestant
where
    S: FnMut(u64) + Send,
    R: FnMut() -> u64 + Send,
{
    contestant(name, move |effort| {
        let (mut send, mut receive) = ends();
        let (warm_up, unit) = (1024, (CAPACITY / BLOCK) as u64);
        let (blocks, elapsed) = flow_of(
            move |blocks| {
                let numbers = (0..blocks).map(|block| block * BLOCK as u64);
                numbers.for_each(&mut send);
            },
            move |blocks| {
                let sum = (0..blocks).fold(0, |sum: u64, _| sum.wrapping_add(receive()));
                let right = sum_to(blocks * BLOCK as u64);
                assert_eq!(sum, right, "an item was lost or changed");
            },
            warm_up,
            move |elapsed| effort.count(warm_up, elapsed, unit),
        );
        (blocks * BLOCK as u64) as f64 / elapsed.as_secs_f64() / 1e6
    })
}

fn numbered(first: u64) -> [u64; BLOCK] {
    std::array::from_fn(|i| first + i as u64)
}

fn slice_racer<C: SliceChannel>((): ()) -> Contestant {
    racer(C::NAME, || {
        let (mut sender, mut receiver) = C::new::<u64>(CAPACITY);
        let mut block = [0; BLOCK];
        (
            move |first| sender.send_slice(&numbered(first)),
            move || {
                receiver.receive_slice(&mut block);
                block.iter().sum()
            },
        )
    })
}

fn highwater_blocking() -> Contestant {
    racer("highwater (slices, blocking)", || {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        let mut block = [0; BLOCK];
        (
            move |first| producer.write_all(&numbered(first)).expect("a consumer"),
            move || {
                consumer.read_exact(&mut block).expect("a producer");
                block.iter().sum()
            },
        )
    })
}

fn highwater_chunks() -> Contestant {
    racer("highwater (chunks)", || {
        let (mut producer, mut consumer) = highwater::channel(CAPACITY);
        (
            move |first| loop {
                if let Ok(mut chunk) = producer.try_reserve(BLOCK) {
                    chunk.fill(first..);
                    // Whether there is room for the next one is asked then.
                    let _ = chunk.commit();
                    break;
                }
                spin_loop();
            },
            move || loop {
                if let Ok(chunk) = consumer.try_chunk(BLOCK) {
                    let (a, b) = chunk.as_slices();
                    let sum = a.iter().chain(b).sum();
                    chunk.consume_all();
                    break sum;
                }
                spin_loop();
            },
        )
    })
}

fn rtrb_chunks() -> Contestant {
    racer("rtrb (chunks)", || {
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
        (
            move |first| loop {
                if let Ok(chunk) = producer.write_chunk_uninit(BLOCK) {
                    chunk.fill_from_iter(first..);
                    break;
                }
                spin_loop();
            },
            move || loop {
                if let Ok(chunk) = consumer.read_chunk(BLOCK) {
                    let (a, b) = chunk.as_slices();
                    let sum = a.iter().chain(b).sum();
                    chunk.commit_all();
                    break sum;
                }
                spin_loop();
            },
        )
    })
}
