//! Pipes for items, and several stages in a row.
#![forbid(unsafe_code)]

use super::CancelHandle;
use crate::{
    error::{BuildError, ReadError},
    sync::{Arc, Mutex},
    Builder, Consumer, Monitor, Producer, Stats,
};
use std::{
    error::Error,
    fmt, io,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What a stage or a sink may fail with: any error, or a string.
type Cause = Box<dyn Error + Send + Sync>;

/// Hands the items of an iterator, which runs in a thread of its own, to a function in the calling
/// thread: a [`Pipeline`] without a stage between the two.
///
/// # Errors
///
/// [`PipelineError`].
///
/// # Panics
///
/// If the function does: see [`Pipeline::run`].
///
/// # Examples
///
/// ```
/// let mut sum = 0;
/// let report = highwater::pipe_items(1..=1000, |item| {
///     sum += item;
///     Ok::<(), String>(())
/// })?;
/// assert_eq!((sum, report.items), (500_500, 1000));
/// # Ok::<(), highwater::PipelineError>(())
/// ```
pub fn pipe_items<T, I, E>(
    items: I,
    sink: impl FnMut(T) -> Result<(), E>,
) -> Result<PipelineReport, PipelineError>
where
    T: Send + 'static,
    I: IntoIterator<Item = T>,
    I::IntoIter: Send + 'static,
    E: Into<Cause>,
{
    Pipeline::source(items).run(sink)
}

/// A source, some stages and a sink, each in a thread of its own (the sink in the calling one), with a
/// channel between each and the next: the slowest one sets the pace.
///
/// Nothing starts before [`run`](Self::run).
///
/// # Examples
///
/// ```
/// use highwater::Pipeline;
///
/// let words = "12 7 twelve 4";
/// let mut sum = 0;
/// let error = Pipeline::source(words.split(' '))
///     .high_water_mark(8)
///     .stage(|word: &str| word.parse::<u32>())
///     .high_water_mark(2)
///     .run(|number| {
///         sum += number;
///         Ok::<(), String>(())
///     })
///     .unwrap_err();
/// assert!(sum <= 19);
/// assert_eq!(error.to_string(), "stage 1 failed: invalid digit found in string");
/// ```
#[must_use = "a Pipeline does nothing until `run`"]
pub struct Pipeline<T> {
    /// Starts everything so far, which is to write to this end.
    start: Start<T>,
    /// The stage that writes: the source is 0.
    stage: usize,
    /// Of the channel that comes next.
    high_water_mark: usize,
    running: Arc<Running>,
    cancel: CancelHandle,
}

type Start<T> = Box<dyn FnOnce(Producer<T>) -> Result<(), PipelineFailure> + Send>;

/// What the threads have in common.
#[derive(Default)]
struct Running {
    /// The first failure is the one that counts: others follow from it.
    failure: Mutex<Option<PipelineFailure>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    monitors: Mutex<Vec<Monitor>>,
}

/// How a [`Pipeline`] went.
///
/// # Examples
///
/// ```
/// let report = highwater::pipe_items(0..100, |_| Ok::<(), String>(()))?;
/// assert_eq!(report.items, 100);
/// assert_eq!(report.channels.len(), 1); // no stage between source and sink
/// assert_eq!(report.channels[0].items_read, 100);
/// assert!(report.channels[0].peak_len <= 16); // the default mark
/// # Ok::<(), highwater::PipelineError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PipelineReport {
    /// The items that the sink has got.
    pub items: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// What happened in the channels, the one after the source first.
    pub channels: Vec<Stats>,
}

/// A [`Pipeline`] that did not come to its end.
///
/// # Examples
///
/// ```
/// let error = highwater::pipe_items(1..=5, |item| if item < 3 { Ok(()) } else { Err("too many") }).unwrap_err();
/// assert_eq!(error.items, 2); // the third was refused
/// assert_eq!(error.to_string(), "the sink failed after 2 items: too many");
/// ```
#[derive(Debug)]
pub struct PipelineError {
    /// The items that the sink had taken.
    pub items: u64,
    /// What went wrong.
    pub failure: PipelineFailure,
}

