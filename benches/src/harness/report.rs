//! Medians, spreads and ratios, as a Markdown table.

use super::{
    machine::Machine,
    run::{CaseResults, ContestantResults, WorkloadResults},
    Better, Role,
};
use std::fmt::Write as _;

/// What a row says of one figure.
#[derive(Clone, Copy)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl ContestantResults {
    /// Of the `figure`th figure; `None` if no round came to an end.
    pub fn summary(&self, figure: usize) -> Option<Summary> {
        let mut values: Vec<_> = self
            .rounds
            .iter()
            .map(|round| round.sample.figures[figure])
            .collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        Some(Summary {
            min: *values.first()?,
            max: *values.last()?,
            median: if values.len() % 2 == 0 {
                (values[middle - 1] + values[middle]) / 2.0
            } else {
                values[middle]
            },
        })
    }

    /// How often it was measured, or should have been.
    pub fn tries(&self) -> usize {
        self.rounds.len() + self.hangs + self.overdue + self.failures.len()
    }

    /// What went wrong, if anything did.
    pub fn troubles(&self) -> Option<String> {
        let all = self.tries();
        let mut troubles = Vec::new();
        if self.hangs > 0 {
            troubles.push(format!("hangs ({} of {all})", self.hangs));
        }
        if self.overdue > 0 {
            troubles.push(format!("does not end ({} of {all})", self.overdue));
        }
        if let Some(message) = self.failures.first() {
            troubles.push(format!(
                "fails ({} of {all}): {message}",
                self.failures.len()
            ));
        }
        let disturbed = self.rounds.iter().filter(|round| round.disturbed).count();
        if disturbed > 0 {
            troubles.push(format!("disturbed ({disturbed} of {all})"));
        }
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}

impl CaseResults {
    /// Who of those with a role has the best median, and that.
    fn best(&self, role: Role, better: Better) -> Option<(&str, f64)> {
        self.contestants
            .iter()
            .filter(|contestant| contestant.role == role)
            .filter_map(|contestant| Some((&*contestant.name, contestant.summary(0)?.median)))
            .reduce(|a, b| if better.is_better(b.1, a.1) { b } else { a })
    }
}

pub fn markdown(results: &WorkloadResults) -> String {
    let [figure, others @ ..] = &results.figures[..] else {
        unreachable!("a workload has a figure");
    };
    let role = |role| {
        let mut contestants = results.cases.iter().flat_map(|case| &case.contestants);
        contestants.any(|contestant| contestant.role == role)
    };
    let mut table = format!(
        "\n## {}\n\n{} {}\n\n",
        results.name,
        results.about,
        match figure.better {
            Better::More => "More is better.",
            Better::Less => "Less is better.",
        }
    );
    let mut head = vec![
        "case",
        "contestant",
        "rounds",
        figure.name,
        "min – max",
        "spread",
    ];
    if role(Role::Peer) {
        head.push("to the best peer");
    }
    if role(Role::Limit) {
        let mut limits = results.cases.iter().flat_map(|case| &case.contestants);
        let is_limit = limits.any(|c| c.name.starts_with("limit"));
        head.push(if is_limit {
            "to the limit"
        } else {
            "to the reference"
        });
    }
    head.extend(others.iter().map(|figure| figure.name));
    row(&mut table, &head);
    row(&mut table, &vec!["---"; head.len()]);
    for case in &results.cases {
        let best_peer = case.best(Role::Peer, figure.better);
        let limit = case.best(Role::Limit, figure.better);
        for contestant in &case.contestants {
            let name = match contestant.role {
                Role::Ours => format!("**{}**", contestant.name),
                Role::Peer => contestant.name.clone(),
                Role::Limit => format!("*{}*", contestant.name),
            };
            let name = match contestant.troubles() {
                Some(troubles) => format!("{name}: {troubles}"),
                None => name,
            };
            let mut cells = vec![case.name.clone(), name, contestant.rounds.len().to_string()];
            if let Some(summary) = contestant.summary(0) {
                let Summary { median, min, max } = summary;
                cells.extend([
                    number(median),
                    format!("{} – {}", number(min), number(max)),
                    ratio(max, min),
                ]);
                let to = |other: Option<(&str, f64)>| {
                    other.map_or_else(String::new, |(_, other)| ratio(median, other))
                };
                if role(Role::Peer) {
                    cells.push(to(best_peer));
                }
                if role(Role::Limit) {
                    cells.push(to(limit));
                }
                cells.extend((1..=others.len()).map(|figure| {
                    let summary = contestant.summary(figure);
                    summary.map_or_else(String::new, |summary| number(summary.median))
                }));
            }
            cells.resize(head.len(), String::new());
            row(&mut table, &cells);
        }
    }
    table
}

