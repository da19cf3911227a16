"""Weights of cases: a case of weight 2 counts as two, through training, likelihoods and what the data are known by."""

import json
import unittest

import h5py
import numpy as np

from harness import BAD_DATA, USAGE, CliTest, datasets, log_partition, log_unnormalised, random_rbm, read_metrics, run, run_json

DRAW = np.random.default_rng(77)
COUNTS = DRAW.integers(1, 5, 60)
BITS = (DRAW.random((60, 8)) < DRAW.random(8)).astype(np.uint8)
REAL = (DRAW.normal(size=(60, 8)) * [1, 2, 3, 4, 5, 6, 7, 8] + 3).astype(np.float32)
SPARSE = np.where(DRAW.random((60, 8)) < 0.6, 0, REAL).astype(np.float32)
LETTERS = DRAW.integers(0, 3, (60, 8)).astype(np.uint8)
KINDS = {
    "potts-rbm": (LETTERS, ("--hidden", 5, "--alphabet", "XYZ")),
    "bernoulli-rbm": (BITS, ("--hidden", 5)),
    "dbm": (BITS, ("--hidden", "5,3")),
    "binary-ssrbm": (BITS, ("--hidden", 4)),
    "binary-bilinear-ssrbm": (BITS, ("--hidden", "2,2")),
    "gaussian-rbm": (REAL, ("--hidden", 5)),
    "ssrbm": (REAL, ("--hidden", 4)),
    "bilinear-ssrbm": (REAL, ("--hidden", "2,2")),
    "sparse-ssrbm": (SPARSE, ("--hidden", 4)),
}


def write(path, cases, weights=None, split="train"):
    with h5py.File(path, "a") as file:
        file[f"{split}/x"] = cases
        if weights is not None:
            file[f"{split}/weight"] = np.asarray(weights, np.float64)


class Weights(CliTest):
    def both(self, cases):
        """The same cases weighted, and repeated."""
        write(self.dir / "weighted.h5", cases, COUNTS)
        write(self.dir / "repeated.h5", np.repeat(cases, COUNTS, axis=0))
        return self.dir / "weighted.h5", self.dir / "repeated.h5"

    def params(self, data, *options, name="run"):
        run("train", "--data", data, *options, "--out", self.dir / name, "--quiet")
        return datasets(self.dir / name / "checkpoint.h5")


class Training(Weights):
    def test_steps_of_full_batches_are_those_of_repeated_cases(self):
        for kind, (cases, shape) in KINDS.items():
            with self.subTest(kind=kind):
                for path in self.dir.glob("*.h5"):
                    path.unlink()
                weighted, repeated = self.both(cases)
                options = ("--model", kind, *shape, "--trainer", "sml", "--jump", 0, "--batch", 1000, "--chains", 100, "--updates", 3, "--lr", 0.05,
                           "--schedule", "constant", "--optimizer", "sgd", "--init", 0.1)
                a = self.params(weighted, *options, name=f"a-{kind}")
                b = self.params(repeated, *options, name=f"b-{kind}")
                plain = self.dir / "plain.h5"
                write(plain, cases)
                c = self.params(plain, *options, name=f"c-{kind}")
                moved = 0.0
                for key in a:
                    if not key.startswith(("model/params", "model/reference")):
                        continue
                    np.testing.assert_allclose(a[key], b[key], rtol=2e-5, atol=2e-6, err_msg=f"{kind} {key}")
                    moved = max(moved, float(np.abs(c[key] - a[key]).max()) if a[key].size else 0.0)
                self.assertGreater(moved, 1e-3, f"{kind}: weights change nothing")

    def test_batches_weigh_what_their_cases_do(self):
        # Half of the cases are all ones and weigh nine times as much. The machine begins with the data's means, so steps too small to
        # change anything meanwhile add up to nothing over an epoch of single cases; where each batch counts alike they add up to -0.4.
        ones = np.arange(60) % 2
        write(self.dir / "d.h5", np.repeat(ones[:, None], 8, axis=1).astype(np.uint8), np.where(ones == 1, 9.0, 1.0))
        rate = 1e-3
        end = self.params(self.dir / "d.h5", "--hidden", 4, "--trainer", "sml", "--jump", 0, "--chains", 4000, "--init", 0, "--schedule", "constant",
                          "--batch", 1, "--updates", 60, "--lr", rate / 60, "--seed", 3)
        step = (end["model/params/visible_bias"] - end["model/reference/visible_bias"]) / rate
        self.assertLess(np.abs(step).max(), 0.05)

    def test_cases_of_weight_zero_are_not_there(self):
        with_zeros = np.where(np.arange(60) % 3 == 0, 0.0, 1.0)
        write(self.dir / "zeros.h5", BITS, with_zeros)
        write(self.dir / "without.h5", BITS[with_zeros > 0])
        options = ("--hidden", 5, "--updates", 60, "--batch", 10)
        a = self.params(self.dir / "zeros.h5", *options, name="a")
        b = self.params(self.dir / "without.h5", *options, name="b")
        for key in b:
            if key.startswith(("model", "state")):
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)

    def test_weights_of_one_change_no_byte(self):
        write(self.dir / "ones.h5", BITS, np.ones(60))
        write(self.dir / "none.h5", BITS)
        for key, value in self.params(self.dir / "none.h5", "--hidden", 5, "--updates", 60, name="a").items():
            if key.startswith(("model", "state")):
                np.testing.assert_array_equal(value, self.params_of("b")[key], err_msg=key)

    def params_of(self, name):
        if not (self.dir / name).exists():
            return self.params(self.dir / "ones.h5", "--hidden", 5, "--updates", 60, name=name)
        return datasets(self.dir / name / "checkpoint.h5")


