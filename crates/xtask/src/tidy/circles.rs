//! Circles of files: a file of a crate that uses, itself or by others, a file that uses it. What is re-exported counts as the file
//! that it comes from, a method as the file that it is written in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, FnArg, ImplItem, Item, Pat, Signature, UseTree};

use super::tree::{Name, Tree};

/// For each file those that it uses, and a name that shows it.
type Uses = Vec<BTreeMap<usize, String>>;

/// Finds the circles in the sources of a crate.
pub(crate) fn check(root: &Path, home: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for start in ["src/lib.rs", "src/main.rs"] {
        let start = home.join(start);
        if !start.is_file() {
            continue;
        }
        let tree = Tree::read(&start)?;
        let uses = uses(&tree);
        for circle in circles(&uses) {
            findings.push(tell(root, &tree, &uses, &circle));
        }
    }
    Ok(findings)
}

fn tell(root: &Path, tree: &Tree, uses: &Uses, circle: &Circle) -> String {
    let name = |file: usize| {
        let path = &tree.files[file];
        path.strip_prefix(root).unwrap_or(path).display()
    };
    let way: Vec<String> = (circle.way.iter())
        .zip(circle.way.iter().cycle().skip(1))
        .map(|(from, to)| format!("{} → {} ({})", name(*from), name(*to), uses[*from][to]))
        .collect();
    format!(
        "{} files use each other in a circle: {}",
        circle.files,
        way.join(", ")
    )
}

/// Which file uses which.
fn uses(tree: &Tree) -> Uses {
    let mut uses: Uses = vec![BTreeMap::new(); tree.files.len()];
    for (module, content) in tree.modules.iter().enumerate() {
        let mut reader = Reader {
            tree,
            module,
            file: content.file,
            own: None,
            variables: BTreeMap::new(),
            uses: &mut uses,
        };
        for item in &content.items {
            reader.visit_item(item);
        }
    }
    uses
}

/// Reads what one module says.
struct Reader<'a> {
    tree: &'a Tree,
    module: usize,
    file: usize,
    /// The type whose `impl` this is.
    own: Option<Name>,
    /// Types of what a function was given.
    variables: BTreeMap<String, Name>,
    uses: &'a mut Uses,
}

