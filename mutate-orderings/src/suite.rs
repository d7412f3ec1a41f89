//! Builds and runs models, or plain tests, until the first one fails.

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Killed(Kill),
    Survived,
    /// The time was over.
    Undecided,
    NotBuildable(String),
}

/// Which model noticed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// `file::test`
    pub test: String,
    pub how: String,
}

pub struct Suite {
    folder: PathBuf,
    /// Where they are built: that of the checkout's own models, so that what they depend on is there.
    target: PathBuf,
    /// For `cargo test`.
    options: &'static [&'static str],
    tests: Vec<String>,
}

impl Suite {
    /// All models of the copy in `tree`.
    pub fn of_models(tree: &Path, root: &Path) -> Result<Self> {
        let target = root.join("loom-tests/target");
        Self::new(tree.join("loom-tests"), target, &["--release"])
    }

    /// Its plain tests, in a release build: in a debug build ends do not come close enough together to lose a wake-up.
    pub fn of_tests(tree: &Path, root: &Path) -> Result<Self> {
        Self::new(
            tree.to_owned(),
            root.join("target"),
            &["--release", "--all-features"],
        )
    }

    fn new(folder: PathBuf, target: PathBuf, options: &'static [&'static str]) -> Result<Self> {
        let mut tests = Vec::new();
        for entry in folder.join("tests").read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                tests.push(path.file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        tests.sort();
        Ok(Self {
            folder,
            target,
            options,
            tests,
        })
    }

    /// Runs the files of models one after the other, those named `first` before the others; or, with
    /// `single`, nothing but this one test, as `file::test`.
    pub fn run(
        &self,
        first: &[&str],
        single: Option<&str>,
        limit: Duration,
        say: impl Fn(&str),
    ) -> Result<Verdict> {
        let begin = Instant::now();
        if let Some((file, test)) = single.and_then(|single| single.split_once("::")) {
            return match self.build(file)? {
                // A test that does not compile has noticed.
                Err(message) if message.contains(&format!("(test \"{file}\")")) => {
                    Ok(Verdict::Killed(Kill {
                        test: format!("{file}::{test}"),
                        how: "does not compile".into(),
                    }))
                }
                Err(message) => Ok(Verdict::NotBuildable(message)),
                Ok(program) => self.run_one(&program, file, &["--exact", test], begin, limit, &say),
            };
        }
        let place = |test: &String| first.iter().position(|f| f == test).unwrap_or(first.len());
        let mut tests = self.tests.clone();
        tests.sort_by_key(place);
        for file in &tests {
            say(file);
            let program = match self.build(file)? {
                Err(message) => return Ok(Verdict::NotBuildable(message)),
                Ok(program) => program,
            };
            match self.run_one(&program, file, &[], begin, limit, &say)? {
                Verdict::Survived => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Survived)
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.folder);
        // These would take the models' `--cfg loom` away.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        cargo.env("CARGO_TARGET_DIR", &self.target);
        cargo.env("CARGO_INCREMENTAL", "1");
        cargo
    }

    /// The program with these models, or what the compiler says.
    fn build(&self, file: &str) -> Result<Result<PathBuf, String>> {
        let built = self
            .cargo()
            .args(["test", "--no-run", "--message-format=json", "--test", file])
            .args(self.options)
            .stdin(Stdio::null())
            .output()
            .context("cargo")?;
        let mut error = String::from_utf8_lossy(&built.stderr).into_owned();
        for line in built.stdout.lines() {
            let message: HashMap<String, serde_json::Value> = serde_json::from_str(&line?)?;
            let of = |name| message.get(name).and_then(serde_json::Value::as_str);
            match of("reason") {
                Some("compiler-artifact") => {
                    let target = message.get("target").and_then(|target| target.get("name"));
                    if let (Some(program), true) =
                        (of("executable"), target.is_some_and(|name| name == file))
                    {
                        return Ok(Ok(PathBuf::from(program)));
                    }
                }
                Some("compiler-message") => {
                    let message = &message["message"];
                    if message["level"] == "error" && error.len() < 10_000 {
                        error += message["rendered"].as_str().unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
        if built.status.success() {
            bail!("cargo has built no {file}");
        }
        Ok(Err(error))
    }

    fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        // Whatever a mutant does, it must not be noticed because a model has fewer executions.
        command.env("LOOM_ANY_NUMBER", "1");
        command
    }

    /// What the model says that failed: it runs once more, alone, and fails in the same execution.
    fn kill(&self, program: &Path, file: &str, test: String) -> Result<Verdict> {
        let name = test.strip_prefix(file).and_then(|t| t.strip_prefix("::"));
        let mut child = self
            .program(program)
            .args(["--exact", name.unwrap_or(&test), "--nocapture"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut said = said.map_while(Result::ok);
        let panic = said.find(|line| line.contains("panicked at"));
        let message = panic.and_then(|_| said.find(|line| !line.trim().is_empty()));
        let _ = child.kill();
        child.wait()?;
        Ok(Verdict::Killed(Kill {
            test,
            how: how(message.as_deref().unwrap_or("the process dies")),
        }))
    }

    /// The test that takes the whole program with it, as a panic in a drop does.
    fn aborts_in(&self, program: &Path, file: &str) -> Result<String> {
        let run = self
            .program(program)
            .arg("--test-threads=1")
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        let last = said
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("test "));
        let test = last.and_then(|line| line.split(" ... ").next());
        Ok(match test {
            Some(test) => format!("{file}::{test}"),
            None => file.to_owned(),
        })
    }

    fn run_one(
        &self,
        program: &Path,
        file: &str,
        arguments: &[&str],
        begin: Instant,
        limit: Duration,
        say: impl Fn(&str),
    ) -> Result<Verdict> {
        let mut child = self
            .program(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let lines = lines_of(&mut child);
        let mut last = String::new();
        let verdict = loop {
            let left = limit.saturating_sub(begin.elapsed());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    let Some(test) = line.strip_prefix("test ") else {
                        continue;
                    };
                    if let Some((test, answer)) = test.split_once(" ... ") {
                        last = format!("{file}::{test}");
                        say(&last);
                        if answer == "FAILED" {
                            break self.kill(program, file, last)?;
                        }
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => break Verdict::Undecided,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    if child.wait()?.success() {
                        if last.is_empty() {
                            bail!("no model ran in {file} {arguments:?}");
                        }
                        break Verdict::Survived;
                    }
                    let test = match arguments {
                        [_, test] => format!("{file}::{test}"),
                        _ => self.aborts_in(program, file)?,
                    };
                    break self.kill(program, file, test)?;
                }
            }
        };
        // It may have ended by itself.
        let _ = child.kill();
        child.wait()?;
        Ok(verdict)
    }
}

/// The first line of a panic's message, or what that of loom's own means.
fn how(message: &str) -> String {
    if message.starts_with("deadlock") {
        "asleep for ever".into()
    } else if message.contains("Causality violation") || message.contains("Data race") {
        "a race".into()
    } else if message.contains("maximum number of branches") {
        "goes round for ever".into()
    } else {
        message
            .trim()
            .chars()
            .filter(|&c| c != '|')
            .take(80)
            .collect()
    }
}

/// What it says, line by line, until it ends.
fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let stdout = child.stdout.take().expect("piped");
    let mut stderr = child.stderr.take().expect("piped");
    thread::spawn(move || {
        // Read, so that it does not block; a failing model says much.
        let _ = std::io::copy(&mut stderr.by_ref(), &mut std::io::sink());
    });
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
