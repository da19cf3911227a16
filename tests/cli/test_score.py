"""`tempera score`: log p of every case, against enumeration by numpy; the files are read by h5py and csv."""

import csv
import io
import unittest

import h5py
import numpy as np

from harness import (CliTest, Rbm, log_partition, log_unnormalised, mean_log_likelihood, random_bits, random_rbm, run,
                     run_json, write_data)

USAGE, BAD_DATA, CANNOT_WRITE, BAD_CONFIG, INTERNAL = 64, 65, 74, 78, 70
TOLERANCE = 1e-4  # nats: parameters are float32, sums are double


def add_names(path, split, names, dtype=None):
    """Give the cases of a split names, of fixed or of variable length."""
    with h5py.File(path, "r+") as file:
        file.create_dataset(f"{split}/name", data=names, dtype=dtype or h5py.string_dtype())
    return path


def add_log_partition(path, value, error=0.01, **more):
    """Leave a log Z in a model file, as training does."""
    with h5py.File(path, "r+") as file:
        attributes = file.create_group("log_partition").attrs
        attributes["value"] = value
        attributes["standard_error"] = error
        for name, other in more.items():
            attributes[name] = other
    return path


def read_csv(text):
    """The rows of a table with a header, as dictionaries."""
    return list(csv.DictReader(io.StringIO(text)))


