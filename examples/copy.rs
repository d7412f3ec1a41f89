//! Copies a file through a channel: a reader thread fills it, the main thread drains it, and memory
//! stays bounded however slow the writing side.
//!
//! `cargo run --release --example copy -- SRC DST [--high-water-mark BYTES] [--slow-consumer MS]`
//!
//! Without SRC and DST it copies a file of its own making, and compares the two.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

use anyhow::{bail, ensure, Context, Result};
use clap::Parser;
use highwater::{Builder, Bytes, Consumer, Monitor, Producer};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// What the reader thread asks of the file at once, and so the weight of an item.
const PIECE: usize = 64 * 1024;

/// Copy a file through a channel with backpressure.
#[derive(Parser)]
#[command(name = "copy")]
struct Options {
    /// The file to copy; without it, 256 MiB of our own making, in a temporary directory
    #[arg(requires = "destination")]
    source: Option<PathBuf>,
    /// Where to
    destination: Option<PathBuf>,
    /// The reader stops when so many bytes are waiting to be written
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024)]
    high_water_mark: usize,
    /// Wait so many milliseconds after each piece that is written
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_consumer: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match (&options.source, &options.destination) {
        (Some(source), Some(destination)) => copy(source, destination, &options),
        _ => copy_our_own(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("copy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The self-check.
fn copy_our_own(options: &Options) -> Result<()> {
    const SIZE: usize = 256 * 1024 * 1024;

    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let (source, destination) = (
        directory.path().join("source"),
        directory.path().join("copy"),
    );
    let mut file = File::create(&source).context("cannot make the file to copy")?;
    // A pattern that repeats in no piece: a piece lost or swapped shows.
    let mut state = 1_u64;
    for _ in 0..SIZE / PIECE {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            piece.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)
            .context("cannot fill the file to copy")?;
    }
    drop(file);

    copy(&source, &destination, options)?;

    let (mut a, mut b) = (
        BufReader::with_capacity(PIECE, File::open(&source)?),
        BufReader::with_capacity(PIECE, File::open(&destination)?),
    );
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    for _ in 0..SIZE / PIECE {
        a.read_exact(&mut left)?;
        b.read_exact(&mut right).context("the copy is too short")?;
        ensure!(left == right, "the copy differs from its source");
    }
    ensure!(b.read(&mut right)? == 0, "the copy is too long");
    println!("the copy is equal to its source");
    Ok(())
}

fn copy(source: &Path, destination: &Path, options: &Options) -> Result<()> {
    let name = |path: &Path| path.display().to_string();
    let from = File::open(source).with_context(|| name(source))?;
    let metadata = from.metadata().with_context(|| name(source))?;
    ensure!(!metadata.is_dir(), "{} is a directory", name(source));
    if same_file::is_same_file(source, destination).unwrap_or(false) {
        bail!(
            "{} and {} are the same file",
            name(source),
            name(destination)
        );
    }

    let target = Target::create(destination).with_context(|| name(destination))?;
    let summary = pump(from, &target.file()?, metadata.len(), options)?;
    // Only now does it take its name: a copy that failed leaves nothing that looks like one.
    target
        .complete(metadata.permissions())
        .with_context(|| name(destination))?;
    println!("{summary}");
    Ok(())
}

/// What is written to: a temporary file that takes the name of the destination at the end, or, if
/// that is no regular file (a device, a pipe), the thing itself.
enum Target {
    Temporary(NamedTempFile, PathBuf),
    Special(File),
}

impl Target {
    fn create(destination: &Path) -> Result<Self> {
        match fs::metadata(destination) {
            Ok(metadata) if metadata.is_dir() => bail!("is a directory"),
            Ok(metadata) if !metadata.is_file() => Ok(Self::Special(
                File::options().write(true).open(destination)?,
            )),
            _ => {
                let directory = match destination.parent() {
                    Some(parent) if parent != Path::new("") => parent,
                    _ => Path::new("."),
                };
                let file = NamedTempFile::new_in(directory)?;
                Ok(Self::Temporary(file, destination.to_owned()))
            }
        }
    }

    fn file(&self) -> io::Result<File> {
        match self {
            Self::Temporary(file, _) => file.as_file().try_clone(),
            Self::Special(file) => file.try_clone(),
        }
    }

    fn complete(self, permissions: fs::Permissions) -> Result<()> {
        if let Self::Temporary(file, destination) = self {
            file.as_file().set_permissions(permissions)?;
            file.as_file().sync_all()?;
            file.persist(destination)?;
        }
        Ok(())
    }
}

/// The heart of it: source, channel, sink.
fn pump(from: File, mut to: &File, size: u64, options: &Options) -> Result<String> {
    let (producer, mut consumer) = Builder::new()
        .weigh_by(Bytes)
        .high_water_mark(options.high_water_mark)
        .build()?;
    let monitor = producer.monitor();
    let bar = progress_bar(size);
    let begin = Instant::now();

    let reader = thread::Builder::new()
        .name("reader".into())
        .spawn(move || fill(from, producer))
        .context("cannot start the reader thread")?;

    let written = drain(&mut consumer, &mut to, &monitor, &bar, options);
    // If the writing failed the reader is refused from here on, and comes to its end.
    drop(consumer);
    bar.finish_and_clear();
    let read = reader.join();
    let bytes = written?;
    ensure!(read.is_ok(), "the reader thread panicked");

    let seconds = begin.elapsed().as_secs_f64();
    let stats = monitor.stats();
    Ok(format!(
        "{bytes} bytes in {seconds:.3} s, {:.0} MiB/s\n\
         told to stop {} times, {} drains, peak length {}, peak resident memory {}",
        bytes as f64 / 1024.0 / 1024.0 / seconds,
        stats.times_told_to_stop,
        stats.drains,
        HumanBytes(stats.peak_len as u64),
        peak_memory().map_or("unknown".into(), |bytes| HumanBytes(bytes).to_string()),
    ))
}

/// The reader thread: `write` obeys the signal, so this runs no further ahead than the mark.
fn fill(mut from: impl Read, mut producer: Producer<Vec<u8>, Bytes>) {
    loop {
        let mut piece = vec![0; PIECE];
        match from.read(&mut piece) {
            Ok(0) => {
                producer.end();
                return;
            }
            Ok(read) => {
                piece.truncate(read);
                if producer.write(piece).is_err() {
                    return; // the consumer is gone, and knows why
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // To the consumer this is no end: the copy is not complete.
            Err(error) => return producer.abort(error),
        }
    }
}

/// The main thread. An abort by the reader, or its panic, is an `Err` among the items.
fn drain(
    consumer: &mut Consumer<Vec<u8>, Bytes>,
    to: &mut impl Write,
    monitor: &Monitor,
    bar: &ProgressBar,
    options: &Options,
) -> Result<u64> {
    let mut bytes = 0;
    for piece in consumer {
        let piece = piece.context("reading failed")?;
        to.write_all(&piece).context("writing failed")?;
        bytes += piece.len() as u64;
        bar.set_position(bytes);
        bar.set_message(HumanBytes(monitor.len() as u64).to_string());
        thread::sleep(Duration::from_millis(options.slow_consumer));
    }
    to.flush().context("writing failed")?;
    Ok(bytes)
}

fn progress_bar(size: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} in the channel: {msg}",
    );
    ProgressBar::new(size).with_style(style.expect("a valid template"))
}

/// The most memory that this process ever had, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
