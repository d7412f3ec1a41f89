//! Each error says what to do, gives the item back, and knows its kind of `io::Error`.
#![cfg(feature = "std")]

use highwater::{
    BuildError, Builder, MarkError, PipeError, PipeFailure, PipelineError, PipelineFailure,
    ReadError, ReadTimeoutError, Reason, TryReadError, TryWriteError, WaitError, WaitTimeoutError,
    WriteError, WriteTimeoutError,
};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
};

/// Has neither `Debug` nor `Display`.
struct Plain(u8);

/// An error with a source, to look for in a chain.
#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[track_caller]
fn assert_says(error: impl Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
    assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
}

#[track_caller]
fn assert_kind(error: impl Into<io::Error>, kind: ErrorKind, words: &[&str]) {
    let error = error.into();
    assert_eq!(error.kind(), kind);
    assert_says(error, words);
}

fn cancelled(reason: impl Into<Box<dyn Error + Send + Sync>>) -> WaitError {
    let (mut producer, consumer) = highwater::channel::<u8>(1);
    consumer.cancel(reason);
    producer.wait_drain().unwrap_err()
}

fn closed() -> WaitError {
    let (mut producer, consumer) = highwater::channel::<u8>(1);
    drop(consumer);
    producer.wait_drain().unwrap_err()
}

#[test]
fn an_error_of_a_write_says_what_to_do() {
    let full = ["full", "wait for drain", "again"];
    let closed = ["consumer takes no more", "closed as a sink", "stop writing"];
    let late = ["did not drain in time", "again later", "give up"];
    assert_says(TryWriteError::WouldBlock(1), &full);
    assert_says(TryWriteError::Closed(1), &closed);
    assert_says(WriteError(1), &closed);
    assert_says(WriteTimeoutError::Timeout(1), &late);
    assert_says(WriteTimeoutError::Closed(1), &closed);
}

#[test]
fn an_error_of_a_read_says_what_to_do() {
    let ended = ["ended", "nothing more will come"];
    let abandoned = ["without ending", "incomplete"];
    let aborted = ["producer aborted", "no disk"];
    let reason = || Reason::new("no disk");
    assert_says(TryReadError::Empty, &["no item", "again later"]);
    assert_says(ReadTimeoutError::Timeout, &["in time", "again", "give up"]);
    assert_says(ReadError::Ended, &ended);
    assert_says(TryReadError::Ended, &ended);
    assert_says(ReadTimeoutError::Ended, &ended);
    assert_says(ReadError::Abandoned, &abandoned);
    assert_says(TryReadError::Abandoned, &abandoned);
    assert_says(ReadTimeoutError::Abandoned, &abandoned);
    assert_says(ReadError::Aborted(reason()), &aborted);
    assert_says(TryReadError::Aborted(reason()), &aborted);
    assert_says(ReadTimeoutError::Aborted(reason()), &aborted);
}

#[test]
fn an_error_of_a_wait_says_what_to_do() {
    assert_says(closed(), &["consumer takes no more", "stop writing"]);
    assert_says(cancelled("no disk"), &["consumer cancelled", "no disk"]);
    assert_says(WaitTimeoutError::Timeout, &["in time", "again", "give up"]);
    assert_says(
        WaitTimeoutError::Closed(cancelled("no disk")),
        &["consumer cancelled", "no disk"],
    );
    assert_eq!(closed().reason(), None);
    assert_eq!(
        cancelled("no disk").reason().unwrap().to_string(),
        "no disk"
    );
}

