//! What the types forbid, and what the compiler says about it.
//!
//! The words are those of one compiler, so that others skip this. After a change of compiler:
//! `TRYBUILD=overwrite cargo test --test compile_fail`, and read the difference.
#![cfg(feature = "std")]

use std::process::Command;

const COMPILER: &str = "rustc 1.95.";

#[test]
fn misuse_does_not_compile_and_the_message_says_why() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("the compiler that built this is there");
    let version = String::from_utf8_lossy(&version.stdout);
    if !version.starts_with(COMPILER) {
        println!("skipped: the messages are those of {COMPILER}, not of {version}");
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile-fail/twin.rs");
    for case in [
        "cloned_producer",
        "ignored_flow",
        "item_outlives_what_it_borrows",
        "peeked_item_outlives_its_slot",
        "rc_to_another_thread",
        "shared_consumer",
        "shared_producer",
        "use_after_end",
        "weighed_otherwise",
    ] {
        cases.compile_fail(format!("tests/compile-fail/{case}.rs"));
    }
}
