"""`python3 -m unittest discover -s raft-sim/mutants`"""

import pathlib
import sys
import tempfile
import types
import unittest

sys.dont_write_bytecode = True
import heads
import matrix
import plant
import trial

OLD = '''
use crate::a::A;
impl<T: Fn() -> u8> X for Y<T> {
    /// A brace in a comment: {
    pub(crate) const fn f<'a>(&'a self, x: [u8; 2]) -> char {
        if x[0] == 1 { '{' } else { "}\\"{".len(); b'}' as char } // }
    }
    fn declared(&self);
}
const C: u8 = { 1 };
fn f(x: impl Fn(u8) -> u8) -> u8 where u8: Copy {
    fn inner() {}
    x(C)
}
'''


class Planting(unittest.TestCase):
    def test_functions_are_found_by_their_place_whatever_stands_in_strings(self):
        names = [(f.key[1], OLD[f.start : f.end].count("\n")) for f in plant.functions(OLD)]
        self.assertEqual(names, [("f", 2), ("f", 3)])

    def test_a_changed_body_stands_beside_the_old_one(self):
        new = OLD.replace("x(C)", "x(2)").replace("use crate::a::A;", "use crate::a::{A, B};")
        bodies = plant.changed_bodies(OLD, new)
        self.assertEqual([key[1] for key in bodies], ["f"])
        (key, body), = bodies.items()
        self.assertIn("use crate::a::{A, B};", body)
        text = plant.with_switch(OLD, {key: [(7, body)]}, "crate::planted::active")
        self.assertRegex(text, r"match crate::planted::active\(\) \{\n7 => \{")
        self.assertIn("x(2)", text)
        self.assertIn("_ => {\n    fn inner() {}\n    x(C)\n}", text)

    def test_what_asks_the_switch_is_not_constant(self):
        bodies = plant.changed_bodies(OLD, OLD.replace("x[0] == 1", "x[0] == 2"))
        text = plant.with_switch(OLD, {key: [(7, body)] for key, body in bodies.items()}, "on")
        self.assertIn("pub(crate) fn f<'a>", text)

    def test_what_is_no_body_needs_a_build_of_its_own(self):
        for old, new in [("{ 1 }", "{ 2 }"), ("x: [u8; 2]", "x: [u8; 3]"), ("fn declared", "fn other")]:
            self.assertIsNone(plant.changed_bodies(OLD, OLD.replace(old, new)), new)


class Heads(unittest.TestCase):
    DIFF = "\n--- a/x\n+++ b/x\n"

    def patch(self, head):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a-bug.patch"
            path.write_text(head + self.DIFF)
            return heads.Patch(path)

    def test_a_head_says_what_is_broken_of_which_class_and_what_sees_it(self):
        patch = self.patch("# breaks: all\n# class: S\n# seen by: nobody\n# catalogue: M07")
        self.assertEqual((patch.name, patch.kind, patch.catalogue), ("a-bug", "S", "M07"))

    def test_any_other_head_is_refused(self):
        whole = ["# breaks: all", "# class: S", "# seen by: nobody"]
        for lines in [whole[1:], whole[:2], [*whole, "# color: red"], [*whole, "words"],
                      [whole[0], "# class: Q", whole[2]], [*whole, "# catalogue: 7"], [*whole, whole[0]]]:
            with self.assertRaises(heads.Refused, msg=lines):
                self.patch("\n".join(lines))

    def test_a_result_is_of_the_diff_not_of_the_head(self):
        head = "# breaks: all\n# class: S\n# seen by: nobody"
        self.assertEqual(self.patch(head).digest, self.patch(head + "\n# needs: luck").digest)


class Bounds(unittest.TestCase):
    def killer(self, batches, hint=None):
        """Of a test that fails with the batches of seeds that are named."""
        with tempfile.TemporaryDirectory() as folder:
            harness = pathlib.Path(folder) / "harness"
            harness.write_text(
                "#!/bin/sh\n"
                f"case ' {batches} ' in *\" ${{BOUNDS_BATCH:-0}} \"*)\n"
                "echo 'test a_read ... FAILED'; exit 1;; esac\necho 'test result: ok'\n"
            )
            harness.chmod(0o755)
            return trial.broken_bound([("bounds", str(harness), folder)], 7, 10, hint)

    def test_the_bound_that_is_known_is_tried_first_and_if_it_holds_all_are(self):
        self.assertEqual(self.killer("0 12 13", "bounds: a_write"), "bounds: a_write")
        self.assertEqual(self.killer("0 12 13", "liveness: a_write"), "bounds: a_read")
        self.assertIsNone(self.killer("0 12", "bounds: a_write"))

    def test_a_bound_is_broken_where_other_seeds_break_it_too(self):
        self.assertEqual(self.killer("0 12 13"), "bounds: a_read")
        for batches in ["", "12 13", "0", "0 12", "0 13"]:
            self.assertIsNone(self.killer(batches), batches)


