//! Weakens each memory ordering of `src/`, one at a time, and asks the models in `loom-tests/` whether they
//! notice. The result is `docs/ordering-mutations.md`.
#![forbid(unsafe_code)]

mod list;
mod results;
mod sites;
mod suite;
mod tree;

use anyhow::{bail, ensure, Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use list::List;
use results::Results;
use sites::Mutant;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use suite::{Suite, Verdict};
use tree::Tree;

/// Weakens each memory ordering of highwater, one at a time, and runs the models until one notices.
#[derive(Parser)]
struct Options {
    /// Only mutants whose name contains this; can be given more than once
    #[arg(long)]
    only: Vec<String>,
    /// Only the few of mutants.toml that die quickly, each by the one model that is named there
    #[arg(long)]
    quick: bool,
    /// The bugs of mutants.toml, each by the one model that is named there; with --quick both
    #[arg(long)]
    bugs: bool,
    /// The bugs of other crates in mutants.toml, each by the plain test that is named there
    #[arg(long, conflicts_with_all = ["quick", "bugs", "table"])]
    others: bool,
    /// Leaves out the run of what is named without a mutant: it has just passed
    #[arg(long)]
    passed: bool,
    /// Lists the mutants, and runs nothing
    #[arg(long)]
    list: bool,
    /// Takes over what an earlier run has found of the same code
    #[arg(long)]
    resume: bool,
    /// Writes docs/ordering-mutations.md, if all mutants were tried
    #[arg(long)]
    table: bool,
    /// Seconds for one mutant
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// Where the copy of the repository is made and built
    #[arg(long)]
    work: Option<PathBuf>,
}

/// One mutant, and the only model that has to be asked, if that is known.
type Job = (Mutant, Option<String>);

fn main() -> Result<()> {
    let options = Options::parse();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().context("a folder of the repository")?;
    let list = List::read(&here.join("mutants.toml"))?;
    let mutants = sites::find(root)?;
    list.check(&mutants)?;
    let page = root.join("docs/ordering-mutations.md");
    if options.quick {
        let page = fs::read_to_string(&page)?;
        let missing = results::missing(&page, &mutants);
        let stale = results::stale(&page, &mutants);
        ensure!(
            missing.is_empty() && stale.is_empty(),
            "the table, which --table writes, lacks {missing:#?}, and speaks of {stale:#?}"
        );
    }

    let mut jobs: Vec<Job> = Vec::new();
    if options.bugs {
        for bug in &list.bug {
            jobs.push((bug.mutant(root)?, Some(bug.test.clone())));
        }
    }
    if options.quick {
        for quick in &list.quick {
            let mutant = mutants.iter().find(|mutant| mutant.name == quick.mutant);
            let mutant = mutant.expect("the list was checked").clone();
            jobs.push((mutant, Some(quick.test.clone())));
        }
    }
    if options.others {
        for bug in &list.other {
            jobs.push((bug.mutant(root)?, Some(bug.test.clone())));
        }
    }
    if !options.bugs && !options.quick && !options.others {
        jobs.extend(mutants.into_iter().map(|mutant| (mutant, None)));
    }
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|o| name.contains(o));
    jobs.retain(|(mutant, _)| wanted(&mutant.name));
    ensure!(!jobs.is_empty(), "no such mutant");
    if options.list {
        for (mutant, _) in &jobs {
            println!("{}:{}: {}", mutant.file, mutant.line, mutant.name);
        }
        return Ok(());
    }

    let work = options
        .work
        .clone()
        .unwrap_or_else(|| here.join("target/mutants"));
    fs::create_dir_all(&work)?;
    let tree = Tree::copy(root, work.join("tree"))?;
    let suite = if options.others {
        Suite::of_tests(tree.root(), root)?
    } else {
        Suite::of_models(tree.root(), root)?
    };
    let mut results = Results::read(work.join("results.json"), root)?;
    let tried = run(&options, &tree, &suite, &mut results, &list, jobs)?;

    if options.table {
        ensure!(
            options.only.is_empty() && !options.quick && !options.bugs,
            "the table is of all mutants"
        );
        fs::write(&page, results::table(&tried, &list))?;
    }
    judge(&tried, &list)
}

