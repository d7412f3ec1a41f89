//! From a source to a sink, each at its own pace: a channel with a thread.
#![forbid(unsafe_code)]

mod cancel;
mod items;

pub use cancel::CancelHandle;
pub use items::{pipe_items, Pipeline, PipelineError, PipelineFailure, PipelineReport};

use crate::{
    error::{BuildError, DrainError, FillError, ReadError, TryReadError},
    shared::ProducerState,
    Builder, ByteConsumer, ByteProducer, Monitor,
};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind, Read, Write},
    thread,
    time::{Duration, Instant},
};

/// Copies everything from a source to a sink, which work at the same time: a thread of its own reads, the
/// calling thread writes, and the slow one sets the pace. Memory stays bounded: see [`Pipe`] for the
/// marks, for progress, and for a way to stop.
///
/// # Errors
///
/// [`PipeError`]: which end failed, and how many bytes the sink had got. The other end is released at
/// once: a source that just then waits for input does not hold up the return; it is dropped, in its
/// thread, when it next gives something.
///
/// # Panics
///
/// If the sink does: see [`Pipe::run`].
///
/// # Examples
///
/// ```
/// let source = std::io::Cursor::new(vec![7; 1_000_000]);
/// let mut copy = Vec::new();
/// let report = highwater::pipe(source, &mut copy)?;
/// assert_eq!(report.bytes, 1_000_000);
/// assert_eq!(copy, vec![7; 1_000_000]);
/// # Ok::<(), highwater::PipeError>(())
/// ```
pub fn pipe(source: impl Read + Send + 'static, sink: impl Write) -> Result<PipeReport, PipeError> {
    Pipe::new().run(source, sink)
}

/// A [`pipe`] with options.
///
/// # Examples
///
/// ```
/// use highwater::Pipe;
///
/// let source = std::io::Cursor::new(vec![7; 100_000]);
/// let mut seen = 0;
/// Pipe::new()
///     .high_water_mark(16 * 1024)
///     .on_progress(|progress| seen = progress.bytes)
///     .run(source, std::io::sink())?;
/// assert_eq!(seen, 100_000);
/// # Ok::<(), highwater::PipeError>(())
/// ```
#[must_use = "a Pipe does nothing until `run`"]
pub struct Pipe<'p> {
    high_water_mark: usize,
    low_water_mark: Option<usize>,
    start: Option<Box<dyn FnOnce(Monitor) + Send + 'p>>,
    progress: Option<Box<dyn FnMut(PipeProgress) + Send + 'p>>,
    cancel: CancelHandle,
}

/// How far a [`Pipe`] is.
///
/// # Examples
///
/// ```
/// use highwater::Pipe;
/// use std::io;
///
/// let mut last = None;
/// Pipe::new()
///     .on_progress(|progress| last = Some(progress))
///     .run(io::Cursor::new(vec![7; 100_000]), io::sink())?;
/// let last = last.unwrap();
/// assert_eq!((last.bytes, last.len), (100_000, 0)); // everything, and nothing left between the two
/// # Ok::<(), highwater::PipeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipeProgress {
    /// The bytes that the sink has got.
    pub bytes: u64,
    /// The bytes between source and sink at the moment.
    pub len: usize,
}

/// How a [`Pipe`] went.
///
/// # Examples
///
/// ```
/// let report = highwater::pipe(&b"twelve bytes"[..], std::io::sink())?;
/// assert_eq!(report.bytes, 12);
/// assert_eq!(report.times_told_to_stop, 0); // 12 bytes are far below the mark
/// assert!(report.peak_len <= 12);
/// assert!(report.to_string().starts_with("12 bytes in "));
/// # Ok::<(), highwater::PipeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipeReport {
    /// The bytes that went from the source to the sink: all there were.
    pub bytes: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// How often the source was told to stop.
    pub times_told_to_stop: usize,
    /// How often it could go on.
    pub drains: usize,
    /// How long the source waited for the sink, in all.
    pub source_waited: Duration,
    /// How long the sink waited for the source, in all.
    pub sink_waited: Duration,
    /// The greatest number of bytes between the two, as of [`Stats::peak_len`](crate::Stats::peak_len).
    pub peak_len: usize,
}

