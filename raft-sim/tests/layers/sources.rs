//! The sources as text, a file each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A file of sources.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The path of its module, such as `plan::act::link`; `lib` and `main` are those files.
    pub(crate) module: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(module: &str, text: &str) -> Self {
        Self { module: module.to_owned(), text: text.to_owned() }
    }

    /// The file without its tests.
    pub(crate) fn without_tests(&self) -> String {
        let Some((before, tests)) = self.text.split_once("#[cfg(test)]\nmod tests {") else {
            return self.text.clone();
        };
        before.to_owned() + tests.split_once("\n}\n").map_or("", |(_, after)| after)
    }

    /// The code without tests and comments, as far as our sources need it.
    pub(crate) fn code(&self) -> String {
        let line = |line: &str| line.split("//").next().unwrap_or("").to_owned();
        self.without_tests().lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Each file of a folder and below, but for those that are compiled for tests only.
pub(crate) fn read(folder: &Path) -> Vec<Source> {
    let mut all = Vec::new();
    collect(folder, "", &mut all);
    let tests: Vec<String> = all.iter().flat_map(test_modules).collect();
    let is_test = |module: &str| {
        tests.iter().any(|test| module == test || module.starts_with(&format!("{test}::")))
    };
    all.retain(|source| !is_test(&source.module));
    all
}

fn collect(folder: &Path, prefix: &str, all: &mut Vec<Source>) {
    for path in entries(folder) {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{stem}::"), all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match stem.as_str() {
                "mod" => prefix.trim_end_matches("::").to_owned(),
                _ => format!("{prefix}{stem}"),
            };
            all.push(Source { module, text: fs::read_to_string(&path).expect("a source file") });
        }
    }
}

/// What stands in a folder, in the order of its names.
pub(crate) fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|_| panic!("{} is there", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    entries
}

/// The modules that a file declares for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let mut all = Vec::new();
    for pair in source.text.lines().collect::<Vec<_>>().windows(2) {
        let name = pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ");
        if let Some(name) = name.and_then(|name| name.strip_suffix(';'))
            && pair[0].trim() == "#[cfg(test)]"
        {
            all.push(match source.module.as_str() {
                "lib" => name.to_owned(),
                module => format!("{module}::{name}"),
            });
        }
    }
    all
}

/// Modules that are a file beside a folder of the same name.
pub(crate) fn two_styles(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            if path.with_extension("rs").is_file() {
                all.push(path.display().to_string());
            }
            all.extend(two_styles(&path));
        }
    }
    all
}

/// Public items that nothing names but their own definition and what hands them on.
pub(crate) fn dead(workspace: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["raft-core", "raft-sim", "fuzz/targets", "docs"] {
        texts_of(&workspace.join(folder), &mut texts);
    }
    texts.push(fs::read_to_string(workspace.join("README.md")).expect("the README"));
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for text in &texts {
        for word in without_reexports(text).split(|c: char| !c.is_alphanumeric() && c != '_') {
            *named.entry(word.to_owned()).or_default() += 1;
        }
    }
    let sources = ["raft-core", "raft-sim"].map(|name| read(&workspace.join(name).join("src")));
    let items = sources.iter().flatten().flat_map(|source| {
        public_items(source).into_iter().map(|item| (source.module.clone(), item))
    });
    let is_dead = |(_, item): &(String, String)| named.get(item).is_none_or(|times| *times < 2);
    items.filter(is_dead).map(|(module, item)| format!("{module}::{item}")).collect()
}

fn texts_of(folder: &Path, texts: &mut Vec<String>) {
    for path in entries(folder) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" {
            texts_of(&path, texts);
        } else if path.extension().is_some_and(|of| of == "rs" || of == "md") {
            texts.push(fs::read_to_string(&path).expect("a text"));
        }
    }
}

/// The text without the lists of what is handed on.
fn without_reexports(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("pub use ") {
        kept.push_str(&rest[..at]);
        rest = rest[at..].split_once(';').map_or("", |(_, after)| after);
    }
    kept + rest
}

/// The names of the public items of a file, at its top level.
pub(crate) fn public_items(source: &Source) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) "))?;
        let rest = rest.strip_prefix("const fn ").map_or(rest, |name| name);
        let kinds = ["fn ", "struct ", "enum ", "trait ", "const ", "type ", "static "];
        let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind)).unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let keywords = ["mod", "use", "const", "struct", "enum", "fn", "trait", ""];
        Some(rest[..end].to_owned()).filter(|name| !keywords.contains(&name.as_str()))
    };
    source.without_tests().lines().filter_map(name).collect()
}

#[test]
fn files_for_tests_only_are_left_out() {
    let root = Source::new("checker", "mod a;\n#[cfg(test)]\nmod oracles;\n");
    assert_eq!(test_modules(&root), ["checker::oracles"]);
    let item = Source::new("x", "pub const fn f() {}\npub(crate) struct S;\nfn g() {}\n");
    assert_eq!(public_items(&item), ["f", "S"]);
    assert_eq!(without_reexports("a\npub use b::{c, d};\ne"), "a\n\ne");
    let tests = "a\n#[cfg(test)]\nmod tests {\n    b\n}\n\nc\n";
    assert_eq!(Source::new("x", tests).without_tests(), "a\n\nc\n", "what stands behind counts");
}
