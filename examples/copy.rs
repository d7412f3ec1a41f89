//! Copies a file through a channel: a reader thread fills it, the main thread drains it, and memory
//! stays bounded however slow the writing side.
//!
//! `cargo run --release --example copy -- SRC DST [--high-water-mark BYTES] [--slow-consumer MS]`
//!
//! The channel is in three functions: [`fill`] is the reader thread, [`drain`] the writing side,
//! [`copy`] joins the two. The rest is what a program that copies files owes its user: a copy that
//! fails leaves nothing behind that looks like one.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

use anyhow::{anyhow, bail, ensure, Context, Result};
use bytesize::ByteSize;
use clap::Parser;
use highwater::{Builder, Bytes, Consumer, Monitor, Producer, ReadTimeoutError, Reason};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::{
    fmt,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// What the reader asks of the file at once, and so the greatest weight of an item.
pub const PIECE: usize = 64 * 1024;

/// How often the writing side looks up from an empty channel, to see whether it was interrupted.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Ctrl-C was pressed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Copies a file through a channel with backpressure.
///
/// One thread reads SRC, another writes DST. The channel between them tells the reader to stop when
/// it holds too much, so that memory stays bounded however slow the writing side.
///
/// Without SRC and DST the program checks itself: it makes a file of 256 MiB in a temporary
/// directory, copies it, and compares the two.
#[derive(Parser)]
#[command(
    name = "copy",
    override_usage = "copy [OPTIONS] [SRC DST]",
    after_help = "Exit status: 0 copied, 1 failed, 2 wrong usage, 130 interrupted."
)]
struct Options {
    /// The file to copy
    #[arg(value_name = "SRC", requires = "target")]
    source: Option<PathBuf>,
    /// Its copy; a file that is there is replaced once the copy is complete, a device or a pipe is
    /// written to
    #[arg(value_name = "DST")]
    target: Option<PathBuf>,
    /// How much may wait to be written before the reader is told to stop: 0, 65536, 4MiB, ..
    #[arg(long, value_name = "BYTES", default_value = "1MiB")]
    high_water_mark: ByteSize,
    /// Make the writing side slow: sleep so many milliseconds before each write
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_consumer: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("copy: {error:#}");
            if INTERRUPTED.load(Ordering::Relaxed) {
                ExitCode::from(130) // what a shell expects of a program that Ctrl-C ended
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(options: &Options) -> Result<()> {
    // The first Ctrl-C asks for an end that leaves no temporary file behind; the second insists.
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    match (&options.source, &options.target) {
        (Some(source), Some(target)) => {
            let summary = copy(source, target, options)?;
            eprintln!("{summary}"); // not among the bytes, if DST is /dev/stdout
            Ok(())
        }
        _ => check_myself(options),
    }
}

// ---- The channel ------------------------------------------------------------------------------

/// Joins source, channel and target.
fn copy(source: &Path, target: &Path, options: &Options) -> Result<Summary> {
    let Source {
        file,
        size,
        permissions,
    } = Source::open(source)?;
    let opened = Target::open(target, &file).with_context(|| in_words(target))?;

    // It weighs what it holds, so the marks are bytes. The slots are as many as it takes to reach
    // the high-water mark in full pieces.
    let mark = usize::try_from(options.high_water_mark.0)?;
    let slots = mark / PIECE + 1;
    let (pieces_in, pieces_out) = Builder::new()
        .weigh_by(Bytes)
        .high_water_mark(mark)
        .capacity(slots)
        .build::<Vec<u8>>()?;
    // A second channel, which counts items, brings written pieces back to be filled again. It has
    // room for all there are: those in the slots, and one in the hands of either thread.
    let (empty_in, empty_out) = Builder::new().capacity(slots + 2).build::<Vec<u8>>()?;

    let monitor = pieces_in.monitor();
    let bar = progress_bar(size, monitor.clone());
    let begin = Instant::now();
    let reader = thread::Builder::new()
        .name("reader".into())
        .spawn(move || fill(file, pieces_in, empty_out))
        .context("cannot start the reader thread")?;
    let slow = Slow {
        file: opened.file(),
        pause: Duration::from_millis(options.slow_consumer),
    };
    let drained = drain(pieces_out, empty_in, bar.wrap_write(slow), &INTERRUPTED);
    bar.finish_and_clear();

    // Whatever went wrong, the reader knows of it by now, and is done with a file in no time. From a
    // pipe no other byte may ever come: a reader that sleeps there ends with the process.
    if drained.is_ok() || size.is_some() {
        // Its panic has been told already, by what `drain` found at the end of the channel.
        let _ = reader.join();
    }
    drained.map_err(|failure| match failure {
        Failure::Reading(reason) => anyhow!("{}: {reason}", in_words(source)),
        Failure::Writing(error) => anyhow!("{}: {error}", in_words(target)),
        other => anyhow!("{}: {other}", in_words(source)),
    })?;
    opened
        .complete(permissions)
        .with_context(|| in_words(target))?;
    Ok(Summary::new(begin.elapsed(), &monitor))
}

/// The reader thread: goes as fast as it can, and sleeps when it is told to stop.
///
/// A panic in here drops the producer without an `end`, which the other side cannot take for one.
pub fn fill(
    mut source: impl Read,
    mut pieces: Producer<Vec<u8>, Bytes>,
    mut empty: Consumer<Vec<u8>>,
) {
    loop {
        // Take what has come back; a new piece is only made until enough of them are under way.
        let mut piece = empty
            .try_read()
            .unwrap_or_else(|_| Vec::with_capacity(PIECE));
        // Always filled up, also from a pipe that gives a few bytes at a time: then what the
        // channel weighs is what it takes of memory.
        match source.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => {
                pieces.end(); // we need not wait until everything is written: `drain` does
                return;
            }
            Ok(_) => {
                // This is all there is to backpressure: `write` sleeps until drain.
                if pieces.write(piece).is_err() {
                    return; // the writing side has given up, and says why itself
                }
            }
            Err(error) => return pieces.abort(error),
        }
    }
}

/// The writing side: takes one piece after the other, until the clean end or the first failure.
pub fn drain(
    mut pieces: Consumer<Vec<u8>, Bytes>,
    mut empty: Producer<Vec<u8>>,
    mut target: impl Write,
    interrupted: &AtomicBool,
) -> Result<(), Failure> {
    loop {
        if interrupted.load(Ordering::Relaxed) {
            pieces.cancel("interrupted");
            return Err(Failure::Interrupted);
        }
        let mut piece = match pieces.read_timeout(LOOK_UP) {
            Ok(piece) => piece,
            Err(ReadTimeoutError::Timeout) => continue,
            // The reader has said that this was all; nothing else makes a copy complete.
            Err(ReadTimeoutError::Ended) => return target.flush().map_err(Failure::Writing),
            Err(ReadTimeoutError::Abandoned) => return Err(Failure::ReaderDied),
            Err(ReadTimeoutError::Aborted(reason)) => return Err(Failure::Reading(reason)),
        };
        if let Err(error) = target.write_all(&piece) {
            // Wakes the reader if it sleeps; its next write, or the one it is in, is refused.
            pieces.cancel(error.to_string());
            return Err(Failure::Writing(error));
        }
        piece.clear();
        // There is room for all. And if the reader is gone, nobody needs it any more.
        let _ = empty.try_write(piece);
    }
}

/// Why a copy is not complete.
#[derive(Debug)]
pub enum Failure {
    /// The source gave an error: the reader aborted.
    Reading(Reason),
    /// The reader was gone without an end or an abort: a panic.
    ReaderDied,
    /// The target gave an error.
    Writing(io::Error),
    /// Ctrl-C.
    Interrupted,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reading(reason) => reason.fmt(f),
            Self::ReaderDied => f.write_str("the thread that reads it died before the end"),
            Self::Writing(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

// ---- What it shows ----------------------------------------------------------------------------

/// Drawn by a thread of its own, ten times a second, which looks at the channel through a monitor.
/// Nothing is drawn if stderr is no terminal.
fn progress_bar(size: Option<u64>, monitor: Monitor) -> ProgressBar {
    let waiting = move |_: &ProgressState, w: &mut dyn fmt::Write| {
        let _ = write!(w, "{}", ByteSize(monitor.len() as u64));
    };
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:30} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {waiting} in the channel",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {waiting} in the channel",
        ),
    };
    let style = ProgressStyle::with_template(template)
        .expect("a valid template")
        .with_key("waiting", waiting);
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// How it went.
struct Summary {
    time: Duration,
    bytes: u64,
    high_water_mark: u64,
    peak: u64,
    times_told_to_stop: usize,
    drains: usize,
    peak_memory: Option<ByteSize>,
}

impl Summary {
    /// The monitor outlives both ends, so this can be asked when all is done.
    fn new(time: Duration, monitor: &Monitor) -> Self {
        let stats = monitor.stats();
        Self {
            time,
            bytes: stats.weight_written as u64,
            high_water_mark: monitor.high_water_mark() as u64,
            peak: stats.peak_len as u64,
            times_told_to_stop: stats.times_told_to_stop,
            drains: stats.drains,
            peak_memory: peak_memory(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let rate = ByteSize((self.bytes as f64 / seconds) as u64);
        let (size, peak, mark) = (
            ByteSize(self.bytes),
            ByteSize(self.peak),
            ByteSize(self.high_water_mark),
        );
        writeln!(f, "copied       {size} ({} bytes)", self.bytes)?;
        writeln!(f, "time         {seconds:.3} s, {rate}/s")?;
        writeln!(
            f,
            "told to stop {} times, {} drains",
            self.times_told_to_stop, self.drains
        )?;
        writeln!(
            f,
            "peak length  {peak} ({} bytes), high-water mark {mark}",
            self.peak
        )?;
        match self.peak_memory {
            Some(memory) => write!(f, "peak memory  {memory} resident"),
            None => write!(f, "peak memory  not known on this system"),
        }
    }
}

/// The most memory that was resident at any time of this process.
#[cfg(target_os = "linux")]
fn peak_memory() -> Option<ByteSize> {
    let status = procfs::process::Process::myself().ok()?.status().ok()?;
    status.vmhwm.map(ByteSize::kib)
}

#[cfg(not(target_os = "linux"))]
fn peak_memory() -> Option<ByteSize> {
    None
}

// ---- Files ------------------------------------------------------------------------------------

struct Source {
    file: File,
    /// Of a file; of a pipe or a device nobody knows.
    size: Option<u64>,
    permissions: Permissions,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok::<_, io::Error>((file, metadata))
        };
        let (file, metadata) = open().with_context(|| in_words(path))?;
        ensure!(!metadata.is_dir(), "{}: is a directory", in_words(path));
        Ok(Self {
            file,
            size: metadata.is_file().then_some(metadata.len()),
            permissions: metadata.permissions(),
        })
    }
}

/// Where the bytes go.
enum Target {
    /// A file beside DST. It takes DST's name when it is complete, and is removed if it is dropped
    /// before that.
    Beside(NamedTempFile, PathBuf),
    /// DST itself, a device or a pipe: there is nothing to replace it with.
    Straight(File),
}

impl Target {
    fn open(path: &Path, source: &File) -> Result<Self> {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Err(_) if path.symlink_metadata().is_ok() => bail!("a symbolic link to nothing"),
            Err(_) => return Self::beside(path),
        };
        ensure!(!metadata.is_dir(), "is a directory");
        if !metadata.is_file() {
            return Ok(Self::Straight(OpenOptions::new().write(true).open(path)?));
        }
        // The same file also by another name, as a hard link is.
        let source = same_file::Handle::from_file(source.try_clone()?)?;
        ensure!(
            same_file::Handle::from_path(path)? != source,
            "is the very file to copy"
        );
        // A symbolic link stays one: it is the file that it points to which is replaced.
        Self::beside(&path.canonicalize()?)
    }

