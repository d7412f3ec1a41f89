//! How much unsafe code there is, and where: as docs/guarantees.md states it, and nowhere else.
//!
//! What is counted are tokens, so that a macro hides nothing, and comments and unit tests do not count.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const GUARANTEES: &str = include_str!("../docs/guarantees.md");

/// Parents of trusted modules, which an inner `forbid` would forbid too: they have the `deny` of lib.rs.
const PARENTS: [&str; 2] = ["lib.rs", "ring/mod.rs"];

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    blocks: usize,
    functions: usize,
    impls: usize,
    /// Lines with code on them.
    lines: usize,
}

impl Count {
    fn of(source: &str) -> Self {
        let tokens = source.parse().expect("it has been compiled");
        let (mut count, mut lines) = (Self::default(), BTreeSet::new());
        count.add(tokens, &mut lines);
        count.lines = lines.len();
        count
    }

    fn add(&mut self, tokens: TokenStream, lines: &mut BTreeSet<usize>) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while let [token, after @ ..] = rest {
            rest = after;
            match token {
                TokenTree::Punct(hash) if hash.as_char() == '#' => {
                    let (is_inner, attribute) = match rest {
                        [TokenTree::Group(group), ..] => (false, group),
                        [TokenTree::Punct(bang), TokenTree::Group(group), ..]
                            if bang.as_char() == '!' && bang.spacing() == Spacing::Alone =>
                        {
                            (true, group)
                        }
                        _ => continue,
                    };
                    let text = attribute.stream().to_string().replace(' ', "");
                    if text.starts_with("doc=") {
                        rest = &rest[1 + usize::from(is_inner)..];
                    } else if text == "cfg(test)" || text.starts_with("cfg(all(test,") {
                        // As far as the body of what it stands before.
                        let body = rest.iter().position(is_body).expect("a module has a body");
                        rest = &rest[body + 1..];
                    }
                    continue;
                }
                TokenTree::Ident(word) if word == "unsafe" => match rest.first() {
                    Some(TokenTree::Ident(next)) if next == "impl" => self.impls += 1,
                    Some(TokenTree::Ident(next)) if next == "fn" => self.functions += 1,
                    Some(body) if is_body(body) => self.blocks += 1,
                    other => panic!("an unsafe thing that is not counted: {other:?}"),
                },
                TokenTree::Group(group) => {
                    lines.insert(group.span_open().start().line);
                    lines.insert(group.span_close().start().line);
                    self.add(group.stream(), lines);
                    continue;
                }
                _ => {}
            }
            lines.extend(token.span().start().line..=token.span().end().line);
        }
    }
}

fn is_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Each file of the library, by its path below `src`.
fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, below: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("it is a folder") {
            let path = entry.expect("it can be listed").path();
            let name = path.file_name().expect("it has a name").to_string_lossy();
            if path.is_dir() {
                collect(&path, &format!("{below}{name}/"), found);
            } else {
                let text = fs::read_to_string(&path).expect("it is text");
                found.insert(format!("{below}{name}"), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut found,
    );
    assert!(found.len() > 30, "only {} files", found.len());
    found
}

/// The rows of the table of docs/guarantees.md, and its sum.
fn stated() -> (BTreeMap<String, Count>, Count) {
    let mut rows = BTreeMap::new();
    let mut sum = None;
    for line in GUARANTEES.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", file, blocks, functions, impls, lines, _what, ""] = cells[..] else {
            continue;
        };
        let Ok(blocks) = blocks.parse() else { continue };
        let count = Count {
            blocks,
            functions: functions.parse().expect("a number"),
            impls: impls.parse().expect("a number"),
            lines: lines.parse().expect("a number"),
        };
        match file.strip_prefix("`src/") {
            Some(file) => drop(rows.insert(file.trim_end_matches('`').to_owned(), count)),
            None => sum = Some(count),
        }
    }
    (rows, sum.expect("the table has a sum"))
}

#[test]
fn there_is_as_much_unsafe_code_as_is_stated_and_it_is_where_it_is_stated() {
    let (stated, stated_sum) = stated();
    let sources = sources();
    let mut found: BTreeMap<_, _> = sources
        .iter()
        .map(|(file, source)| (file.clone(), Count::of(source)))
        .filter(|(_, count)| count.blocks + count.functions + count.impls > 0)
        .collect();
    let all: usize = sources.values().map(|source| Count::of(source).lines).sum();
    let trusted: usize = found.values().map(|count| count.lines).sum();
    for (file, count) in &mut found {
        count.lines = rounded(count.lines);
        println!("{file}: {count:?}");
    }
    assert_eq!(found, stated, "left: counted; right: docs/guarantees.md");

    let sum = found.values().fold(Count::default(), |sum, one| Count {
        blocks: sum.blocks + one.blocks,
        functions: sum.functions + one.functions,
        impls: sum.impls + one.impls,
        lines: sum.lines + one.lines,
    });
    assert_eq!(sum, stated_sum, "left: counted; right: docs/guarantees.md");
    let percent = (100 * trusted / all + 2) / 5 * 5;
    let share = format!("about {percent} % of the lines of code");
    assert!(GUARANTEES.contains(&share), "docs/guarantees.md: {share}");
}

/// So that not every change of a line changes the page.
fn rounded(lines: usize) -> usize {
    (lines + 25) / 50 * 50
}

#[test]
fn every_other_file_forbids_unsafe_code() {
    let (trusted, _) = stated();
    for (file, source) in sources() {
        let has = |attribute: &str| source.lines().any(|line| line == attribute);
        if trusted.contains_key(&file) {
            assert!(has("#![allow(unsafe_code)]"), "{file}");
        } else if PARENTS.contains(&&*file) {
            assert!(!source.contains("allow(unsafe_code)"), "{file}");
        } else {
            assert!(has("#![forbid(unsafe_code)]"), "{file}");
        }
        if file == "lib.rs" {
            assert!(has("#![deny(unsafe_code)]"));
        }
    }
}

#[test]
fn an_unsafe_operation_needs_a_block_and_a_block_needs_a_reason() {
    let manifest = include_str!("../Cargo.toml");
    for lint in [
        "unsafe_op_in_unsafe_fn = \"deny\"",
        "undocumented_unsafe_blocks = \"deny\"",
    ] {
        assert!(manifest.lines().any(|line| line == lint), "{lint}");
    }
}

#[test]
fn unsafe_code_in_a_macro_is_counted_and_that_of_comments_and_unit_tests_is_not() {
    let source = r#"
        //! unsafe { }
        macro_rules! hidden { () => { unsafe { 1 } } }
        /// unsafe fn
        unsafe fn declared() -> &'static str {
            // unsafe { }
            "unsafe { }"
        }
        unsafe impl Send for X {}

        #[cfg(test)]
        mod tests { fn f() { unsafe { } } }
    "#;
    let expected = Count {
        blocks: 1,
        functions: 1,
        impls: 1,
        lines: 5,
    };
    assert_eq!(Count::of(source), expected);
}
