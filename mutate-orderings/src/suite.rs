//! Builds and runs the models, until the first one fails.

use anyhow::{bail, Context, Result};
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
    /// By this test.
    Killed(String),
    Survived,
    /// The time was over.
    Undecided,
    NotBuildable(String),
}

pub struct Suite {
    folder: PathBuf,
    /// Where they are built: that of the checkout's own models, so that what they depend on is there.
    target: PathBuf,
    tests: Vec<String>,
}

impl Suite {
    pub fn new(folder: PathBuf, target: PathBuf) -> Result<Self> {
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
            .args([
                "test",
                "--release",
                "--no-run",
                "--message-format=json",
                "--test",
                file,
            ])
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

    /// The test that takes the whole program with it, as a panic in a drop does.
    fn aborts_in(&self, program: &Path, file: &str) -> Result<String> {
        let run = Command::new(program)
            .arg("--test-threads=1")
            .current_dir(&self.folder)
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
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
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
                            break Verdict::Killed(last);
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
                    break Verdict::Killed(match arguments {
                        [_, test] => format!("{file}::{test}"),
                        _ => self.aborts_in(program, file)?,
                    });
                }
            }
        };
        // It may have ended by itself.
        let _ = child.kill();
        child.wait()?;
        Ok(verdict)
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
