//! Words that differ from run to run, replaced by such that do not.

use super::folder::Place;

/// What was said, with stable words for folders, identities, times, dates, ports and processes.
pub(super) fn words(said: &str, place: &Place) -> String {
    let folder = place.path().display().to_string();
    let said = said
        .replace(&folder, "FOLDER")
        .replace(&place.taken_port(), "TAKEN");
    let mut stable = String::new();
    let (mut word, mut before) = (String::new(), String::new());
    for char in said.chars() {
        if char.is_ascii_alphanumeric() || matches!(char, '-' | ':' | '.') {
            word.push(char);
            continue;
        }
        stable.push_str(&stand_in(&word, &before));
        stable.push(char);
        if !word.is_empty() {
            before = std::mem::take(&mut word);
        }
    }
    stable.push_str(&stand_in(&word, &before));
    stable
}

/// A word, or what stands for it; `before` is the word before.
fn stand_in(word: &str, before: &str) -> String {
    // What ends a sentence is no part of a word.
    let bare = word.trim_end_matches(['.', ':', '-']);
    let end = &word[bare.len()..];
    let is_hex = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A number may have eight digits, too.
    let is_number = bare.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = bare.len() == 8 && (!is_number || ["store", "node"].contains(&before));
    if is_hex && (is_short || matches!(bare.len(), 32 | 64)) {
        return format!("IDENTITY{end}");
    }
    // Of a record, whose entries hold times.
    if ["offset", "position"].contains(&before) && bare.parse::<u64>().is_ok() {
        return format!("NUMBER{end}");
    }
    if is_shaped(bare, "0000-00-00") {
        return format!("DATE{end}");
    }
    if bare.len() > 19 && bare.ends_with('Z') && is_shaped(&bare[..19], "0000-00-00T00:00:00") {
        return format!("TIME{end}");
    }
    match bare.rsplit_once(':') {
        // Ports that the host chose.
        Some((host, port))
            if host.starts_with("127.") && port.parse().is_ok_and(|port: u16| port >= 32_768) =>
        {
            format!("{host}:PORT{end}")
        }
        _ => word.to_owned(),
    }
}

/// Whether a word has digits where `shape` has them, and is otherwise the same.
fn is_shaped(word: &str, shape: &str) -> bool {
    word.len() == shape.len()
        && word
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => byte == shape,
            })
}
