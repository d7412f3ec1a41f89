//! A channel between an interrupt and a main loop, without std: each polls its end.
//!
//! For C: `samples_open`, `samples_write` in the interrupt, `samples_read` in the loop. Memory comes
//! from the program's `aligned_alloc` and `free`.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use core::{
    alloc::{GlobalAlloc, Layout},
    panic::PanicInfo,
};
use highwater::{Builder, Consumer, Flow, Producer, TryReadError, TryWriteError};

extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn free(memory: *mut u8);
    fn abort() -> !;
}

struct Heap;

// SAFETY: both are those of C; the size is a multiple of the alignment, as C asks for.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let align = layout.align().max(core::mem::size_of::<usize>());
        // SAFETY: the alignment is a power of two, and the size a multiple of it.
        unsafe { aligned_alloc(align, (layout.size() + align - 1) & !(align - 1)) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _layout: Layout) {
        // SAFETY: it comes from `alloc`, by the caller's promise.
        unsafe { free(memory) }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: may be called at any time.
    unsafe { abort() }
}

/// The host's `alloc` was built to unwind, and asks for this, which is never called.
#[cfg(not(target_os = "none"))]
#[no_mangle]
extern "C" fn rust_eh_personality() {}

/// What both sides of C hold a pointer to.
pub struct Samples {
    producer: Producer<u32>,
    consumer: Consumer<u32>,
}

/// Null if the marks make no sense or there is no memory.
#[no_mangle]
pub extern "C" fn samples_open(high_water_mark: usize) -> *mut Samples {
    match Builder::new().high_water_mark(high_water_mark).build() {
        Ok((producer, consumer)) => Box::into_raw(Box::new(Samples { producer, consumer })),
        Err(_) => core::ptr::null_mut(),
    }
}

/// 0: go on; 1: accepted, stop; -1: full; -2: nobody reads.
///
/// # Safety
///
/// The pointer is that of `samples_open`, and this is the only writer.
#[no_mangle]
pub unsafe extern "C" fn samples_write(samples: *mut Samples, sample: u32) -> i32 {
    // SAFETY: the caller's promise; the reader uses the other field.
    let producer = unsafe { &mut (*samples).producer };
    match producer.try_write(sample) {
        Ok(Flow::Ready) => 0,
        Ok(Flow::Backpressure) => 1,
        Err(TryWriteError::WouldBlock(_)) => -1,
        Err(TryWriteError::Closed(_)) => -2,
    }
}

/// 1: a sample; 0: none now; -1: the stream has ended.
///
/// # Safety
///
/// The pointers are valid, the first is that of `samples_open`, and this is the only reader.
#[no_mangle]
pub unsafe extern "C" fn samples_read(samples: *mut Samples, sample: *mut u32) -> i32 {
    // SAFETY: the caller's promise; the writer uses the other field.
    let consumer = unsafe { &mut (*samples).consumer };
    match consumer.try_read() {
        Ok(value) => {
            // SAFETY: the caller's promise.
            unsafe { *sample = value };
            1
        }
        Err(TryReadError::Empty) => 0,
        Err(_) => -1,
    }
}

/// # Safety
///
/// The pointer is that of `samples_open`, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn samples_close(samples: *mut Samples) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(samples) });
}
