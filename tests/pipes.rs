//! Pipes: whatever goes wrong at either end, the bytes reported are the bytes in the sink, and nobody
//! hangs.
#![cfg(feature = "std")]

mod common;

use common::{deadline, eventually, Random};
use highwater::{
    pipe, pipe_items, BuildError, Monitor, Pipe, PipeError, PipeFailure, Pipeline, PipelineFailure,
    State,
};
use std::{
    fs::File,
    io::{self, Cursor, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write},
    net::{TcpListener, TcpStream},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc, Arc, Mutex,
    },
    thread,
    time::Duration,
};

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64);
    (0..len).map(|_| random.below(256) as u8).collect()
}

/// What a faulty end does instead of its work, once, when so many bytes have gone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Error(ErrorKind),
    Panic,
}

impl Fault {
    fn strike(self) -> io::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Error(kind) => Err(io::Error::new(kind, "on purpose")),
            Self::Panic => panic!("on purpose"),
        }
    }
}

/// Gives or takes a random number of bytes at a time, is interrupted now and then, and has a fault.
struct Moody<E> {
    end: E,
    random: Random,
    most: usize,
    left: usize,
    fault: Fault,
}

impl<E> Moody<E> {
    fn new(end: E, seed: u64, most: usize, fault_at: usize, fault: Fault) -> Self {
        Self {
            end,
            random: Random::new(seed),
            most,
            left: fault_at,
            fault,
        }
    }

    /// How many bytes go this time, at most.
    fn some(&mut self, asked: usize) -> io::Result<usize> {
        if self.random.below(5) == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.left == 0 && self.fault != Fault::None {
            self.fault.strike()?;
        }
        let most = 1 + self.random.below(self.most as u64) as usize;
        let left = if self.fault == Fault::None {
            usize::MAX
        } else {
            self.left
        };
        Ok(asked.min(most).min(left))
    }

    fn went(&mut self, count: usize) -> usize {
        self.left = self.left.saturating_sub(count);
        count
    }
}

impl<R: Read> Read for Moody<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let some = self.some(to.len())?;
        let count = self.end.read(&mut to[..some])?;
        Ok(self.went(count))
    }
}

impl<W: Write> Write for Moody<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = self.some(bytes.len())?;
        let count = self.end.write(&bytes[..some])?;
        Ok(self.went(count))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end.flush()
    }
}

#[test]
fn everything_arrives_through_short_reads_short_writes_and_interruptions() {
    deadline(|| {
        for (seed, mark) in [1, 2, 3, 7, 64, 1000, 100_000].into_iter().enumerate() {
            let bytes = noise(20_000);
            let source = Moody::new(Cursor::new(bytes.clone()), seed as u64, 50, 0, Fault::None);
            let mut copy = Vec::new();
            let sink = Moody::new(&mut copy, 100 + seed as u64, 70, 0, Fault::None);
            let report = Pipe::new().high_water_mark(mark).run(source, sink).unwrap();
            assert_eq!(report.bytes, 20_000);
            assert!(report.peak_len <= mark.max(1), "mark {mark}: {report}");
            assert!(copy == bytes);
        }
    });
}

#[test]
fn a_source_that_fails_at_any_byte_is_named_and_the_bytes_reported_are_in_the_sink() {
    deadline(|| {
        let bytes = noise(600);
        for at in (0..600).step_by(7) {
            for kind in [ErrorKind::Other, ErrorKind::WouldBlock, ErrorKind::TimedOut] {
                let fault = Fault::Error(kind);
                let source = Moody::new(Cursor::new(bytes.clone()), at as u64, 40, at, fault);
                let mut copy = Vec::new();
                let error = Pipe::new()
                    .high_water_mark(64)
                    .run(source, &mut copy)
                    .unwrap_err();
                assert_eq!(error.bytes, copy.len() as u64);
                assert!(copy.len() <= at);
                assert_eq!(copy, bytes[..copy.len()]);
                match &error.failure {
                    PipeFailure::Source(cause) => assert_eq!(cause.kind(), kind),
                    other => panic!("{other:?}"),
                }
                assert_eq!(io::Error::from(error).kind(), kind);
            }
        }
    });
}

