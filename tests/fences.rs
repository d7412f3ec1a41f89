//! Full fences by choice, for the whole process: the choice is final, and made in time or not at all.
#![cfg(feature = "std")]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{deadline, eventually};
use highwater::{
    barrier::{self, Mode, TooLate},
    Builder,
};
use std::thread;

/// What a process begins with: a system or a build without `membarrier(2)` has nothing to decide.
const AT_FIRST: Mode = if cfg!(all(target_os = "linux", feature = "membarrier")) {
    Mode::Undecided
} else {
    Mode::Fence
};

/// Lets a consumer sleep and wakes it, then the same with a producer.
fn sleep_and_wake() {
    deadline(|| {
        let (mut producer, mut consumer) = highwater::channel(1);
        let monitor = producer.monitor();
        let reader = thread::spawn(move || {
            assert_eq!(consumer.read(), Ok(1));
            consumer
        });
        eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
        producer.write(1).unwrap();
        let mut consumer = reader.join().unwrap();

        let writer = thread::spawn(move || {
            producer.write(2).unwrap();
            producer.write(3).unwrap(); // sleeps until 2 is read
            producer.end();
        });
        eventually("the producer sleeps", || monitor.stats().producer_parks > 0);
        assert_eq!(consumer.read(), Ok(2));
        assert_eq!(consumer.read(), Ok(3));
        assert!(consumer.read().is_err());
        writer.join().unwrap();
    });
}

#[test]
fn chosen_first_thing_fences_are_used_from_then_on_and_ends_sleep_and_wake() {
    process::alone(
        "chosen_first_thing_fences_are_used_from_then_on_and_ends_sleep_and_wake",
        || {
            assert_eq!(barrier::mode(), AT_FIRST);
            assert_eq!(barrier::use_fences(), Ok(()));
            assert_eq!(barrier::mode(), Mode::Fence);
            sleep_and_wake();
            assert_eq!(barrier::mode(), Mode::Fence);
            assert_eq!(barrier::use_fences(), Ok(()), "to choose twice is no error");
        },
    );
}

#[test]
fn channels_made_before_the_choice_work_as_well_as_those_made_after() {
    process::alone(
        "channels_made_before_the_choice_work_as_well_as_those_made_after",
        || {
            let (mut producer, mut consumer) = Builder::new()
                .high_water_mark(1)
                .build()
                .expect("legal marks");
            producer.write(0).unwrap();
            assert_eq!(consumer.read(), Ok(0));
            barrier::use_fences().expect("nobody has slept");
            let monitor = producer.monitor();
            deadline(move || {
                let reader = thread::spawn(move || (0..1000).all(|i| consumer.read() == Ok(i)));
                let mut before_last = 0;
                for i in 0..1000 {
                    if i % 100 == 0 {
                        // It has read the last item since, or still sleeps for it: it will sleep.
                        eventually("the consumer sleeps", || {
                            monitor.stats().consumer_parks > before_last
                        });
                    }
                    before_last = monitor.stats().consumer_parks;
                    producer.write(i).unwrap();
                }
                assert!(reader.join().unwrap());
            });
            assert_eq!(barrier::mode(), Mode::Fence);
        },
    );
}

#[test]
fn polling_and_writing_into_free_room_decide_nothing() {
    process::alone("polling_and_writing_into_free_room_decide_nothing", || {
        let (mut producer, mut consumer) = highwater::channel(4);
        for i in 0..100 {
            producer.write(i).unwrap();
            assert_eq!(consumer.read(), Ok(i));
            assert!(consumer.try_read().is_err());
        }
        assert_eq!(barrier::mode(), AT_FIRST);
    });
}

#[test]
fn a_producer_whose_drain_is_far_away_sleeps_and_is_woken_without_membarrier() {
    process::alone(
        "a_producer_whose_drain_is_far_away_sleeps_and_is_woken_without_membarrier",
        || {
            deadline(|| {
                const MARK: usize = 1024;
                const SLEEPS: usize = 100;
                let (mut producer, mut consumer) = highwater::channel(MARK);
                let monitor = producer.monitor();
                let reader = thread::spawn(move || {
                    let mut next = 0;
                    for sleep in 0..SLEEPS {
                        eventually("the producer sleeps", || {
                            monitor.stats().producer_parks > sleep
                        });
                        // Down to the low mark: the last of these wakes it.
                        while next < MARK / 2 * (sleep + 1) {
                            assert_eq!(consumer.try_read(), Ok(next));
                            next += 1;
                        }
                    }
                    consumer
                });
                for number in 0..MARK / 2 * (SLEEPS + 1) {
                    producer.write(number).unwrap();
                }
                producer.wait_drain().unwrap();
                drop(reader.join().unwrap());
            });
            assert_eq!(barrier::mode(), AT_FIRST, "nobody has made the call");
        },
    );
}

#[test]
fn after_a_sleep_it_is_too_late_to_choose_fences() {
    process::alone("after_a_sleep_it_is_too_late_to_choose_fences", || {
        sleep_and_wake();
        let chosen: Result<(), TooLate> = barrier::use_fences();
        match barrier::mode() {
            Mode::Asymmetric => {
                let error = chosen.unwrap_err();
                assert!(error.to_string().contains("membarrier"));
                assert_eq!(barrier::mode(), Mode::Asymmetric, "nothing has changed");
            }
            mode => {
                println!("membarrier(2) is not available, so that it is never too late");
                assert_eq!((mode, chosen), (Mode::Fence, Ok(())));
            }
        }
        sleep_and_wake();
    });
}

#[test]
fn a_channel_with_fences_of_its_own_never_decides_for_the_process() {
    process::alone(
        "a_channel_with_fences_of_its_own_never_decides_for_the_process",
        || {
            deadline(|| {
                let (mut producer, mut consumer) = Builder::new()
                    .full_fences(true)
                    .build()
                    .expect("legal marks");
                let monitor = producer.monitor();
                let reader = thread::spawn(move || consumer.read());
                eventually("the consumer sleeps", || monitor.stats().consumer_parks > 0);
                producer.write(1).unwrap();
                assert_eq!(reader.join().unwrap(), Ok(1));
            });
            assert_eq!(barrier::mode(), AT_FIRST);
            assert_eq!(barrier::use_fences(), Ok(()));
        },
    );
}
