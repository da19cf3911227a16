"""Sampling, pictures, `info` and `data`: the files are written by one library and read by another."""

import gzip
import io
import struct
import unittest

import h5py
import numpy as np

from harness import (CliTest, Rbm, check_finite_params, datasets, png_size, random_bits, random_rbm, run, run_json,
                     visible_moments, write_data)

COUNT, SWEEPS = 4000, 50
STANDARD_ERRORS = 4.5  # two-sided p = 7e-6 for each mean


def sample_args(model, out, *more, count=COUNT, sweeps=SWEEPS, seed=1):
    """Independent chains from the reference machine, `sweeps` sweeps each."""
    return ("sample", model, "--count", count, "--sweeps", sweeps, "--start", "reference", "--ladder", "none",
            "--seed", seed, "--out", out, *more)


def largest_deviation(means, expected, n):
    """The largest distance of `n`-sample means of bits from their expectation, in standard errors."""
    return (np.abs(means - expected) / np.sqrt(expected * (1 - expected) / n)).max()


class Sample(CliTest):
    def setUp(self):
        super().setUp()
        # Coupled: independent pixels of the same means are 9 standard errors away in <v_i v_j>. Mixing: the second
        # eigenvalue of a sweep is 0.52, so that 50 sweeps leave nothing of the start.
        self.rbm = random_rbm(3, 6, 5, largest=2.0)
        self.model = self.rbm.write(self.dir / "model.h5")

    def sample(self, *more, model=None, **options):
        """The visible samples of one call."""
        out = self.dir / "samples.h5"
        run(*sample_args(model or self.model, out, *more, **options))
        return datasets(out)["samples/visible"]

    def deviations(self, samples, rbm):
        """Largest deviations of the means and of the means of products of two pixels."""
        samples = samples.astype(float)
        means, products = visible_moments(rbm)
        pairs = np.triu_indices(len(means), 1)
        return (largest_deviation(samples.mean(axis=0), means, len(samples)),
                largest_deviation((samples.T @ samples / len(samples))[pairs], products[pairs], len(samples)))

    def test_file_layout_and_picture(self):
        out, picture = self.dir / "s.h5", self.dir / "s.png"
        run(*sample_args(self.model, out, "--png", picture, count=100))
        with h5py.File(out, "r") as file:
            self.assertEqual((file.attrs["format"], file.attrs["format_version"], file.attrs["content"]),
                             ("tempera", 1, "samples"))
            visible = file["samples/visible"]
            self.assertEqual((visible.shape, visible.dtype), ((100, 6), np.uint8))
            self.assertLessEqual(visible[()].max(), 1)
        self.assertGreater(min(png_size(picture)), 0)
        self.assertEqual(sorted(path.name for path in self.dir.iterdir()), ["model.h5", "s.h5", "s.png"])

    def test_any_count(self):
        for count in (1, 63, 64, 65, 130):
            with self.subTest(count=count):
                self.assertEqual(self.sample(count=count, sweeps=1).shape, (count, 6))

    def test_moments_equal_enumeration(self):
        mean_deviation, product_deviation = self.deviations(self.sample(), self.rbm)
        self.assertLess(mean_deviation, STANDARD_ERRORS)
        self.assertLess(product_deviation, STANDARD_ERRORS)

    def test_planted_shift_of_the_biases_is_seen(self):
        fault = Rbm(self.rbm.weights, self.rbm.visible_bias + 0.3, self.rbm.hidden_bias)
        samples = self.sample(model=fault.write(self.dir / "fault.h5"))
        self.assertGreater(self.deviations(samples, self.rbm)[0], STANDARD_ERRORS)

    def test_planted_lack_of_coupling_is_seen(self):
        """Independent pixels with the right means must fail the test of products."""
        means, _ = visible_moments(self.rbm)
        fault = Rbm(np.zeros((6, 5)), np.log(means / (1 - means)), np.zeros(5))
        samples = self.sample(model=fault.write(self.dir / "fault.h5"))
        mean_deviation, product_deviation = self.deviations(samples, self.rbm)
        self.assertLess(mean_deviation, STANDARD_ERRORS)
        self.assertGreater(product_deviation, STANDARD_ERRORS)

    def test_the_seed_decides_and_threads_do_not(self):
        first = self.sample("--threads", 1, count=200)
        for threads in (1, 2, 3):
            np.testing.assert_array_equal(first, self.sample("--threads", threads, count=200))
        self.assertTrue((first != self.sample("--threads", 1, count=200, seed=2)).any())

    def test_json_is_one_object(self):
        run_json(*sample_args(self.model, self.dir / "s.h5", count=10))


