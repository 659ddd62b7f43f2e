"""`python3 -m unittest discover -s raft-sim/mutants`"""

import collections
import pathlib
import sys
import tempfile
import types
import unittest

sys.dont_write_bytecode = True
import small

FILE = "raft-core/src/x.rs"
TEXT = """fn a(x: u64) -> bool {
    // größer
    x > 1
}
"""


def found(**more):
    span = {"start": {"line": 3, "column": 7}, "end": {"line": 3, "column": 8}}
    return {
        "file": FILE, "span": span, "replacement": ">=", "function": {"function_name": "X::a"},
        "name": f"{FILE}:3:7: replace > with >= in X::a", **more,
    }


class Changes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root, small.ROOT = small.ROOT, pathlib.Path(self.folder.name)
        (small.ROOT / FILE).parent.mkdir(parents=True)
        (small.ROOT / FILE).write_text(TEXT)

    def tearDown(self):
        small.ROOT = self.root
        self.folder.cleanup()

    def test_a_change_stands_where_its_span_says(self):
        change = small.Change(found(), collections.Counter(), 1)
        self.assertEqual(change.text(), TEXT.replace("x > 1", "x >= 1"))

    def test_names_say_nothing_of_lines_and_are_unique(self):
        seen = collections.Counter()
        names = [small.Change(found(), seen, number).name for number in [1, 2]]
        self.assertEqual(names, ["x: replace > with >= in X::a", "x: replace > with >= in X::a #2"])

    def test_the_change_that_the_compiler_refuses_is_found_by_its_line(self):
        copy = "fn a() {\nmatch on() {\n12 => {\n    bad\n}\n34 => {\n    x\n}\n_ => {\n    y\n}\n}\n}\n"
        (small.ROOT / FILE).write_text(copy)
        built = types.SimpleNamespace(copy=types.SimpleNamespace(tree=small.ROOT))
        at = lambda line: small.Built.planted_at(built, FILE, line)
        self.assertEqual([at(line) for line in [2, 4, 7, 10]], [set(), {12}, {34}, set()])

    def test_whatever_objects_is_enough_and_a_longer_sweep_looks_again(self):
        change = small.Change(found(), collections.Counter(), 1)
        path = small.ROOT / "target/results.json"
        small.Results(path).keep(change.name, {"sweep": {"checker": None, "done": 200}})
        results = small.Results(path)
        lacks = lambda: [results.lacks(change, *of) for of in [("sweep", 200), ("sweep", 201), ("bounds", 0)]]
        self.assertEqual(lacks(), [False, True, True])
        results.keep(change.name, {**results.of(change), "bounds": {"checker": "bounds: it_holds"}})
        self.assertEqual(lacks(), [False, False, False])
        results.keep(change.name, {"sweep": {"checker": "panic", "seed": 3, "sentence": ""}})
        self.assertEqual(lacks(), [False, False, False])


if __name__ == "__main__":
    unittest.main()
