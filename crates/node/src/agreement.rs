//! What this node's configuration must have in common with its peers', in the words of the configuration.

use crate::config::Config;
use crate::given_file;
use crate::vm::program_bytes_max;
use anyhow::Context;
use replication::Agreement;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What is compared in the handshake. Images are compared by their content, wherever they lie. A node that only joins
/// (`node.may_start = false`) needs none, so it says nothing of those that it does not have.
///
/// # Errors
/// An image that cannot be read.
pub(crate) fn agreement_of(config: &Config) -> anyhow::Result<Agreement> {
    let machine = &config.machine;
    let starts = config.node.may_start;
    let mut agreement = Agreement::default()
        .with("semantics", machine::SEMANTICS.to_string())
        .with("machine.memory", format!("{}M", machine.memory.0 >> 20));
    agreement = match &machine.network {
        Some(_) => agreement
            .with("machine.network", "one card")
            .with("machine.mac", machine.mac.to_string()),
        None => agreement.with("machine.network", "none"),
    };
    let bios = machine.bios.as_ref();
    let bios_file = bios.filter(|bios| !crate::bios::is_bios_word(bios));
    let memory = machine.memory.0;
    let images = [
        (
            "machine.kernel",
            machine.kernel.as_ref(),
            program_bytes_max(memory),
        ),
        ("machine.initrd", machine.initrd.as_ref(), memory),
        ("machine.bios", bios_file, program_bytes_max(memory)),
    ];
    for (key, path, bytes_max) in images {
        if let Some(image) = image(key, path, bytes_max, starts)? {
            agreement = agreement.with(key, image);
        }
    }
    if bios.is_some_and(|bios| crate::bios::is_no_bios(bios)) {
        agreement = agreement.with("machine.bios", "no firmware");
    }
    if starts || !machine.append.is_empty() {
        agreement = agreement.with("machine.append", machine.append.as_str());
    }
    Ok(agreement)
}

/// An image by its hash, or `none`; nothing where this node cannot know it and need not.
fn image(
    key: &str,
    path: Option<&PathBuf>,
    bytes_max: u64,
    starts: bool,
) -> anyhow::Result<Option<String>> {
    let Some(path) = path else {
        return Ok(starts.then(|| "none".to_owned()));
    };
    match hash_file(path, bytes_max) {
        Ok(hash) => Ok(Some(Agreement::shorten(&hash))),
        Err(error) if error.kind() == ErrorKind::NotFound && !starts => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read `{key}`, {}", path.display()))
        }
    }
}

fn hash_file(path: &Path, bytes_max: u64) -> std::io::Result<blake3::Hash> {
    let file = given_file::open(path, bytes_max)?;
    let mut hasher = blake3::Hasher::new();
    // It may grow meanwhile.
    hasher.update_reader(file.take(bytes_max))?;
    Ok(hasher.finalize())
}
