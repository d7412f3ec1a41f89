//! A system that gives no more threads: what needs one says so, and what does not works on.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    feature = "std"
))]

mod common;
#[path = "common/process.rs"]
mod process;
#[path = "common/sandbox.rs"]
mod sandbox;

use common::Drops;
use highwater::{pipe, pipe_items, PipeFailure, PipelineFailure};
use sandbox::{refuse_membarrier, refuse_threads};
use std::io::{self, ErrorKind, Read};

struct Source(#[allow(dead_code)] common::Counted);

impl Read for Source {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("nothing is read");
    }
}

#[test]
fn a_pipe_without_a_thread_fails_at_once_and_drops_its_source_unread() {
    process::alone(
        "a_pipe_without_a_thread_fails_at_once_and_drops_its_source_unread",
        || {
            refuse_threads();
            let drops = Drops::new();
            let mut sink = Vec::new();
            let error = pipe(Source(drops.item()), &mut sink).unwrap_err();
            match &error.failure {
                PipeFailure::Thread(cause) => assert_eq!(cause.kind(), ErrorKind::WouldBlock),
                other => panic!("{other:?}"),
            }
            assert_eq!((error.bytes, sink.len()), (0, 0));
            drops.assert_each_dropped_once();
        },
    );
}

#[test]
fn a_pipeline_without_a_thread_fails_at_once_and_drops_its_items() {
    process::alone(
        "a_pipeline_without_a_thread_fails_at_once_and_drops_its_items",
        || {
            refuse_threads();
            let drops = Drops::new();
            let items = vec![drops.item(), drops.item()];
            let error = pipe_items(items, |_| -> Result<(), String> { panic!("nothing comes") });
            let error = error.unwrap_err();
            assert!(
                matches!(error.failure, PipelineFailure::Thread(_)),
                "{error}"
            );
            assert_eq!(error.items, 0);
            drops.assert_each_dropped_once();
        },
    );
}

/// Where the barrier is refused, too, a waiter has to look again by itself: a thread can do without another.
#[test]
fn channels_work_on_without_new_threads() {
    process::alone("channels_work_on_without_new_threads", || {
        refuse_membarrier();
        let (mut producer, mut consumer) = highwater::channel(4);
        let (go, gone) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            gone.recv().unwrap();
            go_on(&mut consumer)
        });
        refuse_threads();
        go.send(()).unwrap();
        for i in 0..10_000_u64 {
            producer.write(i).unwrap();
        }
        producer.end().wait().unwrap();
        assert_eq!(reader.join().unwrap(), 10_000);
    });
}

fn go_on(consumer: &mut highwater::Consumer<u64>) -> u64 {
    let items = consumer.iter().map(Result::unwrap);
    items.zip(0..).map(|(item, i)| assert_eq!(item, i)).count() as u64
}
