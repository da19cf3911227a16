"""Certified lower bounds of log Z: what they refute is not trusted, wherever it is told."""

import pathlib
import sys
import unittest

import h5py
import numpy as np

from harness import CliTest, read_metrics, run, run_json, write_rbm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import trust_table  # noqa: E402

# Training hardly moves them, so that what is planted stays.
GREY = ["--data", "digits", "--model", "gaussian-rbm", "--hidden", 20, "--threads", 2]
TOGETHER = 8


def plant_mode(path):
    """Eight hidden units that are worth some 40 nats together and a loss of a hundred by fours: no chain gets there.

    They are planted in the state of training, whose coordinates are standardised, among the modes that it remembers, and in the
    model beside it, whose units are those of the data. The tracker believes to be there already.
    """
    with h5py.File(path, "r+") as file:
        centre, scale = (file[f"model/standardisation/{name}"][...] for name in ("centre", "scale"))
        direction = np.random.default_rng(1).normal(size=len(scale))
        direction *= 4 / np.linalg.norm(direction)
        bias = (40 - 0.5 * (4 * TOGETHER) ** 2) / TOGETHER
        for group in ("state/theta", "state/average", "state/tracker/theta"):
            weights, biases = file[f"{group}/weights"], file[f"{group}/hidden_bias"]
            weights[:, :TOGETHER] = direction[:, None]
            biases[:TOGETHER] = bias
            precision = file[f"{group}/visible_precision"]
            precision[...] = np.minimum(precision[...], 1)  # the gain above is that of unit precisions
        modes = file["state/modes"]
        rows = np.unique(np.concatenate([[[2 ** TOGETHER - 1]], modes[...]]).astype(modes.dtype), axis=0)
        del file["state/modes"]
        file["state/modes"] = rows
        average = {name: file[f"state/average/{name}"][...].astype(float)
                   for name in ("weights", "hidden_bias", "visible_bias", "visible_precision")}
        params = file["model/params"]
        params["weights"][...] = average["weights"] / scale[:, None]
        params["hidden_bias"][...] = average["hidden_bias"] - (centre / scale) @ average["weights"]
        params["visible_precision"][...] = average["visible_precision"] / scale ** 2
        params["visible_bias"][...] = (average["visible_bias"] + average["visible_precision"] * centre / scale) / scale


class LostMode(CliTest):
    def lost(self):
        """A run that has lost a planted mode, and the exact value. Before it was planted it was trusted."""
        out = self.dir / "run"
        # Jumps would lead to it.
        run("train", *GREY, "--jump", 0, "--schedule", "inverse", "--lr", 1e-6, "--updates", 300, "--out", out, timeout=300)
        with h5py.File(out / "checkpoint.h5") as file:
            self.assertEqual(file["log_partition"].attrs["trusted"], 1)
        plant_mode(out / "checkpoint.h5")
        told = run("resume", out, "--updates", 500, timeout=300).stderr
        exact = run_json("loglik", out, "--method", "exact", "--quiet")
        with h5py.File(out / "checkpoint.h5") as file:
            stored = dict(file["log_partition"].attrs)
            modes = file["state/modes"][...]
        self.assertEqual(len(np.unique(modes)), len(modes))
        self.assertGreater(abs(stored["value"] - exact["log_partition"]), 5)
        self.assertEqual(stored["trusted"], 0)
        self.assertIn("log Z is at least", told)
        self.assertIn("lost what the model likes best", told)
        return out, exact

    def test_chains_that_jump_to_it_do_not_make_a_wrong_value_trusted(self):
        """By default chains jump to modes that searches find, here to one that only the coldest rung has: no rung below has it."""
        out = self.dir / "run"
        run("train", *GREY, "--schedule", "inverse", "--lr", 1e-6, "--updates", 300, "--out", out, timeout=300)
        plant_mode(out / "checkpoint.h5")
        exact = run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"]
        # The planted mode leaves cases far below independent units, and so the run ends before its time.
        told = run("resume", out, "--updates", 1500, expect=70, timeout=300).stderr
        self.assertIn("log Z is at least", told)
        after = run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"]
        low, high = sorted([exact, after])
        rows = [row for row in read_metrics(out) if int(row["update"]) > 300]
        self.assertGreater(len(rows), 8)
        for row in rows:
            value = float(row["log_partition"])
            off = max(low - value, value - high)
            self.assertTrue(off < 0.5 or row["trusted"] == "0", row)
            self.assertLess(abs(off), 60, row)  # the mode is worth less than that

    def test_runs_at_the_defaults_are_trusted_where_they_are_right_and_nowhere_else(self):
        for seed in range(1, 5):
            out = self.dir / f"run-{seed}"
            run("train", *GREY, "--no-enumerate", "--seed", seed, "--out", out, timeout=300)
            exact = run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"]
            with h5py.File(out / "best.h5") as file:
                stored = dict(file["log_partition"].attrs)
            off = abs(stored["value"] - exact)
            self.assertEqual(stored["trusted"], int(off < 0.5), f"seed {seed}: off by {off}")

    def test_training_and_every_estimate_are_held_against_it(self):
        out, exact = self.lost()

        # What needs no chain finds it; by default that is what is taken, and it says so.
        usual = run_json("loglik", out, "--quiet")
        self.assertEqual((usual["method"], usual["trusted"]), ("exact", True))
        self.assertEqual(usual["log_partition"], exact["log_partition"])
        self.assertIn("less work", usual["chosen_because"])

        for method in ("ais", "tracked"):
            with self.subTest(method=method):
                found = run_json("loglik", out, "--method", method, "--quiet")
                self.assertFalse(found["trusted"])
                self.assertLessEqual(found["log_partition_at_least"], exact["log_partition"] + 1e-6)
                self.assertGreater(found["log_partition_at_least"], exact["log_partition"] - 1)
                self.assertEqual(found["trusted"], abs(found["log_partition"] - exact["log_partition"]) < 0.5)
                if found["log_partition"] < exact["log_partition"] - 0.5:
                    self.assertIn("log Z is at least", found["doubt"])
        told = run_json("sample", out, "--ladder", "trajectory", "--jump", 0, "--count", 8, "--out", self.dir / "s.h5", "--quiet")
        self.assertFalse(told["log_partition_trusted"])
        self.assertGreater(told["log_partition_at_least"], exact["log_partition"] - 1)
        # Rounds over a first-order transition may be too high, which no bound tells: what training knew does.
        told = run("loglik", out, "--method", "tracked").stderr
        self.assertIn("training did not trust it: a search of modes proves", told)
        # A few rounds have not reached it: too low, and refuted.
        short = run_json("loglik", out, "--method", "tracked", "--rounds", 16, "--quiet")
        self.assertLess(short["log_partition"], exact["log_partition"] - 5)
        told = run("loglik", out, "--method", "tracked", "--rounds", 16).stderr
        self.assertIn("log Z is at least", told)

    def test_modes_of_a_checkpoint_are_distinct(self):
        out = self.dir / "run"
        words = ["--data", "digits", "--binarize", "threshold", "--hidden", 16, "--updates", 2000, "--threads", 1, "--validate-every", "none"]
        run("train", *words, "--out", out)
        path = out / "checkpoint.h5"
        with h5py.File(path, "r+") as file:
            modes = file["state/modes"][...]
            self.assertGreater(len(modes), 0)
            self.assertLess(modes.max(), 2**16)
            # A bound would count the first twice.
            del file["state/modes"]
            file["state/modes"] = np.concatenate([modes[:1], modes[:1]])
        self.fails(65, "resume", out, "--updates", 2200, mentions=["modes"])


