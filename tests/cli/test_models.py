"""`tempera loglik` against brute-force enumeration and against published values, on files written by h5py."""

import time
import unittest

import h5py
import numpy as np

from harness import (FULL, CliTest, Rbm, all_states, as_stored, benchmark_data, log_partition, log_sum_exp,
                     mean_log_likelihood, random_bits, random_rbm, run, run_json, write_data)

# (n_visible, n_hidden): 5 to 14 hidden units, either layer the smaller one.
SHAPES = [(3, 5), (5, 14), (8, 8), (10, 7), (12, 13), (16, 5), (16, 14)]
RELATIVE_TOLERANCE = 1e-6


def exact(path, *args):
    """`loglik PATH --method exact` as a dictionary."""
    return run_json("loglik", path, "--method", "exact", *args)


def close(found, expected):
    """Equality to the tolerance that the exact method promises."""
    return abs(found - expected) <= RELATIVE_TOLERANCE * abs(expected)


class ExactLogLikelihood(CliTest):
    def assert_close(self, found, expected):
        self.assertTrue(close(found, expected), f"{found!r} is not {expected!r}")

    def test_the_oracle_agrees_with_enumeration_of_both_layers(self):
        rbm = as_stored(random_rbm(0, 4, 6))
        visible, hidden = all_states(4), all_states(6)
        minus_energy = (visible @ rbm.weights @ hidden.T + (visible @ rbm.visible_bias)[:, None]
                        + (hidden @ rbm.hidden_bias)[None, :])
        self.assertAlmostEqual(log_partition(rbm), log_sum_exp(minus_energy.ravel()), places=10)

    def test_log_partition_and_likelihood_equal_enumeration(self):
        for seed, shape in enumerate(SHAPES):
            for dtype in ("f4", "f8"):
                with self.subTest(shape=shape, dtype=dtype):
                    rbm = random_rbm(seed, *shape)
                    cases = random_bits(seed, 37, shape[0])
                    model = rbm.write(self.dir / "model.h5", dtype)
                    data = write_data(self.dir / "data.h5", train=random_bits(99, 8, shape[0]), test=cases)
                    found = exact(model, "--data", data, "--split", "test")
                    self.assert_close(found["log_partition"], log_partition(rbm))
                    self.assert_close(found["log_likelihood"], mean_log_likelihood(rbm, cases))

    def test_every_split_can_be_chosen(self):
        rbm = random_rbm(3, 6, 5)
        model = rbm.write(self.dir / "model.h5")
        splits = {name: random_bits(seed, 10 + seed, 6) for seed, name in enumerate(("train", "valid", "test"))}
        data = write_data(self.dir / "data.h5", **splits)
        for name, cases in splits.items():
            with self.subTest(split=name):
                found = exact(model, "--data", data, "--split", name)
                self.assertEqual((found["split"], found["n"]), (name, len(cases)))
                self.assert_close(found["log_likelihood"], mean_log_likelihood(rbm, cases))

    def test_json_keys_with_and_without_data(self):
        rbm = random_rbm(4, 6, 5)
        model = rbm.write(self.dir / "model.h5")
        data = write_data(self.dir / "data.h5", test=random_bits(0, 9, 6))
        found = exact(model, "--data", data, "--split", "test")
        for key in ("method", "log_partition", "log_partition_se", "log_likelihood", "log_likelihood_se", "n", "split"):
            self.assertIn(key, found)
        self.assertEqual(found["method"], "exact")
        self.assertEqual(found["log_partition_se"], 0)
        self.assertGreaterEqual(found["log_likelihood_se"], 0)
        alone = exact(model)
        self.assertEqual(alone["log_partition"], found["log_partition"])
        self.assertIsNone(alone.get("log_likelihood"))

    def test_threads_do_not_change_the_answer(self):
        model = random_rbm(5, 16, 14).write(self.dir / "model.h5")
        answers = [exact(model, "--threads", threads)["log_partition"] for threads in (1, 2, 3)]
        self.assertEqual(answers, [answers[0]] * 3)

    def test_parameters_and_kind_alone_are_a_complete_model(self):
        rbm = random_rbm(6, 7, 5)
        path = self.dir / "bare.h5"
        with h5py.File(path, "w") as file:
            file["model/params/weights"] = rbm.weights
            file["model/params/visible_bias"] = rbm.visible_bias
            file["model/params/hidden_bias"] = rbm.hidden_bias
            file["model"].attrs["kind"] = "bernoulli-rbm"
        self.assert_close(exact(path)["log_partition"], log_partition(rbm))

    def test_compressed_big_endian_and_fixed_length_kind(self):
        rbm = random_rbm(7, 9, 6)
        path = rbm.write(self.dir / "model.h5")
        with h5py.File(path, "a") as file:
            del file["model/params/weights"]
            file["model/params"].create_dataset("weights", data=rbm.weights.astype(">f4"), chunks=(4, 4),
                                                compression="gzip")
            file["model"].attrs["kind"] = np.bytes_("bernoulli-rbm")
        self.assert_close(exact(path)["log_partition"], log_partition(rbm))

    def test_the_reference_machine_does_not_change_log_partition(self):
        rbm = random_rbm(8, 6, 8)
        path = rbm.write(self.dir / "model.h5")
        with h5py.File(path, "a") as file:
            file["model/reference/visible_bias"] = np.linspace(-2, 2, 6, dtype="f4")
        self.assert_close(exact(path)["log_partition"], log_partition(rbm))

    def test_planted_transposition_is_seen(self):
        rbm = random_rbm(9, 8, 8)
        transposed = Rbm(rbm.weights.T, rbm.visible_bias, rbm.hidden_bias)
        self.assertFalse(close(log_partition(transposed), log_partition(rbm)))
        found = exact(transposed.write(self.dir / "model.h5"))["log_partition"]
        self.assert_close(found, log_partition(transposed))
        self.assertFalse(close(found, log_partition(rbm)))

    def test_planted_transposition_of_a_rectangle_is_refused(self):
        rbm = random_rbm(10, 7, 5)
        path = Rbm(rbm.weights.T, rbm.visible_bias, rbm.hidden_bias).write(self.dir / "model.h5")
        self.fails(65, "loglik", path, "--method", "exact", mentions=["model.h5", "weights"])

    def test_planted_error_of_a_thousandth_in_one_weight_is_seen(self):
        rbm = random_rbm(11, 8, 6)
        weights = rbm.weights.copy()
        weights[2, 3] += 1e-3
        fault = Rbm(weights, rbm.visible_bias, rbm.hidden_bias)
        self.assertFalse(close(exact(fault.write(self.dir / "model.h5"))["log_partition"], log_partition(rbm)))


