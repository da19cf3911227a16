"""One small machine of each family through train, resume, loglik, sample, features and encode: short enough for a build with sanitizers."""

import unittest

import h5py
import numpy as np

from harness import CliTest, check_finite_params, datasets, differences, png_size, run, run_json, train_args

FAMILIES = {  # hidden units and options of each
    "bernoulli-rbm": [4],
    "potts-rbm": [4],
    "dbm": ["4,3"],
    "gaussian-rbm": [3],
    "ssrbm": [3, "--slabs", 2],
    "sparse-ssrbm": [3],
    "bilinear-ssrbm": ["2,2", "--gate"],
    "binary-ssrbm": [3],
    "binary-bilinear-ssrbm": ["2,2"],
}
REAL = ("gaussian-rbm", "ssrbm", "sparse-ssrbm", "bilinear-ssrbm")
N_VISIBLE = 6


class Families(CliTest):
    def data(self, kind):
        """64 cases of 6 values that suit the family."""
        draw = np.random.default_rng(1)
        cases = draw.normal(size=(64, N_VISIBLE)) if kind in REAL else draw.integers(0, 2, (64, N_VISIBLE))
        if kind.startswith("sparse"):
            cases[draw.random(cases.shape) < 0.5] = 0
        path = self.dir / f"{kind}.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = cases.astype("f4" if kind in REAL else "u1")
            if kind == "potts-rbm":
                file["train/x"][:] = draw.integers(0, 3, cases.shape)
                file.attrs["alphabet"] = "XYZ"
        return path

    def train(self, kind, name, *more, **changed):
        """The folder of a short run."""
        hidden, *options = FAMILIES[kind]
        short = {"hidden": hidden, "updates": 6, "batch": 16, **changed}
        run(*train_args(self.data(kind), self.dir / name, "--model", kind, *options, "--chains", 16, "--report-every", 3,
                        "--quiet", *more, **short))
        return self.dir / name

    def test_a_run_that_is_resumed_is_the_same(self):
        for kind in FAMILIES:
            with self.subTest(kind):
                whole, parts = self.train(kind, f"{kind}-whole"), self.train(kind, f"{kind}-parts", updates=3)
                run("resume", parts, "--updates", 6, "--quiet")
                self.assertEqual(differences(whole / "checkpoint.h5", parts / "checkpoint.h5"), [])
                check_finite_params(whole / "checkpoint.h5")

    def test_planted_another_seed_is_seen(self):
        first, second = self.train("ssrbm", "first"), self.train("ssrbm", "second", seed=2)
        self.assertNotEqual(differences(first / "checkpoint.h5", second / "checkpoint.h5"), [])

    def test_ladders_train(self):
        for kind in FAMILIES:
            with self.subTest(kind):
                check_finite_params(self.train(kind, kind, "--rungs", 3, trainer="sml-apt") / "checkpoint.h5")

    def test_estimates_agree_with_enumeration(self):
        for kind in FAMILIES:
            with self.subTest(kind):
                path = self.train(kind, kind)
                exact = run_json("loglik", path, "--method", "exact")["log_partition"]
                told = run_json("loglik", path, "--method", "ais", "--betas", 100, "--chains", 32)
                self.assertLess(abs(told["log_partition"] - exact), 5 * told["log_partition_se"] + 1e-3)

    def test_samples_codes_and_pictures(self):
        for kind in FAMILIES:
            with self.subTest(kind):
                path = self.train(kind, kind)
                run("sample", path, "--count", 10, "--sweeps", 3, "--out", self.dir / "samples.h5", "--quiet")
                samples = datasets(self.dir / "samples.h5")["samples/visible"]
                self.assertEqual(samples.shape, (10, N_VISIBLE))
                self.assertTrue(np.isfinite(samples.astype(float)).all())
                run("features", path, "--out", self.dir / "features.png", "--quiet")
                png_size(self.dir / "features.png")
                run_json("info", path)
                if "ssrbm" in kind:
                    run("encode", path, "--data", self.data(kind), "--out", self.dir / "codes.h5", "--quiet")
                    with h5py.File(self.dir / "codes.h5") as file:
                        for name, codes in file["train"].items():
                            self.assertTrue(np.isfinite(codes[...]).all(), name)


if __name__ == "__main__":
    unittest.main()
