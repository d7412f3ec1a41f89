//! A measurement in a process of its own.

use super::{
    placement::{between, round_trip},
    Contestant, Disturbance, Effort, Workload,
};
use anyhow::Context as _;
use nix::sys::resource::{getrusage, UsageWho};
use procfs::process::Process;
use serde::{Deserialize, Serialize};
use std::{
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use wait_timeout::ChildExt as _;

/// What a child prints: one line of JSON.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sample {
    pub figures: Vec<f64>,
    /// Of the whole measurement, with its warm-up.
    pub seconds: f64,
    pub involuntary_switches: i64,
    /// Nanoseconds of a cache line to the other processor and back, right before and right after.
    pub round_trips: Option<[f64; 2]>,
}

impl Sample {
    /// Between the two; `None` if the processors were moved meanwhile, or there are no two.
    pub fn round_trip(&self) -> Option<f64> {
        let [before, after] = self.round_trips?;
        between(before, after)
    }

    /// The processors were moved meanwhile: this was measured in two placements.
    pub fn is_mixed(&self) -> bool {
        self.round_trips.is_some() && self.round_trip().is_none()
    }

    /// More involuntary context switches than the kernel's own threads cause on an idle machine.
    pub fn is_disturbed(&self, disturbance: Disturbance) -> bool {
        match disturbance {
            Disturbance::InvoluntarySwitches => {
                self.involuntary_switches as f64 > 4.0 + 40.0 * self.seconds
            }
            Disturbance::Unknown => false,
        }
    }
}

pub enum Outcome {
    Done(Sample),
    /// All of its threads slept, and nobody woke them.
    Hangs,
    /// Was killed at the deadline.
    Overdue,
    /// What it said last.
    Failed(String),
}

/// In the child: measures and prints.
pub fn measure(contestant: &Contestant, effort: Effort) -> anyhow::Result<()> {
    // One end that fails must not leave the other one waiting.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
    let trip_before = round_trip();
    let (before, begin) = (involuntary_switches()?, Instant::now());
    let figures = (contestant.run)(effort);
    let (seconds, after) = (begin.elapsed().as_secs_f64(), involuntary_switches()?);
    let sample = Sample {
        figures,
        seconds,
        involuntary_switches: after - before,
        round_trips: trip_before.zip(round_trip()).map(<[f64; 2]>::from),
    };
    println!("{}", serde_json::to_string(&sample)?);
    // Without taking down what a peer may still have running.
    std::process::exit(0);
}

fn involuntary_switches() -> anyhow::Result<i64> {
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.involuntary_context_switches())
}

/// In the parent: has a child measure, and waits until the deadline at most.
pub fn run(
    workload: &Workload,
    case: &str,
    contestant: &str,
    quick: bool,
) -> anyhow::Result<Outcome> {
    // The program that runs, also if it was built anew in the meantime.
    let mut child = Command::new("/proc/self/exe")
        .arg("measure")
        .args([workload.name, case, contestant])
        .args(quick.then_some("--quick"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("this program cannot start itself")?;
    let (begin, mut sleep) = (Instant::now(), Sleep::new(child.id())?);
    let status = loop {
        if let Some(status) = child.wait_timeout(LOOK)? {
            break status;
        }
        let hangs = sleep.has_lasted(HANGS);
        if hangs || begin.elapsed() > workload.deadline {
            child.kill()?;
            child.wait()?;
            return Ok(if hangs {
                Outcome::Hangs
            } else {
                Outcome::Overdue
            });
        }
    };
    let read = |from: Option<&mut dyn Read>| -> anyhow::Result<String> {
        let mut text = String::new();
        from.context("the pipe is there")?
            .read_to_string(&mut text)?;
        Ok(text)
    };
    if !status.success() {
        let said = read(child.stderr.as_mut().map(|pipe| pipe as _))?;
        // The message, and not the advice on backtraces below it.
        let said = said
            .lines()
            .rfind(|line| !line.is_empty() && !line.starts_with("note:"))
            .unwrap_or("says nothing");
        return Ok(Outcome::Failed(format!("{said} ({status})")));
    }
    let printed = read(child.stdout.as_mut().map(|pipe| pipe as _))?;
    Ok(Outcome::Done(serde_json::from_str(&printed)?))
}

/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A child that sleeps so long will not wake up: none has a reason to.
const HANGS: Duration = Duration::from_secs(2);
/// Long enough for a measurement of [`Effort::FULL`] on a busy machine: a slow peer must not look like one that
/// hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Watches whether a process does anything.
struct Sleep {
    process: Process,
    ticks: u64,
    since: Instant,
}

impl Sleep {
    fn new(process: u32) -> anyhow::Result<Self> {
        Ok(Self {
            process: Process::new(process.try_into()?)?,
            ticks: 0,
            since: Instant::now(),
        })
    }

    /// Whether it has used no processor for so long, and all its threads sleep.
    fn has_lasted(&mut self, duration: Duration) -> bool {
        let ticks = self.process.stat().map(|stat| stat.utime + stat.stime);
        let ticks = ticks.unwrap_or(0);
        if ticks != self.ticks {
            self.ticks = ticks;
            self.since = Instant::now();
        }
        self.since.elapsed() >= duration && self.all_threads_sleep().unwrap_or(false)
    }

    /// A thread that waits for a processor on a busy machine is no sleeper.
    fn all_threads_sleep(&self) -> anyhow::Result<bool> {
        for thread in self.process.tasks()? {
            if thread?.stat()?.state != 'S' {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
