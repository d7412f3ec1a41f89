//! The example `copy` as a program: what it copies, what it says, and what it leaves behind.
#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]
// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{eventually, Random, LONG};
use rustix::{
    fs::{mkfifoat, CWD},
    process::{kill_process, Pid, Signal},
};
use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, Read as _},
    os::unix::{
        fs::{symlink, FileTypeExt, MetadataExt, PermissionsExt},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
};
use tempfile::TempDir;
use wait_timeout::ChildExt;

const MIB: usize = 1024 * 1024;
/// A size like that of one read.
const PIECE: usize = 64 * 1024;
/// The least mark that the program takes.
const LEAST_MARK: usize = 4096;

/// A directory to copy in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// With a file `source` in it, of so many bytes.
    fn with_source(size: usize) -> Self {
        let place = Self::new();
        fs::write(place.at("source"), noise(size)).expect("a file");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// That there is nothing else, such as a temporary file.
    #[track_caller]
    fn assert_holds_only(&self, names: &[&str]) {
        let mut found: Vec<_> = fs::read_dir(self.0.path())
            .expect("it is there")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        found.sort();
        assert_eq!(found, names);
    }
}

fn noise(size: usize) -> Vec<u8> {
    let mut random = Random::new(size as u64);
    let mut bytes = vec![0; size];
    for eight in bytes.chunks_mut(8) {
        let number = random.below(u64::MAX).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        eight.copy_from_slice(&number.to_le_bytes()[..eight.len()]);
    }
    bytes
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| process::example("copy"))
}

/// What has become of it.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    signal: Option<i32>,
    out: String,
    err: String,
}

fn start(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Kills it when it hangs. What it says fits into a pipe, so it can be read afterwards.
#[track_caller]
fn outcome(mut child: Child) -> Outcome {
    let status = child.wait_timeout(LONG).expect("it can be waited for");
    if status.is_none() {
        child.kill().expect("it can be killed");
        child.wait().expect("it was killed");
    }
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    stdout.as_mut().map(|pipe| pipe.read_to_string(&mut out));
    stderr.as_mut().map(|pipe| pipe.read_to_string(&mut err));
    let Some(status) = status else {
        panic!(
            "examples/copy.rs hangs since {LONG:?}: a lost wake-up, or a reader that is joined \
             while it sleeps? It said: {out}{err}"
        );
    };
    Outcome {
        code: status.code(),
        signal: status.signal(),
        out,
        err,
    }
}

#[track_caller]
fn copy<S: AsRef<OsStr>>(arguments: &[S]) -> Outcome {
    let mut command = Command::new(program());
    command.args(arguments);
    outcome(start(command))
}

/// With options.
#[track_caller]
fn copy_with(place: &Place, options: &[&str]) -> Outcome {
    let mut command = Command::new(program());
    command.arg(place.at("source")).arg(place.at("copy"));
    command.args(options);
    outcome(start(command))
}

impl Outcome {
    #[track_caller]
    fn assert_copied(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.out, "", "what is not among the bytes goes to stderr");
        assert!(self.err.starts_with("copied "), "{self:?}");
    }

    /// One line on stderr that says what it is about.
    #[track_caller]
    fn assert_failed(&self, about: impl AsRef<Path>, because: &str) {
        self.assert_says(&format!("{}: {because}", about.as_ref().display()));
        assert_eq!(self.code, Some(1), "{self:?}");
    }

    #[track_caller]
    fn assert_says(&self, what: &str) {
        assert_eq!(self.out, "", "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with(&format!("copy: {what}")), "{self:?}");
    }

    /// The exact number in a line of the summary.
    #[track_caller]
    fn bytes(&self, line: &str) -> usize {
        let number = || {
            let line = self.err.lines().find(|found| found.starts_with(line))?;
            let (_, rest) = line.split_once('(')?;
            rest.split_once(" bytes)")?.0.parse().ok()
        };
        number().unwrap_or_else(|| panic!("no bytes in a line {line:?}: {self:?}"))
    }
}

// ---- What it copies ---------------------------------------------------------------------------

#[test]
fn a_copy_equals_its_source_for_every_size_and_mark() {
    for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 10 * MIB] {
        let place = Place::with_source(size);
        for mark in ["4096", "5000", "1MiB"] {
            let outcome = copy_with(&place, &["--high-water-mark", mark]);
            outcome.assert_copied();
            assert_eq!(outcome.bytes("copied"), size);
            assert!(
                place.read("copy") == place.read("source"),
                "{size} bytes, mark {mark}"
            );
            place.assert_holds_only(&["copy", "source"]);
            fs::remove_file(place.at("copy")).expect("it is there");
        }
    }
}

