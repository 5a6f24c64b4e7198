//! An error as one sentence for people.

/// The whole chain of causes in one line, nothing twice, and without the numbers that the host has for its errors.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let cause = node::log::unnumbered(&cause.to_string());
        if sentence.ends_with(&cause) {
            continue;
        }
        if !sentence.is_empty() {
            sentence.push_str(": ");
        }
        sentence.push_str(&cause);
    }
    let words: Vec<_> = sentence.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_causes_is_one_sentence() {
        let error = anyhow::anyhow!("No such file or directory (os error 2)")
            .context("it cannot be read: No such file or directory (os error 2)")
            .context("the record\n  is of no use");
        let words = "the record is of no use: it cannot be read: No such file or directory";
        assert_eq!(sentence(&error), words);
    }
}
