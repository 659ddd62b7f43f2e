//! Who imports whom.

use crate::sources::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Every path into the crate that the code of `module` names, without the `crate::` before it.
pub(crate) fn paths(module: &str, code: &str) -> Vec<String> {
    let flat = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut all = Vec::new();
    for (root, prefix) in [("crate::", ""), ("super::", parent), ("self::", module)] {
        for (at, _) in flat.match_indices(root) {
            let inside = flat[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
            if !inside {
                let (paths, _) = expand(&flat[at + root.len()..]);
                all.extend(paths.iter().map(|path| match prefix {
                    "" => path.clone(),
                    prefix => format!("{prefix}::{path}"),
                }));
            }
        }
    }
    all
}

/// `a::{b, c::d}` names `a::b` and `a::c::d`. The paths, and the rest of the text.
fn expand(text: &str) -> (Vec<String>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut all = Vec::new();
        loop {
            let (paths, after) = expand(rest);
            all.extend(paths.into_iter().filter(|path| !path.is_empty()));
            let after = after.trim_start();
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return (all, after.strip_prefix('}').unwrap_or(after)),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(inner) if !inner.starts_with(['<', '*']) => {
            let (paths, rest) = expand(inner);
            (paths.iter().map(|path| format!("{name}::{path}")).collect(), rest)
        }
        _ => (vec![name.to_owned()], rest.strip_prefix("::*").unwrap_or(rest)),
    }
}

/// For each file, the files that it imports from. A file that hands on what lies in the files of
/// its folder does not import it for that.
pub(crate) fn graph(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<&str> = sources.iter().map(|source| source.module.as_str()).collect();
    let of = |path: &str| {
        let known = |name: &&&str| path == **name || path.starts_with(&format!("{name}::"));
        modules.iter().filter(known).max_by_key(|name| name.len()).map(|name| (*name).to_owned())
    };
    let edges = |source: &Source| {
        let named = paths(&source.module, &source.code()).into_iter();
        let imported = named.map(|path| of(&path).unwrap_or_else(|| "lib".to_owned()));
        (source.module.clone(), imported.filter(|name| *name != source.module).collect())
    };
    sources.iter().map(edges).collect()
}

/// Groups of files each of which imports, perhaps by way of others, from all the others.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let graph = graph(sources);
    let reaches = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = next.pop() {
            for to in graph.get(&at).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let closure: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|from| (from, reaches(from))).collect();
    let mut all: Vec<Vec<String>> = Vec::new();
    for (from, seen) in closure.iter().filter(|(from, seen)| seen.contains(**from)) {
        let back = |to: &&String| closure.get(*to).is_some_and(|seen| seen.contains(*from));
        let circle: Vec<String> = seen.iter().filter(back).cloned().collect();
        if !all.contains(&circle) {
            all.push(circle);
        }
    }
    all
}

/// Modules of our own that are imported whole.
pub(crate) fn globs(source: &Source) -> Vec<String> {
    let of_ours = |line: &&str| {
        let line = line.trim_start();
        let ours = ["use crate", "use super", "use self", "pub use "];
        ours.iter().any(|start| line.starts_with(start)) && line.contains("::*")
    };
    let code = Source::new(&source.module, &source.text.replace("mod tests {", "mod tests_ {"));
    code.code().lines().filter(of_ours).map(|line| format!("`{}`", line.trim())).collect()
}

#[test]
fn imports_circles_and_globs_are_seen() {
    let source = Source::new;
    let named = paths("state::log", "use crate::{a::B,\n c::{self, D}};\nuse super::quorum;");
    assert_eq!(named, ["a::B", "c::self", "c::D", "state::quorum"]);
    let one = source("a", "use crate::b::B;");
    let two = source("b", "use crate::c::C;");
    let three = source("c", "fn f() { crate::a::g() }");
    let circle = ["a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(circles(&[one.clone(), two.clone(), three]), [circle]);
    let tests = "// use crate::a::A;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}";
    assert_eq!(circles(&[one, two, source("c", tests)]), Vec::<Vec<String>>::new());
    assert_eq!(globs(&source("a", "use crate::b::*;\nuse proptest::prelude::*;")).len(), 1);
}
