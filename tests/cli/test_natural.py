"""Deep machines, metrics and pruning from the command line."""

import shutil
import unittest

import h5py
import numpy as np

from harness import CliTest, differences, log_sum_exp, read_metrics, run, run_json

SMALL = ["--data", "bars-and-stripes", "--batch", "20", "--report-every", "10", "--checkpoint-every", "15", "--quiet"]
METRICS = ["diagonal", "mfng", "sample", "kfac", "ekfac", "fang", "tonga", "hybrid"]


def states(n):
    return (np.arange(2 ** n)[:, None] >> np.arange(n) & 1).astype(float)


class Deep(CliTest):
    def train(self, *more, name="run", updates=30):
        run("train", *SMALL, "--schedule", "inverse", "--updates", updates, "--model", "dbm", "--hidden", "6,4", "--force", "--out", self.dir / name, *more)
        return self.dir / name

    def brute(self, path):
        """log Z and log p(v) of the file's machine by sums over all states, from h5py alone."""
        with h5py.File(path) as file:
            params = {name: file["model/params"][name][...].astype(float) for name in file["model/params"]}
        even = states(len(params["bias_0"]))
        top = states(len(params["bias_2"]))
        # The odd layer is summed out for every pair of states of the even ones, some at a time.
        upper = top @ params["weights_2"].T + params["bias_1"]
        weights = np.empty((len(even), len(top)))
        for t, row in enumerate(upper):
            inputs = even @ params["weights_1"] + row
            weights[:, t] = even @ params["bias_0"] + top[t] @ params["bias_2"] + np.logaddexp(0, inputs).sum(1)
        per_case = np.array([log_sum_exp(row) for row in weights])
        return log_sum_exp(per_case), per_case, even

    def test_likelihood_is_exact_for_a_small_machine(self):
        path = self.train() / "checkpoint.h5"
        told = run_json("loglik", path, "--data", "bars-and-stripes", "--split", "train", "--method", "exact")
        log_z, per_case, even = self.brute(path)
        self.assertAlmostEqual(told["log_partition"], log_z, places=4)
        run("data", "bars-and-stripes", "--out", self.dir / "bars.h5")
        with h5py.File(self.dir / "bars.h5") as file:
            cases = file["train/x"][...]
        index = {tuple(row): k for k, row in enumerate(even.astype(int))}
        expected = np.mean([per_case[index[tuple(int(x) for x in row)]] - log_z for row in cases])
        self.assertAlmostEqual(told["log_likelihood"], expected, places=4)
        self.assertFalse(told["variational"])

    def test_every_estimator_agrees(self):
        path = self.train()
        told = run_json("loglik", path, "--data", "bars-and-stripes", "--split", "train", "--method", "all", "--betas", 2000)
        self.assertEqual(told["disagreements"], [])
        self.assertIn("tracked", [row["method"] for row in told["estimates"]])

    def test_more_hidden_units_give_a_bound(self):
        run("train", *SMALL, "--updates", 30, "--model", "dbm", "--hidden", "8,12", "--out", self.dir / "wide")
        told = run_json("loglik", self.dir / "wide", "--data", "bars-and-stripes", "--split", "train", "--method", "exact")
        self.assertTrue(told["variational"])
        # An upper bound of the likelihood by the same machine: the best of any law over the cases.
        self.assertLess(told["log_likelihood"], 0.0)
        self.fails(64, "loglik", self.dir / "wide", "--data", "bars-and-stripes", "--method", "raise", mentions=["raise"])

    def test_file_names_every_layer(self):
        path = self.train() / "checkpoint.h5"
        with h5py.File(path) as file:
            self.assertEqual(file["model"].attrs["kind"], "dbm")
            self.assertEqual(set(file["model/params"]), {"weights_1", "weights_2", "bias_0", "bias_1", "bias_2"})
            self.assertEqual(file["model/params/weights_2"].shape, (6, 4))
            self.assertIn("bias_0", file["model/reference"])
        run("sample", path, "--count", 20, "--sweeps", 5, "--out", self.dir / "samples.h5", "--quiet")
        with h5py.File(self.dir / "samples.h5") as file:
            self.assertEqual({name: file["samples"][name].shape[1] for name in file["samples"]},
                             {"visible": 16, "hidden_1": 6, "hidden_2": 4})
        run("features", path, "--out", self.dir / "features.png", "--sort", "usage", "--quiet")
        told = run_json("info", path)
        self.assertEqual((told["kind"], told["n_hidden_1"], told["n_hidden_2"]), ("dbm", 6, 4))

    def test_five_lines_of_h5py_make_a_model(self):
        rng = np.random.default_rng(1)
        path = self.dir / "mine.h5"
        with h5py.File(path, "w") as file:
            model = file.create_group("model")
            model.attrs["kind"] = "dbm"
            for name, shape in {"weights_1": (5, 4), "weights_2": (4, 3), "bias_0": 5, "bias_1": 4, "bias_2": 3}.items():
                model["params/" + name] = rng.normal(size=shape)
        self.assertAlmostEqual(run_json("loglik", path, "--method", "exact")["log_partition"], self.brute(path)[0], places=4)
        with h5py.File(path, "a") as file:
            del file["model/params/weights_2"]
            file["model/params/weights_2"] = rng.normal(size=(5, 3))
        self.fails(65, "loglik", path, "--method", "exact", mentions=["mine.h5", "weights_2"])

    def test_stop_and_resume_and_threads_change_no_byte(self):
        for more in (["--trainer", "sml-apt"], ["--trainer", "sml", "--positive", "sampled"], ["--trainer", "cd"]):
            with self.subTest(more=more):
                whole = self.train(*more, name="whole")
                self.train(*more, "--threads", 3, name="part", updates=17)
                run("resume", self.dir / "part", "--updates", 30, "--quiet", "--threads", 2)
                self.assertEqual(differences(whole / "checkpoint.h5", self.dir / "part" / "checkpoint.h5"), [])

    def test_live_units_are_reported_for_every_layer(self):
        rows = read_metrics(self.train())
        live = [int(word) for word in rows[-1]["live_units"].split()]
        self.assertEqual(len(live), 2)
        self.assertLessEqual(live[0], 6)
        run("train", *SMALL, "--updates", 400, "--lr", 1, "--model", "dbm", "--hidden", "6,4", "--out", self.dir / "longer")
        self.assertGreater(int(read_metrics(self.dir / "longer")[-1]["live_units"].split()[1]), 0)

    def test_jumps_are_refused(self):
        self.fails(64, "sample", self.train(), "--jump", 0.1, "--data", "bars-and-stripes", "--out", self.dir / "s.h5", mentions=["jump", "dbm"])


