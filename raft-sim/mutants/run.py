#!/usr/bin/env python3
"""Plants bugs in a copy of the sources and says what sees them. Python 3, nothing else.

    raft-sim/mutants/run.py --check              heads, and whether every patch applies
    raft-sim/mutants/run.py                      everything that has no result for this code yet
    raft-sim/mutants/run.py read-without-a-quorum --only sweep
    raft-sim/mutants/run.py --class S --sample 20 --jobs 2
    raft-sim/mutants/run.py --class LR --only bounds
    raft-sim/mutants/run.py --fastest            each safety bug by its fastest known killer
    raft-sim/mutants/run.py --table              docs/MUTANTS.md from the results

The results are kept in `results.json`, so a run can be stopped and goes on where it was. Exit code: 0
if the policy holds for what was asked (docs/MUTANTS.md), 1 if not, 2 if it could not be carried out.
"""

import argparse
import hashlib
import os
import pathlib
import sys

sys.dont_write_bytecode = True
import matrix
import trial
from heads import CLASSES, Refused, patches

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="*", help="the bugs; all if none is named")
    add("--class", dest="classes", default="", help="only these classes, such as S or SL")
    add("--only", choices=["sweep", "bounds", "scenarios", "tests"], help="only this kind of killer")
    add("--sample", type=int, help="so many of them, chosen by the code")
    add("--jobs", type=int, default=1, help="so many at a time [default: 1]")
    add("--seeds", type=int, default=3000, help="so many from each place [default: 3000]")
    add("--from", dest="places", default="0,100000,200000", help="the places among the seeds")
    add("--timeout", type=int, default=900, help="seconds for one sweep or one test binary")
    add("--results", type=pathlib.Path, default=HERE / "results.json")
    add("--before", type=pathlib.Path, default=HERE / "before.json", help="an older column")
    add("--again", action="store_true", help="also what has a result already; nothing known is tried first")
    add("--stale", action="store_true", help="keep results of other code, do not run them again")
    for flag, words in [
        ("--check", "heads, patches, and the page; run nothing"),
        ("--fastest", "each safety bug by its fastest known killer"),
        ("--core", "of the tests only those of the core"),
        ("--table", "write the table of docs/MUTANTS.md"),
        ("--policy", "judge the results, run nothing"),
    ]:
        add(flag, action="store_true", help=words)
    return parser.parse_args()


# What the results depend on: the sources of both crates, and the random runs of the driver.
SOURCES = ["raft-core/src", "raft-core/tests/driver", "raft-sim/src", "raft-sim/scenarios"]
# Those of the bounds depend on these, too.
BOUNDS = [f"raft-sim/{name}" for name in ["bounds", "failover", "liveness"]]
BOUNDS += [f"raft-sim/tests/{name}.rs" for name in trial.BOUNDS]


def code(places):
    """A hash of all that lies in these folders."""
    hash_ = hashlib.sha1()
    for place in places:
        found = (ROOT / place).rglob("*") if (ROOT / place).is_dir() else [ROOT / place]
        for path in sorted(found):
            if path.is_file():
                hash_.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return hash_.hexdigest()[:12]


def chosen(all_, wanted, now):
    """Those that were asked for."""
    unknown = set(wanted.names) - {patch.name for patch in all_}
    if unknown:
        raise Refused(f"no such bug: {', '.join(sorted(unknown))}")
    some = [p for p in all_ if not wanted.names or p.name in wanted.names]
    some = [p for p in some if not wanted.classes or p.kind in wanted.classes]
    if wanted.sample:
        # Another sample for other code, the same one for the same code.
        order = lambda p: hashlib.sha1((now + p.name).encode()).hexdigest()
        some = sorted(sorted(some, key=order)[: wanted.sample], key=lambda p: p.name)
    return some


def main():
    wanted = arguments()
    all_ = patches(HERE, ROOT)
    results = matrix.Results(wanted.results)
    before = matrix.Results(wanted.before)
    if before.all in [{}, results.all]:
        before = None
    page = ROOT / "docs/MUTANTS.md"
    shown = matrix.with_tables(page.read_text(), all_, results, before)
    if wanted.check:
        counts = {kind: sum(p.kind == kind for p in all_) for kind in CLASSES}
        print(f"{len(all_)} planted bugs apply:", ", ".join(f"{n} {k}" for k, n in counts.items()))
        if page.read_text() != shown:
            raise Refused("docs/MUTANTS.md is not up to date: run.py --table writes it")
        return 0
    if wanted.table:
        page.write_text(shown)
        return 0
    results.forget_all_but(all_)
    now = matrix.Code(code(SOURCES), code(SOURCES + BOUNDS))
    some = chosen(all_, wanted, now.of("sweep"))
    if not wanted.policy:
        copy = trial.Copy.of(ROOT, all_, wanted)
        if wanted.fastest:
            return trial.fastest(copy, [p for p in some if p.kind == "S"], results)
        trial.run(copy, some, results, now)
    broken = matrix.policy(some, results, now, wanted.stale)
    print("\n".join(broken) or "the policy holds")
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        print(refused, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        os._exit(130)
