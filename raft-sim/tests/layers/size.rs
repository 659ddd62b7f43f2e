//! How long files and functions are, and how wide lines.

use crate::sources::{Source, entries};
use std::fs;
use std::path::Path;

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;
const WIDEST_CODE: usize = 100;
const WIDEST_DOCS: usize = 120;

/// How a long file or function gives its reason, in a comment above its first line.
const REASON: &str = "Long because";

/// The file, and each function of it, that is too long and does not say why.
pub(crate) fn too_long(source: &Source) -> Vec<String> {
    let text = source.without_tests();
    let lines: Vec<_> = text.lines().collect();
    let mut all = Vec::new();
    let head = lines.iter().take_while(|line| line.starts_with("//!"));
    if lines.len() > LONGEST_FILE && !says_why(head) {
        all.push(format!("{} lines, without a reason", lines.len()));
    }
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
        let length = length_of_function(&lines[start..]);
        let above = |line: &&&str| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with('#')
        };
        let reason = says_why(lines[..start].iter().rev().take_while(above));
        if length > LONGEST_FUNCTION && !reason {
            all.push(format!("{length} lines, without a reason: `{}`", line.trim()));
        }
    }
    all
}

fn says_why<'a>(mut comment: impl Iterator<Item = &'a &'a str>) -> bool {
    comment.any(|line| line.contains(REASON))
}

fn begins_function(line: &str) -> bool {
    let mut words = line.trim_start().split(' ');
    let known = |word: &&str| ["pub", "pub(crate)", "pub(super)", "const"].contains(word);
    words.find(|word| !known(word)) == Some("fn")
}

/// How many lines it has, first and last included: rustfmt puts its end where it began.
fn length_of_function(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let end = format!("{}}}", " ".repeat(indent));
    if lines[0].ends_with(['}', ';']) {
        return 1;
    }
    1 + lines.iter().position(|line| **line == end).unwrap_or(lines.len())
}

/// The wide lines of all sources in a folder and below, comments included.
pub(crate) fn wide_code(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for path in entries(folder) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" {
            all.extend(wide_code(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            all.extend(
                wide(&text, WIDEST_CODE).into_iter().map(|nth| format!("{}:{nth}", path.display())),
            );
        }
    }
    all
}

/// The wide lines of the pages for people; tables and what is printed may be wider.
pub(crate) fn wide_docs(workspace: &Path) -> Vec<String> {
    let mut pages: Vec<_> = entries(&workspace.join("docs"));
    pages.push(workspace.join("README.md"));
    let mut all = Vec::new();
    for path in pages.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(path).expect("a page");
        all.extend(wide_prose(&text).into_iter().map(|nth| format!("{}:{nth}", path.display())));
    }
    all
}

fn wide_prose(text: &str) -> Vec<usize> {
    let mut quoted = false;
    let mut prose = String::new();
    for line in text.lines() {
        quoted ^= line.trim_start().starts_with("```");
        let is_prose = !quoted && !line.trim_start().starts_with('|');
        prose.push_str(if is_prose { line } else { "" });
        prose.push('\n');
    }
    wide(&prose, WIDEST_DOCS)
}

/// The numbers of the lines that are wider than that.
fn wide(text: &str, widest: usize) -> Vec<usize> {
    let lines = text.lines().enumerate().filter(move |(_, line)| line.chars().count() > widest);
    lines.map(|(nth, _)| nth + 1).collect()
}

#[test]
fn long_and_wide_is_seen() {
    let source = |text: &str| too_long(&Source::new("x", text)).len();
    let body = "    let _ = 1;\n".repeat(LONGEST_FUNCTION);
    let long = format!("/// Does a lot.\npub(crate) fn f() {{\n{body}}}\n");
    assert_eq!(source(&long), 1);
    assert_eq!(source(&format!("// {REASON} it is a table.\n{long}")), 0);
    assert_eq!(source(&"fn f() {}\n".repeat(LONGEST_FILE + 1)), 1);
    assert_eq!(source(&"fn f() {}\n".repeat(LONGEST_FILE)), 0);
    let line = |width: usize| format!("// {}\n", "x".repeat(width - 3));
    assert_eq!(wide(&line(WIDEST_CODE), WIDEST_CODE).len(), 0);
    assert_eq!(wide(&line(WIDEST_CODE + 1), WIDEST_CODE).len(), 1);
    let page = format!("{}| {}", line(WIDEST_DOCS + 1), line(WIDEST_DOCS + 9));
    assert_eq!(wide_prose(&page), [1]);
}
