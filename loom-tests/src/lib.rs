//! What the models share: the explorer with its guard against blindness, and items that are counted.

use highwater::{Builder, Consumer, Producer, ReadError, Reason, Weigh};
use loom::thread;
use std::{
    env,
    panic::{catch_unwind, resume_unwind, AssertUnwindSafe, Location},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    task::Wake,
};

#[cfg(not(loom))]
compile_error!(
    "built without `--cfg loom`: run `cargo test --release` in the folder loom-tests, with RUSTFLAGS unset"
);

// Exists only if highwater, too, was built for loom.
pub use highwater::model::Instant;

/// How many preemptions of a thread a model explores; `LOOM_MAX_PREEMPTIONS` can ask for more.
pub const BOUND: usize = 3;

/// The variable that bounds all models, also the unbounded ones, for a run in which each execution takes long (under a sanitizer).
/// How many executions there are is not asked then.
pub const AT_MOST: &str = "LOOM_PREEMPTIONS_AT_MOST";

/// The variable with which no number of executions is asked: a mutant must not be noticed because there are fewer.
pub const ANY_NUMBER: &str = "LOOM_ANY_NUMBER";

/// Explores every execution of `body` with at most [`BOUND`] preemptions.
///
/// `at_least` is how many executions there must be, some nine tenths of what there are: a model can pass while it explores next
/// to nothing, and then proves as much. Each says with `--nocapture` how many it has.
#[track_caller]
pub fn model(at_least: usize, body: impl Fn() + Sync + Send + 'static) {
    explore(at_least, Some(BOUND), body);
}

/// Explores every execution of `body`, without a bound, but for [`AT_MOST`].
#[track_caller]
pub fn exhaustive_model(at_least: usize, body: impl Fn() + Sync + Send + 'static) {
    explore(at_least, None, body);
}

#[track_caller]
fn explore(at_least: usize, bound: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    assert!(at_least > 1, "of one thread alone a model proves nothing");
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    // The builder has read LOOM_MAX_PREEMPTIONS.
    builder.preemption_bound = match (bound, builder.preemption_bound) {
        (Some(bound), asked) => Some(bound.max(asked.unwrap_or(0))),
        (None, _) => None,
    };
    let at_most = env::var(AT_MOST).map(|most| most.parse().expect(AT_MOST));
    let at_least = match at_most {
        Ok(most) => {
            let bound = builder.preemption_bound.unwrap_or(most);
            builder.preemption_bound = Some(bound.min(most));
            1
        }
        Err(_) if env::var_os(ANY_NUMBER).is_some() => 1,
        Err(_) => at_least,
    };
    builder.max_branches = 10_000;
    // Nothing else may cut a model short.
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let executions = executions.load(Ordering::Relaxed);
    let place = Location::caller();
    println!(
        "{}:{}: {executions} executions, at least {at_least}",
        place.file(),
        place.line()
    );
    assert!(
        executions >= at_least,
        "blind: {executions} executions, at least {at_least} were expected"
    );
}

/// Counts its wake-ups; takes no part in the model.
#[derive(Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    pub fn rings(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Explores `body` with either pair of barriers.
#[track_caller]
pub fn in_both_modes(at_least: usize, body: impl Fn(Builder) + Copy + Sync + Send + 'static) {
    for full_fences in [false, true] {
        model(at_least, move || {
            body(Builder::new().full_fences(full_fences))
        });
    }
}

/// The same, every execution of it.
#[track_caller]
pub fn exhaustive_model_in_both_modes(
    at_least: usize,
    body: impl Fn(Builder) + Copy + Sync + Send + 'static,
) {
    for full_fences in [false, true] {
        exhaustive_model(at_least, move || {
            body(Builder::new().full_fences(full_fences))
        });
    }
}

/// Ends whose producer has drained when all was read, as in Node.
pub fn drained_ends<T>(builder: Builder, high: usize) -> (Producer<T>, Consumer<T>) {
    builder
        .high_water_mark(high)
        .low_water_mark(0)
        .build()
        .unwrap()
}

/// Says what an item weighs.
pub type WeighBy<T> = fn(&T) -> usize;

/// What says itself what it weighs.
pub const AS_IT_SAYS: WeighBy<usize> = |weight| *weight;

