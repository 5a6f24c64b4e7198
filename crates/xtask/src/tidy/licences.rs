//! Licences of the packages that Futago is built from, against the list in deny.toml: the check that
//! cargo-deny makes too, but which must not need cargo-deny.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::crates::Metadata;

#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

/// Checks every package that is not the workspace's own.
pub(crate) fn check(root: &Path, metadata: &Metadata) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    let deny: Deny = toml::from_str(&text).context("cannot understand deny.toml")?;
    let mut findings = Vec::new();
    for package in &metadata.packages {
        if metadata.is_member(package) {
            continue;
        }
        let licence = package.license.as_deref().unwrap_or_default();
        if !is_allowed(licence, &deny.licenses.allow) {
            findings.push(format!(
                "package {} {} has the licence `{licence}`, which deny.toml does not allow",
                package.name, package.version
            ));
        }
    }
    Ok(findings)
}

/// Whether a licence expression (SPDX specification, annex D) can be met by allowed licences alone.
/// The older `A/B` means `A OR B`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        words: &words,
        allowed,
    };
    parser.either() == Some(true) && parser.words.is_empty()
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl<'a> Parser<'a> {
    /// `both OR both …`, or nothing if it is malformed.
    fn either(&mut self) -> Option<bool> {
        let mut met = self.both()?;
        while self.accept("OR") {
            met |= self.both()?;
        }
        Some(met)
    }

    /// `one AND one …`
    fn both(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.accept("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    /// A licence, with an exception or without, or an expression in parentheses.
    fn one(&mut self) -> Option<bool> {
        let word = self.next()?;
        if word == "(" {
            let met = self.either()?;
            return self.accept(")").then_some(met);
        }
        let mut licence = word.to_owned();
        if self.accept("WITH") {
            licence = format!("{licence} WITH {}", self.next()?);
        }
        Some(self.allowed.contains(&licence))
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("Zlib/MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR GPL-3.0-only) AND Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("MIT MIT", false),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }
}