#[test]
fn a_sink_that_fails_at_any_byte_is_named_and_the_bytes_reported_are_in_it() {
    deadline(|| {
        let bytes = noise(600);
        for at in (0..600).step_by(7) {
            for kind in [ErrorKind::Other, ErrorKind::WouldBlock] {
                let source = Cursor::new(bytes.clone());
                let mut copy = Vec::new();
                let fault = Fault::Error(kind);
                let sink = Moody::new(&mut copy, at as u64, 40, at, fault);
                let error = Pipe::new()
                    .high_water_mark(64)
                    .run(source, sink)
                    .unwrap_err();
                assert_eq!(error.bytes, at as u64);
                assert_eq!(copy, bytes[..at]);
                assert!(matches!(&error.failure, PipeFailure::Sink(cause) if cause.kind() == kind));
            }
        }
    });
}

#[test]
fn a_source_that_fails_at_any_moment_is_never_taken_for_a_cancel() {
    deadline(|| {
        for round in 0..20_000 {
            // The sink is somewhere between two looks.
            let bytes = vec![7; round % 50];
            let fault = Fault::Error(ErrorKind::Other);
            let source = Moody::new(Cursor::new(bytes), round as u64, 9, round % 50, fault);
            let error = Pipe::new()
                .high_water_mark(4)
                .run(source, io::sink())
                .unwrap_err();
            assert!(matches!(error.failure, PipeFailure::Source(_)), "{error}");
        }
    });
}

#[test]
fn a_source_that_panics_is_an_error_and_no_end() {
    deadline(|| {
        let source = Moody::new(io::repeat(7), 1, 50, 1000, Fault::Panic);
        let mut copy = Vec::new();
        let error = pipe(source, &mut copy).unwrap_err();
        assert!(matches!(error.failure, PipeFailure::SourcePanicked));
        assert_eq!(error.bytes, copy.len() as u64);
        assert!(error.to_string().starts_with("the source panicked after"));
    });
}

/// A reader that gives what it is sent, tells when it was dropped, and blocks meanwhile.
struct Blocking {
    pieces: mpsc::Receiver<Vec<u8>>,
    dropped: Arc<AtomicBool>,
}

impl Read for Blocking {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.pieces.recv() {
            Ok(piece) => (&piece[..]).read(to),
            Err(_) => Ok(0),
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
    }
}

fn blocking() -> (mpsc::Sender<Vec<u8>>, Blocking, Arc<AtomicBool>) {
    let (send, pieces) = mpsc::channel();
    let dropped = Arc::new(AtomicBool::new(false));
    let source = Blocking {
        pieces,
        dropped: dropped.clone(),
    };
    (send, source, dropped)
}

/// A source that counts how often it is asked, before it waits.
struct Asked(Blocking, Arc<AtomicUsize>);

impl Read for Asked {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Release);
        self.0.read(to)
    }
}

/// A sink that takes one byte, and fails at the next when its source has been asked so often.
struct DiesAfter {
    asked: Arc<AtomicUsize>,
    times: usize,
    has_taken: bool,
}

