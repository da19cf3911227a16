"""The line that ends every run, and runs that are ended because they have diverged."""

import json
import re
import unittest

import h5py
import numpy as np

from harness import CliTest, read_metrics, run, run_json

DIGITS = ["--data", "digits", "--threads", 1, "--quiet"]


class Verdict(CliTest):
    def test_a_good_run_is_better_than_independent_units(self):
        out = self.dir / "run"
        told = run_json("train", *DIGITS, "--binarize", "threshold", "--hidden", 12, "--updates", 1000, "--out", out)["verdict"]
        self.assertIn("log Z trusted", told)
        with h5py.File(out / "checkpoint.h5") as file:
            self.assertEqual(file["provenance"].attrs["verdict"], told)
        gain = float(told.split(" nats above independent units")[0])
        # The same from outside: the reference machine is independent units.
        with h5py.File(out / "checkpoint.h5") as file, h5py.File(self.dir / "reference.h5", "w") as other:
            other.create_group("model").attrs["kind"] = "bernoulli-rbm"
            bias = file["model/reference/visible_bias"][...]
            other["model/params/visible_bias"] = bias
            other["model/params/weights"] = np.zeros((len(bias), 1), np.float32)
            other["model/params/hidden_bias"] = np.zeros(1, np.float32)
        ask = lambda model: run_json("loglik", model, "--data", "digits", "--binarize", "threshold", "--split", "valid", "--method", "exact",
                                     "--quiet")["log_likelihood"]
        self.assertAlmostEqual(gain, ask(out) - ask(self.dir / "reference.h5"), delta=0.02)

    def test_real_values_are_held_against_a_full_gaussian(self):
        told = run("train", *DIGITS, "--model", "gaussian-rbm", "--hidden", 4, "--updates", 300, "--out", self.dir / "run").stdout
        self.assertIn("verdict: ", told)
        self.assertIn("BELOW a full Gaussian", told)

    def test_nothing_watches_without_validation_cases(self):
        data = self.dir / "data.npy"
        np.save(data, (np.random.default_rng(1).random((300, 20)) < 0.3).astype(np.uint8))
        told = run("train", "--data", data, "--hidden", 4, "--updates", 200, "--out", self.dir / "run", "--quiet").stdout
        self.assertIn("nothing watches for overfitting", told)
        self.assertIn("(training)", told)

    def test_overfitting_is_told(self):
        random = np.random.default_rng(2)
        data = self.dir / "data.h5"
        with h5py.File(data, "w") as file:
            file["train/x"] = (random.random((40, 60)) < 0.5).astype(np.uint8)
            file["valid/x"] = (random.random((200, 60)) < 0.5).astype(np.uint8)
        out = self.dir / "run"
        told = run("train", "--data", data, "--hidden", 20, "--updates", 2000, "--validate-every", "none", "--out", out, "--quiet").stdout
        self.assertIn("OVERFITTING", told)
        rows = read_metrics(out)
        best = max(rows, key=lambda row: float(row["validation_log_likelihood"]))
        self.assertIn(f"since update {best['update']}", told)
        # The model that early stopping offers is not the one that has lost.
        offered = run_json("train", "--data", data, "--hidden", 20, "--updates", 2000, "--validate-every", 100, "--patience", 4, "--out", out,
                           "--force", "--quiet")["verdict"]
        self.assertNotIn("OVERFITTING", offered)
        with h5py.File(out / "checkpoint.h5") as file:
            self.assertEqual(file["provenance"].attrs["verdict"], offered)


class Diverged(CliTest):
    def test_a_run_that_has_diverged_ends_and_leaves_a_checkpoint_to_go_on_from(self):
        out = self.dir / "run"
        words = [*DIGITS, "--binarize", "threshold", "--hidden", 20, "--no-average", "--checkpoint-every", 100, "--jump", 0, "--schedule", "constant"]
        told = run("train", *words, "--updates", 3000, "--lr", 30, "--out", out, expect=70).stderr
        self.assertIn("training has diverged", told)
        self.assertLess(int(read_metrics(out)[-1]["update"]), 3000)
        with h5py.File(out / "checkpoint.h5") as file:
            for name, array in file["model/params"].items():
                self.assertTrue(np.isfinite(array[...]).all(), name)
        # It is read and gone on from; it diverges again, at the same rate.
        self.assertIn("training has diverged", run("resume", out, "--quiet", expect=70).stderr)
        # A rate that is only high is none of that.
        run("train", *words, "--lr", 1, "--updates", 500, "--force", "--out", out)


