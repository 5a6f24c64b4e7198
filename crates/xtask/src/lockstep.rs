//! `cargo xtask lockstep`: the translator beside the interpreter, compared as they go.

use anyhow::Result;

use crate::{process, steps};

/// What is executed.
pub(crate) enum Guest {
    /// Generated guests from fresh seeds, or from this one on.
    Generated { minutes: f64, seed: Option<u64> },
    /// The generated guest of a seed.
    Seed(u64),
    /// The default guest, from reset to its prompt.
    Boot,
}

/// Runs the example of `jit` that compares.
pub(crate) fn run(guest: &Guest) -> Result<()> {
    let arguments = match guest {
        Guest::Generated { minutes, seed } => {
            let seed = seed.map(|seed| ["--seed".to_owned(), seed.to_string()]);
            let minutes = ["--minutes".to_owned(), minutes.to_string()];
            minutes
                .into_iter()
                .chain(seed.into_iter().flatten())
                .collect()
        }
        Guest::Seed(seed) => vec!["--seed".to_owned(), seed.to_string()],
        Guest::Boot => {
            let [kernel, initrd] = steps::guest_files()?;
            vec!["--boot".to_owned(), kernel, initrd]
        }
    };
    let scope = ["run", "--release", "--quiet", "--package", "jit"];
    let example = ["--example", "lockstep", "--"];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    process::cargo(&[&scope[..], &example, &arguments].concat())
}