/// A [`Pipe`] that did not copy everything.
///
/// # Examples
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// let mut memory = [0_u8; 4]; // a sink with room for four bytes
/// let error = highwater::pipe(&b"abcdef"[..], &mut memory[..]).unwrap_err();
/// assert_eq!(error.bytes, 4);
/// assert_eq!(Error::from(error).kind(), ErrorKind::WriteZero);
/// assert_eq!(&memory, b"abcd");
/// ```
#[derive(Debug)]
pub struct PipeError {
    /// The bytes that the sink had got.
    pub bytes: u64,
    /// What went wrong.
    pub failure: PipeFailure,
}

/// What went wrong in a [`Pipe`].
///
/// # Examples
///
/// ```
/// use highwater::PipeFailure;
/// use std::io::{self, ErrorKind};
///
/// let (producer, source) = highwater::bytes(64);
/// drop(producer); // so that this source fails: it broke off
/// let error = highwater::pipe(source, io::sink()).unwrap_err();
/// assert!(matches!(error.failure, PipeFailure::Source(error) if error.kind() == ErrorKind::UnexpectedEof));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PipeFailure {
    /// The source failed.
    Source(io::Error),
    /// The source panicked.
    SourcePanicked,
    /// The sink failed.
    Sink(io::Error),
    /// A [`CancelHandle`] has stopped it.
    Cancelled,
    /// The marks contradict each other, or there is no memory. Nothing was read.
    Build(BuildError),
    /// No thread could be started. Nothing was read.
    Thread(io::Error),
}

impl fmt::Display for PipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes;
        match &self.failure {
            PipeFailure::Source(error) => {
                write!(
                    f,
                    "the source failed after {bytes} bytes were copied: {error}"
                )
            }
            PipeFailure::SourcePanicked => {
                write!(f, "the source panicked after {bytes} bytes were copied")
            }
            PipeFailure::Sink(error) => {
                write!(
                    f,
                    "the sink failed after {bytes} bytes were copied: {error}"
                )
            }
            PipeFailure::Cancelled => write!(f, "cancelled after {bytes} bytes were copied"),
            PipeFailure::Build(error) => error.fmt(f),
            PipeFailure::Thread(error) => {
                write!(f, "no thread could be started for the source: {error}")
            }
        }
    }
}

impl Error for PipeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.failure {
            PipeFailure::Source(error) | PipeFailure::Sink(error) | PipeFailure::Thread(error) => {
                error.source()
            }
            PipeFailure::Build(error) => error.source(),
            PipeFailure::SourcePanicked | PipeFailure::Cancelled => None,
        }
    }
}

impl From<PipeError> for io::Error {
    /// The kind is that of the end that failed; of a thread that could not be had never `WouldBlock`.
    fn from(error: PipeError) -> Self {
        let kind = match &error.failure {
            PipeFailure::Source(error) | PipeFailure::Sink(error) => error.kind(),
            // There are too many threads (`EAGAIN`): not a pipe that would block.
            PipeFailure::Thread(error) if error.kind() == ErrorKind::WouldBlock => ErrorKind::Other,
            PipeFailure::Thread(error) => error.kind(),
            PipeFailure::SourcePanicked => ErrorKind::UnexpectedEof,
            // Not `Interrupted`, which asks for another try.
            PipeFailure::Cancelled => ErrorKind::ConnectionAborted,
            PipeFailure::Build(BuildError::OutOfMemory { .. }) => ErrorKind::OutOfMemory,
            PipeFailure::Build(_) => ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

impl fmt::Display for PipeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes in {:.3} s; told to stop {} times, {} drains; the source waited {:.3} s, the sink {:.3} s; peak length {}",
            self.bytes,
            self.elapsed.as_secs_f64(),
            self.times_told_to_stop,
            self.drains,
            self.source_waited.as_secs_f64(),
            self.sink_waited.as_secs_f64(),
            self.peak_len,
        )
    }
}

impl Default for Pipe<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'p> Pipe<'p> {
    /// A pipe with a high-water mark of 256 KiB, and a low-water mark of half of it.
    ///
    /// ```
    /// use highwater::Pipe;
    /// use std::io;
    /// let mut marks = (0, 0);
    /// Pipe::new()
    ///     .on_start(|monitor| marks = (monitor.high_water_mark(), monitor.low_water_mark()))
    ///     .run(io::empty(), io::sink())?;
    /// assert_eq!(marks, (256 * 1024, 128 * 1024));
    /// # Ok::<(), highwater::PipeError>(())
    /// ```
    pub fn new() -> Self {
        Self {
            high_water_mark: 256 * 1024,
            low_water_mark: None,
            start: None,
            progress: None,
            cancel: CancelHandle::new(),
        }
    }

