//! Who sleeps, how the other side finds out, and how it is woken. Knows nothing of items.
//!
//! Each end has a [`Gate`], where it waits and where it leaves notes for the other side:
//!
//! ```text
//!   sleeper                                   waker
//!   leave a Waker in the slot                 publish the index
//!   announce: wake_at = the index I wait for  light barrier
//!   heavy barrier                             has the index passed wake_at?
//!   look again: is it there?                  yes: take the Waker from the slot, wake it
//!   no: sleep
//! ```
//!
//! Either the waker sees the announcement or the sleeper sees the index: the two barriers forbid that
//! both miss. What is announced is an index and not a flag (virtio's event index), so that nobody has
//! to take it back: an announcement that is past stays where it is, and the one wake-up a crossing
//! comes by itself. (A stale one is met again when the index has wrapped round: one look at an empty
//! slot.)
//!
//! The events that no index tells, the ends, ring the bell in any case: they set their state and then
//! take the Waker from the slot. The slot is a mutex, so that either they find the Waker, or the
//! sleeper, who comes to the slot later, sees the state.
//!
//! | word | written by | read by | orderings | handed over |
//! |---|---|---|---|---|
//! | `wake_at` | sleeper | waker, after each publication | Relaxed | nothing: the Waker comes with its lock |
//! | the index | waker | sleeper, after its heavy barrier | Release / Relaxed or Acquire | nothing yet: whoever takes it looks once more, by Acquire |
//! | light / heavy barrier | waker / sleeper | | SeqCst | that one of the two loads sees the other's store |
//! | `notes` | the gate's owner, and whoever stops both ends | the other side, before each operation | Release / Relaxed, then Acquire | whatever the owner did before |
//! | `fences_seen` | waker | sleeper | Relaxed, behind and before a fence | that all later publications are fenced, and the earlier ones visible |
//!
//! A thread, a task and a listener (`listener.rs`: a descriptor, a callback) leave different Wakers and run the
//! same protocol: [`Gate::wait_until`], [`Gate::poll_until`], [`Gate::listen`]. The slot holds one, the last. Before it
//! comes to that a thread and a task spin (`spin.rs`), and a task may look once more in its next turn (`turn.rs`).
//!
//! Without `membarrier` the owner notes [`FENCED`], and the other side uses a full fence from the
//! moment it sees that. Until it has confirmed so (`fences_seen`), a sleeper does not rely on being
//! woken: it looks again by itself now and then. That happens once in a gate's life, if at all. An owner
//! may also ask for fences by itself (`Sleeper::moves_many`), and goes on with the heavy barrier until then.
//!
//! Where the index that is waited for is far ahead, the waker passes a full fence on its way there in any case
//! (`interval.rs`), and the sleeper does with one, too, in place of the heavy barrier:
//!
//! ```text
//!   sleeper                                    waker
//!   announce: wake_at                          publish the index, which passes a multiple of the interval
//!   full fence                                 full fence
//!   the index is an interval or more before    has the index passed wake_at?
//!   wake_at: sleep
//! ```
//!
//! If the sleeper does not see the first such publication, its fence came before that one's, which does see the announcement, as
//! do all later ones; and earlier ones do not reach `wake_at`. If it does see it, it looks for the next one.
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
mod again;
#[cfg(feature = "std")]
// A model never makes the call.
#[cfg_attr(all(loom, feature = "loom"), allow(dead_code))]
pub(crate) mod barrier;
#[cfg(feature = "async")]
mod cost;
#[cfg(all(feature = "eventfd", target_os = "linux"))]
pub(crate) mod event;
#[cfg(all(feature = "std", not(all(feature = "eventfd", target_os = "linux"))))]
#[path = "no_event.rs"]
mod event;
#[cfg(feature = "std")]
pub(crate) mod listener;
pub(crate) mod pace;
#[cfg(feature = "std")]
mod park;
#[cfg(feature = "std")]
mod spin;
#[cfg(feature = "async")]
mod turn;
#[cfg(feature = "std")]
mod yielding;

