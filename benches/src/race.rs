//! Two pinned threads, one at each end.

use crate::{
    contestants::{Item, Receive1, Send1},
    harness::Effort,
};
use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        Barrier,
    },
    thread,
    time::{Duration, Instant},
};

/// Items are moved in multiples of this.
pub const UNIT: u64 = 1024;

/// Moves items one at a time; returns items a second.
pub fn race<T: Item>(
    (mut sender, mut receiver): (impl Send1<T> + 'static, impl Receive1<T> + 'static),
    capacity: usize,
    effort: Effort,
) -> f64 {
    // Once around the ring at least: its memory is new.
    let warm_up = (2 * capacity as u64)
        .clamp(16 * UNIT, 128 * UNIT)
        .next_multiple_of(UNIT);
    let (count, elapsed) = flow(
        move |number| sender.send(T::numbered(number)),
        move || receiver.receive_and(T::number),
        warm_up,
        |elapsed| effort.count(warm_up, elapsed, UNIT),
    );
    count as f64 / elapsed.as_secs_f64()
}

/// As [`flow_of`], where numbers are sent one by one.
pub fn flow(
    mut send: impl FnMut(u64) + Send,
    mut receive: impl FnMut() -> u64 + Send,
    warm_up: u64,
    count: impl FnOnce(Duration) -> u64 + Send,
) -> (u64, Duration) {
    flow_of(
        // Loops, so that what is sent and received with is inlined into them, as into a program's own.
        move |count| {
            for number in 0..count {
                send(number);
            }
        },
        move |count| {
            let mut sum: u64 = 0;
            for _ in 0..count {
                sum = sum.wrapping_add(receive());
            }
            assert_eq!(sum, sum_to(count), "a number was lost or changed");
        },
        warm_up,
        count,
    )
}

/// The sum of the numbers below `count`.
pub fn sum_to(count: u64) -> u64 {
    (u128::from(count) * u128::from(count.saturating_sub(1)) / 2) as u64
}

/// Warms up, then has as much sent and received as `count` makes of the time that took. Returns how much that
/// was, and its time.
pub fn flow_of(
    mut send: impl FnMut(u64) + Send,
    mut receive: impl FnMut(u64) + Send,
    warm_up: u64,
    count: impl FnOnce(Duration) -> u64 + Send,
) -> (u64, Duration) {
    let (start, agreed) = (&Barrier::new(2), &AtomicU64::new(0));
    let time = |receive: &mut dyn FnMut(u64), count| {
        let begin = Instant::now();
        receive(count);
        begin.elapsed()
    };
    race_ends(
        move || {
            // Through one pointer, so that the warm-up and the measurement run the same machine code.
            let send_all: &mut dyn FnMut(u64) = &mut send;
            start.wait();
            send_all(warm_up);
            start.wait();
            send_all(agreed.load(Ordering::Relaxed));
            send
        },
        move || {
            start.wait();
            let count = count(time(&mut receive, warm_up));
            agreed.store(count, Ordering::Relaxed); // ordered by the barrier
            start.wait();
            ((count, time(&mut receive, count)), receive)
        },
    )
}

/// Runs the two ends on a processor each; returns what the receiving one measured. What else they return
/// is kept until both are through, so that taking a channel down is not measured.
///
/// Each end is moved to the stack of its own thread: on a common one they would share a cache line.
pub fn race_ends<S: Send, R: Send, M: Send>(
    send: impl FnOnce() -> S + Send,
    receive: impl FnOnce() -> (M, R) + Send,
) -> M {
    let end = &Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(0);
            let kept = send();
            end.wait();
            drop(kept);
        });
        let receiving = scope.spawn(move || {
            pin(1);
            let (measured, kept) = receive();
            end.wait();
            drop(kept);
            measured
        });
        receiving.join().expect("the receiver does not panic")
    })
}

/// Binds the calling thread to the `n`th processor, if there is one.
pub fn pin(n: usize) {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(processor) = processors.get(n) {
        core_affinity::set_for_current(*processor);
    }
}