    /// The bytes between source and sink at which the source has to stop. Read and write are offered
    /// at most half of that at a time, rounded up.
    ///
    /// ```
    /// use highwater::Pipe;
    /// use std::io;
    /// let source = io::Cursor::new(vec![7; 100_000]);
    /// let report = Pipe::new().high_water_mark(1000).run(source, io::sink())?;
    /// assert_eq!(report.bytes, 100_000);
    /// assert!(report.peak_len <= 1000);
    /// # Ok::<(), highwater::PipeError>(())
    /// ```
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.high_water_mark = bytes;
        self
    }

    /// The bytes at which the source may go on. Half of the high-water mark if it is not set; above it is a
    /// [`PipeFailure::Build`].
    ///
    /// ```
    /// use highwater::{Pipe, PipeFailure};
    /// use std::io;
    /// let pipe = Pipe::new().high_water_mark(1000).low_water_mark(1001);
    /// let error = pipe.run(io::empty(), io::sink()).unwrap_err();
    /// assert!(matches!(error.failure, PipeFailure::Build(_)));
    /// ```
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.low_water_mark = Some(bytes);
        self
    }

    /// Calls a function when everything is set up, in the thread of the sink, with a [`Monitor`] of the
    /// channel: for whoever wants to see the length also while nothing moves.
    ///
    /// ```
    /// use highwater::{Pipe, State};
    /// use std::io;
    /// let mut watch = None;
    /// Pipe::new()
    ///     .on_start(|monitor| watch = Some(monitor))
    ///     .run(&b"abcd"[..], io::sink())?;
    /// let monitor = watch.unwrap(); // it can also be kept
    /// assert_eq!((monitor.state(), monitor.stats().items_read), (State::Finished, 4));
    /// # Ok::<(), highwater::PipeError>(())
    /// ```
    pub fn on_start(mut self, call: impl FnOnce(Monitor) + Send + 'p) -> Self {
        self.start = Some(Box::new(call));
        self
    }

    /// Calls a function after each write of the sink, in its thread.
    ///
    /// ```
    /// use highwater::Pipe;
    /// use std::io;
    /// let mut writes = 0;
    /// Pipe::new()
    ///     .high_water_mark(1000)
    ///     .on_progress(|_| writes += 1)
    ///     .run(io::Cursor::new(vec![7; 100_000]), io::sink())?;
    /// assert!(writes >= 200); // of at most 500 bytes each
    /// # Ok::<(), highwater::PipeError>(())
    /// ```
    pub fn on_progress(mut self, call: impl FnMut(PipeProgress) + Send + 'p) -> Self {
        self.progress = Some(Box::new(call));
        self
    }

    /// A handle that stops the pipe from any thread.
    ///
    /// ```
    /// use highwater::{Pipe, PipeFailure};
    /// use std::io;
    /// let pipe = Pipe::new();
    /// let handle = pipe.cancel_handle();
    /// let error = pipe
    ///     .on_progress(move |_| handle.cancel()) // after the first write
    ///     .run(io::repeat(0), io::sink())
    ///     .unwrap_err();
    /// assert!(matches!(error.failure, PipeFailure::Cancelled));
    /// assert!(error.bytes > 0);
    /// ```
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Copies everything, see [`pipe`]. The sink is flushed at the end.
    ///
    /// Returns when the source has ended or failed and its thread has dropped it; if the sink failed, or the pipe was
    /// cancelled, before that, at once: the source, which may be waiting for input, is dropped by its thread when that call returns.
    ///
    /// # Errors
    ///
    /// [`PipeError`].
    ///
    /// # Panics
    ///
    /// If the sink does, or a function of [`on_start`](Self::on_start) or [`on_progress`](Self::on_progress): the panic goes
    /// on to the caller, and the source is released as by an error. A panic of the source is a
    /// [`PipeFailure::SourcePanicked`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Pipe;
    /// use std::io::BufWriter;
    ///
    /// let mut sink = BufWriter::new(Vec::new());
    /// let report = Pipe::new().run(&b"all of it"[..], &mut sink)?;
    /// assert_eq!(report.bytes, 9);
    /// assert_eq!(sink.get_ref(), b"all of it"); // nothing is left in the buffer
    /// # Ok::<(), highwater::PipeError>(())
    /// ```
    pub fn run(
        self,
        source: impl Read + Send + 'static,
        mut sink: impl Write,
    ) -> Result<PipeReport, PipeError> {
        let Self {
            start,
            mut progress,
            cancel,
            ..
        } = self;
        let builder = Builder::new().high_water_mark(self.high_water_mark);
        let (producer, consumer) = match self.low_water_mark {
            Some(low) => builder.low_water_mark(low).build::<u8>(),
            None => builder.build(),
        }
        .map_err(|error| PipeFailure::Build(error).after(0))?;
        cancel.attach(producer.writer.shared());

        let monitor = producer.monitor();
        if let Some(call) = start {
            call(monitor.clone());
        }
        let begin = Instant::now();
        let thread = thread::Builder::new()
            .name("highwater-source".into())
            .spawn(move || fill(producer.into(), source))
            .map_err(|error| PipeFailure::Thread(error).after(0))?;

        let mut bytes = 0;
        let mut consumer = ByteConsumer::from(consumer);
        let mut sink_waited = Duration::ZERO;
        let failure = loop {
            if consumer.get_ref().reader.items_seen() == 0 {
                sink_waited += wait_for_data(&mut consumer);
            }
            match consumer.drain_to(&mut sink) {
                Ok(0) => break flush(&mut sink, &cancel).err(),
                Ok(more) => {
                    bytes += more as u64;
                    if let Some(call) = &mut progress {
                        let len = consumer.get_ref().len();
                        call(PipeProgress { bytes, len });
                    }
                }
                Err(DrainError::Sink(error)) => {
                    // The thread notices when its source next gives something.
                    consumer.cancel(error.to_string());
                    return Err(PipeFailure::Sink(error).after(bytes));
                }
                // How the source ended is in the result of its thread. (An abort shows before the producer's
                // state does: that alone would not tell whose it is.)
                Err(DrainError::Stream(ReadError::Aborted(_)))
                    if cancel.is_cancelled()
                        && consumer.get_ref().reader.shared().producer_state()
                            != ProducerState::Aborted =>
                {
                    return Err(PipeFailure::Cancelled.after(bytes));
                }
                Err(DrainError::Stream(_)) => break None,
            }
        };
        cancel.detach();
        // It has ended, or is about to.
        let source = thread.join();
        if let Some(failure) = failure {
            return Err(failure.after(bytes));
        }
        let source_waited = match source {
            Ok(Ok(waited)) => waited,
            Ok(Err(error)) => return Err(PipeFailure::Source(error).after(bytes)),
            Err(_) => return Err(PipeFailure::SourcePanicked.after(bytes)),
        };
        let stats = monitor.stats();
        Ok(PipeReport {
            bytes,
            elapsed: begin.elapsed(),
            times_told_to_stop: stats.times_told_to_stop,
            drains: stats.drains,
            source_waited,
            sink_waited,
            peak_len: stats.peak_len,
        })
    }
}

