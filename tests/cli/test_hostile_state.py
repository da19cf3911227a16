"""Checkpoints of which one number of the state is another: `resume` goes on, or says what is wrong, and never crashes or hangs."""

import shutil
import unittest

import h5py
import numpy as np

from harness import FULL, CliTest, class_folder, run

NUMBERS = (0, 1, -1, 3, 2**40, 2.0**63, float("nan"), float("inf"), -0.5) if FULL else (0, -1, 2**40, float("nan"))
ENDS = (0, 65, 70, 78)
RUNS = {
    "tempered": ["--model", "bernoulli-rbm", "--hidden", 6, "--metric", "sample", "--rungs", 3, "--ensembles", 3],
    "trajectory": ["--model", "bernoulli-rbm", "--hidden", 6, "--trainer", "sml-ptt"],
    "deep": ["--model", "dbm", "--hidden", "5,4", "--metric", "kfac"],
    "adam": ["--model", "binary-ssrbm", "--hidden", 4, "--optimizer", "adam"],
}


class HostileState(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = class_folder(cls)
        x = (np.random.default_rng(3).random((40, 8)) < 0.4).astype("u1")
        np.savez(cls.folder / "x.npz", train_x=x, valid_x=x[:9])
        for name, words in RUNS.items():
            run("train", "--data", cls.folder / "x.npz", *words, "--updates", 24, "--batch", 20, "--schedule", "constant", "--report-every", 8, "--threads", 1,
                "--validate-every", 12, "--out", cls.folder / name)

    def resumed(self, name, change):
        """The exit code of going on from a copy of a run whose checkpoint was changed."""
        copy = self.dir / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder / name, copy)
        with h5py.File(copy / "checkpoint.h5", "r+") as file:
            change(file)
        run("resume", copy, "--updates", 26, "--threads", 1, "--quiet", expect=ENDS, timeout=60)

    def test_every_attribute_of_the_state(self):
        tried = 0
        for name in RUNS:
            places = []
            with h5py.File(self.folder / name / "checkpoint.h5") as file:
                def look(path, item):
                    places.extend((path, key) for key, value in item.attrs.items() if np.asarray(value).dtype.kind in "iuf" and np.ndim(value) == 0)
                file["state"].visititems(look)
                look("", file["state"])
            for path, key in places:
                for number in NUMBERS:
                    def change(file):
                        group = file["state"][path] if path else file["state"]
                        kind = group.attrs[key].dtype
                        del group.attrs[key]
                        group.attrs[key] = kind.type(number) if np.isfinite(number) and abs(number) < 2**62 and number == int(number) else float(number)
                    with self.subTest(run=name, attribute=f"{path}@{key}", number=number):
                        self.resumed(name, change)
                        tried += 1
        self.assertGreater(tried, 100)

    def test_whole_numbers_of_every_dataset(self):
        for name in RUNS:
            places = []
            with h5py.File(self.folder / name / "checkpoint.h5") as file:
                file["state"].visititems(lambda path, item: places.append(path) if isinstance(item, h5py.Dataset) and item.dtype.kind in "iu" and item.size else None)
            for path in places:
                for number in (0, 2**31, 2**64 - 1):
                    def change(file):
                        values = file["state"][path][...]
                        values.flat[-1] = values.dtype.type(number % 2**(8 * values.dtype.itemsize))
                        file["state"][path][...] = values
                    with self.subTest(run=name, dataset=path, number=number):
                        self.resumed(name, change)


if __name__ == "__main__":
    unittest.main()
