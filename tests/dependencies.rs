//! What the library depends on is what docs/guarantees.md lists, each once, and under licences that deny.toml
//! allows. Of the network nothing is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

const GUARANTEES: &str = include_str!("../docs/guarantees.md");
const DENY: &str = include_str!("../deny.toml");

struct Package {
    versions: BTreeSet<String>,
    licence: String,
}

/// What a user gets on Linux, without the library itself.
fn packages(options: &[&str]) -> BTreeMap<String, Package> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args([
            "--target",
            "x86_64-unknown-linux-gnu",
            "--format",
            "{p}|{l}",
        ])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .args(options)
        .output()
        .expect("cargo can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut found = BTreeMap::new();
    for line in String::from_utf8(output.stdout)
        .expect("it is text")
        .lines()
    {
        let (package, licence) = line.split_once('|').expect("as the format says");
        let mut words = package.split(' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        if name != "highwater" {
            found
                .entry(name.to_owned())
                .or_insert_with(|| Package {
                    versions: BTreeSet::new(),
                    licence: licence.trim_end_matches(" (*)").to_owned(),
                })
                .versions
                .insert(version.to_owned());
        }
    }
    found
}

fn is_allowed(licence: &str) -> bool {
    let allowed = DENY
        .lines()
        .find_map(|line| line.strip_prefix("allow = ["))
        .expect("deny.toml allows licences");
    let of_choice =
        |one: &str| allowed.contains(&format!("\"{}\"", one.trim_matches(['(', ')', ' '])));
    // An old form of OR is the slash. What has an AND in it is for a human, unless all of it is allowed.
    licence.split(" AND ").all(|part| {
        part.split(" OR ")
            .flat_map(|one| one.split('/'))
            .any(of_choice)
    })
}

#[test]
fn the_default_build_depends_on_what_is_listed_with_its_reason() {
    let found: Vec<_> = packages(&[]).into_keys().collect();
    let section = GUARANTEES
        .split("\n## ")
        .find(|text| text.starts_with("Dependencies"));
    let mut listed: Vec<_> = section
        .expect("there is a section")
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            assert!(cells.next()?.len() > 10, "why is {name} there?");
            Some(name.to_owned())
        })
        .collect();
    listed.sort();
    assert_eq!(found, listed, "left: cargo tree; right: docs/guarantees.md");
}

#[test]
fn no_dependency_of_any_feature_is_there_twice_and_each_has_a_licence_that_is_allowed() {
    for (name, package) in packages(&["--all-features"]) {
        assert_eq!(package.versions.len(), 1, "{name}: {:?}", package.versions);
        assert!(is_allowed(&package.licence), "{name}: {}", package.licence);
    }
}

#[test]
fn a_build_without_std_depends_on_one_crate() {
    let found: Vec<_> = packages(&["--no-default-features"]).into_keys().collect();
    assert_eq!(found, ["crossbeam-utils"]);
}

#[test]
fn a_licence_is_allowed_if_there_is_a_choice_that_is() {
    assert!(is_allowed("MIT"));
    assert!(is_allowed("GPL-3.0 OR MIT"));
    assert!(is_allowed(
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"
    ));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(!is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("GPL-3.0"));
    assert!(!is_allowed(""));
}