/// What went wrong in a [`Pipeline`]. Stages count from 1; the source is stage 0.
///
/// # Examples
///
/// ```
/// use highwater::{Pipeline, PipelineFailure};
/// use std::num::ParseIntError;
///
/// let error = Pipeline::source(["7", "seven"])
///     .stage(|word: &str| word.parse::<u8>())
///     .run(|_| Ok::<(), String>(()))
///     .unwrap_err();
/// assert!(matches!(error.failure, PipelineFailure::Stage { stage: 1, cause } if cause.is::<ParseIntError>()));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PipelineFailure {
    /// A stage returned an error.
    Stage {
        /// Which one.
        stage: usize,
        /// The error.
        cause: Cause,
    },
    /// A stage panicked, or the source did.
    StagePanicked {
        /// Which one.
        stage: usize,
    },
    /// The sink returned an error.
    Sink(Cause),
    /// A [`CancelHandle`] has stopped it.
    Cancelled,
    /// A mark is beyond all memory.
    Build(BuildError),
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            PipelineFailure::Stage { stage, cause } => write!(f, "stage {stage} failed: {cause}"),
            PipelineFailure::StagePanicked { stage: 0 } => f.write_str("the source panicked"),
            PipelineFailure::StagePanicked { stage } => write!(f, "stage {stage} panicked"),
            PipelineFailure::Sink(cause) => {
                write!(f, "the sink failed after {} items: {cause}", self.items)
            }
            PipelineFailure::Cancelled => write!(f, "cancelled after {} items", self.items),
            PipelineFailure::Build(error) => error.fmt(f),
            PipelineFailure::Thread(error) => write!(f, "no thread could be started: {error}"),
        }
    }
}

impl Error for PipelineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.failure {
            PipelineFailure::Stage { cause, .. } | PipelineFailure::Sink(cause) => cause.source(),
            PipelineFailure::Thread(error) => error.source(),
            PipelineFailure::Build(error) => error.source(),
            PipelineFailure::StagePanicked { .. } | PipelineFailure::Cancelled => None,
        }
    }
}