#[cfg(feature = "std")]
use crate::sync::{AtomicBool, Deadline, Mutex, MODEL};
use crate::{
    interval::FenceInterval,
    sync::{fence, light_barrier, AtomicUsize, Counter, Ordering},
};
#[cfg(feature = "async")]
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;
#[cfg(feature = "std")]
use {
    alloc::sync::Arc,
    core::{cell::Cell, task::Waker},
    listener::{Callback, Doors, Listener},
    std::panic::{catch_unwind, AssertUnwindSafe},
};

/// A note: the other side must use a full fence between publishing and asking who sleeps.
const FENCED: usize = 1;
/// Notes of the ends, from here on.
pub(crate) const FIRST_NOTE: usize = 2;

/// How a channel begins: which pair of barriers it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fences {
    /// The light and the heavy one.
    Asymmetric,
    /// Full fences on both sides.
    Full,
    /// As `Asymmetric`, but the heavy barrier turns out to be refused. On a real system one finds out
    /// when it happens; a model has to be told.
    #[cfg(all(loom, feature = "loom"))]
    Refused,
}

/// Where one end waits. Its owner sleeps here; the other side rings.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Read by the other side at each operation, written by the owner now and then.
    line: CachePadded<Line>,
    #[cfg(feature = "std")]
    bell: CachePadded<Bell>,
    parks: Counter,
    wake_ups: Counter,
    #[cfg(all(loom, feature = "loom"))]
    heavy_is_refused: bool,
}

#[derive(Debug)]
struct Line {
    notes: AtomicUsize,
    wake_at: AtomicUsize,
    /// The other side's.
    interval: FenceInterval,
}

#[cfg(feature = "std")]
#[derive(Debug)]
struct Bell {
    slot: Mutex<Option<Waker>>,
    fences_seen: AtomicBool,
}

impl Gate {
    /// A gate that nobody waits at. `start` is where the index begins, `interval` how often the other side fences.
    pub(crate) fn new(start: usize, fences: Fences, interval: FenceInterval) -> Self {
        let fenced = fences == Fences::Full;
        Self {
            line: CachePadded::new(Line {
                notes: AtomicUsize::new(if fenced { FENCED } else { 0 }),
                // Behind the index, so that it is not met before it wraps.
                wake_at: AtomicUsize::new(start),
                interval,
            }),
            #[cfg(feature = "std")]
            bell: CachePadded::new(Bell {
                slot: Mutex::new(None),
                fences_seen: AtomicBool::new(fenced),
            }),
            parks: Counter::new(),
            wake_ups: Counter::new(),
            #[cfg(all(loom, feature = "loom"))]
            heavy_is_refused: fences == Fences::Refused,
        }
    }