#[test]
fn a_slow_writing_side_keeps_the_length_at_the_mark() {
    let place = Place::with_source(2 * MIB);
    for mark in [LEAST_MARK, 10_001, PIECE, 100_000, MIB] {
        let mark_in_words = mark.to_string();
        let outcome = copy_with(
            &place,
            &["--slow-consumer", "2", "--high-water-mark", &mark_in_words],
        );
        outcome.assert_copied();
        let peak = outcome.bytes("peak length");
        // The reader is far ahead of it, so the mark was reached, and held.
        assert_eq!(peak, mark, "{outcome:?}");
        assert!(!outcome.err.contains("told to stop 0 times"), "{outcome:?}");
    }
}

#[test]
fn memory_stays_bounded_however_slow_the_writing_side() {
    let place = Place::with_source(32 * MIB);
    let outcome = copy_with(&place, &["--slow-consumer", "1"]);
    outcome.assert_copied();
    let memory = outcome
        .err
        .lines()
        .find_map(|line| {
            line.strip_prefix("peak memory  ")?
                .strip_suffix(" MiB resident")
        })
        .and_then(|number| number.parse::<f64>().ok())
        .unwrap_or_else(|| panic!("no peak memory: {outcome:?}"));
    assert!(memory < 16.0, "{outcome:?}");
}

#[test]
fn the_copy_has_the_permissions_of_its_source() {
    let place = Place::with_source(10);
    for mode in [0o600, 0o640, 0o755, 0o666] {
        fs::set_permissions(place.at("source"), Permissions::from_mode(mode)).expect("our file");
        copy_with(&place, &[]).assert_copied();
        let found = fs::metadata(place.at("copy")).expect("the copy").mode();
        assert_eq!(found & 0o7777, mode);
    }
}

#[test]
fn a_file_that_is_there_is_replaced() {
    let place = Place::with_source(PIECE);
    fs::write(place.at("copy"), noise(3 * PIECE)).expect("a longer file");
    copy_with(&place, &[]).assert_copied();
    assert!(place.read("copy") == place.read("source"));
}

#[test]
fn a_target_without_a_directory_is_in_the_current_one() {
    let place = Place::with_source(PIECE);
    let mut command = Command::new(program());
    command.args(["source", "copy"]).current_dir(place.0.path());
    outcome(start(command)).assert_copied();
    place.assert_holds_only(&["copy", "source"]);
}

#[test]
fn a_symbolic_link_stays_one_and_what_it_points_to_is_replaced() {
    let place = Place::with_source(PIECE);
    fs::write(place.at("old"), "old").expect("a file");
    symlink("old", place.at("copy")).expect("a link");
    copy_with(&place, &[]).assert_copied();
    assert_eq!(
        fs::read_link(place.at("copy")).expect("a link"),
        Path::new("old")
    );
    assert!(place.read("old") == place.read("source"));
}

// ---- Devices and pipes ------------------------------------------------------------------------

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let place = Place::with_source(MIB);
    copy(&[place.at("source"), "/dev/null".into()]).assert_copied();
    let null = fs::metadata("/dev/null").expect("it is there");
    assert!(null.file_type().is_char_device());
}

#[test]
fn a_pipe_is_written_to_and_not_replaced() {
    let place = Place::with_source(MIB);
    mkfifoat(CWD, place.at("copy"), 0o600.into()).expect("a pipe");
    let pipe = place.at("copy");
    let reader = thread::spawn(move || fs::read(pipe));
    copy_with(&place, &[]).assert_copied();
    let read = reader
        .join()
        .expect("no panic")
        .expect("a pipe can be read");
    assert!(read == place.read("source"));
    let left = fs::metadata(place.at("copy")).expect("it is there");
    assert!(left.file_type().is_fifo());
}

