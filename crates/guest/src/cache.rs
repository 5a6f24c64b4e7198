//! Finished images, one directory each, named by what they are made from.
//!
//! An image counts only if its files have the sizes and hashes that its manifest tells: what a
//! killed build or a bad disk left behind is built again.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::progress::Progress;

pub(crate) const KERNEL: &str = "kernel";
pub(crate) const INITRD: &str = "initrd";
const BUILDING: &str = "building-";
/// In each workspace, so that nobody's directory is taken for one.
const MARK: &str = ".futago-guest-build";
pub(crate) const MANIFEST: &str = "manifest.json";

/// A kernel and its initramfs, in files that are complete and checked.
#[derive(Clone, Debug)]
pub struct Image {
    /// The kernel: an uncompressed RISC-V boot Image.
    pub kernel: PathBuf,
    /// The initramfs: an uncompressed cpio archive, since the guest would have to unpack any other.
    pub initrd: PathBuf,
    /// What the image is made of.
    pub manifest: Manifest,
    /// Whether the image was there already.
    pub cached: bool,
}

/// What an image is made of: the contents of its `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The kernel's file.
    pub kernel: Artifact,
    /// The initramfs' file.
    pub initrd: Artifact,
    /// The packages that were unpacked, as `name=version`, sorted.
    pub packages: Vec<String>,
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 hash of its contents, in hexadecimal.
    pub blake3: String,
}

impl Artifact {
    fn of(data: &[u8]) -> Artifact {
        Artifact {
            bytes: data.len() as u64,
            blake3: blake3::hash(data).to_hex().to_string(),
        }
    }
}

/// Where images are kept unless the user says otherwise: `futago/guest` in `$XDG_CACHE_HOME`, or in
/// `~/.cache`.
///
/// # Errors
/// Fails when the user has no home.
pub fn default_cache() -> Result<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither HOME nor XDG_CACHE_HOME is set, so say where to keep guest images")?;
    Ok(base.join("futago/guest"))
}

/// A cache directory that is locked for one builder.
pub(crate) struct Cache {
    directory: PathBuf,
    key: String,
    /// Held for its lock, which ends with the process at the latest.
    _lock: File,
}

/// Makes a directory where it is missing.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory).map_err(|error| match error.kind() {
        // It says so of a name that is no directory.
        ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
        _ => error,
    })
}

/// Whether a builder made this directory to work in, by its name and by what it put there first.
fn is_workspace(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix(BUILDING).unwrap_or_default();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && path.join(MARK).is_file()
}

/// Whether a directory holds a manifest that this crate wrote.
pub(crate) fn has_manifest(directory: &Path) -> bool {
    let manifest = fs::read(directory.join(MANIFEST));
    manifest.is_ok_and(|text| serde_json::from_slice::<Manifest>(&text).is_ok())
}

impl Cache {
    /// Opens the cache in `directory`, waiting for whoever builds there now.
    pub(crate) fn open(
        directory: &Path,
        key: &str,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Cache> {
        let context = || format!("cannot use {} to keep guest images", directory.display());
        make_directory(directory).with_context(context)?;
        // mmdebstrap changes its working directory.
        let directory = directory.canonicalize().with_context(context)?;
        // Whatever has this name keeps what is in it.
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("lock"))
            .with_context(context)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                progress(&Progress::Waiting);
                lock.lock().with_context(context)?;
            }
            Err(fs::TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        Ok(Cache {
            directory,
            key: key.to_owned(),
            _lock: lock,
        })
    }

    /// The image, if it is there and whole.
    pub(crate) fn find(&self) -> Option<Image> {
        let home = self.directory.join(&self.key);
        let manifest = fs::read(home.join(MANIFEST)).ok()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        let matches = |name, artifact: &Artifact| {
            fs::read(home.join(name)).is_ok_and(|data| Artifact::of(&data) == *artifact)
        };
        let whole = matches(KERNEL, &manifest.kernel) && matches(INITRD, &manifest.initrd);
        whole.then(|| Image {
            kernel: home.join(KERNEL),
            initrd: home.join(INITRD),
            manifest,
            cached: true,
        })
    }

