//! Copies a file of 1 GiB in several ways, each in a process of its own, interleaved round by round: the
//! example `copy`, `cp`, plain Rust, and Node.js where it is installed. Prints a Markdown table of medians
//! of time and peak memory. Then the same for a source and a sink that take a millisecond for each 64
//! KiB, where reading and writing at the same time pays.
//!
//! `cargo run --release --bin copy [ROUNDS]`

use highwater::Pipe;
use std::{
    env,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use wait4::Wait4;

const SIZE: u64 = 1 << 30;
/// What a read or write of the slow ends takes at most, and what the plain loops use.
const BUFFER: usize = 64 * 1024;
/// As large as the example's pipe is at half.
const LARGE_BUFFER: usize = 512 * 1024;

const NODE_PIPE: &str = r#"
const fs = require('fs');
fs.createReadStream(process.argv[1]).pipe(fs.createWriteStream(process.argv[2]));
"#;
const NODE_SYNC: &str = r#"
const fs = require('fs');
const from = fs.openSync(process.argv[1]), to = fs.openSync(process.argv[2], 'w');
const buffer = Buffer.allocUnsafe(524288);
for (let n; (n = fs.readSync(from, buffer)) > 0;) fs.writeSync(to, buffer, 0, n);
"#;

struct Way {
    name: &'static str,
    command: fn(&Programs) -> Command,
    seconds: Vec<f64>,
    mebibytes: Vec<f64>,
}

struct Programs {
    example: PathBuf,
    this: PathBuf,
}

fn main() {
    let arguments: Vec<_> = env::args().collect();
    if let [_, how, from, to] = &arguments[..] {
        plain_copy(how, from, to).expect("a copy");
        return;
    }
    let rounds = arguments
        .get(1)
        .map_or(5, |rounds| rounds.parse().expect("ROUNDS is a number"));
    copy_files(rounds);
    copy_slow_ends();
}

fn copy_files(rounds: usize) {
    let programs = Programs {
        example: build_example(),
        this: env::current_exe().expect("a program knows its own file"),
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    io::copy(
        &mut io::repeat(7).take(SIZE),
        &mut File::create(&from).expect("a file"),
    )
    .expect("room for two files of 1 GiB");

    let way = |name, command| Way {
        name,
        command,
        seconds: Vec::new(),
        mebibytes: Vec::new(),
    };
    let mut ways = vec![
        way("highwater: the example", |p| {
            let mut command = Command::new(&p.example);
            command.arg("--no-sync");
            command
        }),
        way("cp --reflink=never", |_| {
            let mut command = Command::new("cp");
            command.arg("--reflink=never");
            command
        }),
        way("std::io::copy (in the kernel)", |p| plain(p, "io-copy")),
        way("read and write in turn, 64 KiB", |p| plain(p, "small")),
        way("read and write in turn, 512 KiB", |p| plain(p, "large")),
    ];
    if Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        ways.push(way("Node.js: pipe", |_| node(NODE_PIPE)));
        ways.push(way("Node.js: readSync, writeSync", |_| node(NODE_SYNC)));
    }
    for _ in 0..rounds {
        for way in &mut ways {
            let _ = std::fs::remove_file(&to);
            // What the one before has left to be written to the disk is not this one's burden.
            let _ = Command::new("sync").status();
            let mut command = (way.command)(&programs);
            command.args([&from, &to]).stderr(Stdio::null());
            let begin = Instant::now();
            let ended = command
                .spawn()
                .expect("it starts")
                .wait4()
                .expect("it ends");
            assert!(ended.status.success(), "{} failed", way.name);
            way.seconds.push(begin.elapsed().as_secs_f64());
            way.mebibytes
                .push(ended.rusage.maxrss as f64 / f64::from(1 << 20));
            assert_eq!(to.metadata().expect("a copy").len(), SIZE, "{}", way.name);
        }
    }
    let first = median(&mut ways[0].seconds);
    println!("| a file of 1 GiB | seconds, median | min to max | times as long as highwater | peak memory, MiB |");
    println!("|---|---|---|---|---|");
    for way in &mut ways {
        let seconds = median(&mut way.seconds);
        println!(
            "| {} | {seconds:.3} | {:.3} to {:.3} | {:.2} | {:.1} |",
            way.name,
            way.seconds[0],
            way.seconds[way.seconds.len() - 1],
            seconds / first,
            median(&mut way.mebibytes),
        );
    }
}

fn build_example() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = root.join("target");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--example", "copy"])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the example does not build");
    target.join("release/examples/copy")
}

fn plain(programs: &Programs, how: &str) -> Command {
    let mut command = Command::new(&programs.this);
    command.arg(how);
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.args(["-e", script]);
    command
}

/// What this program does as a contestant of its own.
fn plain_copy(how: &str, from: &str, to: &str) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    match how {
        "io-copy" => io::copy(&mut from, &mut to).map(drop),
        "small" => in_turn(&mut from, &mut to, BUFFER),
        _ => in_turn(&mut from, &mut to, LARGE_BUFFER),
    }
}

fn in_turn(from: &mut impl Read, to: &mut impl Write, buffer: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

/// An end that takes a millisecond for each 64 KiB.
struct Slow<E>(E);

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(1));
        let most = to.len().min(BUFFER);
        self.0.read(&mut to[..most])
    }
}

impl<W: Write> Write for Slow<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(1));
        self.0.write(&bytes[..bytes.len().min(BUFFER)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn copy_slow_ends() {
    let source = || Slow(io::repeat(7).take(1000 * BUFFER as u64));
    let begin = Instant::now();
    in_turn(&mut source(), &mut Slow(io::sink()), BUFFER).expect("no failure");
    let in_turn = begin.elapsed().as_secs_f64();
    let report = Pipe::new()
        .run(source(), Slow(io::sink()))
        .expect("no failure");
    let piped = report.elapsed.as_secs_f64();
    println!("\nBoth ends take 1 ms for 64 KiB: in turn {in_turn:.2} s, highwater::pipe {piped:.2} s ({:.2} of it)", piped / in_turn);
}

fn median(results: &mut [f64]) -> f64 {
    results.sort_by(f64::total_cmp);
    results[results.len() / 2]
}