class Metrics(CliTest):
    def train(self, metric, *more, name="run", updates=30):
        run("train", *SMALL, "--schedule", "inverse", "--updates", updates, "--hidden", "6", "--trainer", "sml", "--lr", "0.05" if "kl" not in more else "0.2", "--metric", metric, "--force", "--out", self.dir / name, *more)
        return self.dir / name

    def test_every_metric_learns_and_says_what_it_did(self):
        euclid = self.train("euclid", name="euclid")
        for metric in METRICS:
            with self.subTest(metric=metric):
                path = self.train(metric, "--step", "kl")
                last = read_metrics(path)[-1]
                self.assertGreater(float(last["predicted_gain"]), 0.0)
                self.assertLessEqual(float(last["predicted_kl"]), 0.1001)
                self.assertNotEqual(differences(euclid / "checkpoint.h5", path / "checkpoint.h5"), [])
        self.assertEqual(read_metrics(euclid)[-1]["predicted_gain"], "")

    def test_stop_and_resume_and_threads_change_no_byte(self):
        for metric in METRICS:
            for more in ([], ["--fisher", "joint", "--step", "krylov", "--spring", "0.3", "--metric-chains", "30"]):
                with self.subTest(metric=metric, more=more):
                    whole = self.train(metric, *more, name="whole")
                    self.train(metric, *more, "--threads", "3", name="part", updates=17)
                    run("resume", self.dir / "part", "--updates", 30, "--quiet", "--threads", 2)
                    self.assertEqual(differences(whole / "checkpoint.h5", self.dir / "part" / "checkpoint.h5"), [])

    def test_deep_machines_and_ladders(self):
        for metric in ("sample", "kfac"):
            run("train", *SMALL, "--updates", 30, "--model", "dbm", "--hidden", "6,4", "--metric", metric, "--lr", "0.02", "--out", self.dir / metric)
            self.assertTrue(np.isfinite(float(read_metrics(self.dir / metric)[-1]["cosine"])))

    def test_every_trainer_takes_a_metric(self):
        for trainer in ("cd", "sml-pt", "sml-apt", "sml-ptt"):
            for model in (["--hidden", "6"], ["--model", "dbm", "--hidden", "6,4"]):
                run("train", *SMALL, *model, "--updates", 60, "--trainer", trainer, "--metric", "sample", "--lr", "0.02", "--force",
                    "--out", self.dir / "run")
        run("sample", self.dir / "run", "--ladder", "trajectory", "--count", 20, "--out", self.dir / "samples.h5", "--quiet")
        run("train", *SMALL, "--hidden", "3", "--updates", 20, "--metric", "exact", "--lr", "0.02", "--out", self.dir / "tiny")

    def test_contradictions_are_refused(self):
        for more, word in ((["--metric", "kfac", "--optimizer", "adam"], "optimizer"), (["--step", "kl"], "step"),
                           (["--metric", "nonsense"], "metric"), (["--metric", "sample", "--fisher", "both"], "fisher"),
                           (["--metric", "mfng", "--precondition", "kfac"], "precondition"), (["--spring", "0.5"], "spring"),
                           (["--metric", "sample", "--radius", "0"], "radius"), (["--hidden", "4,3"], "hidden"),
                           (["--metric", "exact", "--hidden", "400"], "exact"),
                           (["--model", "dbm", "--hidden", "4,3", "--jump", "0.1"], "jump")):
            with self.subTest(more=more):
                self.fails(78, "train", *SMALL, *more, "--out", self.dir / "refused", mentions=[word])


