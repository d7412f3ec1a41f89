//! What came of each mutant: kept between runs, and written as a table.

use crate::{
    list::List,
    sites::Mutant,
    suite::{Kill, Verdict},
};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::{
    collections::{hash_map::DefaultHasher, BTreeMap},
    fmt::Write as _,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The mutated file.
    file: u64,
    /// All models.
    models: u64,
    killed_by: Option<Kill>,
    pub not_buildable: bool,
}

pub struct Results {
    path: PathBuf,
    models: u64,
    outcomes: BTreeMap<String, Outcome>,
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Results {
    pub fn read(path: PathBuf, root: &Path) -> Result<Self> {
        let mut models = Vec::new();
        for folder in ["loom-tests/src", "loom-tests/tests"] {
            for entry in fs::read_dir(root.join(folder))? {
                let path = entry?.path();
                models.push((path.clone(), fs::read(path)?));
            }
        }
        models.sort();
        let outcomes = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            Err(_) => BTreeMap::new(),
        };
        Ok(Self {
            path,
            models: hash(models),
            outcomes,
        })
    }

    /// What is known of this very mutant. A new model can only kill more.
    pub fn known(&self, mutant: &Mutant) -> Option<Verdict> {
        let outcome = self.outcomes.get(&mutant.name)?;
        if outcome.file != hash(&mutant.after) {
            return None;
        }
        match &outcome.killed_by {
            Some(kill) => Some(Verdict::Killed(kill.clone())),
            None if outcome.not_buildable => Some(Verdict::NotBuildable(String::new())),
            None if outcome.models == self.models => Some(Verdict::Survived),
            None => None,
        }
    }

    /// The model that killed it the last time, in whatever state of the code.
    pub fn killer(&self, mutant: &Mutant) -> Option<&str> {
        Some(&self.outcomes.get(&mutant.name)?.killed_by.as_ref()?.test)
    }

    pub fn note(&mut self, mutant: &Mutant, verdict: &Verdict) -> Result<()> {
        if *verdict == Verdict::Undecided {
            return Ok(());
        }
        let outcome = Outcome {
            file: hash(&mutant.after),
            models: self.models,
            killed_by: match verdict {
                Verdict::Killed(kill) => Some(kill.clone()),
                _ => None,
            },
            not_buildable: matches!(verdict, Verdict::NotBuildable(_)),
        };
        self.outcomes.insert(mutant.name.clone(), outcome);
        fs::write(&self.path, serde_json::to_string_pretty(&self.outcomes)?)?;
        Ok(())
    }
}

/// How a mutant's row begins.
fn row(mutant: &Mutant) -> String {
    let again = match mutant.name.rsplit_once(" #") {
        Some((_, again)) => format!(" (no. {again})"),
        None => String::new(),
    };
    format!("| `{}` | {}{again} |", mutant.function, mutant.change)
}

/// Those that are not in the page, as it was written before they were.
pub fn missing<'a>(page: &str, mutants: &'a [Mutant]) -> Vec<&'a str> {
    let is_missing = |mutant: &&Mutant| !page.contains(&row(mutant));
    let missing = mutants.iter().filter(is_missing);
    missing.map(|mutant| &*mutant.name).collect()
}

/// Rows of the page for which there is no mutant any more.
pub fn stale<'a>(page: &'a str, mutants: &[Mutant]) -> Vec<&'a str> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let is_stale = |line: &&str| !mutants.iter().any(|mutant| line.contains(&row(mutant)));
    rows.filter(is_stale).collect()
}

/// The page: all mutants by function and operation.
pub fn table(mutants: &[(Mutant, Verdict)], list: &List) -> String {
    let count =
        |wanted: fn(&(Mutant, Verdict)) -> bool| mutants.iter().filter(|m| wanted(m)).count();
    let mut page = String::from(HEAD);
    let _ = writeln!(
        page,
        "{} mutants: {} killed, {} survive, {} in code that no model sees.",
        mutants.len(),
        count(|m| matches!(m.1, Verdict::Killed(_))),
        count(|m| m.1 == Verdict::Survived && !m.0.is_unseen),
        count(|m| m.1 == Verdict::Survived && m.0.is_unseen),
    );
    let mut file = "";
    for (mutant, verdict) in mutants {
        if mutant.file != file {
            file = &mutant.file;
            let _ = writeln!(
                page,
                "\n## `{file}`\n\n| function | change | killed by | how |\n|---|---|---|---|"
            );
        }
        let answer = match verdict {
            Verdict::Killed(kill) => format!("`{}` | {}", kill.test, kill.how),
            Verdict::NotBuildable(_) => "does not build |".to_owned(),
            _ if mutant.is_unseen => {
                format!(
                    "no model can: {} |",
                    list.reason(&mutant.name).unwrap_or("?")
                )
            }
            _ => format!(
                "**survives**: {} |",
                list.reason(&mutant.name).unwrap_or("?")
            ),
        };
        let _ = writeln!(page, "{} {answer} |", row(mutant));
    }
    page
}

const HEAD: &str = "\
# Ordering mutations

Written by `cargo run --manifest-path mutate-orderings/Cargo.toml -- --table`. Each `Release`, `Acquire` and `AcqRel` of `src/` is weakened, each fence
and barrier removed, and each second look before a sleep left out: one at a time, in a copy of the
repository. Then the models of `loom-tests/` run until one fails, and not because it has fewer executions. What is Relaxed already cannot be weakened. A survivor is a missing model or
a needless ordering, unless there is a reason (`mutate-orderings/mutants.toml`): the tool fails on one without.

A model replaces the light barrier by a full fence, which orders more than the barrier does: what an operation does next to one
may seem needless there. So the models of such places use the builder's `refused_barrier`, whose light barrier is none. The pair itself
is a Promela model: `loom-tests/promela`.

";
