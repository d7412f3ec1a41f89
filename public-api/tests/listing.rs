//! The public surface is the one that is listed: everything in docs/public-api.txt, as `cargo public-api -sss
//! --all-features` writes it; who is Send, Sync, Unpin and unwind safe, and when, in docs/auto-traits.txt.
//!
//! A change shows in review, and a breaking one cannot pass unseen: no published release is needed to compare
//! with. rustdoc's JSON is unstable, so that this needs one compiler, and others skip it; a stable one is made
//! to write it, so that no second compiler is needed. After a change of the surface, or of the compiler:
//! `cd public-api && UPDATE_LISTING=1 cargo test`, and read the difference.

use public_api::Builder;
use std::{collections::BTreeSet, env, fs, process::Command};

const COMPILER: &str = "rustc 1.95.";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const AUTO_TRAITS: [&str; 5] = [
    "core::marker::Send",
    "core::marker::Sync",
    "core::marker::Unpin",
    "core::panic::unwind_safe::UnwindSafe",
    "core::panic::unwind_safe::RefUnwindSafe",
];

fn compiler_is_the_one() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let version = output
        .expect("the compiler that built this is there")
        .stdout;
    let version = String::from_utf8_lossy(&version);
    let is_it = version.starts_with(COMPILER);
    if !is_it {
        let must_run = env::var_os("HIGHWATER_SKIP_NOTHING").is_some();
        assert!(!must_run, "{version} is not {COMPILER}");
        println!("skipped: this reads what {COMPILER} writes, not {version}");
    }
    is_it
}

fn in_root(path: &str) -> String {
    format!("{ROOT}/{path}")
}

fn document(hidden: &[&str]) -> Builder {
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target/json");
    let done = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["rustdoc", "--lib", "--all-features", "--manifest-path"])
        .arg(in_root("Cargo.toml"))
        .args(["--target-dir", target])
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        .args(hidden)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTDOCFLAGS")
        .status()
        .expect("cargo can be run");
    assert!(done.success());
    Builder::from_rustdoc_json(format!("{target}/doc/highwater.json"))
        .omit_blanket_impls(true)
        .omit_auto_derived_impls(true)
}

#[track_caller]
fn assert_listed(path: &str, now: &str) {
    if env::var_os("UPDATE_LISTING").is_some() {
        fs::write(in_root(path), now).expect("the listing can be written");
    }
    let listed = fs::read_to_string(in_root(path)).unwrap_or_default();
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (listed.lines().collect(), now.lines().collect());
    let gone: Vec<_> = old.difference(&new).collect();
    let come: Vec<_> = new.difference(&old).collect();
    assert!(
        listed == now,
        "{path} is not the surface.\nlisted and gone: {gone:#?}\nthere and not listed: {come:#?}\n\
         If that is meant: cd public-api && UPDATE_LISTING=1 cargo test"
    );
}

#[test]
fn the_surface_is_the_one_that_is_listed() {
    if !compiler_is_the_one() {
        return;
    }
    let listing = |builder: Builder| builder.build().expect("it is the known format").to_string();
    let surface = listing(document(&[]).omit_auto_trait_impls(true));
    assert_listed("docs/public-api.txt", &surface);

    let auto_traits: String = listing(document(&[]).omit_auto_trait_impls(false))
        .lines()
        .filter(|line| line.starts_with("impl") && AUTO_TRAITS.iter().any(|it| line.contains(it)))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_listed("docs/auto-traits.txt", &auto_traits);

    // For tests and benchmarks, or of a sealed trait: public, but promised to nobody.
    let everything = document(&["--document-hidden-items"]);
    let hidden: String = listing(everything.omit_auto_trait_impls(true))
        .lines()
        .filter(|line| !surface.lines().any(|it| it == *line))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_listed("docs/hidden-api.txt", &hidden);
}

#[test]
fn every_public_type_is_in_the_table_of_auto_traits() {
    let table = fs::read_to_string(in_root("tests/auto_traits.rs")).expect("it is there");
    let table: Vec<_> = table
        .lines()
        .filter(|line| {
            line.contains(": yes ") || line.contains(":  yes ") || line.contains("  yes ")
        })
        .collect();
    let listing = fs::read_to_string(in_root("docs/public-api.txt")).expect("it is there");
    let mut types = 0;
    for line in listing.lines() {
        let words = ["pub struct ", "pub enum "];
        let Some(path) = words.iter().find_map(|it| {
            let line = line.strip_prefix("#[non_exhaustive] ").unwrap_or(line);
            line.strip_prefix(it)
        }) else {
            continue;
        };
        let path = path
            .split(['<', '('])
            .next()
            .expect("there is a first part");
        let name = path.rsplit("::").next().expect("there is a last part");
        let is_it = |row: &&&str| {
            let row = row.trim_start().trim_start_matches("highwater::");
            row.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([':', '<']))
        };
        assert!(
            table.iter().any(|row| is_it(&row)),
            "{name} is not in tests/auto_traits.rs"
        );
        types += 1;
    }
    assert!(types > 50, "only {types}");
}
