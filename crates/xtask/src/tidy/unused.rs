//! Public items that nobody outside of their crate needs: neither names them, nor meets them in what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Fields, ImplItem, Item, TraitItem};

use super::tree::{Tree, is_public};

/// Words of each Rust file, by the crate's folder that it is in, or the file's own where it is in none. What a crate's tests,
/// examples and benchmarks say is said outside of it.
pub(crate) struct Words {
    of: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Words {
    /// Reads the files of a workspace. `homes` are the folders of its crates.
    pub(crate) fn read(files: &[PathBuf], homes: &[PathBuf]) -> Result<Words> {
        let mut of: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
        for file in files {
            let sources = homes.iter().map(|home| home.join("src"));
            let place = sources.into_iter().find(|src| file.starts_with(src));
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let tokens: TokenStream = text.parse().map_err(|error| {
                anyhow::anyhow!("cannot understand {}: {error}", file.display())
            })?;
            collect(
                tokens,
                of.entry(place.unwrap_or_else(|| file.clone())).or_default(),
            );
        }
        Ok(Words { of })
    }

    fn outside(&self, home: &Path) -> BTreeSet<&str> {
        let own = home.join("src");
        let others = self.of.iter().filter(|(place, _)| **place != own);
        others
            .flat_map(|(_, words)| words.iter().map(String::as_str))
            .collect()
    }
}

fn collect(tokens: TokenStream, words: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                words.insert(name.to_string());
            }
            TokenTree::Group(group) => collect(group.stream(), words),
            _ => {}
        }
    }
}

/// Something public.
struct Public {
    file: PathBuf,
    name: String,
    /// The type that it is a method or constant of.
    of: Option<String>,
    /// Words of what others see of it.
    seen: BTreeSet<String>,
}

/// Finds what a library shows in vain.
pub(crate) fn check(root: &Path, home: &Path, words: &Words) -> Result<Vec<String>> {
    let start = home.join("src/lib.rs");
    if !start.is_file() {
        return Ok(Vec::new());
    }
    let tree = Tree::read(&start)?;
    let items = public_items(&tree);
    let mut needed: BTreeSet<&str> = words.outside(home);
    loop {
        let before = needed.len();
        for item in &items {
            let has_owner = item
                .of
                .as_ref()
                .is_none_or(|of| needed.contains(of.as_str()));
            if has_owner && needed.contains(item.name.as_str()) {
                needed.extend(item.seen.iter().map(String::as_str));
            }
        }
        if needed.len() == before {
            break;
        }
    }
    let in_vain = items
        .iter()
        .filter(|item| !needed.contains(item.name.as_str()));
    Ok(in_vain
        .map(|item| {
            let file = item.file.strip_prefix(root).unwrap_or(&item.file);
            let of = item
                .of
                .as_ref()
                .map(|of| format!("{of}::"))
                .unwrap_or_default();
            format!(
                "{}: {of}{} is public, and nobody outside of its crate uses it",
                file.display(),
                item.name
            )
        })
        .collect())
}

fn public_items(tree: &Tree) -> Vec<Public> {
    let mut items = Vec::new();
    for module in &tree.modules {
        let file = &tree.files[module.file];
        let mut add = |name: &syn::Ident, of: Option<&str>, seen: TokenStream| {
            let mut words = BTreeSet::new();
            collect(seen, &mut words);
            items.push(Public {
                file: file.clone(),
                name: name.to_string(),
                of: of.map(str::to_owned),
                seen: words,
            });
        };
        for item in &module.items {
            match item {
                Item::Fn(item) if is_public(&item.vis) => {
                    add(&item.sig.ident, None, item.sig.to_token_stream());
                }
                Item::Const(item) if is_public(&item.vis) => {
                    add(&item.ident, None, item.ty.to_token_stream());
                }
                Item::Static(item) if is_public(&item.vis) => {
                    add(&item.ident, None, item.ty.to_token_stream());
                }
                Item::Type(item) if is_public(&item.vis) => {
                    add(&item.ident, None, item.ty.to_token_stream());
                }
                Item::Enum(item) if is_public(&item.vis) => {
                    add(&item.ident, None, item.variants.to_token_stream());
                }
                Item::Struct(item) if is_public(&item.vis) => {
                    add(&item.ident, None, public_fields(&item.fields));
                }
                Item::Trait(item) if is_public(&item.vis) => {
                    let seen = item.items.iter().map(|item| match item {
                        TraitItem::Fn(function) => function.sig.to_token_stream(),
                        other => other.to_token_stream(),
                    });
                    add(&item.ident, None, seen.collect());
                }
                Item::Impl(block) if block.trait_.is_none() => {
                    let of = block.self_ty.to_token_stream().to_string();
                    let of = of.split([' ', '<']).next().map(str::to_owned);
                    for item in &block.items {
                        match item {
                            ImplItem::Fn(function) if is_public(&function.vis) => {
                                let seen = function.sig.to_token_stream();
                                add(&function.sig.ident, of.as_deref(), seen);
                            }
                            ImplItem::Const(constant) if is_public(&constant.vis) => {
                                add(
                                    &constant.ident,
                                    of.as_deref(),
                                    constant.ty.to_token_stream(),
                                );
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }
    items
}

fn public_fields(fields: &Fields) -> TokenStream {
    let seen = fields.iter().filter(|field| is_public(&field.vis));
    seen.map(|field| field.ty.to_token_stream()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_outside_needs_is_found() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it is in a folder"))
                .expect("a folder can be made");
            fs::write(&path, text).expect("a file can be written");
            path
        };
        let files = [
            write(
                "a/src/lib.rs",
                "pub struct Used; pub struct Answer; pub struct Vain; \
                 impl Used { pub fn ask() -> Answer { Answer } pub fn idle() -> Vain { Vain } pub(crate) fn own() {} }",
            ),
            write("a/tests/it.rs", "fn it() { a::Used::ask(); }"),
        ];
        let home = folder.path().join("a");
        let words = Words::read(&files, std::slice::from_ref(&home)).expect("files can be read");
        let found = check(folder.path(), &home, &words).expect("the crate can be read");
        assert_eq!(
            found,
            [
                "a/src/lib.rs: Vain is public, and nobody outside of its crate uses it",
                "a/src/lib.rs: Used::idle is public, and nobody outside of its crate uses it"
            ]
        );
    }
}
