//! What a channel takes of memory while it is idle, and when: bounds on which a server with many of them can
//! count. And which of its calls take some, or call the kernel.
#![cfg(all(target_arch = "x86_64", feature = "std", not(loom)))]
// The minimum Rust version is the library's; what the tests use needs more.
#![allow(clippy::incompatible_msrv)]

#[cfg(target_os = "linux")]
mod common;
#[cfg(target_os = "linux")]
#[path = "common/sandbox.rs"]
mod sandbox;

use highwater::{Builder, Bytes, Consumer, Finish, Producer};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    error::Error,
    mem::size_of,
    time::Duration,
};
#[cfg(feature = "async")]
use {
    futures_util::{Sink, Stream},
    std::{
        future::Future,
        pin::{pin, Pin},
        task::{Context, Waker},
    },
};

thread_local! {
    /// What this thread has allocated and not freed.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    /// How often.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.with(|bytes| bytes.set(bytes.get().wrapping_sub(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes on the heap that belong to what `make` returns.
fn heap<T>(make: impl FnOnce() -> T) -> usize {
    let before = ALLOCATED.with(Cell::get);
    let made = make();
    let after = ALLOCATED.with(Cell::get);
    drop(made);
    assert_eq!(ALLOCATED.with(Cell::get), before, "all is given back");
    after.wrapping_sub(before)
}

/// How often `body` allocates.
fn allocations(body: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    body();
    ALLOCATIONS.with(Cell::get) - before
}

/// What comes on top of the slots: the lines that each side has for itself, and what its waits need.
const OVERHEAD: usize = 2304;
/// Both ends, which lie wherever they are kept; what only a wait needs is on the heap.
const ENDS: usize = 144;

#[test]
fn an_idle_channel_takes_its_slots_and_at_most_two_and_a_quarter_kibibytes_more() {
    let takes = |slots: usize, all: usize| {
        println!("{slots} bytes of slots: {} more", all - slots);
        assert!((slots..=slots + OVERHEAD).contains(&all), "{all}");
    };
    takes(8 * 1024, heap(|| highwater::channel::<u64>(1024)));
    takes(8 * 1024, heap(|| highwater::channel::<u64>(1000)));
    // The lines of a small channel's slots are its own, too.
    takes(128, heap(|| highwater::channel::<u8>(1)));
    takes(0, heap(|| highwater::channel::<()>(1 << 20)));
    // A word for each weight.
    takes(
        (24 + 8) * 1024,
        heap(|| {
            let builder = Builder::new().capacity(1024).weigh_by(Bytes);
            builder.build::<String>().expect("legal marks")
        }),
    );
    let ends = [size_of::<Producer<u64>>(), size_of::<Consumer<u64>>()];
    println!("a producer and a consumer: {ends:?}");
    assert!(ends[0] + ends[1] <= ENDS, "{ends:?}");
}

/// Pages that were never written are nobody's memory yet.
#[cfg(target_os = "linux")]
#[test]
fn a_channel_takes_no_memory_for_slots_nor_for_weights_before_they_are_used() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.expect("a line of numbers").parse::<usize>().unwrap()
    };
    let before = resident();
    let slots = Builder::new().capacity(1 << 25);
    let ends = slots.weigh_by(|_: &u8| 1).build::<u8>().unwrap();
    let more = resident().saturating_sub(before);
    // Of 32 MiB of items, and 256 of weights; other tests run meanwhile.
    assert!(more < 16 * 1024, "{more} KiB");
    drop(ends);
}