impl Write for DiesAfter {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.has_taken, true) {
            return Ok(1);
        }
        eventually("the source is asked", || {
            self.asked.load(Ordering::Acquire) == self.times
        });
        Err(ErrorKind::Other.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_dies_does_not_wait_for_a_source_that_gives_nothing() {
    deadline(|| {
        let (send, source, dropped) = blocking();
        let asked = Arc::new(AtomicUsize::new(0));
        let sink = DiesAfter {
            asked: asked.clone(),
            times: 3,
            has_taken: false,
        };
        // Ends with the second piece, which the sink refuses; the source waits for a third by then.
        send.send(vec![1]).unwrap();
        send.send(vec![2]).unwrap();
        let error = pipe(Asked(source, asked), sink).unwrap_err();
        assert_eq!(error.bytes, 1);
        assert!(!dropped.load(Ordering::Acquire), "it still waits");
        // It notices when it gets something.
        send.send(vec![3]).unwrap();
        eventually("the source is dropped", || dropped.load(Ordering::Acquire));
    });
}

#[test]
fn a_source_that_waits_for_a_slow_sink_is_released_when_the_sink_dies() {
    deadline(|| {
        let alive = Arc::new(());
        struct Endless(#[allow(dead_code)] Arc<()>);
        impl Read for Endless {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                to.fill(1);
                Ok(to.len())
            }
        }
        let sink = Moody::new(io::sink(), 1, 9, 1000, Fault::Error(ErrorKind::BrokenPipe));
        let error = Pipe::new()
            .high_water_mark(16)
            .run(Endless(alive.clone()), sink)
            .unwrap_err();
        assert_eq!(error.bytes, 1000);
        eventually("the source is dropped", || Arc::strong_count(&alive) == 1);
    });
}

#[test]
fn a_cancel_before_the_start_or_from_another_thread_or_by_the_progress_stops_it() {
    deadline(|| {
        let before = Pipe::new();
        before.cancel_handle().cancel();
        let error = before.run(io::repeat(1), io::sink()).unwrap_err();
        assert!(matches!(error.failure, PipeFailure::Cancelled));

        // While both sides wait: the sink for the source, which waits for input.
        let (send, source, dropped) = blocking();
        send.send(vec![0; 10]).unwrap();
        let meanwhile = Pipe::new();
        let handle = meanwhile.cancel_handle();
        let got = Arc::new(AtomicUsize::new(0));
        let seen = got.clone();
        let running = thread::spawn(move || {
            meanwhile
                .on_progress(|progress| seen.store(progress.bytes as usize, Ordering::Release))
                .run(source, io::sink())
        });
        eventually("the first piece", || got.load(Ordering::Acquire) == 10);
        assert!(!handle.is_cancelled());
        handle.cancel();
        let error = running.join().unwrap().unwrap_err();
        assert!(matches!(error.failure, PipeFailure::Cancelled));
        assert_eq!(error.bytes, 10);
        assert_eq!(error.to_string(), "cancelled after 10 bytes were copied");
        drop(send);
        eventually("the source is dropped", || dropped.load(Ordering::Acquire));

        let by_itself = Pipe::new().high_water_mark(100);
        let handle = by_itself.cancel_handle();
        let mut bytes = 0;
        let error = by_itself
            .on_progress(|progress| {
                assert!(progress.len <= 100);
                bytes = progress.bytes;
                if bytes > 5000 {
                    handle.cancel();
                }
            })
            .run(io::repeat(1), io::sink())
            .unwrap_err();
        assert_eq!(error.bytes, bytes);
    });
}

#[test]
fn a_cancel_after_the_end_changes_nothing() {
    let mut monitor = None;
    let pipe = Pipe::new().on_start(|of_pipe| monitor = Some(of_pipe));
    let handle = pipe.cancel_handle();
    assert_eq!(pipe.run(&b"abc"[..], io::sink()).unwrap().bytes, 3);
    let state = || monitor.as_ref().map(Monitor::state);
    assert_eq!(state(), Some(State::Finished));
    handle.cancel();
    assert_eq!(state(), Some(State::Finished));
}

#[test]
fn who_asks_for_it_gets_a_monitor_before_anything_arrives_in_the_thread_that_runs_the_pipe() {
    struct Sink<'a>(&'a AtomicBool);
    impl Write for Sink<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(self.0.load(Ordering::Acquire), "it has not started");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let has_started = AtomicBool::new(false);
    let by = thread::current().id();
    let pipe = Pipe::new().high_water_mark(100).on_start(|monitor| {
        assert_eq!(thread::current().id(), by);
        assert_eq!(monitor.high_water_mark(), 100);
        assert_eq!(monitor.stats().items_read, 0);
        has_started.store(true, Ordering::Release);
    });
    pipe.run(&b"abc"[..], Sink(&has_started)).unwrap();
    assert!(has_started.into_inner());
}

