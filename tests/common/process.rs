//! Other processes: a test that needs one of its own runs this very test binary again; and the examples
//! as programs.
#![allow(dead_code)]

use escargot::CargoBuild;
use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

const CHILD: &str = "HIGHWATER_TEST_CHILD";

/// Whether this process was started by [`run`] for the test of this name.
pub fn is_child(test: &str) -> bool {
    env::var(CHILD).map_or(false, |name| name == test)
}

/// Runs the test of this name, and no other, in a new process, where [`is_child`] is true.
#[track_caller]
pub fn run(test: &str) -> Output {
    let output = Command::new(env::current_exe().expect("a test knows its own binary"))
        .args([
            "--exact",
            &full_name(test),
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, test)
        .output()
        .expect("the test binary can be run again");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{text}");
    assert!(output.status.success(), "{test} failed in its own process");
    assert!(text.contains("1 passed"), "no test is called {test}");
    output
}

/// The name by which the test binary knows the test: with the modules of the calling one, if it is in any.
fn full_name(test: &str) -> String {
    let thread = thread::current();
    match thread.name().and_then(|caller| caller.rsplit_once("::")) {
        Some((module, _)) => format!("{module}::{test}"),
        None => test.to_owned(),
    }
}

/// The body of a whole test that needs a process of its own.
#[track_caller]
pub fn alone(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        body();
    } else {
        run(test);
    }
}

/// An example, built with the features of this test.
pub fn example(name: &str) -> PathBuf {
    let mut build = build_of(name).current_release();
    if !cfg!(feature = "membarrier") {
        build = build.no_default_features().features("std");
    }
    let built = build.run().expect("the example builds");
    built.path().to_owned()
}

/// The program of `tests/hot-path/probe.rs`, always built alike: with the default features, and without
/// what coverage and sanitizers add.
pub fn hot_path_probe() -> PathBuf {
    let build = build_of("hot_path_probe")
        .release()
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = build.run().expect("the example builds");
    built.path().to_owned()
}

fn build_of(name: &str) -> CargoBuild {
    CargoBuild::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .example(name)
}

/// Whether a test may do without what is not there: the gate says no, where it would go unnoticed.
pub fn may_skip() -> bool {
    env::var_os("HIGHWATER_SKIP_NOTHING").is_none()
}

/// Whether figures or words hold that are those of one compiler; says so if not.
pub fn compiler_is(compiler: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("the compiler that built this is there");
    let version = String::from_utf8_lossy(&version.stdout);
    let is_it = version.starts_with(compiler);
    if !is_it {
        assert!(may_skip(), "{version} is not {compiler}");
        println!("skipped: what is expected is that of {compiler}, not of {version}");
    }
    is_it
}
