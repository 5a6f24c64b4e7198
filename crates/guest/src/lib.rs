//! Builds guest images from a distribution's packages.
//!
//! The default guest is the unmodified Debian kernel and an initramfs with busybox, redis-server and
//! the virtio drivers, all from signed Debian 13 riscv64 packages. Nothing of Futago runs in it but
//! its first process, the shell script `files/init.sh`.
//!
//! ```text
//! mmdebstrap ──packages──▶ tree ──elf, modules──▶ initramfs ──cpio──▶ cache/KEY/{kernel,initrd,manifest.json}
//! ```

#![forbid(unsafe_code)]

mod archive;
mod cache;
mod elf;
mod initramfs;
mod modules;
mod packages;
mod progress;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

pub use cache::{Artifact, Image, Manifest, default_cache};
pub use progress::Progress;

/// What the guest prints on its console once everything it was asked for works. The uptime follows
/// on the same line.
pub const READY: &str = "futago: guest ready";

/// What the guest prints instead of [`READY`], followed by the reason.
pub const FAILED: &str = "futago: guest failed";

/// The Debian release that the default guest is made of.
const RELEASE: &str = "trixie";

/// The packages that are asked for by name; what they depend on comes with them.
const PACKAGES: &[&str] = &["linux-image-riscv64", "busybox-static", "redis-server"];

/// How to build an image.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where finished images are kept; created when missing. See [`default_cache`].
    pub cache: PathBuf,
    /// Ask the distribution for newer packages even if an image is cached.
    pub refresh: bool,
    /// The Debian mirror to use. By default the one that the system's own apt uses, and after it
    /// the one that mmdebstrap knows.
    pub mirror: Option<String>,
}

impl Options {
    /// The usual options, with images kept in `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Options {
        Options {
            cache: cache.into(),
            refresh: false,
            mirror: None,
        }
    }
}

/// Returns the default guest's image, and builds it first when the cache has none.
///
/// Builders that run at the same time wait for each other. The same packages give the same bytes.
///
/// # Errors
/// Fails when mmdebstrap or xz is missing, no mirror answers, a signature is wrong, or the cache
/// cannot be written.
pub fn build(options: &Options, progress: &mut dyn FnMut(&Progress)) -> Result<Image> {
    let key = initramfs::key(RELEASE, PACKAGES);
    let cache = cache::Cache::open(&options.cache, &key, progress)?;
    if !options.refresh
        && let Some(image) = cache.find()
    {
        progress(&Progress::Cached);
        return Ok(image);
    }
    let root = cache.workspace()?;
    let versions = packages::fetch(
        RELEASE,
        PACKAGES,
        &root,
        options.mirror.as_deref(),
        progress,
    )?;
    progress(&Progress::Assembling);
    let tree = tree::Tree::new(root);
    let kernel = initramfs::kernel(&tree)?;
    let initrd = initramfs::build(&tree)?;
    let image = cache.store(&kernel, &initrd, versions)?;
    progress(&Progress::Built {
        kernel: image.manifest.kernel.bytes,
        initrd: image.manifest.initrd.bytes,
    });
    Ok(image)
}

impl Image {
    /// Copies kernel, initrd and manifest.json into `directory`, which is created when missing.
    ///
    /// # Errors
    /// Fails when the directory cannot be written.
    pub fn copy_to(&self, directory: &Path) -> Result<Image> {
        prepare_output(directory)?;
        let copy = |from: &Path| -> Result<PathBuf> {
            let name = from.file_name().context("an image file without a name")?;
            let to = directory.join(name);
            // Written beside and renamed, so that a machine that is running from the old file, or
            // starting just now, sees one or the other.
            let partial = directory.join(format!(".{}.partial", name.display()));
            std::fs::copy(from, &partial)
                .and_then(|_| std::fs::rename(&partial, &to))
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
            Ok(to)
        };
        copy(&self.kernel.with_file_name(cache::MANIFEST))?;
        Ok(Image {
            kernel: copy(&self.kernel)?,
            initrd: copy(&self.initrd)?,
            ..self.clone()
        })
    }
}

/// Makes a directory for an image where it is missing. One that holds a kernel, an initial RAM disk or a manifest must have a
/// manifest of ours: an image was copied there before.
///
/// # Errors
/// It cannot be made, or what it holds would be written over.
pub fn prepare_output(directory: &Path) -> Result<()> {
    cache::make_directory(directory)
        .with_context(|| format!("cannot put images into {}", directory.display()))?;
    if cache::has_manifest(directory) {
        return Ok(());
    }
    let manifest = directory.join(cache::MANIFEST);
    ensure!(
        !manifest.exists(),
        "{} is no manifest that `futago guest build` has written, and is not written over: choose another --output",
        manifest.display()
    );
    for name in [cache::KERNEL, cache::INITRD] {
        let path = directory.join(name);
        ensure!(
            !path.exists(),
            "{} is no image that `futago guest build` has made (there is no {} beside it), and is not written over: choose another --output",
            path.display(),
            cache::MANIFEST
        );
    }
    Ok(())
}

/// How the guest's eth0 gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Left alone.
    None,
    /// From a DHCP server on the network.
    Dhcp,
    /// Set by hand: at once, and the same on every boot.
    Static {
        /// The guest's own address.
        address: std::net::Ipv4Addr,
        /// Length of the network's prefix, 0 to 32.
        prefix: u8,
        /// Where packets for other networks go.
        gateway: Option<std::net::Ipv4Addr>,
    },
}

/// The kernel command line with which the default guest does what is asked here.
pub fn command_line(network: Network, redis: bool) -> String {
    let mut line = String::from("console=ttyS0 quiet");
    match network {
        Network::None => {}
        Network::Dhcp => line.push_str(" futago.ip=dhcp"),
        Network::Static {
            address,
            prefix,
            gateway,
        } => {
            line.push_str(&format!(" futago.ip={address}/{prefix}"));
            if let Some(gateway) = gateway {
                line.push_str(&format!(",{gateway}"));
            }
        }
    }
    if redis {
        line.push_str(" futago.redis=1");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_images_are_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        prepare_output(path).unwrap();
        for (name, text) in [
            ("kernel", "mine"),
            ("manifest.json", "{\"name\": \"an app\"}"),
        ] {
            std::fs::write(path.join(name), text).unwrap();
            let error = prepare_output(path).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("--output"),
                "{error}"
            );
        }
        let artifact = r#"{"bytes": 1, "blake3": "00"}"#;
        let manifest = format!(r#"{{"kernel": {artifact}, "initrd": {artifact}, "packages": []}}"#);
        std::fs::write(path.join("manifest.json"), manifest).unwrap();
        prepare_output(path).unwrap();
    }

    #[test]
    fn command_lines() {
        assert_eq!(command_line(Network::None, false), "console=ttyS0 quiet");
        let network = Network::Static {
            address: [10, 0, 2, 15].into(),
            prefix: 24,
            gateway: Some([10, 0, 2, 2].into()),
        };
        assert_eq!(
            command_line(network, true),
            "console=ttyS0 quiet futago.ip=10.0.2.15/24,10.0.2.2 futago.redis=1"
        );
    }
}
