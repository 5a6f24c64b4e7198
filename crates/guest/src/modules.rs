//! Kernel modules: which ones the guest needs, in which order, unpacked for its insmod.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::elf;
use crate::tree::Tree;

/// A module that is ready to be loaded.
pub(crate) struct Module {
    /// File name in the initramfs.
    pub(crate) name: String,
    /// Its bytes as packaged, so that the kernel's signature on them stays valid.
    pub(crate) data: Vec<u8>,
}

/// Returns the modules in `wanted` and those they need, in the order in which they can be loaded.
///
/// Built-in drivers have no module: a name that is listed in `modules.builtin` is left out.
pub(crate) fn load_order(tree: &Tree, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut available = BTreeMap::new();
    let mut builtin = String::new();
    for path in tree.files_below("usr/lib/modules")? {
        if let Some(name) = module_name(&path) {
            available.insert(name, path);
        } else if path.ends_with("/modules.builtin") {
            builtin = String::from_utf8(tree.read(&path)?)
                .with_context(|| format!("{path} is not text"))?;
        }
    }
    let builtin = builtin.lines().filter_map(module_name).collect();
    let mut loader = Loader {
        tree,
        available,
        builtin,
        loaded: Vec::new(),
        path: Vec::new(),
    };
    for name in wanted {
        loader.load(&name.replace('-', "_"))?;
    }
    Ok(loader.loaded)
}

struct Loader<'a> {
    tree: &'a Tree,
    available: BTreeMap<String, String>,
    builtin: Vec<String>,
    loaded: Vec<Module>,
    /// The modules whose dependencies are being loaded.
    path: Vec<String>,
}

impl Loader<'_> {
    fn load(&mut self, name: &str) -> Result<()> {
        let file = format!("{name}.ko");
        if self.loaded.iter().any(|m| m.name == file) || self.builtin.iter().any(|b| b == name) {
            return Ok(());
        }
        if self.path.iter().any(|p| p == name) {
            bail!("the kernel's modules need each other: {:?}", self.path);
        }
        let Some(path) = self.available.get(name) else {
            bail!("the kernel package has no module {name}");
        };
        let data = unpack(self.tree, path)?;
        let needed =
            elf::module_dependencies(&data).with_context(|| format!("cannot use module {path}"))?;
        self.path.push(name.to_owned());
        for dependency in needed {
            self.load(&dependency)?;
        }
        self.path.pop();
        self.loaded.push(Module { name: file, data });
        Ok(())
    }
}

/// The name under which other modules know the module at `path`: the kernel makes no difference
/// between dashes and underscores.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let (name, compression) = file.split_once(".ko")?;
    matches!(compression, "" | ".xz").then(|| name.replace('-', "_"))
}

/// Reads a module, through the system's `xz` if it is compressed.
fn unpack(tree: &Tree, path: &str) -> Result<Vec<u8>> {
    let data = tree.read(path)?;
    if !path.ends_with(".xz") {
        return Ok(data);
    }
    let mut child = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot run xz; install it: apt-get install xz-utils")?;
    let mut stdin = child.stdin.take().context("xz has no standard input")?;
    // Written from a thread of its own: xz stops reading while nobody takes its output.
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(&data));
        let output = child.wait_with_output();
        match writer.join() {
            Ok(written) => written.and(output),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
    .with_context(|| format!("cannot unpack {path}"))?;
    if !output.status.success() {
        bail!("xz cannot unpack {path}: {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::module_name;

    #[test]
    fn module_names() {
        let name = |path| module_name(path);
        assert_eq!(name("a/virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(name("virtio_net.ko").as_deref(), Some("virtio_net"));
        assert_eq!(name("a/modules.builtin"), None);
        assert_eq!(name("a/virtio_net.ko.zst"), None);
    }
}