#[test]
fn a_progress_that_panics_releases_the_source() {
    deadline(|| {
        let (send, source, dropped) = blocking();
        let running = thread::spawn(move || {
            Pipe::new()
                .on_progress(|_| panic!("on purpose"))
                .run(source, io::sink())
        });
        send.send(vec![1]).unwrap();
        assert!(running.join().is_err());
        // The source may not have come back for it yet.
        let _ = send.send(vec![2]);
        eventually("the source is dropped", || dropped.load(Ordering::Acquire));
    });
}

#[test]
fn marks_that_contradict_each_other_are_refused_before_anything_is_read() {
    let (_send, source, _dropped) = blocking();
    let error = Pipe::new()
        .high_water_mark(10)
        .low_water_mark(11)
        .run(source, io::sink())
        .unwrap_err();
    assert!(matches!(
        error.failure,
        PipeFailure::Build(BuildError::Marks(_))
    ));
    let error = Pipe::new()
        .high_water_mark(usize::MAX / 2)
        .run(io::empty(), io::sink())
        .unwrap_err();
    assert!(matches!(error.failure, PipeFailure::Build(_)), "{error:?}");
}

#[test]
fn the_sink_is_flushed_at_the_end_and_that_may_fail_or_be_interrupted() {
    /// With the errors of its flushes, the last one first.
    struct Flushes(Arc<Mutex<Vec<&'static str>>>, Vec<ErrorKind>);
    impl Write for Flushes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push("write");
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.lock().unwrap().push("flush");
            match self.1.pop() {
                Some(error) => Err(error.into()),
                None => Ok(()),
            }
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    pipe(&b"abc"[..], Flushes(log.clone(), vec![])).unwrap();
    assert_eq!(*log.lock().unwrap(), ["write", "flush"]);
    let errors = vec![ErrorKind::StorageFull, ErrorKind::Interrupted];
    let PipeError { bytes, failure } = pipe(&b"abc"[..], Flushes(log, errors)).unwrap_err();
    assert_eq!(bytes, 3);
    assert!(matches!(failure, PipeFailure::Sink(error) if error.kind() == ErrorKind::StorageFull));
}

#[test]
fn the_report_says_who_waited_for_whom() {
    deadline(|| {
        struct Slow<E>(E);
        impl<R: Read> Read for Slow<R> {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                thread::sleep(Duration::from_millis(2)); // what is slow, not what is waited for
                self.0.read(to)
            }
        }
        impl<W: Write> Write for Slow<W> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                thread::sleep(Duration::from_millis(2)); // as above
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = || Cursor::new(vec![1; 2000]);
        let slow_sink = Pipe::new()
            .high_water_mark(100)
            .run(bytes(), Slow(io::sink()))
            .unwrap();
        assert!(slow_sink.times_told_to_stop > 5, "{slow_sink}");
        assert!(slow_sink.drains <= slow_sink.times_told_to_stop);
        assert!(slow_sink.source_waited > Duration::from_millis(10));
        assert!(slow_sink.sink_waited < slow_sink.source_waited);
        let slow_source = Pipe::new()
            .high_water_mark(100)
            .run(Slow(bytes()), io::sink())
            .unwrap();
        assert!(slow_source.sink_waited > Duration::from_millis(10));
        assert!(slow_source.source_waited < slow_source.sink_waited);
    });
}

#[test]
fn files_and_sockets_are_sources_and_sinks() {
    deadline(|| {
        let bytes = noise(3_000_000);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let to_socket = thread::spawn(move || {
            let socket = TcpStream::connect(address).unwrap();
            pipe(file, socket).unwrap()
        });
        let (socket, _) = listener.accept().unwrap();
        let mut copy: File = tempfile::tempfile().unwrap();
        let report = Pipe::new()
            .high_water_mark(10_000)
            .run(socket, &mut copy)
            .unwrap();
        assert_eq!(report.bytes, 3_000_000);
        assert_eq!(to_socket.join().unwrap().bytes, 3_000_000);
        copy.seek(SeekFrom::Start(0)).unwrap();
        let mut read = Vec::new();
        copy.read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    });
}

/// Gives ten bytes at a time, and says before each read how many it has given: these are in the channel then.
struct Announced {
    bytes: Cursor<Vec<u8>>,
    given: mpsc::Sender<u64>,
}