#[test]
fn what_does_not_wait_allocates_nothing_nor_do_waits_after_the_first() {
    let (mut producer, mut consumer) = Builder::new().high_water_mark(4).build::<u64>().unwrap();
    let without_a_wait = |producer: &mut Producer<u64>, consumer: &mut Consumer<u64>| {
        for i in 0..100 {
            while producer.try_write(i).is_ok() {}
            let _ = (producer.len(), producer.need_drain(), consumer.peek());
            while consumer.try_read().is_ok() {}
            producer.write(i).unwrap();
            producer.wait_drain().unwrap();
            producer.batch().try_write(i).unwrap().is_backpressure();
            let _ = producer.try_write_slice(&[i; 3]);
            consumer.read().unwrap();
            consumer.try_chunk_up_to(9).unwrap().consume(1);
            assert!(consumer.try_iter().count() > 0);
            let mut chunk = producer.try_reserve(2).unwrap();
            chunk.fill([i, i]);
            let _ = chunk.commit();
            assert_eq!(consumer.try_read_slice(&mut [0; 4]), Ok(2));
        }
    };
    assert_eq!(
        allocations(|| without_a_wait(&mut producer, &mut consumer)),
        0
    );

    let wait = |consumer: &mut Consumer<u64>| {
        let monitor = consumer.monitor();
        let before = monitor.stats().consumer_parks;
        while monitor.stats().consumer_parks == before {
            assert!(consumer.read_timeout(Duration::from_millis(1)).is_err());
        }
    };
    // Several, as the very first may be over before it sleeps: the system takes its time to allow `membarrier`.
    let first = allocations(|| (0..5).for_each(|_| wait(&mut consumer)));
    println!("{first} for the first waits of a thread");
    assert!((1..=4).contains(&first), "{first}");
    assert_eq!(allocations(|| (0..10).for_each(|_| wait(&mut consumer))), 0);
    assert_eq!(
        allocations(|| without_a_wait(&mut producer, &mut consumer)),
        0
    );
}

// ---- What a call may do -----------------------------------------------------------------------

/// What a call works on.
struct Channel {
    producer: Option<Producer<u64>>,
    consumer: Option<Consumer<u64>>,
    finish: Option<Finish>,
    reason: Option<Box<dyn Error + Send + Sync>>,
}

impl Channel {
    /// With so many items, of four that say stop, and five at most.
    fn with(items: u64) -> Self {
        let builder = Builder::new().high_water_mark(4).capacity(5);
        let (mut producer, consumer) = builder.build().unwrap();
        for item in 0..items {
            let _ = producer.try_write(item).unwrap();
        }
        Self {
            producer: Some(producer),
            consumer: Some(consumer),
            finish: None,
            reason: Some("enough".into()),
        }
    }

    fn producer(&mut self) -> &mut Producer<u64> {
        self.producer.as_mut().expect("it is there")
    }

    fn consumer(&mut self) -> &mut Consumer<u64> {
        self.consumer.as_mut().expect("it is there")
    }

    fn end(&mut self) {
        self.finish = self.producer.take().map(Producer::end);
    }

    fn after(mut self, call: fn(&mut Self)) -> Self {
        call(&mut self);
        self
    }
}

/// What a call answers is of no interest here.
fn answer<T>(_: T) {}

#[cfg(feature = "async")]
fn is_pending(future: impl Future) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    pin!(future).poll(&mut cx).is_pending()
}

/// Whether a call calls the kernel, where nobody sleeps who is to be woken.
#[derive(Clone, Copy, PartialEq)]
enum Kernel {
    No,
    Yes,
    /// Where it is not built to do without: `membarrier(2)`.
    Barrier,
}
use Kernel::{Barrier, No, Yes};

/// A call, how often it allocates, and whether it calls the kernel; what is there before, and the call itself.
type Row = (
    &'static str,
    usize,
    Kernel,
    fn() -> Channel,
    fn(&mut Channel),
);

const EMPTY: fn() -> Channel = || Channel::with(0);
const HALF: fn() -> Channel = || Channel::with(2);
const FULL: fn() -> Channel = || Channel::with(5);
const ENDED: fn() -> Channel = || Channel::with(2).after(Channel::end);

