"""Builds the copy, and runs what may kill: drawn runs, scenarios, tests."""

import concurrent.futures
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import zlib

import plant
from heads import Refused

# What looks at the sources, or pins the hash of whole runs, fails for any change.
NOT_TESTS = ["layers", "sources", "determinism", "readme", "pictures", "corpus"]
# What holds the simulated clusters to bounds and to the contract of `docs/LIVENESS.md`: a place of
# its own among those that may kill, and no part of the tests.
BOUNDS = ["bounds", "liveness"]
# Fast ones first: one killer is enough.
ORDER = ["raft_core", "protocol", "dumps", "cost", "properties", "allocations", "capabilities"]


def number_of(name):
    """The number of a bug. It does not depend on what others there are: then less is built anew."""
    return zlib.crc32(name.encode())


class Copy:
    """A copy of the tree with all bugs in it, and what was built from it."""

    def __init__(self, root, planted, options, name="mutants"):
        self.root, self.options = root, options
        target = os.environ.get("CARGO_TARGET_DIR", str(root / "target"))
        self.scratch = pathlib.Path(target) / name
        self.tree = self.scratch / "tree"
        self.guarded, self.alone, files = planted
        self.write(files)

    @classmethod
    def of(cls, root, patches, options):
        """The copy with all these patches in it."""
        by_number = {number_of(patch.name): patch.path for patch in patches}
        return cls(root, plant.together(root, by_number), options)

    def write(self, files):
        """Brings the copy up to date; what is the same keeps its time, for cargo."""
        listed = ["git", "ls-files", "-co", "--exclude-standard"]
        paths = subprocess.run(listed, cwd=self.root, check=True, capture_output=True, text=True)
        listed = paths.stdout.splitlines()
        wanted = {path for path in listed if (self.root / path).is_file()}
        for path in wanted:
            if path.startswith("raft-sim/mutants/"):
                continue
            new = files[path].encode() if path in files else (self.root / path).read_bytes()
            place = self.tree / path
            if not place.exists() or place.read_bytes() != new:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(new)
        # A world that is there no more has no bounds.
        for place in [*self.tree.rglob("*.rs"), *self.tree.glob("raft-sim/bounds/*")]:
            if str(place.relative_to(self.tree)) not in wanted:
                place.unlink()
        for path in set(listed) - wanted:
            place = self.tree / path
            if (self.root / path).is_symlink() and not place.is_symlink():
                place.symlink_to(os.readlink(self.root / path))

    def cargo(self, *words, opt_level="3"):
        """Builds. The core's own assertions are off in a release build: only what looks from
        outside can object."""
        environment = {
            **os.environ,
            "CARGO_TARGET_DIR": str(self.scratch / f"build-{opt_level}"),
            "CARGO_PROFILE_RELEASE_LTO": "off",
            "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "64",
            "CARGO_PROFILE_RELEASE_DEBUG": "0",
            "CARGO_PROFILE_RELEASE_INCREMENTAL": "true",
            "CARGO_PROFILE_RELEASE_OPT_LEVEL": opt_level,
            "CARGO_PROFILE_DEV_DEBUG": "0",
            "CARGO_PROFILE_TEST_DEBUG": "0",
        }
        command = ["cargo", *words, "--message-format=json-render-diagnostics"]
        done = subprocess.run(
            command, cwd=self.tree, env=environment, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise Refused("the copy does not build")
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("executable")]

    def simulator(self, **how):
        built = self.cargo("build", "--release", "-p", "raft-sim", "--bin", "raft-sim", **how)
        return built[-1]["executable"]

    def harness(self):
        """The tests of the driver, whose random runs are drawn by seed."""
        words = ["-p", "sansio-raft", "--all-features", "--test", "driver"]
        return self.cargo("test", "--no-run", *words)[-1]["executable"]

    def tests(self):
        """Name, executable and folder of each test binary, in the order in which they are run."""
        found = []
        packages = ["sansio-raft"] if self.options.core else ["sansio-raft", "raft-sim"]
        for package in packages:
            for line in self.cargo("test", "--no-run", "-p", package, "--all-features"):
                name = line["target"]["name"]
                if line["profile"]["test"] and name not in NOT_TESTS + BOUNDS:
                    folder = pathlib.Path(line["manifest_path"]).parent
                    found.append((name, line["executable"], folder))
        rank = {name: n for n, name in enumerate(ORDER)}
        return sorted(found, key=lambda test: rank.get(test[0], len(rank)))


    def bounds(self):
        """As `tests`, of the bounds: in a release build, for the core's own assertions are no bound."""
        words = [word for name in BOUNDS for word in ["--test", name]]
        built = self.cargo("test", "--no-run", "--release", "-p", "raft-sim", *words)
        found = [
            (line["target"]["name"], line["executable"], pathlib.Path(line["manifest_path"]).parent)
            for line in built if line["target"]["name"] in BOUNDS
        ]
        return sorted(found, key=lambda test: BOUNDS.index(test[0]))