class Likelihoods(Weights):
    def test_means_and_errors_are_weighted(self):
        rbm = random_rbm(3, 8, 5)
        rbm.write(self.dir / "model.h5")
        write(self.dir / "d.h5", BITS, COUNTS, split="test")
        values = log_unnormalised(rbm, BITS) - log_partition(rbm)
        mean = np.average(values, weights=COUNTS)
        # Copies are no further draws: the error is that of as many draws as the weights amount to (Kish).
        w = COUNTS.astype(float)
        draws = w.sum() ** 2 / (w**2).sum()
        error = np.sqrt((w * (values - mean) ** 2).sum() / (w.sum() - (w**2).sum() / w.sum()) / draws)
        for command in (("loglik", "--method", "exact"), ("score", "--method", "exact")):
            found = run_json(command[0], self.dir / "model.h5", "--data", self.dir / "d.h5", *command[1:])
            self.assertAlmostEqual(found["log_likelihood"], mean, delta=1e-5)
            self.assertAlmostEqual(found["log_likelihood_se"], error, delta=1e-5)
            self.assertGreater(abs(values.mean() - mean), 1e-2)  # else nothing is tested

    def test_of_repeated_cases_are_the_same(self):
        for kind in ("bernoulli-rbm", "gaussian-rbm", "ssrbm", "sparse-ssrbm", "dbm"):
            with self.subTest(kind=kind):
                for path in self.dir.glob("*.h5"):
                    path.unlink()
                cases, shape = KINDS[kind]
                weighted, repeated = self.both(cases)
                run("train", "--data", repeated, "--model", kind, *shape, "--updates", 50, "--out", self.dir / kind, "--quiet")
                found = [run_json("loglik", self.dir / kind, "--data", path, "--split", "train", "--method", "exact") for path in (weighted, repeated)]
                for key in ("log_likelihood", "independent_log_likelihood", "gaussian_log_likelihood"):
                    if key in found[1]:
                        self.assertAlmostEqual(found[0][key], found[1][key], delta=1e-6 * abs(found[1][key]), msg=f"{kind} {key}")

    def test_reports_of_training_are_weighted(self):
        weighted, repeated = self.both(BITS)
        write(weighted, BITS[:30], COUNTS[:30], split="valid")
        write(repeated, np.repeat(BITS[:30], COUNTS[:30], axis=0), split="valid")
        last = {}
        for path in (weighted, repeated):
            run("train", "--data", path, "--hidden", 4, "--trainer", "sml", "--track-log-z", "--jump", 0, "--batch", 1000, "--chains", 100, "--updates", 3,
                "--lr", 0.01, "--optimizer", "sgd", "--out", self.dir / path.stem, "--quiet")
            last[path] = read_metrics(self.dir / path.stem)[-1]
        for column in ("train_log_likelihood", "validation_log_likelihood"):
            self.assertAlmostEqual(float(last[weighted][column]), float(last[repeated][column]), delta=2e-4, msg=column)


