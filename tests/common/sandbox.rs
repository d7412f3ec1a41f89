//! A sandbox that refuses a system call, for a test in a process of its own; or has a thread killed by it.
#![allow(dead_code)]

use super::common::eventually;
use rustix::thread::{gettid, membarrier_query};
use seccompiler::{
    apply_filter, apply_filter_all_threads, BpfProgram, SeccompAction, SeccompCmpArgLen,
    SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::{
    convert::TryInto,
    env::consts::ARCH,
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicI32, Ordering},
        Arc,
    },
    thread,
};

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
    let refused = calls.iter().map(|call| (*call, Vec::new())).collect();
    apply_filter_all_threads(&filter(refused, SeccompAction::Errno(error)))
        .expect("a process may restrict itself");
}

/// System calls, each in any case (no rule) or as a rule says.
pub type Calls = Vec<(i64, Vec<SeccompRule>)>;

/// A wait by the clock that can be set, with a futex: what `FUTEX_CLOCK_REALTIME` asks for.
pub fn by_the_wall_clock() -> Calls {
    const FUTEX_CLOCK_REALTIME: u64 = 256;
    let futex = if cfg!(target_arch = "x86_64") {
        202
    } else {
        98
    };
    let (operation, bit) = (1, SeccompCmpOp::MaskedEq(FUTEX_CLOCK_REALTIME));
    let is_set = SeccompCondition::new(
        operation,
        SeccompCmpArgLen::Dword,
        bit,
        FUTEX_CLOCK_REALTIME,
    );
    let rule = is_set.and_then(|is_set| SeccompRule::new(vec![is_set]));
    vec![(futex, vec![rule.expect("the rule is well-formed")])]
}

/// Whether a thread lives to the end of `body`, that the calls would kill once `body` has called what it gets.
pub fn survives<T>(calls: Calls, body: impl FnOnce(&dyn Fn()) -> T + Send + 'static) -> bool {
    let filter = filter(calls, SeccompAction::KillThread);
    let (id, is_through) = (
        Arc::new(AtomicI32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let of_thread = (id.clone(), is_through.clone());
    // Not joined: `std` does not expect that a thread is killed.
    thread::spawn(move || {
        let (id, is_through) = of_thread;
        id.store(gettid().as_raw_nonzero().get(), Ordering::SeqCst);
        let rest = body(&|| apply_filter(&filter).expect("a thread may restrict itself"));
        is_through.store(true, Ordering::SeqCst);
        drop(rest);
    });
    eventually("the thread is over", || match id.load(Ordering::SeqCst) {
        0 => false,
        id => !Path::new(&format!("/proc/self/task/{id}")).exists(),
    });
    is_through.load(Ordering::SeqCst)
}

fn filter(calls: Calls, action: SeccompAction) -> BpfProgram {
    SeccompFilter::new(
        calls.into_iter().collect(),
        SeccompAction::Allow,
        action,
        ARCH.try_into().expect("seccompiler knows this processor"),
    )
    .and_then(TryInto::try_into)
    .expect("the filter is well-formed")
}
