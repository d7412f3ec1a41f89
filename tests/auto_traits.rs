//! Who may go to another thread, and who may be shared: decided at compile time.
#![cfg(feature = "std")]

use highwater::{
    BuildError, Consumer, Finish, MarkError, Monitor, Producer, ReadError, Reason, TryReadError,
    TryWriteError, WaitError,
};
use std::{cell::Cell, error::Error, panic::UnwindSafe};

fn is_send<T: Send>() {}
fn is_send_and_sync<T: Send + Sync>() {}
fn is_unwind_safe<T: UnwindSafe>() {}
fn is_error<T: Error + Send + Sync + 'static>() {}

#[test]
fn an_end_can_be_sent_if_its_items_can() {
    is_send::<Producer<Cell<u8>>>();
    is_send::<Consumer<Cell<u8>>>();
    is_send::<Finish>();
    is_unwind_safe::<Producer<u8>>();
    is_unwind_safe::<Consumer<u8>>();
}

#[test]
fn a_monitor_can_be_shared() {
    is_send_and_sync::<Monitor>();
}

#[test]
fn errors_are_errors_that_can_be_sent() {
    is_error::<BuildError>();
    is_error::<MarkError>();
    is_error::<Reason>();
    is_error::<ReadError>();
    is_error::<TryReadError>();
    is_error::<TryWriteError<u8>>();
    is_error::<WaitError>();
}
