//! The scripts in `raft-sim/regressions/`: each once broke a property, and breaks none any more.

use raft_sim::plan::Nobody;
use raft_sim::scenario::Scenario;
use std::fs;
use std::path::Path;

#[test]
fn no_regression_breaks_a_property_any_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut played = 0;
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).expect("a readable file");
        let scenario = Scenario::read("regression", &name, &text);
        let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
        assert!(scenario.script.is_some(), "{name}: a script says who decides");
        assert!(scenario.broke.is_some(), "{name}: a regression says what it broke");
        for level in &scenario.levels {
            let finished = scenario.trial(*level, 1).run(&mut Nobody).expect("it makes sense");
            assert_eq!(finished.outcome.verdict, Ok(()), "{name}");
            // One that does nothing any more would hold, too.
            assert!(finished.outcome.events > 10, "{name}: {} events", finished.outcome.events);
        }
        played += 1;
    }
    assert!(played >= 1, "{played} regressions in {}", folder.display());
}