    /// A path where packages can be unpacked, where nothing exists yet.
    ///
    /// What earlier builders left is removed, for none is running. But the mmdebstrap of one that was
    /// killed may live a moment longer: so every builder has a directory of its own, and what cannot
    /// be removed now is left to the next.
    pub(crate) fn workspace(&self) -> Result<PathBuf> {
        let context = || format!("cannot use {}", self.directory.display());
        for entry in fs::read_dir(&self.directory).with_context(context)? {
            let entry = entry.with_context(context)?;
            if is_workspace(&entry.path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let building = self.building();
        fs::create_dir(&building)
            .and_then(|()| File::create(building.join(MARK)))
            .with_context(|| format!("cannot create {}", building.display()))?;
        Ok(building.join("root"))
    }

    /// Puts a finished image into the cache and clears the workspace.
    pub(crate) fn store(
        &self,
        kernel: &[u8],
        initrd: &[u8],
        packages: Vec<String>,
    ) -> Result<Image> {
        let manifest = Manifest {
            kernel: Artifact::of(kernel),
            initrd: Artifact::of(initrd),
            packages,
        };
        let json = serde_json::to_vec_pretty(&manifest).context("cannot write the manifest")?;
        let fresh = self.building().join("image");
        fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
        for (name, data) in [(KERNEL, kernel), (INITRD, initrd), (MANIFEST, &json)] {
            let path = fresh.join(name);
            File::create(&path)
                .and_then(|mut file| file.write_all(data).and_then(|()| file.sync_all()))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let home = self.directory.join(&self.key);
        remove(&home)?;
        fs::rename(&fresh, &home).with_context(|| format!("cannot write {}", home.display()))?;
        remove(&self.building())?;
        Ok(Image {
            kernel: home.join(KERNEL),
            initrd: home.join(INITRD),
            manifest,
            cached: false,
        })
    }

    fn building(&self) -> PathBuf {
        self.directory
            .join(format!("{BUILDING}{}", std::process::id()))
    }
}

/// Removes a directory and all in it, if it is there.
fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_images_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Cache::open(directory.path(), "key", &mut |_| {}).unwrap();
        let cache = open();
        assert!(cache.find().is_none());
        cache.workspace().unwrap();
        let packages = vec!["redis-server=8".to_owned()];
        let stored = cache.store(b"kernel", b"initrd", packages).unwrap();
        let found = cache.find().unwrap();
        assert!(found.cached && !stored.cached);
        assert_eq!(found.manifest, stored.manifest);

        let copy = found.copy_to(&directory.path().join("a/b")).unwrap();
        assert_eq!(fs::read(&copy.kernel).unwrap(), b"kernel");
        assert_eq!(copy.initrd, directory.path().join("a/b/initrd"));

        fs::write(&stored.initrd, b"initrx").unwrap();
        assert!(cache.find().is_none());
        drop(cache);
        assert!(open().find().is_none());
    }

    #[test]
    fn what_builders_did_not_make_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("lock"), "mine").unwrap();
        for name in ["building-plans", "building-7", "building-8"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("a"), "mine").unwrap();
        }
        fs::write(path("building-8").join(MARK), "").unwrap();
        let cache = Cache::open(directory.path(), "key", &mut |_| {}).unwrap();
        cache.workspace().unwrap();
        assert_eq!(fs::read(path("lock")).unwrap(), b"mine");
        assert!(path("building-plans/a").exists() && path("building-7/a").exists());
        assert!(
            !path("building-8").exists(),
            "a killed builder's is removed"
        );
    }

    #[test]
    fn an_unusable_cache_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Cache::open(file.path(), "key", &mut |_| {}).err().unwrap();
        assert!(error.to_string().contains(file.path().to_str().unwrap()));
    }
}
