#!/usr/bin/env python3
"""Small changes of the core, one at a time, and what sees them: an operator, a condition, a value.

    raft-sim/mutants/small.py --list             which there are, and whether each can be built
    raft-sim/mutants/small.py --seeds 200        drawn runs on each that was not looked at yet
    raft-sim/mutants/small.py --only bounds      and so on with what survives: bounds, tests
    raft-sim/mutants/small.py --survivors        who survived until now, and what was tried

What may be changed `cargo mutants` says (`cargo install cargo-mutants`); here all are built at once,
behind the switch of `plant.py`, for there are some thousand. Nobody has said that each of them is a
bug: a survivor is a question (docs/MUTANTS.md).

The results are kept in a file of `target`, one for each state of the code: so a run can be stopped and
goes on where it was, and no result is taken for one of other code.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import plant
import trial
from heads import Refused
from run import ROOT, SOURCES, code

# What a change of these moves nobody who runs a node sees: what is printed, what is dumped, what the
# invariants, which are off here, say; what the log of payloads does, which is the runtime's.
BESIDE_THE_POINT = re.compile(
    r"/(invariants|dump|error|work|payload)\.rs|/driver/|fmt::(Debug|Display)|\bfmt\b| serde|::(memory|name)\b"
)
# What only says whether numbers that were written down can be, or whether invariants hold: a run
# reads no dump, so only the tests look at it.
OF_DUMPS = re.compile(
    r"\b(is_in_range|is_sound|is_sorted|assert_ends|awaits_what_comes_next|newest_hard_state|Node::check)\b"
)
# The entry for what the compiler refuses.
CANNOT_BE_BUILT = "cannot be built"
# A change may ask for memory without end.
MEMORY = 6 << 30


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="*", help="those whose name has one of these in it; all if none is given")
    add("--only", choices=["sweep", "bounds", "tests"], default="sweep", help="what looks")
    add("--seeds", type=int, default=200, help="so many drawn runs [default: 200]")
    add("--jobs", type=int, default=1, help="so many at a time [default: 1]")
    add("--timeout", type=int, default=120, help="seconds for one sweep or one test binary")
    add("--core", action="store_true", help="of the tests only those of the core")
    add("--results", type=pathlib.Path, help="[default: target/small-HASH.json, by the code]")
    add("--list", action="store_true", help="say which there are")
    add("--survivors", action="store_true", help="say who survived")
    return parser.parse_args()


class Change:
    """One small change, as `cargo mutants` lists it."""

    def __init__(self, found, seen, number):
        self.file, self.span = found["file"], found["span"]
        self.function = found["function"]["function_name"]
        what = found["name"].split(": ", 1)[1].replace("\n", " ")
        short = f"{self.file.removeprefix('raft-core/src/').removesuffix('.rs')}: {what}"
        seen[short] += 1
        self.name = short if seen[short] == 1 else f"{short} #{seen[short]}"
        self.line, self.replacement = self.span["start"]["line"], found["replacement"]
        self.number = number

    def text(self):
        """The file with the change in it. Columns count characters."""
        old = (ROOT / self.file).read_text()
        lines = [0]
        for line in old.splitlines(keepends=True):
            lines.append(lines[-1] + len(line))
        start, end = (
            lines[self.span[of]["line"] - 1] + self.span[of]["column"] - 1 for of in ["start", "end"]
        )
        return old[:start] + self.replacement + old[end:]


def changes():
    """All that may be changed in a function of the core that takes part in a run."""
    command = ["cargo", "mutants", "--list", "--json", "--no-config", "-p", "sansio-raft"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"cargo mutants: {done.stderr.strip()}")
    all_ = [one for one in json.loads(done.stdout) if one["function"]]
    some = [one for one in all_ if not BESIDE_THE_POINT.search(one["name"])]
    # The numbers of a function follow one another: so its switch is one comparison.
    seen = collections.Counter()
    return [Change(one, seen, number) for number, one in enumerate(some, 1)]


class Built:
    """The copy with every change in it that can be built."""

    def __init__(self, all_, options, left_out):
        """`left_out`: those of which it is known already that they cannot be built."""
        self.options, self.left_out = options, set(left_out)
        all_ = [one for one in all_ if one.name not in self.left_out]
        while True:
            bugs = {one.number: (one.name, {one.file: one.text()}) for one in all_}
            planted = plant.side_by_side(ROOT, bugs)
            self.copy = trial.Copy(ROOT, planted, options, "small")
            refused = self.refused(all_)
            if not refused:
                break
            self.left_out |= {one.name for one in all_ if one.number in refused}
            all_ = [one for one in all_ if one.number not in refused]
        self.all = [one for one in all_ if one.name in self.copy.guarded]

    def refused(self, all_):
        """Those of which the compiler has something to say."""
        environment = {**os.environ, "CARGO_TARGET_DIR": str(self.copy.scratch / "check")}
        command = ["cargo", "check", "-p", "raft-sim", "--lib", "--message-format=json"]
        done = subprocess.run(
            command, cwd=self.copy.tree, env=environment, capture_output=True, text=True
        )
        if done.returncode == 0:
            return set()
        refused, said = set(), []
        for line in done.stdout.splitlines():
            message = json.loads(line).get("message") or {}
            if message.get("level") != "error":
                continue
            said.append(message["rendered"])
            for span in message["spans"]:
                refused |= self.planted_at(span["file_name"], span["line_start"])
            # A function that asks the switch is not constant, and may have to be.
            if called := re.search(r"non-const [a-z ]+ `(?:\S*::)?(\w+)`", message["message"]):
                name = called.group(1)
                refused |= {
                    one.number for one in all_ if one.function.rsplit("::", 1)[-1] == name
                }
        if not refused:
            raise Refused("\n".join(said) or done.stderr)
        print(f"{len(refused)} of {len(all_)} cannot be built", flush=True)
        return refused

    def planted_at(self, file, line):
        """The change in whose arm of a switch this line stands."""
        lines = (self.copy.tree / file).read_text().splitlines()
        for at in range(line - 1, -1, -1):
            if arm := re.match(r"(\d+) => \{", lines[at]):
                return {int(arm.group(1))}
            if lines[at] == "_ => {" or lines[at].startswith("match "):
                return set()
        return set()


def look(built, only):
    """How one change is looked at."""
    options = built.options
    if only == "sweep":
        simulator = built.copy.simulator()
        return lambda one: trial.sweep(simulator, one.number, 0, options.seeds, options.timeout)
    if only == "bounds":
        bounds = trial.unbroken(built.copy.bounds(), options.timeout)
        return lambda one: {"checker": trial.broken_bound(bounds, one.number, options.timeout)}
    binaries = built.copy.tests()
    skipped = trial.fail_anyway(binaries, options.timeout)
    return lambda one: {"checker": trial.tests(binaries, one.number, options.timeout, skipped)}


def survives(found):
    """Whether nothing has objected until now."""
    return not any(one["checker"] for one in found.values())


class Results:
    """What looked at each change, and who objected. Written after every result."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.all = json.loads(path.read_text()) if path.exists() else {}

    def of(self, change):
        return self.all.get(change.name, {})

    def cannot_be_built(self):
        return self.all.get(CANNOT_BE_BUILT, [])

    def keep(self, name, found):
        with self.lock:
            self.all[name] = found
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.all, indent=1, sort_keys=True) + "\n")

    def lacks(self, change, only, seeds):
        """Whether this is to look at it: nothing has objected, and this has not looked, or less."""
        found = self.of(change)
        if not survives(found):
            return False
        looked = found.get(only)
        return not looked or only == "sweep" and looked["done"] < seeds


