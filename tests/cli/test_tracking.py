"""log Z that is tracked while a model is trained, against enumeration, in every file that tells of it."""

import unittest

import h5py
import numpy as np

from harness import FULL, HANGS, CliTest, benchmark_data, compare_datasets, read_metrics, run, run_json

SMALL = ["--data", "digits", "--binarize", "threshold", "--hidden", "12", "--batch", "100", "--threads", "1", "--schedule", "inverse", "--validate-every", "none"]


def train(out, *words, timeout=HANGS):
    return run("train", *words, "--out", out, "--quiet", timeout=timeout)


class Tracked(CliTest):
    def follow(self, name, updates, checkpoints, *words):
        """Differences of tracked and exact log Z at every kept checkpoint, and their standard errors."""
        out = self.dir / name
        every = updates // checkpoints
        told = train(out, *words, "--no-enumerate", "--updates", updates, "--report-every", every, "--checkpoint-every", every, "--keep", checkpoints,
                     timeout=600).stdout
        errors, bars = [], []
        for row in read_metrics(out):
            path = out / "checkpoints" / f"{row['update']}.h5"
            exact = run_json("loglik", path, "--method", "exact", "--quiet")["log_partition"]
            with h5py.File(path) as file:
                stored = dict(file["log_partition"].attrs)
                self.assertEqual((stored["method"], stored["update"]), ("tracked", int(row["update"])))
            value, bar = float(row["log_partition"]), float(row["log_partition_standard_error"])
            if int(row["update"]) < updates:
                self.assertAlmostEqual(stored["value"], value, places=5)
                self.assertAlmostEqual(stored["standard_error"], bar, places=5)
            else:  # independent rounds at the end, which leave it as well known, and are what is printed
                self.assertIn(f"log Z {stored['value']:.2f} ({stored['standard_error']:.2f})", told)
                self.assertNotEqual(stored["value"], value)
                self.assertLess(abs(stored["value"] - value), 4 * np.hypot(bar, stored["standard_error"]))
                self.assertLess(stored["standard_error"], 1.25 * bar + 1e-9)
            errors.append(stored["value"] - exact)
            bars.append(stored["standard_error"])
        self.assertEqual(len(errors), checkpoints)
        return np.array(errors), np.array(bars)

    def check(self, errors, bars):
        self.assertLess(np.abs(errors).max(), 0.2)
        self.assertLess((np.abs(errors) / bars).max(), 4)
        self.assertLess(bars.max(), 0.2)

    def test_digits(self):
        for rate in ("0.05", "0.3"):
            with self.subTest(rate=rate):
                errors, bars = self.follow(f"run-{rate}", 2000, 10, *SMALL, "--lr", rate)
                self.check(errors, bars)
                # Planted: the log Z of another checkpoint.
                with self.assertRaises(AssertionError):
                    self.check(errors + 1, bars)

    def test_benchmark_sets_at_three_rates(self):
        if not FULL:
            self.skipTest("long: only with scripts/test --full")
        # 14x14 digits of 20 hidden units, and 16 variables with 20.
        with h5py.File(benchmark_data("mnist.h5")) as file:
            x = file["train/x"][:].reshape(-1, 14, 2, 14, 2).astype(float).mean((2, 4)).reshape(-1, 196)
        mnist = self.dir / "mnist14.npy"
        np.save(mnist, (x >= 127.5).astype(np.uint8))
        for data in (benchmark_data("nltcs.h5"), mnist):
            for rate in ("0.03", "0.1", "0.3"):
                with self.subTest(data=str(data), rate=rate):
                    errors, bars = self.follow(f"{data.stem}-{rate}", 20000, 40, "--data", data, "--hidden", 20, "--lr", rate, "--validate-every", "none",
                                               "--quiet")
                    print(f"\n{data.stem}, rate {rate}: largest error {np.abs(errors).max():.3f}, "
                          f"{(np.abs(errors) / bars).max():.1f} standard errors; error bars {bars.min():.3f} to {bars.max():.3f}")
                    self.check(errors, bars)