#[test]
fn an_error_of_the_settings_says_what_to_do_with_the_numbers() {
    let low = MarkError::LowAboveHigh { low: 31, high: 17 };
    let high = MarkError::HighAboveCapacity {
        high: 31,
        capacity: 17,
    };
    let limit = MarkError::HighAboveLimit {
        high: 31,
        limit: 17,
    };
    assert_says(
        low,
        &["low-water mark (31)", "high-water mark (17)", "lower"],
    );
    assert_says(high, &["(31)", "capacity (17", "lower", "raise"]);
    assert_says(limit, &["(31)", "limit (17)", "lower", "raise"]);
    for mark in [low, high, limit] {
        assert_eq!(BuildError::from(mark), BuildError::Marks(mark));
        assert_eq!(BuildError::Marks(mark).to_string(), mark.to_string());
    }
    assert_says(BuildError::ZeroCapacity, &["at least 1"]);
    assert_says(
        BuildError::CapacityTooLarge {
            capacity: 31,
            max: 17,
        },
        &["31 slots", "at most 17"],
    );
    assert_says(
        BuildError::OutOfMemory {
            capacity: 31,
            slot_size: 17,
        },
        &["31 slots", "17 bytes", "lower the capacity"],
    );
    assert_says(
        BuildError::LimitWithoutWeight { limit: 31 },
        &["limit (31)", "weigh_by", "capacity"],
    );
    let above = |limit| MarkError::HighAboveLimit { high: 31, limit };
    assert_says(
        above(17),
        &["mark (31)", "limit (17)", "or raise the limit"],
    );
    let most = isize::MAX as usize;
    assert_says(above(most), &["lower the mark", "cannot be raised"]);
}

#[test]
fn errors_of_a_write_need_nothing_of_the_item_and_give_it_back() {
    fn check<E: Error>(error: E, label: &str, into_inner: fn(E) -> Plain) {
        assert_eq!(format!("{error:?}"), label);
        assert!(!error.to_string().is_empty());
        assert!(error.source().is_none());
        assert_eq!(into_inner(error).0, 7);
    }
    check(
        TryWriteError::WouldBlock(Plain(7)),
        "WouldBlock(..)",
        TryWriteError::into_inner,
    );
    check(
        TryWriteError::Closed(Plain(7)),
        "Closed(..)",
        TryWriteError::into_inner,
    );
    check(
        WriteError(Plain(7)),
        "WriteError(..)",
        WriteError::into_inner,
    );
    check(
        WriteTimeoutError::Timeout(Plain(7)),
        "Timeout(..)",
        WriteTimeoutError::into_inner,
    );
    check(
        WriteTimeoutError::Closed(Plain(7)),
        "Closed(..)",
        WriteTimeoutError::into_inner,
    );
}

#[test]
fn ends_with_items_that_cannot_be_debugged_can_be_debugged() {
    let (mut producer, mut consumer) = highwater::channel(2);
    producer.write(Plain(7)).unwrap();
    let texts = [
        format!("{producer:?}"),
        format!("{consumer:?}"),
        format!("{:?}", producer.monitor()),
    ];
    for text in texts {
        for part in ["len: 1", "high_water_mark: 2", "capacity: 2"] {
            assert!(text.contains(part), "`{text}` has no `{part}`");
        }
    }
    assert!(format!("{:?}", producer.end()).contains("finished"));
    assert_eq!(consumer.try_read().unwrap().0, 7);
}

#[test]
fn an_error_of_a_write_becomes_an_io_error_of_the_fitting_kind() {
    let closed = ["consumer takes no more"];
    assert_kind(
        TryWriteError::WouldBlock(Plain(7)),
        ErrorKind::WouldBlock,
        &["full"],
    );
    assert_kind(
        TryWriteError::Closed(Plain(7)),
        ErrorKind::BrokenPipe,
        &closed,
    );
    assert_kind(WriteError(Plain(7)), ErrorKind::BrokenPipe, &closed);
    assert_kind(
        WriteTimeoutError::Timeout(Plain(7)),
        ErrorKind::TimedOut,
        &["in time"],
    );
    assert_kind(
        WriteTimeoutError::Closed(Plain(7)),
        ErrorKind::BrokenPipe,
        &closed,
    );
}

#[test]
fn an_error_of_a_wait_becomes_an_io_error_of_the_fitting_kind() {
    assert_kind(closed(), ErrorKind::BrokenPipe, &["consumer takes no more"]);
    assert_kind(cancelled("no disk"), ErrorKind::BrokenPipe, &["no disk"]);
    assert_kind(WaitTimeoutError::Timeout, ErrorKind::TimedOut, &["in time"]);
    let error = WaitTimeoutError::Closed(cancelled("no disk"));
    assert_kind(error, ErrorKind::BrokenPipe, &["no disk"]);
}

