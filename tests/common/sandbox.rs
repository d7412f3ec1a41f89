//! A sandbox that refuses `membarrier(2)`, for a test in a process of its own.

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
    let filter: BpfProgram = SeccompFilter::new(
        [(membarrier, Vec::new())].into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(EPERM),
        ARCH.try_into().expect("seccompiler knows this processor"),
    )
    .and_then(TryInto::try_into)
    .expect("the filter is well-formed");
    apply_filter_all_threads(&filter).expect("a process may restrict itself");
    assert!(membarrier_query().is_empty(), "the filter does not work");
}