impl Read for Announced {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let _ = self.given.send(self.bytes.position());
        let some = to.len().min(10);
        self.bytes.read(&mut to[..some])
    }
}

/// Takes 60 bytes, then waits until the channel holds bytes on both sides of the edge.
struct Vectored {
    given: mpsc::Receiver<u64>,
    bytes: Vec<u8>,
    most_slices: usize,
}

impl Write for &mut Vectored {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.most_slices = self.most_slices.max(slices.len());
        let bytes = slices.iter().flat_map(|slice| slice.iter());
        let before = self.bytes.len();
        if before == 60 {
            self.given.iter().find(|&given| given >= 130).unwrap();
        }
        // Until both halves have been seen one at a time, so that none of those that cross the edge is missed.
        let some = if before < 60 {
            60 - before
        } else if self.most_slices < 2 {
            1
        } else {
            usize::MAX
        };
        self.bytes.extend(bytes.take(some));
        Ok(self.bytes.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_takes_slices_gets_both_halves_of_the_ring() {
    deadline(|| {
        let bytes = noise(10_000);
        let (announce, given) = mpsc::channel();
        let source = Announced {
            bytes: Cursor::new(bytes.clone()),
            given: announce,
        };
        let mut sink = Vectored {
            given,
            bytes: Vec::new(),
            most_slices: 0,
        };
        // 100 of 128 slots: with 60 read and 130 written the halves lie on both sides of the edge. Drained at once: a source
        // that was stopped at 120 would not go on before 70 are read.
        Pipe::new()
            .high_water_mark(100)
            .low_water_mark(99)
            .run(source, &mut sink)
            .unwrap();
        assert!(sink.bytes == bytes);
        assert_eq!(sink.most_slices, 2);
    });
}

// ---- Items ------------------------------------------------------------------------------------

#[test]
fn items_go_from_an_iterator_to_a_function_in_order() {
    deadline(|| {
        let mut got = Vec::new();
        let report = pipe_items(0..10_000, |item| {
            got.push(item);
            Ok::<_, String>(())
        })
        .unwrap();
        assert!(got.into_iter().eq(0..10_000));
        assert_eq!(report.items, 10_000);
        assert_eq!(report.channels.len(), 1);
        assert_eq!(report.channels[0].items_read, 10_000);
    });
}

#[test]
fn each_stage_has_its_own_marks_and_a_slow_last_one_holds_back_the_first() {
    deadline(|| {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let source = (0..200).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let mut taken = 0;
        let report = Pipeline::source(source)
            .high_water_mark(3)
            .stage(|item: usize| Ok::<_, String>(item * 2))
            .high_water_mark(2)
            .stage_many(|item: usize| Ok::<_, String>([item, item + 1]))
            .high_water_mark(5)
            .run(|item| {
                assert_eq!(item, taken);
                taken += 1;
                // In the channels, in the hands of the threads, and one pair half-way.
                let ahead = made.load(Ordering::Relaxed) - taken / 2;
                assert!(ahead <= 3 + 2 + 5 + 4, "{ahead}");
                Ok::<_, String>(())
            })
            .unwrap();
        assert_eq!((report.items, taken), (400, 400));
        let peaks: Vec<_> = report.channels.iter().map(|stats| stats.peak_len).collect();
        assert!(peaks[0] <= 3 && peaks[1] <= 2 && peaks[2] <= 5, "{peaks:?}");
    });
}

#[test]
fn a_failure_anywhere_stops_everything_and_is_told_with_its_place() {
    deadline(|| {
        // Which stage fails: 0 is the source, 3 the sink.
        for place in 0..=3 {
            for panics in [false, true] {
                if place == 0 && !panics || place == 3 && panics {
                    continue; // an iterator cannot fail, a panic of the sink is the caller's own
                }
                let fail = move |here, item: usize| -> Result<usize, String> {
                    match (here == place && item == 100, panics) {
                        (true, true) => panic!("on purpose"),
                        (true, false) => Err(format!("item {item}")),
                        _ => Ok(item),
                    }
                };
                let alive = Arc::new(());
                let held = alive.clone();
                let error = Pipeline::source((0..).map(move |item| {
                    let _ = &held;
                    fail(0, item).unwrap()
                }))
                .stage(move |item| fail(1, item))
                .high_water_mark(1)
                .stage(move |item| fail(2, item))
                .run(|item| fail(3, item).map(drop))
                .unwrap_err();
                match (&error.failure, panics) {
                    (PipelineFailure::StagePanicked { stage }, true) => assert_eq!(*stage, place),
                    (PipelineFailure::Stage { stage, cause }, false) => {
                        assert_eq!((*stage, cause.to_string().as_str()), (place, "item 100"));
                    }
                    (PipelineFailure::Sink(cause), false) if place == 3 => {
                        assert_eq!(cause.to_string(), "item 100");
                    }
                    (other, _) => panic!("{other:?}"),
                }
                assert!(error.items <= 100);
                eventually("the source is dropped", || Arc::strong_count(&alive) == 1);
            }
        }
    });
}

#[test]
fn a_source_or_a_stage_that_panics_as_it_goes_is_told_with_its_place() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped, on purpose");
        }
    }
    deadline(|| {
        for place in 0..=2 {
            let bomb = |here| (here == place).then(|| Bomb);
            let (first, second, third) = (bomb(0), bomb(1), bomb(2));
            let error = Pipeline::source((0..3).inspect(move |_| {
                let _ = &first;
            }))
            .stage(move |item: u32| {
                let _ = &second;
                Ok::<_, String>(item)
            })
            .stage_many(move |item| {
                let _ = &third;
                Ok::<_, String>([item])
            })
            .run(|_| Ok::<_, String>(()))
            .unwrap_err();
            assert!(
                matches!(error.failure, PipelineFailure::StagePanicked { stage } if stage == place),
                "{place}: {error:?}"
            );
        }
    });
}

