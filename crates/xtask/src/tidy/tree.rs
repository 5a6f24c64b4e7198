//! A crate's source as modules, and what a path in it names: enough to know which file uses which. Tests are left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, ImplItem, Item, Meta, Token, Type, UseTree, Visibility};

/// How often one name may lead to another before it is given up.
const ALIASES_MAX: usize = 16;

/// The modules of a crate; the first is its root.
pub(crate) struct Tree {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) modules: Vec<Module>,
    /// Methods and associated functions by the type that has them.
    pub(crate) methods: BTreeMap<Name, BTreeMap<String, usize>>,
    /// Types of fields, by the type that has them.
    fields: BTreeMap<Name, BTreeMap<String, Name>>,
}

/// One module, and what is said in it.
pub(crate) struct Module {
    /// Its file, as an index.
    pub(crate) file: usize,
    pub(crate) items: Vec<Item>,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// Names of items that are defined here.
    defined: Vec<String>,
    /// What `use` makes known here.
    aliases: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// An item: its module, as an index, and its name there.
pub(crate) type Name = (usize, String);

/// What a path leads to.
enum Target {
    Module(usize),
    /// An item, and the segment behind it.
    Item(Name, Option<String>),
}

impl Tree {
    /// Reads a crate from its `lib.rs` or `main.rs`.
    pub(crate) fn read(root: &Path) -> Result<Tree> {
        let mut tree = Tree {
            files: Vec::new(),
            modules: Vec::new(),
            methods: BTreeMap::new(),
            fields: BTreeMap::new(),
        };
        let folder = root.parent().unwrap_or(root).to_owned();
        tree.read_file(root, &folder, None)?;
        tree.note_types();
        Ok(tree)
    }

    fn read_file(&mut self, path: &Path, folder: &Path, parent: Option<usize>) -> Result<usize> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let source = syn::parse_file(&text)
            .with_context(|| format!("cannot understand {}", path.display()))?;
        let file = self.files.len();
        self.files.push(path.to_owned());
        self.add_module(source.items, file, folder, parent)
    }

    /// `folder` is where the files of its children are.
    fn add_module(
        &mut self,
        items: Vec<Item>,
        file: usize,
        folder: &Path,
        parent: Option<usize>,
    ) -> Result<usize> {
        let index = self.modules.len();
        self.modules.push(Module {
            file,
            items: Vec::new(),
            parent,
            children: BTreeMap::new(),
            defined: Vec::new(),
            aliases: BTreeMap::new(),
            globs: Vec::new(),
        });
        for item in items {
            match item {
                Item::Mod(module) => {
                    if is_for_tests(&module.attrs) {
                        continue;
                    }
                    let name = module.ident.to_string();
                    let child = match module.content {
                        Some((_, items)) => {
                            self.add_module(items, file, &folder.join(&name), Some(index))?
                        }
                        None => {
                            let (path, folder) = file_of(&module.attrs, folder, &name);
                            self.read_file(&path, &folder, Some(index))?
                        }
                    };
                    self.modules[index].children.insert(name, child);
                }
                Item::Use(ref import) => {
                    if !is_for_tests(&import.attrs) {
                        self.modules[index].import(&import.tree, &mut Vec::new());
                        self.modules[index].items.push(item);
                    }
                }
                item => {
                    if !attributes(&item).is_some_and(is_for_tests) {
                        self.modules[index].defined.extend(name_of(&item));
                        self.modules[index].items.push(item);
                    }
                }
            }
        }
        Ok(index)
    }

    /// Which types have which fields and methods.
    fn note_types(&mut self) {
        let mut fields: BTreeMap<Name, BTreeMap<String, Name>> = BTreeMap::new();
        let mut methods: BTreeMap<Name, BTreeMap<String, usize>> = BTreeMap::new();
        for (index, module) in self.modules.iter().enumerate() {
            for item in &module.items {
                match item {
                    Item::Struct(item) => {
                        let Fields::Named(named) = &item.fields else {
                            continue;
                        };
                        let types = named.named.iter().filter_map(|field| {
                            let name = field.ident.as_ref()?.to_string();
                            Some((name, self.type_name(index, &field.ty)?))
                        });
                        fields.insert((index, item.ident.to_string()), types.collect());
                    }
                    Item::Impl(item) if item.trait_.is_none() => {
                        let Some(of) = self.type_name(index, &item.self_ty) else {
                            continue;
                        };
                        let functions = item.items.iter().filter_map(|item| match item {
                            ImplItem::Fn(function) => {
                                Some((function.sig.ident.to_string(), module.file))
                            }
                            _ => None,
                        });
                        methods.entry(of).or_default().extend(functions);
                    }
                    _ => {}
                }
            }
        }
        self.fields = fields;
        self.methods = methods;
    }