class Tempering(CliTest):
    """A machine of two deep modes of unequal mass: plain chains stay where they begin."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(7)
        rows, columns = rng.choice((-1, 1), 12), rng.choice((-1, 1), 8)
        weights = 1.5 * np.outer(rows, columns) + rng.normal(0, 0.3, (12, 8))
        self.rbm = Rbm(weights, 0.1 * rows - weights.sum(1) / 2, -weights.sum(0) / 2)
        self.model = self.rbm.write(self.dir / "model.h5")
        self.rows = rows

    def sample(self, *more, count=2000):
        """The samples, and what --json says of them."""
        out = self.dir / "samples.h5"
        told = run_json("sample", self.model, "--count", count, "--out", out, *more)
        with h5py.File(out) as file:
            self.assertEqual(file["diagnostics"].attrs["verdict"], told["verdict"])
        return datasets(out)["samples/visible"].astype(float), told

    def deviation(self, samples, told):
        """Largest deviation of the means from enumeration, in standard errors of the independent samples."""
        means, _ = visible_moments(self.rbm)
        n = min(told.get("independent", len(samples)), len(samples))
        return largest_deviation(samples.mean(axis=0), means, n)

    def test_moments_equal_enumeration_and_the_verdict_is_mixed(self):
        samples, told = self.sample("--ladder", "temperature")
        self.assertLess(self.deviation(samples, told), STANDARD_ERRORS)
        self.assertTrue(told["mixed"], told["verdict"])
        self.assertTrue(told["verdict"].startswith("mixed"))
        self.assertGreater(told["independent"], 1000)
        self.assertGreater(told["round_trips"], 100)
        self.assertLessEqual(abs(told["rungs"] - (2 * told["barrier"] + 1)), 2)

    def test_plain_chains_fail_the_same_test_and_say_so(self):
        samples, told = self.sample("--ladder", "none", "--sweeps", 500)
        self.assertGreater(self.deviation(samples, told), STANDARD_ERRORS)
        self.assertFalse(told["mixed"])
        self.assertIn("not mixed: chains disagree", told["verdict"])

    def test_jumps_mix_without_a_ladder(self):
        """Cases of both modes, in other numbers than the masses: jumps weigh them right."""
        cases = np.array([(self.rows > 0) ^ (n % 4 == 0) for n in range(200)], np.uint8)
        data = write_data(self.dir / "data.h5", train=cases)
        samples, told = self.sample("--ladder", "none", "--sweeps", 500, "--jump", 0.3, "--data", data)
        self.assertLess(self.deviation(samples, told), STANDARD_ERRORS)
        self.assertTrue(told["mixed"], told["verdict"])
        # Without cases they lead to the modes that a search finds.
        samples, told = self.sample("--ladder", "none", "--sweeps", 500, "--jump", 0.3)
        self.assertLess(self.deviation(samples, told), STANDARD_ERRORS)
        self.assertTrue(told["mixed"], told["verdict"])
        run("sample", self.model, "--out", self.dir / "s.h5", "--jump", 1.5, "--data", data, expect=78)

    def test_warm_and_cold_starts_are_compared(self):
        both = np.array([(self.rows > 0) ^ (n % 2 == 0) for n in range(50)], np.uint8)
        _, told = self.sample("--ladder", "temperature", "--data", write_data(self.dir / "both.h5", train=both))
        self.assertLess(told["starts_disagree"], 5)
        self.assertTrue(told["mixed"], told["verdict"])

    def test_a_reference_far_from_one_mode_is_not_mixed(self):
        """Fitted to cases of one mode alone, beta = 0 never meets the other: warm and cold chains stay apart."""
        one = np.tile((self.rows > 0).astype(np.uint8), (50, 1))
        _, told = self.sample("--ladder", "temperature", "--jump", 0, "--data", write_data(self.dir / "one.h5", train=one), count=100)
        self.assertFalse(told["mixed"], told["verdict"])
        # Jumps to modes that a search finds, the default, put that right.
        samples, told = self.sample("--ladder", "temperature", "--data", self.dir / "one.h5")
        self.assertLess(self.deviation(samples, told), STANDARD_ERRORS)
        self.assertTrue(told["mixed"], told["verdict"])

    def test_distance_rungs_and_threads(self):
        first, told = self.sample("--ladder", "temperature", "--sweeps", 3, "--rungs", 7, "--threads", 1, count=100)
        self.assertEqual((told["sweeps"], told["rungs"], len(told["betas"])), (3, 7, 7))
        _, told = self.sample("--ladder", "temperature", "--sweeps", 9, "--swap-every", 5, "--rungs", 7, count=100)
        self.assertEqual(told["sweeps"], 10)
        for threads in (2, 3):
            again, _ = self.sample("--ladder", "temperature", "--sweeps", 3, "--rungs", 7, "--threads", threads, count=100)
            np.testing.assert_array_equal(first, again)
        for option, value in (("--rungs", 1), ("--rungs", 100000), ("--ensembles", 1), ("--swap-every", 0)):
            run("sample", self.model, "--out", self.dir / "s.h5", "--ladder", "temperature", option, value, expect=78)


class TrajectoryLadder(CliTest):
    """Cases of two modes, 16 pixels apart: a machine of them does not go from one to the other by sweeps."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(11)
        rows = rng.choice((0, 1), 16)
        cases = np.array([rows ^ (n % 4 == 0) for n in range(400)]) ^ (rng.random((400, 16)) < 0.02)
        self.data = write_data(self.dir / "data.h5", train=cases.astype(np.uint8))
        self.rows = rows

    def train(self, *more, updates=2000):
        run("train", "--data", self.data, "--hidden", 4, "--batch", 100, "--lr", 0.5, "--updates", updates, "--out",
            self.dir / "run", "--force", *more)

    def sample(self, *more):
        told = run_json("sample", self.dir / "run", "--ladder", "trajectory", "--count", 2048, "--out", self.dir / "s.h5", *more)
        return datasets(self.dir / "s.h5")["samples/visible"], told

    def test_samples_and_log_z_are_those_of_enumeration(self):
        for more in (("--trainer", "sml-ptt"), ("--trainer", "sml", "--jump", 0.5, "--checkpoint-every", 200, "--keep", 10)):
            with self.subTest(trainer=more[1]):
                self.train(*more)
                samples, told = self.sample()
                exact = run_json("loglik", self.dir / "run", "--data", self.data, "--split", "train", "--method", "exact")
                self.assertTrue(told["mixed"], told["verdict"])
                self.assertLess(told["starts_disagree"], 5)
                self.assertLess(abs(told["log_partition"] - exact["log_partition"]), 4 * told["log_partition_se"] + 1e-3)
                self.assertLess(told["log_partition_se"], 0.1)
                self.assertGreater(told["round_trips"], 100)
                self.assertTrue(told["log_partition_trusted"])
                self.assertAlmostEqual(sum(told["cluster_occupancy"]), 1)
                self.assertLess(told["cluster_variation"], 0.2)
                rbm = Rbm(*(datasets(self.dir / "run" / "checkpoint.h5")[f"model/params/{name}"].astype(float)
                            for name in ("weights", "visible_bias", "hidden_bias")))
                means, _ = visible_moments(rbm)
                n = min(told["independent"], len(samples))
                self.assertLess(largest_deviation(samples.astype(float).mean(axis=0), means, n), STANDARD_ERRORS)
                # Plain chains from the reference machine miss the masses, or at least do not claim to have them.
                plain = run_json("sample", self.dir / "run", "--sweeps", 200, "--out", self.dir / "plain.h5")
                self.assertFalse(plain["mixed"])

    def test_threads_do_not_matter(self):
        self.train("--trainer", "sml-ptt", updates=500)
        first, _ = self.sample("--threads", 1, "--sweeps", 3)
        again, told = self.sample("--threads", 3, "--sweeps", 3)
        np.testing.assert_array_equal(first, again)
        self.assertEqual(told["sweeps"], 3)

    def test_a_model_without_a_way_is_refused(self):
        self.train("--keep", 0, updates=50)
        run("sample", self.dir / "run", "--ladder", "trajectory", "--out", self.dir / "s.h5", expect=64)
        run("sample", self.dir / "run" / "checkpoint.h5", "--ladder", "trajectory", "--out", self.dir / "s.h5", expect=64)

    def test_options_of_another_ladder_are_refused(self):
        self.train(updates=50)
        for ladder, option in (("none", "--rungs"), ("none", "--ensembles"), ("none", "--swap-every"),
                               ("trajectory", "--rungs"), ("trajectory", "--swap-every")):
            with self.subTest(ladder=ladder, option=option):
                told = run("sample", self.dir / "run", "--ladder", ladder, option, 5, "--out", self.dir / "s.h5", expect=64)
                self.assertIn(option, told.stderr)