class Comparisons(Weights):
    def test_samples_are_held_against_weighted_cases(self):
        cases = np.unpackbits(np.arange(64, dtype=np.uint8)[:, None], axis=1)[:, 2:]
        weights = np.ones(64)
        weights[[0, 63]] = 300
        random_rbm(5, 6, 3).write(self.dir / "model.h5")
        write(self.dir / "w.h5", cases, weights)
        write(self.dir / "p.h5", cases)
        found = [run("sample", self.dir / "model.h5", "--diagnose", "--data", self.dir / f"{name}.h5", "--count", 64, "--sweeps", 10).stdout for name in "wp"]
        self.assertNotEqual(*found)

    def test_responses_of_filters_are_weighted(self):
        weighted, repeated = self.both(REAL)
        run("train", "--data", repeated, "--model", "gaussian-rbm", "--hidden", 3, "--updates", 20, "--out", self.dir / "run", "--quiet")
        found = []
        for path in (weighted, repeated):
            run("features", self.dir / "run", "--data", path, "--out", self.dir / "f.h5", "--quiet")
            found.append(datasets(self.dir / "f.h5"))
        for name in ("mean", "scale", "shape"):
            np.testing.assert_allclose(found[0][f"responses/data/{name}"], found[1][f"responses/data/{name}"], rtol=0.1)
        np.testing.assert_allclose(found[0]["responses/data/mean"], found[1]["responses/data/mean"], rtol=1e-4)

    def test_a_column_of_one_value_and_zeros_is_known_well(self):
        cases = SPARSE.copy()
        cases[:, 2] = np.where(cases[:, 2] != 0, 2.5, 0)
        write(self.dir / "d.h5", cases)
        write(self.dir / "w.h5", cases, COUNTS)
        for name in "dw":
            found = self.params(self.dir / f"{name}.h5", "--model", "sparse-ssrbm", "--hidden", 3, "--updates", 1, name=name)
            # The floor of a variance, of standardised values.
            precision = found["model/standardisation/reference/visible_slab_precision"]
            self.assertAlmostEqual(precision[2], 1e4, delta=1)
            self.assertLess(np.delete(precision, 2).max(), 10)

    def test_the_unit_of_weights_is_of_no_matter_to_variances(self):
        found = []
        for unit in (1.0, 0.05):
            write(self.dir / f"{unit}.h5", SPARSE, np.full(60, unit) * np.where(np.arange(60) % 2, 1.0, 1.0 + 1e-9))
            found.append(self.params(self.dir / f"{unit}.h5", "--model", "sparse-ssrbm", "--hidden", 3, "--updates", 1, name=str(unit)))
        np.testing.assert_allclose(found[0]["model/reference/visible_slab_precision"], found[1]["model/reference/visible_slab_precision"], rtol=0.05)


