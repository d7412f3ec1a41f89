//! The clock that can be set, forwards and backwards: no wait goes by it.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    feature = "std"
))]

mod common;
#[path = "common/sandbox.rs"]
mod sandbox;

use highwater::{Monitor, ReadTimeoutError, WaitTimeoutError, WriteTimeoutError};
use rustix::{
    io::Errno,
    thread::futex,
    time::{clock_gettime, ClockId},
};
use sandbox::{by_the_wall_clock, survives};
use std::{
    num::NonZeroU32,
    sync::atomic::AtomicU32,
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(5);

fn soon() -> Instant {
    Instant::now() + SHORT
}

/// Waits in vain until it has slept for that: on a busy processor the time can be over before.
fn asleep(monitor: &Monitor, mut wait: impl FnMut()) {
    let parks = || monitor.stats().producer_parks + monitor.stats().consumer_parks;
    let before = parks();
    while parks() == before {
        wait();
    }
}

#[test]
fn no_wait_with_a_time_limit_goes_by_a_clock_that_can_be_set() {
    let lived = survives(by_the_wall_clock(), |begin| {
        begin();
        let (mut producer, mut consumer) = highwater::channel(1);
        let monitor = producer.monitor();
        let nothing = Err(ReadTimeoutError::Timeout);
        asleep(&monitor, || {
            assert_eq!(consumer.read_timeout(SHORT), nothing)
        });
        asleep(&monitor, || {
            assert_eq!(consumer.read_deadline(soon()), nothing)
        });

        producer.write(1).unwrap();
        let refused = Err(WriteTimeoutError::Timeout(2));
        asleep(&monitor, || {
            assert_eq!(producer.write_timeout(2, SHORT), refused)
        });
        asleep(&monitor, || {
            assert_eq!(producer.write_deadline(2, soon()), refused)
        });
        let in_vain = Err(WaitTimeoutError::Timeout);
        asleep(&monitor, || {
            assert_eq!(producer.wait_drain_timeout(SHORT), in_vain)
        });
        asleep(&monitor, || {
            assert_eq!(producer.wait_drain_deadline(soon()), in_vain)
        });
        let mut finish = producer.end();
        asleep(&monitor, || assert_eq!(finish.wait_timeout(SHORT), in_vain));
        asleep(&monitor, || {
            assert_eq!(finish.wait_deadline(soon()), in_vain)
        });
    });
    assert!(lived, "its thread was killed, or panicked");
}

/// So the other test would notice.
#[test]
fn a_wait_that_goes_by_a_clock_that_can_be_set_is_noticed() {
    let wait = |flags, clock| {
        let until = clock_gettime(clock);
        let waited =
            futex::wait_bitset(&AtomicU32::new(0), flags, 0, Some(&until), NonZeroU32::MAX);
        assert_eq!(waited, Err(Errno::TIMEDOUT));
    };
    let private = futex::Flags::PRIVATE;
    assert!(survives(by_the_wall_clock(), move |begin| {
        begin();
        wait(private, ClockId::Monotonic);
    }));
    assert!(!survives(by_the_wall_clock(), move |begin| {
        begin();
        wait(private | futex::Flags::CLOCK_REALTIME, ClockId::Realtime);
    }));
}
