//! Copies a file through a pipe: a thread reads, the main thread writes, and memory stays bounded however
//! slow the writing side.
//!
//! `cargo run --release --example copy -- SRC DST [--high-water-mark BYTES] [--slow-consumer MS]`
//!
//! What the library does is in [`copy`]: a [`Pipe`] with a mark, a progress and a way to stop. The rest
//! is what a program that copies files owes its user: a copy that fails leaves nothing behind that
//! looks like one.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

use anyhow::{anyhow, bail, ensure, Context, Result};
use bytesize::ByteSize;
use clap::Parser;
use highwater::{Pipe, PipeFailure, PipeReport};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::{
    fmt,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    thread,
    time::Duration,
};
use tempfile::NamedTempFile;

/// A pipe with less than this would copy in drops.
const LEAST_MARK: u64 = 4096;

/// Copies a file through a pipe with backpressure.
///
/// One thread reads SRC, another writes DST. The pipe between them tells the reader to stop when it
/// holds too much, so that memory stays bounded however slow the writing side.
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
    /// How much may wait to be written before the reader is told to stop: 65536, 64KiB, 4MiB, ..
    #[arg(long, value_name = "BYTES", default_value = "1MiB")]
    high_water_mark: ByteSize,
    /// Do not wait until the copy is on the disk, as `cp` does not: after a crash of the machine there
    /// may be a file of that name without all of the bytes
    #[arg(long)]
    no_sync: bool,
    /// Make the writing side slow: sleep so many milliseconds before each write
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_consumer: u64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("copy: {error:#}");
            match error.downcast_ref::<Interrupted>() {
                Some(_) => ExitCode::from(130), // what a shell expects of a program that Ctrl-C ended
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Ctrl-C was pressed.
#[derive(Debug)]
struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

fn run(options: &Options) -> Result<()> {
    match (&options.source, &options.target) {
        (Some(source), Some(target)) => {
            let summary = copy(source, target, options)?;
            eprintln!("{summary}"); // not among the bytes, if DST is /dev/stdout
            Ok(())
        }
        _ => check_myself(options),
    }
}

// ---- The pipe ---------------------------------------------------------------------------------

/// Joins source, pipe and target.
fn copy(source: &Path, target: &Path, options: &Options) -> Result<Summary> {
    let mark = options.high_water_mark;
    ensure!(
        mark.0 >= LEAST_MARK,
        "a high-water mark of {} bytes is too low: at least {LEAST_MARK}",
        mark.0
    );
    let Source {
        file,
        size,
        permissions,
    } = Source::open(source)?;
    let pipe = Pipe::new().high_water_mark(usize::try_from(mark.0)?);
    // The first Ctrl-C asks for an end that leaves no temporary file behind; the second insists.
    // Before there is one.
    let handle = pipe.cancel_handle();
    ctrlc::set_handler(move || {
        if handle.is_cancelled() {
            std::process::exit(130);
        }
        handle.cancel();
    })?;
    let opened = Target::open(target, &file).with_context(|| in_words(target))?;
    let slow = Slow {
        file: opened.file(),
        pause: Duration::from_millis(options.slow_consumer),
    };

    let waiting = Arc::new(AtomicU64::new(0));
    let bar = progress_bar(size, waiting.clone());
    let copied = pipe
        .on_progress(|progress| {
            bar.set_position(progress.bytes);
            waiting.store(progress.len as u64, Ordering::Relaxed);
        })
        .run(file, slow);
    bar.finish_and_clear();

    let report = copied.map_err(|error| match error.failure {
        PipeFailure::Source(cause) => anyhow!("{}: {cause}", in_words(source)),
        PipeFailure::Sink(cause) => anyhow!("{}: {cause}", in_words(target)),
        PipeFailure::Cancelled => anyhow!(Interrupted).context(in_words(source)),
        _ => anyhow!("{}: {error}", in_words(source)),
    })?;
    // All that was read was written: only now is it a copy.
    opened
        .complete(permissions, !options.no_sync)
        .with_context(|| in_words(target))?;
    Ok(Summary {
        report,
        mark,
        memory: peak_memory(),
    })
}

// ---- What it shows ----------------------------------------------------------------------------

/// Drawn by a thread of its own, ten times a second. Nothing is drawn if stderr is no terminal.
fn progress_bar(size: Option<u64>, waiting: Arc<AtomicU64>) -> ProgressBar {
    let waiting = move |_: &ProgressState, w: &mut dyn fmt::Write| {
        let _ = write!(w, "{}", ByteSize(waiting.load(Ordering::Relaxed)));
    };
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:30} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {waiting} in the pipe",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {waiting} in the pipe",
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
    report: PipeReport,
    mark: ByteSize,
    memory: Option<ByteSize>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let (size, peak) = (ByteSize(report.bytes), ByteSize(report.peak_len as u64));
        let seconds = report.elapsed.as_secs_f64();
        let rate = ByteSize((report.bytes as f64 / seconds) as u64);
        let (reader, writer) = (report.source_waited, report.sink_waited);
        writeln!(f, "copied       {size} ({} bytes)", report.bytes)?;
        writeln!(f, "time         {seconds:.3} s, {rate}/s")?;
        writeln!(
            f,
            "waited       the reader {:.3} s, the writer {:.3} s",
            reader.as_secs_f64(),
            writer.as_secs_f64()
        )?;
        writeln!(
            f,
            "told to stop {} times, {} drains",
            report.times_told_to_stop, report.drains
        )?;
        writeln!(
            f,
            "peak length  {peak} ({} bytes), high-water mark {}",
            report.peak_len, self.mark
        )?;
        match self.memory {
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
    fn complete(self, permissions: Permissions, sync: bool) -> Result<()> {
        if let Self::Beside(file, path) = self {
            file.as_file().set_permissions(permissions)?;
            if sync {
                file.as_file().sync_all()?;
            }
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
    const PIECE: u64 = 64 * 1024;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&one).take(PIECE).read_to_end(&mut left)?;
        (&other).take(PIECE).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