def main():
    wanted = arguments()
    all_ = changes()
    path = wanted.results or ROOT / f"target/small-{code(SOURCES)}.json"
    results = Results(path)
    is_chosen = lambda one: not wanted.names or any(name in one.name for name in wanted.names)
    if wanted.survivors:
        for one in filter(is_chosen, all_):
            if (found := results.of(one)) and survives(found):
                tried = {kind: of.get("done", "") for kind, of in found.items()}
                print(f"{one.file}:{one.line}: {one.name} {tried}")
        return
    built = Built(all_, wanted, results.cannot_be_built())
    results.keep(CANNOT_BE_BUILT, sorted(built.left_out))
    print(f"{len(built.all)} changes, {len(built.left_out)} more that cannot be built", flush=True)
    if wanted.list:
        print("\n".join(f"{one.file}:{one.line}: {one.name}" for one in built.all))
        return
    looks = look(built, wanted.only)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def one(change):
        found = looks(change)
        results.keep(change.name, {**results.of(change), wanted.only: found})
        print(f"{change.name}: {json.dumps(found)[:120]}", flush=True)

    is_seen = lambda one: wanted.only == "tests" or not OF_DUMPS.search(one.name)
    some = [one for one in built.all if is_chosen(one) and is_seen(one)]
    left = [change for change in some if results.lacks(change, wanted.only, wanted.seeds)]
    with concurrent.futures.ThreadPoolExecutor(wanted.jobs) as pool:
        list(pool.map(one, left))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        print(refused, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        os._exit(130)
