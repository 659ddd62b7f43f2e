"""The heads of the patches: comment lines before the diff, `# key: value`, one line each."""

import hashlib
import re
import subprocess

CLASSES = {
    "S": "safety",
    "L": "liveness",
    "R": "resource",
    "A": "answer",
    "H": "host",
    "D": "driver",
    "T": "tool",
}
NEEDED = ["breaks", "class", "seen by"]
KNOWN = [*NEEDED, "catalogue", "needs", "unseen"]


class Refused(Exception):
    """Why nothing is run."""


class Patch:
    """A planted bug: the head of its patch. Its name is that of the file."""

    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text()
        head, diff = text.split("\n--- ", 1)
        self.digest = hashlib.sha1(diff.encode()).hexdigest()[:12]
        head = head.splitlines()
        self.head = {}
        for line in head:
            if match := re.fullmatch(r"# ([a-z ]+): (\S.*)", line):
                if match.group(1) in self.head:
                    raise Refused(f"{path.name}: two lines `{match.group(1)}`")
                self.head[match.group(1)] = match.group(2)
            elif not line.startswith("diff --git") and not line.startswith("index "):
                raise Refused(f"{path.name}: no line of a head: {line}")
        missing = [key for key in NEEDED if key not in self.head]
        unknown = [key for key in self.head if key not in KNOWN]
        if missing or unknown:
            raise Refused(f"{path.name}: its head lacks {missing}, and does not know {unknown}")
        if self.kind not in CLASSES:
            raise Refused(f"{path.name}: the class is one of {' '.join(CLASSES)}")
        if not re.fullmatch(r"M\d\d", self.head.get("catalogue", "M00")):
            raise Refused(f"{path.name}: a number of the catalogue is such as M07")

    kind = property(lambda self: self.head["class"])
    breaks = property(lambda self: self.head["breaks"])
    needs = property(lambda self: self.head.get("needs"))
    unseen = property(lambda self: self.head.get("unseen"))
    catalogue = property(lambda self: self.head.get("catalogue"))


def patches(folder, root):
    """All of them, in the order of their names. Refuses heads that lack something, and patches that
    do not apply: a bug that cannot be planted measures nothing."""
    all_ = [Patch(path) for path in sorted(folder.glob("*.patch"))]
    for patch in all_:
        command = ["git", "apply", "--check", str(patch.path)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise Refused(f"{patch.path.name} does not apply:\n{done.stderr.strip()}")
    return all_
