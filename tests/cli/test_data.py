"""What `tempera data` promises: binarisation, CSV, labels, splits."""

import unittest

import h5py
import numpy as np

from harness import (BAD_CONFIG, BAD_DATA, USAGE, CliTest, class_folder, datasets, random_bits, run, run_json,
                     train_args, write_data)


class Binarize(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = class_folder(cls)
        cls.run_dirs = {rule: cls.folder / rule for rule in ("threshold", "sample")}
        for rule, run_dir in cls.run_dirs.items():
            run(*train_args("digits", run_dir, "--binarize", rule, hidden=8))
        run("data", "digits", "--out", cls.folder / "grey.h5")
        cls.grey = datasets(cls.folder / "grey.h5")["test/x"]

    def log_likelihood(self, data, *more, rule="threshold"):
        """Exact mean log-likelihood of data under one of the runs."""
        return run_json("loglik", self.run_dirs[rule], "--data", data, "--method", "exact", *more)["log_likelihood"]

    def saved(self, name, cases):
        """The path of an .npy file with these cases."""
        np.save(self.dir / name, cases)
        return self.dir / name

    def test_the_run_remembers_its_rule(self):
        binary = self.dir / "bin.h5"
        run("data", "digits", "--binarize", "threshold", "--out", binary)
        expected = self.log_likelihood(binary)
        self.assertEqual(self.log_likelihood("digits"), expected)
        self.assertEqual(self.log_likelihood("digits", "--binarize", "threshold"), expected)
        self.assertEqual(self.log_likelihood(self.folder / "grey.h5"), expected)

    def test_planted_another_threshold_is_seen(self):
        low = write_data(self.dir / "low.h5", test=(self.grey > 2).astype("u1"))
        self.assertNotAlmostEqual(self.log_likelihood(low), self.log_likelihood("digits"), places=3)

    def test_the_range_is_that_of_the_training_data(self):
        """Paler data keep the threshold of the run; at half of their own range it would be another."""
        pale = self.saved("pale.npy", np.minimum(self.grey, 10))
        self.assertEqual(self.log_likelihood(pale, "--split", "train"), self.log_likelihood("digits"))

    def test_values_beyond_the_training_data(self):
        bright = self.saved("bright.npy", self.grey.astype("f4") * 2)
        self.fails(BAD_DATA, "loglik", self.run_dirs["threshold"], "--data", bright, "--split", "train", "--method",
                   "exact", mentions=["bright.npy", "--binarize"])
        found = self.log_likelihood(bright, "--split", "train", "--binarize", "threshold")
        self.assertAlmostEqual(found, self.log_likelihood("digits"), places=6)

    def test_the_seed_of_an_estimate_is_not_the_seed_of_the_data(self):
        found = {self.log_likelihood("digits", "--seed", seed, rule="sample") for seed in (1, 2)}
        self.assertEqual(len(found), 1, found)

    def test_planted_other_samples_of_the_data_are_seen(self):
        found = set()
        for seed in (1, 2):
            run("data", "digits", "--binarize", "sample", "--seed", seed, "--out", self.dir / f"{seed}.h5")
            found.add(self.log_likelihood(self.dir / f"{seed}.h5", rule="sample"))
        self.assertEqual(len(found), 2, found)

    def test_a_sample_has_the_mean_of_the_grey(self):
        run("data", "digits", "--binarize", "sample", "--out", self.dir / "s.h5")
        cases = datasets(self.dir / "s.h5")["test/x"]
        self.assertEqual(set(np.unique(cases)), {0, 1})
        chance = self.grey / 16
        error = np.sqrt((chance * (1 - chance)).sum()) / chance.size
        self.assertLess(abs(cases.mean() - chance.mean()), 4.5 * error)  # two-sided p = 7e-6
        threshold = (self.grey > 8).mean()
        self.assertGreater(abs(threshold - chance.mean()), 4.5 * error, "planted: a threshold has another mean")


class Csv(CliTest):
    ROWS = "0,1,0,1\n1,1,0,0\n0,0,1,1\n"
    CASES = np.array([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
    BOM = b"\xef\xbb\xbf"

    def written(self, body):
        """The path of a CSV file of these bytes."""
        path = self.dir / "data.csv"
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return path

    def test_rows_that_are_kept(self):
        for name, body in (("plain", self.ROWS), ("byte order mark", self.BOM + self.ROWS.encode()),
                           ("header", "a,b,c,d\n" + self.ROWS), ("quoted header", '"a","b","c","d"\n' + self.ROWS),
                           ("mark and header", self.BOM + b"a,b,c,d\n" + self.ROWS.encode())):
            with self.subTest(file=name):
                run("data", self.written(body), "--out", self.dir / "out.h5")
                np.testing.assert_array_equal(datasets(self.dir / "out.h5")["train/x"], self.CASES)
                (self.dir / "out.h5").unlink()

    def test_rows_that_are_refused(self):
        for name, body in (("words and numbers in line 1", "a,1,0,b\n" + self.ROWS),
                           ("one word in line 1", "0,1,0,one\n" + self.ROWS),
                           ("one trailing comma", self.ROWS + "1,0,1,1,\n"),
                           ("first trailing comma", "0,1,0,1,\n" + self.ROWS),
                           ("empty cell", self.ROWS + "1,,0,1\n"),
                           ("second header", "a,b,c,d\ne,f,g,h\n" + self.ROWS),
                           ("header alone", "a,b,c,d\n")):
            with self.subTest(file=name):
                self.fails(BAD_DATA, "data", self.written(body), "--out", self.dir / "out.h5", mentions=["data.csv"])

    def test_a_trailing_comma_is_told_with_its_line(self):
        result = self.fails(BAD_DATA, "data", self.written(self.ROWS + "1,0,1,1,\n"), mentions=["data.csv"])
        self.assertRegex(result.stderr, r"\b4\b", "the message should name line 4")


class NumbersOfData(CliTest):
    CASES = random_bits(5, 30, 16)

    def converted(self, path, *more):
        """Every dataset of the file that `tempera data PATH --out` writes."""
        out = self.dir / "converted.h5"
        run("data", path, "--out", out, *more)
        return datasets(out)

    def with_labels(self, labels):
        """The path of a data file whose /train/y is `labels`."""
        path = write_data(self.dir / "data.h5", train=self.CASES)
        with h5py.File(path, "a") as file:
            file["train/y"] = labels
        return path

    def test_not_a_number_cannot_be_binarized(self):
        for value in (np.nan, np.inf, -np.inf):
            for rule in ("threshold", "sample"):
                with self.subTest(value=value, rule=rule):
                    cases = np.linspace(0, 1, 160, dtype="f4").reshape(10, 16)
                    cases[4, 5] = value
                    np.save(self.dir / "bad.npy", cases)
                    self.fails(BAD_DATA, "data", self.dir / "bad.npy", "--binarize", rule, "--out",
                               self.dir / "out.h5", mentions=["bad.npy"])
                    self.fails(BAD_DATA, *train_args(self.dir / "bad.npy", self.dir / "run", "--binarize", rule),
                               mentions=["bad.npy"])

    def test_samples_and_labels(self):
        labels = np.arange(30) % 10
        with h5py.File(self.dir / "other.h5", "w") as file:
            file["samples"], file["labels"] = self.CASES, labels
        found = self.converted(self.dir / "other.h5")
        np.testing.assert_array_equal(found["train/x"], self.CASES)
        np.testing.assert_array_equal(found["train/y"], labels)

    def test_labels_that_are_kept(self):
        for dtype in ("u1", "i4", "i8", "f4", "f8"):
            with self.subTest(dtype=dtype):
                labels = (np.arange(30) % 10).astype(dtype)
                np.testing.assert_array_equal(self.converted(self.with_labels(labels))["train/y"], labels)

    def test_labels_that_are_none_are_left_out_and_said(self):
        whole = np.arange(30.0)
        for name, labels in (("fractional", whole + 0.5), ("one fraction", np.append(whole[:-1], 3.25)),
                             ("not a number", np.append(whole[:-1], np.nan)), ("too short", np.arange(29)),
                             ("too long", np.arange(31)), ("a table", np.zeros((30, 2), "i4")),
                             ("beyond any integer", np.append(whole[:-1], 1e300))):
            with self.subTest(labels=name):
                path = self.with_labels(labels)
                self.assertNotIn("train/y", self.converted(path))
                (self.dir / "converted.h5").unlink()
                remarks = run_json("data", path)["remarks"]
                self.assertTrue(any("left out" in remark and ("/train/y" in remark or "labels" in remark) for remark in remarks), remarks)


class Splits(CliTest):
    """100 different cases, so that every row can be told from every other one."""

    CODES = np.arange(100)
    CASES = ((CODES[:, None] >> np.arange(8)) & 1).astype("u1")

    def split(self, *more, source=None):
        """The datasets of a file that was split 70:20:10."""
        if source is None:
            source = self.dir / "x.npy"
            np.save(source, self.CASES)
        run("data", source, "--valid", 0.2, "--test", 0.1, "--out", self.dir / "split.h5", *more)
        return datasets(self.dir / "split.h5")

    def codes(self, cases):
        """Which rows of CASES these are."""
        return (cases.astype(int) << np.arange(8)).sum(axis=1)

    def test_every_row_is_in_one_split(self):
        found = self.split()
        parts = {name: self.codes(found[f"{name}/x"]) for name in ("train", "valid", "test")}
        self.assertEqual({name: len(part) for name, part in parts.items()}, {"train": 70, "valid": 20, "test": 10})
        self.assertEqual(sorted(np.concatenate(list(parts.values()))), list(self.CODES))

    def test_the_split_is_drawn_not_cut(self):
        self.assertNotEqual(set(self.codes(self.split()["test/x"])), set(range(90, 100)))

    def test_the_seed_decides(self):
        first, again, other = (self.codes(self.split("--seed", seed)["valid/x"]) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        self.assertNotEqual(set(first), set(other))

    def test_labels_follow_their_rows(self):
        with h5py.File(self.dir / "labelled.h5", "w") as file:
            file["samples"], file["labels"] = self.CASES, self.CODES
        found = self.split(source=self.dir / "labelled.h5")
        for name, n in (("train", 70), ("valid", 20), ("test", 10)):
            self.assertEqual(found[f"{name}/y"].shape, (n,))
            np.testing.assert_array_equal(self.codes(found[f"{name}/x"]), found[f"{name}/y"])

    def test_split_data_are_not_split_again(self):
        data = write_data(self.dir / "data.h5", train=self.CASES, test=self.CASES[:5])
        for source in ("digits", data):
            for option in ("--valid", "--test"):
                with self.subTest(data=str(source), option=option):
                    self.fails(USAGE, "data", source, option, 0.2, "--out", self.dir / "out.h5")

    def test_no_case_is_left_to_train(self):
        np.save(self.dir / "x.npy", self.CASES)
        self.fails((USAGE, BAD_CONFIG), "data", self.dir / "x.npy", "--valid", 0.6, "--test", 0.6, "--out",
                   self.dir / "out.h5")


if __name__ == "__main__":
    unittest.main()
