//! How long to look again before sleeping: a short, bounded time that adapts.
//!
//! A sleep and a wake-up cost two system calls and some 10 to 50 microseconds until the thread runs
//! again. An end whose last wait was shorter than that spins for about as long, which is never
//! worse than twice the best choice; one whose last wait was long sleeps almost at once. Where spinning does not
//! help time after time, for whatever reason (the other side is slow, there is a single processor, or a
//! busy one), it is left out for a number of waits that doubles; instead a thread lets the others run once (`yielding.rs`).
#![forbid(unsafe_code)]

use super::yielding::Yielding;
use crate::sync::{spin_loop, Deadline, MODEL};
use std::time::{Duration, Instant};

/// In spin-loop hints, of some 10 ns (AMD) to 40 ns (Intel) each: about 20 to 80 microseconds.
const MOST: u32 = 2048;
/// About 3 to 10 microseconds: two running sides hardly ever wait longer for each other.
const LEAST: u32 = 256;
/// The longest pause between two looks, in hints.
const LONGEST_PAUSE: u32 = 16;
/// A wait so short, in hints, is no wait: items come fast.
const QUICK: u32 = 64;
/// A wait, with the sleep in it, that spinning had better replaced.
const SHORT: Duration = Duration::from_micros(50);
/// How often in a row spinning may be in vain before it is left out.
const TRIES: u32 = 3;
/// The most waits for which it is left out.
const RAREST: u32 = 4096;

/// The spinning of one end: how its last waits went.
#[derive(Debug)]
pub(crate) struct Spin {
    last_was_short: bool,
    last_was_quick: bool,
    /// Times in a row that spinning was in vain.
    in_vain: u32,
    waits_without: u32,
    yielding: Yielding,
    #[cfg(feature = "async")]
    spins_in_tasks: bool,
    #[cfg(feature = "async")]
    pending_since: Option<Instant>,
}

impl Spin {
    pub(crate) fn new() -> Self {
        Self {
            last_was_short: true,
            last_was_quick: true,
            in_vain: 0,
            waits_without: 0,
            yielding: Yielding::new(),
            #[cfg(feature = "async")]
            spins_in_tasks: true,
            #[cfg(feature = "async")]
            pending_since: None,
        }
    }

    /// Whether the last wait was next to none.
    pub(crate) fn was_quick(&self) -> bool {
        self.last_was_quick
    }

    /// Asks `ready` again and again for as long as is worth it, but not past the deadline; returns the
    /// last answer.
    pub(crate) fn until(&mut self, deadline: &Deadline, ready: &mut impl FnMut() -> bool) -> bool {
        self.last_was_quick = true;
        if ready() {
            return true;
        }
        let budget = if self.last_was_short { MOST } else { LEAST };
        // Where there are more threads than processors the other one has to run first.
        if self.is_left_out()
            && !MODEL
            && !deadline.has_passed()
            && self.yielding.yield_unless_dear()
            && ready()
        {
            self.waits_without -= 1;
            self.last_was_quick = false;
            return true;
        }
        self.spin(budget, deadline, ready)
    }

    fn is_left_out(&self) -> bool {
        self.waits_without > 0
    }

    /// The same for a task, which has asked already, and whose sleep is noted from one poll to the next.
    #[cfg(feature = "async")]
    pub(crate) fn before_pending(&mut self, ready: &mut impl FnMut() -> bool) -> bool {
        let budget = if self.last_was_short { MOST } else { LEAST };
        self.spins_in_tasks && self.spin(budget, &Deadline::NEVER, ready)
    }

    /// Whether a task spins at all.
    #[cfg(feature = "async")]
    pub(crate) fn in_tasks(&mut self, spins: bool) {
        self.spins_in_tasks = spins;
    }

    /// A task leaves its Waker.
    #[cfg(feature = "async")]
    pub(crate) fn is_pending(&mut self) {
        self.pending_since = (!MODEL).then(Instant::now);
    }

    /// A task has found what it waits for.
    #[cfg(feature = "async")]
    pub(crate) fn is_ready(&mut self) {
        if let Some(since) = self.pending_since.take() {
            self.last_was_short = since.elapsed() < SHORT;
        }
    }