class Diagnose(CliTest):
    def test_quality_rises_for_the_right_machine(self):
        rbm = random_rbm(3, 12, 5, largest=2.0)
        model = rbm.write(self.dir / "model.h5")
        run(*sample_args(model, self.dir / "s.h5"))
        data = write_data(self.dir / "data.h5", train=datasets(self.dir / "s.h5")["samples/visible"])
        told = run_json("sample", model, "--diagnose", "--data", data, "--count", COUNT, "--sweeps", 100)
        self.assertEqual([row["sweeps"] for row in told["quality"]], [1, 2, 5, 10, 20, 50, 100])
        self.assertGreater(told["quality"][-1]["covariance_pearson"], 0.85)
        self.assertAlmostEqual(told["quality"][-1]["samples_near_samples"], 0.5, delta=0.1)
        # Planted fault: a machine without couplings.
        other = Rbm(0 * rbm.weights, rbm.visible_bias, rbm.hidden_bias).write(self.dir / "other.h5")
        told = run_json("sample", other, "--diagnose", "--data", data, "--count", COUNT, "--sweeps", 100)
        self.assertLess(told["quality"][-1]["covariance_pearson"], 0.5)

    def test_needs_data(self):
        model = random_rbm(3, 6, 5).write(self.dir / "model.h5")
        run("sample", model, "--diagnose", expect=64)
        few = write_data(self.dir / "few.h5", train=random_bits(1, 3, 6))
        run("sample", model, "--diagnose", "--data", few, expect=78)
        run("sample", model, "--diagnose", "--data", few, "--out", self.dir / "s.h5", expect=64)