/// Says that it was interrupted, and the second time that nobody wants it any more.
struct Interrupted<F: FnMut()> {
    calls: usize,
    give_up: F,
}

impl<F: FnMut()> Interrupted<F> {
    fn again(&mut self) -> io::Error {
        self.calls += 1;
        assert!(self.calls <= 2, "called again, though nobody wants it");
        if self.calls == 2 {
            (self.give_up)();
        }
        ErrorKind::Interrupted.into()
    }
}

impl<F: FnMut()> Read for Interrupted<F> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.again())
    }
}

impl<F: FnMut()> Write for Interrupted<F> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.again())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.again())
    }
}

#[test]
fn a_call_that_is_interrupted_is_not_made_again_for_a_pipe_that_was_cancelled() {
    /// Takes everything, but its flush is the other's.
    struct Flushes<W>(W);
    impl<W: Write> Write for Flushes<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
    deadline(|| {
        let interrupted = |pipe: &Pipe| {
            let handle = pipe.cancel_handle();
            Interrupted {
                calls: 0,
                give_up: move || handle.cancel(),
            }
        };
        let pipe = Pipe::new();
        let source = interrupted(&pipe);
        let from_source = pipe.run(source, io::sink());
        let pipe = Pipe::new();
        let sink = interrupted(&pipe);
        let to_sink = pipe.run(&b"abc"[..], sink);
        let pipe = Pipe::new();
        let sink = Flushes(interrupted(&pipe));
        let flush = pipe.run(&b"abc"[..], sink);
        for (end, result) in [("source", from_source), ("sink", to_sink), ("flush", flush)] {
            let failure = result.unwrap_err().failure;
            assert!(
                matches!(failure, PipeFailure::Cancelled),
                "{end}: {failure:?}"
            );
        }
    });
}