impl Reader<'_> {
    fn add(&mut self, file: usize, name: &str) {
        if file != self.file {
            self.uses[self.file]
                .entry(file)
                .or_insert_with(|| name.to_owned());
        }
    }

    fn path(&mut self, segments: &[String]) {
        let found = match (segments.first(), &self.own) {
            (Some(first), Some(own)) if first == "Self" => {
                Some((own.clone(), segments.get(1).cloned()))
            }
            _ => self.tree.item(self.module, segments),
        };
        let Some((item, next)) = found else {
            return;
        };
        self.add(self.tree.modules[item.0].file, &item.1);
        if let Some(method) = next {
            self.method(&item, &method);
        }
    }

    fn method(&mut self, of: &Name, method: &str) {
        let methods = self.tree.methods.get(of);
        if let Some(file) = methods.and_then(|methods| methods.get(method)) {
            self.add(*file, &format!("{}::{method}", of.1));
        }
    }

    /// The type of an expression, where it is easy to say.
    fn type_of(&self, expression: &Expr) -> Option<Name> {
        match expression {
            Expr::Path(path) => {
                let name = path.path.get_ident()?.to_string();
                match name.as_str() {
                    "self" => self.own.clone(),
                    name => self.variables.get(name).cloned(),
                }
            }
            Expr::Field(field) => {
                let syn::Member::Named(name) = &field.member else {
                    return None;
                };
                let base = self.type_of(&field.base)?;
                self.tree.field(&base, &name.to_string()).cloned()
            }
            Expr::Paren(inner) => self.type_of(&inner.expr),
            Expr::Reference(inner) => self.type_of(&inner.expr),
            _ => None,
        }
    }

    fn note_variables(&mut self, signature: &Signature) {
        self.variables.clear();
        for input in &signature.inputs {
            if let FnArg::Typed(typed) = input
                && let Pat::Ident(name) = &*typed.pat
                && let Some(of) = self.tree.type_name(self.module, &typed.ty)
            {
                self.variables.insert(name.ident.to_string(), of);
            }
        }
    }

    /// Paths among tokens that nobody has parsed yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut is_member = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end(&mut path, is_member);
                        is_member = colons == 9;
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && colons < 2 => colons += 1,
                // What follows a point is no path.
                TokenTree::Punct(mark) if mark.as_char() == '.' => {
                    self.end(&mut path, is_member);
                    colons = 9;
                }
                TokenTree::Group(group) => {
                    self.end(&mut path, is_member);
                    colons = 0;
                    self.tokens(group.stream());
                }
                _ => {
                    self.end(&mut path, is_member);
                    colons = 0;
                }
            }
        }
        self.end(&mut path, is_member);
    }

    fn end(&mut self, path: &mut Vec<String>, is_member: bool) {
        let path = std::mem::take(path);
        if !path.is_empty() && !is_member {
            self.path(&path);
        }
    }

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
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.path(path);
                path.pop();
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.path(path);
                path.pop();
            }
            UseTree::Glob(_) => {}
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        match item {
            // A re-export uses nothing: whoever uses it uses the file that it comes from.
            Item::Use(import) => {
                if matches!(import.vis, syn::Visibility::Inherited) {
                    self.import(&import.tree, &mut Vec::new());
                }
            }
            Item::Impl(block) => {
                self.own = self.tree.type_name(self.module, &block.self_ty);
                visit::visit_item_impl(self, block);
                self.own = None;
            }
            item => visit::visit_item(self, item),
        }
    }

    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.note_variables(&function.sig);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        if let ImplItem::Fn(function) = item {
            self.note_variables(&function.sig);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.path(&segments);
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        if let Some(of) = self.type_of(&call.receiver) {
            self.method(&of, &call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

/// Files that use each other.
struct Circle {
    /// How many are in it, on whatever way.
    files: usize,
    /// One of the shortest ways around.
    way: Vec<usize>,
}

fn circles(uses: &Uses) -> Vec<Circle> {
    let reach: Vec<BTreeSet<usize>> = (0..uses.len()).map(|file| reached(uses, file)).collect();
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for file in 0..uses.len() {
        if !reach[file].contains(&file) || told.contains(&file) {
            continue;
        }
        let together: Vec<usize> = (reach[file].iter().copied())
            .filter(|other| reach[*other].contains(&file))
            .collect();
        told.extend(together.iter().copied());
        let ways = together.iter().filter_map(|file| way_back(uses, *file));
        if let Some(way) = ways.min_by_key(Vec::len) {
            circles.push(Circle {
                files: together.len(),
                way,
            });
        }
    }
    circles
}

fn reached(uses: &Uses, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        open.extend(uses[file].keys().filter(|next| reached.insert(**next)));
    }
    reached
}

/// The shortest way from a file back to it.
fn way_back(uses: &Uses, from: usize) -> Option<Vec<usize>> {
    let mut came: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open = VecDeque::from([from]);
    while let Some(file) = open.pop_front() {
        if uses[file].contains_key(&from) {
            let mut way = vec![file];
            while *way.last()? != from {
                way.push(*came.get(way.last()?)?);
            }
            way.reverse();
            return Some(way);
        }
        for next in uses[file].keys() {
            if *next != from && !came.contains_key(next) {
                came.insert(*next, file);
                open.push_back(*next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What is found in a crate of these files.
    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for (name, text) in files {
            let path = folder.path().join("src").join(name);
            fs::create_dir_all(path.parent().expect("it is in a folder"))
                .expect("a folder can be made");
            fs::write(path, text).expect("a file can be written");
        }
        check(folder.path(), folder.path()).expect("the crate can be read")
    }

    #[test]
    fn a_planted_circle_is_found() {
        let found = findings(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub(crate) fn a() { crate::b::b() }"),
            (
                "b.rs",
                "use crate::c::C; pub(crate) fn b() { let _: Option<C> = None; }",
            ),
            (
                "c.rs",
                "pub(crate) struct C; pub(crate) fn c() { use crate::a::a; a() }",
            ),
        ]);
        assert_eq!(
            found,
            [
                "3 files use each other in a circle: src/a.rs → src/b.rs (b), src/b.rs → src/c.rs (C), src/c.rs → src/a.rs (a)"
            ]
        );
    }

    #[test]
    fn a_re_export_counts_as_the_file_that_it_comes_from() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("a.rs", "pub struct A;"),
            ("b.rs", "use crate::A; pub struct B(A);"),
        ];
        assert_eq!(findings(&files), Vec::<String>::new());
        let files = [
            files[0],
            (
                "a.rs",
                "pub struct A; impl A { pub fn b() -> crate::B { panic!() } }",
            ),
            files[2],
        ];
        assert_eq!(findings(&files).len(), 1);
    }

    #[test]
    fn what_a_macro_defines_is_of_its_module() {
        let a = "macro_rules! define { ($a:ident) => { pub(crate) struct $a; } } define!(A); fn f() { crate::b::b() }";
        let b = "use crate::a::A; pub(crate) fn b() { let _: Option<A> = None; }";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b)];
        assert_eq!(findings(&files).len(), 1);
    }

    #[test]
    fn a_method_is_used_where_it_is_written() {
        let lib = "mod a; mod b;";
        let a = "pub(crate) struct A; impl A { fn one(&self) { self.two() } }";
        let b = "use crate::a::A; impl A { pub(crate) fn two(&self) {} }";
        assert_eq!(
            findings(&[("lib.rs", lib), ("a.rs", a), ("b.rs", b)]).len(),
            1
        );
        let a = "pub(crate) struct A; impl A { pub(crate) fn one(&self) {} }";
        let b = "use crate::a::A; impl A { fn two(&self) { self.one() } }";
        assert!(findings(&[("lib.rs", lib), ("a.rs", a), ("b.rs", b)]).is_empty());
        // By a field, and by a parameter.
        let a = "use crate::b::B; pub(crate) struct A { b: B } fn of(a: &A) { a.b.two() }";
        let b = "pub(crate) struct B; impl B { pub(crate) fn two(&self) {} fn three(a: &crate::a::A) {} }";
        assert_eq!(
            findings(&[("lib.rs", lib), ("a.rs", a), ("b.rs", b)]).len(),
            1
        );
    }

    #[test]
    fn macros_and_modules_by_path_are_read_and_tests_are_not() {
        let lib = "#[path = \"deep/x.rs\"] mod a; mod b;";
        let a = "pub(crate) const A: u8 = 1; fn f() { assert!(super::b::B > 1, \"{}\", A) }";
        let b = "pub(crate) const B: u8 = 2; #[cfg(test)] mod tests { use crate::a::A; }";
        assert!(findings(&[("lib.rs", lib), ("deep/x.rs", a), ("b.rs", b)]).is_empty());
        let b = "pub(crate) const B: u8 = crate::a::A;";
        assert_eq!(
            findings(&[("lib.rs", lib), ("deep/x.rs", a), ("b.rs", b)]).len(),
            1
        );
    }
}
