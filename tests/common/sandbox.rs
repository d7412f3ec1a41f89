//! A sandbox that refuses a system call, for a test in a process of its own.
#![allow(dead_code)]

use rustix::thread::membarrier_query;
use seccompiler::{apply_filter_all_threads, BpfProgram, SeccompAction, SeccompFilter};
use std::{convert::TryInto, env::consts::ARCH};

/// From now on every thread of this process gets EPERM for `membarrier(2)`.
pub fn refuse_membarrier() {
    const EPERM: u32 = 1;
    let membarrier = if cfg!(target_arch = "x86_64") {
        324
    } else {
        283
    };
    refuse(&[membarrier], EPERM);
    assert!(membarrier_query().is_empty(), "the filter does not work");
}

/// From now on this process gets no new thread, as if the system had no more.
pub fn refuse_threads() {
    const EAGAIN: u32 = 11;
    let clone = if cfg!(target_arch = "x86_64") {
        56
    } else {
        220
    };
    let clone3 = 435;
    refuse(&[clone, clone3], EAGAIN);
}

fn refuse(calls: &[i64], error: u32) {
    let filter: BpfProgram = SeccompFilter::new(
        calls.iter().map(|call| (*call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(error),
        ARCH.try_into().expect("seccompiler knows this processor"),
    )
    .and_then(TryInto::try_into)
    .expect("the filter is well-formed");
    apply_filter_all_threads(&filter).expect("a process may restrict itself");
}
