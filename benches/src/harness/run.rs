//! Rounds: every contestant once in each.

use super::{
    child::{self, Outcome, Sample},
    placement::Placements,
    report::number,
    Better, Case, Role, Workload,
};
use indicatif::ProgressBar;
use serde::Serialize;

/// How often a disturbed measurement is tried again.
const REPEATS: usize = 3;
/// Who never came to an end so many times is not asked again.
const PATIENCE: usize = 3;

#[derive(Clone, Serialize)]
pub struct WorkloadResults {
    pub name: &'static str,
    pub about: &'static str,
    pub figures: Vec<FigureResults>,
    pub cases: Vec<CaseResults>,
}

#[derive(Clone, Serialize)]
pub struct FigureResults {
    pub name: &'static str,
    pub better: Better,
}

#[derive(Clone, Serialize)]
pub struct CaseResults {
    pub name: String,
    pub contestants: Vec<ContestantResults>,
}

#[derive(Clone, Serialize)]
pub struct ContestantResults {
    pub name: String,
    pub role: Role,
    pub rounds: Vec<Round>,
    pub hangs: usize,
    pub overdue: usize,
    pub failures: Vec<String>,
}

#[derive(Clone, Serialize)]
pub struct Round {
    #[serde(flatten)]
    pub sample: Sample,
    /// How many measurements were thrown away before this one, as disturbed.
    pub thrown_away: usize,
    /// This one was no better, but the last try.
    pub disturbed: bool,
}

impl WorkloadResults {
    /// The same with each case once for each placement of the processors that it was measured in, if there were several.
    pub fn by_placement(&self) -> Self {
        let trips = |case: &CaseResults| -> Vec<f64> {
            let rounds = case.contestants.iter().flat_map(|c| &c.rounds);
            rounds
                .filter_map(|round| round.sample.round_trip())
                .collect()
        };
        let placements = Placements::of(self.cases.iter().flat_map(trips).collect());
        if placements.iter().count() < 2 {
            return self.clone();
        }
        let cases = self.cases.iter().flat_map(|case| {
            placements.iter().filter_map(move |placement| {
                let mut case = case.clone();
                case.name += &format!(", {} ns apart", number(placement.median));
                for contestant in &mut case.contestants {
                    contestant.rounds.retain(|round| {
                        let trip = round.sample.round_trip();
                        trip.is_some_and(|trip| placement.contains(trip))
                    });
                }
                let is_some = |c: &ContestantResults| !c.rounds.is_empty();
                case.contestants.iter().any(is_some).then_some(case)
            })
        });
        Self {
            cases: cases.collect(),
            figures: self.figures.clone(),
            ..*self
        }
    }
}

/// Which part of a workload runs.
pub struct Choice<'a> {
    pub rounds: usize,
    pub quick: bool,
    pub takes_part: &'a dyn Fn(&str) -> bool,
}

impl Choice<'_> {
    /// The number of measurements.
    pub fn len(&self, workload: &Workload) -> usize {
        let of_case = |case: &Case| {
            let takes_part = |c: &&super::Contestant| (self.takes_part)(&c.name);
            case.contestants.iter().filter(takes_part).count()
        };
        self.rounds * workload.cases.iter().map(of_case).sum::<usize>()
    }

    /// Runs all rounds.
    pub fn run(&self, workload: &Workload, bar: &ProgressBar) -> anyhow::Result<WorkloadResults> {
        let mut results = WorkloadResults {
            name: workload.name,
            about: workload.about,
            figures: workload
                .figures
                .iter()
                .map(|figure| FigureResults {
                    name: figure.name,
                    better: figure.better,
                })
                .collect(),
            cases: workload
                .cases
                .iter()
                .map(|case| CaseResults {
                    name: case.name.clone(),
                    contestants: case
                        .contestants
                        .iter()
                        .filter(|contestant| (self.takes_part)(&contestant.name))
                        .map(|contestant| ContestantResults {
                            name: contestant.name.clone(),
                            role: contestant.role,
                            rounds: Vec::new(),
                            hangs: 0,
                            overdue: 0,
                            failures: Vec::new(),
                        })
                        .collect(),
                })
                .collect(),
        };
        for round in 0..self.rounds {
            for (case, results) in workload.cases.iter().zip(&mut results.cases) {
                let contestants = &mut results.contestants;
                // Nobody always runs behind the same other one.
                let first = round % contestants.len().max(1);
                contestants.rotate_left(first);
                for contestant in &mut *contestants {
                    bar.set_message(format!(
                        "{} {} {}",
                        workload.name, case.name, contestant.name
                    ));
                    self.measure(workload, case, contestant)?;
                    bar.inc(1);
                }
                contestants.rotate_right(first);
            }
        }
        Ok(results)
    }

    fn measure(
        &self,
        workload: &Workload,
        case: &Case,
        contestant: &mut ContestantResults,
    ) -> anyhow::Result<()> {
        if contestant.rounds.is_empty() && contestant.tries() >= PATIENCE {
            return Ok(());
        }
        for thrown_away in 0.. {
            match child::run(workload, &case.name, &contestant.name, self.quick)? {
                Outcome::Done(sample) => {
                    let disturbed = sample.is_disturbed(case.disturbance) || sample.is_mixed();
                    if disturbed && thrown_away < REPEATS && !self.quick {
                        continue;
                    }
                    contestant.rounds.push(Round {
                        sample,
                        thrown_away,
                        disturbed,
                    });
                }
                Outcome::Hangs => contestant.hangs += 1,
                Outcome::Overdue => contestant.overdue += 1,
                Outcome::Failed(message) => contestant.failures.push(message),
            }
            break;
        }
        Ok(())
    }
}