def planted(number):
    return {**os.environ, "RAFT_MUTANT": str(number)}


def ended(command, number, timeout, cwd=None):
    """What it said, and whether it ended by itself, had to be told so, or did not even hear that."""
    process = subprocess.Popen(
        command, env=planted(number), cwd=cwd, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        return process.communicate(timeout=timeout)[0], "ended"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        return process.communicate(timeout=10)[0], "late"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0], "hangs"


def sweep(simulator, number, first, seeds, timeout):
    """The seed of the first alarm from `first` on, its checker and its sentence."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [
            simulator, "sweep", "--seeds", f"{first}..{first + seeds}", "--max-failures", "1",
            "--jobs", "1", "--failures", folder, "--json", str(report),
        ]
        output, how = ended(command, number, timeout)
        if how == "hangs":
            # Which of them it is nobody knows.
            return {"seed": first, "checker": "hangs", "sentence": "one of the runs from here on"}
        if not report.exists():
            return {"seed": first, "checker": "panic", "sentence": output[-200:].strip()}
        found = json.loads(report.read_text())
    if not found["failures"]:
        done = found["seeds"]["end"] - found["seeds"]["first"]
        zero = sorted(what for what, count in found["exercised"].items() if count == 0)
        return {"seed": None, "checker": None, "done": done, "never": zero if done >= 1000 else []}
    failure = min(found["failures"], key=lambda failure: failure["seed"])
    return {key: failure[key] for key in ["seed", "checker", "sentence"]}


# The random runs among the tests of the driver.
RANDOM_RUNS = ["random::", "sessions::a_client_", "sessions::whoever_"]
# So many seeds with each start of them, to end soon after the first alarm.
AT_ONCE = 20


def drive(harness, number, first, seeds, timeout):
    """As `sweep`, for random runs of the driver: who objects is a test, and what it has to say."""
    for start in range(first, first + seeds, AT_ONCE):
        end = min(start + AT_ONCE, first + seeds)
        command = ["env", f"DRIVER_SEEDS={start}..{end}", "RUST_BACKTRACE=0", harness]
        command += [*RANDOM_RUNS, "--test-threads", "1"]
        output, how = ended(command, number, min(timeout, 120))
        found = []
        for said in re.split(r"^---- ", output, flags=re.M)[1:]:
            runs, sentence = re.findall(r"^seed (\d+)$", said, re.M), said.split("panicked at ", 1)
            sentence = " ".join(sentence[-1].split("\nnote:")[0].split()[1:])[:200]
            found.append({"seed": int(runs[-1]), "checker": said.split()[0], "sentence": sentence})
        if found:
            return min(found, key=lambda one: one["seed"])
        if "test result: ok" not in output:
            how = "panic" if how == "ended" else "hangs"
            return {"seed": start, "checker": how, "sentence": "one of the runs from here on"}
    return {"seed": None, "checker": None, "done": seeds, "never": []}


def deeper(look, number, place, known, options, hint=None):
    """Goes on from one place where an earlier, shorter sweep has ended; but first it tries the seed
    that has seen the bug in other code."""
    done = 0
    if not known and hint is not None:
        found = look(number, hint, 1, options.timeout)
        if found["checker"]:
            return found
    if known:
        if known["checker"] or known["done"] >= options.seeds:
            return known
        done = known["done"]
    found = look(number, place + done, options.seeds - done, options.timeout)
    if not found["checker"]:
        found["done"] += done
    return found


def scenarios(simulator, number, timeout):
    """The first scenario that does not go as it should."""
    output, how = ended([simulator], number, timeout)
    if how in ["late", "hangs"]:
        return "does not end"
    wrong = [line for line in output.splitlines() if re.match(r"\s*FAIL", line)]
    if wrong:
        return wrong[0].split()[2 if wrong[0].split()[1].endswith("x") else 1]
    return None if output.rstrip().endswith("no safety checker gave a false positive.") else "panic"


def tests(binaries, number, timeout, skipped=()):
    """The first binary in which a test fails, and that test."""
    skip = [word for name in skipped for word in ["--skip", name]]
    for name, executable, folder in binaries:
        command = [executable, "--test-threads", "2", *(skip and ["--exact"] and skip)]
        output, how = ended(command, number, timeout, folder)
        failed = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", output, re.M)
        if failed:
            return f"{name}: {failed[0]}"
        if how in ["late", "hangs"]:
            return f"{name}: does not end"
        if "test result: ok" not in output:
            return f"{name}: aborts"
    return None


# Seeds of which the bounds were not taken, too: a bug that does no more than move what is drawn may
# break a bound by chance, but not the same one three times.
OTHER_BATCHES = [12, 13]


def broken_bound(binaries, number, timeout, hint=None):
    """The first test of the bounds or the contract that fails, with other seeds, too; but first the
    one is tried that has seen the bug in other code."""
    for name, executable, folder in binaries:
        known, _, test = (hint or "").partition(": ")
        if name == known:
            output, _ = ended([executable, "--exact", test], number, timeout, folder)
            if "FAILED" in output and fails_always(executable, test, number, timeout, folder):
                return hint
    for name, executable, folder in binaries:
        output, how = ended([executable, "--test-threads", "2"], number, timeout, folder)
        failed = re.findall(r"^test (\S+) \.\.\. FAILED", output, re.M)
        if how in ["late", "hangs"]:
            return f"{name}: does not end"
        if not failed and "test result: ok" not in output:
            return f"{name}: aborts"
        for test in failed:
            if fails_always(executable, test, number, timeout, folder):
                return f"{name}: {test}"
    return None


def unbroken(bounds, timeout):
    """The bounds, if the core as it is keeps to them."""
    if broken := tests(bounds, 0, timeout):
        raise Refused(f"the core as it is breaks a bound: {broken}")
    return bounds


def fails_always(executable, test, number, timeout, folder):
    """Whether a test fails with the other seeds, too; the examples of the contract have no others."""
    commands = [["env", f"BOUNDS_BATCH={at}", executable, "--exact", test] for at in OTHER_BATCHES]
    return all("FAILED" in ended(command, number, timeout, folder)[0] for command in commands)


def run(copy, patches, results, code):
    """Runs what has no result yet, and keeps each result as soon as it is there."""
    options = copy.options
    places = [int(place) for place in options.places.split(",")]
    kinds = [options.only] if options.only else ["sweep", "bounds", "scenarios", "tests"]
    for name in sorted(set(copy.alone) & {patch.name for patch in patches}):
        print(f"{name}: not run, it needs a build of its own")
    patches = [patch for patch in patches if patch.name in copy.guarded]
    driver = any(patch.kind == "D" for patch in patches)
    simulated = any(patch.kind not in "DT" for patch in patches)
    simulator = copy.simulator() if simulated and set(kinds) & {"sweep", "scenarios"} else None
    harness = copy.harness() if driver and "sweep" in kinds else None
    binaries = copy.tests() if "tests" in kinds else []
    bounds = unbroken(copy.bounds(), options.timeout) if simulated and "bounds" in kinds else []
    looks = {
        **({"sweep": functools.partial(sweep, simulator)} if simulator else {}),
        **({"driver": functools.partial(drive, harness)} if harness else {}),
    }
    skipped = healthy(copy, binaries, looks if "sweep" in kinds else {}, places, results, code)

    def one(patch, kind):
        number, start = copy.guarded[patch.name], time.monotonic()
        if kind == "sweep":
            look = looks["driver" if patch.kind == "D" else "sweep"]
            known = results.unfinished(patch, code, options.stale, places)
            hints = {} if options.again else results.hints(patch)
            found = [deeper(look, number, at, known.get(at), options, hints.get(at)) for at in places]
            found = {"places": places, "seeds": options.seeds, "found": found}
        elif kind == "scenarios":
            found = {"killer": scenarios(simulator, number, options.timeout)}
        elif kind == "bounds":
            hint = None if options.again else results.bound(patch)
            found = {"killer": broken_bound(bounds, number, options.timeout, hint)}
        else:
            found = {"killer": tests(binaries, number, options.timeout, skipped)}
            found["core"] = options.core
        found["seconds"] = round(time.monotonic() - start)
        results.keep(patch, kind, code, found)
        print(f"{patch.name} {kind}: {json.dumps(found)[:160]}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = []
        for kind in kinds:
            for patch in patches:
                # A tool has no part in what a run does, and random runs of the driver have no
                # scenarios and no bounds.
                if patch.kind in {"tests": "", "sweep": "T"}.get(kind, "DT"):
                    continue
                if options.again or not results.has(patch, kind, code, options):
                    jobs.append(pool.submit(one, patch, kind))
        for job in jobs:
            job.result()


def healthy(copy, binaries, looks, places, results, code):
    """The core as it is must raise no alarm; what fails in the copy without any bug is left out."""
    options = copy.options
    for kind, look in looks.items():
        if results.has(None, kind, code, options):
            continue
        known = results.unfinished(None, code, options.stale, places) if kind == "sweep" else {}
        found = [deeper(look, 0, at, known.get(at), options) for at in places]
        results.keep(None, kind, code, {"places": places, "seeds": options.seeds, "found": found})
        print(f"the core as it is: {found}", flush=True)
    return fail_anyway(binaries, options.timeout)


def fail_anyway(binaries, timeout):
    """The tests that fail in the copy without any bug: they are left out."""
    skipped = []
    for binary in binaries:
        while failed := tests([binary], 0, timeout, skipped):
            print(f"left out, it fails in the copy without any bug: {failed}", flush=True)
            if failed.endswith(("aborts", "does not end")):
                raise Refused(failed)
            skipped.append(failed.split(": ")[1])
    return skipped


def fastest(copy, patches, results):
    """Each of these bugs by the killer that is known to be the fastest; all must be seen again."""
    start, simulator = time.monotonic(), copy.simulator(opt_level="1")
    built, lost, seen = time.monotonic() - start, [], 0
    for patch in patches:
        seeds = results.known_seeds(patch)
        if patch.name not in copy.guarded or not seeds:
            continue
        # Draws may have changed since: then some more seeds.
        tries = [(seed, 1) for seed in seeds[:1]] + [(seed, 200) for seed in seeds]
        number = copy.guarded[patch.name]
        if any(sweep(simulator, number, *at, 60)["checker"] for at in tries):
            seen += 1
        else:
            lost.append(patch.name)
    print(f"{seen} planted bugs seen; built in {built:.0f} s, all in {time.monotonic() - start:.0f} s")
    for name in lost:
        print(f"no longer seen: {name}")
    return 1 if lost else 0