class Score(CliTest):
    def setUp(self):
        super().setUp()
        self.rbm = random_rbm(5, 8, 6)
        self.model = self.rbm.write(self.dir / "model.h5")
        self.cases = random_bits(2, 70, 8)  # more than a block
        self.data = write_data(self.dir / "data.h5", test=self.cases)
        self.free_energies = -log_unnormalised(self.rbm, self.cases.astype(float))

    def score(self, *more, model=None, out="scores.csv"):
        """The table of a call, and what --json says of it."""
        told = run_json("score", model or self.model, "--data", self.data, "--out", self.dir / out, *more)
        return read_csv((self.dir / out).read_text(encoding="utf-8")), told

    def largest_error(self, rows, rbm, column="log_likelihood"):
        """The largest difference between a column and the same of a machine by enumeration."""
        expected = log_unnormalised(rbm, self.cases.astype(float)) - log_partition(rbm)
        return np.abs(np.array([float(row[column]) for row in rows]) - expected).max()

    def test_every_case_equals_enumeration(self):
        rows, told = self.score("--method", "exact")
        self.assertEqual([row["number"] for row in rows], [str(n) for n in range(70)])
        self.assertLess(self.largest_error(rows, self.rbm), TOLERANCE)
        np.testing.assert_allclose([float(row["free_energy"]) for row in rows], self.free_energies, atol=TOLERANCE)
        self.assertAlmostEqual(told["log_partition"], log_partition(self.rbm), delta=TOLERANCE)
        self.assertEqual((told["log_partition_se"], told["n"], told["split"]), (0, 70, "test"))
        self.assertEqual((told["method"], told["trusted"], told["variational"]), ("exact", True, False))
        self.assertAlmostEqual(told["log_likelihood"], mean_log_likelihood(self.rbm, self.cases), delta=TOLERANCE)

    def test_planted_wrong_bias_is_seen(self):
        fault = Rbm(self.rbm.weights, self.rbm.visible_bias + 0.01 * (np.arange(8) == 3), self.rbm.hidden_bias)
        rows, _ = self.score("--method", "exact", model=fault.write(self.dir / "fault.h5"))
        self.assertGreater(self.largest_error(rows, self.rbm), 10 * TOLERANCE)
        self.assertLess(self.largest_error(rows, fault), TOLERANCE)

    def test_mean_is_that_of_loglik(self):
        for method in ("exact", "ais", "bar"):
            with self.subTest(method=method):
                words = ("--data", self.data, "--method", method, "--betas", 200, "--rounds", 100)
                _, told = self.score(*words[2:])
                other = run_json("loglik", self.model, *words)
                for key in ("log_partition", "log_partition_se", "log_likelihood", "log_likelihood_se", "n", "trusted"):
                    self.assertEqual(told[key], other[key])

    def test_without_log_z_there_are_free_energies_alone(self):
        rows, told = self.score("--method", "none")
        self.assertEqual(list(rows[0]), ["number", "free_energy"])
        np.testing.assert_allclose([float(row["free_energy"]) for row in rows], self.free_energies, atol=TOLERANCE)
        self.assertEqual(told["method"], "none")
        self.assertNotIn("log_partition", told)

    def test_differences_carry_no_error_of_log_z(self):
        """A stored log Z that is far off moves every case by the same amount."""
        right, _ = self.score("--method", "exact")
        model = add_log_partition(self.rbm.write(self.dir / "stored.h5"), log_partition(self.rbm) + 3.0)
        wrong, told = self.score("--method", "stored", model=model)
        moved = [float(a["log_likelihood"]) - float(b["log_likelihood"]) for a, b in zip(right, wrong)]
        np.testing.assert_allclose(moved, 3.0, atol=TOLERANCE)
        self.assertEqual(told["log_partition_se"], 0.01)

    def test_where_the_stored_log_z_is_not_taken_it_is_what_loglik_finds(self):
        wide = write_data(self.dir / "wide.h5", test=random_bits(3, 70, 26))
        for rbm, data, method in ((self.rbm, self.data, "exact"), (random_rbm(6, 26, 30), wide, "ais")):
            for name, value, more in (("doubted", log_partition(self.rbm), {"trusted": 0}), ("broken", float("nan"), {})):
                with self.subTest(method=method, stored=name):
                    model = add_log_partition(rbm.write(self.dir / f"{name}-{method}.h5"), value, **more)
                    told = run_json("score", model, "--data", data, "--out", self.dir / "scores.csv")
                    usual = run_json("loglik", model, "--data", data, "--quiet")
                    self.assertEqual((told["method"], usual["method"]), (method, method))
                    self.assertEqual(told["log_partition"], usual["log_partition"])
                    self.assertEqual(told["trusted"], usual["trusted"])

    def test_a_stored_log_z_is_taken_where_it_is_trusted(self):
        value = log_partition(self.rbm)
        model = add_log_partition(self.rbm.write(self.dir / "stored.h5"), value)
        _, told = self.score(model=model)
        self.assertEqual((told["method"], told["log_partition"]), ("stored", value))
        doubted = add_log_partition(self.rbm.write(self.dir / "doubted.h5"), value, trusted=0)
        _, told = self.score("--method", "stored", model=doubted)
        self.assertFalse(told["trusted"])
        self.fails(USAGE, "score", self.model, "--data", self.data, "--method", "stored", mentions=["log Z"])

    def test_a_stored_log_z_that_is_impossible_is_refused(self):
        model = add_log_partition(self.rbm.write(self.dir / "stored.h5"), log_partition(self.rbm) - 30.0)
        self.fails(INTERNAL, "score", model, "--data", self.data, mentions=["impossible"])

    def test_names_of_cases(self):
        names = [f"case {n}" for n in range(70)]
        names[3:6] = ['with, comma and "quotes"', "two\nlines", "größer"]
        for dtype in (None, "S40"):
            with self.subTest(dtype=dtype):
                given = names if dtype is None else [name.encode() for name in names]
                self.data = write_data(self.dir / f"named-{dtype}.h5", test=self.cases)
                add_names(self.data, "test", given, dtype)
                rows, _ = self.score("--method", "exact")
                self.assertEqual([row["name"] for row in rows], names)
                self.score("--method", "exact", out="scores.csv")
                run("score", self.model, "--data", self.data, "--method", "exact", "--out", self.dir / "s.h5")
                with h5py.File(self.dir / "s.h5") as file:
                    self.assertEqual(list(file["scores/name"].asstr()), names)

    def test_names_that_do_not_fit_are_refused(self):
        few = add_names(write_data(self.dir / "few.h5", test=self.cases), "test", ["one", "two"])
        self.fails(BAD_DATA, "score", self.model, "--data", few, mentions=["few.h5", "name", "70"])
        numbers = write_data(self.dir / "numbers.h5", test=self.cases)
        with h5py.File(numbers, "r+") as file:
            file["test/name"] = np.arange(70)
        self.fails(BAD_DATA, "score", self.model, "--data", numbers, mentions=["numbers.h5", "name", "text"])

    def test_hdf5(self):
        rows, told = self.score("--method", "exact")
        run("score", self.model, "--data", self.data, "--method", "exact", "--out", self.dir / "s.h5")
        with h5py.File(self.dir / "s.h5") as file:
            self.assertEqual(file.attrs["content"], "scores")
            for column in ("free_energy", "log_likelihood"):
                values = file[f"scores/{column}"]
                self.assertEqual((values.shape, values.dtype), ((70,), np.float64))
                # CSV is read back as the same doubles.
                np.testing.assert_array_equal(values[()], [float(row[column]) for row in rows])
            self.assertNotIn("name", file["scores"])
            attributes = file["scores"].attrs
            for key in ("log_partition", "log_partition_se", "log_likelihood", "n", "split", "method", "trusted"):
                self.assertEqual(attributes[key], told[key])

    def test_without_out_the_table_is_printed(self):
        rows, told = self.score("--method", "exact")
        printed = run("score", self.model, "--data", self.data, "--method", "exact")
        self.assertEqual(read_csv(printed.stdout), rows)
        self.assertIn("log Z", printed.stderr)
        everything = run_json("score", self.model, "--data", self.data, "--method", "exact")
        self.assertEqual(everything["log_likelihoods"], [float(row["log_likelihood"]) for row in rows])
        self.assertEqual(everything["log_likelihood"], told["log_likelihood"])

    def test_posteriors_of_a_bit_and_distances(self):
        both = [self.cases.copy(), self.cases.copy()]
        for value, cases in enumerate(both):
            cases[:, 4] = value
        logs = [log_unnormalised(self.rbm, cases.astype(float)) for cases in both]
        others = write_data(self.dir / "others.h5", train=random_bits(8, 50, 8))
        rows, _ = self.score("--method", "none", "--posterior", 4, "--nearest-to", others)
        np.testing.assert_allclose([float(row["posterior_1"]) for row in rows], 1 / (1 + np.exp(logs[0] - logs[1])), atol=1e-5)
        expected = (self.cases[:, None] != random_bits(8, 50, 8)[None]).mean(axis=2).min(axis=1)
        np.testing.assert_allclose([float(row["distance"]) for row in rows], expected, atol=1e-12)
        self.fails(USAGE, "score", self.model, "--data", self.data, "--method", "none", "--posterior", 8, mentions=["0 to 7"])

    def test_threads_do_not_matter(self):
        first = self.score("--method", "ais", "--betas", 100, "--threads", 1)
        for threads in (2, 3):
            self.assertEqual(self.score("--method", "ais", "--betas", 100, "--threads", threads), first)

    def test_what_is_refused(self):
        said = ("score", self.model, "--data", self.data)
        self.fails(USAGE, *said, "--method", "guess", mentions=["--method", "stored", "exact"])
        self.fails(USAGE, *said, "--out", self.dir / "scores.txt", mentions=[".csv", ".h5"])
        self.fails(USAGE, "score", self.model, mentions=["--data"])
        self.fails(BAD_DATA, *said, "--split", "train", mentions=["train"])
        self.fails(BAD_CONFIG, *said, "--chains", 0, mentions=["chains"])
        self.fails(CANNOT_WRITE, *said, "--method", "exact", "--out", self.model / "s.csv", mentions=["s.csv"])


if __name__ == "__main__":
    unittest.main()
