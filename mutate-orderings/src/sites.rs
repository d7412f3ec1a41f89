//! Where `src/` orders memory, and how each of these places can be weakened.

use anyhow::{Context, Result};
use proc_macro2::Span;
use quote::ToTokens;
use std::{collections::HashMap, fs, ops::Range, path::Path};
use syn::{
    spanned::Spanned,
    visit::{self, Visit},
    Attribute, Expr, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, Meta, Stmt,
};

/// One way to weaken one place.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Says the same of the same code, wherever it stands in its file.
    pub name: String,
    /// From the root of the repository.
    pub file: String,
    pub function: String,
    pub line: usize,
    /// What stands there, and what becomes of it.
    pub change: String,
    /// No model sees it: the atomic is not loom's, or a model has no such code.
    pub is_unseen: bool,
    /// The file as it is, and as it becomes.
    pub before: String,
    pub after: String,
}

/// All mutants of the files in `src/`, in the order of the files.
pub fn find(root: &Path) -> Result<Vec<Mutant>> {
    let mut files = Vec::new();
    list(&root.join("src"), &mut files)?;
    files.sort();
    let mut mutants = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let file = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let tree = syn::parse_file(&text).with_context(|| format!("{file} is no Rust"))?;
        let mut finder = Finder {
            file: &file,
            text: &text,
            function: Vec::new(),
            operation: None,
            is_real: false,
            imports_std: tree.items.iter().any(imports_std_ordering),
            seen: HashMap::new(),
            mutants: &mut mutants,
        };
        finder.visit_file(&tree);
    }
    Ok(mutants)
}

fn list(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The halves that are left of an ordering.
fn weaker(ordering: &str) -> &'static [&'static str] {
    match ordering {
        "Acquire" | "Release" => &["Relaxed"],
        "AcqRel" => &["Acquire", "Release"],
        "SeqCst" => &["AcqRel"],
        _ => &[],
    }
}

struct Finder<'a> {
    file: &'a str,
    text: &'a str,
    /// Types, modules and functions around this place.
    function: Vec<String>,
    /// The call whose argument this is.
    operation: Option<String>,
    /// Around this: left out of a model.
    is_real: bool,
    /// The file's atomics are never loom's.
    imports_std: bool,
    seen: HashMap<String, usize>,
    mutants: &'a mut Vec<Mutant>,
}

impl Finder<'_> {
    fn range(&self, span: Span) -> Range<usize> {
        span.byte_range()
    }

    fn source(&self, span: Span) -> String {
        let text = &self.text[self.range(span)];
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn weaken(&mut self, span: Span, change: String, to: &str, is_unseen: bool) {
        let function = self.function.join("::");
        let name = format!("{} {function}: {change}", self.file);
        let count = self.seen.entry(name.clone()).or_insert(0);
        *count += 1;
        let name = match *count {
            1 => name,
            again => format!("{name} #{again}"),
        };
        let mut after = self.text.to_owned();
        after.replace_range(self.range(span), to);
        self.mutants.push(Mutant {
            name,
            file: self.file.to_owned(),
            function,
            line: span.start().line,
            change,
            is_unseen: self.is_real || is_unseen,
            before: self.text.to_owned(),
            after,
        });
    }

    fn within(&mut self, name: String, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        if attributes.iter().any(|a| is_cfg(a, "test")) {
            return;
        }
        let was_real = self.is_real;
        self.is_real |= attributes.iter().any(is_not_in_a_model);
        self.function.push(name);
        visit(self);
        self.function.pop();
        self.is_real = was_real;
    }

    /// A barrier that stands for itself, as a statement.
    fn barrier(&mut self, statement: &Stmt) {
        let Stmt::Expr(expr, Some(_)) = statement else {
            return;
        };
        let (name, shown) = match expr {
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) => (
                    path.path.segments.last().unwrap().ident.to_string(),
                    self.source(expr.span()),
                ),
                _ => return,
            },
            Expr::MethodCall(call) => (call.method.to_string(), self.source(expr.span())),
            _ => return,
        };
        // Without the attributes that go with the statement.
        let shown = shown.rsplit_once(")] ").map_or(&*shown, |(_, call)| call);
        if ["fence", "compiler_fence", "light_barrier", "full_barrier"].contains(&&*name) {
            self.weaken(statement.span(), format!("`{shown}` → nothing"), "", false);
        }
    }

    /// What decides whether to sleep: the heavy barrier, and the look after it.
    fn sleep(&mut self, statements: &[Stmt]) {
        for (i, statement) in statements.iter().enumerate() {
            let Stmt::Local(local) = statement else {
                continue;
            };
            let heavy = match &local.init {
                Some(init) => &*init.expr,
                None => continue,
            };
            match heavy {
                Expr::MethodCall(call) if call.method == "heavy_barrier" => {}
                _ => continue,
            }
            self.weaken(
                heavy.span(),
                "`heavy_barrier` → nothing".to_owned(),
                "true",
                false,
            );
            let look = statements[i + 1..].iter().find_map(|next| match next {
                Stmt::Expr(Expr::If(branch), _) => Some(branch),
                _ => None,
            });
            if let Some(look) = look.filter(|look| self.source(look.cond.span()) == "ready()") {
                self.weaken(
                    look.cond.span(),
                    "the look after `heavy_barrier` → none".to_owned(),
                    "false",
                    false,
                );
            }
        }
    }
}