class AnnealedImportanceSampling(CliTest):
    """Fixed seeds; the bound is four standard errors, two-sided p < 1e-4 for each of the machines."""

    def ais(self, path, *args):
        return run_json("loglik", path, "--method", "ais", "--chains", 512, "--betas", 2000, *args)

    def test_estimate_lies_within_its_own_error(self):
        for seed, shape in enumerate(SHAPES):
            with self.subTest(shape=shape):
                rbm = random_rbm(seed, *shape)
                cases = random_bits(seed, 37, shape[0])
                data = write_data(self.dir / "data.h5", test=cases)
                found = self.ais(rbm.write(self.dir / "model.h5"), "--data", data, "--split", "test", "--seed", 1)
                self.assertEqual(found["method"], "ais")
                error = found["log_partition_se"]
                self.assertGreater(error, 0)
                self.assertLess(error, 0.2, "an error bar this wide would hide a fault")
                self.assertLessEqual(abs(found["log_partition"] - log_partition(rbm)), 4 * error + 1e-3)
                self.assertLessEqual(abs(found["log_likelihood"] - mean_log_likelihood(rbm, cases)), 4 * error + 1e-3)

    def test_planted_missing_hidden_bias_is_seen(self):
        rbm = random_rbm(2, 8, 8)
        fault = Rbm(rbm.weights, rbm.visible_bias, np.zeros(8))
        found = self.ais(fault.write(self.dir / "model.h5"), "--seed", 1)
        self.assertGreater(abs(found["log_partition"] - log_partition(rbm)), 4 * found["log_partition_se"] + 1e-3)

    def test_a_fitted_reference_gives_the_same_log_partition(self):
        rbm = random_rbm(12, 10, 6)
        path = rbm.write(self.dir / "model.h5")
        with h5py.File(path, "a") as file:
            file["model/reference/visible_bias"] = np.linspace(-1, 1, 10, dtype="f4")
        found = self.ais(path, "--seed", 1)
        self.assertLessEqual(abs(found["log_partition"] - log_partition(rbm)), 4 * found["log_partition_se"] + 1e-3)

    def test_the_seed_decides_and_threads_do_not(self):
        path = random_rbm(13, 8, 6).write(self.dir / "model.h5")
        first = self.ais(path, "--seed", 1, "--threads", 1)["log_partition"]
        self.assertEqual(first, self.ais(path, "--seed", 1, "--threads", 3)["log_partition"])
        self.assertNotEqual(first, self.ais(path, "--seed", 2, "--threads", 1)["log_partition"])


