//! Runs highwater and its peers against each other, interleaved round by round, each measurement in a process
//! of its own. Prints a Markdown table for each workload; writes tables, all rounds as JSON, and charts.
//!
//! `cargo run --release --bin versus -- --help`

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use highwater_benches::{
    contestants::{ABSENT, PACKAGES},
    harness::{
        chart, child,
        machine::Machine,
        report,
        run::{Choice, WorkloadResults},
        Effort, Workload,
    },
    workloads,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{env, fs, path::PathBuf};

/// highwater beside its peers
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// How often each contestant runs [default: 11, or 1 if --quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// Only workloads whose names begin so
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    workload: Vec<String>,
    /// Only contestants whose names contain this
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    contestant: Vec<String>,
    /// Say what there is, and run nothing
    #[arg(long)]
    list: bool,
    /// Short measurements: to see that everything works, not to compare
    #[arg(long)]
    quick: bool,
    /// Where results.json, results.md and the charts go
    #[arg(long, value_name = "DIR", default_value = "target/versus")]
    out: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// One measurement, in this process; prints it as JSON.
    #[command(hide = true)]
    Measure {
        workload: String,
        case: String,
        contestant: String,
        #[arg(long)]
        quick: bool,
    },
}

#[derive(Serialize)]
struct Results {
    command: String,
    machine: Machine,
    workloads: Vec<WorkloadResults>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Measure {
        workload,
        case,
        contestant,
        quick,
    }) = &arguments.command
    {
        return measure(workload, case, contestant, *quick);
    }
    let is_chosen = |workload: &Workload| {
        let begins = |name: &String| workload.name.starts_with(name.as_str());
        arguments.workload.is_empty() || arguments.workload.iter().any(begins)
    };
    let workloads: Vec<_> = workloads::all().into_iter().filter(is_chosen).collect();
    anyhow::ensure!(!workloads.is_empty(), "no such workload: see --list");
    if arguments.list {
        list(&workloads);
        return Ok(());
    }
    compare(&arguments, &workloads)
}

fn measure(workload: &str, case: &str, contestant: &str, quick: bool) -> anyhow::Result<()> {
    let workloads = workloads::all();
    let workload = workloads.iter().find(|w| w.name == workload);
    let cases = &workload.context("no such workload")?.cases;
    let case = cases.iter().find(|c| c.name == case);
    let contestants = &case.context("no such case")?.contestants;
    let contestant = contestants.iter().find(|c| c.name == contestant);
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    child::measure(contestant.context("no such contestant")?, effort)
}

fn list(workloads: &[Workload]) {
    for workload in workloads {
        println!("{}: {}", workload.name, workload.about);
        for case in &workload.cases {
            let names: Vec<_> = case.contestants.iter().map(|c| &*c.name).collect();
            println!("    {}: {}", case.name, names.join(", "));
        }
    }
    for (name, why) in ABSENT {
        println!("not there: {name}: {why}");
    }
}

fn compare(arguments: &Arguments, workloads: &[Workload]) -> anyhow::Result<()> {
    let takes_part = |name: &str| {
        let contains = |part: &String| name.to_lowercase().contains(&part.to_lowercase());
        arguments.contestant.is_empty() || arguments.contestant.iter().any(contains)
    };
    let choice = Choice {
        rounds: arguments
            .rounds
            .unwrap_or(if arguments.quick { 1 } else { 11 }),
        quick: arguments.quick,
        takes_part: &takes_part,
    };
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let command = env::args().skip(1).collect::<Vec<_>>().join(" ");
    let mut results = Results {
        command: format!("versus {command}").trim_end().to_owned(),
        machine: Machine::this()?,
        workloads: Vec::new(),
    };
    let all = workloads.iter().map(|w| choice.len(w) as u64).sum();
    let bar = ProgressBar::new(all).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} {elapsed}, {eta} left: {wide_msg}",
    )?);
    let mut text = report::preface(&results.machine, &results.command);
    bar.suspend(|| print!("{text}"));
    for workload in workloads.iter().filter(|w| choice.len(w) > 0) {
        let measured = choice.run(workload, &bar)?;
        let shown = measured.by_placement();
        let table = report::markdown(&shown);
        bar.suspend(|| print!("{table}"));
        text.push_str(&table);
        let chart = format!("{}.svg", workload.name.replace('/', "-"));
        chart::draw(&shown, &out.join(chart))?;
        results.workloads.push(measured);
        // After each, so that a run that is broken off has its results.
        fs::write(
            out.join("results.json"),
            serde_json::to_vec_pretty(&results)?,
        )?;
        fs::write(out.join("results.md"), &text)?;
    }
    bar.finish_and_clear();
    let shown: Vec<_> = results.workloads.iter().map(|w| w.by_placement()).collect();
    let end = report::overview(&shown) + &report::postscript(&results.machine, PACKAGES, ABSENT);
    print!("{end}");
    text.push_str(&end);
    fs::write(out.join("results.md"), &text)?;
    Ok(())
}
