//! What the fuzzer has found worth keeping, played again: the corpus of `fuzz/`, against the same models.
#![cfg(feature = "std")]

mod common;
#[allow(dead_code)]
#[path = "fuzz_model/mod.rs"]
mod fuzz_model;

use common::deadline;
use std::{fs, path::Path};

/// Runs every input of a target; in a thread of its own, as a pipe may hang.
fn replay(target: &str, run: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return println!("skipped: the published crate comes without the corpus");
    }
    let folder = fuzz.join("corpus").join(target);
    deadline(move || {
        let mut inputs: Vec<_> = fs::read_dir(folder)
            .expect("each target has its corpus")
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 20, "only {} inputs are left", inputs.len());
        for input in inputs {
            let bytes = fs::read(&input).expect("it can be read");
            println!("{}", input.display()); // shown if it fails
            run(&bytes);
        }
    });
}

#[test]
fn operations_on_items_still_go_by_the_rules() {
    replay("items", fuzz_model::items::run);
}

#[test]
fn bytes_still_arrive_whole_and_in_order() {
    replay("bytes", fuzz_model::bytes::run);
}

#[test]
fn pipes_with_faulty_ends_still_name_them() {
    replay("pipes", fuzz_model::pipes::run);
}