    /// For the other side: whether the owner has left no note, by a glance.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        // Relaxed: only decides whether to look properly, with `notes`.
        self.line.notes.load(Ordering::Relaxed) == 0
    }

    /// The same, but for the wish for fences.
    #[inline(always)]
    pub(crate) fn is_quiet_or_fenced(&self) -> bool {
        // Relaxed: as in `is_quiet`.
        self.line.notes.load(Ordering::Relaxed) & !FENCED == 0
    }

    /// For the other side: the notes.
    #[inline]
    pub(crate) fn notes(&self) -> usize {
        // Acquire: pairs with the Release in `leave_note`.
        self.line.notes.load(Ordering::Acquire)
    }

    /// For the owner, or who stops both ends: leaves a note, for good.
    pub(crate) fn leave_note(&self, note: usize) {
        // Release: pairs with the Acquire in `notes`; what the owner did before is visible.
        self.line.notes.fetch_or(note, Ordering::Release);
    }

    /// For the other side, on the fast path: wakes the owner if the index, which has just been
    /// published and moved on from `before` to `now`, has passed what the owner waits for.
    #[inline(always)]
    pub(crate) fn passed(&self, before: usize, now: usize) {
        self.unnoted_barrier(before, now);
        if self.has_passed(before, now) {
            self.ring();
        }
    }

    /// The same in two steps: whether to `ring`. Not for a publication that has to be fenced.
    #[inline(always)]
    pub(crate) fn is_due(&self, before: usize, now: usize) -> bool {
        debug_assert!(
            !self.line.interval.is_ever_passed() || !self.line.interval.is_passed(before, now)
        );
        self.light_barrier();
        self.has_passed(before, now)
    }

    /// loom has no membarrier: a model uses what the pair is equivalent to, a full fence on both sides;
    /// or, if the heavy half is to be refused, nothing.
    #[inline(always)]
    fn light_barrier(&self) {
        #[cfg(all(loom, feature = "loom"))]
        if self.heavy_is_refused {
            return;
        }
        light_barrier();
    }

    /// The heavy half, or `false`: it cannot be had.
    #[cfg(all(feature = "std", not(all(loom, feature = "loom"))))]
    fn asymmetric_barrier(&self) -> bool {
        barrier::heavy()
    }

    #[cfg(all(loom, feature = "loom"))]
    fn asymmetric_barrier(&self) -> bool {
        if !self.heavy_is_refused {
            // SeqCst: pairs with the one in `light_barrier`.
            fence(Ordering::SeqCst);
        }
        !self.heavy_is_refused
    }

    /// The same when the owner may have noted that it wants full fences.
    #[inline]
    pub(crate) fn passed_with_notes(&self, before: usize, now: usize) {
        if self.notes() & FENCED == 0 {
            self.unnoted_barrier(before, now);
        } else {
            self.full_barrier();
        }
        if self.has_passed(before, now) {
            self.ring();
        }
    }

    /// Between a publication and the question who waits, if the owner has not noted that it wants full fences. Either
    /// one pairs with the heavy barrier, the full one also with a mere fence of the owner's.
    #[inline(always)]
    fn unnoted_barrier(&self, before: usize, now: usize) {
        if self.line.interval.is_passed(before, now) {
            interval_barrier();
        } else {
            self.light_barrier();
        }
    }

    /// Out of line, so that what needs no fence has none on its way.
    #[cold]
    #[inline(never)]
    fn full_barrier(&self) {
        // SeqCst: pairs with the fence in `heavy_barrier`.
        fence(Ordering::SeqCst);
        #[cfg(feature = "std")]
        self.confirm_fences();
    }

    #[inline(always)]
    fn has_passed(&self, before: usize, now: usize) -> bool {
        // Relaxed: pairs with the stores in `wait_until`, `leave_waker` and `listen`; the Waker comes with the lock of its slot.
        let wake_at = self.line.wake_at.load(Ordering::Relaxed);
        // By range, as one publication may move the index by more than one.
        now.wrapping_sub(wake_at) < now.wrapping_sub(before)
    }

    pub(crate) fn parks(&self) -> usize {
        self.parks.get()
    }

    pub(crate) fn wake_ups(&self) -> usize {
        self.wake_ups.get()
    }

    /// Without `std` nobody sleeps.
    #[cfg(not(feature = "std"))]
    pub(crate) fn ring(&self) {}
}

/// Once in an interval.
#[cold]
#[inline(never)]
fn interval_barrier() {
    // SeqCst: pairs with the fence in `is_far`.
    fence(Ordering::SeqCst);
}

/// The other side's index: what a sleeper waits for, and where that index is `now`.
#[cfg(feature = "std")]
pub(crate) struct Awaited<N> {
    pub(crate) wake_at: usize,
    pub(crate) now: N,
}

#[cfg(feature = "std")]
impl Gate {
    fn confirm_fences(&self) {
        // Relaxed: only this side writes it. (A model stores in any case: its search does not see a
        // store behind a load of the same thread.)
        if MODEL || !self.bell.fences_seen.load(Ordering::Relaxed) {
            // Relaxed: pairs with the load in `heavy_barrier`, and is ordered by the fences before this
            // and after that.
            self.bell.fences_seen.store(true, Ordering::Relaxed);
        }
    }

    /// For the other side: wakes the owner if it sleeps, or is about to.
    #[cold]
    #[inline(never)]
    pub(crate) fn ring(&self) {
        let waker = self.bell.slot.lock().take();
        // The lock is released: the woken side may come back to the slot at once.
        if let Some(waker) = waker {
            self.wake_ups.bump_shared();
            shielded(|| waker.wake());
        }
    }

