"""`import tempera`: arrays in, numbers out, and the same bytes as the command."""

import csv
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import warnings

import numpy as np

import tempera

COMMAND = os.environ["TEMPERA"]
SMALL = dict(hidden=12, updates=120, report_every=40, seed=3)
DIGITS = dict(binarize="threshold", **SMALL)


def command(*words):
    """What a command prints with --json."""
    done = subprocess.run([COMMAND, *map(str, words), "--json", "--quiet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bits(n, columns, seed=0):
    return (np.random.default_rng(seed).random((n, columns)) < 0.4).astype(np.uint8)


class ModuleTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        warnings.simplefilter("ignore", tempera.TemperaWarning)


class SameBytes(ModuleTest):
    """For the same options and seed as the command."""

    def setUp(self):
        super().setUp()
        self.data = tempera.load_data("digits")
        command("train", "--data", "digits", "--out", self.dir / "command", *(f"--{k.replace('_', '-')}={v}" for k, v in DIGITS.items()))
        self.run = tempera.train("digits", out=self.dir / "module", **DIGITS)

    def rows(self, run):
        with open(self.dir / run / "metrics.csv", newline="") as file:
            return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]

    def test_of_training(self):
        self.assertEqual(self.rows("command"), self.rows("module"))
        by_command, by_module = (tempera.load(self.dir / run / "checkpoint.h5").params for run in ("command", "module"))
        for name in by_command:
            self.assertEqual(by_command[name].tobytes(), by_module[name].tobytes(), name)

    def test_of_arrays_too(self):
        run = tempera.train({split: self.data[split] for split in self.data}, out=self.dir / "arrays", **DIGITS)
        self.assertEqual(self.rows("command"), self.rows("arrays"))
        # The arrays stay with the run, so that the command can go on with it.
        told = command("resume", run.path, "--updates", 130)
        self.assertEqual(told["updates"], 130)

    def test_a_rate_that_is_asked_for_is_not_multiplied(self):
        run = tempera.train("digits", out=self.dir / "early", **{**DIGITS, "updates": 20, "lr": 0.01, "early_rate": 8})
        run.resume(updates=100, lr=0.001)
        self.assertLessEqual(max(float(row["learning_rate"]) for row in self.rows("early") if int(row["update"]) > 20), 0.001)

    def test_of_likelihoods_scores_samples_and_codes(self):
        run = self.dir / "module"
        for method in ("exact", "ais"):
            told = command("loglik", run, "--data", "digits", "--method", method, "--betas", 200)
            found = self.run.model.log_likelihood("digits", method=method, betas=200)
            self.assertEqual(found.value, told["log_likelihood"])
            self.assertEqual(found.standard_error, told["log_likelihood_se"])
            self.assertEqual(found.log_partition.value, told["log_partition"])
            self.assertEqual(found.independent, told["independent_log_likelihood"])
            self.assertEqual(found.trusted, told["trusted"])
        told = command("score", run, "--data", "digits")
        np.testing.assert_array_equal(self.run.model.score("digits"), told["log_likelihoods"])
        np.testing.assert_array_equal(self.run.model.score(self.data["test"]), told["log_likelihoods"])
        told = command("sample", run, "--count", 70, "--seed", 5, "--out", self.dir / "s.npz")
        samples = self.run.model.sample(70, seed=5)
        np.testing.assert_array_equal(samples.visible, np.load(self.dir / "s.npz")["visible"])
        self.assertEqual(samples.verdict, told["verdict"])
        command("encode", run, "--data", "digits", "--out", self.dir / "c.npz")
        codes = self.run.model.encode("digits")
        for split in self.data:
            np.testing.assert_array_equal(codes[split], np.load(self.dir / "c.npz")[f"{split}_hidden"])


class Arrays(ModuleTest):
    def test_types_of_numbers_make_no_difference(self):
        x = bits(200, 16)
        expected = tempera.train(x, **SMALL).model.params["weights"]
        for other in (x.astype(bool), x.astype(np.float32), x.astype(np.int64), x.astype(float), np.asfortranarray(x), x[::-1][::-1]):
            with self.subTest(type=other.dtype, flags=other.flags.c_contiguous):
                np.testing.assert_array_equal(tempera.train(other, **SMALL).model.params["weights"], expected)

    def test_data_frames_and_sparse_matrices_are_tables(self):
        import pandas
        import scipy.sparse

        x = bits(200, 16)
        expected = tempera.train(x, **SMALL).model.params["weights"]
        for other in (pandas.DataFrame(x, columns=[f"c{i}" for i in range(16)]), scipy.sparse.csr_matrix(x)):
            np.testing.assert_array_equal(tempera.train(other, **SMALL).model.params["weights"], expected)

    def test_pictures_keep_their_shape(self):
        run = tempera.train(bits(100, 24).reshape(100, 4, 6), **SMALL)
        self.assertEqual(run.model.visible_shape, (4, 6))

    def test_lent_arrays_are_not_copied(self):
        x = bits(64, 8)
        lent = tempera._core.data_of("X", {"train": x}, {}, {}, [], [])
        self.assertTrue(np.shares_memory(lent.rows("train"), x))
        x32 = x.astype(np.float32)
        self.assertTrue(np.shares_memory(tempera._core.data_of("X", {"train": x32}, {}, {}, [], []).rows("train"), x32))

    def test_weights_count_cases(self):
        x = bits(60, 10)
        counts = np.arange(60) % 3 + 1
        model = tempera.train(x, **SMALL).model
        weighted = model.log_likelihood(x, sample_weight=counts, method="exact")
        repeated = model.log_likelihood(np.repeat(x, counts, axis=0), method="exact")
        self.assertAlmostEqual(weighted.value, repeated.value, places=9)
        run = tempera.train(x, sample_weight=counts, **SMALL)
        self.assertTrue(np.all(tempera.load_data(run.path / "data.h5").weights("train") == counts))

    def test_results_are_views_that_outlive_their_owners(self):
        rows = tempera.load_data("digits")["train"]
        weights = tempera.train("digits", **DIGITS).model.params["weights"]
        self.assertEqual(rows.shape[1], len(weights))
        self.assertTrue(np.isfinite(weights).all())
        with self.assertRaises(ValueError):
            weights[0, 0] = 1

    def test_what_is_no_table_is_refused(self):
        for wrong, error in ((np.zeros(5), tempera.UsageError), (np.zeros((0, 4)), tempera.DataError),
                             (np.array([["a", "b"]]), tempera.DataError), (np.full((9, 4), np.nan), tempera.DataError),
                             ({"tain": bits(5, 4)}, tempera.UsageError), (np.full((9, 4), 0.3) + np.arange(9)[:, None], tempera.DataError)):
            with self.subTest(wrong=wrong), self.assertRaises(error):
                tempera.train(wrong, **SMALL)
        with self.assertRaises(tempera.DataError):
            tempera.train(bits(50, 8), sample_weight=[1.0], **SMALL)


class Models(ModuleTest):
    def test_params_make_a_model_whose_law_is_theirs(self):
        rng = np.random.default_rng(1)
        w, b, c = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=3)
        model = tempera.Model.from_params("bernoulli-rbm", weights=w, visible_bias=b, hidden_bias=c)
        states = np.array([[n >> i & 1 for i in range(6)] for n in range(64)], dtype=np.uint8)
        energies = -(states @ b) - np.logaddexp(0, states @ w + c).sum(axis=1)
        np.testing.assert_allclose(model.free_energy(states), energies, rtol=1e-5, atol=1e-5)
        log_z = np.logaddexp.reduce(-energies)
        found = model.log_partition()
        self.assertEqual(found.method, "exact")
        self.assertAlmostEqual(found.value, log_z, places=4)
        self.assertAlmostEqual(np.exp(model.score(states)).sum(), 1.0, places=4)
        np.testing.assert_allclose(model.encode(states), 1 / (1 + np.exp(-(states @ w + c))), atol=1e-5)
        np.testing.assert_allclose(model.params["weights"], w, rtol=1e-6)
        with self.assertRaises(tempera.DataError):
            tempera.Model.from_params("bernoulli-rbm", weights=w, visible_bias=b, hidden_bias=c[:2])

    def test_every_kind_comes_back_from_a_file_and_a_pickle(self):
        rng = np.random.default_rng(2)
        for kind, x in (("bernoulli-rbm", bits(100, 12)), ("dbm", bits(100, 12)), ("gaussian-rbm", 1e3 + 5 * rng.normal(size=(100, 6))), ("ssrbm", rng.normal(size=(100, 6)))):
            with self.subTest(kind=kind):
                hidden = [6, 4] if kind == "dbm" else 4
                model = tempera.train(x, model=kind, hidden=hidden, updates=60).model
                model.save(self.dir / "m.h5")
                for other in (tempera.load(self.dir / "m.h5"), pickle.loads(pickle.dumps(model))):
                    self.assertEqual(other.kind, kind)
                    np.testing.assert_array_equal(model.free_energy(x[:9]), other.free_energy(x[:9]))
                    for name, values in model.params.items():
                        np.testing.assert_array_equal(values, other.params[name])

    def test_conditional_samples(self):
        rng = np.random.default_rng(3)
        w, b, c = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
        model = tempera.Model.from_params("bernoulli-rbm", weights=w, visible_bias=b, hidden_bias=c)
        states = np.array([[n >> i & 1 for i in range(4)] for n in range(16)])
        states = states[states[:, 1] == 1]
        weights = np.exp(states @ b + np.logaddexp(0, states @ w + c).sum(axis=1))
        means = weights @ states / weights.sum()
        for samples in (model.sample(4000, sweeps=50, clamp={1: 1}), model.sample(4000, sweeps=50, clamp="observed", data=np.array([[np.nan, 1, np.nan, np.nan]]))):
            errors = np.abs(samples.visible.mean(axis=0) - means) / np.sqrt(np.maximum(means * (1 - means), 1e-9) / 4000)
            self.assertLess(errors.max(), 5)
        self.assertEqual(set(samples.cases), {0})
        with self.assertRaises(tempera.UsageError):
            model.sample(5, clamp={7: 1})
        with self.assertRaises(ValueError):
            samples.sequences()

    def test_letters(self):
        rng = np.random.default_rng(4)
        table = self.dir / "family.fasta"
        table.write_text("".join(f">s{n}\n{''.join(rng.choice(list('ACGU-'), 8))}\n" for n in range(60)))
        data = tempera.load_data(table)
        self.assertEqual(data.alphabet, "-ACGU")
        self.assertEqual([f">s{n}\n{text}" for n, text in enumerate(data.sequences("train"))], table.read_text().strip().replace("\n>", "\0>").split("\0"))
        model = tempera.train(data, model="potts-rbm", hidden=4, updates=60).model
        samples = model.sample(20, clamp={3: "A|C"}, sweeps=20)
        self.assertTrue(all(text[2] in "AC" and len(text) == 8 for text in samples.sequences()))
        self.assertEqual(model.alphabet, data.alphabet)
        found = model.couplings(data, contacts=np.eye(8), min_separation=2)
        self.assertEqual((found.couplings.shape, found.fields, found.precision(5)), ((8, 8, 5, 5), None, 0))
        exact = model.couplings(form="exact")
        self.assertEqual(exact.fields.shape, (8, 5))
        scores = model.scores(samples.visible, nearest_to=data, posterior=3, method="none", split="train")
        codes = data["train"]
        np.testing.assert_allclose(scores.distance, (samples.visible[:, None] != codes[None]).mean(axis=2).min(axis=1), atol=1e-12)
        self.assertEqual((list(scores.posterior), len(scores), scores.log_likelihood, scores.relative), (list("-ACGU"), 20, None, None))
        np.testing.assert_allclose(sum(scores.posterior.values()), 1, atol=1e-12)
        mutants = model.scores(data, split="train", mutations="singles", method="none")
        self.assertEqual(len(mutants.names), len(mutants.relative))
        compared = model.sample(100, data=data, statistics=True, sweeps=50)
        self.assertEqual(len(compared.covariances), len(compared.covariances_of_data))
        self.assertAlmostEqual(np.corrcoef(compared.covariances, compared.covariances_of_data)[0, 1], compared.facts["covariance_pearson"], delta=1e-5)
        np.testing.assert_allclose(exact.couplings.sum(axis=2), 0, atol=1e-5)
        model.save(self.dir / "alone.h5")
        with self.assertRaises(tempera.UsageError):
            tempera.load(self.dir / "alone.h5").couplings()

    def test_methods_side_by_side(self):
        model = tempera.train(bits(100, 12), **SMALL).model
        found = model.log_partition(method="all", betas=500, rounds=300)
        self.assertGreater(len(found), 3)
        exact = next(e for e in found if e.method == "exact")
        for estimate in found:
            self.assertLess(abs(estimate.value - exact.value), 5 * estimate.standard_error + 0.02, estimate)