class Pictures(CliTest):
    def test_features(self):
        model = random_rbm(1, 16, 9).write(self.dir / "model.h5")
        run("features", model, "--out", self.dir / "f.png", "--shape", "4x4")
        width, height = png_size(self.dir / "f.png")
        self.assertGreaterEqual(width * height, 16 * 9)

    def test_features_of_a_file_that_knows_its_shape(self):
        model = random_rbm(1, 15, 4).write(self.dir / "model.h5")
        with h5py.File(model, "a") as file:
            file["model"].attrs["visible_shape"] = (3, 5)
        run("features", model, "--out", self.dir / "f.png")
        png_size(self.dir / "f.png")


class Info(CliTest):
    def test_every_kind_of_file(self):
        model = random_rbm(1, 16, 5).write(self.dir / "model.h5")
        samples, run_dir = self.dir / "samples.h5", self.dir / "run"
        data = write_data(self.dir / "data.h5", train=random_bits(0, 10, 16))
        run(*sample_args(model, samples, count=10, sweeps=1))
        run("train", "--data", data, "--model", "bernoulli-rbm", "--hidden", 5, "--trainer", "cd", "--updates", 20,
            "--seed", 1, "--out", run_dir)
        for path, words in ((model, ("bernoulli-rbm", "16", "5")), (run_dir / "checkpoint.h5", ("bernoulli-rbm", "20")),
                            (samples, ("samples", "10", "16")),
                            (data, ("data", "10", "16"))):
            with self.subTest(file=path.name):
                said = run("info", path).stdout
                for word in words:
                    self.assertIn(word, said)
                run_json("info", path)


