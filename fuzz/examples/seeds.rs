//! Writes the inputs to begin with of every target whose inputs have a format: `seeds FOLDER`.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).expect("a folder to write to");
    for target in ["message", "dump", "recovery", "scenario"] {
        let into = Path::new(&folder).join(target);
        fs::create_dir_all(&into)?;
        for (nth, seed) in raft_sim::run::fuzz_seeds(target).iter().enumerate() {
            fs::write(into.join(format!("seed-{nth:02}")), seed)?;
        }
    }
    Ok(())
}