/// Where highwater stands in each case: its best against that of the others.
pub fn overview(workloads: &[WorkloadResults]) -> String {
    let mut table = String::from(
        "\n## Overview\n\nhighwater's best median beside the best peer's, and how many times as good that is: above \
         1 it is the better one.\n\n",
    );
    let head = [
        "workload",
        "case",
        "figure",
        "highwater",
        "best peer",
        "times",
        "peer's name",
        "to the limit",
    ];
    row(&mut table, &head);
    row(&mut table, &["---"; 8]);
    for workload in workloads {
        let figure = &workload.figures[0];
        let gain = |ours, other| match figure.better {
            Better::More => ratio(ours, other),
            Better::Less => ratio(other, ours),
        };
        for case in &workload.cases {
            let Some((_, ours)) = case.best(Role::Ours, figure.better) else {
                continue;
            };
            let mut cells = [workload.name, &case.name, figure.name]
                .map(str::to_owned)
                .to_vec();
            cells.push(number(ours));
            match case.best(Role::Peer, figure.better) {
                Some((name, peer)) => {
                    cells.extend([number(peer), gain(ours, peer), name.to_owned()])
                }
                None => cells.resize(cells.len() + 3, String::new()),
            }
            let limit = case.best(Role::Limit, figure.better);
            cells.push(limit.map_or_else(String::new, |(_, limit)| gain(ours, limit)));
            row(&mut table, &cells);
        }
    }
    table
}

fn row(table: &mut String, cells: &[impl AsRef<str>]) {
    for cell in cells {
        let _ = write!(table, "| {} ", cell.as_ref());
    }
    table.push_str("|\n");
}

/// Three digits that mean something.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn ratio(a: f64, b: f64) -> String {
    let ratio = a / b;
    if ratio.is_finite() {
        format!("{} ×", number(ratio))
    } else {
        String::new()
    }
}

/// What stands above the tables.
pub fn preface(machine: &Machine, command: &str) -> String {
    format!(
        "# highwater beside its peers\n\n`{command}`, on {} × {}, Linux {}, rustc {}.\n\n\
         Where a case stands there several times, the host has moved the two processors meanwhile: *ns apart* is how long a \
         cache line took from one to the other and back, right before and after each of these measurements. *disturbed*: in so many rounds other work of the machine had a turn on \
         these processors, however often the round was repeated; they count all the same.\n",
        machine.processors, machine.processor, machine.kernel, machine.rustc,
    )
}

/// What stands below them: versions, and who is missing.
pub fn postscript(machine: &Machine, peers: &[&str], absent: &[(&str, &str)]) -> String {
    let mut text = String::from("\n## Versions\n\n");
    let versions: Vec<_> = machine
        .versions
        .iter()
        .filter(|(name, _)| peers.contains(&name.as_str()))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    text.push_str(&versions.join(", "));
    text.push_str(".\n");
    for (name, why) in absent {
        let _ = write!(text, "\nNot there: {name}: {why}.");
    }
    text.push('\n');
    text
}