impl<T: Send + 'static> Pipeline<T> {
    /// A pipeline that begins with the items of an iterator.
    ///
    /// ```
    /// use highwater::Pipeline;
    /// let mut squares = Vec::new();
    /// Pipeline::source((1..=4).map(|i| i * i)).run(|square| {
    ///     squares.push(square);
    ///     Ok::<(), String>(())
    /// })?;
    /// assert_eq!(squares, [1, 4, 9, 16]);
    /// # Ok::<(), highwater::PipelineError>(())
    /// ```
    pub fn source<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        let items = items.into_iter();
        let running = Arc::new(Running::default());
        let started = running.clone();
        Self {
            start: Box::new(move |mut output| {
                started.spawn(0, move || {
                    let mut items = items;
                    for item in &mut items {
                        if output.write(item).is_err() {
                            return; // whoever refused it says why
                        }
                    }
                    // First: if that panics, the stream breaks off.
                    drop(items);
                    output.end();
                })
            }),
            stage: 0,
            high_water_mark: 16,
            running,
            cancel: CancelHandle::new(),
        }
    }

    /// The high-water mark, in items, of the channel between what there is so far and what comes next. 16
    /// if it is not set.
    ///
    /// ```
    /// use highwater::Pipeline;
    /// let report = Pipeline::source(0..100)
    ///     .high_water_mark(2) // from the source to the stage
    ///     .stage(|i: u32| Ok::<u32, String>(i + 1))
    ///     .high_water_mark(8) // from the stage to the sink
    ///     .run(|_| Ok::<(), String>(()))?;
    /// assert!(report.channels[0].peak_len <= 2 && report.channels[1].peak_len <= 8);
    /// # Ok::<(), highwater::PipelineError>(())
    /// ```
    pub fn high_water_mark(mut self, items: usize) -> Self {
        self.high_water_mark = items;
        self
    }

    /// Adds a stage, in a thread of its own, that makes one item of each, or fails.
    ///
    /// ```
    /// use highwater::Pipeline;
    /// let mut lengths = Vec::new();
    /// Pipeline::source(["one", "three"])
    ///     .stage(|word: &str| Ok::<usize, String>(word.len()))
    ///     .run(|length| {
    ///         lengths.push(length);
    ///         Ok::<(), String>(())
    ///     })?;
    /// assert_eq!(lengths, [3, 5]); // in order
    /// # Ok::<(), highwater::PipelineError>(())
    /// ```
    pub fn stage<U, E>(
        self,
        mut transform: impl FnMut(T) -> Result<U, E> + Send + 'static,
    ) -> Pipeline<U>
    where
        U: Send + 'static,
        E: Into<Cause>,
    {
        self.stage_many(move |item| transform(item).map(Some))
    }

    /// Adds a stage, in a thread of its own, that makes any number of items of each, or fails. What comes behind it hears of the
    /// end when the function has been dropped.
    ///
    /// ```
    /// use highwater::Pipeline;
    /// let mut words = Vec::new();
    /// Pipeline::source(["two words", "", "one"])
    ///     .stage_many(|line: &'static str| Ok::<_, String>(line.split_whitespace()))
    ///     .run(|word| {
    ///         words.push(word);
    ///         Ok::<(), String>(())
    ///     })?;
    /// assert_eq!(words, ["two", "words", "one"]);
    /// # Ok::<(), highwater::PipelineError>(())
    /// ```
    pub fn stage_many<U, I, E>(
        self,
        mut transform: impl FnMut(T) -> Result<I, E> + Send + 'static,
    ) -> Pipeline<U>
    where
        U: Send + 'static,
        I: IntoIterator<Item = U>,
        E: Into<Cause>,
    {
        let stage = self.stage + 1;
        let (running, cancel) = (self.running.clone(), self.cancel.clone());
        let start: Start<U> = Box::new(move |mut output| {
            let running = self.running.clone();
            let mut input = self.begin()?;
            running.clone().spawn(stage, move || {
                let result = feed(&mut input, &running, stage, |item| {
                    let items = transform(item).map_err(|cause| PipelineFailure::Stage {
                        stage,
                        cause: cause.into(),
                    })?;
                    for item in items {
                        if output.write(item).is_err() {
                            return Ok(false); // whoever refused it says why
                        }
                    }
                    Ok(true)
                });
                match result {
                    Fed::Everything => {
                        // First: if that panics, the stream breaks off.
                        drop(transform);
                        output.end();
                    }
                    // Before the ends go: whoever finds one gone may ask why.
                    Fed::Broken => output.abort("a stage before this one failed"),
                    Fed::Refused => {}
                }
            })
        });
        Pipeline {
            start,
            stage,
            high_water_mark: 16,
            running,
            cancel,
        }
    }

    /// A handle that stops the pipeline from any thread.
    ///
    /// ```
    /// use highwater::Pipeline;
    /// let pipeline = Pipeline::source(0_u64..); // would never end
    /// let handle = pipeline.cancel_handle();
    /// let error = pipeline
    ///     .run(|item| {
    ///         if item == 9 {
    ///             handle.cancel();
    ///         }
    ///         Ok::<(), String>(())
    ///     })
    ///     .unwrap_err();
    /// assert_eq!(error.to_string(), "cancelled after 10 items");
    /// ```
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Starts everything, and hands what comes out to a function in the calling thread, until the end or
    /// the first failure.
    ///
    /// # Errors
    ///
    /// [`PipelineError`]: what failed first, and how many items the sink had taken. All others are
    /// stopped; one that is in a call of its own just then does not hold up the return.
    ///
    /// # Panics
    ///
    /// If the function does: its panic goes on to the caller, and everything else is stopped. A panic of the source or of
    /// a stage is a [`PipelineFailure::StagePanicked`].
    ///
    /// # Examples
    ///
    /// ```
    /// use highwater::Pipeline;
    ///
    /// let mut sum = 0;
    /// let report = Pipeline::source(1..=100)
    ///     .stage(|i: u32| Ok::<u32, String>(i * 2))
    ///     .run(|i| {
    ///         sum += i; // in this thread
    ///         Ok::<(), String>(())
    ///     })?;
    /// assert_eq!((sum, report.items, report.channels.len()), (10_100, 100, 2));
    /// # Ok::<(), highwater::PipelineError>(())
    /// ```
    pub fn run<E: Into<Cause>>(
        self,
        mut sink: impl FnMut(T) -> Result<(), E>,
    ) -> Result<PipelineReport, PipelineError> {
        /// Whatever happens, also a panic of the sink: no stage is left waiting.
        struct StopAll(CancelHandle);

        impl Drop for StopAll {
            fn drop(&mut self) {
                self.0.stop();
            }
        }

        let begin = Instant::now();
        let stage = self.stage + 1;
        let (running, cancel) = (self.running.clone(), self.cancel.clone());
        let _stop_all = StopAll(cancel.clone());
        let mut items = 0;
        let fed = match self.begin() {
            Ok(mut input) => feed(&mut input, &running, stage, |item| {
                sink(item).map_err(|cause| PipelineFailure::Sink(cause.into()))?;
                items += 1;
                Ok(true)
            }),
            Err(failure) => {
                running.fail(failure);
                Fed::Broken
            }
        };
        if let Fed::Everything = fed {
            for thread in running.threads.lock().drain(..) {
                let _ = thread.join(); // a panic of anything of the caller's would have broken the stream
            }
            let channels = running.monitors.lock().iter().map(Monitor::stats).collect();
            return Ok(PipelineReport {
                items,
                elapsed: begin.elapsed(),
                channels,
            });
        }
        let failure = running.failure.lock().take();
        Err(PipelineError {
            items,
            failure: match failure {
                Some(failure) => failure,
                None => {
                    debug_assert!(cancel.is_cancelled(), "nothing else stops a pipeline");
                    PipelineFailure::Cancelled
                }
            },
        })
    }

    /// Makes the next channel, and starts what writes to it.
    fn begin(self) -> Result<Consumer<T>, PipelineFailure> {
        let (producer, consumer) = Builder::new()
            .high_water_mark(self.high_water_mark)
            .build()
            .map_err(PipelineFailure::Build)?;
        self.cancel.attach(producer.writer.shared());
        let monitor = producer.monitor();
        (self.start)(producer)?;
        self.running.monitors.lock().push(monitor);
        Ok(consumer)
    }
}

