//! From one task to another.

use super::{
    bytes::{self, Piece, CAPACITY},
    contestant, each,
    items::RATE,
};
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
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    runtime,
    sync::Barrier,
};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, FuturesAsyncWriteCompatExt as _};

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

    fn disturbance(self) -> Disturbance {
        match self {
            Self::OneThread => Disturbance::InvoluntarySwitches,
            Self::TwoThreads => Disturbance::Unknown,
        }
    }
}

pub fn items() -> Workload {
    let mut cases = Vec::new();
    for runtime in [Runtime::OneThread, Runtime::TwoThreads] {
        for capacity in [64, 1024] {
            use tasks::*;
            cases.push(Case {
                name: format!("{}, capacity {capacity}", runtime.name()),
                disturbance: runtime.disturbance(),
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

pub fn bytes() -> Workload {
    let case = |runtime: Runtime| Case {
        name: format!("{}, 4 of 64 KiB", runtime.name()),
        disturbance: runtime.disturbance(),
        contestants: vec![
            byte_racer("highwater", runtime, || {
                let (producer, consumer) = highwater::bytes(CAPACITY);
                (WriteBytes(producer), ReadBytes(consumer))
            }),
            byte_racer("tokio::io::duplex", runtime, || {
                let (writer, reader) = tokio::io::duplex(CAPACITY);
                (WriteBytes(writer), ReadBytes(reader))
            }),
            byte_racer("tokio::io::simplex", runtime, || {
                let (reader, writer) = tokio::io::simplex(CAPACITY);
                (WriteBytes(writer), ReadBytes(reader))
            }),
            byte_racer("piper", runtime, || {
                let (reader, writer) = piper::pipe(CAPACITY);
                (
                    WriteBytes(writer.compat_write()),
                    ReadBytes(reader.compat()),
                )
            }),
        ],
    };
    Workload {
        name: "tasks/bytes",
        about: "Bytes, 4 KiB at a time, through 64 KiB between two tasks of a tokio runtime.",
        figures: bytes::RATE,
        cases: vec![case(Runtime::OneThread), case(Runtime::TwoThreads)],
        deadline: DEADLINE,
    }
}

fn byte_racer<S: Work, R: Work>(name: &str, runtime: Runtime, ends: fn() -> (S, R)) -> Contestant {
    contestant(name, move |effort| {
        let (sender, receiver) = ends();
        let warm_up = 2048;
        let (pieces, elapsed) = flow(runtime, sender, receiver, warm_up, move |elapsed| {
            effort.count(warm_up, elapsed, 1)
        });
        bytes::gibibytes(pieces) / elapsed.as_secs_f64()
    })
}

struct WriteBytes<W>(W);

impl<W: AsyncWrite + Send + Unpin + 'static> Work for WriteBytes<W> {
    async fn run(&mut self, pieces: u64) {
        let mut piece = Piece::new();
        for number in 0..pieces {
            let bytes = piece.numbered(number);
            self.0.write_all(bytes).await.expect("the reader is there");
        }
    }
}

struct ReadBytes<R>(R);

impl<R: AsyncRead + Send + Unpin + 'static> Work for ReadBytes<R> {
    async fn run(&mut self, pieces: u64) {
        let mut piece = Piece::new();
        for number in 0..pieces {
            let bytes = &mut piece.0;
            self.0.read_exact(bytes).await.expect("the writer is there");
            piece.check(number);
        }
    }
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