    /// For the owner: waits until `ready`, or until the deadline; returns whether it is ready.
    ///
    /// The other side's index makes it ready when it passes `wake_at`; all else that makes it
    /// ready rings the bell.
    pub(crate) fn wait_until(
        &self,
        sleeper: &mut Sleeper,
        awaited: &Awaited<impl Fn() -> usize>,
        deadline: &Deadline,
        mut ready: impl FnMut() -> bool,
    ) -> bool {
        if sleeper.spin.until(deadline, &mut ready) {
            return true;
        }
        // In a model a coin is tossed for the deadline only where the sleep begins.
        if !MODEL && deadline.has_passed() {
            self.displace_stale_listener(sleeper, || awaited.wake_at);
            sleeper.tell_displaced_listener();
            return false;
        }
        self.displace_task(sleeper);
        sleeper.displace_listener();
        let parker = sleeper
            .parker
            .get_or_insert_with(|| Arc::new(park::Parker::new()));
        let woken = sleeper.spin.sleep();
        let mut patience = again::SOON;
        let in_time = loop {
            parker.reset();
            self.put_waker(Some(Waker::from(parker.clone())));
            // Relaxed: pairs with the load in `has_passed`. Whoever sees it finds the Waker, as
            // the slot was locked before: to look there earlier is to be seen here.
            self.line.wake_at.store(awaited.wake_at, Ordering::Relaxed);
            // The kernel takes barriers one after the other: instead of queueing, look once more.
            if barrier::is_under_way() && ready() {
                break true;
            }
            let reliable = self.heavy_barrier(&sleeper.fenced, awaited);
            if ready() {
                break true;
            }
            self.parks.bump();
            if reliable {
                parker.park(deadline);
            } else {
                parker.park_for(patience, deadline);
                patience = (patience * 2).min(again::LATE);
            }
            if ready() {
                break true;
            }
            if deadline.has_passed() {
                break false;
            }
        };
        woken(in_time);
        // No Waker survives the wait, whichever way it ended.
        self.disarm(sleeper);
        if in_time {
            sleeper.has_waited();
        } else {
            sleeper.tell_displaced_listener();
        }
        in_time
    }

    /// For the owner, in a task that may come to wait for what is `awaited`: leave to go on.
    #[cfg(feature = "async")]
    pub(crate) fn poll_turn<N: Fn() -> usize>(
        &self,
        sleeper: &mut Sleeper,
        cx: &mut Context<'_>,
        awaited: impl FnOnce() -> Awaited<N>,
    ) -> Poll<turn::Turn> {
        let turn = sleeper.turns.poll_next(cx);
        if turn.is_pending() {
            self.displace_stale_listener(sleeper, || awaited().wake_at);
        }
        turn
    }

    /// For the owner, in a task: whether it is `ready`; if not, the Waker is called when it may be. A later
    /// call replaces the Waker. What is `awaited` is asked for only if there is something to wait for.
    #[cfg(feature = "async")]
    pub(crate) fn poll_until<N: Fn() -> usize>(
        &self,
        sleeper: &mut Sleeper,
        waker: &Waker,
        awaited: impl FnOnce() -> Awaited<N>,
        mut ready: impl FnMut() -> bool,
    ) -> bool {
        ready()
            || sleeper.spin.before_pending(&mut ready)
            || self.leave_waker(sleeper, waker, awaited, ready)
    }

    /// The same for what was not ready just now, and is not expected soon.
    #[cfg(feature = "async")]
    pub(crate) fn leave_waker<N: Fn() -> usize>(
        &self,
        sleeper: &mut Sleeper,
        waker: &Waker,
        awaited: impl FnOnce() -> Awaited<N>,
        mut ready: impl FnMut() -> bool,
    ) -> bool {
        sleeper.turns.start_again();
        if sleeper.second_look.is_due() {
            self.displace_stale_listener(sleeper, || awaited().wake_at);
            waker.wake_by_ref();
            return false;
        }
        self.put_waker(Some(waker.clone()));
        sleeper.displace_listener();
        sleeper.task_registers();
        // Relaxed: as in `wait_until`.
        let awaited = awaited();
        self.line.wake_at.store(awaited.wake_at, Ordering::Relaxed);
        let begun = sleeper.cost.as_mut().and_then(cost::Cost::begin);
        let reliable = self.heavy_barrier(&sleeper.fenced, &awaited);
        if ready() {
            let _ = sleeper.barrier_is_dear(begun);
            self.disarm(sleeper);
            sleeper.again.cancel();
            return true;
        }
        if sleeper.barrier_is_dear(begun) {
            self.ask_for_fences(&sleeper.fenced);
        }
        sleeper.spin.is_pending();
        self.parks.bump();
        if !reliable {
            let again = waker.clone();
            if !sleeper.again.call_later(|| again.wake()) {
                waker.wake_by_ref();
            }
        }
        false
    }

