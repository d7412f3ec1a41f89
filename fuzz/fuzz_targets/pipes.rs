//! To be run with `-- -detect_leaks=0`: a pipe whose sink has failed does not wait for the thread of its source, and
//! what glibc keeps for a thread that is just ending counts as a leak.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/fuzz_model/pipes.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| model::run(bytes));
