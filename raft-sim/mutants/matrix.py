"""The results, the policy, and the table of docs/MUTANTS.md."""

import json
import statistics
import textwrap
import threading

from heads import CLASSES

# The entry for the core without any bug.
NO_BUG = "the core as it is"


class Code:
    """What the results depend on, as a hash: those of the bounds on the bounds, too."""

    def __init__(self, sources, bounds):
        self.sources, self.bounds = sources, bounds

    def of(self, kind):
        return self.bounds if kind == "bounds" else self.sources


class Results:
    """What has been found, by bug and by kind of killer. Written after every result."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.all = json.loads(path.read_text()) if path.exists() else {}

    def of(self, patch, kind):
        return self.all.get(patch.name if patch else NO_BUG, {}).get(kind)

    def is_of(self, patch, kind, code, stale):
        """Whether there is a result for this patch and, unless `stale` is fine, this code."""
        found = self.of(patch, kind)
        if not found or patch and found["patch"] != patch.digest:
            return False
        return stale or found["code"] == code.of(kind)

    def has(self, patch, kind, code, options):
        """Whether nothing is left to be run."""
        if not self.is_of(patch, kind, code, options.stale):
            return False
        found = self.of(patch, kind)
        if kind == "tests" and found["core"] and not found["killer"] and not options.core:
            return False
        return kind != "sweep" or found["seeds"] >= options.seeds or self.is_seen(found)

    def unfinished(self, patch, code, stale, places):
        """What is known of each place already: a longer sweep goes on from there."""
        if not self.is_of(patch, "sweep", code, stale):
            return {}
        found = self.of(patch, "sweep")
        return dict(zip(found["places"], found["found"])) if found["places"] == places else {}

    def hints(self, patch):
        """For each place the seed that has seen it, whatever the code was."""
        found = self.of(patch, "sweep")
        pairs = zip(found["places"], found["found"]) if found else []
        return {place: one["seed"] for place, one in pairs if one["checker"]}

    @staticmethod
    def is_seen(found):
        return all(one["checker"] for one in found["found"])

    def keep(self, patch, kind, code, found):
        with self.lock:
            entry = self.all.setdefault(patch.name if patch else NO_BUG, {})
            entry[kind] = {"code": code.of(kind), **({"patch": patch.digest} if patch else {}), **found}
            text = json.dumps(self.all, indent=1, sort_keys=True) + "\n"
            self.path.write_text(text)

    def bound(self, patch):
        """The bound that it breaks, if one is known."""
        found = self.of(patch, "bounds")
        return found["killer"] if found else None

    def forget_all_but(self, patches):
        """Forgets the results of bugs that are planted no more."""
        names = {NO_BUG, *(patch.name for patch in patches)}
        self.all = {name: found for name, found in self.all.items() if name in names}

    def distances(self, patch):
        """For each place, how many runs until the first alarm; `None` where there was none."""
        found = self.of(patch, "sweep")
        if not found:
            return None
        pairs = zip(found["places"], found["found"])
        return [None if f["seed"] is None else f["seed"] - place + 1 for place, f in pairs]

    def median(self, patch):
        """The median of the distances; none is further than any."""
        distances = self.distances(patch)
        if not distances:
            return None
        middle = statistics.median(d if d is not None else float("inf") for d in distances)
        return None if middle == float("inf") else int(middle)

    def checkers(self, patch):
        found = self.of(patch, "sweep")
        names = [f["checker"] for f in found["found"] if f["checker"]] if found else []
        return sorted(set(names), key=lambda name: (-names.count(name), name))

    def known_seeds(self, patch):
        """The seeds that found it, the nearest one first."""
        found = self.of(patch, "sweep")
        if not found:
            return []
        pairs = zip(found["places"], found["found"])
        near = sorted((f["seed"] - place, f["seed"]) for place, f in pairs if f["seed"] is not None)
        return [seed for _, seed in near]


def policy(patches, results, code, stale=False):
    """Every sentence of the policy that does not hold."""
    broken = []
    healthy = [results.of(None, kind) or {"found": []} for kind in ["sweep", "driver"]]
    for found in healthy[0]["found"] + healthy[1]["found"]:
        if found["checker"]:
            broken.append(f"the core as it is: {found['checker']} at seed {found['seed']}")
    others = 0
    for patch in patches:
        if patch.kind not in "SLRD" or not results.of(patch, "sweep"):
            continue
        if not results.is_of(patch, "sweep", code, stale):
            others += 1
        elif results.median(patch) is None and not patch.unseen:
            if breaks_a_bound(patch, results, code, stale):
                continue
            word = CLASSES[patch.kind]
            done = runs_without_alarm(results, patch)
            broken.append(f"{patch.name} ({word}): not seen in {done} runs; it needs {patch.needs or '?'}")
    if others:
        broken.append(f"{others} results are of other code or of another patch")
    return broken


def breaks_a_bound(patch, results, code, stale):
    """Whether it is of a class of which that is enough, and breaks one."""
    current = results.is_of(patch, "bounds", code, stale)
    return patch.kind in "LRA" and current and results.bound(patch) is not None


def cell(results, patch):
    """What drawn runs make of a bug: the distances, and who objected."""
    if results is None or results.of(patch, "sweep") is None:
        return "not run", ""
    found = results.of(patch, "sweep")["found"]
    pairs = zip(results.distances(patch), found)
    distances = [str(d) if d else f"– of {one['done']}" for d, one in pairs]
    median = results.median(patch)
    shown = f"**{median}** ({', '.join(distances)})" if median else ", ".join(distances)
    names = ", ".join(f"`{name}`" for name in results.checkers(patch))
    return shown, names


def killer(results, patch, kind):
    found = results.of(patch, kind)
    if found is None:
        return "not run"
    if found["killer"]:
        return f"`{found['killer']}`"
    return "none of the core's" if found.get("core") else "–"


def row(patch, results, before):
    runs, checkers = cell(results, patch)
    name = f"`{patch.name}`" + (f" {patch.catalogue}" if patch.catalogue else "")
    earlier = f" {cell(before, patch)[0]} |" if before else ""
    if patch.kind == "T":
        runs, checkers, earlier = "", "", " |" if before else ""
    elsewhere = killer(results, patch, "scenarios") if patch.kind not in "DT" else ""
    bound = killer(results, patch, "bounds") if patch.kind not in "DT" else ""
    test = killer(results, patch, "tests")
    return f"| {name}: {patch.breaks} |{earlier} {runs} | {checkers} | {bound} | {elsewhere} | {test} |"


def table(patches, results, before):
    """All of it, class by class."""
    lines = []
    for kind, word in CLASSES.items():
        of_class = [patch for patch in patches if patch.kind == kind]
        swept = [p for p in of_class if results.of(p, "sweep")]
        seen = [p for p in swept if results.median(p)]
        lines += [f"### {word.capitalize()} ({kind}): {len(of_class)} bugs", ""]
        if kind != "T":
            words = f"Drawn runs were let loose on {len(swept)} of them, and found {len(seen)}."
            bounded = [p for p in of_class if results.of(p, "bounds")]
            if bounded:
                broken = [p for p in bounded if results.bound(p)]
                words += f" Of {len(bounded)} that were held to the bounds {len(broken)} broke one."
            either = [p for p in of_class if results.median(p) or results.bound(p)]
            if bounded and kind in "LRA":
                words += f" One or the other sees {len(either)}."
            lines += [*textwrap.wrap(words, 118), ""]
        columns = "| bug | runs to the alarm | by | bound | scenario | test |"
        if before:
            columns = "| bug | before | runs to the alarm | by | bound | scenario | test |"
        lines += [columns, "|---" * (columns.count("|") - 1) + "|"]
        lines += [row(patch, results, before) for patch in of_class] + [""]
    return lines


def hardest(patches, results):
    """The twelve with the greatest medians, and a seed that finds each."""
    medians = [(results.median(p), p) for p in patches if p.kind != "T" and results.median(p)]
    medians.sort(key=lambda pair: (-pair[0], pair[1].name))
    lines = ["| bug | median | a seed that finds it | by |", "|---|---|---|---|"]
    for median, p in medians[:12]:
        checkers = ", ".join(f"`{name}`" for name in results.checkers(p))
        lines.append(f"| `{p.name}` | {median} | {results.known_seeds(p)[0]} | {checkers} |")
    return lines + [""]


def survivors(patches, results):
    """Those that no drawn run sees, and why: first those that break a bound, then the list of those
    of which that is accepted."""
    unseen = [p for p in patches if p.kind != "T" and results.of(p, "sweep")]
    unseen = [p for p in unseen if results.median(p) is None]
    bounded = [p for p in unseen if p.kind in "LRA" and results.bound(p)]
    unseen = [p for p in unseen if p not in bounded]
    listed = [(p, p.unseen) for p in unseen if p.unseen]
    others = [(p, p.needs or "nobody has said yet what it needs") for p in unseen if not p.unseen]
    lines = []
    if bounded:
        lines += ["### Seen by a bound alone", ""]
        for patch in bounded:
            words = f"- `{patch.name}` ({patch.kind}): `{results.bound(patch)}`"
            lines += textwrap.wrap(words, 118, subsequent_indent="  ", break_on_hyphens=False)
        lines.append("")
    lines += ["### Accepted: what drawn runs cannot see", "", *reasons(listed, results)]
    return lines + ["### Open: what they do not see yet, and what it needs", "", *reasons(others, results)]


def runs_without_alarm(results, patch):
    found = results.of(patch, "sweep")["found"]
    return min(one["done"] for one in found if not one["checker"])


def reasons(pairs, results):
    lines = []
    for patch, reason in pairs:
        done = runs_without_alarm(results, patch)
        once = [str(d) for d in results.distances(patch) if d]
        seen = f", once after {once[0]}" if once else ""
        line = f"- `{patch.name}` ({patch.kind}, {done} runs from each place{seen}): {reason}."
        lines += textwrap.wrap(line, 118, subsequent_indent="  ", break_on_hyphens=False)
    return lines + [""]


def with_tables(text, patches, results, before):
    """The page with everything that is counted between its marks."""
    parts = {
        "matrix": table(patches, results, before),
        "hardest": hardest(patches, results),
        "survivors": survivors(patches, results),
    }
    for name, lines in parts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(start)
        text = head + start + "\n" + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]
    return text