CODE = matrix.Code("c", "b")


class Policy(unittest.TestCase):
    def results(self, *found, kind="S"):
        patch = Heads().patch(f"# breaks: all\n# class: {kind}\n# seen by: nobody")
        results = matrix.Results(pathlib.Path("/nowhere"))
        results.all = {patch.name: {"sweep": {
            "patch": patch.digest, "code": "c", "seeds": 10, "places": [0, 100, 200],
            "found": [{"seed": at, "checker": at and "x", "done": 10} for at in found],
        }}}
        return patch, results

    def test_two_places_of_three_are_enough(self):
        patch, results = self.results(4, None, 203)
        self.assertEqual((results.distances(patch), results.median(patch)), ([5, None, 4], 5))
        self.assertEqual(matrix.policy([patch], results, CODE), [])

    def test_the_seed_that_is_known_from_other_code_is_tried_first(self):
        patch, results = self.results(4, None, 203)
        self.assertEqual(results.hints(patch), {0: 4, 200: 203})
        asked = []

        def look(number, first, seeds, timeout):
            asked.append((first, seeds))
            is_seen = first <= 4 < first + seeds
            return {"seed": 4, "checker": "x"} if is_seen else {"checker": None, "done": seeds}

        options = types.SimpleNamespace(seeds=50, timeout=1)
        known = {"checker": None, "done": 20}
        for place, known, hint, expected in [
            (0, None, 4, [(4, 1)]), (0, None, None, [(0, 50)]),
            (100, None, 105, [(105, 1), (100, 50)]), (100, known, 105, [(120, 30)]),
        ]:
            asked.clear()
            trial.deeper(look, 7, place, known, options, hint)
            self.assertEqual(asked, expected)

    def test_one_is_not_unless_the_head_says_why(self):
        patch, results = self.results(4, None, None)
        self.assertIsNone(results.median(patch))
        self.assertEqual(len(matrix.policy([patch], results, CODE)), 1)
        patch.head["unseen"] = "nobody looks"
        self.assertEqual(matrix.policy([patch], results, CODE), [])

    def test_a_bound_is_enough_for_a_bug_of_liveness_and_not_for_one_of_safety(self):
        for kind, code, killer, broken in [
            ("L", "b", "bounds: reads", 0), ("R", "b", "bounds: reads", 0),
            ("S", "b", "bounds: reads", 1), ("L", "b", None, 1), ("L", "old", "bounds: reads", 1),
        ]:
            patch, results = self.results(4, None, None, kind=kind)
            bounds = {"patch": patch.digest, "code": code, "killer": killer}
            results.all[patch.name]["bounds"] = bounds
            found = matrix.policy([patch], results, CODE)
            self.assertEqual(len(found), broken, (kind, code, killer))

    def test_what_breaks_a_bound_is_listed_apart(self):
        patch, results = self.results(4, None, None, kind="L")
        text = "\n".join(matrix.survivors([patch], results))
        self.assertNotIn("Seen by a bound alone", text)
        self.assertIn("- `a-bug` (L, 10 runs", text)
        results.all[patch.name]["bounds"] = {
            "patch": patch.digest, "code": "b", "killer": "bounds: reads"
        }
        text = "\n".join(matrix.survivors([patch], results))
        self.assertIn("### Seen by a bound alone\n\n- `a-bug` (L): `bounds: reads`", text)
        self.assertNotIn("10 runs", text)

    def test_the_core_as_it_is_must_raise_no_alarm(self):
        patch, results = self.results(4, 104, 204)
        results.all[matrix.NO_BUG] = {"sweep": {"found": [{"seed": 3, "checker": "x"}]}}
        self.assertEqual(len(matrix.policy([patch], results, CODE)), 1)


if __name__ == "__main__":
    unittest.main()