def idx(values):
    """The bytes of an IDX file of unsigned bytes."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


class Data(CliTest):
    CASES = random_bits(5, 30, 16)
    GREY = np.random.default_rng(6).integers(0, 256, (20, 4, 3), dtype=np.uint8)

    def converted(self, path, *more):
        """/train/x of the file that `tempera data PATH --out` writes."""
        out = self.dir / "converted.h5"
        run("data", path, "--out", out, *more)
        with h5py.File(out, "r") as file:
            self.assertEqual((file.attrs["format"], file.attrs["format_version"], file.attrs["content"]),
                             ("tempera", 1, "data"))
            return file["train/x"][()]

    def test_numpy(self):
        for name, array in (("c.npy", self.CASES), ("fortran.npy", np.asfortranarray(self.CASES)),
                            ("float.npy", self.CASES.astype("f4")), ("double.npy", self.CASES.astype("f8"))):
            with self.subTest(name=name):
                np.save(self.dir / name, array)
                np.testing.assert_array_equal(self.converted(self.dir / name), self.CASES)

    def test_numpy_archives(self):
        np.savez(self.dir / "stored.npz", x=self.CASES)
        np.savez_compressed(self.dir / "deflated.npz", x=self.CASES)
        for name in ("stored.npz", "deflated.npz"):
            with self.subTest(name=name):
                np.testing.assert_array_equal(self.converted(self.dir / name), self.CASES)

    def test_csv(self):
        text = io.StringIO()
        np.savetxt(text, self.CASES, fmt="%d", delimiter=",")
        for name, body in (("unix.csv", text.getvalue()), ("windows.csv", text.getvalue().replace("\n", "\r\n")),
                           ("no-last-newline.csv", text.getvalue().rstrip("\n"))):
            with self.subTest(name=name):
                (self.dir / name).write_bytes(body.encode())
                np.testing.assert_array_equal(self.converted(self.dir / name), self.CASES)

    def test_idx(self):
        for name, values in (("flat-idx2-ubyte", self.CASES), ("grey-idx3-ubyte", self.GREY)):
            with self.subTest(name=name):
                (self.dir / name).write_bytes(idx(values))
                with gzip.open(self.dir / f"{name}.gz", "wb") as file:
                    file.write(idx(values))
                expected = values.reshape(len(values), -1)
                np.testing.assert_array_equal(self.converted(self.dir / name), expected)
                np.testing.assert_array_equal(self.converted(self.dir / f"{name}.gz"), expected)

    def test_our_own_file_keeps_its_splits(self):
        splits = {name: random_bits(seed, 5 + seed, 16) for seed, name in enumerate(("train", "valid", "test"))}
        run("data", write_data(self.dir / "data.h5", **splits), "--out", self.dir / "copy.h5")
        found = datasets(self.dir / "copy.h5")
        for name, cases in splits.items():
            np.testing.assert_array_equal(found[f"{name}/x"], cases)

    def test_data_file_without_attributes(self):
        with h5py.File(self.dir / "bare.h5", "w") as file:
            file["train/x"] = self.CASES
        np.testing.assert_array_equal(self.converted(self.dir / "bare.h5"), self.CASES)

    def test_converted_data_trains(self):
        np.save(self.dir / "c.npy", self.CASES)
        self.converted(self.dir / "c.npy")
        run("train", "--data", self.dir / "converted.h5", "--model", "bernoulli-rbm", "--hidden", 3, "--trainer", "cd",
            "--updates", 10, "--seed", 1, "--out", self.dir / "run")
        check_finite_params(self.dir / "run" / "checkpoint.h5")

    def test_binarize(self):
        threshold = self.converted("digits", "--binarize", "threshold")
        self.assertEqual(set(np.unique(threshold)), {0, 1})
        grey = self.converted("digits")
        self.assertGreater(len(np.unique(grey)), 2)
        self.assertGreater(grey[threshold == 1].min(), grey[threshold == 0].max())

    def test_digits(self):
        self.assertIn(64, numbers(run_json("data", "digits")))
        run("data", "digits", "--out", self.dir / "digits.h5")
        found = datasets(self.dir / "digits.h5")
        sizes = {split: found[f"{split}/x"].shape for split in ("train", "valid", "test")}
        self.assertEqual(sum(n for n, _ in sizes.values()), 1797)
        self.assertEqual({width for _, width in sizes.values()}, {64})

    def test_bars_and_stripes(self):
        run("data", "bars-and-stripes", "--out", self.dir / "bars.h5")
        cases = datasets(self.dir / "bars.h5")["train/x"]
        side = round(cases.shape[1] ** 0.5)
        self.assertEqual(side * side, cases.shape[1])
        for image in cases.reshape(-1, side, side):
            rows_agree, columns_agree = (image == image[:1]).all(), (image == image[:, :1]).all()
            self.assertTrue(rows_agree or columns_agree, image)

    def test_synthetic_data_ignore_the_seed_option(self):
        first, second = (self.converted("modes", "--seed", seed) for seed in (1, 2))
        np.testing.assert_array_equal(first, second)
        self.assertFalse(np.array_equal(first, self.converted("modes:7")))


def numbers(value):
    """Every number anywhere in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) else []


if __name__ == "__main__":
    unittest.main()
