//! What the bench has fetched and built from packages, kept in the user's cache directory for all worktrees.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Returns the directory `NAME-HASH` of the cache, where the hash is of `recipe`. If it is not there, `build` first fills
/// a fresh directory, which then takes its place; whoever builds at the same time waits.
pub(super) fn directory(
    name: &str,
    recipe: &impl Hash,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let base = base()?;
    let context = || format!("cannot use {}", base.display());
    fs::create_dir_all(&base).with_context(context)?;
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let home = base.join(format!("{name}-{:016x}", hasher.finish()));
    let lock = File::create(base.join(format!("{name}.lock"))).with_context(context)?;
    lock.lock().with_context(context)?;
    if home.exists() {
        return Ok(home);
    }
    let fresh = base.join(format!("{name}-building"));
    // What an earlier builder left: it is gone, for the lock is ours.
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(context)?;
    }
    fs::create_dir(&fresh).with_context(context)?;
    build(&fresh)?;
    fs::rename(&fresh, &home).with_context(context)?;
    Ok(home)
}

/// `futago/bench` in `$XDG_CACHE_HOME`, or in `~/.cache`.
fn base() -> Result<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither HOME nor XDG_CACHE_HOME is set")?;
    Ok(cache.join("futago/bench"))
}