#[rustfmt::skip] // a table
const ROWS: &[Row] = &[
    ("try_write", 0, No, HALF, |it| answer(it.producer().try_write(1))),
    ("try_write without room", 0, No, FULL, |it| answer(it.producer().try_write(1))),
    ("try_read", 0, No, HALF, |it| answer(it.consumer().try_read())),
    ("try_read of nothing", 0, No, EMPTY, |it| answer(it.consumer().try_read())),
    ("peek", 0, No, HALF, |it| answer(it.consumer().peek())),
    ("try_iter", 0, No, HALF, |it| assert_eq!(it.consumer().try_iter().count(), 2)),
    ("try_reserve", 0, No, HALF, |it| { let mut chunk = it.producer().try_reserve(2).unwrap(); chunk.fill([1, 2]); answer(chunk.commit()) }),
    ("try_chunk", 0, No, HALF, |it| it.consumer().try_chunk(2).unwrap().consume_all()),
    ("try_write_slice", 0, No, HALF, |it| answer(it.producer().try_write_slice(&[1, 2]))),
    ("try_read_slice", 0, No, HALF, |it| answer(it.consumer().try_read_slice(&mut [0; 2]))),
    ("batch", 0, No, HALF, |it| answer(it.producer().batch().try_write(1))),
    ("set_low_water_mark", 0, No, HALF, |it| answer(it.producer().set_low_water_mark(1))),

    ("write", 0, No, HALF, |it| it.producer().write(1).unwrap()),
    ("write_iter", 0, No, EMPTY, |it| it.producer().write_iter(0..4).unwrap()),
    ("read", 0, No, HALF, |it| answer(it.consumer().read().unwrap())),
    ("wait_drain", 0, No, HALF, |it| it.producer().wait_drain().unwrap()),
    ("write_timeout of no time", 0, No, FULL, |it| answer(it.producer().write_timeout(1, Duration::ZERO))),

    ("len", 0, No, HALF, |it| assert_eq!((it.producer().len(), it.consumer().len()), (2, 2))),
    ("need_drain", 0, No, FULL, |it| assert!(it.producer().need_drain())),
    ("is_closed", 0, No, HALF, |it| assert!(!it.producer().is_closed())),
    ("is_ended", 0, No, HALF, |it| assert!(!it.consumer().is_ended())),
    ("monitor", 0, No, HALF, |it| { let it = it.producer().monitor(); answer((it.len(), it.state(), it.stats())) }),
    ("Finish::try_wait", 0, No, ENDED, |it| answer(it.finish.as_ref().map(Finish::try_wait))),

    ("channel", 6, No, EMPTY, |_| answer(highwater::channel::<u64>(4))),
    ("end", 1, No, HALF, Channel::end),
    ("drop of a producer", 0, No, HALF, |it| it.producer = None),
    ("drop of a finish", 0, No, ENDED, |it| it.finish = None),
    ("abort", 2, No, HALF, |it| it.producer.take().unwrap().abort(it.reason.take().unwrap())),
    ("cancel", 2, No, HALF, |it| it.consumer.take().unwrap().cancel(it.reason.take().unwrap())),
    ("drop of a consumer", 0, No, HALF, |it| it.consumer = None),
    ("close", 0, No, HALF, |it| it.consumer().close()),

    ("on_drain", 2, No, HALF, |it| it.producer().on_drain(|| ())),
    ("on_drain of one who was told to stop", 2, Barrier, FULL, |it| it.producer().on_drain(|| ())),
    ("on_ready", 2, Barrier, EMPTY, |it| it.consumer().on_ready(|| ())),
    ("clear_on_ready", 0, No, || EMPTY().after(|it| it.consumer().on_ready(|| ())), |it| it.consumer().clear_on_ready()),
    ("try_read of nothing, with a callback that waits", 0, No,
        || EMPTY().after(|it| it.consumer().on_ready(|| ())), |it| answer(it.consumer().try_read())),
    ("try_read of nothing, with a callback that was called", 0, Barrier,
        || HALF().after(|it| { it.consumer().on_ready(|| ()); assert_eq!(it.consumer().try_iter().take(2).count(), 2); }),
        |it| answer(it.consumer().try_read())),
    ("try_write without room, with a callback that was called", 0, Barrier,
        || HALF().after(|it| it.producer().on_drain(|| ())), |it| while it.producer().try_write(1).is_ok() {}),
];

#[cfg(all(feature = "eventfd", target_os = "linux"))]
const WITH_READY_FD: fn() -> Channel = || EMPTY().after(|it| drop(it.consumer().ready_fd()));
#[cfg(all(feature = "eventfd", target_os = "linux"))]
const WITH_DRAIN_FD: fn() -> Channel = || FULL().after(|it| drop(it.producer().drain_fd()));