class Reading(Weights):
    def test_every_way_to_say_them(self):
        write(self.dir / "array.h5", BITS, COUNTS)
        np.savez(self.dir / "array.npz", X=BITS, sample_weight=COUNTS)
        table = np.column_stack([BITS, COUNTS])
        np.savetxt(self.dir / "table.csv", table, fmt="%d", delimiter=",", header=",".join([f"v{i}" for i in range(8)] + ["w"]), comments="")
        np.save(self.dir / "table.npy", table)
        distinct, index = np.unique(BITS, axis=0, return_inverse=True)
        counts = np.bincount(index, weights=COUNTS)
        (self.dir / "counts.json").write_text(json.dumps({"".join(map(str, row)): count for row, count in zip(distinct, counts)}))
        ways = {"array.h5": (), "array.npz": (), "table.csv": ("--weights", "w"), "table.npy": ("--weights", 8), "counts.json": ()}
        rbm = random_rbm(4, 8, 3)
        rbm.write(self.dir / "model.h5")
        expected = np.average(log_unnormalised(rbm, BITS) - log_partition(rbm), weights=COUNTS)
        for name, options in ways.items():
            with self.subTest(file=name):
                found = run_json("loglik", self.dir / "model.h5", "--data", self.dir / name, "--split", "train", "--method", "exact", *options)
                self.assertAlmostEqual(found["log_likelihood"], expected, delta=1e-5)
                self.assertIn("weighted", run("data", self.dir / name, *options).stdout)

    def test_what_is_written_is_read_again(self):
        write(self.dir / "in.h5", BITS, COUNTS)
        for ending in ("h5", "npz"):
            run("data", self.dir / "in.h5", "--out", self.dir / f"out.{ending}")
        run("data", self.dir / "out.npz", "--out", self.dir / "again.h5")
        for name in ("out.h5", "again.h5"):
            with h5py.File(self.dir / name) as file:
                np.testing.assert_array_equal(file["train/weight"][:], COUNTS)
        run("data", self.dir / "in.h5", "--test", 0.3, "--out", self.dir / "cut.h5")
        with h5py.File(self.dir / "cut.h5") as file:
            self.assertEqual(file["train/weight"].shape[0] + file["test/weight"].shape[0], 60)
            rows = {bytes(x) for x in BITS}
            self.assertTrue({bytes(x) for x in file["test/x"][:]} <= rows)
            self.assertAlmostEqual(file["train/weight"][:].sum() + file["test/weight"][:].sum(), COUNTS.sum())

    def test_columns_that_look_like_weights_are_remarked_upon(self):
        np.savetxt(self.dir / "t.csv", np.column_stack([BITS, COUNTS]), fmt="%d", delimiter=",", comments="",
                   header=",".join([f"v{i}" for i in range(8)] + ["weight"]))
        self.assertIn("--weights weight", run("data", self.dir / "t.csv").stdout)

    def test_shares_are_scaled(self):
        write(self.dir / "shares.h5", BITS, COUNTS / COUNTS.sum())
        write(self.dir / "scaled.h5", BITS, COUNTS * 60 / COUNTS.sum())
        self.assertIn("shares", run("data", self.dir / "shares.h5").stdout)
        found = [self.params(self.dir / f"{name}.h5", "--hidden", 4, "--updates", 20, name=name)["model/params/weights"] for name in ("shares", "scaled")]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-6)

    def test_rounded_shares_are_shares(self):
        write(self.dir / "rounded.h5", BITS, np.round(COUNTS / COUNTS.sum(), 3))
        self.assertIn("shares", run("data", self.dir / "rounded.h5").stdout)

    def test_weights_and_the_shape_of_pictures(self):
        np.save(self.dir / "table.npy", np.column_stack([BITS, COUNTS]))
        self.assertIn("(2, 4)", run("data", self.dir / "table.npy", "--weights", 8, "--shape", "2x4").stdout)

    def test_weights_are_not_lost_where_there_is_no_place(self):
        write(self.dir / "in.h5", BITS, COUNTS)
        self.fails(USAGE, "data", self.dir / "in.h5", "--out", self.dir / "o.npy", mentions=("weights",))

    def test_json_with_a_mark_of_utf_8(self):
        (self.dir / "c.json").write_bytes(b"\xef\xbb\xbf" + b'{"01": 3, "10": 1}')
        self.assertIn("count as 4", run("data", self.dir / "c.json").stdout)

    def test_what_is_no_weight_is_refused(self):
        for bad, words in ((-1.0, "-1"), (np.nan, "nan"), (np.inf, "inf")):
            path = self.dir / f"{words}.h5"
            weights = COUNTS.astype(float)
            weights[17] = bad
            write(path, BITS, weights)
            self.fails(BAD_DATA, "data", path, mentions=("case 17", words))
        write(self.dir / "few.h5", BITS, COUNTS[:10])
        self.fails(BAD_DATA, "data", self.dir / "few.h5", mentions=("60", "10"))
        write(self.dir / "none.h5", BITS, np.zeros(60))
        self.fails(BAD_DATA, "data", self.dir / "none.h5", mentions=("weight 0",))
        np.save(self.dir / "x.npy", BITS)
        self.fails(USAGE, "data", self.dir / "x.npy", "--weights", "w", mentions=("--weights w",))

    def test_json_that_counts_no_bits_is_refused(self):
        for text, words in (('{"01": 3, "011": 1}', "011"), ('{"01": "three"}', "01"), ('{"0x1": 3}', "0x1"), ('{"01": [1]}', "01"), ("{}", "no counts"),
                            ('{"01": 3', "byte"), ('{"01": -2}', "-2"), ('{"01": 1e999}', "01")):
            path = self.dir / "c.json"
            path.write_text(text)
            self.fails(BAD_DATA, "data", path, mentions=(words if words != "01" or "1e999" not in text else "c.json",))


if __name__ == "__main__":
    unittest.main()