/// Ends of a channel that holds `limit` of weight, and says stop there; its producer has drained at `low`.
#[allow(clippy::type_complexity)] // a pair of ends needs no name of its own
pub fn weighted_ends<T>(
    builder: Builder,
    weigh: WeighBy<T>,
    (low, limit): (usize, usize),
    capacity: usize,
) -> (Producer<T, WeighBy<T>>, Consumer<T, WeighBy<T>>) {
    builder
        .weigh_by(weigh)
        .high_water_mark(limit)
        .low_water_mark(low)
        .limit(limit)
        .capacity(capacity)
        .build()
        .unwrap()
}

/// Drops it as a panic does on its way.
fn drop_in_a_panic<T>(end: T) {
    let panic = catch_unwind(AssertUnwindSafe(move || {
        let _end = end;
        resume_unwind(Box::new("lost")); // a panic without the hook's report
    }));
    assert!(panic.is_err());
}

/// Each way for the producer to go, and what the consumer gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goes {
    Ends,
    IsDropped,
    Panics,
    Aborts,
}

impl Goes {
    pub const ALL: [Self; 4] = [Self::Ends, Self::IsDropped, Self::Panics, Self::Aborts];

    pub fn apply<T, W: Weigh<T>>(self, producer: Producer<T, W>) {
        match self {
            Self::Ends => drop(producer.end()),
            Self::IsDropped => drop(producer),
            Self::Panics => drop_in_a_panic(producer),
            Self::Aborts => producer.abort("because"),
        }
    }

    pub fn check(self, error: &ReadError) {
        match (self, error) {
            (Self::Ends, ReadError::Ended)
            | (Self::IsDropped | Self::Panics, ReadError::Abandoned) => {}
            (Self::Aborts, ReadError::Aborted(reason)) => {
                assert_eq!(reason.to_string(), "because");
            }
            _ => panic!("{error:?}"),
        }
    }
}

/// Each way for the consumer to go, or to take no more, and what the producer gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaves {
    Closes,
    Cancels,
    IsDropped,
    Panics,
}

impl Leaves {
    pub const ALL: [Self; 4] = [Self::Closes, Self::Cancels, Self::IsDropped, Self::Panics];
    /// Those in which it is gone then.
    pub const FOR_GOOD: [Self; 3] = [Self::Cancels, Self::IsDropped, Self::Panics];

    /// Gives it back if it is still there.
    pub fn apply<T, W: Weigh<T>>(self, mut consumer: Consumer<T, W>) -> Option<Consumer<T, W>> {
        match self {
            Self::Closes => {
                consumer.close();
                return Some(consumer);
            }
            Self::Cancels => consumer.cancel("because"),
            Self::IsDropped => drop(consumer),
            Self::Panics => drop_in_a_panic(consumer),
        }
        None
    }

    /// Only a cancel has a reason.
    pub fn check(self, reason: Option<&Reason>) {
        let reason = reason.map(ToString::to_string);
        assert_eq!(
            reason.as_deref(),
            (self == Self::Cancels).then_some("because")
        );
    }
}

/// Counts what is alive. Not loom's: it takes no part in the model.
#[derive(Clone, Default)]
pub struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn item(&self) -> Item {
        self.0.fetch_add(1, Ordering::Relaxed);
        Item {
            alive: self.0.clone(),
            is_dropped: false,
        }
    }

    pub fn alive(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// An item that is counted while it lives, and notices a second drop.
pub struct Item {
    alive: Arc<AtomicUsize>,
    is_dropped: bool,
}

impl Drop for Item {
    fn drop(&mut self) {
        assert!(!self.is_dropped, "dropped twice");
        self.is_dropped = true;
        let before = self.alive.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "more drops than items");
    }
}

/// Tries until it works, and lets the other thread run in between.
pub fn poll<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        thread::yield_now();
    }
}

/// Several items that move as one: a chunk, a slice, a batch.
pub mod at_once {
    use highwater::{Consumer, Producer};
    use std::{mem, ops::Range};

    /// Writes items for which there is room, with one publication.
    pub type Write = fn(&mut Producer<usize>, Range<usize>);

    pub const WRITES: [Write; 6] = [
        commit,
        flush,
        uncork,
        slice,
        all_of_a_slice,
        all_of_an_iterator,
    ];

    pub fn commit(producer: &mut Producer<usize>, items: Range<usize>) {
        let mut chunk = producer.try_reserve_up_to(items.len()).unwrap();
        assert_eq!(chunk.fill(items.clone()), items.len());
        let _ = chunk.commit();
    }

