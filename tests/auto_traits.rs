//! Which type may go to another thread, be shared, be moved while pinned, cross a panic: decided at
//! compile time. To have compiled is to have passed.
#![cfg(feature = "std")]

use highwater::{
    barrier::{Mode, TooLate},
    Batch, BuildError, Builder, ByteConsumer, ByteProducer, Bytes, CancelHandle, ChunkError,
    Consumer, DrainError, FillError, Finish, Flow, IntoIter, Items, Iter, MarkError, Monitor,
    NonBlocking, Pipe, PipeError, PipeFailure, PipeProgress, PipeReport, Pipeline, PipelineError,
    PipelineFailure, PipelineReport, Producer, ReadChunk, ReadChunkIter, ReadError, ReadExactError,
    ReadTimeoutError, Reason, ReserveError, State, Stats, TryChunkError, TryIter, TryReadError,
    TryReserveError, TryWriteError, WaitError, WaitTimeoutError, WriteAllError, WriteChunk,
    WriteError, WriteTimeoutError,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::{
    cell::Cell,
    error::Error,
    fmt::{Debug, Display},
    marker::PhantomPinned,
    panic::{RefUnwindSafe, UnwindSafe},
    rc::Rc,
    sync::MutexGuard,
};

/// To be sent, but not shared.
type OnlySend = Cell<u8>;
/// To be shared, but not sent.
type OnlySync = MutexGuard<'static, u8>;
type Neither = Rc<u8>;
/// A weight that must not leave its thread.
type LocalWeigh = fn(&Rc<u8>) -> usize;
struct LocalWeight(#[allow(dead_code)] Rc<u8>);

impl highwater::Weigh<u8> for LocalWeight {
    fn weigh(&self, _item: &u8) -> usize {
        1
    }
}

macro_rules! is_it {
    ($type:ty, $auto_trait:ident, yes) => {
        assert_impl_all!($type: $auto_trait);
    };
    ($type:ty, $auto_trait:ident, no) => {
        assert_not_impl_any!($type: $auto_trait);
    };
}

macro_rules! auto_traits {
    ($($type:ty: $send:tt $sync:tt $unpin:tt $unwind_safe:tt $ref_unwind_safe:tt;)*) => {
        $(
            is_it!($type, Send, $send);
            is_it!($type, Sync, $sync);
            is_it!($type, Unpin, $unpin);
            is_it!($type, UnwindSafe, $unwind_safe);
            is_it!($type, RefUnwindSafe, $ref_unwind_safe);
        )*
    };
}

/// Every public type, of plain items. What it becomes of others is said below. That none is left out
/// is checked in public-api/.
mod every_type {
    use super::*;

    auto_traits! {
        // Send, Sync, Unpin, UnwindSafe, RefUnwindSafe
        Producer<u8>:              yes no  yes yes yes;
        Consumer<u8>:              yes no  yes yes yes;
        Finish:                    yes no  yes yes yes;
        ByteProducer:              yes no  yes yes yes;
        ByteConsumer:              yes no  yes yes yes;
        NonBlocking<ByteProducer>: yes no  yes yes yes;
        NonBlocking<ByteConsumer>: yes no  yes yes yes;
        IntoIter<u8>:              yes no  yes yes yes;
        Monitor:                   yes yes yes yes yes;
        CancelHandle:              yes yes yes yes yes;

        // What borrows an end to change it does not go through `catch_unwind`, as no `&mut` does.
        Iter<'static, u8>:          yes no  yes no yes;
        TryIter<'static, u8>:       yes no  yes no yes;
        Batch<'static, u8>:         yes no  yes no yes;
        WriteChunk<'static, u8>:    yes no  yes no no;
        ReadChunk<'static, u8>:     yes yes yes no no;
        ReadChunkIter<'static, u8>: yes yes yes no no;

        // They hold what the caller gave: functions, sources.
        Pipe<'static>: yes no yes no no;
        Pipeline<u8>:  yes no yes no no;

        // Settings, answers and reports are values.
        Builder:        yes yes yes yes yes;
        Items:          yes yes yes yes yes;
        Bytes:          yes yes yes yes yes;
        Flow:           yes yes yes yes yes;
        Mode:           yes yes yes yes yes;
        State:          yes yes yes yes yes;
        Stats:          yes yes yes yes yes;
        PipeProgress:   yes yes yes yes yes;
        PipeReport:     yes yes yes yes yes;
        PipelineReport: yes yes yes yes yes;

        // Errors; those with the reason of somebody's are no more than a `Box<dyn Error + Send + Sync>` is.
        BuildError:            yes yes yes yes yes;
        MarkError:             yes yes yes yes yes;
        TooLate:               yes yes yes yes yes;
        TryReserveError:       yes yes yes yes yes;
        TryWriteError<u8>:     yes yes yes yes yes;
        WriteError<u8>:        yes yes yes yes yes;
        WriteTimeoutError<u8>: yes yes yes yes yes;
        Reason:                yes yes yes no  no;
        TryReadError:          yes yes yes no  no;
        ReadError:             yes yes yes no  no;
        ReadTimeoutError:      yes yes yes no  no;
        ReadExactError:        yes yes yes no  no;
        WaitError:             yes yes yes no  no;
        WaitTimeoutError:      yes yes yes no  no;
        WriteAllError:         yes yes yes no  no;
        TryChunkError:         yes yes yes no  no;
        ChunkError:            yes yes yes no  no;
        ReserveError:          yes yes yes no  no;
        FillError:             yes yes yes no  no;
        DrainError:            yes yes yes no  no;
        PipeError:             yes yes yes no  no;
        PipeFailure:           yes yes yes no  no;
        PipelineError:         yes yes yes no  no;
        PipelineFailure:       yes yes yes no  no;
    }

    #[cfg(all(feature = "eventfd", target_os = "linux"))]
    auto_traits! {
        highwater::EventFd:      yes yes yes yes yes;
        highwater::EventFdError: yes yes yes no  no;
    }

    #[cfg(feature = "async")]
    auto_traits! {
        highwater::ReadAsync<'static, u8>:  yes no  yes no yes;
        highwater::WriteAsync<'static, u8>: yes no  yes no yes;
        highwater::WaitDrain<'static, u8>:  yes no  yes no yes;
        highwater::Closed<'static, u8>:     yes no  yes no yes;
        highwater::SinkError<u8>:           yes yes yes no no;
    }
}

mod an_end_may_go_to_another_thread_if_its_items_may {
    use super::*;
    assert_impl_all!(Producer<u8>: Send);
    assert_impl_all!(Consumer<u8>: Send);
    assert_impl_all!(Producer<OnlySend>: Send);
    assert_impl_all!(Consumer<OnlySend>: Send);
    assert_impl_all!(Producer<Vec<u8>, Bytes>: Send);
    assert_impl_all!(Consumer<Vec<u8>, Bytes>: Send);
    assert_impl_all!(IntoIter<OnlySend>: Send);
    assert_impl_all!(Iter<'static, OnlySend>: Send);
    assert_impl_all!(TryIter<'static, OnlySend>: Send);

    assert_not_impl_any!(Producer<OnlySync>: Send);
    assert_not_impl_any!(Consumer<OnlySync>: Send);
    assert_not_impl_any!(Producer<Neither>: Send);
    assert_not_impl_any!(Consumer<Neither>: Send);
    assert_not_impl_any!(Producer<Neither, LocalWeigh>: Send);
    assert_not_impl_any!(IntoIter<Neither>: Send);
    assert_not_impl_any!(Iter<'static, Neither>: Send);
    assert_not_impl_any!(TryIter<'static, Neither>: Send);
}

mod a_chunk_lends_its_items_out_and_may_be_shared_if_they_may {
    use super::*;
    assert_impl_all!(ReadChunk<'static, u8>: Send, Sync);
    assert_impl_all!(WriteChunk<'static, u8>: Send);
    assert_impl_all!(ReadChunk<'static, OnlySend>: Send);
    assert_impl_all!(WriteChunk<'static, OnlySend>: Send);
    assert_impl_all!(Batch<'static, OnlySend>: Send);
    assert_impl_all!(ReadChunkIter<'static, OnlySend>: Send);
    // `as_slices` by a shared chunk would share the items.
    assert_not_impl_any!(ReadChunk<'static, OnlySend>: Sync);
    assert_not_impl_any!(ReadChunkIter<'static, OnlySend>: Sync);
    assert_not_impl_any!(WriteChunk<'static, u8>: Sync);
    assert_not_impl_any!(Batch<'static, u8>: Sync, Clone);
    assert_not_impl_any!(ReadChunk<'static, Neither>: Send, Sync);
    assert_not_impl_any!(WriteChunk<'static, Neither>: Send, Sync);
    assert_not_impl_any!(ReadChunk<'static, OnlySync>: Send);
    assert_not_impl_any!(WriteChunk<'static, OnlySync>: Send);
    assert_not_impl_any!(ReadChunk<'static, u8>: Clone);
    assert_not_impl_any!(WriteChunk<'static, u8>: Clone);
}

mod byte_streams_and_pipes_go_to_another_thread {
    use super::*;
    assert_impl_all!(ByteProducer: Send);
    assert_impl_all!(ByteConsumer: Send);
    assert_not_impl_any!(ByteProducer: Sync, Clone);
    assert_not_impl_any!(ByteConsumer: Sync, Clone);
    assert_impl_all!(NonBlocking<ByteProducer>: Send);
    assert_impl_all!(Pipe<'static>: Send);
    assert_impl_all!(Pipeline<u8>: Send);
    assert_impl_all!(CancelHandle: Send, Sync, Clone);
    assert_impl_all!(PipeError: Send, Sync, std::error::Error);
    assert_impl_all!(PipelineError: Send, Sync, std::error::Error);
}

mod a_producer_carries_its_weight_function_and_a_consumer_does_not {
    use super::*;
    assert_not_impl_any!(Producer<u8, LocalWeight>: Send);
    assert_impl_all!(Consumer<u8, LocalWeight>: Send);
}

mod no_end_can_be_shared_or_cloned {
    use super::*;
    assert_not_impl_any!(Producer<u8>: Sync, Clone);
    assert_not_impl_any!(Consumer<u8>: Sync, Clone);
    assert_not_impl_any!(Finish: Sync, Clone);
    assert_not_impl_any!(IntoIter<u8>: Sync, Clone);
    assert_not_impl_any!(Iter<'static, u8>: Sync, Clone);
    assert_not_impl_any!(TryIter<'static, u8>: Sync, Clone);
}

#[cfg(all(feature = "eventfd", target_os = "linux"))]
mod a_descriptor_goes_anywhere {
    use super::*;
    use highwater::{EventFd, EventFdError};
    assert_impl_all!(EventFd: Send, Sync, Clone, Unpin, Debug);
    assert_impl_all!(EventFdError: Error, Send, Sync, Unpin);
}

#[cfg(feature = "async")]
mod a_future_is_what_its_end_is_and_never_pinned {
    use super::*;
    use highwater::{Closed, ReadAsync, SinkError, WaitDrain, WriteAsync};
    assert_impl_all!(ReadAsync<'static, OnlySend>: Send, Unpin, Debug);
    assert_impl_all!(WriteAsync<'static, OnlySend>: Send, Unpin, Debug);
    assert_impl_all!(WaitDrain<'static, OnlySend>: Send, Unpin, Debug);
    assert_impl_all!(Closed<'static, OnlySend>: Send, Unpin, Debug);
    assert_impl_all!(ReadAsync<'static, PhantomPinned>: Unpin);
    assert_impl_all!(WriteAsync<'static, PhantomPinned>: Unpin);
    assert_impl_all!(WriteAsync<'static, Vec<u8>, Bytes>: Send);
    assert_not_impl_any!(ReadAsync<'static, u8>: Sync, Clone);
    assert_not_impl_any!(WriteAsync<'static, u8>: Sync, Clone);
    assert_not_impl_any!(WaitDrain<'static, u8>: Sync, Clone);
    assert_not_impl_any!(Closed<'static, u8>: Sync, Clone);
    assert_not_impl_any!(ReadAsync<'static, Neither>: Send);
    assert_not_impl_any!(WriteAsync<'static, Neither>: Send);
    assert_not_impl_any!(WriteAsync<'static, Neither, LocalWeigh>: Send);
    assert_not_impl_any!(WaitDrain<'static, Neither>: Send);
    assert_not_impl_any!(Closed<'static, Neither>: Send);
    assert_impl_all!(SinkError<OnlySend>: Error, Send, Unpin);
    assert_not_impl_any!(SinkError<OnlySend>: Sync);
    assert_not_impl_any!(SinkError<Neither>: Send, Sync);
}

mod a_monitor_goes_anywhere_and_a_finish_to_one_thread {
    use super::*;
    assert_impl_all!(Monitor: Send, Sync, Clone, Unpin, Debug);
    assert_impl_all!(Finish: Send, Unpin, Debug);
    assert_impl_all!(Stats: Send, Sync, Copy, Unpin);
    assert_impl_all!(State: Send, Sync, Copy, Unpin);
}

mod nothing_is_pinned_whatever_the_items_are {
    use super::*;
    assert_impl_all!(Producer<PhantomPinned>: Unpin);
    assert_impl_all!(Consumer<PhantomPinned>: Unpin);
    assert_impl_all!(IntoIter<PhantomPinned>: Unpin);
}

mod a_panic_leaves_every_end_whole {
    use super::*;
    assert_impl_all!(Producer<OnlySend>: UnwindSafe, RefUnwindSafe);
    assert_impl_all!(Consumer<OnlySend>: UnwindSafe, RefUnwindSafe);
    assert_impl_all!(Producer<&'static mut u8>: UnwindSafe, RefUnwindSafe);
    assert_impl_all!(Consumer<&'static mut u8>: UnwindSafe, RefUnwindSafe);
}

/// What borrows an end may do so for less long, and what has come out of a channel may live shorter. That nothing else
/// may change its lifetimes is in compile-fail/.
mod lifetimes_may_be_shortened_where_that_is_sound {
    use super::*;

    macro_rules! may_be_shortened {
        ($($name:ident: $($type:ident)::+ $(<$item:ty>)?;)*) => {
            $(
                #[allow(dead_code)]
                fn $name<'short, 'long: 'short>(
                    it: $($type)::+<'long $(, $item)?>,
                ) -> $($type)::+<'short $(, $item)?> {
                    it
                }
            )*
        };
    }

    may_be_shortened! {
        iter: Iter<u8>;
        try_iter: TryIter<u8>;
        batch: Batch<u8>;
        write_chunk: WriteChunk<u8>;
        read_chunk: ReadChunk<u8>;
        read_chunk_iter: ReadChunkIter<u8>;
        pipe: Pipe;
    }

    #[cfg(feature = "async")]
    may_be_shortened! {
        read_async: highwater::ReadAsync<u8>;
        write_async: highwater::WriteAsync<u8>;
        wait_drain: highwater::WaitDrain<u8>;
        closed: highwater::Closed<u8>;
    }

    macro_rules! its_item_may_be_shortened {
        ($($name:ident: $($type:ident)::+;)*) => {
            $(
                #[allow(dead_code)]
                fn $name<'short>(it: $($type)::+<&'static str>) -> $($type)::+<&'short str> {
                    it
                }
            )*
        };
    }

    its_item_may_be_shortened! {
        try_write_error: TryWriteError;
        write_error: WriteError;
        write_timeout_error: WriteTimeoutError;
    }

    #[cfg(feature = "async")]
    its_item_may_be_shortened! {
        sink_error: highwater::SinkError;
    }
}

mod an_error_with_no_item_is_an_error_anywhere {
    use super::*;
    assert_impl_all!(Reason: Error, Send, Sync, Clone, Unpin);
    assert_impl_all!(BuildError: Error, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
    assert_impl_all!(MarkError: Error, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
    assert_impl_all!(TryReadError: Error, Send, Sync, Clone, Unpin);
    assert_impl_all!(ReadError: Error, Send, Sync, Clone, Unpin);
    assert_impl_all!(ReadTimeoutError: Error, Send, Sync, Clone, Unpin);
    assert_impl_all!(WaitError: Error, Send, Sync, Clone, Unpin);
    assert_impl_all!(WaitTimeoutError: Error, Send, Sync, Clone, Unpin);
    assert_impl_all!(TooLate: Error, Send, Sync, Copy, Unpin);
}

mod an_error_with_an_item_is_what_the_item_is {
    use super::*;
    struct Plain;
    assert_impl_all!(TryWriteError<Plain>: Error, Debug, Display, Send, Sync);
    assert_impl_all!(WriteError<Plain>: Error, Debug, Display, Send, Sync);
    assert_impl_all!(WriteTimeoutError<Plain>: Error, Debug, Display, Send, Sync);
    assert_not_impl_any!(TryWriteError<Neither>: Send, Sync);
    assert_not_impl_any!(WriteError<OnlySend>: Sync);
    assert_not_impl_any!(WriteTimeoutError<OnlySync>: Send);
}

mod settings_and_answers_are_plain_values {
    use super::*;
    assert_impl_all!(Builder: Clone, Debug, Default, Send, Sync);
    assert_impl_all!(Flow: Copy, Eq, Debug, Send, Sync);
    assert_impl_all!(Mode: Copy, Eq, Debug, Send, Sync);
    assert_impl_all!(Items: Copy, Default, Send, Sync);
    assert_impl_all!(Bytes: Copy, Default, Send, Sync);
}

/// `Box<dyn Error + Send + Sync>` is `'static`: `?` takes these errors into it.
#[test]
fn an_error_goes_into_a_boxed_error_of_any_thread() {
    fn boxed(error: impl Error + Send + Sync + 'static) -> Box<dyn Error + Send + Sync> {
        Box::new(error)
    }
    assert!(boxed(ReadError::Ended)
        .downcast_ref::<ReadError>()
        .is_some());
    assert!(boxed(WriteError(7))
        .downcast_ref::<WriteError<i32>>()
        .is_some());
    assert_eq!(boxed(Reason::new("enough")).to_string(), "enough");
}
