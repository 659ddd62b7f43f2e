"""Plants bugs in a copy of the sources: all that can be in one copy, behind a switch.

A patch that changes nothing but bodies of functions is planted beside the body that was there:

    fn f(x: u64) -> u64 {
        match raft_core::planted::active() {
            12 => { x + 2 }
            _ => { x + 1 }
        }
    }

So one build serves all of them, and the environment variable RAFT_MUTANT chooses. The switch stands
in the copy only. Any other patch (it changes a constant, a type, a manifest) needs a build of its
own, see `alone`.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile

from heads import Refused

SWITCH = """
/// Which planted bug is on: that of `RAFT_MUTANT`, or none.
pub mod planted {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// Nobody has looked yet.
    const UNKNOWN: u32 = u32::MAX;
    static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
    /// Its number; 0 for none. Asked by nearly every function.
    #[inline]
    pub fn active() -> u32 {
        match ACTIVE.load(Relaxed) {
            UNKNOWN => look(),
            known => known,
        }
    }
    #[cold]
    fn look() -> u32 {
        let asked = std::env::var("RAFT_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
        ACTIVE.store(asked, Relaxed);
        asked
    }
}
"""

LIBRARY = "raft-core/src/lib.rs"

# What else is changed in the copy. The core's invariants are looked at where its assertions are on,
# in the tests: in a release build only what looks from outside is to object.
BESIDE = [
    (LIBRARY, "#[cfg(test)]\nextern crate std;", "extern crate std;"),
    (
        "raft-core/src/node.rs",
        "        invariants::check(&self.core, &self.role)\n",
        "        if cfg!(debug_assertions) { invariants::check(&self.core, &self.role) } else { Ok(()) }\n",
    ),
]


class Function:
    """A function with a body: where it stands, and from where to where its body goes."""

    def __init__(self, key, signature, start, end):
        self.key, self.signature, self.start, self.end = key, signature, start, end


def masked(text):
    """The text with comments, strings and characters blanked out, of the same length."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"'
        r"|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^\\'])'",
        re.S,
    )
    blank = lambda found: re.sub(r"[^\n]", " ", found.group(0))
    return token.sub(blank, text)


def functions(text):
    """All functions of a file that stand in no other one, by their place."""
    mask = masked(text)
    found, counts, stack, at, before = [], {}, [], 0, 0
    token = re.compile(r"\bfn\s+(\w+)|[{};]")
    while match := token.search(mask, at):
        at = match.end()
        if match.group(1):
            start = body_of(mask, at)
            if start is None:
                continue
            end = closing(mask, start)
            # Attributes and visibility are no part of the name.
            place = (tuple(stack), match.group(1))
            nth = counts[place] = counts.get(place, 0) + 1
            signature = " ".join(mask[match.start() : start].split())
            found.append(Function((*place, nth), signature, start, end))
            at = before = end
        elif match.group(0) == "{":
            stack.append(" ".join(mask[before : match.start()].split()))
            before = at
        else:
            if match.group(0) == "}":
                stack.pop()
            before = at
    return found


def body_of(mask, at):
    """Where the body of the function begins whose name ends at `at`; nothing if it has none."""
    depth = 0
    for here in range(at, len(mask)):
        char = mask[here]
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif depth == 0 and char == ";":
            return None
        elif depth == 0 and char == "{":
            return here
    return None


def closing(mask, start):
    """Right after the brace that closes the one at `start`."""
    depth = 0
    for here in range(start, len(mask)):
        if mask[here] == "{":
            depth += 1
        elif mask[here] == "}":
            depth -= 1
            if depth == 0:
                return here + 1
    raise ValueError("a brace is not closed")


IMPORT = re.compile(r"^use [^;]*;\n", re.M)


def skeleton(text, found):
    """What a file says beside the bodies of its functions, comments and imports."""
    parts, at = [], 0
    for function in found:
        parts.append(text[at : function.start])
        at = function.end
    parts.append(text[at:])
    outside = IMPORT.sub("", "{}".join(parts))
    return " ".join(masked(outside).split())


def changed_bodies(old, new):
    """The functions that differ, by their place, with the new body; nothing if more differs."""
    before, after = functions(old), functions(new)
    if skeleton(old, before) != skeleton(new, after):
        return None
    if [f.key for f in before] != [f.key for f in after]:
        return None
    imports = set(IMPORT.findall(new)) - set(IMPORT.findall(old))
    local = "".join("#[allow(unused_imports)] " + line for line in sorted(imports))
    bodies = {}
    for one, other in zip(before, after):
        body = new[other.start : other.end]
        if body != old[one.start : one.end]:
            bodies[one.key] = "{\n" + local + body[1:]
    return bodies


def with_switch(text, planted, switch):
    """The file with all bodies of all bugs in it. `planted`: place -> [(number, body)]."""
    parts, at = [], 0
    for function in functions(text):
        bodies = planted.get(function.key)
        if not bodies:
            continue
        head = text[at : function.start]
        # What asks the switch is not constant.
        line = head.rfind("\n", 0, head.rindex("fn ")) + 1
        head = head[:line] + re.sub(r"\bconst (?=fn )", "", head[line:])
        arms = "".join(f"{number} => {body}\n" for number, body in bodies)
        own = text[function.start : function.end]
        parts.append(f"{head}{{\nmatch {switch}() {{\n{arms}_ => {own}\n}}\n}}")
        at = function.end
    parts.append(text[at:])
    return "".join(parts)


def patched(root, patch):
    """The files that a patch changes, as they are with it."""
    touched = re.findall(r"^\+\+\+ b/(.*)$", patch.read_text(), re.M)
    # Outside of any repository `git apply` takes the files as they lie there.
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for path in touched:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, copy / path)
        subprocess.run(["git", "apply", str(patch)], cwd=copy, check=True)
        return {path: (copy / path).read_text() for path in touched}


def together(root, patches):
    """`side_by_side` of patches, by their numbers."""
    return side_by_side(root, {n: (patch.stem, patched(root, patch)) for n, patch in patches.items()})


def side_by_side(root, bugs):
    """Which of these bugs share a copy, by their numbers, and which stand alone; and the files of
    that copy. `bugs`: number -> (name, {path: the file with the bug in it})."""
    planted, guarded, alone = {}, {}, []
    for number, (name, changed) in bugs.items():
        changes = {}
        for path, new in changed.items():
            bodies = None
            if path.endswith(".rs") and "/src/" in path:
                bodies = changed_bodies((root / path).read_text(), new)
            if bodies is None:
                changes = None
                break
            changes[path] = bodies
        if changes is None:
            alone.append(name)
            continue
        if not any(changes.values()):
            raise Refused(f"{name} changes nothing that is run")
        guarded[name] = number
        for path, bodies in changes.items():
            for place, body in bodies.items():
                planted.setdefault(path, {}).setdefault(place, []).append((number, body))
    files = {}
    for path, of_file in planted.items():
        of_core = path.startswith("raft-core/")
        switch = "crate::planted::active" if of_core else "raft_core::planted::active"
        files[path] = with_switch((root / path).read_text(), of_file, switch)
    for path, old, new in BESIDE:
        text = files.get(path) or (root / path).read_text()
        if text.count(old) != 1:
            raise Refused(f"{path} does not say once: {old}")
        files[path] = text.replace(old, new)
    files[LIBRARY] += SWITCH
    # A planted body may leave something unused; nobody wants to read that.
    for library in [LIBRARY, "raft-sim/src/lib.rs"]:
        text = files.get(library) or (root / library).read_text()
        files[library] = "#![allow(warnings)]\n" + text
    return guarded, alone, files
