use std::sync::atomic::{AtomicBool, Ordering};

fn main() {
    let (_producer, mut consumer) = highwater::channel::<u8>(4);
    let came = AtomicBool::new(false);
    // The producer's thread may call it when this function has returned.
    consumer.on_ready(|| came.store(true, Ordering::Relaxed));
}
