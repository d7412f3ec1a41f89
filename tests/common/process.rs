//! Other processes: a test that needs one of its own runs this very test binary again; and the examples
//! as programs.
#![allow(dead_code)]

use escargot::CargoBuild;
use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
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
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
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
    let mut build = CargoBuild::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .example(name)
        .current_release();
    if !cfg!(feature = "membarrier") {
        build = build.no_default_features().features("std");
    }
    let built = build.run().expect("the example builds");
    built.path().to_owned()
}