    fn beside(path: &Path) -> Result<Self> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        // In the same directory, so in the same file system: renaming it will be one step.
        let file = tempfile::Builder::new()
            .prefix(".copy-")
            .tempfile_in(directory)?;
        Ok(Self::Beside(file, path.to_owned()))
    }

    fn file(&self) -> &File {
        match self {
            Self::Beside(file, _) => file.as_file(),
            Self::Straight(file) => file,
        }
    }

    /// Only now is there a copy of that name. On the disk before, or a crash of the machine could
    /// leave the name without the bytes.
    fn complete(self, permissions: Permissions) -> Result<()> {
        if let Self::Beside(file, path) = self {
            file.as_file().set_permissions(permissions)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
        }
        Ok(())
    }
}

/// For `--slow-consumer`.
struct Slow<'a> {
    file: &'a File,
    pause: Duration,
}

impl Write for Slow<'_> {
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

fn in_words(path: &Path) -> String {
    path.display().to_string()
}

// ---- The self-check ---------------------------------------------------------------------------

fn check_myself(options: &Options) -> Result<()> {
    const SIZE: u64 = 256 * 1024 * 1024;

    /// Bytes without a pattern: a piece that is lost, doubled or swapped shows.
    struct Noise(fastrand::Rng);

    impl Read for Noise {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.fill(buffer);
            Ok(buffer.len())
        }
    }

    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let source = directory.path().join("source");
    let target = directory.path().join("copy");
    let mut noise = Noise(fastrand::Rng::with_seed(1)).take(SIZE);
    File::create(&source)
        .and_then(|mut file| io::copy(&mut noise, &mut file))
        .context("cannot make the file to copy")?;

    let summary = copy(&source, &target, options)?;
    eprintln!("{summary}");
    ensure!(
        fs::metadata(&target)?.len() == SIZE && are_equal(&source, &target)?,
        "THE COPY DIFFERS FROM ITS SOURCE"
    );
    directory
        .close()
        .context("cannot remove the temporary directory")?;
    println!("the copy is equal to its source");
    Ok(())
}

/// Byte for byte.
fn are_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&one).take(PIECE as u64).read_to_end(&mut left)?;
        (&other).take(PIECE as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
