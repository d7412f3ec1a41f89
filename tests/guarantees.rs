//! The tests that docs/guarantees.md names are there.

use std::{collections::BTreeSet, fs, path::Path};

const GUARANTEES: &str = include_str!("../docs/guarantees.md");

/// `drops::name` or `loom::drops::name`: the file, and the name of the test.
fn named(word: &str) -> Option<(String, &str)> {
    let (folder, word) = match word.strip_prefix("loom::") {
        Some(model) => ("loom-tests/tests", model),
        None => ("tests", word),
    };
    let (file, test) = word.split_once("::")?;
    // A test is a sentence, and so no function of a library.
    let is_sentence = test.matches('_').count() > 2 && test == test.to_lowercase();
    is_sentence.then(|| (format!("{folder}/{file}.rs"), test))
}

#[test]
fn every_test_that_the_guarantees_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for (file, test) in GUARANTEES.split('`').skip(1).step_by(2).filter_map(named) {
        // What is published has no models.
        if file.starts_with("loom-tests") && !root.join("loom-tests").exists() {
            continue;
        }
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        let parts: Vec<_> = text.split(&format!("fn {test}(")).collect();
        // Its attributes are what comes after the end of what was before.
        let is_there = parts.len() == 2
            && ["#[test]", "#[tokio::test"].iter().any(|attribute| {
                let attributes = parts[0].rsplit("}\n").next().unwrap_or_default();
                attributes.contains(attribute)
            });
        assert!(is_there, "no test {test} in {file}");
        found.insert(test);
    }
    assert!(found.len() > 40, "only {}", found.len());
}