    /// For the owner, when an operation that does not wait has found nothing to do: its listener, if it has
    /// one, hears when that may have changed.
    ///
    /// So between two operations of an end that has a descriptor it is always either readable or armed: its
    /// Waker is in the slot, and announced.
    pub(crate) fn listen(
        &self,
        sleeper: &Sleeper,
        awaited: &Awaited<impl Fn() -> usize>,
        mut ready: impl FnMut() -> bool,
    ) -> Listening {
        let wake_at = awaited.wake_at;
        let listener = match &sleeper.listener {
            Some(listener) => listener,
            None => return Listening::Waits,
        };
        // Before the look at the slot, as what is notified after it must stay. (A notification may also come
        // late, of an earlier time: then the end looks in vain, and clears it here.)
        listener.clear();
        if self.is_armed_for(sleeper, wake_at) {
            sleeper.is_displaced.set(false);
            return Listening::Waits;
        }
        self.displace_task(sleeper);
        let was_armed = sleeper.is_armed();
        let was_rung = !self.put_waker(Some(Waker::from(listener.clone()))) && was_armed;
        sleeper.is_displaced.set(false);
        // Relaxed: as in `wait_until`.
        self.line.wake_at.store(wake_at, Ordering::Relaxed);
        let reliable = self.heavy_barrier(&sleeper.fenced, awaited);
        sleeper.armed.set(if reliable {
            sleeper.again.cancel(); // of an earlier time
            Armed::For(wake_at)
        } else {
            Armed::ForNow
        });
        if ready() {
            let was_told = !self.disarm(sleeper);
            return Listening::IsReady { was_told, was_rung };
        }
        self.parks.bump();
        if !reliable {
            // As for a task: it has to look again by itself.
            let again = listener.clone();
            let call = move || again.set_and_call();
            if !sleeper.again.call_later(call) {
                sleeper.notify_listener();
            }
        }
        Listening::Waits
    }

    /// For the owner: its descriptor, and whether that is new: then it has to be armed.
    #[cfg(all(feature = "eventfd", target_os = "linux"))]
    pub(crate) fn event_fd(
        &self,
        sleeper: &mut Sleeper,
    ) -> Result<(event::EventFd, bool), crate::error::EventFdError> {
        let mut doors = sleeper.doors();
        if let Some(event) = doors.event {
            return Ok((event::EventFd(event), false));
        }
        let event = Arc::new(event::Event::new()?);
        doors.event = Some(event.clone());
        self.set_doors(sleeper, doors);
        Ok((event::EventFd(event), true))
    }

    /// For the owner: what is called from now on when there is something to do. It has to be armed.
    pub(crate) fn set_callback(&self, sleeper: &mut Sleeper, callback: Option<Callback>) {
        let mut doors = sleeper.doors();
        doors.callback = callback;
        self.set_doors(sleeper, doors);
    }

    fn set_doors(&self, sleeper: &mut Sleeper, doors: Doors) {
        let listener = Listener::of(doors).map(Arc::new);
        sleeper.has_heard_of_end.set(false);
        if listener.is_none() {
            sleeper.has_waited(); // Nobody is owed anything.
        }
        self.displace_task(sleeper);
        // The old one's call: the new one makes its own as it is armed.
        sleeper.again.cancel();
        // One that is armed is relieved by the new one, so that at each moment one of them hears. What is
        // announced stays.
        let next = if sleeper.is_armed() {
            listener.clone().map(Waker::from)
        } else {
            None
        };
        let mut slot = self.bell.slot.lock();
        let is_armed = slot.is_some() && next.is_some();
        let old = core::mem::replace(&mut *slot, if is_armed { next } else { None });
        drop(slot);
        shielded(|| drop(old));
        if !is_armed {
            sleeper.armed.set(Armed::Not);
        }
        let old = core::mem::replace(&mut sleeper.listener, listener);
        shielded(|| drop(old));
    }

    /// For the owner: leaves no Waker behind.
    pub(crate) fn forget_waker(&self) {
        self.put_waker(None);
    }

