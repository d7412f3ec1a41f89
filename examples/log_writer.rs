//! A log that does not hold up the application: one thread logs lines, another puts them on disk, many
//! at a time. When the disk is too slow the application either drops lines, and says how many, or
//! waits: as one chooses.
//!
//! `cargo run --release --example log_writer -- FILE [--lines N] [--policy drop|wait] [--slow-disk MS]`.
//! Without FILE it writes to a temporary one; in any case it checks afterwards that each line is there,
//! or was counted as dropped.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

use anyhow::{anyhow, ensure, Context, Result};
use bytesize::ByteSize;
use clap::{Parser, ValueEnum};
use highwater::{ByteConsumer, ByteProducer, TryReserveError};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Logs lines from one thread and writes them to disk in another.
#[derive(Parser)]
#[command(name = "log_writer")]
struct Options {
    /// The log file; a temporary one if it is left out
    file: Option<PathBuf>,
    /// How many lines to log
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// What to do with a line when the buffer is full
    #[arg(long, value_enum, default_value_t = Policy::Drop)]
    policy: Policy,
    /// Make the disk slow: sleep so many milliseconds before each write
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_disk: u64,
    /// How much may wait to be written
    #[arg(long, value_name = "BYTES", default_value = "1MiB")]
    buffer: ByteSize,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Policy {
    /// Drop it, and count it
    Drop,
    /// Wait until there is room
    Wait,
}

/// What the application has of the log.
struct Logger {
    bytes: ByteProducer,
    policy: Policy,
    /// Not reported yet, and in all.
    dropped: u64,
    dropped_in_all: u64,
}

impl Logger {
    /// Logs a line. Under [`Policy::Drop`] this never waits, whatever the disk does.
    fn log(&mut self, line: &str) -> Result<()> {
        if self.dropped > 0 {
            // The report takes the next room there is, before any other line.
            let report = format!("... {} lines were dropped here\n", self.dropped);
            if !self.write(report.as_bytes())? {
                self.count_dropped();
                return Ok(());
            }
            self.dropped = 0;
        }
        if !self.write(line.as_bytes())? {
            self.count_dropped();
        }
        Ok(())
    }

    fn count_dropped(&mut self) {
        self.dropped += 1;
        self.dropped_in_all += 1;
    }

    /// The whole line or nothing of it; whether it went.
    fn write(&mut self, line: &[u8]) -> Result<bool> {
        if self.policy == Policy::Wait {
            self.bytes.write_all(line).context(GONE)?;
            return Ok(true);
        }
        match self.bytes.get_mut().try_reserve(line.len()) {
            Ok(mut room) => {
                room.fill_from_slice(line);
                // Nothing to obey: the next line finds room, or is dropped.
                let _ = room.commit();
                Ok(true)
            }
            Err(TryReserveError::WouldBlock) => Ok(false),
            Err(TryReserveError::Closed) => Err(anyhow!(GONE)),
            Err(error @ TryReserveError::TooLarge { .. }) => Err(error.into()),
        }
    }
}

const GONE: &str = "the log has failed";

/// The writer thread: whatever has come by now is one write to the disk. Returns how many it took.
fn write_log(mut lines: ByteConsumer, mut file: impl Write) -> Result<u64> {
    let mut writes = 0;
    loop {
        match lines.drain_to(&mut file) {
            Ok(0) => {
                file.flush()?;
                return Ok(writes);
            }
            Ok(_) => writes += 1,
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let temporary = tempfile::NamedTempFile::new()?;
    let path = options.file.as_deref().unwrap_or(temporary.path());
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let slow = Slow {
        file,
        pause: Duration::from_millis(options.slow_disk),
    };

    let (producer, consumer) = highwater::bytes(usize::try_from(options.buffer.0)?);
    let monitor = producer.monitor();
    let writer = thread::spawn(move || write_log(consumer, slow));
    let mut logger = Logger {
        bytes: producer,
        policy: options.policy,
        dropped: 0,
        dropped_in_all: 0,
    };

    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    for number in 0..options.lines {
        let line = format!("line {number}: something has happened\n");
        let call = Instant::now();
        logger.log(&line)?;
        longest = longest.max(call.elapsed());
    }
    let logged_in = begin.elapsed();
    let (dropped, unreported) = (logger.dropped_in_all, logger.dropped);
    if unreported > 0 {
        logger.policy = Policy::Wait; // the application is done, and has time
        logger.log("the end\n")?;
    }
    logger.bytes.end();
    let writes = writer
        .join()
        .map_err(|_| anyhow!("the writer panicked"))??;

    let stats = monitor.stats();
    println!("logged   {} lines in {logged_in:.3?}", options.lines);
    println!("dropped  {dropped}, the longest call took {longest:.3?}");
    println!(
        "written  {} in {writes} writes; peak length {}",
        ByteSize(stats.items_read as u64),
        ByteSize(stats.peak_len as u64)
    );
    check(path, options.lines, dropped)
}

/// Each line is in the file, in order, or was counted as dropped where it is missing.
fn check(path: &Path, lines: u64, dropped: u64) -> Result<()> {
    let (mut next, mut missing) = (0, 0);
    for line in fs::read_to_string(path)?.lines() {
        if let Some(report) = line.strip_prefix("... ") {
            let count: u64 = report
                .split_once(' ')
                .context("a report with a number")?
                .0
                .parse()?;
            next += count;
            missing += count;
        } else if let Some(rest) = line.strip_prefix("line ") {
            let number: u64 = rest.split_once(':').context("a whole line")?.0.parse()?;
            ensure!(number == next, "line {number} where {next} was expected");
            next += 1;
        }
    }
    ensure!(next == lines, "{next} of {lines} lines are accounted for");
    ensure!(missing == dropped, "{missing} of {dropped} are reported");
    println!("checked  each line is there, or was reported as dropped");
    Ok(())
}

/// For `--slow-disk`.
struct Slow {
    file: File,
    pause: Duration,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.pause.is_zero() {
            thread::sleep(self.pause);
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