class Absurd(CliTest):
    """Settings that nobody should choose: a run ends with the code that is written here, with a verdict that enumeration confirms, and leaves
    nothing that `resume` refuses."""

    def holds(self, *words, expect):
        out = self.dir / "run"
        with self.subTest(words=words):
            told = run("train", *words, "--updates", 300, "--checkpoint-every", 50, "--threads", 1, "--quiet", "--json", "--force", "--out", out, expect=expect)
            if expect == 0:
                self.is_confirmed(json.loads(told.stdout), out, words)
            run("resume", out, "--updates", 320, "--threads", 1, "--quiet", expect=(0, 70))

    def is_confirmed(self, told, out, words):
        """What the verdict says of independent units is so by the exact likelihood of the model that the run offers."""
        data = [word for option in ("--data", "--binarize") if option in words for word in (option, words[words.index(option) + 1])]
        exact = run_json("loglik", out, *data, "--split", told["split"], "--method", "exact", "--quiet")
        gain = exact["log_likelihood"] - exact["independent_log_likelihood"]
        said = re.match(r"(?:(?P<nats>[\d.e+]+) nats (?P<side>above|BELOW)|no different from) independent units", told["verdict"])
        self.assertIsNotNone(said, told["verdict"])
        if said["nats"] is None:
            self.assertLess(abs(gain), 0.1)
        else:
            self.assertAlmostEqual(float(said["nats"]) * (1 if said["side"] == "above" else -1), gain, delta=0.05 + 0.01 * abs(gain))

    def test_a_verdict_that_enumeration_does_not_confirm_is_seen(self):
        out, words = self.dir / "run", ["--data", "digits", "--binarize", "threshold", "--hidden", 6]
        told = run_json("train", *words, "--updates", 300, "--threads", 1, "--quiet", "--out", out)
        self.is_confirmed(told, out, words)
        for wrong in ("9.00 nats above independent units", "2.00 nats BELOW independent units", "no different from independent units"):
            with self.assertRaises(AssertionError):
                self.is_confirmed({**told, "verdict": wrong}, out, words)

    def test_rates_first_weights_and_batches(self):
        for base in (["--binarize", "threshold"], ["--model", "gaussian-rbm"], ["--model", "ssrbm"]):
            words = ["--data", "digits", *base, "--hidden", 6]
            for rate in (1e8, 1e4, 100):
                self.holds(*words, "--lr", rate, expect=70)
            for rate in (1e-8, 1e-4):
                self.holds(*words, "--lr", rate, expect=0)
            for first in (1e6, 1e3):
                self.holds(*words, "--init", first, expect=70)
            for first in (0, 1e-8):
                self.holds(*words, "--init", first, expect=0)
            for batch in (1, 1500):
                self.holds(*words, "--batch", batch, expect=0)
        for metric in ("sample", "kfac", "diagonal"):
            words = ["--data", "digits", "--binarize", "threshold", "--hidden", 6, "--metric", metric]
            self.holds(*words, "--lr", 1e4, expect=70)
            self.holds(*words, "--lr", 1e-8, expect=0)

    def test_data_of_one_case_without_variation_or_of_absurd_size(self):
        random = np.random.default_rng(1)
        sets = {"one": (random.random((1, 20)) < 0.5).astype(np.uint8), "constant": np.ones((50, 20), np.uint8)}
        real = {"real-one": random.normal(size=(1, 8)), "real-constant": np.full((40, 8), 3.0), "huge": random.normal(size=(100, 8)) * 1e30,
                "tiny": random.normal(size=(100, 8)) * 1e-30}
        for name, values in sets.items():
            np.save(self.dir / f"{name}.npy", values)
            self.holds("--data", self.dir / f"{name}.npy", "--hidden", 4, expect=0)
        for name, values in real.items():
            np.save(self.dir / f"{name}.npy", values.astype(np.float32))
            for kind in ("gaussian-rbm", "ssrbm", "sparse-ssrbm"):
                self.holds("--data", self.dir / f"{name}.npy", "--model", kind, "--hidden", 4, expect=0)


if __name__ == "__main__":
    unittest.main()