class Runs(ModuleTest):
    def test_metrics_are_numbers_by_name(self):
        run = tempera.train("digits", out=self.dir / "run", **DIGITS)
        metrics = run.metrics
        self.assertEqual(list(metrics["update"][-1:]), [120.0])
        self.assertTrue(np.isfinite(metrics["log_partition"]).any())
        frame = run.to_pandas()
        self.assertEqual(list(frame.index)[-1], 120)
        self.assertEqual(run.config["machine"]["hidden"], 12)
        self.assertEqual(tempera.load(self.dir / "run").model.layer_sizes, (64, 12))

    def test_reports_are_rows_and_a_no_ends_the_run(self):
        seen = []
        run = tempera.train("digits", out=self.dir / "run", on_report=lambda row: seen.append(row) or len(seen) < 2, **DIGITS)
        self.assertTrue(run.stopped)
        self.assertEqual([row["update"] for row in seen], [row for row in run.metrics["update"]])
        self.assertLess(run.result["updates"], 120)
        whole = tempera.train("digits", **DIGITS)
        self.assertFalse(run.resume().stopped)
        np.testing.assert_array_equal(run.model.params["weights"], whole.model.params["weights"])

    def test_an_exception_of_a_callback_is_raised_after_a_checkpoint(self):
        def refuse(row):
            raise LookupError("no")

        with self.assertRaisesRegex(LookupError, "no"):
            tempera.train("digits", out=self.dir / "run", on_report=refuse, **DIGITS)
        tempera.load(self.dir / "run").resume()

    def test_control_c_stops_with_a_checkpoint(self):
        script = textwrap.dedent(f"""
            import tempera
            print("begins", flush=True)
            try:
                tempera.train("digits", hidden=50, updates=10**7, binarize="threshold", out={str(self.dir / 'run')!r}, on_report=lambda row: print("row", flush=True))
            except KeyboardInterrupt:
                print("stopped", tempera.load({str(self.dir / 'run')!r}).metrics["update"][-1], flush=True)
        """)
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            while process.stdout.readline() != "row\n":
                self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=60)[0]
        self.assertRegex(rest.splitlines()[-1], r"stopped \d+")

    def test_other_threads_run_while_it_trains(self):
        count = [0]
        ends = threading.Event()

        def counts():
            while not ends.wait(0.001):
                count[0] += 1

        thread = threading.Thread(target=counts, daemon=True)
        thread.start()
        try:
            tempera.train("digits", hidden=50, updates=1500, binarize="threshold")
        finally:
            ends.set()
            thread.join()
        self.assertGreater(count[0], 50)

    def test_errors_are_those_of_the_command(self):
        with self.assertRaises(tempera.ConfigError) as caught:
            tempera.train("digits", hidden=-3, lr=-1, schedule="lineal")
        self.assertEqual({name for name, _, _ in caught.exception.violations} & {"schedule"}, {"schedule"})
        with self.assertRaisesRegex(tempera.ConfigError, "did you mean hidden"):
            tempera.train("digits", hiden=3)
        with self.assertRaises(FileNotFoundError):
            tempera.load(self.dir / "nothing.h5")
        run = tempera.train("digits", out=self.dir / "run", **DIGITS)
        with self.assertRaises(tempera.WriteError):
            tempera.train("digits", out=self.dir / "run", **DIGITS)
        with self.assertRaises(tempera.ConfigError):
            run.resume(hidden=13)
        (self.dir / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        with self.assertRaises(tempera.DataError):
            tempera.load(self.dir / "bad.h5")
        with self.assertRaises(tempera.NumericalError) as caught:
            tempera.train("digits", hidden=20, lr=1e6, updates=3000, binarize="threshold")
        self.assertEqual(caught.exception.exit_code, 70)


class Chains(ModuleTest):
    def test_traces_have_the_dimensions_of_arviz(self):
        samples = tempera.train("digits", **DIGITS).model.sample(50, data="digits")
        traces = samples.to_xarray()
        self.assertEqual(traces["free_energy"].dims, ("chain", "draw"))
        self.assertEqual(samples.facts["mixed"], samples.mixed)

    def test_arviz_finds_the_same_r_hat_and_effective_draws(self):
        try:
            import arviz
        except ImportError:
            self.skipTest("ArviZ is absent")
        samples = tempera.train("digits", **DIGITS).model.sample(200, data="digits", ladder="temperature", sweeps=1)
        traces = samples.to_xarray()
        draws = traces["free_energy"].size
        for name, ours in samples.convergence.items():
            # Where draws alternate, ArviZ counts more of them than there are.
            effective = min(float(arviz.ess(traces, method="bulk")[name]), draws)
            for theirs, mine in ((float(arviz.rhat(traces, method="rank")[name]), ours["r_hat"]), (effective, ours["effective_sample_size"])):
                self.assertAlmostEqual(theirs / mine, 1, delta=1e-3, msg=name)
        self.assertLess(min(ours["effective_sample_size"] for ours in samples.convergence.values()), draws)
        # A quantity that has not mixed is seen to differ.
        self.assertGreater(abs(float(arviz.rhat(traces.assign(free_energy=traces["free_energy"] + traces["chain"]))["free_energy"]) - 1), 1e-2)


if __name__ == "__main__":
    unittest.main()