    /// For the owner: takes the Waker of a future out of the slot, which goes; unless it was replaced since.
    #[cfg(feature = "async")]
    #[inline]
    pub(crate) fn forget_registration(&self, sleeper: &Sleeper, of_future: &OfFuture) {
        // Hardly ever: most futures have never waited.
        if of_future.registration.0.is_some() || sleeper.is_displaced.get() {
            self.forget_if_there(sleeper, of_future);
        }
    }

    #[cfg(feature = "async")]
    #[inline(never)]
    fn forget_if_there(&self, sleeper: &Sleeper, of_future: &OfFuture) {
        let registration = sleeper.registration();
        if registration.0.is_some() && registration == of_future.registration {
            if of_future.has_displaced {
                self.displace_task(sleeper);
            } else {
                self.put_waker(None);
                sleeper.forget_task();
            }
            sleeper.again.cancel();
        }
        // Also of one that was about to look a second time, and had left nothing.
        sleeper.tell_displaced_listener();
    }

    /// For the owner, when there is nothing to wait for any more, but nobody rings for that: a listener that is
    /// armed hears of it. Returns whether it does: one that was rung heard then, and of what there was then.
    #[cold]
    #[inline(never)]
    pub(crate) fn relieve(&self, sleeper: &Sleeper) -> bool {
        let hears = sleeper.is_armed() && self.disarm(sleeper);
        if hears {
            sleeper.notify_listener();
        }
        hears
    }

    /// Whether the listener waits for this index, and nobody has rung since.
    fn is_armed_for(&self, sleeper: &Sleeper, wake_at: usize) -> bool {
        sleeper.armed.get() == Armed::For(wake_at) && self.bell.slot.lock().is_some()
    }

    /// For the owner, which has found what it waits for without a place in the slot: a listener that is armed may be so by an
    /// index that is not passed, and would hear of that later. Its descriptor is readable from now on.
    pub(crate) fn displace_listener(&self, sleeper: &Sleeper) {
        if sleeper.is_armed() {
            self.put_waker(None);
            sleeper.displace_listener();
        }
    }

    /// For the owner, which begins to wait for this index without a place in the slot: a listener that waits for another one, or was
    /// rung, maybe too early, of an earlier announcement, is told if the wait is given up.
    fn displace_stale_listener(&self, sleeper: &Sleeper, wake_at: impl FnOnce() -> usize) {
        if sleeper.is_armed() && !self.is_armed_for(sleeper, wake_at()) {
            self.displace_listener(sleeper);
        }
    }

    /// For the owner: takes its Waker, whoever's it is, out of the slot; returns whether there was one.
    pub(crate) fn disarm(&self, sleeper: &Sleeper) -> bool {
        let was_there = self.put_waker(None);
        sleeper.disarm();
        sleeper.forget_task();
        was_there
    }

    /// For the owner: takes a task's Waker out of the slot, and wakes the task, as nobody else would: it is to poll
    /// again.
    pub(crate) fn displace_task(&self, sleeper: &Sleeper) {
        if sleeper.has_task() {
            let task = self.bell.slot.lock().take();
            sleeper.forget_task();
            task.into_iter().for_each(|task| shielded(|| task.wake()));
        }
    }

    /// Returns whether there was another one.
    fn put_waker(&self, waker: Option<Waker>) -> bool {
        let old = core::mem::replace(&mut *self.bell.slot.lock(), waker);
        let was_there = old.is_some();
        // Outside the lock: to drop a Waker may run anybody's code.
        shielded(|| drop(old));
        was_there
    }

    /// Whether the other side is sure to see the announcement made before, as it passes a fence on its way to the index.
    fn is_far(&self, awaited: &Awaited<impl Fn() -> usize>) -> bool {
        let interval = self.line.interval;
        interval.is_ever_passed() && {
            // SeqCst: pairs with the fence in `interval_barrier`.
            fence(Ordering::SeqCst);
            interval.fits_between((awaited.now)(), awaited.wake_at)
        }
    }

    fn ask_for_fences(&self, fenced: &Cell<bool>) {
        if !fenced.replace(true) {
            self.leave_note(FENCED);
        }
    }