    fn flush(producer: &mut Producer<usize>, items: Range<usize>) {
        let mut batch = producer.batch();
        for item in items {
            let _ = batch.try_write(item).unwrap();
        }
        batch.flush();
        mem::forget(batch);
    }

    fn uncork(producer: &mut Producer<usize>, items: Range<usize>) {
        let mut batch = producer.batch();
        for item in items {
            let _ = batch.try_write(item).unwrap();
        }
        drop(batch);
    }

    fn slice(producer: &mut Producer<usize>, items: Range<usize>) {
        let items: Vec<_> = items.collect();
        assert_eq!(producer.try_write_slice(&items), Ok(items.len()));
    }

    fn all_of_a_slice(producer: &mut Producer<usize>, items: Range<usize>) {
        producer.write_all(&items.collect::<Vec<_>>()).unwrap();
    }

    fn all_of_an_iterator(producer: &mut Producer<usize>, items: Range<usize>) {
        producer.write_iter(items).unwrap();
    }

    /// Reads these items, which are there, and gives their slots back with one publication.
    pub type Read = fn(&mut Consumer<usize>, &[usize]);

    pub const READS: [Read; 4] = [as_a_slice, as_a_whole_slice, as_a_chunk, from_a_chunk];

    pub fn as_a_slice(consumer: &mut Consumer<usize>, items: &[usize]) {
        let mut read = vec![0; items.len()];
        assert_eq!(consumer.try_read_slice(&mut read), Ok(items.len()));
        assert_eq!(read, items);
    }

    fn as_a_whole_slice(consumer: &mut Consumer<usize>, items: &[usize]) {
        let mut read = vec![0; items.len()];
        consumer.read_exact(&mut read).unwrap();
        assert_eq!(read, items);
    }

    pub fn as_a_chunk(consumer: &mut Consumer<usize>, items: &[usize]) {
        let chunk = consumer.try_chunk_up_to(items.len()).unwrap();
        assert_eq!(chunk.as_slices(), (items, &[][..]));
        chunk.consume_all();
    }

    pub fn from_a_chunk(consumer: &mut Consumer<usize>, items: &[usize]) {
        let chunk = consumer.try_chunk_up_to(items.len()).unwrap();
        assert!(chunk.into_iter().eq(items.iter().copied()));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn source(file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `file::test`, both in lower case, as nothing else is on these pages.
    fn as_model(quoted: &str) -> Option<(&str, &str)> {
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| matches!(c, 'a'..='z' | '_'));
        quoted
            .split_once("::")
            .filter(|(file, test)| is_name(file) && is_name(test))
    }

    #[test]
    fn each_model_that_a_page_names_exists() {
        for page in ["../docs/protocols.md", "../docs/ordering-mutations.md"] {
            let page = source(page);
            let mut models = 0;
            let mut parts = page.split('`').skip(1).peekable();
            while let Some(quoted) = parts.next() {
                // What stands behind it.
                let is_exhaustive = parts.next().is_some_and(|text| text.starts_with(" (all)"));
                let Some((file, test)) = as_model(quoted) else {
                    continue;
                };
                models += 1;
                let source = source(&format!("tests/{file}.rs"));
                let begin = source.find(&format!("#[test]\nfn {test}()"));
                let body = &source[begin.unwrap_or_else(|| panic!("no model {quoted}"))..];
                let body = &body[..body.find("\n}\n").expect("it ends")];
                assert!(
                    !is_exhaustive || body.contains("exhaustive_model"),
                    "{quoted} has a bound"
                );
            }
            assert!(models > 20, "{models} models");
        }
    }

    #[test]
    fn each_model_stands_on_the_page_of_protocols() {
        let page = source("../docs/protocols.md");
        let mut models = 0;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_stem().unwrap().to_string_lossy();
            let source = fs::read_to_string(&path).unwrap();
            for test in source.split("#[test]\nfn ").skip(1) {
                let name = test.split('(').next().expect("a name");
                assert!(
                    page.contains(&format!("`{file}::{name}`")),
                    "{file}::{name}"
                );
                models += 1;
            }
        }
        assert!(models > 150, "{models} models");
    }

    #[test]
    fn each_model_asserts_how_many_executions_it_explored() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let source = fs::read_to_string(&path).unwrap();
            for unasserted in ["loom::model", "model::Builder"] {
                assert!(!source.contains(unasserted), "{}", path.display());
            }
        }
    }
}
