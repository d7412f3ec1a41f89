//! What each operation costs in instructions, counted by valgrind: the same to the instruction on every run,
//! so that a loss of a tenth is seen here, where no clock would show it.
//!
//! Counts `tests/hot-path/probe.rs`, function by function, with all that a function calls; slow ways, when
//! one side has to look at the other, are in it as often as they come. The figures are in
//! `tests/hot-path/instructions.txt`, and are those of one compiler.
#![cfg(all(
    target_arch = "x86_64",
    target_os = "linux",
    feature = "std",
    not(loom)
))]

#[path = "common/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Whose figures they are.
const COMPILER: &str = "rustc 1.95.";
const FIGURES: &str = include_str!("hot-path/instructions.txt");
/// A consumer passes a fence with every so many items, or more (`src/interval.rs`); a producer passes none,
/// nor does one where items have a weight.
const ITEMS_FOR_A_FENCE: f64 = 128.0;
/// How much of a figure may be more or less.
const TOLERANCE: f64 = 0.1;

/// All calls of one probe.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    calls: f64,
    instructions: f64,
    /// Locked instructions and fences.
    locked: f64,
}

impl Cost {
    fn per_call(&self) -> f64 {
        self.instructions / self.calls
    }

    /// What is wrong with a figure, if anything.
    fn judge(&self, expected: f64) -> Result<(), &'static str> {
        let change = self.per_call() / expected - 1.0;
        if change > TOLERANCE {
            Err("it has become costlier")
        } else if change < -TOLERANCE {
            Err("it has become cheaper: lower the figure")
        } else {
            Ok(())
        }
    }
}

/// Of each probe, from callgrind's account of who called whom at what cost.
fn costs(account: &str) -> BTreeMap<&str, Cost> {
    let mut costs = BTreeMap::<_, Cost>::new();
    let (mut caller, mut callee, mut calls) = ("", "", None);
    for line in account.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = name;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = name;
        } else if let Some(counts) = line.strip_prefix("calls=") {
            calls = counts.split(' ').next();
        } else if let Some(calls) = calls.take() {
            // What they cost is in the line below, behind a position; zeros at its end are left out.
            let number = |word: &str| word.parse::<f64>().expect("a number");
            let mut numbers = line.split(' ').skip(1).map(number);
            let instructions = numbers.next().unwrap_or(0.0);
            let locked = numbers.next().unwrap_or(0.0);
            if callee.starts_with("probe_") {
                let cost = costs.entry(callee).or_default();
                cost.calls += number(calls);
                cost.instructions += instructions;
                cost.locked += locked;
            } else if callee.contains("memcpy") || callee.contains("memmove") {
                // How the system copies depends on the processor.
                costs.entry(caller).or_default().instructions -= instructions;
            }
        }
    }
    costs.retain(|name, _| name.starts_with("probe_"));
    costs
}

/// What callgrind writes of a run of the probes; `None` where there is no valgrind.
fn account() -> Option<String> {
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        assert!(process::may_skip(), "valgrind does not run: {error}");
        println!("skipped: valgrind does not run: {error}");
        return None;
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions.callgrind");
    let mut out_file = OsString::from("--callgrind-out-file=");
    out_file.push(&file);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-bus=yes"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(out_file)
        .arg(process::hot_path_probe())
        .stdin(Stdio::null())
        .output()
        .expect("valgrind runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(fs::read_to_string(file).expect("the account is text"))
}

fn expected() -> impl Iterator<Item = (&'static str, f64, f64)> {
    FIGURES
        .lines()
        .filter(|line| line.starts_with("probe_"))
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().expect("a name");
            let mut number = || words.next().and_then(|word| word.parse().ok());
            let (items, figure) = (number().expect("items"), number().expect("a figure"));
            (name, items, figure)
        })
}

#[test]
fn operations_cost_as_many_instructions_as_ever_and_none_is_locked_but_one_in_128_reads() {
    let account = match account() {
        Some(account) => account,
        None => return,
    };
    assert!(account.contains("events: Ir Ge"), "valgrind counts others");
    let costs = costs(&account);
    let same_compiler = process::compiler_is(COMPILER);

    println!("{:24}  items  per call  expected  per item  locked", "");
    let mut complaints = Vec::new();
    for (name, items, figure) in expected() {
        let cost = costs[name];
        println!(
            "{name:24}  {items:5}  {:8.1}  {figure:8.1}  {:8.2}  {:6}",
            cost.per_call(),
            cost.per_call() / items,
            cost.locked
        );
        let fences = if name.contains("read") && !name.contains("weighted") {
            cost.calls * items / ITEMS_FOR_A_FENCE
        } else {
            0.0
        };
        if cost.locked > fences {
            complaints.push(format!("{name}: locked instructions"));
        }
        if let (true, Err(complaint)) = (same_compiler, cost.judge(figure)) {
            complaints.push(format!("{name}: {complaint}"));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");

    // The test is not blind.
    let fenced = costs["probe_fenced_write"];
    assert!(fenced.locked >= fenced.calls, "a fence goes unnoticed");
    let write = costs["probe_write"].per_call();
    let allocating = costs["probe_allocating_write"].judge(write);
    assert!(allocating.is_err(), "an allocation goes unnoticed");
    let gain = costs["probe_write"].judge(write * 1.2);
    assert!(gain.is_err(), "a gain goes unnoticed");
}