impl PipeFailure {
    fn after(self, bytes: u64) -> PipeError {
        PipeError {
            bytes,
            failure: self,
        }
    }
}

impl fmt::Debug for Pipe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("high_water_mark", &self.high_water_mark)
            .field("low_water_mark", &self.low_water_mark)
            .finish_non_exhaustive()
    }
}

/// The source's thread. Returns how long it waited.
fn fill(mut producer: ByteProducer, mut source: impl Read) -> io::Result<Duration> {
    let mut waited = Duration::ZERO;
    loop {
        if producer.get_ref().need_drain() {
            let begin = Instant::now();
            // A closed stream shows in the next line.
            let _ = producer.get_mut().wait_drain();
            waited += begin.elapsed();
        }
        match producer.fill_from(&mut source) {
            Ok(0) => {
                producer.end();
                return Ok(waited);
            }
            Ok(_) => {}
            Err(FillError::Source(error)) => {
                producer.abort(error.to_string());
                return Err(error);
            }
            // The sink knows why.
            Err(FillError::Closed(_)) => return Ok(waited),
        }
    }
}

/// Waits, if nothing is there; what came, or that nothing will, shows when it is read.
fn wait_for_data(consumer: &mut ByteConsumer) -> Duration {
    let items = consumer.get_mut();
    if let Err(TryReadError::Empty) = items.try_chunk_up_to(1).map(drop) {
        let begin = Instant::now();
        let _ = items.chunk_up_to(1).map(drop);
        return begin.elapsed();
    }
    Duration::ZERO
}

fn flush(sink: &mut impl Write, cancel: &CancelHandle) -> Result<(), PipeFailure> {
    loop {
        match sink.flush() {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(PipeFailure::Sink(error));
            }
            Err(_) if cancel.is_cancelled() => return Err(PipeFailure::Cancelled),
            Err(_) => {}
        }
    }
}
