//! The way of an item that finds room, or is there, in machine code: no fence, no locked
//! instruction, no call.
//!
//! Compiles `tests/hot-path/probe.rs` in release mode, and follows each function from its entry
//! along every branch, but not through calls: everything slow is a call to a function that is not
//! inlined. A return must be reachable that way, and nothing forbidden.
#![cfg(all(
    target_arch = "x86_64",
    target_os = "linux",
    feature = "std",
    not(loom)
))]

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    process::Command,
};

/// What an instruction does to the flow of control.
enum Step<'a> {
    Next,
    Return,
    Jump(&'a str),
    Branch(&'a str),
    Call,
}

fn step(instruction: &str) -> Step<'_> {
    let mut words = instruction.split_whitespace();
    let mnemonic = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    match mnemonic {
        "ret" | "retq" => Step::Return,
        "call" | "callq" => Step::Call,
        "jmp" | "jmpq" => Step::Jump(target),
        _ if mnemonic.starts_with('j') => Step::Branch(target),
        _ => Step::Next,
    }
}

fn is_forbidden(instruction: &str) -> bool {
    let mnemonic = instruction.split_whitespace().next().unwrap_or_default();
    // An xchg with memory locks without saying so.
    ["lock", "mfence", "syscall", "cpuid"].contains(&mnemonic)
        || (mnemonic.starts_with("xchg") && instruction.contains('('))
}

/// The instructions of a function, and where its labels are.
fn function<'a>(assembly: &'a str, name: &str) -> (Vec<&'a str>, HashMap<&'a str, usize>) {
    let (mut instructions, mut labels) = (Vec::new(), HashMap::new());
    let lines = assembly
        .lines()
        .skip_while(|line| line.strip_suffix(':') != Some(name))
        .skip(1)
        .take_while(|line| !line.trim_start().starts_with(".cfi_endproc"));
    for line in lines {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(label) = line.strip_suffix(':') {
            labels.insert(label, instructions.len());
        } else if !line.is_empty() && !line.starts_with('.') {
            instructions.push(line);
        }
    }
    assert!(!instructions.is_empty(), "{name} is not in the assembly");
    (instructions, labels)
}

/// What of a function runs before any call: how many instructions, the forbidden ones, and whether
/// it can return.
fn before_any_call<'a>(assembly: &'a str, name: &str) -> (usize, Vec<&'a str>, bool) {
    let (instructions, labels) = function(assembly, name);
    let (mut seen, mut todo) = (HashSet::new(), vec![0]);
    let (mut forbidden, mut returns) = (Vec::new(), false);
    while let Some(at) = todo.pop() {
        let Some(&instruction) = instructions.get(at) else {
            continue;
        };
        if !seen.insert(at) {
            continue;
        }
        if is_forbidden(instruction) {
            forbidden.push(instruction);
        }
        match step(instruction) {
            Step::Next => todo.push(at + 1),
            Step::Return => returns = true,
            // A jump out of the function is a call at its end.
            Step::Jump(target) => todo.extend(labels.get(target)),
            Step::Branch(target) => {
                todo.push(at + 1);
                todo.extend(labels.get(target));
            }
            Step::Call => {}
        }
    }
    (seen.len(), forbidden, returns)
}

fn assembly_of_probe() -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hot-path");
    let examples = directory.join("release/examples");
    let _ = fs::remove_dir_all(&examples); // of an earlier build
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--release", "--example", "hot_path_probe"])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&directory)
        .args(["--", "--emit", "asm", "-Ccodegen-units=1"])
        .env_remove("RUSTFLAGS") // coverage and sanitizers add calls of their own
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = fs::read_dir(&examples)
        .expect("the build has a folder of examples")
        .map(|entry| entry.expect("a readable folder").path())
        .find(|path| path.extension().map_or(false, |e| e == "s"))
        .expect("the build has left its assembly");
    fs::read_to_string(file).expect("the assembly is text")
}

#[test]
fn an_item_that_finds_room_or_is_there_costs_no_fence_no_lock_and_no_call() {
    let assembly = assembly_of_probe();
    for probe in [
        "probe_try_write",
        "probe_try_read",
        "probe_write",
        "probe_read",
        "probe_weighted_write",
        "probe_weighted_read",
    ] {
        let (count, forbidden, returns) = before_any_call(&assembly, probe);
        println!("{probe}: {count} instructions before any call");
        assert!(forbidden.is_empty(), "{probe}: {forbidden:?}");
        assert!(returns, "{probe} cannot return without a call");
    }

    // The test is not blind.
    let (_, forbidden, _) = before_any_call(&assembly, "probe_fenced_write");
    assert!(!forbidden.is_empty(), "a fence goes unnoticed");
    let (_, _, returns) = before_any_call(&assembly, "probe_always_calls");
    assert!(!returns, "a call goes unnoticed");
}