    /// Returns whether the other side is sure to see the announcement made before.
    fn heavy_barrier(&self, fenced: &Cell<bool>, awaited: &Awaited<impl Fn() -> usize>) -> bool {
        // Relaxed: pairs with the store in `confirm_fences`. Before the fence and the look: what the
        // other side published without a fence, it published before it confirmed.
        let seen = self.bell.fences_seen.load(Ordering::Relaxed);
        if !seen {
            // Either does for a publication with a fence, too.
            if self.is_far(awaited) || self.asymmetric_barrier() {
                return true;
            }
            self.ask_for_fences(fenced);
        }
        // SeqCst: pairs with the fence in `full_barrier`.
        fence(Ordering::SeqCst);
        seen
    }
}

/// Calls or drops a Waker or a callback: somebody's code. Its panic, which the panic hook has reported, must not take
/// the item with it that this operation is about to return, nor the answer.
#[cfg(feature = "std")]
fn shielded(call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        // What was thrown is somebody's, too.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        core::mem::forget(dropped);
    }
}

/// Which registration of a task it was that left the Waker that is in the slot; `None` if that is no task's.
#[cfg(feature = "async")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registration(Option<u32>);

/// What a future has left in the slot.
#[cfg(feature = "async")]
#[derive(Debug, Default)]
pub(crate) struct OfFuture {
    registration: Registration,
    /// Another poll of this end, which may still be waited for, had left a Waker there before.
    has_displaced: bool,
}

#[cfg(feature = "async")]
impl OfFuture {
    /// Takes what is there now for its own, if it was not there before its poll.
    #[inline]
    pub(crate) fn note(&mut self, before: Registration, now: Registration) {
        if now != before {
            self.has_displaced |= before.0.is_some() && before != self.registration;
            self.registration = now;
        }
    }
}

/// How an operation that does not wait leaves its end's listener, if there is one.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    /// It hears when there is something to do.
    Waits,
    /// There is something to do already.
    IsReady {
        /// The listener has heard of it.
        was_told: bool,
        /// It had heard of something since it was armed the last time.
        was_rung: bool,
    },
}

/// Whether an end's listener was put into the gate's slot, and not taken out since by this end.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    Not,
    /// With this index announced: it need not be announced again.
    For(usize),
    /// The other side is not sure to see the announcement. Each look announces anew, until it is.
    ForNow,
}

/// What an end needs to sleep, and keeps from one sleep to the next.
#[cfg(feature = "std")]
pub(crate) struct Sleeper {
    spin: spin::Spin,
    parker: Option<Arc<park::Parker>>,
    /// The gate has the note `FENCED`.
    fenced: Cell<bool>,
    /// Who hears, in the place of a thread or a task, that there is something to do.
    listener: Option<Arc<Listener>>,
    /// Cells, as a mere question can find that there is nothing to do.
    armed: Cell<Armed>,
    /// A thread or a task has taken the place of a listener that was armed, or waits without a place for what that does not hear of, and
    /// has not found what it waits for; or a batch has said stop, and is not published.
    is_displaced: Cell<bool>,
    /// Whether the producer's listener has heard that the consumer takes no more.
    pub(crate) has_heard_of_end: Cell<bool>,
    #[cfg(feature = "async")]
    pub(crate) turns: turn::Turns,
    #[cfg(feature = "async")]
    second_look: turn::SecondLook,
    #[cfg(feature = "async")]
    registration: Cell<Registration>,
    #[cfg(feature = "async")]
    registrations: u32,
    /// Of the heavy barrier, if this end would rather have fences where that is high.
    #[cfg(feature = "async")]
    cost: Option<cost::Cost>,
    again: again::Again,
}

#[cfg(feature = "std")]
impl Sleeper {
    /// For the owner of `gate`.
    pub(crate) fn new(gate: &Gate) -> Self {
        Self {
            spin: spin::Spin::new(),
            parker: None,
            fenced: Cell::new(gate.notes() & FENCED != 0),
            listener: None,
            armed: Cell::new(Armed::Not),
            is_displaced: Cell::new(false),
            has_heard_of_end: Cell::new(false),
            #[cfg(feature = "async")]
            turns: turn::Turns::new(),
            #[cfg(feature = "async")]
            second_look: turn::SecondLook::new(),
            #[cfg(feature = "async")]
            registration: Cell::default(),
            #[cfg(feature = "async")]
            registrations: 0,
            #[cfg(feature = "async")]
            cost: None,
            again: again::Again::new(),
        }
    }