class PublishedModels(unittest.TestCase):
    """A trained machine of Grosse & Salakhutdinov (2015), whose log Z is known exactly."""

    LOG_PARTITION = 72.685839

    def test_exact_log_partition_of_mnist_196x20(self):
        model = benchmark_data("models/mnist_196x20_exact.h5")
        begin = time.monotonic()
        found = exact_with_two_threads(model)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertLessEqual(abs(found["log_partition"] - self.LOG_PARTITION), 1e-4)

    def test_ais_log_partition_of_mnist_196x20(self):
        model = benchmark_data("models/mnist_196x20_exact.h5")
        found = run_json("loglik", model, "--method", "ais", "--seed", 1, timeout=300)
        self.assertLess(found["log_partition_se"], 0.5, "an error bar this wide would hide a fault")
        self.assertLessEqual(abs(found["log_partition"] - self.LOG_PARTITION), 3 * found["log_partition_se"])


def exact_with_two_threads(model):
    """`loglik MODEL --method exact --threads 2`, given more time than it may take."""
    return run_json("loglik", model, "--method", "exact", "--threads", 2, timeout=120)


class PublishedModelsLong(unittest.TestCase):
    """CD25(500) of Salakhutdinov & Murray (2008), Table 1: log Z 451.28, test log-likelihood -86.34."""

    @unittest.skipUnless(FULL, "set TEMPERA_FULL=1 to run the AIS estimate of a 784 x 500 machine")
    def test_ais_of_mnist_784x500(self):
        model = benchmark_data("models/mnist_784x500_cd25.h5")
        data = benchmark_data("mnist_binarized_sm.h5")
        found = run_json("loglik", model, "--data", data, "--split", "test", "--method", "ais", "--seed", 1,
                         timeout=3600)
        self.assertEqual(found["n"], 10000)
        self.assertLessEqual(abs(found["log_partition"] - 451.28), 0.4)
        self.assertLessEqual(abs(found["log_likelihood"] - -86.34), 0.4)