#[test]
fn what_a_pipe_could_not_have_is_no_end_that_would_block() {
    let kind = |failure| io::Error::from(PipeError { bytes: 0, failure }).kind();
    let none = || io::Error::from(ErrorKind::WouldBlock);
    assert_eq!(kind(PipeFailure::Thread(none())), ErrorKind::Other);
    let denied = io::Error::from(ErrorKind::PermissionDenied);
    let thread = PipeFailure::Thread(denied);
    assert_eq!(kind(thread), ErrorKind::PermissionDenied);
    assert_eq!(kind(PipeFailure::Sink(none())), ErrorKind::WouldBlock);
    let too_large = Pipe::new().high_water_mark(1 << (usize::BITS - 4));
    let error = io::Error::from(too_large.run(io::empty(), io::sink()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    let too_large = Pipe::new().high_water_mark(usize::MAX);
    let error = io::Error::from(too_large.run(io::empty(), io::sink()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn one_handle_stops_all_stages() {
    deadline(|| {
        let alive = Arc::new(());
        let (first, second) = (alive.clone(), alive.clone());
        let pipeline = Pipeline::source((0..).inspect(move |_| drop(first.clone())))
            .stage(move |item: u64| {
                drop(second.clone());
                Ok::<_, String>(item)
            })
            .stage(|item: u64| Ok::<_, String>(item));
        let handle = pipeline.cancel_handle();
        let error = pipeline
            .run(|item| {
                if item == 1000 {
                    handle.cancel();
                }
                Ok::<_, String>(())
            })
            .unwrap_err();
        assert!(matches!(error.failure, PipelineFailure::Cancelled));
        assert!(error.items >= 1001);
        eventually("the stages are gone", || Arc::strong_count(&alive) == 1);
    });
}

#[test]
fn a_cancel_wakes_stages_that_wait_for_each_other() {
    deadline(|| {
        // The source waits for input, and so do all behind it.
        let (send, receive) = mpsc::channel::<u8>();
        let pipeline = Pipeline::source(receive).stage(Ok::<_, String>);
        let handle = pipeline.cancel_handle();
        let running = thread::spawn(move || pipeline.run(|_| Ok::<_, String>(())));
        send.send(1).unwrap();
        handle.cancel();
        let error = running.join().unwrap().unwrap_err();
        assert!(matches!(error.failure, PipelineFailure::Cancelled));
    });
}

#[test]
fn a_sink_that_panics_releases_all_stages_though_the_source_gives_nothing_more() {
    deadline(|| {
        let (send, receive) = mpsc::channel::<u8>();
        let alive = Arc::new(());
        let held = alive.clone();
        let pipeline = Pipeline::source(receive)
            .stage(Ok::<_, String>)
            .stage(move |item| {
                let _ = &held;
                Ok::<_, String>(item)
            });
        let handle = pipeline.cancel_handle();
        let running =
            thread::spawn(move || pipeline.run(|_| -> Result<(), String> { panic!("on purpose") }));
        send.send(1).unwrap();
        assert!(running.join().is_err());
        eventually("the stages are gone", || Arc::strong_count(&alive) == 1);
        assert!(!handle.is_cancelled(), "nobody did");
        drop(send);
    });
}

#[test]
fn an_endless_source_that_is_cancelled_at_any_moment_has_never_ended() {
    deadline(|| {
        let rounds = if cfg!(debug_assertions) { 200 } else { 2_000 };
        let mut random = Random::new(1);
        for _ in 0..rounds {
            let (pipe, pipeline) = (
                Pipe::new().high_water_mark(64),
                Pipeline::source(0_u64..).stage(Ok::<_, String>),
            );
            let handles = (pipe.cancel_handle(), pipeline.cancel_handle());
            let delay = random.below(300);
            let canceller = thread::spawn(move || {
                (0..delay).for_each(|_| std::hint::spin_loop());
                handles.0.cancel();
                handles.1.cancel();
            });
            let error = pipe.run(io::repeat(1), io::sink()).unwrap_err();
            assert!(matches!(error.failure, PipeFailure::Cancelled), "{error:?}");
            let error = pipeline.run(|_| Ok::<_, String>(())).unwrap_err();
            assert!(
                matches!(error.failure, PipelineFailure::Cancelled),
                "{error:?}"
            );
            canceller.join().unwrap();
        }
    });
}

#[test]
fn an_empty_source_ends_at_once() {
    deadline(|| {
        assert_eq!(pipe(io::empty(), io::sink()).unwrap().bytes, 0);
        let report = Pipeline::source(0..0)
            .stage(Ok::<i32, String>)
            .run(|_| Ok::<_, String>(()))
            .unwrap();
        assert_eq!(report.items, 0);
    });
}