#[test]
fn an_error_of_a_read_becomes_an_io_error_of_the_fitting_kind() {
    use ErrorKind::{ConnectionAborted, TimedOut, UnexpectedEof, WouldBlock};

    assert_kind(TryReadError::Empty, WouldBlock, &["no item"]);
    assert_kind(ReadTimeoutError::Timeout, TimedOut, &["in time"]);
    for error in [ReadError::Ended, ReadError::Abandoned] {
        let text = error.to_string();
        assert_kind(error.clone(), UnexpectedEof, &[&text]);
        assert_kind(TryReadError::from(error.clone()), UnexpectedEof, &[&text]);
        assert_kind(ReadTimeoutError::from(error), UnexpectedEof, &[&text]);
    }
    let error = ReadError::Aborted(Reason::new("no disk"));
    assert_kind(error.clone(), ConnectionAborted, &["aborted", "no disk"]);
    assert_kind(
        TryReadError::from(error.clone()),
        ConnectionAborted,
        &["no disk"],
    );
    assert_kind(
        ReadTimeoutError::from(error),
        ConnectionAborted,
        &["no disk"],
    );
}

#[test]
fn an_abort_with_an_io_error_keeps_its_kind() {
    let reason = Reason::new(io::Error::new(ErrorKind::StorageFull, "no disk"));
    let words = ["aborted", "no disk"];
    assert_kind(
        ReadError::Aborted(reason.clone()),
        ErrorKind::StorageFull,
        &words,
    );
    assert_kind(
        TryReadError::Aborted(reason.clone()),
        ErrorKind::StorageFull,
        &words,
    );
    assert_kind(
        ReadTimeoutError::Aborted(reason),
        ErrorKind::StorageFull,
        &words,
    );
}

#[test]
fn an_io_error_made_of_an_end_still_has_the_end_inside() {
    let reason = Reason::new("no disk");
    let error = io::Error::from(ReadError::Aborted(reason.clone()));
    let inner = error.get_ref().unwrap().downcast_ref::<ReadError>();
    assert_eq!(inner, Some(&ReadError::Aborted(reason)));
    let error = io::Error::from(cancelled("no disk"));
    let inner = error.get_ref().unwrap().downcast_ref::<WaitError>();
    assert_eq!(inner.unwrap().reason().unwrap().to_string(), "no disk");
}

#[test]
fn smaller_errors_become_larger_ones_and_back() {
    let aborted = || ReadError::Aborted(Reason::new("no disk"));
    let all = [ReadError::Ended, ReadError::Abandoned, aborted()];
    for error in all {
        let try_read = TryReadError::from(error.clone());
        assert_eq!(try_read.to_string(), error.to_string());
        assert_eq!(try_read.into_read_error(), Some(error.clone()));
        let timeout = ReadTimeoutError::from(error.clone());
        assert_eq!(timeout.to_string(), error.to_string());
        assert_eq!(timeout.into_read_error(), Some(error));
    }
    assert_ne!(aborted(), aborted(), "two reasons, though of one text");
    assert_eq!(TryReadError::Empty.into_read_error(), None);
    assert_eq!(ReadTimeoutError::Timeout.into_read_error(), None);
    assert_eq!(TryWriteError::from(WriteError(7)), TryWriteError::Closed(7));
    assert_eq!(
        WriteTimeoutError::from(WriteError(7)),
        WriteTimeoutError::Closed(7)
    );
    assert_eq!(
        WaitTimeoutError::from(closed()),
        WaitTimeoutError::Closed(closed())
    );
}

