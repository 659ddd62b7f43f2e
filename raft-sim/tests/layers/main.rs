//! The shape of the workspace: imports point one way, no files form a circle, files and functions
//! are short, lines are not wide, nothing public is dead. What clippy cannot say is said here.
//!
//! `cargo test --test layers -- --nocapture the_structure` prints the floors of both crates.

mod floors;
mod host;
mod imports;
mod order;
mod size;
mod sources;

use sources::{Source, read};
use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources of both crates.
fn crates() -> [(&'static str, Vec<Source>); 2] {
    let of = |name: &'static str| {
        let sources = read(&workspace().join(name).join("src"));
        assert!(sources.len() > 20, "the sources are where they are looked for");
        (name, sources)
    };
    [of("raft-core"), of("raft-sim")]
}

/// What `find` has to say about every file, one line each.
fn complaints(find: impl Fn(&Source) -> Vec<String>) -> String {
    let of = |(name, sources): (&str, Vec<Source>)| {
        let lines = sources.iter().flat_map(|source| {
            let path = format!("{name}: {}", source.module);
            find(source).into_iter().map(move |complaint| format!("{path}: {complaint}\n"))
        });
        lines.collect::<String>()
    };
    crates().map(of).concat()
}

#[test]
fn a_floor_imports_only_from_those_below_it() {
    let [_, (_, sim)] = crates();
    assert_eq!(floors::wrong(&sim), Vec::<String>::new());
}

#[test]
fn the_host_of_the_simulator_has_no_code_for_what_the_driver_does() {
    let [_, (_, sim)] = crates();
    assert_eq!(host::duties(&sim), Vec::<String>::new());
}

#[test]
fn a_module_of_the_core_imports_only_from_those_before_it() {
    let [(_, core), _] = crates();
    let wrong = core.iter().flat_map(|source| {
        order::wrong(source).into_iter().map(|wrong| format!("{}: {wrong}", source.module))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

/// `docs/ARCHITECTURE.md` shows the modules of the core in the order that the imports keep.
#[test]
fn the_layers_that_are_drawn_are_those_that_are_kept() {
    let page = std::fs::read_to_string(workspace().join("docs/ARCHITECTURE.md"));
    assert_eq!(order::drawn(&page.expect("the page")), order::to_be_drawn());
}

#[test]
fn no_files_form_a_circle() {
    for (name, sources) in crates() {
        assert_eq!(imports::circles(&sources), Vec::<Vec<String>>::new(), "{name}");
    }
}

#[test]
fn no_module_of_our_own_is_imported_whole() {
    assert_eq!(complaints(imports::globs), "");
}

#[test]
fn files_and_functions_are_short_or_say_why_not() {
    assert_eq!(complaints(size::too_long), "");
}

#[test]
fn lines_are_narrow() {
    let root = workspace();
    let code = ["raft-core", "raft-sim", "fuzz/targets"].map(|folder| root.join(folder));
    let mut wide: Vec<String> = code.iter().flat_map(|folder| size::wide_code(folder)).collect();
    wide.extend(size::wide_docs(&root));
    assert_eq!(wide, Vec::<String>::new());
}

/// `name/mod.rs`, never `name.rs` beside a folder of that name.
#[test]
fn there_is_one_style_of_modules() {
    for (name, _) in crates() {
        assert_eq!(sources::two_styles(&workspace().join(name).join("src")), Vec::<String>::new());
    }
}

#[test]
fn no_public_item_is_dead() {
    assert_eq!(sources::dead(&workspace()), Vec::<String>::new());
}

#[test]
fn there_are_at_most_nine_public_modules_in_the_simulator() {
    let [_, (_, sim)] = crates();
    let public = |source: &Source| {
        let lines = source.text.lines().map(str::trim_start);
        lines.filter(|line| line.starts_with("pub mod ")).count()
    };
    let count: usize = sim.iter().map(public).sum();
    assert!((1..=9).contains(&count), "{count}");
}

/// Not a check: what the workspace looks like, for whoever wants to see it.
#[test]
fn the_structure_is_printed() {
    for (name, sources) in crates() {
        println!("{name}\n{}", floors::structure(&sources));
    }
}