class Commands(CliTest):
    def test_likelihoods_of_every_report_and_a_progress_line(self):
        out = self.dir / "run"
        train(out, *SMALL, "--updates", 300, "--report-every", 100)
        last = read_metrics(out)[-1]
        for split in ("train", "valid"):
            exact = run_json("loglik", out, "--data", "digits", "--split", split, "--method", "exact", "--quiet")
            column = "train" if split == "train" else "validation"
            self.assertLess(abs(float(last[f"{column}_log_likelihood"]) - exact["log_likelihood"]),
                            4 * float(last["log_partition_standard_error"]) + 1e-3)
            # Both sources of error: more than either.
            self.assertGreaterEqual(float(last[f"{column}_standard_error"]), float(last["log_partition_standard_error"]))
            self.assertGreaterEqual(float(last[f"{column}_standard_error"]), 0.99 * exact["log_likelihood_se"])

    def test_a_run_ends_with_the_exact_value_where_that_is_cheap(self):
        out = self.dir / "run"
        told = train(out, *SMALL, "--updates", 300).stdout
        exact = run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"]
        with h5py.File(out / "checkpoint.h5") as file:
            stored = dict(file["log_partition"].attrs)
        self.assertAlmostEqual(stored["value"], exact, places=9)
        self.assertEqual((stored["standard_error"], stored["trusted"]), (0, 1))
        self.assertIn(f"log Z {exact:.2f} (0.00)", told)
        # The row of the table is what was tracked.
        self.assertGreater(float(read_metrics(out)[-1]["log_partition_standard_error"]), 0)

    def test_loglik_refreshes_what_training_knew(self):
        out = self.dir / "run"
        train(out, *SMALL, "--updates", 500)
        ask = lambda *words: run_json("loglik", out, *words, "--quiet")
        exact = ask("--method", "exact")["log_partition"]
        short, long = ask("--method", "tracked", "--rounds", 16), ask("--method", "tracked", "--rounds", 5000)
        for found in (short, long):
            self.assertEqual(found["method"], "tracked")
            self.assertLess(abs(found["log_partition"] - exact), 4 * found["log_partition_se"])
        self.assertLess(long["log_partition_se"], short["log_partition_se"])
        target = ask("--method", "tracked", "--rounds", 500, "--target-se", "0.005")
        self.assertLessEqual(target["log_partition_se"], 0.005)
        table = ask("--method", "all", "--data", "digits", "--binarize", "threshold", "--rounds", 200)["estimates"]
        self.assertIn("tracked", [row["method"] for row in table])

    def test_particles_alone_and_shared_chains(self):
        for words in (["--track-log-z", "smc"], ["--trainer", "sml", "--track-log-z", "lattice"], ["--trainer", "cd", "--track-log-z", "smc"],
                      ["--trainer", "sml-pt", "--ensembles", "10", "--track-log-z", "shared", "--no-average"],
                      ["--trainer", "sml-ptt", "--track-log-z", "lattice"]):
            with self.subTest(words=words):
                out = self.dir / "run"
                train(out, *SMALL, "--no-enumerate", "--updates", 300, "--lr", "0.05", *words, "--force")
                exact = run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"]
                with h5py.File(out / "checkpoint.h5") as file:
                    stored = dict(file["log_partition"].attrs)
                    self.assertLess(abs(stored["value"] - exact), 4 * stored["standard_error"])
                    self.assertLess(stored["standard_error"], 1)

    def test_a_run_in_two_parts_is_one_run(self):
        for words in ([], ["--track-log-z", "smc"], ["--trainer", "sml-pt", "--ensembles", "10", "--track-log-z", "shared", "--no-average"]):
            with self.subTest(words=words):
                whole, parts = self.dir / "whole", self.dir / "parts"
                train(whole, *SMALL, *words, "--updates", 137, "--force")
                train(parts, *SMALL, *words, "--updates", 61, "--force")
                run("resume", parts, "--updates", 137, "--threads", 2, "--quiet")
                compare_datasets(whole / "checkpoint.h5", parts / "checkpoint.h5")
                self.assertEqual(read_metrics(whole)[-1]["log_partition"], read_metrics(parts)[-1]["log_partition"])

    def test_nothing_is_tracked_where_it_is_not_asked_for(self):
        out = self.dir / "run"
        for words in (["--track-log-z", "none"], ["--trainer", "sml"]):
            train(out, *SMALL, "--updates", 30, *words, "--force")
            self.assertEqual(read_metrics(out)[-1]["log_partition"], "")
            with h5py.File(out / "checkpoint.h5") as file:
                self.assertNotIn("log_partition", file)
            self.fails(64, "loglik", out, "--method", "tracked", mentions=["--track-log-z"])

    def test_the_option_alone_asks_for_a_lattice(self):
        out = self.dir / "run"
        for words, how in ((["--trainer", "sml", "--track-log-z"], "lattice"), (["--track-log-z", "--trainer", "sml"], "lattice"),
                           (["--trainer", "sml", "--track-log-z", "auto"], "none"), (["--trainer", "sml"], "none")):
            with self.subTest(words=words):
                train(out, *SMALL, "--updates", 20, *words, "--force")
                self.assertIn(f'track-log-z = "{how}"', (out / "config.toml").read_text())
                self.assertEqual(read_metrics(out)[-1]["log_partition"] != "", how == "lattice")

    def test_data_that_the_model_makes_too_likely_are_noticed(self):
        # Two chains lose a cluster of cases, which then becomes ever more likely, and particles alone do not find it either.
        out = self.dir / "run"
        generator = np.random.default_rng(3)
        x = (generator.random((4000, 200)) < 0.02).astype(np.uint8)
        x[:80] = generator.random(200) < 0.5
        path = self.dir / "data.npy"
        np.save(path, x)
        words = ["--data", path, "--jump", 0, "--hidden", 40, "--batch", 100, "--updates", 3000, "--schedule", "constant", "--l2", 0, "--threads", 1,
                 "--out", out, "--force", "--lr"]
        # Two chains are so few that training diverges, and is ended for it.
        told = run("train", *words, 0.1, "--trainer", "sml", "--chains", 2, "--track-log-z", "smc", expect=70).stderr
        self.assertIn("more than probability 1", told)
        self.assertIn("training has diverged", told)
        # A ladder loses it too at this rate, and a search of modes finds it.
        self.assertIn("as a search of modes proves", run("train", *words, 0.1).stderr)
        # Where chains find it nothing is said, and log Z is right.
        told = run("train", *words, 0.02)
        self.assertNotIn("warning", told.stderr)
        self.assertNotIn("not to be trusted", told.stdout)
        with h5py.File(out / "checkpoint.h5") as file:
            value, error = (file["log_partition"].attrs[name] for name in ("value", "standard_error"))
        found = run_json("loglik", out, "--quiet")
        self.assertTrue(found["trusted"])
        self.assertLess(abs(found["log_partition"] - value), 4 * np.hypot(found["log_partition_se"], error))

    def test_options_that_do_not_fit_are_refused(self):
        for words in (["--track-log-z", "always"], ["--track-log-z", "shared"], ["--track-every", "-1"], ["--track-ensembles", "2"],
                      ["--trainer", "sml-pt", "--ensembles", "10", "--track-log-z", "shared"]):
            with self.subTest(words=words):
                self.fails(78, "train", *SMALL, "--updates", 10, *words, "--out", self.dir / "run", mentions=[words[-2].strip("-")])

    def test_damaged_trackers_are_refused(self):
        out = self.dir / "run"
        train(out, *SMALL, "--updates", 60)
        path = out / "checkpoint.h5"
        good = path.read_bytes()

        def attribute(group, name, value):
            return lambda file: file["state/tracker/" + group].attrs.__setitem__(name, value)

        def value(name, number):
            return lambda file: file["state/tracker/" + name].__setitem__(0, number)

        def resize(name, shape):
            def change(file):
                del file["state/tracker/" + name]
                file["state/tracker/" + name] = np.zeros(shape)
            return change

        for harm in (attribute("ladder", "n_rungs", 1e9), attribute("ladder", "n_rungs", 1.0), attribute("ladder", "n_ensembles", 0.0),
                     attribute("ladder", "n_ensembles", -3.0), attribute("chains", "n_chains", 0.0),
                     attribute("ladder", "n_ensembles", 1e12), attribute("chains", "n_chains", 1e15), attribute("chains", "n_chains", 3.0),
                     value("accumulated_log_weight", np.nan), value("ratio_variance", -1.0), value("ladder/betas", 0.5),
                     value("ladder/chains", np.uint64(10 ** 6)), resize("belief/covariance", (2, 2)), resize("accumulated_log_weight", 5)):
            path.write_bytes(good)
            with h5py.File(path, "r+") as file:
                harm(file)
            for command in (["resume", out, "--updates", "70"], ["loglik", out, "--method", "tracked"]):
                self.fails(65, *command, mentions=["tracker"])


if __name__ == "__main__":
    unittest.main()