#[test]
fn a_pipe_can_be_copied_to_a_file() {
    let place = Place::new();
    mkfifoat(CWD, place.at("source"), 0o600.into()).expect("a pipe");
    let pipe = place.at("source");
    let writer = thread::spawn(move || fs::write(pipe, noise(MIB)));
    copy_with(&place, &[]).assert_copied();
    writer
        .join()
        .expect("no panic")
        .expect("a pipe can be written");
    assert!(place.read("copy") == noise(MIB));
}

#[test]
fn what_it_says_is_not_among_the_bytes_of_dev_stdout() {
    let place = Place::with_source(1000);
    let mut child = {
        let mut command = Command::new(program());
        command.arg(place.at("source")).arg("/dev/stdout");
        start(command)
    };
    let mut bytes = Vec::new();
    let mut pipe = child.stdout.take().expect("it is a pipe");
    let read = pipe.read_to_end(&mut bytes);
    outcome(child).assert_copied();
    read.expect("a pipe can be read");
    assert!(bytes == place.read("source"));
}

// ---- Failures ---------------------------------------------------------------------------------

#[test]
fn only_one_of_source_and_target_is_wrong_usage() {
    let place = Place::with_source(1);
    let outcome = copy(&[place.at("source")]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.err.contains("DST"), "{outcome:?}");
}

