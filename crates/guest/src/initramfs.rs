//! What is in the default guest: which files go from the packages into the initramfs, and where.

use anyhow::{Context, Result, bail};

use crate::archive::Archive;
use crate::elf;
use crate::modules;
use crate::tree::Tree;

/// Raised whenever this crate makes another image of the same packages and files.
const FORMAT: u32 = 2;

const INIT: &[u8] = include_bytes!("../files/init.sh");
const REDIS: &[u8] = include_bytes!("../files/redis.conf");
const DHCP: &[u8] = include_bytes!("../files/udhcpc.sh");

const PROGRAMS: &[&str] = &["usr/bin/busybox", "usr/bin/redis-server"];

/// The drivers that Debian's kernel does not have built in, the bus last: its devices then find
/// their drivers waiting.
const MODULES: &[&str] = &["virtio_net", "virtio-rng", "virtio_mmio"];

/// Where Debian's dynamic loader looks for libraries.
const LIBRARIES: &str = "usr/lib/riscv64-linux-gnu";

/// Names the image that this crate builds of the given packages, whatever their versions.
pub(crate) fn key(release: &str, packages: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(&FORMAT.to_le_bytes());
    field(release.as_bytes());
    for names in [packages, PROGRAMS, MODULES] {
        field(names.join(" ").as_bytes());
    }
    for file in [INIT, REDIS, DHCP] {
        field(file);
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Finds the kernel, and checks that it is a boot Image
/// (Documentation/arch/riscv/boot-image-header.rst in the kernel's sources).
pub(crate) fn kernel(tree: &Tree) -> Result<Vec<u8>> {
    const MAGIC_OFFSET: usize = 0x38;
    const MAGIC: &[u8] = b"RSC\x05";
    let files = tree.files_below("boot")?;
    let mut kernels = files.iter().filter(|f| f.starts_with("boot/vmlinu"));
    let (Some(path), None) = (kernels.next(), kernels.next()) else {
        bail!("the packages hold no kernel, or more than one, among {files:?}");
    };
    let kernel = tree.read(path)?;
    if kernel.get(MAGIC_OFFSET..MAGIC_OFFSET + MAGIC.len()) != Some(MAGIC) {
        bail!("{path} is not an uncompressed RISC-V boot Image");
    }
    Ok(kernel)
}

/// Puts the initramfs together.
pub(crate) fn build(tree: &Tree) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in [
        "dev",
        "etc/redis",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "var",
    ] {
        archive.directory(directory);
    }
    for (link, target) in [("bin", "usr/bin"), ("sbin", "usr/bin"), ("lib", "usr/lib")] {
        archive.link(link, target);
    }
    // The kernel opens it for the first process before that could mount /dev.
    archive.character_device("dev/console", 5, 1);
    archive.file("init", true, INIT.to_vec());
    archive.file("etc/redis/redis.conf", false, REDIS.to_vec());
    archive.file("etc/udhcpc.sh", true, DHCP.to_vec());
    add_modules(&mut archive, tree)?;
    add_programs(&mut archive, tree)?;
    archive.finish().context("cannot make the initramfs")
}

fn add_modules(archive: &mut Archive, tree: &Tree) -> Result<()> {
    let mut order = String::new();
    for module in modules::load_order(tree, MODULES)? {
        order.push_str(&module.name);
        order.push('\n');
        archive.file(&format!("modules/{}", module.name), false, module.data);
    }
    archive.file("modules/order", false, order.into_bytes());
    Ok(())
}

/// Adds the programs with every library that they need, directly or not.
fn add_programs(archive: &mut Archive, tree: &Tree) -> Result<()> {
    let mut pending: Vec<String> = PROGRAMS.iter().map(|&path| path.to_owned()).collect();
    let mut added = std::collections::BTreeSet::new();
    while let Some(path) = pending.pop() {
        if !added.insert(path.clone()) {
            continue;
        }
        let data = tree.read(&path)?;
        let linkage = elf::linkage(&data).with_context(|| format!("cannot use {path}"))?;
        archive.file(&path, true, data);
        if let Some(loader) = linkage.loader {
            add_loader(archive, tree, &loader)?;
        }
        for library in linkage.libraries {
            let path = format!("{LIBRARIES}/{library}");
            if !tree.contains(&path) {
                bail!("{library} is needed, but is in none of the packages");
            }
            pending.push(path);
        }
    }
    Ok(())
}

/// Adds the dynamic loader under the name by which programs ask the kernel for it, `/lib/ld-….so`.
fn add_loader(archive: &mut Archive, tree: &Tree, path: &str) -> Result<()> {
    let Some(name) = path.strip_prefix("/lib/").filter(|n| !n.contains('/')) else {
        bail!("a program asks for its dynamic loader at the unusual path {path}");
    };
    let real = format!("{LIBRARIES}/{name}");
    archive.file(&real, true, tree.read(&real)?);
    archive.link(
        &format!("usr/lib/{name}"),
        &format!("riscv64-linux-gnu/{name}"),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_names_release_and_packages() {
        let key_of = |release, packages: &[&str]| key(release, packages);
        assert_eq!(key_of("trixie", &["a"]), key_of("trixie", &["a"]));
        assert_ne!(key_of("trixie", &["a"]), key_of("forky", &["a"]));
        assert_ne!(key_of("trixie", &["a"]), key_of("trixie", &["a", "b"]));
    }

    #[test]
    fn the_first_process_is_run_by_a_program_that_is_there() {
        let first_line = INIT.split(|&b| b == b'\n').next().unwrap();
        assert_eq!(first_line, b"#!/bin/busybox sh");
        assert!(PROGRAMS.contains(&"usr/bin/busybox"));
    }
}