class Honest(CliTest):
    def test_good_estimates_stay_trusted(self):
        out = self.dir / "run"
        run("train", "--data", "digits", "--binarize", "threshold", "--hidden", 16, "--updates", 1000, "--out", out)
        with h5py.File(out / "checkpoint.h5") as file:
            self.assertEqual(file["log_partition"].attrs["trusted"], 1)
        exact = run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"]
        for method in ("ais", "bar", "tracked"):
            with self.subTest(method=method):
                found = run_json("loglik", out, "--method", method, "--quiet")
                self.assertTrue(found["trusted"], found)
                self.assertLessEqual(found["log_partition_at_least"], exact + 1e-6)


class Chosen(CliTest):
    def test_no_value_is_printed_that_is_below_what_is_certain_where_a_larger_one_is_known(self):
        """Thirty hidden units in three groups, one for each of three patterns; few betas, so that annealing is off by some errors."""
        draw = np.random.default_rng(9)
        patterns = (draw.random((3, 40)) < 0.5) * 2 - 1
        weights, bias = np.zeros((40, 30)), np.zeros(30)
        for k, pattern in enumerate(patterns):
            weights[:, 10 * k:10 * k + 10] = 0.25 * pattern[:, None]
            bias[10 * k:10 * k + 10] = 2 - 0.25 * (pattern > 0).sum()
        path = self.dir / "m.h5"
        write_rbm(path, weights, np.zeros(40), bias)
        below = 0
        for seed in range(1, 9):
            words = ("loglik", path, "--betas", 30, "--seed", seed, "--quiet")
            alone, usual = run_json(*words, "--method", "ais"), run_json(*words)
            below += alone["log_partition"] < usual["log_partition_at_least"]
            self.assertGreaterEqual(usual["log_partition"], usual["log_partition_at_least"], f"seed {seed}")
        self.assertGreater(below, 0)  # else nothing was tried


class Confirmed(CliTest):
    """Estimates of a tempering run whose replicas do not mix, and annealing from the modes."""

    def estimates(self, seed):
        path = self.dir / f"{seed}.h5"
        trust_table.write(path, "bernoulli-rbm", trust_table.machine("bernoulli-rbm", seed))
        exact = run_json("loglik", path, "--method", "exact", "--quiet")["log_partition"]
        return exact, run_json("loglik", path, "--method", "bar", "--rounds", 500, "--ensembles", 16, "--threads", 2, "--quiet")

    def test_a_right_one_is_confirmed_and_a_wrong_one_is_not(self):
        exact, right = self.estimates(105)
        self.assertLess(abs(right["log_partition"] - exact), 3 * right["log_partition_se"])
        self.assertTrue(right["trusted"])
        self.assertIn("replicas", right["confirmed_because"])
        # Planted: a phase that replicas leave and do not come back to.
        exact, wrong = self.estimates(111)
        self.assertGreater(abs(wrong["log_partition"] - exact), 5 * wrong["log_partition_se"])
        self.assertFalse(wrong["trusted"])
        self.assertNotIn("confirmed_because", wrong)


if __name__ == "__main__":
    unittest.main()
