"""Where `tempera sample` starts its chains."""

import unittest

from harness import (BAD_CONFIG, NO_INPUT, USAGE, CliTest, datasets, random_bits, random_rbm, run, train_args,
                     write_data)


class StartOfSamples(CliTest):
    def setUp(self):
        super().setUp()
        self.model = random_rbm(1, 16, 5).write(self.dir / "model.h5")
        self.cases = random_bits(7, 12, 16)
        self.data = write_data(self.dir / "data.h5", train=self.cases)

    def rows(self, *more, sweeps=0):
        """The samples, as a set of rows."""
        run("sample", self.model, "--count", 40, "--sweeps", sweeps, "--out", self.dir / "s.h5", *more)
        samples = datasets(self.dir / "s.h5")["samples/visible"]
        self.assertEqual(samples.shape, (40, 16))
        return {tuple(row) for row in samples}

    def test_no_sweep_leaves_the_data(self):
        data = {tuple(row) for row in self.cases}
        found = self.rows("--start", "data", "--data", self.data)
        self.assertLessEqual(found, data)
        self.assertGreater(len(found), 1)

    def test_planted_a_sweep_leaves_the_data_behind(self):
        data = {tuple(row) for row in self.cases}
        self.assertFalse(self.rows("--start", "data", "--data", self.data, sweeps=5) <= data)
        self.assertFalse(self.rows("--start", "reference") <= data)

    def test_a_run_knows_its_data(self):
        run(*train_args(self.data, self.dir / "run", updates=5))
        run("sample", self.dir / "run", "--start", "data", "--count", 20, "--sweeps", 0, "--out", self.dir / "s.h5")
        found = {tuple(row) for row in datasets(self.dir / "s.h5")["samples/visible"]}
        self.assertLessEqual(found, {tuple(row) for row in self.cases})

    def test_a_model_file_needs_data(self):
        self.fails((USAGE, NO_INPUT, BAD_CONFIG), "sample", self.model, "--start", "data", "--count", 2, "--sweeps", 0,
                   "--out", self.dir / "s.h5", mentions=["--data"])


if __name__ == "__main__":
    unittest.main()