    /// A task has found what it waits for.
    #[cfg(feature = "async")]
    pub(crate) fn is_ready(&mut self) {
        self.second_look.has_found();
        self.spin.is_ready();
        self.has_waited();
    }

    /// Whose Waker is in the slot.
    #[cfg(feature = "async")]
    #[inline]
    pub(crate) fn registration(&self) -> Registration {
        self.registration.get()
    }

    /// A task's Waker was put into the slot.
    #[cfg(feature = "async")]
    fn task_registers(&mut self) {
        self.registrations = self.registrations.wrapping_add(1);
        self.registration
            .set(Registration(Some(self.registrations)));
    }

    /// Whether a task's Waker is in the slot, or was.
    fn has_task(&self) -> bool {
        #[cfg(feature = "async")]
        return self.registration.get().0.is_some();
        #[cfg(not(feature = "async"))]
        false
    }

    /// No task's Waker is in the slot any more.
    fn forget_task(&self) {
        #[cfg(feature = "async")]
        self.registration.set(Registration(None));
    }

    /// Whether this end moves many items at a time, as bytes go. Two tasks that take turns on one thread, with the
    /// items in its cache, move more of them than two that copy from one processor's cache to the other's: so the
    /// one that waits does not spin, but lets its thread go. And as a fence is next to nothing to so many items,
    /// it asks for fences if the heavy barrier costs it more.
    #[cfg(feature = "async")]
    pub(crate) fn moves_many(&mut self, many: bool) {
        self.spin.in_tasks(!many);
        self.cost = many.then(cost::Cost::default);
    }

    /// After a heavy barrier: whether such take so long that this end had better have fences.
    #[cfg(feature = "async")]
    fn barrier_is_dear(&mut self, begun: Option<std::time::Instant>) -> bool {
        self.cost.as_mut().map_or(false, |cost| {
            cost.end(begun);
            cost.is_high()
        })
    }

    /// Whether the last wait was next to none.
    pub(crate) fn was_quick(&self) -> bool {
        self.spin.was_quick()
    }

    /// Whether there is a listener.
    pub(crate) fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// Tells the listener what nobody else does.
    pub(crate) fn notify_listener(&self) {
        if let Some(listener) = &self.listener {
            shielded(|| listener.set_and_call());
        }
    }

    /// A thread or a task takes the place in the slot.
    fn displace_listener(&self) {
        if self.is_armed() {
            self.disarm();
            self.is_displaced.set(true);
        }
    }

    /// Whether a listener waits to hear, or did when a thread or a task took its place.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_armed() || self.is_displaced.get()
    }

    /// A wait has ended, but not the operation: if that `was_listening` when it began, the listener goes without a
    /// place until the operation has.
    pub(crate) fn goes_on_waiting(&self, was_listening: bool) {
        self.is_displaced.set(was_listening);
    }

    /// An operation that waited has found what it waited for, or that there will be none: who called it knows.
    pub(crate) fn has_waited(&self) {
        self.is_displaced.set(false);
    }

    /// A wait has given up, or a future was dropped: whoever relied on the listener is to look for itself.
    pub(crate) fn tell_displaced_listener(&self) {
        if self.is_displaced.take() {
            self.notify_listener();
        }
    }

    /// The listener is not in the slot any more. Its descriptor is readable until it is again, so that nothing
    /// is missed that comes in between.
    fn disarm(&self) {
        if self.is_armed() {
            self.armed.set(Armed::Not);
            if let Some(listener) = &self.listener {
                listener.set();
            }
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed.get() != Armed::Not
    }

    fn doors(&self) -> Doors {
        self.listener
            .as_ref()
            .map_or_else(Doors::default, |listener| listener.doors().clone())
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::lines::{assert_apart, pairs, PAIR};

    #[test]
    fn what_the_other_side_reads_each_time_has_lines_of_its_own() {
        let gate = Gate::new(0, Fences::Asymmetric, FenceInterval::NEVER);
        for counter in [&gate.parks, &gate.wake_ups] {
            assert_apart([
                ("line", pairs(&gate.line)),
                ("bell", pairs(&gate.bell)),
                ("counter", pairs(counter)),
            ]);
        }
        assert_eq!(&gate as *const _ as usize % PAIR, 0);
    }
}
