//! What a comparison consists of; knows nothing of channels.
//!
//! Every measurement runs in a process of its own, so that memory is laid out anew each time: which of its
//! speeds a queue falls into is decided by that, and by luck. One round runs every contestant once, so that
//! a slow minute of the machine meets all of them.

pub mod chart;
pub mod child;
pub mod machine;
pub mod placement;
pub mod report;
pub mod run;

use std::time::Duration;

/// One question, asked of several contestants in one or more cases.
pub struct Workload {
    /// `group/question`.
    pub name: &'static str,
    /// What is measured, in a sentence for the reader of the table.
    pub about: &'static str,
    /// The first one is what contestants are ranked by.
    pub figures: &'static [Figure],
    pub cases: Vec<Case>,
    /// A measurement that takes longer is given up.
    pub deadline: Duration,
}

/// One setting of a workload: a capacity, a size, a runtime.
pub struct Case {
    pub name: String,
    pub disturbance: Disturbance,
    pub contestants: Vec<Contestant>,
}

pub struct Contestant {
    pub name: String,
    pub role: Role,
    pub run: Run,
}

/// Makes the measurement: as many figures as the workload names.
pub type Run = Box<dyn Fn(Effort) -> Vec<f64>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Ours,
    Peer,
    /// Hand-written: the least that the work takes.
    Limit,
}

pub struct Figure {
    pub name: &'static str,
    pub better: Better,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    More,
    Less,
}

impl Better {
    /// Whether `a` is better than `b`.
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match self {
            Self::More => a > b,
            Self::Less => a < b,
        }
    }
}

/// How it shows that something else ran on the contestants' processors.
#[derive(Clone, Copy)]
pub enum Disturbance {
    /// Each thread has a processor to itself: it is taken off it only by others.
    InvoluntarySwitches,
    /// The work itself switches threads; nothing can be told.
    Unknown,
}

/// How long a measurement should take.
#[derive(Clone, Copy)]
pub struct Effort {
    pub target: Duration,
}

impl Effort {
    pub const FULL: Self = Self {
        target: Duration::from_millis(200),
    };
    /// To see that everything works.
    pub const QUICK: Self = Self {
        target: Duration::from_millis(20),
    };

    /// So many of `count` as take about the wanted time; to be used where the count, and not the rate, is
    /// known.
    pub fn share(self, count: u64) -> u64 {
        let share = self.target.as_secs_f64() / Self::FULL.target.as_secs_f64();
        ((count as f64 * share) as u64).max(1)
    }

    /// How many go into the wanted time if `count` took `elapsed`; a multiple of `unit`.
    pub fn count(self, count: u64, elapsed: Duration, unit: u64) -> u64 {
        let rate = count as f64 / elapsed.as_secs_f64().max(1e-9);
        let wanted = (rate * self.target.as_secs_f64()) as u64;
        wanted.div_ceil(unit).max(1) * unit
    }
}