    /// The type of this crate that a type is, refers to, or is boxed.
    pub(crate) fn type_name(&self, module: usize, ty: &Type) -> Option<Name> {
        match ty {
            Type::Reference(reference) => self.type_name(module, &reference.elem),
            Type::Paren(paren) => self.type_name(module, &paren.elem),
            Type::Path(path) => {
                let last = path.path.segments.last()?;
                if last.ident == "Box"
                    && let syn::PathArguments::AngleBracketed(arguments) = &last.arguments
                    && let Some(syn::GenericArgument::Type(inner)) = arguments.args.first()
                {
                    return self.type_name(module, inner);
                }
                let segments: Vec<String> = (path.path.segments.iter())
                    .map(|s| s.ident.to_string())
                    .collect();
                Some(self.item(module, &segments)?.0)
            }
            _ => None,
        }
    }

    /// The type of a field, if it is one of this crate.
    pub(crate) fn field(&self, of: &Name, field: &str) -> Option<&Name> {
        self.fields.get(of)?.get(field)
    }

    /// The item that a path said in `module` names, and the segment behind it. `None` for modules, for what is another
    /// crate's, and for what is local to a function.
    pub(crate) fn item(&self, module: usize, path: &[String]) -> Option<(Name, Option<String>)> {
        match self.follow(module, path, ALIASES_MAX)? {
            Target::Item(name, next) => Some((name, next)),
            Target::Module(_) => None,
        }
    }

    fn follow(&self, module: usize, path: &[String], aliases: usize) -> Option<Target> {
        let aliases = aliases.checked_sub(1)?;
        let mut here = module;
        for (at, segment) in path.iter().enumerate() {
            let is_first = at == 0 || matches!(path[at - 1].as_str(), "self" | "super");
            match segment.as_str() {
                "crate" if at == 0 => here = 0,
                "self" if at == 0 => {}
                "super" if is_first => here = self.modules[here].parent?,
                name => match self.look_up(here, name, aliases) {
                    Some(Target::Module(next)) => here = next,
                    Some(Target::Item(item, None)) => {
                        return Some(Target::Item(item, path.get(at + 1).cloned()));
                    }
                    // A variant or a constant that was imported by its type.
                    Some(found) => return Some(found),
                    // What a macro defines in that module.
                    None if at > 0 => {
                        let item = (here, name.to_owned());
                        return Some(Target::Item(item, path.get(at + 1).cloned()));
                    }
                    None => return None,
                },
            }
        }
        Some(Target::Module(here))
    }

    fn look_up(&self, module: usize, name: &str, aliases: usize) -> Option<Target> {
        let here = &self.modules[module];
        if let Some(child) = here.children.get(name) {
            return Some(Target::Module(*child));
        }
        if here.defined.iter().any(|defined| defined == name) {
            return Some(Target::Item((module, name.to_owned()), None));
        }
        if let Some(path) = here.aliases.get(name) {
            // `use name::…` of another crate must not find itself.
            if path.first().is_some_and(|first| first == name) {
                return None;
            }
            return self.follow(module, path, aliases);
        }
        here.globs.iter().find_map(|glob| {
            match self.follow(module, glob, aliases.checked_sub(1)?)? {
                Target::Module(other) if other != module => {
                    self.look_up(other, name, aliases.checked_sub(1)?)
                }
                _ => None,
            }
        })
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, path: &mut Vec<String>) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.import(&part.tree, path);
                path.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = path.last().cloned() {
                    self.aliases.insert(last, path.clone());
                }
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                let mut whole = path.clone();
                whole.push(name.clone());
                self.aliases.insert(name, whole);
            }
            UseTree::Rename(rename) => {
                let mut whole = path.clone();
                if rename.ident != "self" {
                    whole.push(rename.ident.to_string());
                }
                self.aliases.insert(rename.rename.to_string(), whole);
            }
            UseTree::Glob(_) => self.globs.push(path.clone()),
        }
    }
}

/// The file of a module that is declared in a file whose children are in `folder`, and where its own children are.
fn file_of(attributes: &[Attribute], folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let given = attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        });
    if let Some(given) = given {
        let path = folder.join(given);
        let own = path.parent().unwrap_or(folder).to_owned();
        return (path, own);
    }
    let own = folder.join(name);
    let nested = own.join("mod.rs");
    let path = if nested.is_file() {
        nested
    } else {
        folder.join(format!("{name}.rs"))
    };
    (path, own)
}

/// Whether it is compiled for tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                    .is_ok_and(|metas| metas.iter().any(|meta| meta.path().is_ident("test")))
    })
}

/// Whether it is for everyone.
pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        _ => return None,
    })
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        _ => return None,
    })
}
