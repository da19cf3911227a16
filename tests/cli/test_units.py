"""Units and offsets of real values: a machine learns the same whatever its data are measured in."""

import unittest

import h5py
import numpy as np

from harness import CliTest, run, run_json

UPDATES = 300


def clouds(rows, seed):
    """Two clouds in four columns; float64, since an offset would take digits of float32."""
    random = np.random.default_rng(seed)
    centres = np.array([[2.0, -1.0, 0.5, 0.0], [-2.0, 1.0, 0.5, 1.0]])
    return centres[random.integers(2, size=rows)] + 0.7 * random.normal(size=(rows, 4))


class Units(CliTest):
    def trained(self, name, data, *words, kind="gaussian-rbm"):
        """A run on these values of every split, and its exact log-likelihood on the test split."""
        path, out = self.dir / f"{name}.h5", self.dir / name
        with h5py.File(path, "w") as file:
            for split, part in (("train", data[:600]), ("test", data[600:])):
                file[f"{split}/x"] = part.astype(np.float32)
        run("train", "--data", path, "--model", kind, "--hidden", 4, "--updates", UPDATES, "--threads", 1, *words, "--out", out, "--quiet")
        return path, out, run_json("loglik", out, "--data", path, "--method", "exact", "--quiet")["log_likelihood"]

    def test_scales_by_powers_of_two_give_the_same_bytes(self):
        data = clouds(900, 1)
        scales = np.array([4.0, 0.25, 1024.0, 1.0])
        for words in (["--optimizer", "sgd"], ["--optimizer", "adam"], ["--metric", "sample"]):
            with self.subTest(words=words):
                _, first, here = self.trained("first-" + words[1], data, *words)
                _, second, there = self.trained("second-" + words[1], data.astype(np.float32) * scales, *words)
                with h5py.File(first / "checkpoint.h5") as a, h5py.File(second / "checkpoint.h5") as b:
                    for field in a["state/theta"]:
                        np.testing.assert_array_equal(a[f"state/theta/{field}"][...], b[f"state/theta/{field}"][...])
                    np.testing.assert_allclose(a["model/params/weights"][...] / scales[:, None], b["model/params/weights"][...], rtol=1e-12)
                self.assertAlmostEqual(here, there + np.log(scales).sum(), places=6)

    def test_other_scales_and_offsets_change_the_likelihood_by_the_change_of_units(self):
        data = clouds(900, 2)
        one = np.array([1.0, 1e6, 1.0, 1.0])
        for kind in ("gaussian-rbm", "ssrbm", "sparse-ssrbm"):
            _, _, here = self.trained(kind, data, kind=kind)
            for name, scale, offset in (("small", 0.01 * np.ones(4), 0), ("large", 1000 * np.ones(4), 0), ("one", one, 0), ("offset", np.ones(4), 1000)):
                if kind == "sparse-ssrbm" and offset:
                    continue  # exact zeros have no other origin
                with self.subTest(kind=kind, change=name):
                    path, out, there = self.trained(f"{kind}-{name}", data * scale + offset, kind=kind)
                    self.assertAlmostEqual(here, there + np.log(scale).sum(), delta=0.03)
                    # Samples have the data's units.
                    run("sample", out, "--count", 512, "--sweeps", 100, "--out", self.dir / "s.h5", "--quiet")
                    with h5py.File(self.dir / "s.h5") as file:
                        drawn = file["samples/visible"][...].astype(float)
                    spread = (data * scale).std(0)
                    np.testing.assert_allclose((drawn.mean(0) - data.mean(0) * scale - offset) / spread, 0, atol=0.5)
                    np.testing.assert_allclose(drawn.std(0) / spread, 1, atol=0.5)

    def test_a_box_becomes_a_bound_of_each_column(self):
        data = np.clip(clouds(900, 5), -3, 3)
        spread = np.array([1.0, 1.0, 16.0, 1.0])  # a column of another size in the same box
        for kind in ("gaussian-rbm", "ssrbm"):
            with self.subTest(kind=kind):
                _, small = self.boxed("small-" + kind, data * spread, 64, kind)
                path, large = self.boxed("large-" + kind, data * spread * 8, 512, kind)
                for out, box in ((small, 64), (large, 512)):
                    run("sample", out, "--count", 256, "--sweeps", 50, "--seed", 1, "--out", out / "s.h5", "--quiet")
                    with h5py.File(out / "checkpoint.h5") as file:
                        self.assertEqual(file["model"].attrs["box"], box)
                        self.assertEqual(file["model/standardisation/centre"][...].tolist(), [0, 0, 0, 0])
                        np.testing.assert_allclose(file["model/standardisation/scale"][2] / file["model/standardisation/scale"][0], 16 * 0.3, rtol=0.3)
                with h5py.File(small / "checkpoint.h5") as a, h5py.File(large / "checkpoint.h5") as b:
                    for field in a["state/theta"]:
                        np.testing.assert_array_equal(a[f"state/theta/{field}"][...], b[f"state/theta/{field}"][...])
                with h5py.File(small / "s.h5") as a, h5py.File(large / "s.h5") as b:
                    np.testing.assert_array_equal(a["samples/visible"][...] * 8, b["samples/visible"][...])
                    self.assertLessEqual(abs(b["samples/visible"][...]).max(), 512)
                # Every estimate is of the density in the data's units.
                words = ("--method", "bar", "--seed", 3, "--quiet")
                here = run_json("loglik", small, "--data", self.dir / f"small-{kind}.h5", *words)
                there = run_json("loglik", large, "--data", path, *words)
                self.assertAlmostEqual(here["log_likelihood"], there["log_likelihood"] + 4 * np.log(8), delta=1e-6)
        # A wall that cuts the data: with it the machine has the mass that a normal law has within.
        walls = np.clip(np.random.default_rng(6).normal(size=(900, 4)) * [1, 1, 1, 100], -150, 150)
        _, out = self.boxed("walls", walls, 150, "gaussian-rbm", "--init", 1e-6, "--lr", 1e-6)
        run("sample", out, "--count", 4096, "--sweeps", 2, "--out", out / "s.h5", "--quiet")
        with h5py.File(out / "s.h5") as file:
            drawn = file["samples/visible"][...].astype(float)
        self.assertLessEqual(abs(drawn).max(), 150)
        self.assertGreater(abs(drawn[:, 3]).max(), 140)
        self.assertLess(abs(drawn[:, 3]).std(), 60)

    def boxed(self, name, data, box, kind, *words):
        path, out = self.dir / f"{name}.h5", self.dir / name
        with h5py.File(path, "w") as file:
            for split, part in (("train", data[:600]), ("test", data[600:])):
                file[f"{split}/x"] = part.astype(np.float32)
        run("train", "--data", path, "--model", kind, "--hidden", 3, "--box", box, "--updates", 200, "--threads", 1, *words, "--out", out, "--quiet")
        return path, out

    def test_files_hold_the_machine_of_the_datas_units(self):
        path, out, _ = self.trained("run", clouds(900, 3) * 30 + 1000)
        run("score", out, "--data", path, "--out", self.dir / "scores.h5", "--quiet")
        with h5py.File(self.dir / "scores.h5") as scores, h5py.File(out / "checkpoint.h5") as file, h5py.File(path) as data:
            params = {name: array[...].astype(float) for name, array in file["model/params"].items()}
            self.assertEqual(file["model/params/weights"].dtype, np.float64)
            x = data["test/x"][...].astype(float)
            energies = (0.5 * x ** 2 @ params["visible_precision"] - x @ params["visible_bias"]
                        - np.logaddexp(0, x @ params["weights"] + params["hidden_bias"]).sum(1))
            np.testing.assert_allclose(scores["scores/free_energy"][...], energies, atol=1e-4)
            stored = file["log_partition"].attrs["value"]
            # Another reader sees the raw machine alone.
            with h5py.File(self.dir / "raw.h5", "w") as raw:
                raw.create_group("model").attrs["kind"] = "gaussian-rbm"
                for name in params:
                    raw[f"model/params/{name}"] = params[name]
        self.assertAlmostEqual(run_json("loglik", out, "--method", "exact", "--quiet")["log_partition"], stored, places=6)
        # The raw machine in single precision: 1000 / 30 deviations from its origin.
        raw = run_json("loglik", self.dir / "raw.h5", "--method", "exact", "--quiet")["log_partition"]
        self.assertLess(abs(raw - stored), 1e-5 * abs(stored) + 1)

    def test_a_run_goes_on_in_its_own_coordinates(self):
        path, whole, _ = self.trained("whole", clouds(900, 4) * 5 + 20, "--schedule", "inverse", kind="ssrbm")
        parts = self.dir / "parts"
        run("train", "--data", path, "--model", "ssrbm", "--hidden", 4, "--updates", 100, "--schedule", "inverse", "--threads", 1, "--out", parts,
            "--quiet")
        run("resume", parts, "--updates", UPDATES, "--threads", 1, "--quiet")
        with h5py.File(whole / "checkpoint.h5") as a, h5py.File(parts / "checkpoint.h5") as b:
            for field in a["state/theta"]:
                np.testing.assert_array_equal(a[f"state/theta/{field}"][...], b[f"state/theta/{field}"][...])
            np.testing.assert_array_equal(a["model/standardisation/scale"][...], b["model/standardisation/scale"][...])
            self.assertGreater(a["model/preprocessing/mean"][...].min(), 5)


if __name__ == "__main__":
    unittest.main()
