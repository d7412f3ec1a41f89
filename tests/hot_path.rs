//! The way of an item that finds room, or is there, in machine code: no fence, no locked instruction, no
//! system call; and for single items no call of any kind.
//!
//! Takes `tests/hot-path/probe.rs` apart as it was linked, and follows each function from its entry along
//! every branch. For single items calls are not followed: everything slow is a call to a function that is
//! not inlined. For many items at a time calls are followed too, except into what is named as slow.
#![cfg(all(
    target_arch = "x86_64",
    target_os = "linux",
    feature = "std",
    not(loom)
))]

#[path = "common/process.rs"]
mod process;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    process::Command,
};

/// Where nothing goes that finds room or is there, or one in a hundred: to someone who sleeps or listens, or to an end. Of
/// a name the last words are enough.
const SLOW: [&str; 10] = [
    "wait::Gate::full_barrier",
    "wait::interval_barrier",
    "wait::Gate::ring",
    "wait::Gate::listen",
    "producer::let_listener_wait",
    "wait::Gate::relieve",
    "wait::Sleeper::notify_listener",
    "::take_note",
    "::look_at_end",
    "::aborted",
];

const PANICS: [&str; 4] = [
    "core::panicking::",
    "core::option::",
    "core::result::",
    "core::slice::index::",
];

/// Copies memory, and no more: the system's.
const COPIES: [&str; 2] = ["memcpy", "memmove"];

/// What an instruction does to the flow of control.
enum Step {
    Next,
    Stop,
    Return,
    /// With or without a condition.
    Jump {
        target: Target,
        is_taken: bool,
    },
    Call(Target),
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Here(u64),
    Library(String),
    Unknown,
}

/// A linked program, taken apart.
struct Program {
    instructions: BTreeMap<u64, String>,
    functions: BTreeMap<u64, String>,
    /// The words that the linker fills with addresses.
    slots: HashMap<u64, Target>,
}

impl Program {
    fn of(path: &Path) -> Self {
        let (mut instructions, mut functions) = (BTreeMap::new(), BTreeMap::new());
        for line in objdump(&["--disassemble", "--no-show-raw-insn", "--demangle"], path).lines() {
            if let Some((address, name)) = line.split_once(" <") {
                if let (Ok(address), Some(name)) = (hex(address), name.strip_suffix(">:")) {
                    functions.insert(address, name.to_owned());
                    continue;
                }
            }
            if let Some((address, text)) = line.split_once(":\t") {
                if let Ok(address) = hex(address) {
                    instructions.insert(address, text.trim().to_owned());
                }
            }
        }
        let slots = objdump(&["--dynamic-reloc"], path)
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let offset = hex(words.next()?).ok()?;
                let value = words.nth(1)?;
                let target = match value.strip_prefix("*ABS*+0x") {
                    Some(address) => Target::Here(hex(address).ok()?),
                    None => Target::Library(value.split('@').next()?.to_owned()),
                };
                Some((offset, target))
            })
            .collect();
        Self {
            instructions,
            functions,
            slots,
        }
    }

    fn entry(&self, name: &str) -> u64 {
        let mut functions = self.functions.iter();
        let (address, _) = functions
            .find(|(_, function)| *function == name)
            .unwrap_or_else(|| panic!("{name} is not in the program"));
        *address
    }

    /// The function that an address is in.
    fn function(&self, address: u64) -> &str {
        let (_, name) = self.functions.range(..=address).next_back().expect("code");
        name
    }

    fn next(&self, address: u64) -> Option<u64> {
        let mut following = self.instructions.range(address + 1..);
        following.next().map(|(address, _)| *address)
    }

    fn step(&self, address: u64) -> Step {
        let instruction = &*self.instructions[&address];
        let mut words = instruction
            .split_whitespace()
            .skip_while(|word| ["addr32", "bnd", "notrack"].contains(word));
        let mnemonic = words.next().unwrap_or_default();
        let operand = words.next().unwrap_or_default();
        match mnemonic {
            "ret" => Step::Return,
            "ud2" | "hlt" => Step::Stop,
            "call" => Step::Call(self.target(address, operand)),
            _ if mnemonic.starts_with('j') => Step::Jump {
                target: self.target(address, operand),
                is_taken: mnemonic == "jmp",
            },
            _ => Step::Next,
        }
    }

    fn target(&self, address: u64, operand: &str) -> Target {
        let instruction = &*self.instructions[&address];
        match operand.strip_prefix('*') {
            None => hex(operand).map_or(Target::Unknown, Target::Here),
            Some(register) if register.starts_with('%') => self.loaded(address, register),
            Some(_) => self.slot_in(instruction),
        }
    }

    /// What the linker puts where an instruction says: its address stands in a remark.
    fn slot_in(&self, instruction: &str) -> Target {
        let remark = instruction
            .split_once("# ")
            .map_or("", |(_, remark)| remark);
        let slot = remark.split(' ').next().map(hex);
        let target = slot.and_then(|slot| self.slots.get(&slot.ok()?));
        target.cloned().unwrap_or(Target::Unknown)
    }

    /// What a register holds that the function loads with one place only: where to call several times.
    fn loaded(&self, address: u64, register: &str) -> Target {
        let name = self.function(address);
        let begin = self.entry(name);
        let end = format!(",{register}");
        let mut loads = self
            .instructions
            .range(begin..)
            .take_while(|(address, _)| self.function(**address) == name)
            .map(|(_, instruction)| &**instruction)
            .filter(|instruction| {
                let instruction = instruction.split('#').next().unwrap_or_default();
                instruction.starts_with("mov ") && instruction.trim_end().ends_with(&end)
            })
            .map(|instruction| self.slot_in(instruction))
            .filter(|target| !matches!(target, Target::Unknown));
        match loads.next() {
            Some(target) if loads.all(|other| other == target) => target,
            _ => Target::Unknown,
        }
    }
}