fn run(
    options: &Options,
    tree: &Tree,
    suite: &Suite,
    results: &mut Results,
    list: &List,
    jobs: Vec<Job>,
) -> Result<Vec<(Mutant, Verdict)>> {
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template(
        "{pos}/{len} {elapsed} {wide_msg}",
    )?);
    bar.enable_steady_tick(Duration::from_secs(1));
    let limit = Duration::from_secs(options.limit);

    // What the models say of the code as it is: if that fails, a mutant that dies shows nothing.
    let singles: BTreeSet<_> = jobs
        .iter()
        .filter_map(|(_, single)| single.as_deref())
        .filter(|_| !options.passed)
        .collect();
    for single in singles {
        match suite.run(&[], Some(single), limit, |now| {
            bar.set_message(format!("as it is: {now}"))
        })? {
            Verdict::Survived => {}
            verdict => bail!("{single} does not pass without a mutant: {verdict:?}"),
        }
    }

    let mut tried = Vec::new();
    for (mutant, single) in jobs {
        let begin = Instant::now();
        let say = |now: &str| bar.set_message(format!("{}: {now}", mutant.name));
        let known = results
            .known(&mutant)
            .filter(|_| options.resume && single.is_none());
        let verdict = match known {
            Some(verdict) => verdict,
            None if mutant.is_unseen => Verdict::Survived,
            None => {
                tree.write(&mutant.file, mutant.after.as_bytes())?;
                let verdict = try_one(suite, results, &mutant, single.as_deref(), limit, say);
                tree.write(&mutant.file, mutant.before.as_bytes())?;
                let verdict = verdict?;
                if single.is_none() {
                    results.note(&mutant, &verdict)?;
                }
                verdict
            }
        };
        let shown = match &verdict {
            Verdict::Killed(kill) => format!("killed by {}: {}", kill.test, kill.how),
            Verdict::Survived if list.reason(&mutant.name).is_some() => {
                "survives, for a reason".into()
            }
            Verdict::Survived => "SURVIVES".into(),
            Verdict::Undecided => "UNDECIDED: the time was over".into(),
            Verdict::NotBuildable(message) => format!("DOES NOT BUILD\n{message}"),
        };
        let line = format!(
            "{}:{} {} ({:.0} s): {shown}",
            mutant.file,
            mutant.line,
            mutant.name,
            begin.elapsed().as_secs_f32()
        );
        bar.suspend(|| println!("{line}"));
        bar.inc(1);
        tried.push((mutant, verdict));
    }
    bar.finish_and_clear();
    Ok(tried)
}

fn try_one(
    suite: &Suite,
    results: &Results,
    mutant: &Mutant,
    single: Option<&str>,
    limit: Duration,
    say: impl Fn(&str),
) -> Result<Verdict> {
    if single.is_some() {
        return suite.run(&[], single, limit, say);
    }
    if let Some(killer) = results
        .killer(mutant)
        .filter(|killer| killer.contains("::"))
    {
        // It may have been renamed since.
        if let Ok(verdict @ Verdict::Killed(_)) = suite.run(&[], Some(killer), limit, &say) {
            return Ok(verdict);
        }
    }
    suite.run(likely(&mutant.file), None, limit, say)
}

/// The files of models that are likely to notice a change in a file.
fn likely(file: &str) -> &'static [&'static str] {
    if file.contains("/ring/mod") {
        &["observers", "weight", "ends", "drops"]
    } else if file.contains("/ring/") {
        &["ring", "drops", "observers", "weight", "chunks"]
    } else if file.contains("/wait/") {
        &[
            "sleep",
            "refused",
            "tasks",
            "listeners",
            "observers",
            "drops",
        ]
    } else {
        &["observers", "ends", "stop", "drops"]
    }
}

fn judge(tried: &[(Mutant, Verdict)], list: &List) -> Result<()> {
    let (mut killed, mut excused, mut bad) = (0, 0, Vec::new());
    for (mutant, verdict) in tried {
        let reason = list.reason(&mutant.name);
        match verdict {
            Verdict::Killed(_) if reason.is_some() => {
                bad.push(format!(
                    "killed, though mutants.toml has a reason why not: {}",
                    mutant.name
                ));
            }
            Verdict::Killed(_) => killed += 1,
            Verdict::Survived if reason.is_some() => excused += 1,
            _ => bad.push(format!("{:?}: {}", verdict, mutant.name)),
        }
    }
    println!("{killed} killed, {excused} survive for a reason");
    ensure!(
        bad.is_empty(),
        "{} not as they should be:\n{}",
        bad.len(),
        bad.join("\n")
    );
    Ok(())
}
