//! A thread feeds a task of tokio, which feeds a thread: lines go in as bytes, come out as items, and whoever is
//! faster is held back.
//!
//! `cargo run --release --features tokio --example tokio_bridge`. The thread in front writes lines as a blocking
//! program does. The task looks each of them up, which takes its time. The thread behind checks what comes out.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

use anyhow::{ensure, Context, Result};
use highwater::{ByteConsumer, ByteProducer, Consumer, Producer};
use std::{io::Write, thread, time::Duration};
use tokio::{io::AsyncBufReadExt, runtime, time::sleep};

const LINES: u64 = 20_000;
/// How many bytes may wait for the task.
const INPUT_MARK: usize = 4096;
/// How many answers may wait for the thread behind.
const OUTPUT_MARK: usize = 16;

fn main() -> Result<()> {
    let (producer, lines) = highwater::bytes(INPUT_MARK);
    let (answers, consumer) = highwater::channel(OUTPUT_MARK);
    let (input, output) = (producer.monitor(), consumer.monitor());

    let feeder = thread::spawn(move || feed(producer));
    let checker = thread::spawn(move || check(consumer));
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let answered = runtime.block_on(answer(lines, answers));
    let fed = feeder.join().expect("the feeder does not panic");
    let checked = checker.join().expect("the checker does not panic");
    // If one fails the others fail with it: all are told.
    let failures: Vec<_> = [("feeder", fed), ("task", answered), ("checker", checked)]
        .into_iter()
        .filter_map(|(who, result)| Some(format!("{who}: {:#}", result.err()?)))
        .collect();
    ensure!(failures.is_empty(), failures.join("; "));

    let (input, output) = (input.stats(), output.stats());
    ensure!(input.peak_len <= INPUT_MARK, "too many bytes waited");
    ensure!(output.peak_len <= OUTPUT_MARK, "too many answers waited");
    ensure!(
        input.times_told_to_stop > 0,
        "the feeder was never held back"
    );
    println!(
        "{LINES} lines in, as many answers out, all right and in order: the feeder was told to stop {} times, \
         and never more than {} bytes and {} answers waited",
        input.times_told_to_stop, input.peak_len, output.peak_len
    );
    Ok(())
}

/// A thread that knows nothing of tasks.
fn feed(mut lines: ByteProducer) -> Result<()> {
    for number in 0..LINES {
        writeln!(lines, "{number}")?;
    }
    lines.end();
    Ok(())
}

/// A task between two threads.
async fn answer(lines: ByteConsumer, mut answers: Producer<(u64, u64)>) -> Result<()> {
    let mut lines = lines.lines();
    while let Some(line) = lines.next_line().await? {
        let number: u64 = line.parse().with_context(|| format!("`{line}`"))?;
        if number % 500 == 0 {
            sleep(Duration::from_millis(1)).await; // asks a slow service
        }
        answers.write_async((number, number * number)).await?;
    }
    answers.end();
    Ok(())
}

/// Another thread that knows nothing of tasks.
fn check(answers: Consumer<(u64, u64)>) -> Result<()> {
    let mut count = 0;
    for answer in answers {
        let answer = answer?;
        ensure!(answer == (count, count * count), "{answer:?}, not {count}");
        count += 1;
    }
    ensure!(count == LINES, "{count} answers to {LINES} lines");
    Ok(())
}
