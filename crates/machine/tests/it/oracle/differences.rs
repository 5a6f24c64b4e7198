//! The differences that are allowed between this machine and QEMU: `tests/guest/oracle/NAME.differences`.
//! Both sides of each are stated, and why it is so.
//!
//! A line of a transcript is `key = value`. A line of the file is `# reason`, or
//! `VERSION key = ours | theirs`; VERSION is 7, 10 or * for both. In all three, a `*` stands for anything. Where
//! the key is absent, its value is `-`. With `* | [ab cd]`, both sides have the same characters, but QEMU b for
//! some of our a, and d for some of our c.

use std::collections::BTreeMap;
use std::process::Command;

/// The generations of QEMU that the differences know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Debian 12.
    Seven,
    /// Debian 13, and later.
    Ten,
}

impl Version {
    /// That of the installed QEMU.
    pub(super) fn installed() -> Version {
        let text = super::run(
            Command::new("qemu-system-riscv64").arg("--version"),
            "qemu-system-misc",
        );
        let number = text.split("version ").nth(1).and_then(|rest| {
            let (major, _) = rest.split_once('.')?;
            major.parse::<u32>().ok()
        });
        match number.expect("QEMU says its version") {
            ..=7 => Version::Seven,
            _ => Version::Ten,
        }
    }
}

struct Rule<'a> {
    key: &'a str,
    ours: &'a str,
    theirs: &'a str,
}

impl Rule<'_> {
    fn allows(&self, key: &str, ours: &str, theirs: &str) -> bool {
        if !matches(self.key, key) || !matches(self.ours, ours) {
            return false;
        }
        if let Some(pairs) = self.theirs.strip_prefix('[') {
            let pairs: Vec<&str> = pairs.trim_end_matches(']').split(' ').collect();
            let same = |(a, b): (char, char)| a == b || pairs.contains(&format!("{a}{b}").as_str());
            return ours.len() == theirs.len() && ours.chars().zip(theirs.chars()).all(same);
        }
        matches(self.theirs, theirs)
    }
}

/// Whether `text` is like `pattern`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .any(|skipped| text.is_char_boundary(skipped) && matches(rest, &text[skipped..]))
        }),
    }
}

fn parse(version: Version, file: &str) -> Vec<Rule<'_>> {
    let mut rules = Vec::new();
    let mut explained = false;
    for line in file.lines() {
        if line.is_empty() {
            explained = false;
            continue;
        }
        if line.starts_with('#') {
            explained = true;
            continue;
        }
        assert!(explained, "a difference needs a reason: {line}");
        let rule = line.split_once(' ').and_then(|(number, rest)| {
            let (key, values) = rest.split_once(" = ")?;
            let (ours, theirs) = values.split_once(" | ")?;
            let holds = match number {
                "7" => version == Version::Seven,
                "10" => version == Version::Ten,
                "*" => true,
                _ => return None,
            };
            Some((holds, Rule { key, ours, theirs }))
        });
        let (holds, rule) = rule.unwrap_or_else(|| panic!("no difference: {line}"));
        if holds {
            rules.push(rule);
        }
    }
    rules
}

fn lines(transcript: &str) -> BTreeMap<&str, &str> {
    let mut lines = BTreeMap::new();
    for line in transcript.lines() {
        let (key, value) = line
            .split_once(" = ")
            .unwrap_or_else(|| panic!("a line without a value: {line}"));
        let again = lines.insert(key, value.trim());
        assert!(again.is_none(), "the key {key} comes twice");
    }
    assert!(!lines.is_empty(), "the program says nothing");
    lines
}

/// What differs and may not, as lines for the file; and the rules that nothing obeys.
pub(super) fn compare(version: Version, ours: &str, theirs: &str, file: &str) -> Vec<String> {
    let rules = parse(version, file);
    let mut used = vec![false; rules.len()];
    let (ours, theirs) = (lines(ours), lines(theirs));
    let mut keys: Vec<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let mut wrong = Vec::new();
    for key in keys {
        let ours = ours.get(key).copied().unwrap_or("-");
        let theirs = theirs.get(key).copied().unwrap_or("-");
        if ours == theirs {
            continue;
        }
        match rules.iter().position(|rule| rule.allows(key, ours, theirs)) {
            Some(index) => used[index] = true,
            None => wrong.push(format!("{key} = {ours} | {theirs}")),
        }
    }
    for (rule, used) in rules.iter().zip(used) {
        if !used && !rule.key.contains('*') {
            wrong.push(format!("there is no difference any more: {}", rule.key));
        }
    }
    wrong
}

#[test]
fn only_what_is_listed_may_differ() {
    let file = "# Why.\n* a = 1 | 2\n7 b = 1 | 3\n10 c* = 1 | *\n10 d * x = * | [fd]\n";
    let none = [""; 0];
    let ten = |ours, theirs| compare(Version::Ten, ours, theirs, file);
    assert_eq!(ten("a = 1\nb = 1", "a = 2\nb = 1"), none);
    assert_eq!(ten("a = 1\nb = 1", "a = 2\nb = 3"), ["b = 1 | 3"]);
    assert_eq!(ten("a = 1\ncc = 1", "a = 2\ncc = 9"), none);
    assert_eq!(ten("a = 1\ncc = 2", "a = 2"), ["cc = 2 | -"]);
    assert_eq!(ten("a = 1", "a = 1").len(), 1);
    assert_eq!(ten("a = 1\nd 1 x = fgf", "a = 2\nd 1 x = dgf"), none);
    assert_eq!(ten("a = 1\nd 1 x = fgf", "a = 2\nd 1 x = ggf").len(), 1);
    assert_eq!(
        compare(Version::Seven, "a = 1\nb = 1", "a = 2\nb = 3", file),
        none
    );
}
