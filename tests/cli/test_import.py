"""Models of other toolkits: their energies, written down in numpy, give the likelihood that `tempera` gives."""

import unittest

import h5py
import numpy as np

from harness import (CliTest, Rbm, as_stored, datasets, log_partition, log_sum_exp, mean_log_likelihood, random_bits,
                     random_rbm, run, run_json, write_data)

N_VISIBLE, N_HIDDEN = 6, 5


def states(n, values):
    """Every state of n units that take one of two values."""
    return np.array(values)[(np.arange(2 ** n)[:, None] >> np.arange(n)) & 1].astype(float)


def text(file, name, value, kind):
    """A string as Julia and Python write it: of fixed or variable length, as a dataset or as an attribute."""
    if kind == "variable":
        file[name] = value
    elif kind == "fixed":
        file[name] = np.bytes_(value)
    else:
        file.attrs[name] = value


class Import(CliTest):
    def setUp(self):
        super().setUp()
        self.cases = random_bits(4, 30, N_VISIBLE)
        self.data = write_data(self.dir / "data.h5", test=self.cases)

    def check(self, path, expected, more=()):
        """Directly and by way of a converted file: the exact mean log-likelihood."""
        converted = self.dir / "converted.h5"
        told = run_json("import", path, "--out", converted, *more)
        self.assertEqual((told["n_visible"], told["n_hidden"]), (N_VISIBLE, N_HIDDEN))
        for model in (path, converted) if not more else (converted,):
            found = run_json("loglik", model, "--data", self.data, "--method", "exact")
            self.assertAlmostEqual(found["log_likelihood"], expected, delta=1e-5)
        self.assertIn(str(N_HIDDEN), run("info", path).stdout)
        return told, found

    def rbms(self, name, rbm, updates, dtype="f4", params=True, kind="BBRBM"):
        path = self.dir / name
        with h5py.File(path, "w") as file:
            file["model_type"] = kind
            for n, machine in updates.items():
                group = file.create_group(f"update_{n}/params" if params else f"update_{n}")
                group["weight_matrix"] = machine.weights.astype(dtype)
                group["vbias"] = machine.visible_bias.astype(dtype)
                group["hbias"] = machine.hidden_bias.astype(dtype)
            file["hyperparameters"] = np.arange(3)
        return path

    def test_rbms(self):
        first, last = random_rbm(1, N_VISIBLE, N_HIDDEN), random_rbm(2, N_VISIBLE, N_HIDDEN)
        for dtype in ("f2", "f4", "f8"):
            for params in (True, False):
                with self.subTest(dtype=dtype, params=params):
                    path = self.rbms("rbms.h5", last, {9: first, 100: last}, dtype, params)
                    rounded = [Rbm(*(x.astype(dtype).astype(float) for x in (m.weights, m.visible_bias, m.hidden_bias)))
                               for m in (first, last)]
                    told, _ = self.check(path, mean_log_likelihood(as_stored(rounded[1]), self.cases))
                    self.assertEqual((told["format"], told["log_partition_offset"]), ("rbms", 0))
                    self.check(path, mean_log_likelihood(as_stored(rounded[0]), self.cases), ("--update", 9))

    def test_what_rbms_cannot_be_is_refused_by_name(self):
        rbm = random_rbm(1, N_VISIBLE, N_HIDDEN)
        path = self.rbms("potts.h5", rbm, {1: rbm}, kind="PBRBM")
        self.fails(65, "import", path, "--out", self.dir / "m.h5", mentions=["PBRBM", "weight_matrix"])
        path = self.rbms("gaussian.h5", random_rbm(1, N_VISIBLE, N_HIDDEN), {1: random_rbm(1, N_VISIBLE, N_HIDDEN)}, kind="BGRBM")
        self.fails(65, "import", path, "--out", self.dir / "m.h5", mentions=["BGRBM"])
        path = self.rbms("good.h5", rbm, {1: rbm})
        self.fails(65, "import", path, "--out", self.dir / "m.h5", "--update", 7, mentions=["update_7"])
        with h5py.File(path, "r+") as file:
            del file["update_1/params/vbias"]
            file["update_1/params/vbias"] = np.zeros(3)
        self.fails(65, "loglik", path, "--method", "exact", mentions=["vbias"])

    def julia(self, visible, hidden, kind, strings):
        """A file as RestrictedBoltzmannMachines.jl writes it, layers of 2 x 3 and of 5 units, and its mean log-likelihood."""
        rng = np.random.default_rng(100 * len(visible) + 10 * len(hidden) + len(kind))
        w = rng.normal(0, 1, (N_VISIBLE, N_HIDDEN))
        theta_v, theta_h = rng.normal(0, 1, N_VISIBLE), rng.normal(0, 1, N_HIDDEN)
        offset_v, offset_h = rng.normal(0, 1, N_VISIBLE), rng.normal(0, 1, N_HIDDEN)
        scale_v, scale_h = rng.uniform(0.5, 2, N_VISIBLE), rng.uniform(0.5, 2, N_HIDDEN)
        path = self.dir / "julia.h5"
        with h5py.File(path, "w") as file:
            text(file, "rbm_hdf5_file_format_version", "1.0.0", strings)
            text(file, "rbm_type", kind, strings)
            text(file, "visible_type", visible, strings)
            text(file, "hidden_type", hidden, strings)
            # Julia's axes are (visible 2, 3, hidden 5), column-major: reversed in C order.
            file["weights"] = w.T.reshape(N_HIDDEN, 3, 2)
            file["visible_par"], file["hidden_par"] = theta_v.reshape(3, 2, 1), theta_h.reshape(N_HIDDEN, 1)
            if kind != "RBM":
                file["offset_v"], file["offset_h"] = offset_v.reshape(3, 2), offset_h
            if kind == "StandardizedRBM":
                file["scale_v"], file["scale_h"] = scale_v.reshape(3, 2), scale_h
        if kind == "RBM":
            offset_v, offset_h = np.zeros(N_VISIBLE), np.zeros(N_HIDDEN)
        if kind != "StandardizedRBM":
            scale_v, scale_h = np.ones(N_VISIBLE), np.ones(N_HIDDEN)
        values = {"Binary": (0, 1), "Spin": (-1, 1)}
        h = states(N_HIDDEN, values[hidden])

        def log_weight(v):
            """log sum_h exp(-E), by the definition."""
            inner = ((v - offset_v) / scale_v) @ w @ ((h - offset_h) / scale_h).T
            return np.array([log_sum_exp(row) for row in (v @ theta_v)[:, None] + (h @ theta_h)[None] + inner])

        v = states(N_VISIBLE, values[visible])
        log_z = log_sum_exp(log_weight(v))
        cases = np.array(values[visible])[self.cases.astype(int)].astype(float)
        return path, (log_weight(cases) - log_z).mean(), log_z

    def test_restricted_boltzmann_machines_jl(self):
        strings = ("variable", "fixed", "attribute")
        for number, (visible, hidden, kind) in enumerate((v, h, k) for v in ("Binary", "Spin") for h in ("Binary", "Spin")
                                                         for k in ("RBM", "CenteredRBM", "StandardizedRBM")):
            with self.subTest(visible=visible, hidden=hidden, kind=kind):
                path, expected, log_z = self.julia(visible, hidden, kind, strings[number % 3])
                told, found = self.check(path, expected)
                self.assertAlmostEqual(found["log_partition"] + told["log_partition_offset"], log_z, delta=2e-5)

    def test_gaussian_visibles_of_julia(self):
        draw = np.random.default_rng(23)
        for kind in ("RBM", "CenteredRBM", "StandardizedRBM"):
            for hidden, values in (("Binary", (0, 1)), ("Spin", (-1, 1))):
                with self.subTest(kind=kind, hidden=hidden):
                    w, theta = draw.normal(0, 0.5, (N_VISIBLE, N_HIDDEN)), draw.normal(0, 1, N_VISIBLE)
                    gamma = draw.uniform(0.5, 2, N_VISIBLE) * draw.choice([-1, 1], N_VISIBLE)
                    theta_h, offset_v, offset_h = draw.normal(0, 1, N_HIDDEN), draw.normal(0, 1, N_VISIBLE), draw.normal(0, 1, N_HIDDEN)
                    scale_v, scale_h = draw.uniform(0.5, 2, N_VISIBLE), draw.uniform(0.5, 2, N_HIDDEN)
                    path = self.dir / "gaussian.h5"
                    with h5py.File(path, "w") as file:
                        text(file, "rbm_type", kind, "variable")
                        text(file, "visible_type", "Gaussian", "variable")
                        text(file, "hidden_type", hidden, "variable")
                        file["weights"] = w.T.reshape(N_HIDDEN, 3, 2)
                        file["visible_par"], file["hidden_par"] = np.stack([theta, gamma], axis=1).reshape(3, 2, 2), theta_h.reshape(N_HIDDEN, 1)
                        file["offset_v"], file["offset_h"] = offset_v.reshape(3, 2), offset_h
                        file["scale_v"], file["scale_h"] = scale_v.reshape(3, 2), scale_h
                    if kind == "RBM":
                        offset_v, offset_h = 0 * offset_v, 0 * offset_h
                    if kind != "StandardizedRBM":
                        scale_v, scale_h = 1 + 0 * scale_v, 1 + 0 * scale_h
                    h = states(N_HIDDEN, values)
                    inner = w @ ((h - offset_h) / scale_h).T / scale_v[:, None]  # (n_visible, states)
                    field = theta[:, None] + inner
                    precision = np.abs(gamma)[:, None]
                    log_z = log_sum_exp(h @ theta_h - offset_v @ inner + (0.5 * field**2 / precision + 0.5 * np.log(2 * np.pi / precision)).sum(axis=0))
                    cases = draw.normal(0, 1.5, (40, N_VISIBLE))
                    logs = [log_sum_exp(v @ theta - 0.5 * v**2 @ np.abs(gamma) + h @ theta_h + (v - offset_v) @ inner) for v in cases]
                    with h5py.File(self.dir / "cases.h5", "w") as file:
                        file["test/x"] = cases
                    told = run_json("import", path, "--out", self.dir / "m.h5")
                    found = run_json("loglik", self.dir / "m.h5", "--data", self.dir / "cases.h5", "--method", "exact")
                    self.assertAlmostEqual(found["log_likelihood"], np.mean(logs) - log_z, delta=1e-4)
                    self.assertAlmostEqual(found["log_partition"] + told["log_partition_offset"], log_z, delta=1e-4)
        with h5py.File(path, "r+") as file:
            file["visible_par"][0, 0, 1] = 1e-60
        self.fails(65, "import", path, "--out", self.dir / "m.h5", mentions=["visible_par", "gamma"])

    def test_layers_that_are_not_binary_are_refused_by_name(self):
        for kind in ("Gaussian", "Potts", "ReLU"):
            with self.subTest(kind=kind):
                path, _, _ = self.julia("Binary", "Binary", "RBM", "variable")
                with h5py.File(path, "r+") as file:
                    del file["hidden_type"]
                    file["hidden_type"] = kind
                self.fails(65, "import", path, "--out", self.dir / "m.h5", mentions=["hidden_type", kind])

    def test_numpy(self):
        rbm = random_rbm(7, N_VISIBLE, N_HIDDEN)
        expected = mean_log_likelihood(as_stored(rbm), self.cases)
        np.savez(self.dir / "sklearn.npz", components_=rbm.weights.T, intercept_hidden_=rbm.hidden_bias,
                 intercept_visible_=rbm.visible_bias)
        self.assertEqual(self.check(self.dir / "sklearn.npz", expected)[0]["format"], "scikit-learn")
        np.savez_compressed(self.dir / "plain.npz", W=rbm.weights, a=rbm.visible_bias, b=rbm.hidden_bias.astype("f4"))
        self.assertEqual(self.check(self.dir / "plain.npz", expected)[0]["format"], "numpy")
        for name, array in (("W", rbm.weights), ("a", rbm.visible_bias), ("b", rbm.hidden_bias)):
            np.save(self.dir / f"{name}.npy", array)
        self.check(self.dir / "W.npy", expected)

    def test_numpy_that_lacks_something_is_refused(self):
        rbm = random_rbm(7, N_VISIBLE, N_HIDDEN)
        np.savez(self.dir / "short.npz", W=rbm.weights, a=rbm.visible_bias)
        self.fails(65, "import", self.dir / "short.npz", "--out", self.dir / "m.h5", mentions=["'b'"])
        np.savez(self.dir / "wrong.npz", W=rbm.weights, a=rbm.hidden_bias, b=rbm.visible_bias)
        self.fails(65, "import", self.dir / "wrong.npz", "--out", self.dir / "m.h5", mentions=["'a'"])
        np.savez(self.dir / "more.npz", W=rbm.weights, a=rbm.visible_bias, b=rbm.hidden_bias, name="hello", seed=3)
        run("import", self.dir / "more.npz", "--out", self.dir / "more.h5")
        huge = Rbm(rbm.weights * 1e300, rbm.visible_bias, rbm.hidden_bias)
        self.fails(65, "import", self.rbms("huge.h5", huge, {1: huge}, "f8"), "--out", self.dir / "m.h5", mentions=["finite", "weights"])
        np.savez(self.dir / "nan.npz", W=rbm.weights * np.nan, a=rbm.visible_bias, b=rbm.hidden_bias)
        self.fails(65, "import", self.dir / "nan.npz", "--out", self.dir / "m.h5", mentions=["finite"])
        (self.dir / "junk.npz").write_bytes(b"PK nothing")
        self.fails(65, "import", self.dir / "junk.npz", "--out", self.dir / "m.h5")
        self.fails(66, "import", self.dir / "absent.h5", "--out", self.dir / "m.h5")
        self.fails(65, "import", self.data, "--out", self.dir / "m.h5", mentions=["expected a model"])

    def test_a_converted_model_is_like_any_other(self):
        rbm = random_rbm(8, N_VISIBLE, N_HIDDEN, largest=1.0)
        np.savez(self.dir / "m.npz", W=rbm.weights, a=rbm.visible_bias, b=rbm.hidden_bias)
        run("import", self.dir / "m.npz", "--out", self.dir / "m.h5")
        with h5py.File(self.dir / "m.h5") as file:
            self.assertEqual((file.attrs["content"], file["model"].attrs["kind"], file["model"].attrs["converted_from"]),
                             ("model", "bernoulli-rbm", "numpy"))
        run("sample", self.dir / "m.npz", "--count", 50, "--sweeps", 20, "--out", self.dir / "s.h5")
        self.assertEqual(datasets(self.dir / "s.h5")["samples/visible"].shape, (50, N_VISIBLE))
        table = run_json("loglik", self.dir / "m.npz", "--method", "all", "--rounds", 100, "--betas", 100)["estimates"]
        self.assertIn("mode-ais", [row["method"] for row in table])
        self.fails(64, "loglik", self.dir / "m.npz", "--method", "tracked", mentions=["tracker"])
        run("sample", self.dir / "m.npz", "--count", 50, "--ladder", "temperature", "--out", self.dir / "s.h5")
        found = run_json("loglik", self.dir / "m.npz", "--method", "bar", "--rounds", 300)
        self.assertLess(abs(found["log_partition"] - log_partition(as_stored(rbm))), 4 * found["log_partition_se"])


if __name__ == "__main__":
    unittest.main()
