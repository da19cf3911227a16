"""What `tempera features` writes, and the shapes of pictures."""

import shutil
import unittest

import h5py
import numpy as np

from harness import (BAD_CONFIG, BAD_DATA, NO_INPUT, QUICK, USAGE, CliTest, check_finite_params, class_folder,
                     datasets, png_size, random_rbm, run, train_args)


class PicturesAndFilters(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = class_folder(cls)
        cls.rbm = random_rbm(2, 16, 5)
        cls.model = cls.rbm.write(cls.folder / "model.h5")
        cls.run_dir = cls.folder / "run"
        run(*train_args("digits", cls.run_dir, "--binarize", "threshold", hidden=8, updates=900))

    def aspect(self, *args):
        """width / height of the picture that a command writes."""
        picture = self.dir / "picture.png"
        run(*args, picture)
        width, height = png_size(picture)
        return width / height

    def test_shape_of_a_sample(self):
        picture = [self.aspect("sample", self.model, "--count", 1, "--sweeps", 1, "--shape", shape, "--png")
                   for shape in ("2x8", "4x4", "8x2")]
        self.assertGreater(picture[0], picture[1])
        self.assertGreater(picture[1], picture[2])
        row = self.aspect("sample", self.model, "--count", 1, "--sweeps", 1, "--png")
        self.assertGreater(row, picture[0])

    def test_shape_of_a_filter(self):
        one = random_rbm(2, 16, 1).write(self.dir / "one.h5")
        picture = [self.aspect("features", one, "--shape", shape, "--out") for shape in ("2x8", "4x4", "8x2")]
        self.assertGreater(picture[0], picture[1])
        self.assertGreater(picture[1], picture[2])

    def test_a_shape_that_does_not_fit(self):
        for shape in ("3x5", "0x0", "-4x-4", "16", "4x", "4x4x1", "axb", "4294967296x4294967296",
                      "99999999999999999999x1"):
            with self.subTest(shape=shape):
                self.fails((USAGE, BAD_CONFIG), "features", self.model, f"--shape={shape}", "--out",
                           self.dir / "f.png", mentions=["shape"], timeout=QUICK)
        self.fails((USAGE, BAD_CONFIG), "sample", self.model, "--count", 1, "--sweeps", 1, "--shape", "3x5", "--png",
                   self.dir / "s.png", mentions=["shape"], timeout=QUICK)

    def filters(self, model, *more):
        """The datasets of a file of features."""
        run("features", model, "--out", self.dir / "f.h5", *more)
        return datasets(self.dir / "f.h5")

    def test_filters_are_the_weights_transposed(self):
        for model, path in ((self.model, self.model), (self.run_dir, self.run_dir / "checkpoint.h5")):
            with self.subTest(model=model.name):
                weights = check_finite_params(path)["weights"]
                filters = self.filters(model)["features/filters"]
                self.assertEqual(filters.shape, weights.T.shape)
                np.testing.assert_array_equal(filters, weights.T)

    def test_planted_a_wrong_weight_is_seen(self):
        fault = self.dir / "fault.h5"
        shutil.copy(self.model, fault)
        with h5py.File(fault, "a") as file:
            file["model/params/weights"][3, 2] += 0.5
        wrong = self.filters(fault)["features/filters"] != self.filters(self.model)["features/filters"]
        self.assertEqual(wrong.sum(), 1)

    def test_norms(self):
        found = self.filters(self.model)
        np.testing.assert_allclose(found["features/norm"], np.linalg.norm(found["features/filters"], axis=1), rtol=1e-5)

    def test_usage_on_a_checkpoint(self):
        """The mean of every hidden unit over the training data, by NumPy."""
        run("data", "digits", "--binarize", "threshold", "--out", self.dir / "bin.h5")
        cases = datasets(self.dir / "bin.h5")["train/x"].astype(float)
        checkpoint = self.run_dir / "checkpoint.h5"
        params = check_finite_params(checkpoint)
        for model in (self.run_dir, checkpoint):
            with self.subTest(model=model.name):
                found = self.filters(model, "--sort", "usage")
                self.assertIn("features/usage", found)
                usage = (1 / (1 + np.exp(-(cases @ found["features/filters"].T.astype(float)
                                           + params["hidden_bias"])))).mean(axis=0)
                np.testing.assert_allclose(found["features/usage"], usage, atol=0.02)
        run("features", self.run_dir, "--sort", "usage", "--out", self.dir / "f.png")
        png_size(self.dir / "f.png")

    def test_usage_needs_to_know_it(self):
        result = run("features", self.model, "--sort", "usage", "--out", self.dir / "f.png", "--quiet",
                     expect=(USAGE, BAD_DATA, NO_INPUT, BAD_CONFIG))
        self.assertFalse((self.dir / "f.png").exists())
        self.assertIn("usage", result.stderr)


if __name__ == "__main__":
    unittest.main()
