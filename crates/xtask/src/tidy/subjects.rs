//! What commits say of themselves: where they are, what is different afterwards, and why.

use anyhow::Result;

use crate::process;

/// The last commit before this was asked of each.
const SINCE: &str = "5ef7face5d0fa8273a7a6e6baba1f7fd19149079";
/// A subject is shorter.
const SUBJECT_CHARS_MAX: usize = 72;

/// Checks all commits since then. Where history does not reach back so far, those that there are since its beginning.
pub(crate) fn check() -> Result<Vec<String>> {
    if !process::succeeds("git", &["merge-base", "--is-ancestor", SINCE, "HEAD"]) {
        return Ok(vec![format!(
            "the history does not reach back to {SINCE}: fetch all of it, so that its subjects can be checked"
        )]);
    }
    let log = process::output(
        "git",
        &[
            "log",
            "--format=%h%x00%s%x00%b%x01",
            &format!("{SINCE}..HEAD"),
        ],
    )?;
    let commits = log
        .split('\u{1}')
        .filter(|commit| !commit.trim().is_empty());
    Ok(commits
        .filter_map(|commit| finding(commit.trim_start()))
        .collect())
}

fn finding(commit: &str) -> Option<String> {
    let mut parts = commit.split('\0');
    let (name, subject) = (parts.next()?, parts.next()?);
    let body = parts.next().unwrap_or_default();
    let what = if !has_area(subject) {
        "its subject does not begin with its area (`jit: …`)"
    } else if subject.chars().count() >= SUBJECT_CHARS_MAX {
        "its subject is too long (fewer than 72 characters)"
    } else if body.trim().is_empty() {
        "its body does not say why"
    } else {
        return None;
    };
    Some(format!("commit {name}: {what}: {subject}"))
}

/// `area: what is different`, or several areas with commas between.
fn has_area(subject: &str) -> bool {
    let Some((areas, rest)) = subject.split_once(": ") else {
        return false;
    };
    let is_area = |area: &str| {
        !area.is_empty()
            && area
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    areas.split(", ").all(is_area) && !rest.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_says_where_what_and_why() {
        let of = |subject: &str, body: &str| finding(&format!("abc\0{subject}\0{body}"));
        assert_eq!(of("jit: plans are data", "Because."), None);
        assert_eq!(of("node, sim: one driver", "Because."), None);
        for (subject, body) in [
            ("Plans are data", "Because."),
            ("Jit: plans are data", "Because."),
            ("wip", "Because."),
            ("jit: ", "Because."),
            (": plans are data", "Because."),
            ("jit: plans are data", " \n"),
        ] {
            assert!(of(subject, body).is_some(), "{subject}");
        }
        let long = format!("jit: {}", "a".repeat(67));
        assert!(of(&long, "Because.").is_some());
    }
}
