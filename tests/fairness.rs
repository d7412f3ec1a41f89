//! An end that never has to wait gives way to the other tasks of its executor.
#![cfg(feature = "tokio")]
// The minimum Rust version is the library's; what the tests depend on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;

use common::deadline;
use futures_util::{Sink, Stream};
use highwater::{Consumer, Producer};
use std::{
    future::{poll_fn, Future},
    pin::{pin, Pin},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc,
    },
    task::{Context, Poll, Wake},
    thread,
    time::Duration,
};
use tokio::{runtime::Runtime, sync::mpsc, task::coop};

/// What the documentation promises.
const MOST: usize = 128;
/// The items that are one unit of tokio's budget, which has as many units as an end has turns.
const UNIT: usize = 16;

fn current_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn filled(items: usize) -> (Producer<usize>, Consumer<usize>) {
    let (mut producer, consumer) = highwater::channel(items + 1);
    producer.write_iter(0..items).unwrap();
    (producer, consumer)
}

/// How often something is ready before it gives way.
fn ready_in_a_row(
    cx: &mut Context<'_>,
    mut step: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> usize {
    (0..).take_while(|_| step(cx).is_ready()).count()
}

type Turn = Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>;

/// One turn of each operation, of an end that does not have to wait.
fn turns() -> Vec<(&'static str, Turn)> {
    let (_, mut stream) = filled(1000);
    let (_, mut reader) = filled(1000);
    let (mut writer, consumer_of_writer) = highwater::channel(1000);
    let (mut ready, consumer_of_ready) = highwater::channel::<u8>(1000);
    let (mut sink, consumer_of_sink) = highwater::channel(1000);
    let (_, mut ended) = filled(0);
    vec![
        (
            "a stream",
            Box::new(move |cx| {
                Pin::new(&mut stream)
                    .poll_next(cx)
                    .map(|item| assert!(item.unwrap().is_ok()))
            }),
        ),
        (
            "read_async",
            Box::new(move |cx| {
                pin!(reader.read_async())
                    .poll(cx)
                    .map(|item| assert!(item.is_ok()))
            }),
        ),
        (
            "read_async at the end",
            Box::new(move |cx| {
                pin!(ended.read_async())
                    .poll(cx)
                    .map(|item| assert!(item.is_err()))
            }),
        ),
        (
            "write_async",
            Box::new(move |cx| {
                let _ = &consumer_of_writer;
                pin!(writer.write_async(1)).poll(cx).map(Result::unwrap)
            }),
        ),
        (
            "ready",
            Box::new(move |cx| {
                let _ = &consumer_of_ready;
                pin!(ready.ready()).poll(cx).map(Result::unwrap)
            }),
        ),
        (
            "a sink",
            Box::new(move |cx| {
                let _ = &consumer_of_sink;
                let mut sink = Pin::new(&mut sink);
                sink.as_mut()
                    .poll_ready(cx)
                    .map(|ready| ready.and_then(|()| sink.start_send(1)).unwrap())
            }),
        ),
    ]
}

#[test]
fn every_operation_gives_way_after_its_bound_under_any_executor_and_asks_for_its_next_turn() {
    for (name, mut turn) in turns() {
        let bell = Arc::new(Bell::default());
        let waker = bell.clone().into();
        let mut cx = Context::from_waker(&waker);
        for round in 1..4 {
            assert_eq!(ready_in_a_row(&mut cx, &mut turn), MOST, "{name}");
            assert_eq!(bell.0.load(Ordering::SeqCst), round, "{name}");
        }
    }
}

#[test]
fn a_wait_starts_the_count_again() {
    let (mut producer, mut consumer) = highwater::channel(MOST);
    let waker = Arc::new(Bell::default()).into();
    let mut cx = Context::from_waker(&waker);
    for _ in 0..3 {
        producer.write_iter(0..MOST - 1).unwrap();
        let reads = ready_in_a_row(&mut cx, |cx| {
            Pin::new(&mut consumer).poll_next(cx).map(drop)
        });
        assert_eq!(reads, MOST - 1, "until it is empty");
    }
}

#[test]
fn in_a_task_of_tokio_every_operation_uses_the_budget_of_the_task() {
    deadline(|| {
        for (name, mut turn) in turns() {
            current_thread().block_on(async {
                let (sender, mut receiver) = mpsc::unbounded_channel();
                sender.send(()).unwrap();
                // The end's own bound is not reached.
                let used = MOST / 2;
                poll_fn(|cx| {
                    for _ in 0..used {
                        assert!(turn(cx).is_ready(), "{name}");
                    }
                    Poll::Ready(())
                })
                .await;
                poll_fn(|cx| {
                    // The same poll of the task: some of the budget is gone.
                    let others = ready_in_a_row(cx, |cx| {
                        let _ = sender.send(());
                        receiver.poll_recv(cx).map(|got| got.unwrap())
                    });
                    assert_eq!(others, MOST - used / UNIT, "{name}");
                    Poll::Ready(())
                })
                .await;
                let mut polls = 0;
                poll_fn(|cx| {
                    polls += 1;
                    let polled = turn(cx);
                    assert_eq!(polled.is_ready(), polls > 1, "{name}: a new budget");
                    polled
                })
                .await;
            });
        }
    });
}

#[test]
fn what_tokio_s_own_tasks_wait_for_gives_way_when_a_channel_has_used_the_budget() {
    deadline(|| {
        current_thread().block_on(async {
            let ((_, mut one), (_, mut two)) = (filled(1000), filled(1000));
            let (sender, mut receiver) = mpsc::unbounded_channel();
            sender.send(7).unwrap();
            let mut polls = 0;
            let got = poll_fn(|cx| {
                polls += 1;
                if polls == 1 {
                    for _ in 0..MOST - 2 {
                        assert!(coop::poll_proceed(cx)
                            .map(|unit| unit.made_progress())
                            .is_ready());
                    }
                    let both = ready_in_a_row(cx, |cx| match Pin::new(&mut one).poll_next(cx) {
                        Poll::Ready(_) => Pin::new(&mut two).poll_next(cx).map(drop),
                        Poll::Pending => Poll::Pending,
                    });
                    assert_eq!(both, UNIT, "a unit each");
                    assert!(!coop::has_budget_remaining());
                    assert!(receiver.poll_recv(cx).is_pending());
                }
                receiver.poll_recv(cx)
            })
            .await;
            assert_eq!((got, polls), (Some(7), 2));
        });
    });
}

#[test]
fn a_turn_that_ends_with_a_wait_takes_nothing_from_the_budget() {
    deadline(|| {
        current_thread().block_on(async {
            let (mut producer, mut consumer) = filled(0);
            let mut full = highwater::channel(1);
            full.0.write(1).unwrap();
            poll_fn(|cx| {
                for _ in 0..2 * MOST {
                    assert!(Pin::new(&mut consumer).poll_next(cx).is_pending());
                    assert!(Pin::new(&mut full.0).poll_ready(cx).is_pending());
                }
                assert!(coop::has_budget_remaining());
                Poll::Ready(())
            })
            .await;
            producer.write(1).unwrap();
            assert_eq!(consumer.read_async().await, Ok(1));
        });
    });
}

/// Where tokio does not limit a task, the end still does.
#[test]
fn an_unconstrained_task_has_the_bound_of_the_end() {
    deadline(|| {
        let (_, mut consumer) = filled(1000);
        let reads = current_thread().block_on(coop::unconstrained(poll_fn(|cx| {
            Poll::Ready(ready_in_a_row(cx, |cx| {
                Pin::new(&mut consumer).poll_next(cx).map(drop)
            }))
        })));
        assert_eq!(reads, MOST);
    });
}

/// Runs a task that would never stop by itself, until a timer of the same thread has fired.
fn timer_fires_beside<F>(task: impl FnOnce(Arc<AtomicBool>) -> F + Send + 'static)
where
    F: Future<Output = usize> + Send + 'static,
{
    deadline(move || {
        current_thread().block_on(async {
            let is_over = Arc::new(AtomicBool::new(false));
            let task = tokio::spawn(task(is_over.clone()));
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await; // what is tested: that it comes back
            is_over.store(true, Ordering::SeqCst);
            assert!(task.await.unwrap() > 0);
        });
    });
}

#[test]
fn a_timer_fires_beside_a_task_that_finds_an_item_whenever_it_reads() {
    timer_fires_beside(|is_over| async move {
        let (mut producer, mut consumer) = filled(0);
        let mut count = 0;
        while !is_over.load(Ordering::SeqCst) {
            let _ = producer.try_write(count).unwrap();
            assert_eq!(consumer.read_async().await, Ok(count));
            count += 1;
        }
        count
    });
}

#[test]
fn a_timer_fires_beside_a_task_that_finds_room_whenever_it_writes() {
    timer_fires_beside(|is_over| async move {
        let (mut producer, mut consumer) = highwater::channel(8);
        let mut count = 0;
        while !is_over.load(Ordering::SeqCst) {
            producer.write_async(count).await.unwrap();
            assert_eq!(consumer.try_read(), Ok(count));
            count += 1;
        }
        count
    });
}

#[test]
fn a_timer_fires_beside_a_task_that_is_fed_by_a_thread_as_fast_as_it_can() {
    timer_fires_beside(|is_over| async move {
        let (mut producer, mut consumer) = highwater::channel(1024);
        let feeder = thread::spawn(move || while producer.write(1).is_ok() {});
        let mut count = 0;
        while !is_over.load(Ordering::SeqCst) {
            count += consumer.read_async().await.unwrap();
        }
        drop(consumer);
        feeder.join().unwrap();
        count
    });
}

/// How often a task whose end finds nothing wakes itself, in so many waits.
fn self_wake_ups(runtime: &Runtime, waits: usize) -> usize {
    let _entered = runtime.enter();
    let (_producer, mut consumer) = highwater::channel::<usize>(4);
    let bell = Arc::new(Bell::default());
    let waker = bell.clone().into();
    for _ in 0..waits {
        let read = pin!(consumer.read_async());
        assert!(read.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    bell.0.load(Ordering::SeqCst)
}

#[test]
fn a_task_that_finds_nothing_looks_again_only_where_no_other_thread_would_steal_it() {
    let several = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    assert_eq!(self_wake_ups(&several, 100), 0);
    assert_ne!(self_wake_ups(&current_thread(), 100), 0);
}