class Estimators(CliTest):
    """Every method against enumeration by numpy, on a machine that mixes with a ladder alone."""

    def setUp(self):
        super().setUp()
        self.rbm = random_rbm(21, 9, 7, largest=3.0)
        self.model = self.rbm.write(self.dir / "model.h5")
        cases = random_bits(5, 40, 9)
        self.data = write_data(self.dir / "data.h5", train=cases, test=cases)
        self.exact = log_partition(as_stored(self.rbm))

    def estimate(self, method, *more, betas=300):
        return run_json("loglik", self.model, "--method", method, "--betas", betas, "--rounds", 500, "--ensembles", 32, *more)

    def test_each_method_agrees_with_enumeration_within_its_error_bar(self):
        for method in ("ais", "reverse-ais", "stepping-stone", "bar", "mbar", "raise"):
            with self.subTest(method=method):
                told = self.estimate(method, "--data", self.data, "--binarize", "none")
                self.assertEqual(told["method"], method)
                self.assertLess(told["log_partition_se"], 0.1)
                self.assertGreater(told["log_partition_se"], 0)
                self.assertLess(abs(told["log_partition"] - self.exact), 4 * told["log_partition_se"])
                expected = mean_log_likelihood(as_stored(self.rbm), random_bits(5, 40, 9)) + self.exact - told["log_partition"]
                self.assertAlmostEqual(told["log_likelihood"], expected, places=4)

    def test_all_of_them_in_one_table(self):
        told = self.estimate("all", "--data", self.data)
        self.assertEqual([row["method"] for row in told["estimates"]],
                         ["exact", "mbar", "bar", "stepping-stone", "ais", "reverse-ais", "mode-ais", "raise"])
        self.assertEqual(told["disagreements"], [])
        self.assertAlmostEqual(told["log_partition"], self.exact, places=4)
        self.assertLess(told["lower"], told["log_likelihood"] + 0.2)
        self.assertGreater(told["upper"], told["log_likelihood"] - 0.2)

    def test_a_target_is_reached_by_going_on(self):
        for method in ("ais", "bar", "reverse-ais"):
            with self.subTest(method=method):
                before = self.estimate(method)["log_partition_se"]
                told = self.estimate(method, "--target-se", before / 3)
                self.assertLessEqual(told["log_partition_se"], before / 3)
                self.assertLess(abs(told["log_partition"] - self.exact), 4.5 * told["log_partition_se"])

    def test_betas_chosen_by_effective_sample_size(self):
        told = self.estimate("ais", betas=0)
        self.assertLess(abs(told["log_partition"] - self.exact), 4 * told["log_partition_se"])

    def test_an_estimate_that_lacks_mixing_says_so_and_the_table_shows_the_contradiction(self):
        """Two far modes of which the reference machine knows one: two rungs do not connect them."""
        weights = np.full((12, 8), 6.0)
        model = Rbm(weights, -weights.sum(1) / 2 + 0.4, -weights.sum(0) / 2).write(self.dir / "far.h5")
        ones = write_data(self.dir / "ones.h5", train=np.ones((50, 12), np.uint8), test=np.ones((50, 12), np.uint8))
        told = run_json("loglik", model, "--data", ones, "--method", "bar", "--rungs", 3, "--rounds", 100)
        self.assertFalse(told["trusted"])

    def test_rungs_that_do_not_overlap_have_no_error_bar(self):
        rng = np.random.default_rng(3)
        model = Rbm(30 * rng.normal(size=(60, 30)), rng.normal(size=60), rng.normal(size=30)).write(self.dir / "sharp.h5")
        for method in ("bar", "stepping-stone", "mbar"):
            with self.subTest(method=method):
                told = run_json("loglik", model, "--method", method, "--rungs", 2, "--rounds", 50, "--target-se", 0.1)
                self.assertFalse(told["trusted"])
                self.assertTrue(told["log_partition_se"] is None or told["log_partition_se"] > 0.1)

    def test_threads_and_bad_numbers(self):
        answers = {self.estimate("mbar", "--threads", threads)["log_partition"] for threads in (1, 2, 3)}
        self.assertEqual(len(answers), 1)
        for option, value in (("--ensembles", 3), ("--rounds", 1), ("--rungs", 1), ("--target-se", -1), ("--betas", 1)):
            run("loglik", self.model, option, value, expect=78)
        run("loglik", self.model, "--method", "raise", expect=64)


if __name__ == "__main__":
    unittest.main()