fn objdump(options: &[&str], program: &Path) -> String {
    let output = Command::new("objdump")
        .args(options)
        .arg(program)
        .output()
        .expect("objdump is there: it comes with the linker, in binutils");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hex(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text.trim(), 16)
}

fn is_forbidden(instruction: &str) -> bool {
    let mnemonic = instruction.split_whitespace().next().unwrap_or_default();
    // An xchg with memory locks without saying so.
    ["lock", "mfence", "syscall", "cpuid"].contains(&mnemonic)
        || (mnemonic.starts_with("xchg") && instruction.contains('('))
}

/// The name of a function, without the angle brackets that some compilers put around types.
fn plain(name: &str) -> String {
    name.replace(['<', '>'], "")
}

fn is_slow(name: &str) -> bool {
    let name = plain(name);
    SLOW.iter().any(|slow| name.ends_with(slow)) || PANICS.iter().any(|p| name.starts_with(p))
}

fn is_ours(name: &str) -> bool {
    let name = plain(name);
    name.starts_with("highwater::") || name.starts_with("probe_")
}

/// What may run, from the entry of a function on.
#[derive(Debug, Default)]
struct Way {
    seen: HashSet<u64>,
    objections: BTreeSet<String>,
    returns: bool,
    todo: Vec<u64>,
}

impl Way {
    /// Before the function calls anything.
    fn before_any_call(program: &Program, name: &str) -> Self {
        Self::along(program, name, |_, _, _| false)
    }

    /// In the function and all that it calls, but for what is slow.
    fn with_calls(program: &Program, name: &str) -> Self {
        Self::along(program, name, Self::enter)
    }

    /// `enter` goes into what is called, and says whether it comes back.
    fn along(
        program: &Program,
        name: &str,
        enter: impl Fn(&mut Self, &Program, Target) -> bool,
    ) -> Self {
        let mut way = Self::default();
        way.todo.push(program.entry(name));
        while let Some(address) = way.todo.pop() {
            if !way.seen.insert(address) {
                continue;
            }
            let function = program.function(address);
            let instruction = &*program.instructions[&address];
            if is_forbidden(instruction) {
                way.objections.insert(format!("{function}: {instruction}"));
            }
            let is_inside = |to| program.function(to) == function;
            match program.step(address) {
                Step::Next => way.todo.extend(program.next(address)),
                Step::Stop => {}
                Step::Return => way.returns |= function == name,
                Step::Call(target) => {
                    if enter(&mut way, program, target) {
                        way.todo.extend(program.next(address));
                    }
                }
                Step::Jump { target, is_taken } => {
                    if !is_taken {
                        way.todo.extend(program.next(address));
                    }
                    match target {
                        Target::Here(to) if is_inside(to) => way.todo.push(to),
                        // A jump out of the function is a call at its end.
                        target => {
                            way.returns |= enter(&mut way, program, target) && function == name
                        }
                    }
                }
            }
        }
        way
    }

    fn enter(&mut self, program: &Program, target: Target) -> bool {
        match target {
            Target::Here(to) if is_slow(program.function(to)) => false,
            Target::Here(to) if is_ours(program.function(to)) => {
                self.todo.push(to);
                true
            }
            Target::Here(to) => {
                let name = program.function(to);
                self.objections.insert(format!("calls {name}"));
                false
            }
            Target::Library(name) if COPIES.contains(&&*name) => true,
            Target::Library(name) => {
                self.objections.insert(format!("calls {name}"));
                false
            }
            Target::Unknown => {
                self.objections.insert("calls what is not known".to_owned());
                false
            }
        }
    }

    #[track_caller]
    fn assert_is_fast(&self, name: &str) {
        println!("{name}: {} instructions", self.seen.len());
        assert!(self.objections.is_empty(), "{name}: {:#?}", self.objections);
        assert!(self.returns, "{name} cannot return on this way");
    }
}

#[test]
fn items_that_find_room_or_are_there_cost_no_fence_no_lock_and_single_ones_no_call() {
    let program = Program::of(&process::hot_path_probe());
    for probe in [
        "probe_try_write",
        "probe_try_read",
        "probe_write",
        "probe_read",
        "probe_weighted_try_write",
        "probe_weighted_try_read",
        "probe_weighted_write",
        "probe_weighted_read",
        "probe_write_timeout",
        "probe_read_timeout",
    ] {
        Way::before_any_call(&program, probe).assert_is_fast(probe);
    }
    for probe in [
        "probe_write_slice",
        "probe_read_slice",
        "probe_write_chunk",
        "probe_read_chunk",
        "probe_write_batch",
    ] {
        Way::with_calls(&program, probe).assert_is_fast(probe);
    }

    // The test is not blind.
    let fenced = Way::before_any_call(&program, "probe_fenced_write");
    assert!(!fenced.objections.is_empty(), "a fence goes unnoticed");
    let calls = Way::before_any_call(&program, "probe_allocating_write");
    assert!(!calls.returns, "a call goes unnoticed");
    let calls_fenced = Way::with_calls(&program, "probe_calls_fenced_write");
    assert!(
        !calls_fenced.objections.is_empty(),
        "a fence in a callee goes unnoticed"
    );
    let allocating = Way::with_calls(&program, "probe_allocating_write");
    assert!(
        !allocating.objections.is_empty(),
        "a call of the system's allocator goes unnoticed"
    );
}
