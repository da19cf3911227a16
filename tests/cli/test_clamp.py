"""Samples of conditional and tempered laws, against NumPy that sums over every state."""

import itertools
import unittest

import h5py
import numpy as np

from harness import BAD_CONFIG, USAGE, CliTest, run, run_json, write_model, write_rbm

COUNT = 20000
# Standard errors that frequencies may be away: about 1,500 of them are looked at.
ERRORS = 5.0


def states(units):
    return np.array(list(itertools.product((0, 1), repeat=units)))


def rbm_log_weights(params, v, copies=1):
    weights, visible, hidden = params
    return copies * (v @ visible + np.logaddexp(0, v @ weights + hidden).sum(axis=1))


def normalised(log_weights):
    p = np.exp(log_weights - log_weights.max())
    return p / p.sum()


def letters_log_weights(params, codes):
    sites = np.arange(codes.shape[1])
    inputs = params["hidden_bias"] + params["weights"][sites, codes].sum(axis=1)
    return params["visible_bias"][sites, codes].sum(axis=1) + np.logaddexp(0, inputs).sum(axis=1)


class Clamps(CliTest):
    """`ladder none` draws chains that are independent, so that errors are those of counts."""

    def setUp(self):
        super().setUp()
        draw = np.random.default_rng(3)
        self.params = [draw.normal(size=(6, 4)).astype("f4"), draw.normal(size=6).astype("f4"), draw.normal(size=4).astype("f4")]
        self.model = self.dir / "model.h5"
        write_rbm(self.model, *self.params)

    def drawn(self, *options, model=None, count=COUNT, sweeps=200):
        out = self.dir / "samples.h5"
        run("sample", model or self.model, "--count", count, "--sweeps", sweeps, *options, "--out", out, "--quiet")
        with h5py.File(out) as file:
            return {name: values[:] for name, values in file["samples"].items()}

    def assert_law(self, samples, places, law, rows):
        """Frequencies of the rows that `places` of samples take are those of the law."""
        index = {tuple(row): k for k, row in enumerate(rows)}
        counts = np.bincount([index[tuple(row)] for row in samples[:, places]], minlength=len(rows))
        n = len(samples)
        errors = np.abs(counts / n - law) / np.sqrt(np.maximum(law * (1 - law), 1.0 / n) / n)
        self.assertLess(errors.max(), ERRORS, f"state {rows[errors.argmax()]}")
        return errors.max()

    def test_visibles_that_are_held(self):
        v = states(6)
        v = v[(v[:, 0] == 1) & (v[:, 3] == 0)]
        law = normalised(rbm_log_weights(self.params, v))
        for options in ((), ("--ladder", "temperature")):
            sweeps = 200 if not options else 20
            samples = self.drawn("--clamp", "0=1,3=0", *options, sweeps=sweeps)["visible"]
            self.assertTrue((samples[:, 0] == 1).all() and (samples[:, 3] == 0).all())
            self.assert_law(samples, [1, 2, 4, 5], law, v[:, [1, 2, 4, 5]])
        # The law of all, with what is held taken out, is another one: the test would see a forgotten clamp.
        free = self.drawn()["visible"]
        with self.assertRaises(AssertionError):
            self.assert_law(free, [1, 2, 4, 5], law, v[:, [1, 2, 4, 5]])

    def test_hidden_units_that_are_held(self):
        v, h = states(6), states(4)
        h = h[h[:, 2] == 1]
        weights, visible, hidden = (p.astype(float) for p in self.params)
        joint = (v @ visible)[:, None] + v @ weights @ h.T + (h @ hidden)[None]
        law = normalised(np.logaddexp.reduce(joint, axis=1))
        samples = self.drawn("--clamp", "hidden:2=1")
        self.assertTrue((samples["hidden"][:, 2] == 1).all())
        self.assert_law(samples["visible"], range(6), law, v)
        of_hidden = normalised(np.logaddexp.reduce(joint, axis=0))
        self.assert_law(samples["hidden"], range(4), of_hidden, h)

    def test_ranges_and_whole_layers(self):
        samples = self.drawn("--clamp", "hidden:0-3=0", count=2000)
        self.assertFalse(samples["hidden"].any())
        means = 1 / (1 + np.exp(-self.params[1].astype(float)))
        errors = np.abs(samples["visible"].mean(axis=0) - means) / np.sqrt(means * (1 - means) / 2000)
        self.assertLess(errors.max(), ERRORS)

    def test_powers(self):
        v = states(6)
        for copies in (2, 3):
            law = normalised(rbm_log_weights(self.params, v, copies))
            samples = self.drawn("--beta-marginal", copies)
            self.assert_law(samples["visible"], range(6), law, v)
            self.assertEqual(samples["hidden"].shape, (COUNT, 4))
        # p(v)^2 by hand: every hidden unit twice, and visible biases doubled.
        weights, visible, hidden = self.params
        doubled = self.dir / "doubled.h5"
        write_rbm(doubled, np.hstack([weights, weights]), 2 * visible, np.concatenate([hidden, hidden]))
        law = normalised(rbm_log_weights(self.params, v, 2))
        self.assert_law(self.drawn(model=doubled)["visible"], range(6), law, v)

    def test_temperatures(self):
        v, h = states(6), states(4)
        weights, visible, hidden = (p.astype(float) for p in self.params)
        for beta in (0.5, 2.0):
            joint = beta * ((v @ visible)[:, None] + v @ weights @ h.T + (h @ hidden)[None])
            law = normalised(np.logaddexp.reduce(joint, axis=1))
            for options in ((), ("--ladder", "temperature")):
                samples = self.drawn("--beta", beta, *options, sweeps=200 if not options else 20)["visible"]
                self.assert_law(samples, range(6), law, v)
        # beta of the marginal is another law than beta of all units.
        with self.assertRaises(AssertionError):
            self.assert_law(samples, range(6), normalised(rbm_log_weights(self.params, v, 2)), v)

    def test_letters(self):
        draw = np.random.default_rng(4)
        params = {"weights": draw.normal(size=(4, 3, 5)), "visible_bias": draw.normal(size=(4, 3)), "hidden_bias": draw.normal(size=5)}
        path = write_model(self.dir / "letters.h5", "potts-rbm", params, "XYZ")
        codes = np.array(list(itertools.product(range(3), repeat=4)))
        kept = codes[(codes[:, 0] == 1) & (codes[:, 2] != 2) & (codes[:, 3] != 0)]
        law = normalised(letters_log_weights(params, kept))
        samples = self.drawn("--clamp", "1=Y,3!=Z,4=Y|Z", model=path)["visible"]
        self.assert_law(samples, range(4), law, kept)
        for clamp in ("5=X", "1=W", "1=X|W", "1=X,1=Y", "0=X"):
            self.assertIn("--clamp", run("sample", path, "--count", 5, "--clamp", clamp, "--out", self.dir / "no.h5", expect=USAGE).stderr)

    def test_missing_values_are_drawn(self):
        cases = np.array([[1, 0, np.nan, 1, 0, np.nan], [0, 1, 0, 1, 1, 0], [np.nan, 1, 1, 0, 0, 1]], "f4")
        data = self.dir / "data.npy"
        np.save(data, cases)
        samples = self.drawn("--clamp", "observed", "--data", data, count=4000)
        self.assertEqual(list(np.unique(samples["case"], return_counts=True)[1]), [4000, 4000])
        v = states(6)
        for case in (0, 2):
            known = ~np.isnan(cases[case])
            rows = v[(v[:, known] == cases[case, known]).all(axis=1)]
            of_case = samples["visible"][samples["case"] == case]
            self.assert_law(of_case, range(6), normalised(rbm_log_weights(self.params, rows)), rows)
        np.save(data, np.nan_to_num(cases))
        self.assertIn("missing", run("sample", self.model, "--count", 5, "--clamp", "observed", "--data", data, "--out",
                                     self.dir / "no.h5", expect=USAGE).stderr)

    def test_missing_values_of_a_table_by_name(self):
        table = self.dir / "table.csv"
        rows = ["a,b,c,d,e,f"] + [",".join(map(str, row)) for row in np.random.default_rng(1).integers(0, 2, (50, 6))]
        table.write_text("\n".join(rows) + "\n1,,0,1,,1\n")
        samples = self.drawn("--clamp", "observed,c=0,e=1", "--data", table, count=2000)
        self.assertEqual(set(samples["case"]), {50})
        self.assertTrue((samples["visible"][:, [0, 2, 3, 4, 5]] == [1, 0, 1, 1, 1]).all())
        self.assertEqual(set(samples["visible"][:, 1]), {0, 1})

    def test_splits_and_columns_without_values(self):
        data = self.dir / "splits.h5"
        with h5py.File(data, "w") as file:
            file["train/x"] = np.ones((4, 6), np.uint8)
            file["test/x"] = np.array([[1, 0, np.nan, 1, 0, 1]] * 2, "f4")
        samples = self.drawn("--clamp", "observed", "--data", data, count=50)
        self.assertEqual(set(samples["case"]), {0, 1})
        self.assertEqual(set(map(tuple, samples["visible"][:, [0, 1, 3, 4, 5]])), {(1, 0, 1, 0, 1)})
        # Cases of words, with another alphabet than the model's.
        table, one = self.dir / "words.csv", self.dir / "one.csv"
        draw = np.random.default_rng(8)
        table.write_text("sky,wind\n" + "".join(f"{draw.choice(['blue', 'grey'])},{draw.choice(['east', 'west', 'calm'])}\n" for _ in range(80)))
        one.write_text("sky,wind\ngrey,east\ngrey,\n")
        run("train", "--data", table, "--alphabet", "columns", "--header", "yes", "--model", "potts-rbm", "--hidden", 3, "--updates", 100, "--out", self.dir / "words", "--quiet")
        samples = self.drawn("--clamp", "observed", "--data", one, "--alphabet", "columns", "--header", "yes", model=self.dir / "words", count=200)["visible"]
        self.assertEqual((set(samples[:, 0]), set(samples[:, 1])), ({1}, {0, 1, 2}))

    def test_real_values(self):
        """With few latents the conditional law is a mixture of Gaussians, whose mean is summed here."""
        draw = np.random.default_rng(5)
        x = draw.normal(size=(400, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0.5], [0, 0, 1]]) * [3, 1, 2] + [10, 0, -4]
        data, model = self.dir / "real.npy", self.dir / "real"
        np.save(data, x.astype("f4"))
        run("train", "--data", data, "--model", "gaussian-rbm", "--hidden", 4, "--updates", 300, "--seed", 2, "--out", model, "--quiet")
        with h5py.File(model / "checkpoint.h5") as file:
            p = {name: values[:].astype(float) for name, values in file["model/params"].items()}
        h = states(4)
        held = 14.0
        # v_0 = 14: weights of the hidden states, and means of the other two.
        linear = p["visible_bias"] + h @ p["weights"].T
        log_weights = h @ p["hidden_bias"] + held * linear[:, 0]
        log_weights += (linear[:, 1:] ** 2 / p["visible_precision"][1:] / 2).sum(axis=1)
        means = normalised(log_weights) @ (linear[:, 1:] / p["visible_precision"][1:])
        samples = self.drawn("--clamp", f"0={held}", model=model / "checkpoint.h5", count=8000)["visible"]
        self.assertLess(np.abs(samples[:, 0] - held).max(), 1e-4)
        errors = np.abs(samples[:, 1:].mean(axis=0) - means) / (samples[:, 1:].std(axis=0) / np.sqrt(8000))
        self.assertLess(errors.max(), ERRORS)

    def test_every_kind_says_what_it_cannot(self):
        x = np.random.default_rng(6).normal(size=(100, 4)).astype("f4")
        data = self.dir / "data.npy"
        np.save(data, x)
        for kind, hidden, problem in (("ssrbm", "3", ""), ("bilinear-ssrbm", "2,2", "slabs")):
            out = self.dir / kind
            run("train", "--data", data, "--model", kind, "--hidden", hidden, "--updates", 20, "--seed", 1, "--out", out, "--quiet")
            told = run("sample", out, "--count", 10, "--sweeps", 5, "--clamp", "1=0.5", "--out", self.dir / "s.h5", expect=USAGE if problem else 0)
            self.assertIn(problem, told.stderr)
            told = run("sample", out, "--count", 10, "--sweeps", 5, "--beta", 1.5, "--out", self.dir / "s.h5")

    def test_wrong_wishes(self):
        for options in (("--clamp", "9=1"), ("--clamp", "0=2"), ("--clamp", "a=1"), ("--clamp", "0"), ("--clamp", "0!=1"), ("--clamp", "1-0=1"),
                        ("--clamp", "hidden:4=1"), ("--clamp", "hidden:1=0.5"), ("--clamp", "nowhere:1=1"), ("--clamp", "0-5=1"),
                        ("--clamp", "observed"), ("--beta", 2, "--ladder", "trajectory"), ("--clamp", "0=1", "--diagnose", "--data", "digits"), ("--clamp", "hidden:0=1", "--beta-marginal", 2)):
            run("sample", self.model, "--count", 5, *options, "--out", self.dir / "no.h5", expect=USAGE)
            self.assertFalse((self.dir / "no.h5").exists())
        for options in (("--beta", 0), ("--beta", -1), ("--beta-marginal", 0), ("--beta", 2, "--beta-marginal", 2)):
            run("sample", self.model, "--count", 5, *options, "--out", self.dir / "no.h5", expect=BAD_CONFIG)
        told = run_json("sample", self.model, "--count", 5, "--beta", 2, "--clamp", "0=1,2-3=0", "--out", self.dir / "yes.h5")
        self.assertEqual((told["beta"], told["clamp"]), (2, "0=1,2-3=0"))
        with h5py.File(self.dir / "yes.h5") as file:
            self.assertEqual(file["diagnostics"].attrs["clamp"], "0=1,2-3=0")


if __name__ == "__main__":
    unittest.main()
