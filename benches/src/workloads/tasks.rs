//! From one task to another.

use super::{contestant, each, items::RATE};
use crate::{
    contestants::tasks::{self, TaskChannel, TaskReceive, TaskSend},
    harness::{child::DEADLINE, Case, Contestant, Disturbance, Workload},
    race::{sum_to, UNIT},
};
use std::{
    future::Future,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};
use tokio::{runtime, sync::Barrier};

#[derive(Clone, Copy)]
enum Runtime {
    OneThread,
    TwoThreads,
}

impl Runtime {
    fn name(self) -> &'static str {
        match self {
            Self::OneThread => "one thread",
            Self::TwoThreads => "two threads",
        }
    }

    fn build(self) -> runtime::Runtime {
        match self {
            Self::OneThread => runtime::Builder::new_current_thread(),
            Self::TwoThreads => {
                let mut builder = runtime::Builder::new_multi_thread();
                builder.worker_threads(2);
                builder
            }
        }
        .build()
        .expect("a runtime")
    }
}

pub fn items() -> Workload {
    let mut cases = Vec::new();
    for runtime in [Runtime::OneThread, Runtime::TwoThreads] {
        for capacity in [64, 1024] {
            use tasks::*;
            cases.push(Case {
                name: format!("{}, capacity {capacity}", runtime.name()),
                disturbance: match runtime {
                    Runtime::OneThread => Disturbance::InvoluntarySwitches,
                    Runtime::TwoThreads => Disturbance::Unknown,
                },
                contestants: each!(racer((runtime, capacity)):
                    Highwater, Tokio, AsyncChannel, Futures, Flume, Kanal, Thingbuf, Crossfire),
            });
        }
    }
    Workload {
        name: "tasks/items",
        about: "u64, one at a time, between two tasks of a tokio runtime.",
        figures: RATE,
        cases,
        deadline: DEADLINE,
    }
}

fn racer<C: TaskChannel>((runtime, capacity): (Runtime, usize)) -> Contestant {
    contestant(C::NAME, move |effort| {
        let (sender, receiver) = C::new(capacity);
        let warm_up = 16 * UNIT;
        let (items, elapsed) = flow(
            runtime,
            SendItems(sender),
            ReceiveItems(receiver),
            warm_up,
            move |elapsed| effort.count(warm_up, elapsed, UNIT),
        );
        items as f64 / elapsed.as_secs_f64() / 1e6
    })
}

/// What one of the two tasks does.
trait Work: Send + 'static {
    fn run(&mut self, count: u64) -> impl Future<Output = ()> + Send;
}

struct SendItems<S>(S);

impl<S: TaskSend + 'static> Work for SendItems<S> {
    async fn run(&mut self, count: u64) {
        for number in 0..count {
            self.0.send(number).await;
        }
    }
}

struct ReceiveItems<R>(R);

impl<R: TaskReceive + 'static> Work for ReceiveItems<R> {
    async fn run(&mut self, count: u64) {
        let mut sum = 0_u64;
        for _ in 0..count {
            sum = sum.wrapping_add(self.0.receive().await);
        }
        assert_eq!(sum, sum_to(count), "an item was lost or changed");
    }
}

/// As [`crate::race::flow_of`], in two tasks.
fn flow(
    runtime: Runtime,
    mut send: impl Work,
    mut receive: impl Work,
    warm_up: u64,
    count: impl FnOnce(Duration) -> u64 + Send + 'static,
) -> (u64, Duration) {
    async fn time(work: &mut impl Work, count: u64) -> Duration {
        let begin = Instant::now();
        work.run(count).await;
        begin.elapsed()
    }
    let shared = Arc::new((Barrier::new(2), AtomicU64::new(0)));
    let of_sender = shared.clone();
    runtime.build().block_on(async {
        let sending = tokio::spawn(async move {
            let (start, agreed) = &*of_sender;
            send.run(warm_up).await;
            start.wait().await;
            send.run(agreed.load(Ordering::Relaxed)).await;
            send // kept until all was received
        });
        let receiving = tokio::spawn(async move {
            let (start, agreed) = &*shared;
            let count = count(time(&mut receive, warm_up).await);
            agreed.store(count, Ordering::Relaxed); // ordered by the barrier
            start.wait().await;
            (count, time(&mut receive, count).await)
        });
        let measured = receiving.await.expect("the receiver does not panic");
        sending.await.expect("the sender does not panic");
        measured
    })
}