#[test]
fn a_mark_that_is_no_number_is_wrong_usage() {
    let place = Place::with_source(1);
    let outcome = copy_with(&place, &["--high-water-mark", "much"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    place.assert_holds_only(&["source"]);
}

#[test]
fn a_mark_that_would_copy_in_drops_is_refused() {
    let place = Place::with_source(1);
    let outcome = copy_with(&place, &["--high-water-mark", "4095"]);
    outcome.assert_says("a high-water mark of 4095 bytes is too low: at least 4096");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    place.assert_holds_only(&["source"]);
}

#[test]
fn a_mark_beyond_all_memory_is_refused() {
    let place = Place::with_source(1);
    let outcome = copy_with(&place, &["--high-water-mark", &u64::MAX.to_string()]);
    outcome.assert_says("");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    place.assert_holds_only(&["source"]);
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let place = Place::new();
    copy_with(&place, &[]).assert_failed(place.at("source"), "No such file or directory");
    place.assert_holds_only(&[]);
}

#[test]
fn a_directory_is_no_source_and_no_target() {
    let place = Place::with_source(1);
    fs::create_dir(place.at("directory")).expect("a directory");
    let (source, directory) = (place.at("source"), place.at("directory"));
    copy(&[&directory, &place.at("copy")]).assert_failed(&directory, "is a directory");
    copy(&[&source, &directory]).assert_failed(&directory, "is a directory");
    place.assert_holds_only(&["directory", "source"]);
}

#[test]
fn a_target_in_no_directory_is_named() {
    let place = Place::with_source(1);
    let target = place.at("nowhere/copy");
    copy(&[&place.at("source"), &target]).assert_failed(&target, "No such file or directory");
}

#[test]
fn a_symbolic_link_to_nothing_is_left_alone() {
    let place = Place::with_source(1);
    symlink("nothing", place.at("copy")).expect("a link");
    copy_with(&place, &[]).assert_failed(place.at("copy"), "a symbolic link to nothing");
    place.assert_holds_only(&["copy", "source"]);
}

#[test]
fn a_file_is_not_copied_onto_itself_by_whatever_name() {
    let place = Place::with_source(PIECE);
    let before = place.read("source");
    symlink("source", place.at("symlink")).expect("a link");
    fs::hard_link(place.at("source"), place.at("hard link")).expect("a link");
    for (source, target) in [
        ("source", "source"),
        ("source", "symlink"),
        ("symlink", "source"),
        ("source", "hard link"),
        ("hard link", "source"),
        ("source", "./source"),
    ] {
        copy(&[place.at(source), place.at(target)])
            .assert_failed(place.at(target), "is the very file to copy");
        assert!(place.read("source") == before);
    }
    place.assert_holds_only(&["hard link", "source", "symlink"]);
}

#[test]
fn a_full_device_is_one_line_and_a_failure() {
    let place = Place::with_source(10 * MIB);
    for mark in ["4KiB", "1MiB"] {
        let source = place.at("source");
        let (source, options) = (source.as_os_str(), ["--high-water-mark", mark]);
        copy(&[
            source,
            "/dev/full".as_ref(),
            options[0].as_ref(),
            options[1].as_ref(),
        ])
        .assert_failed("/dev/full", "No space left on device");
    }
    let full = fs::metadata("/dev/full").expect("it is there");
    assert!(full.file_type().is_char_device());
}

#[test]
fn a_full_device_is_told_at_once_though_the_source_is_a_pipe_that_never_ends() {
    let place = Place::new();
    mkfifoat(CWD, place.at("source"), 0o600.into()).expect("a pipe");
    let mut command = Command::new(program());
    command.arg(place.at("source")).arg("/dev/full");
    let child = start(command);
    // Open until the program is gone: its reader sleeps in the pipe.
    let mut pipe = File::options()
        .write(true)
        .open(place.at("source"))
        .expect("a pipe");
    io::Write::write_all(&mut pipe, &noise(PIECE)).expect("it is read");
    outcome(child).assert_failed("/dev/full", "No space left on device");
}

#[test]
fn a_disk_that_fills_up_half_way_leaves_the_old_target_and_nothing_else() {
    let place = Place::with_source(MIB);
    fs::write(place.at("copy"), "old").expect("a file");
    // A limit of 128 KiB on files stands in for the full disk; ignored, its signal is an error.
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap "" XFSZ; ulimit -f 256; exec "$@""#, "sh"])
        .arg(program())
        .args([place.at("source"), place.at("copy")]);
    outcome(start(command)).assert_failed(place.at("copy"), "File too large");
    assert_eq!(place.read("copy"), b"old");
    place.assert_holds_only(&["copy", "source"]);
}

#[test]
fn a_source_that_cannot_be_read_leaves_no_target() {
    let place = Place::new();
    let (source, target) = (PathBuf::from("/proc/self/mem"), place.at("copy"));
    copy(&[&source, &target]).assert_failed(&source, "Input/output error");
    place.assert_holds_only(&[]);

    fs::write(&target, "old").expect("a file");
    copy(&[&source, &target]).assert_failed(&source, "Input/output error");
    assert_eq!(place.read("copy"), b"old");
    place.assert_holds_only(&["copy"]);
}

#[test]
fn ctrl_c_leaves_the_old_target_and_no_temporary_file() {
    let place = Place::with_source(MIB);
    fs::write(place.at("copy"), "old").expect("a file");
    let mut command = Command::new(program());
    command
        .args([place.at("source"), place.at("copy")])
        .args(["--slow-consumer", "1000"]);
    let child = start(command);
    eventually("a temporary file", || {
        fs::read_dir(place.0.path()).expect("it is there").count() == 3
    });
    let id = Pid::from_child(&child);
    kill_process(id, Signal::INT).expect("it runs");
    let outcome = outcome(child);
    outcome.assert_says(&format!("{}: interrupted", place.at("source").display()));
    assert_eq!((outcome.code, outcome.signal), (Some(130), None));
    assert_eq!(place.read("copy"), b"old");
    place.assert_holds_only(&["copy", "source"]);
}

#[test]
fn ctrl_c_is_heard_though_the_source_is_a_pipe_that_gives_nothing() {
    let place = Place::new();
    mkfifoat(CWD, place.at("source"), 0o600.into()).expect("a pipe");
    let mut command = Command::new(program());
    command.args([place.at("source"), place.at("copy")]);
    let child = start(command);
    let pipe = File::options()
        .write(true)
        .open(place.at("source"))
        .expect("a pipe");
    eventually("a temporary file", || {
        fs::read_dir(place.0.path()).expect("it is there").count() == 2
    });
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    assert_eq!(outcome(child).code, Some(130));
    place.assert_holds_only(&["source"]);
    drop(pipe);
}
