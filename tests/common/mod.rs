//! What the tests share. Not every test uses all of it.
#![allow(dead_code)]

use std::{
    panic,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

/// Far longer than anything takes, also on one busy core.
pub const LONG: Duration = Duration::from_secs(60);

/// Runs `body` in a thread of its own; a hang becomes a failure.
#[track_caller]
pub fn deadline<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let thread = thread::spawn(move || {
        let value = body();
        let _ = done.send(value);
    });
    match result.recv_timeout(LONG) {
        Ok(value) => {
            thread.join().expect("it is done");
            value
        }
        Err(RecvTimeoutError::Timeout) => {
            panic!("hangs since {LONG:?}: a lost wake-up? See the protocol in src/wait/mod.rs")
        }
        Err(RecvTimeoutError::Disconnected) => {
            panic::resume_unwind(thread.join().expect_err("it has not sent its value"))
        }
    }
}

/// Waits for a state that another thread brings about.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "never came about: {what}");
        thread::yield_now();
    }
}

/// Keeps count of each item that it makes.
#[derive(Clone, Default)]
pub struct Drops(Arc<Mutex<Vec<usize>>>);

impl Drops {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn item(&self) -> Counted {
        let mut drops = self.0.lock().unwrap_or_else(|e| e.into_inner());
        drops.push(0);
        Counted {
            id: drops.len() - 1,
            drops: self.clone(),
            panics: false,
        }
    }

    /// An item whose drop panics, after it has been counted.
    pub fn panicking_item(&self) -> Counted {
        let mut item = self.item();
        item.panics = true;
        item
    }

    pub fn made(&self) -> usize {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).len()
    }

    pub fn alive(&self) -> usize {
        let drops = self.0.lock().unwrap_or_else(|e| e.into_inner());
        drops.iter().filter(|count| **count == 0).count()
    }

    pub fn is_alive(&self, id: usize) -> bool {
        self.0.lock().unwrap_or_else(|e| e.into_inner())[id] == 0
    }

    #[track_caller]
    pub fn assert_each_dropped_once(&self) {
        let drops = self.0.lock().unwrap_or_else(|e| e.into_inner());
        for (id, count) in drops.iter().enumerate() {
            assert_eq!(*count, 1, "item {id} of {}", drops.len());
        }
    }

    /// The same where some may be alive, or have leaked.
    #[track_caller]
    pub fn assert_none_dropped_twice(&self) {
        let drops = self.0.lock().unwrap_or_else(|e| e.into_inner());
        for (id, count) in drops.iter().enumerate() {
            assert!(*count <= 1, "item {id} of {}: {count} times", drops.len());
        }
    }
}

pub struct Counted {
    pub id: usize,
    drops: Drops,
    panics: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.0.lock().unwrap_or_else(|e| e.into_inner())[self.id] += 1;
        if self.panics {
            // As `panic!`, but says nothing: it is part of the test.
            panic::resume_unwind(Box::new(format!("the drop of item {}", self.id)));
        }
    }
}

/// A small random number generator (xorshift64*): the same numbers for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Raises a number that a watcher reads, so that a test can tell slow from stuck.
#[derive(Clone, Default)]
pub struct Progress(Arc<AtomicUsize>);

impl Progress {
    pub fn made(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `body` in a thread of its own; it fails when no progress is made for a while, however long the
/// whole takes.
#[track_caller]
pub fn while_progress<T: Send + 'static>(
    patience: Duration,
    where_it_stands: impl Fn() -> String,
    body: impl FnOnce(Progress) -> T + Send + 'static,
) -> T {
    let progress = Progress::default();
    let seen_by_body = progress.clone();
    let thread = thread::spawn(move || body(seen_by_body));
    let (mut last, mut since) = (0, Instant::now());
    while !thread.is_finished() {
        let now = progress.0.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(
            since.elapsed() < patience,
            "no progress for {patience:?}: a lost wake-up? See the protocol in src/wait/mod.rs. {}",
            where_it_stands()
        );
        thread::sleep(Duration::from_millis(5)); // paces the watcher, waits for no state
    }
    thread
        .join()
        .unwrap_or_else(|payload| panic::resume_unwind(payload))
}