impl Running {
    fn spawn(
        &self,
        stage: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), PipelineFailure> {
        let thread = thread::Builder::new()
            .name(format!("highwater-stage-{stage}"))
            .spawn(body)
            .map_err(PipelineFailure::Thread)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    fn fail(&self, failure: PipelineFailure) {
        self.failure.lock().get_or_insert(failure);
    }
}

/// How a stage ended.
enum Fed {
    /// It got everything.
    Everything,
    /// What is before it broke off, or it failed itself.
    Broken,
    /// What is behind it takes no more.
    Refused,
}

/// Hands each item to a function, until the end, the first failure, or `false`.
fn feed<T>(
    input: &mut Consumer<T>,
    running: &Running,
    stage: usize,
    mut take: impl FnMut(T) -> Result<bool, PipelineFailure>,
) -> Fed {
    loop {
        match input.read() {
            Ok(item) => match take(item) {
                Ok(true) => {}
                Ok(false) => return Fed::Refused,
                Err(failure) => {
                    running.fail(failure);
                    return Fed::Broken;
                }
            },
            Err(ReadError::Ended) => return Fed::Everything,
            Err(ReadError::Abandoned) => {
                running.fail(PipelineFailure::StagePanicked { stage: stage - 1 });
                return Fed::Broken;
            }
            Err(ReadError::Aborted(_)) => return Fed::Broken,
        }
    }
}

impl<T> fmt::Debug for Pipeline<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("stages", &self.stage)
            .field("high_water_mark", &self.high_water_mark)
            .finish_non_exhaustive()
    }
}
