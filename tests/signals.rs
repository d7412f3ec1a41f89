//! A signal that comes while a thread is parked interrupts its system call (signal(7): `EINTR`), but not its wait.
#![cfg(all(target_os = "linux", feature = "std"))]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{eventually, LONG};
use procfs::process::Process;
use rustix::process::{getpid, kill_process, Signal};
use std::{thread, time::Instant};

const SIGNALS: usize = 20;

/// How often the main thread, which runs the test, has gone to sleep.
fn sleeps_of_main_thread() -> u64 {
    let status = Process::myself().and_then(|process| process.status());
    let status = status.expect("/proc says how a process is");
    status.voluntary_ctxt_switches.expect("it is counted")
}

/// A signal for the process is the main thread's, if that does not block it (signal(7)).
fn interrupt_main_thread() {
    let before = sleeps_of_main_thread();
    kill_process(getpid(), Signal::INT).expect("a process may signal itself");
    eventually(
        "the parked thread was interrupted, and sleeps again",
        || sleeps_of_main_thread() > before,
    );
}

/// Waits here, is interrupted again and again, and is then woken by the other end.
///
/// The other end, which `wake` returns, lives until the wait is over: its going would end it, too.
fn interrupted<T, End: Send + 'static>(
    parks: impl Fn() -> usize + Send + 'static,
    wake: impl FnOnce() -> End + Send + 'static,
    wait: impl FnOnce() -> T,
) -> T {
    let other = thread::spawn(move || {
        eventually("the main thread sleeps", || parks() > 0);
        (0..SIGNALS).for_each(|_| interrupt_main_thread());
        assert_eq!(parks(), 1, "it was one wait all the time");
        wake()
    });
    let result = wait();
    let end = other.join().expect("it was interrupted, and slept again");
    drop(end);
    result
}

#[test]
fn a_signal_during_a_park_ends_no_wait_and_loses_no_wake_up() {
    process::alone(
        "a_signal_during_a_park_ends_no_wait_and_loses_no_wake_up",
        || {
            ctrlc::set_handler(|| {}).expect("there is no other handler");

            let (mut producer, mut consumer) = highwater::channel(1);
            let monitor = producer.monitor();
            let read = interrupted(
                move || monitor.stats().consumer_parks,
                move || {
                    producer.write(7).expect("the consumer is there");
                    producer
                },
                || consumer.read(),
            );
            assert_eq!(read, Ok(7));

            // With a deadline the system call is another one, which is not begun anew by itself.
            let (mut producer, mut consumer) = highwater::channel(1);
            producer.write(1).expect("there is room");
            let monitor = producer.monitor();
            let written = interrupted(
                move || monitor.stats().producer_parks,
                move || {
                    assert_eq!(consumer.read(), Ok(1));
                    consumer
                },
                || producer.write_deadline(2, Instant::now() + LONG),
            );
            assert_eq!(written, Ok(()));
        },
    );
}
