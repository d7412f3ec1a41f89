//! The operations whose machine code `tests/hot_path.rs` looks at.

use highwater::{Bytes, Consumer, Flow, Producer};
use std::sync::atomic::{fence, Ordering};

#[no_mangle]
pub fn probe_try_write(producer: &mut Producer<u64>, item: u64) -> bool {
    matches!(producer.try_write(item), Ok(Flow::Ready))
}

#[no_mangle]
pub fn probe_try_read(consumer: &mut Consumer<u64>) -> Option<u64> {
    consumer.try_read().ok()
}

#[no_mangle]
pub fn probe_write(producer: &mut Producer<u64>, item: u64) -> bool {
    producer.write(item).is_ok()
}

#[no_mangle]
pub fn probe_read(consumer: &mut Consumer<u64>) -> Option<u64> {
    consumer.read().ok()
}

#[no_mangle]
pub fn probe_weighted_write(
    producer: &mut Producer<&'static str, Bytes>,
    item: &'static str,
) -> bool {
    producer.write(item).is_ok()
}

#[no_mangle]
pub fn probe_weighted_read(consumer: &mut Consumer<&'static str, Bytes>) -> Option<&'static str> {
    consumer.read().ok()
}

/// What must be noticed, or the test is blind.
#[no_mangle]
pub fn probe_fenced_write(producer: &mut Producer<u64>, item: u64) -> bool {
    let written = producer.write(item).is_ok();
    fence(Ordering::SeqCst);
    written
}

/// As above.
#[no_mangle]
pub fn probe_always_calls(producer: &mut Producer<u64>, item: u64) -> bool {
    producer.write(item).is_ok() && std::process::id() != 0
}
