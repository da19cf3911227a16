"""`tempera sweep`: grids and lists of settings, which go on where they were stopped."""

import csv
import signal
import time
import unittest

from harness import BAD_CONFIG, NO_INPUT, USAGE, CliTest, run, run_json, start

SPEC = """
data = "digits"
binarize = "threshold"
updates = {updates}
report-every = 50
checkpoint-every = 50

[grid]
hidden = [4, 8]
lr = [0.1, 0.3]
seed = [1, 2, 3]
"""


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Sweep(CliTest):
    def spec(self, text=SPEC, updates=300):
        path = self.dir / "spec.toml"
        path.write_text(text.format(updates=updates))
        return path

    def test_a_sweep_that_is_killed_twice_gives_the_table_of_an_unbroken_one(self):
        spec = self.spec(updates=2000)
        run("sweep", spec, "--out", self.dir / "whole", "--jobs", 2, "--quiet")
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = start("sweep", spec, "--out", self.dir / "broken", "--jobs", 2, "--quiet")
            time.sleep(2.0)
            self.assertIsNone(process.poll(), "must be stopped in the middle")
            process.send_signal(number)
            process.communicate(timeout=60)
            if number == signal.SIGTERM:
                self.assertEqual(process.returncode, 130)
                begun = [path for path in (self.dir / "broken/runs").iterdir() if (path / "checkpoint.h5").exists()]
                self.assertTrue(0 < len(begun) < 12, len(begun))
        time.sleep(2.0)  # runs whose parent was killed write their checkpoints
        run("sweep", spec, "--out", self.dir / "broken", "--jobs", 2, "--quiet")
        self.assertEqual((self.dir / "broken/results.csv").read_text(), (self.dir / "whole/results.csv").read_text())

    def test_the_table_is_of_the_runs_and_marks_the_best(self):
        result = run_json("sweep", self.spec(), "--out", self.dir / "s", "--jobs", 2, "--quiet")
        table = rows(self.dir / "s/results.csv")
        self.assertEqual(len(table), 12)
        self.assertEqual({row["state"] for row in table}, {"finished"})
        best = max(table, key=lambda row: float(row["log_likelihood"]))
        self.assertEqual(best["best"], "best")
        self.assertEqual(result["best"], best["name"])
        least = float(best["log_likelihood"]) - float(best["standard_error"])
        for row in table:
            self.assertEqual(bool(row["best"]), float(row["log_likelihood"]) >= least, row["name"])
            self.assertEqual(row["split"], "valid")
        # A finished run is not run again.
        before = {path: path.stat().st_mtime_ns for path in (self.dir / "s/runs").glob("*/checkpoint.h5")}
        run("sweep", self.dir / "spec.toml", "--out", self.dir / "s", "--quiet")
        self.assertEqual(before, {path: path.stat().st_mtime_ns for path in before})

    def test_a_plan_that_has_changed_is_not_taken_for_the_one_before(self):
        run("sweep", self.spec(updates=60), "--out", self.dir / "s", "--only", 0, "--quiet")
        self.fails(BAD_CONFIG, "sweep", self.spec(updates=90), "--out", self.dir / "s", mentions=["updates", "60", "90"])
        # More values are no other plan.
        more = self.spec(SPEC.replace("[1, 2, 3]", "[1, 2, 3, 4]"), updates=60)
        run("sweep", more, "--out", self.dir / "s", "--only", 1, "--quiet")

    def test_lists_and_single_settings(self):
        spec = self.spec('data = "bars-and-stripes"\nupdates = 60\n[[list]]\nhidden = 3\nlr = 0.1\n[[list]]\nhidden = 5\nlr = 0.05\n')
        for k in range(2):
            run("sweep", spec, "--out", self.dir / "s", "--only", k, "--quiet")
        self.assertFalse((self.dir / "s/results.csv").exists())
        run("sweep", spec, "--out", self.dir / "s", "--quiet")
        self.assertEqual([(row["hidden"], row["lr"]) for row in rows(self.dir / "s/results.csv")], [("3", "0.1"), ("5", "0.05")])

    def test_a_run_that_fails_is_named_and_ends_no_other(self):
        spec = self.spec('data = "digits"\nbinarize = "threshold"\nhidden = 8\nupdates = 3000\n[grid]\nlr = [0.1, 1e6]\n')
        done = run("sweep", spec, "--out", self.dir / "s", "--quiet", expect=70)
        self.assertIn("lr=1e+06", done.stderr)
        states = {row["lr"]: row["state"] for row in rows(self.dir / "s/results.csv")}
        self.assertEqual(states["0.1"], "finished")

    def test_specs_that_are_none(self):
        for text, code in (('[grid]\nhiden = [1]\n', BAD_CONFIG), ('[grid]\nhidden = 3\n', BAD_CONFIG), ('[grid]\nhidden = [-1]\n', BAD_CONFIG),
                           ('[grid]\nseed = [1, 1]\ndata = ["digits"]\n', BAD_CONFIG), ("= 3", BAD_CONFIG),
                           ('data = "digits"\n[[list]]\nlr = 0.1\n[[list]]\nseed = 2\n', BAD_CONFIG)):
            with self.subTest(spec=text):
                self.fails(code, "sweep", self.spec(text), "--out", self.dir / "s")
        self.fails(NO_INPUT, "sweep", self.dir / "none.toml", "--out", self.dir / "s")
        self.fails(USAGE, "sweep", self.spec(), "--out", self.dir / "s", "--only", 12)


if __name__ == "__main__":
    unittest.main()
