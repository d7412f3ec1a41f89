//! What the types forbid, and what the compiler says about it.
//!
//! The words are those of one compiler, so that others skip this. After a change of compiler:
//! `TRYBUILD=overwrite cargo test --test compile_fail`, and read the difference.
//! It is the same with and without the features that only make something faster, so one of them decides whether this
//! is worth a minute.
#![cfg(all(feature = "std", feature = "membarrier"))]

#[path = "common/process.rs"]
mod process;

const COMPILER: &str = "rustc 1.95.";

#[test]
fn misuse_does_not_compile_and_the_message_says_why() {
    if !process::compiler_is(COMPILER) {
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile-pass/*.rs");
    cases.compile_fail("tests/compile-fail/*.rs");
    #[cfg(feature = "async")]
    cases.compile_fail("tests/compile-fail/async/*.rs");
}
