//! A copy of the repository, in which mutants are made: never in the checkout itself.

use anyhow::{ensure, Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Brings the copy at `root` up to date; what has not changed is not touched, so that it is not built anew.
    pub fn copy(from: &Path, root: PathBuf) -> Result<Self> {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(from)
            .output()
            .context("git is needed to tell which files to copy")?;
        ensure!(listed.status.success(), "git ls-files: {}", listed.status);
        let tree = Self { root };
        // What was removed meanwhile, as a test, must not be built any more.
        for folder in ["src", "tests", "loom-tests/src", "loom-tests/tests"] {
            for entry in fs::read_dir(tree.root.join(folder)).into_iter().flatten() {
                let path = entry?.path();
                let original = from.join(path.strip_prefix(&tree.root)?);
                if path.is_file() && !original.exists() {
                    fs::remove_file(path)?;
                }
            }
        }
        for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
            let original = from.join(name);
            if original.is_file() {
                tree.write(name, &fs::read(original)?)?;
            }
        }
        // Built anew in any case: what is there may have been built with a mutant, and cargo looks at no more
        // than the time of each file.
        let lib = "src/lib.rs";
        fs::write(tree.root.join(lib), fs::read(from.join(lib))?)?;
        Ok(tree)
    }

    pub fn write(&self, file: &str, content: &[u8]) -> Result<()> {
        let path = self.root.join(file);
        if fs::read(&path).map_or(true, |old| old != content) {
            fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
            fs::write(path, content)?;
        }
        Ok(())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}