    fn spin(&mut self, budget: u32, deadline: &Deadline, ready: &mut impl FnMut() -> bool) -> bool {
        self.last_was_quick = false;
        // In a model every look is a branch and spinning shows nothing that sleeping does not.
        if MODEL {
            return false;
        }
        if self.is_left_out() {
            self.waits_without -= 1;
            return false;
        }
        let mut spent = 0;
        let mut pause = 1;
        while spent < budget {
            if deadline.has_passed() {
                return false; // Which says nothing of whether spinning would have helped.
            }
            for _ in 0..pause {
                spin_loop();
            }
            spent += pause;
            if ready() {
                self.last_was_short = true;
                self.last_was_quick = spent <= QUICK;
                self.in_vain = 0;
                return true;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.in_vain += 1;
        if self.in_vain >= TRIES {
            self.waits_without = 2_u32.saturating_pow(self.in_vain).min(RAREST);
        }
        false
    }

    /// Notes how a wait ended that had to sleep: call it before the first sleep, and what it returns
    /// after the last, with whether it was ready in time.
    pub(crate) fn sleep(&mut self) -> impl FnOnce(bool) + '_ {
        // There is no time in a model.
        let asleep_since = (!MODEL).then(Instant::now);
        move |in_time| {
            let was_short = asleep_since.map_or(false, |since| since.elapsed() < SHORT);
            // To give up early says nothing of how long the other side would have taken.
            self.last_was_short = was_short && (in_time || self.last_was_short);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn spinning_in_vain_is_left_out_for_a_while() {
        let mut spin = Spin::new();
        for _ in 0..TRIES {
            assert!(!spin.is_left_out());
            assert!(!spin.until(&Deadline::NEVER, &mut || false));
        }
        assert!(spin.is_left_out());
    }

    #[test]
    fn a_deadline_that_has_passed_says_nothing_of_spinning() {
        let mut spin = Spin::new();
        for _ in 0..2 * TRIES {
            let deadline = Deadline::after(Duration::ZERO);
            assert!(!spin.until(&deadline, &mut || false));
        }
        assert!(!spin.is_left_out());
    }

    /// How often it looks, if it finds nothing.
    fn looks(spin: &mut Spin) -> u32 {
        let mut looks = 0;
        let mut look = || {
            looks += 1;
            false
        };
        assert!(!spin.until(&Deadline::NEVER, &mut look));
        looks
    }

    fn found_after(looks: u32) -> impl FnMut() -> bool {
        let mut left = looks;
        move || {
            left -= 1;
            left == 0
        }
    }

    #[test]
    fn spinning_that_was_left_out_is_tried_again_after_twice_as_many_waits_each_time() {
        let mut spin = Spin::new();
        for _ in 1..TRIES {
            looks(&mut spin);
        }
        let left_out: Vec<u32> = (0..3)
            .map(|_| {
                assert!(looks(&mut spin) > 2, "it spins");
                let mut waits = 0;
                while spin.is_left_out() {
                    assert!(looks(&mut spin) <= 2, "it does not");
                    waits += 1;
                }
                waits
            })
            .collect();
        assert_eq!(left_out, [8, 16, 32]);
        assert!(spin.until(&Deadline::NEVER, &mut found_after(3)));
        assert_eq!(spin.in_vain, 0, "it has helped");
    }

    #[test]
    fn a_wait_is_quick_if_the_first_few_looks_are_enough() {
        let mut spin = Spin::new();
        assert!(spin.was_quick());
        for (looks, is_quick) in [(1, true), (3, true), (8, true), (9, false), (1, true)] {
            assert!(spin.until(&Deadline::NEVER, &mut found_after(looks)));
            assert_eq!(spin.was_quick(), is_quick, "{looks} looks");
        }
        looks(&mut spin);
        assert!(!spin.was_quick());
    }

    #[test]
    fn after_a_long_sleep_it_looks_less_often() {
        let mut spin = Spin::new();
        // A look, pauses of 1, 2, 4 and 8 hints with a look after each, and then of 16 until the budget is spent.
        let [most, least] = [MOST, LEAST].map(|budget| 5 + budget / 16);
        assert_eq!(looks(&mut spin), most);
        let woken = spin.sleep();
        std::thread::sleep(2 * SHORT);
        woken(false);
        assert_eq!(looks(&mut spin), least, "long, though it gave up");
        spin = Spin::new();
        spin.last_was_short = false;
        spin.sleep()(false);
        assert!(!spin.last_was_short, "to give up at once says nothing");
        // It is not short where something else gets the processor.
        while !spin.last_was_short {
            spin.sleep()(true);
        }
        let woken = spin.sleep();
        std::thread::sleep(2 * SHORT);
        woken(true);
        assert_eq!(looks(&mut spin), least);
        assert!(spin.until(&Deadline::NEVER, &mut found_after(3)));
        assert_eq!(looks(&mut spin), most, "spinning was enough");
    }

    #[cfg(feature = "async")]
    #[test]
    fn a_task_spins_before_it_leaves_its_waker_unless_it_is_not_to() {
        let mut spin = Spin::new();
        assert!(spin.before_pending(&mut found_after(3)));
        spin.is_pending();
        std::thread::sleep(2 * SHORT);
        spin.is_ready();
        assert!(!spin.last_was_short);
        while !spin.last_was_short {
            spin.is_pending();
            spin.is_ready();
        }
        spin.in_tasks(false);
        assert!(!spin.before_pending(&mut || true));
    }
}