class Prune(CliTest):
    def setUp(self):
        super().setUp()
        run("train", "--data", "digits", "--binarize", "threshold", "--hidden", "12", "--trainer", "sml", "--updates", "600", "--batch", "100",
            "--out", self.dir / "run", "--quiet")

    def prune(self, *more):
        return run_json("prune", self.dir / "run", "--data", "digits", "--out", self.dir / "pruned.h5", "--rounds", 3, "--sweeps", 100, *more)

    def test_half_of_the_weights_go_and_little_is_lost(self):
        losses = {}
        for criterion in ("magnitude", "obd", "kl", "obs"):
            told = self.prune("--density", 0.5, "--criterion", criterion)
            with h5py.File(self.dir / "pruned.h5") as file:
                weights = file["model/params/weights"][...]
            self.assertAlmostEqual(np.mean(weights != 0), 0.5, delta=0.02)
            self.assertAlmostEqual(told["rounds"][-1]["density"], 0.5, delta=0.02)
            losses[criterion] = told["rounds"][0]["log_likelihood"] - told["rounds"][-1]["log_likelihood"]
            # What the command says is what the file holds.
            self.assertAlmostEqual(run_json("loglik", self.dir / "pruned.h5", "--data", "digits", "--method", "exact")["log_likelihood"],
                                   told["rounds"][-1]["log_likelihood"], places=4)
        self.assertLess(max(losses.values()), 0.3)
        # Planted: half of the weights at random.
        shutil.copy(self.dir / "pruned.h5", self.dir / "random.h5")
        with h5py.File(self.dir / "run" / "checkpoint.h5") as file, h5py.File(self.dir / "random.h5", "a") as other:
            weights = file["model/params/weights"][...]
            weights[np.random.default_rng(1).random(weights.shape) < 0.5] = 0
            for name in ("visible_bias", "hidden_bias"):
                other["model/params"][name][...] = file["model/params"][name][...]
            other["model/params/weights"][...] = weights
        random = run_json("loglik", self.dir / "random.h5", "--data", "digits", "--method", "exact")["log_likelihood"]
        self.assertLess(random, told["rounds"][0]["log_likelihood"] - 3)

    def test_refitting_helps_and_what_is_gone_stays_gone(self):
        bare = self.prune("--density", 0.3)["rounds"][-1]["log_likelihood"]
        refitted = self.prune("--density", 0.3, "--refit", 200)["rounds"][-1]["log_likelihood"]
        self.assertGreater(refitted, bare)
        with h5py.File(self.dir / "pruned.h5") as file:
            self.assertAlmostEqual(np.mean(file["model/params/weights"][...] != 0), 0.3, delta=0.02)

    def test_hidden_units_go_whole(self):
        self.prune("--density", 0.5, "--units")
        with h5py.File(self.dir / "pruned.h5") as file:
            self.assertEqual(file["model/params/weights"].shape, (64, 6))

    def test_bad_input(self):
        self.fails(78, "prune", self.dir / "run", "--density", 0, "--out", self.dir / "p.h5", mentions=["density"])
        self.fails(64, "prune", self.dir / "run", "--density", 0.5, "--refit", 10, "--out", self.dir / "p.h5", mentions=["data"])
        self.fails(66, "prune", self.dir / "nothing", "--density", 0.5, "--out", self.dir / "p.h5", mentions=["nothing"])


if __name__ == "__main__":
    unittest.main()
