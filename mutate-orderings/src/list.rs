//! `mutants.toml`: what is known of mutants beforehand.

use crate::sites::Mutant;
use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;
use std::{collections::HashSet, fs, path::Path};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Those of `--quick`, each with the model that kills it.
    pub quick: Vec<Quick>,
    /// Those that may survive.
    pub survivor: Vec<Survivor>,
    /// Bugs, as patches, each with the model that must fail.
    pub bug: Vec<Bug>,
    /// Bugs that others had, as patches, each with the plain test that must fail.
    pub other: Vec<Bug>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    pub mutant: String,
    pub test: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survivor {
    pub mutant: String,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    pub name: String,
    pub what: String,
    pub test: String,
    pub file: String,
    /// Each stands in the file once, and is replaced.
    pub patch: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub find: String,
    pub replace: String,
}

impl List {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// What is listed must exist: else the list speaks of other code than there is.
    pub fn check(&self, mutants: &[Mutant]) -> Result<()> {
        let names: HashSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
        let quick = self.quick.iter().map(|quick| &quick.mutant);
        for name in quick.chain(self.survivor.iter().map(|survivor| &survivor.mutant)) {
            ensure!(names.contains(name), "mutants.toml: no mutant {name:?}");
        }
        Ok(())
    }

    pub fn reason(&self, mutant: &str) -> Option<&str> {
        let survivor = self.survivor.iter().find(|s| s.mutant == mutant)?;
        Some(&survivor.reason)
    }
}

impl Bug {
    /// As a mutant of the code in `root`.
    pub fn mutant(&self, root: &Path) -> Result<Mutant> {
        let before = fs::read_to_string(root.join(&self.file))?;
        let mut after = before.clone();
        for Patch { find, replace } in &self.patch {
            match after.matches(find.trim()).count() {
                1 => after = after.replace(find.trim(), replace.trim()),
                count => bail!("{}: {} has {count} of\n{find}", self.name, self.file),
            }
        }
        Ok(Mutant {
            name: self.name.clone(),
            file: self.file.clone(),
            function: String::new(),
            line: 0,
            change: self.what.clone(),
            is_unseen: false,
            before,
            after,
        })
    }
}