/// Whether a file takes its atomics from elsewhere than `crate::sync`.
fn imports_std_ordering(item: &Item) -> bool {
    let Item::Use(item) = item else {
        return false;
    };
    let text = item.to_token_stream().to_string();
    let is_std = text.starts_with("use std") || text.starts_with("use core");
    is_std && text.contains("Ordering")
}

fn is_cfg(attribute: &Attribute, wanted: &str) -> bool {
    attribute.path().is_ident("cfg") && condition(attribute).is_some_and(|c| c.contains(wanted))
}

fn is_not_in_a_model(attribute: &Attribute) -> bool {
    is_cfg(attribute, "not (all (loom")
}

/// What a `cfg` asks for, as its tokens are written.
fn condition(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::List(list) => Some(list.tokens.to_string()),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.within(item.ident.to_string(), &item.attrs, |finder| {
            visit::visit_item_mod(finder, item)
        });
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let mut name = self.source(item.self_ty.span());
        name.truncate(name.find('<').unwrap_or(name.len()));
        if let Some((_, of, _)) = &item.trait_ {
            name = format!("<{name} as {}>", of.segments.last().unwrap().ident);
        }
        self.within(name, &item.attrs, |finder| {
            visit::visit_item_impl(finder, item)
        });
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.within(item.sig.ident.to_string(), &item.attrs, |finder| {
            visit::visit_item_fn(finder, item)
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.within(item.sig.ident.to_string(), &item.attrs, |finder| {
            visit::visit_impl_item_fn(finder, item)
        });
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.sleep(&block.stmts);
        visit::visit_block(self, block);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Local(local) => &local.attrs[..],
            Stmt::Expr(Expr::If(branch), _) => &branch.attrs,
            Stmt::Expr(Expr::Call(call), _) => &call.attrs,
            Stmt::Expr(Expr::MethodCall(call), _) => &call.attrs,
            _ => &[],
        };
        let was_real = self.is_real;
        self.is_real |= attributes.iter().any(is_not_in_a_model);
        self.barrier(statement);
        visit::visit_stmt(self, statement);
        self.is_real = was_real;
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let receiver = self.source(call.receiver.span());
        let word = receiver.rsplit('.').next().unwrap_or_default();
        let outer = self.operation.replace(format!("{word}.{}", call.method));
        visit::visit_expr_method_call(self, call);
        self.operation = outer;
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let outer = self.operation.replace(self.source(call.func.span()));
        visit::visit_expr_call(self, call);
        self.operation = outer;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let operation = self.operation.clone().unwrap_or_default();
        if let [.., kind, ordering] = &names[..] {
            // A fence is taken away as a whole: each of ours is SeqCst because of the order of a store and a
            // later load, and no half of it is about that.
            let is_std = self.imports_std || ["core", "std"].contains(&&*names[0]);
            if kind == "Ordering" && !operation.ends_with("fence") {
                for to in weaker(ordering) {
                    let span = path.segments.last().unwrap().ident.span();
                    let change = format!("`{operation}` {ordering} → {to}");
                    self.weaken(span, change, to, is_std);
                }
            }
        }
        visit::visit_path(self, path);
    }
}