#[test]
fn a_chain_of_errors_says_each_thing_once() {
    let reason = || Outer(io::Error::new(ErrorKind::Other, "inner"));
    fn chain(error: &dyn Error) -> Vec<String> {
        let mut texts = vec![error.to_string()];
        let mut next = error.source();
        while let Some(error) = next {
            texts.push(error.to_string());
            next = error.source();
        }
        texts
    }
    assert_eq!(chain(&Reason::new(reason())), ["outer", "inner"]);
    let aborted = ["the producer aborted: outer", "inner"];
    assert_eq!(chain(&ReadError::Aborted(Reason::new(reason()))), aborted);
    assert_eq!(
        chain(&TryReadError::Aborted(Reason::new(reason()))),
        aborted
    );
    assert_eq!(
        chain(&ReadTimeoutError::Aborted(Reason::new(reason()))),
        aborted
    );
    let cancel = ["the consumer cancelled: outer", "inner"];
    assert_eq!(chain(&cancelled(reason())), cancel);
    assert_eq!(
        chain(&WaitTimeoutError::Closed(cancelled(reason()))),
        cancel
    );
    assert_eq!(chain(&ReadError::Ended).len(), 1);
    assert_eq!(chain(&closed()).len(), 1);
    assert_eq!(chain(&WaitTimeoutError::Timeout).len(), 1);
    let marks = || BuildError::Marks(MarkError::LowAboveHigh { low: 2, high: 1 });
    assert_eq!(chain(&marks()).len(), 1);

    let of_pipe = |failure| chain(&PipeError { bytes: 3, failure });
    let error = || io::Error::new(ErrorKind::Other, reason());
    for failure in [
        PipeFailure::Source(error()),
        PipeFailure::Sink(error()),
        PipeFailure::Thread(error()),
    ] {
        let texts = of_pipe(failure);
        assert!(texts[0].ends_with(": outer"), "{texts:?}");
        assert_eq!(texts[1..], ["inner"]);
    }
    for failure in [
        PipeFailure::Build(marks()),
        PipeFailure::SourcePanicked,
        PipeFailure::Cancelled,
    ] {
        assert_eq!(of_pipe(failure).len(), 1);
    }

    let of_pipeline = |failure| chain(&PipelineError { items: 3, failure });
    for failure in [
        PipelineFailure::Stage {
            stage: 1,
            cause: Box::new(reason()),
        },
        PipelineFailure::Sink(Box::new(reason())),
        PipelineFailure::Thread(error()),
    ] {
        let texts = of_pipeline(failure);
        assert!(texts[0].ends_with(": outer"), "{texts:?}");
        assert_eq!(texts[1..], ["inner"]);
    }
    for failure in [
        PipelineFailure::Build(marks()),
        PipelineFailure::StagePanicked { stage: 1 },
        PipelineFailure::Cancelled,
    ] {
        assert_eq!(of_pipeline(failure).len(), 1);
    }

    #[cfg(feature = "async")]
    {
        let (mut producer, consumer) = highwater::channel(1);
        consumer.cancel(reason());
        let sent = futures_util::SinkExt::send(&mut producer, 1);
        let error = futures_lite::future::block_on(sent).unwrap_err();
        assert_eq!(chain(&error), cancel);
    }
}

#[test]
fn a_reason_is_the_error_itself_and_equals_its_clones_alone() {
    let reason = Reason::new(Outer(io::Error::from(ErrorKind::NotFound)));
    let outer = reason.get_ref().downcast_ref::<Outer>().unwrap();
    assert_eq!(outer.0.kind(), ErrorKind::NotFound);
    assert_eq!(reason, reason.clone());
    assert_ne!(Reason::new("a"), Reason::new("a"));
    assert_eq!(Reason::new(String::from("text")).to_string(), "text");
    assert_eq!(format!("{:?}", Reason::new("text")), "\"text\"");
}

#[test]
fn errors_go_through_the_question_mark_into_a_box_and_an_io_error() {
    fn boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
        let (mut producer, mut consumer) = Builder::new().build::<u8>()?;
        let _ = producer.try_write(1)?;
        producer.write(2)?;
        producer.wait_drain()?;
        producer.set_high_water_mark(9)?;
        consumer.try_read()?;
        consumer.read()?;
        drop(consumer);
        Ok(producer.write(3)?)
    }
    assert!(boxed().unwrap_err().is::<WriteError<u8>>());

    fn io() -> io::Result<()> {
        let (mut producer, consumer) = highwater::channel(1);
        producer.write(Plain(1))?;
        consumer.cancel("enough");
        producer.end().wait()?;
        Ok(())
    }
    assert_eq!(io().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_reason_that_is_passed_on_from_channel_to_channel_stays_the_same() {
    let (first, mut between) = highwater::channel::<u8>(1);
    first.abort(io::Error::from(ErrorKind::AddrInUse));
    let reason = match between.try_read() {
        Err(TryReadError::Aborted(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let (second, mut last) = highwater::channel::<u8>(1);
    second.abort(reason.clone());
    let error = last.read().unwrap_err();
    assert_eq!(error, ReadError::Aborted(reason));
    assert_eq!(io::Error::from(error).kind(), ErrorKind::AddrInUse);
}