#[cfg(all(feature = "eventfd", target_os = "linux"))]
#[rustfmt::skip]
const ROWS_OF_DESCRIPTORS: &[Row] = &[
    ("drain_fd", 2, Yes, HALF, |it| answer(it.producer().drain_fd())),
    ("ready_fd", 2, Yes, EMPTY, |it| answer(it.consumer().ready_fd())),
    ("ready_fd again", 0, No, WITH_READY_FD, |it| answer(it.consumer().ready_fd())),
    ("finish_fd", 2, Yes, ENDED, |it| answer(it.finish.as_mut().unwrap().finish_fd())),
    ("clear_on_ready beside a descriptor", 1, Yes, WITH_READY_FD, |it| it.consumer().clear_on_ready()),
    ("try_read of nothing, with a descriptor", 0, Yes, WITH_READY_FD, |it| answer(it.consumer().try_read())),
    ("try_write without room, with a descriptor", 0, Yes, WITH_DRAIN_FD, |it| answer(it.producer().try_write(1))),
    ("need_drain, with a descriptor", 0, Yes, WITH_DRAIN_FD, |it| assert!(it.producer().need_drain())),
    ("Finish::try_wait, with a descriptor", 0, Yes,
        || ENDED().after(|it| answer(it.finish.as_mut().unwrap().finish_fd())), |it| answer(it.finish.as_ref().unwrap().try_wait())),
    ("try_write with room, with a descriptor", 0, No,
        || HALF().after(|it| answer(it.producer().drain_fd())), |it| answer(it.producer().try_write(1))),
    ("try_read of an item, with a descriptor", 0, No,
        || HALF().after(|it| answer(it.consumer().ready_fd())), |it| answer(it.consumer().try_read())),
];

#[cfg(feature = "async")]
#[rustfmt::skip]
const ROWS_OF_TASKS: &[Row] = &[
    ("read_async", 0, No, HALF, |it| assert!(!is_pending(it.consumer().read_async()))),
    ("read_async that waits", 0, Barrier, EMPTY, |it| assert!(is_pending(it.consumer().read_async()))),
    ("write_async", 0, No, HALF, |it| assert!(!is_pending(it.producer().write_async(1)))),
    ("write_async that waits", 0, Barrier, FULL, |it| assert!(is_pending(it.producer().write_async(1)))),
    ("ready", 0, No, HALF, |it| assert!(!is_pending(it.producer().ready()))),
    ("ready that waits", 0, Barrier, FULL, |it| assert!(is_pending(it.producer().ready()))),
    ("closed", 0, Barrier, HALF, |it| assert!(is_pending(it.producer().closed()))),
    ("a Finish in a task", 0, Barrier, ENDED, |it| assert!(is_pending(it.finish.as_mut().unwrap()))),
    ("poll_next", 0, Barrier, EMPTY, |it| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(it.consumer()).poll_next(&mut cx).is_pending());
    }),
    ("poll_ready", 0, Barrier, FULL, |it| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(it.producer()).poll_ready(&mut cx).is_pending());
    }),
    ("poll_close", 0, No, HALF, |it| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(it.producer()).poll_close(&mut cx).is_ready());
    }),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    let rows = ROWS.iter();
    #[cfg(all(feature = "eventfd", target_os = "linux"))]
    let rows = rows.chain(ROWS_OF_DESCRIPTORS);
    #[cfg(feature = "async")]
    let rows = rows.chain(ROWS_OF_TASKS);
    rows
}

#[test]
fn each_call_allocates_what_the_table_says() {
    for (name, expected, _, before, call) in rows() {
        let mut it = before();
        assert_eq!(allocations(|| call(&mut it)), *expected, "{name}");
    }
}

/// Whatever a channel might ask of the kernel, but for the memory and the descriptors that it gives back.
#[cfg(target_os = "linux")]
#[test]
fn each_call_calls_the_kernel_if_the_table_says_so() {
    use highwater::barrier::{self, Mode};

    const READ_WRITE_POLL: [i64; 3] = [0, 1, 7];
    const YIELD_SLEEP: [i64; 3] = [24, 35, 230];
    const FUTEX_EVENTFD_MEMBARRIER: [i64; 3] = [202, 290, 324];
    const CLONE: [i64; 2] = [56, 435];
    let calls = [
        &READ_WRITE_POLL[..],
        &YIELD_SLEEP,
        &FUTEX_EVENTFD_MEMBARRIER,
        &CLONE,
    ]
    .concat();

    for (name, _, kernel, before, call) in rows() {
        let has_barrier = cfg!(feature = "membarrier") && barrier::mode() != Mode::Fence;
        let is_expected = *kernel == Yes || *kernel == Barrier && has_barrier;
        let calls = calls.iter().map(|call| (*call, Vec::new())).collect();
        let lived = sandbox::survives(calls, move |begin| {
            let mut it = before();
            begin();
            call(&mut it);
            it
        });
        assert_eq!(!lived, is_expected, "{name}");
    }
}
