"""What the options promise: early stopping, clipping, decay, history, binarisation, splits, refusals, safe output."""

import json
import os
import shutil
import stat
import struct
import subprocess
import time
import unittest
import zipfile

import h5py
import numpy as np

from harness import (CliTest, check_finite_params, class_folder, command_line, compare_datasets, datasets, differences,
                     error_lines, fill_disk, mount_small_disk, png_size, random_bits, random_rbm, read_metrics, run,
                     run_json, start, write_data)

USAGE, BAD_DATA, NO_INPUT, INTERNAL, CANNOT_WRITE, BAD_CONFIG = 64, 65, 66, 70, 74, 78

COMMANDS = ("train", "resume", "loglik", "sample", "features", "info", "data")
FIELDS = ("weights", "visible_bias", "hidden_bias")
QUICK = 20  # seconds that a refusal may take on a busy machine


def train_args(data, out, *more, hidden=6, trainer="sml", updates=60, batch=50, seed=1):
    """A short training run; an option that is in `more` takes the place of the one here: none may be given twice."""
    given = {"--data": data, "--hidden": hidden, "--trainer": trainer, "--batch": batch, "--updates": updates,
             "--seed": seed, "--out": out}
    return ("train", *(part for option, value in given.items() if option not in more for part in (option, value)),
            *more)


def state(path):
    """The attributes of /state of a checkpoint."""
    with h5py.File(path, "r") as file:
        return dict(file["state"].attrs)


def history(run_dir):
    """The names of everything in checkpoints/."""
    return {path.name for path in (run_dir / "checkpoints").iterdir()}


def small_digits(path, n_train=60, n_valid=100):
    """A few thresholded digits: a model of 14 hidden units soon overfits them. Returns the path."""
    whole = path.with_name("all-digits.h5")
    run("data", "digits", "--binarize", "threshold", "--out", whole)
    cases = datasets(whole)
    whole.unlink()
    return write_data(path, train=cases["train/x"][:n_train], valid=cases["valid/x"][:n_valid],
                      test=cases["test/x"][:n_valid])


def overfit_args(data, out, *more, updates=3000, validate_every=20):
    """A run that overfits: few cases, many hidden units, a high and constant rate."""
    return train_args(data, out, "--lr", 1, "--schedule", "constant", "--validate-every", validate_every,
                      "--report-every", 20, "--checkpoint-every", 50, *more, hidden=14, batch=20, updates=updates)


def validations(run_dir):
    """{update: validation log-likelihood} of the rows of metrics.csv that have one."""
    return {int(row["update"]): float(row["validation_log_likelihood"]) for row in read_metrics(run_dir)
            if row["validation_log_likelihood"]}


# ------------------------------------------------------------------------------------------------- training


class EarlyStopping(CliTest):
    UPDATES, PATIENCE = 3000, 3

    @classmethod
    def setUpClass(cls):
        folder = class_folder(cls)
        cls.data = small_digits(folder / "data.h5")
        cls.run_dir = folder / "run"
        run(*overfit_args(cls.data, cls.run_dir, "--patience", cls.PATIENCE, "--keep", 0, updates=cls.UPDATES))

    def best_update(self, run_dir):
        """The update of the highest validation likelihood in metrics.csv."""
        found = validations(run_dir)
        return max(found, key=found.get)

    def test_it_stops_before_the_last_update(self):
        last = int(read_metrics(self.run_dir)[-1]["update"])
        self.assertLess(last, self.UPDATES)
        self.assertEqual(last, self.best_update(self.run_dir) + self.PATIENCE * 20)

    def test_planted_no_patience_goes_to_the_end(self):
        last = int(read_metrics(self.run_dir)[-1]["update"])
        for name, more in (("none", ()), ("long", ("--patience", 100000))):
            with self.subTest(patience=name):
                run(*overfit_args(self.data, self.dir / name, *more, updates=last + 100))
                self.assertEqual(int(read_metrics(self.dir / name)[-1]["update"]), last + 100)
        self.assertEqual(state(self.dir / "none" / "checkpoint.h5")["update"], last + 100)

    def test_the_checkpoint_is_the_best_one(self):
        found = state(self.run_dir / "checkpoint.h5")
        self.assertEqual(found["best_update"], found["update"])
        self.assertEqual(found["update"], self.best_update(self.run_dir))
        self.assertAlmostEqual(found["best_validation"], max(validations(self.run_dir).values()), places=4)

    def test_the_checkpoint_has_the_likelihood_that_was_best(self):
        exact = run_json("loglik", self.run_dir, "--data", self.data, "--split", "valid", "--method", "exact")
        best = read_metrics(self.run_dir)[-1 - self.PATIENCE]
        error = float(best["log_partition_standard_error"])
        self.assertLess(abs(exact["log_likelihood"] - float(best["validation_log_likelihood"])), 5 * error + 1e-3)

    def test_only_the_best_one_stays_when_none_is_kept(self):
        self.assertEqual(history(self.run_dir), {f"{self.best_update(self.run_dir)}.h5"})
        best = self.run_dir / "checkpoints" / f"{self.best_update(self.run_dir)}.h5"
        compare_datasets(best, self.run_dir / "checkpoint.h5")

    def test_a_stopped_run_can_be_resumed(self):
        for name, more in (("same", ()), ("further", ("--updates", self.UPDATES + 500))):
            with self.subTest(resume=name):
                copy = self.dir / name
                shutil.copytree(self.run_dir, copy)
                run("resume", copy, *more)
                check_finite_params(copy / "checkpoint.h5")
                updates = [int(row["update"]) for row in read_metrics(copy)]
                self.assertEqual(updates, sorted(set(updates)))
                found = state(copy / "checkpoint.h5")
                self.assertEqual(found["best_update"], found["update"])
                self.assertEqual(found["update"], self.best_update(copy))

    def test_the_best_one_stays_beside_the_last_ones(self):
        run(*overfit_args(self.data, self.dir / "run", "--patience", 100000, "--keep", 2, updates=600))
        best = self.best_update(self.dir / "run")
        self.assertLess(best, 550, "this run should overfit long before its end")
        self.assertEqual(history(self.dir / "run"), {f"{best}.h5", "550.h5", "600.h5"})


class Metrics(CliTest):
    @classmethod
    def setUpClass(cls):
        folder = class_folder(cls)
        cls.data = small_digits(folder / "data.h5")
        cls.run_dirs = {trainer: folder / trainer for trainer in ("cd", "sml")}
        for trainer, run_dir in cls.run_dirs.items():
            run(*train_args(cls.data, run_dir, "--validate-every", 30, "--report-every", 10, updates=90,
                            trainer=trainer))

    def test_validation_columns_are_filled_at_their_cadence_alone(self):
        for trainer, run_dir in self.run_dirs.items():
            rows = read_metrics(run_dir)
            self.assertEqual([int(row["update"]) for row in rows], list(range(10, 91, 10)))
            names = [name for name in rows[0] if name.startswith(("validation", "log_partition", "effective_fraction"))]
            self.assertIn("validation_log_likelihood", names)
            for row in rows:
                for name in names:
                    with self.subTest(trainer=trainer, update=row["update"], column=name):
                        self.assertEqual(row[name] != "", int(row["update"]) % 30 == 0)

    def test_a_cadence_that_reports_do_not_share(self):
        run(*train_args(self.data, self.dir / "run", "--validate-every", 15, "--report-every", 10, updates=60))
        self.assertEqual(set(validations(self.dir / "run")), {15, 30, 45, 60})
        self.assertLessEqual({10, 20, 30, 40, 50, 60}, {int(row["update"]) for row in read_metrics(self.dir / "run")})

    def test_never_validated_never_filled(self):
        run(*train_args(self.data, self.dir / "run", "--report-every", 10))
        self.assertEqual(validations(self.dir / "run"), {})

    def test_every_other_number_is_finite(self):
        for trainer, run_dir in self.run_dirs.items():
            for row in read_metrics(run_dir):
                for name in ("data_free_energy", "chain_free_energy", "gradient_norm", "step_norm", "learning_rate"):
                    with self.subTest(trainer=trainer, update=row["update"], column=name):
                        self.assertTrue(np.isfinite(float(row[name])), row[name])
                for name, value in row.items():
                    self.assertTrue(value == "" or np.isfinite(float(value)), f"{name} = {value!r}")

    def test_validations_do_not_change_the_training(self):
        run(*train_args(self.data, self.dir / "run", updates=90))
        self.assertNotIn("model/params/weights",
                         differences(self.run_dirs["sml"] / "checkpoint.h5", self.dir / "run" / "checkpoint.h5"))


class Updates(CliTest):
    """Options of one update: each has its effect, and its default given by hand has none."""

    @classmethod
    def setUpClass(cls):
        folder = class_folder(cls)
        cls.data = write_data(folder / "data.h5", train=random_bits(3, 60, 10) | random_bits(4, 60, 1))
        cls.plain = cls.trained(folder / "plain")

    @classmethod
    def trained(cls, out, *more):
        """The folder of a run with these options."""
        given = {"--lr": 0.5, "--schedule": "constant", "--report-every": 1}
        more = (*(part for option, value in given.items() if option not in more for part in (option, value)), *more)
        run(*train_args(cls.data, out, *more, batch=20))
        return out

    def changed(self, *more):
        """The parameters that these options change."""
        out = self.trained(self.dir / "-".join(map(str, more)).strip("-"), *more)
        return differences(self.plain / "checkpoint.h5", out / "checkpoint.h5")

    def weights(self, *more):
        """The weights of a run with these options."""
        out = self.trained(self.dir / "-".join(map(str, more)).strip("-"), *more)
        return check_finite_params(out / "checkpoint.h5")["weights"]

    def test_each_option_has_an_effect(self):
        for more in (("--no-centering",), ("--no-average",), ("--momentum", 0.5), ("--sweeps", 3), ("--l1", 0.01),
                     ("--l2", 0.01), ("--clip", 0.02), ("--init", 0.1), ("--optimizer", "adam"), ("--chains", 64),
                     ("--schedule", "linear"), ("--trainer", "cd")):
            with self.subTest(option=more):
                self.assertIn("model/params/weights", self.changed(*more))

    def test_planted_defaults_have_none(self):
        for more in (("--centering", "--average", "--momentum", 0, "--sweeps", 1, "--l1", 0, "--l2", 0, "--clip", 0,
                      "--init", 0.01, "--optimizer", "sgd", "--chains", 0),
                     ("--clip", 1000), ("--keep", 1), ("--checkpoint-every", 7)):
            with self.subTest(option=more):
                self.assertEqual(self.changed(*more), [])

    def test_momentum_of_adam(self):
        for name, more in (("plain", ()), ("zero", ("--momentum", 0)), ("half", ("--momentum", 0.5))):
            self.trained(self.dir / name, "--optimizer", "adam", "--lr", 0.01, *more)
        paths = {name: self.dir / name / "checkpoint.h5" for name in ("plain", "zero", "half")}
        compare_datasets(paths["plain"], paths["zero"])
        self.assertIn("model/params/weights", differences(paths["plain"], paths["half"]))

    def step_norms(self, run_dir):
        """The step_norm column."""
        return np.array([float(row["step_norm"]) for row in read_metrics(run_dir)])

    def test_clip_bounds_the_step(self):
        clipped = self.trained(self.dir / "clipped", "--clip", 0.05)
        self.assertEqual(len(self.step_norms(clipped)), 60)
        self.assertLessEqual(self.step_norms(clipped).max(), 0.5 * 0.05 * (1 + 1e-4))
        self.assertGreater(self.step_norms(clipped).min(), 0)

    def test_planted_a_step_without_clip_is_longer(self):
        self.assertGreater(self.step_norms(self.plain).max(), 0.5 * 0.05 * 1.5)

    def test_clip_bounds_what_the_parameters_move(self):
        """Measured on the checkpoints themselves: one update moves the centred weights by lr x clip at most."""
        moved = {}
        for clip in (0, 0.05):
            out = self.trained(self.dir / f"clip-{clip}", "--clip", clip, "--no-average", "--no-centering",
                               "--checkpoint-every", 59)
            first, second = (check_finite_params(out / "checkpoints" / f"{update}.h5") for update in (59, 60))
            moved[clip] = np.sqrt(sum(np.square(first[name].astype(float) - second[name]).sum() for name in FIELDS))
        self.assertLessEqual(moved[0.05], 0.5 * 0.05 * (1 + 1e-3))
        self.assertGreater(moved[0], 0.5 * 0.05)

    def test_decay_shrinks_the_weights(self):
        plain = check_finite_params(self.plain / "checkpoint.h5")["weights"]
        for option in ("--l1", "--l2"):
            sizes = [np.linalg.norm(plain), *(np.linalg.norm(self.weights(option, rate)) for rate in (0.0005, 0.002))]
            with self.subTest(option=option, sizes=sizes):
                self.assertLess(sizes[1], sizes[0])
                self.assertLess(sizes[2], sizes[1])


class Keep(CliTest):
    def test_exactly_the_last_ones_stay(self):
        for keep, expected in ((0, set()), (1, {100}), (2, {80, 100}), (10, {20, 40, 60, 80, 100})):
            with self.subTest(keep=keep):
                run_dir = self.dir / f"keep-{keep}"
                run(*train_args("bars-and-stripes", run_dir, "--checkpoint-every", 20, "--keep", keep, updates=100))
                self.assertEqual(history(run_dir), {f"{update}.h5" for update in expected})
                for update in expected:
                    self.assertEqual(state(run_dir / "checkpoints" / f"{update}.h5")["update"], update)

    def test_a_resumed_run_keeps_as_many(self):
        run_dir = self.dir / "run"
        run(*train_args("bars-and-stripes", run_dir, "--checkpoint-every", 20, "--keep", 2, updates=60))
        run("resume", run_dir, "--updates", 120)
        self.assertEqual(history(run_dir), {"100.h5", "120.h5"})


class NotFinite(CliTest):
    def test_training_that_overflows_keeps_a_good_checkpoint(self):
        run_dir = self.dir / "run"
        result = run("train", "--data", "digits", "--binarize", "threshold", "--hidden", 20, "--updates", 20, "--lr",
                     "3e38", "--quiet", "--out", run_dir, expect=INTERNAL)
        self.check(result, run_dir)
        self.check(run("resume", run_dir, "--quiet", expect=INTERNAL), run_dir)
        run("loglik", run_dir, "--chains", 4, "--betas", 50)
        run("info", run_dir)

    def check(self, result, run_dir):
        """The error names an update and a field; every number of the checkpoint is finite."""
        errors = error_lines(result.stderr)
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertRegex(errors[0], r"update \d+")
        self.assertTrue(any(field in errors[0] for field in FIELDS), errors[0])
        check_finite_params(run_dir / "checkpoint.h5")
        for name, value in datasets(run_dir / "checkpoint.h5").items():
            if value.dtype.kind == "f":
                self.assertTrue(np.isfinite(value).all(), name)
        self.assertNotIn("nan", (run_dir / "metrics.csv").read_text().lower())

    def test_planted_a_small_rate_does_not_overflow(self):
        run("train", "--data", "digits", "--binarize", "threshold", "--hidden", 20, "--updates", 2, "--lr", 0.1,
            "--out", self.dir / "run")
        self.assertEqual(state(self.dir / "run" / "checkpoint.h5")["update"], 2)


# --------------------------------------------------------------------------------------------- run directories


class TamperedCheckpoint(CliTest):
    """A checkpoint that lies about its state is refused, and stays as it was."""

    @classmethod
    def setUpClass(cls):
        cls.run_dir = class_folder(cls) / "run"
        run(*train_args("bars-and-stripes", cls.run_dir, "--report-every", 5, updates=20))

    def setUp(self):
        super().setUp()
        self.run_copy = self.dir / "run"
        shutil.copytree(self.run_dir, self.run_copy)
        self.checkpoint = self.run_copy / "checkpoint.h5"

    def refused_with(self, group, name, values):
        """`resume` must refuse every one of the values of an attribute."""
        for value in values:
            with self.subTest(attribute=f"{group}@{name}", value=value):
                with h5py.File(self.checkpoint, "a") as file:
                    self.assertIn(name, file[group].attrs)
                    del file[group].attrs[name]
                    file[group].attrs[name] = value
                self.fails(BAD_DATA, "resume", self.run_copy, "--updates", 40, mentions=["checkpoint.h5"],
                           timeout=QUICK)

    def test_number_of_chains(self):
        self.refused_with("state/chains", "n_chains", (0, 100_000_000, -1, 2**62, np.nan))

    def test_update(self):
        self.refused_with("state", "update", (-5, np.nan, 1e300, -np.inf, "twenty"))

    def test_sweeps_of_the_chains(self):
        self.refused_with("state/chains", "sweeps", (-1, np.nan, 1e300))

    def test_missing_attributes(self):
        for group, name in (("state", "update"), ("state/chains", "n_chains")):
            with self.subTest(attribute=f"{group}@{name}"):
                shutil.copy(self.run_dir / "checkpoint.h5", self.checkpoint)
                with h5py.File(self.checkpoint, "a") as file:
                    del file[group].attrs[name]
                self.fails(BAD_DATA, "resume", self.run_copy, "--updates", 40, mentions=["checkpoint.h5"])

    def test_planted_an_honest_checkpoint_goes_on(self):
        with h5py.File(self.checkpoint, "a") as file:
            update = file["state"].attrs["update"]
            del file["state"].attrs["update"]
            file["state"].attrs["update"] = update
        run("resume", self.run_copy, "--updates", 40)
        self.assertEqual(state(self.checkpoint)["update"], 40)

    def test_fewer_updates_than_were_made(self):
        self.fails(BAD_CONFIG, "resume", self.run_copy, "--updates", 3, mentions=["updates", "3", "20"])

    def test_no_checkpoint(self):
        self.checkpoint.unlink()
        self.fails(NO_INPUT, "resume", self.run_copy, mentions=["checkpoint.h5"])


class TwoProcesses(CliTest):
    def setUp(self):
        super().setUp()
        self.run_dir = self.dir / "run"
        self.process = start(*train_args("bars-and-stripes", self.run_dir, "--checkpoint-every", 20, "--report-every",
                                         100_000, "--schedule", "constant", updates=1_000_000_000))
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        deadline = time.monotonic() + 30
        while not (self.run_dir / "checkpoint.h5").exists():
            self.assertIsNone(self.process.poll(), "training ended by itself")
            self.assertLess(time.monotonic(), deadline, "no checkpoint was written")
            time.sleep(0.01)

    def refused(self, *args):
        """The command is refused with one line, and the training goes on."""
        result = run(*args, "--quiet", expect=CANNOT_WRITE, timeout=QUICK)
        self.assertEqual(len(error_lines(result.stderr)), 1, result.stderr)
        self.assertIn("run", result.stderr)
        self.assertIsNone(self.process.poll(), "training ended by itself")

    def test_a_second_resume_is_refused(self):
        self.refused("resume", self.run_dir)

    def test_a_second_train_is_refused(self):
        for more in ((), ("--force",)):
            with self.subTest(more=more):
                self.refused(*train_args("bars-and-stripes", self.run_dir, *more))

    def test_readers_are_welcome(self):
        run_json("loglik", self.run_dir, "--method", "exact")
        run_json("info", self.run_dir)

    def test_planted_the_directory_is_free_after_the_end(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(timeout=30), 130)
        made = int(state(self.run_dir / "checkpoint.h5")["update"])
        run("resume", self.run_dir, "--updates", made + 10)
        self.assertEqual(state(self.run_dir / "checkpoint.h5")["update"], made + 10)


class Force(CliTest):
    def test_a_full_disk_keeps_the_old_checkpoint(self):
        disk = mount_small_disk(self, "2m")
        run_dir = disk / "run"
        run(*train_args("bars-and-stripes", run_dir))
        checkpoint = (run_dir / "checkpoint.h5").read_bytes()
        fill_disk(disk / "filler")
        result = run(*train_args("bars-and-stripes", run_dir, "--force", "--quiet", seed=2), expect=CANNOT_WRITE)
        self.assertEqual(len(error_lines(result.stderr)), 1, result.stderr)
        self.assertEqual((run_dir / "checkpoint.h5").read_bytes(), checkpoint)
        (disk / "filler").unlink()
        run("loglik", run_dir, "--method", "exact")

    def test_foreign_files_stay(self):
        run_dir = self.dir / "run"
        run(*train_args("bars-and-stripes", run_dir, "--checkpoint-every", 20, updates=60))
        foreign = [run_dir / name for name in ("notes.md", "checkpoints/notes.txt", "checkpoints/best.h5",
                                               "checkpoints/20.h5.bak", "checkpoints/sub/40.h5")]
        for path in foreign:
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"mine: {path.name}")
        run(*train_args("bars-and-stripes", run_dir, "--checkpoint-every", 20, "--force", updates=20, seed=2))
        for path in foreign:
            with self.subTest(file=path.name):
                self.assertTrue(path.is_file())
                self.assertEqual(path.read_text(), f"mine: {path.name}")
        self.assertFalse((run_dir / "checkpoints" / "60.h5").exists(), "the history of the replaced run must go")
        self.assertEqual(state(run_dir / "checkpoints" / "20.h5")["update"], 20)

    def test_a_refused_configuration_keeps_the_run(self):
        run_dir = self.dir / "run"
        run(*train_args("bars-and-stripes", run_dir))
        self.fails(BAD_CONFIG, *train_args("bars-and-stripes", run_dir, "--force", "--lr", -1))
        self.fails(NO_INPUT, *train_args(self.dir / "absent.h5", run_dir, "--force"))


# ------------------------------------------------------------------------------------------------------- data


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
                           ("trailing commas", self.ROWS.replace("\n", ",\n")),
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

    def test_labels_that_are_refused(self):
        whole = np.arange(30.0)
        for name, labels in (("fractional", whole + 0.5), ("one fraction", np.append(whole[:-1], 3.25)),
                             ("not a number", np.append(whole[:-1], np.nan)), ("too short", np.arange(29)),
                             ("too long", np.arange(31)), ("a table", np.zeros((30, 2), "i4")),
                             ("beyond any integer", np.append(whole[:-1], 1e300))):
            with self.subTest(labels=name):
                self.fails(BAD_DATA, "data", self.with_labels(labels), "--out", self.dir / "out.h5",
                           mentions=["data.h5", "y"])


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


class Untrusted(CliTest):
    """Files that lie about their sizes are refused quickly."""

    def npy(self, shape, dtype="<f4"):
        """The bytes of an .npy file that claims a shape, with 64 bytes of values."""
        header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
        header += " " * (-(len(header) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)

    def refused(self, path):
        begin = time.monotonic()
        self.fails(BAD_DATA, "data", path, "--out", self.dir / "out.h5", mentions=[path.name], timeout=QUICK)
        self.assertLess(time.monotonic() - begin, QUICK / 2)

    def test_npy_of_absurd_shape(self):
        for shape in ((2**40, 2**20), (2**32, 2**32), (2**63, 1), (10**30, 2), (-1, 16), (2**62, 4)):
            with self.subTest(shape=shape):
                (self.dir / "absurd.npy").write_bytes(self.npy(shape))
                self.refused(self.dir / "absurd.npy")
                with zipfile.ZipFile(self.dir / "absurd.npz", "w") as archive:
                    archive.writestr("x.npy", self.npy(shape))
                self.refused(self.dir / "absurd.npz")

    def test_npz_member_that_claims_a_huge_size(self):
        # In the central directory and in the local header: the size of the contents alone, or the stored size too.
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            for n_fields in (1, 2):
                for size in (0xFFFFFFFE, 0x7FFFFFFF):
                    with self.subTest(method=method, n_fields=n_fields, size=size):
                        path = self.dir / "huge.npz"
                        with zipfile.ZipFile(path, "w", method) as archive:
                            archive.writestr("x.npy", self.npy((4, 4)))
                        body = bytearray(path.read_bytes())
                        central, local = body.index(b"PK\x01\x02"), body.index(b"PK\x03\x04")
                        for field in range(2 - n_fields, 2):  # uncompressed alone, or compressed too
                            struct.pack_into("<I", body, central + 20 + 4 * field, size)
                            struct.pack_into("<I", body, local + 18 + 4 * field, size)
                        path.write_bytes(body)
                        self.refused(path)

    def test_npz_member_that_claims_exabytes(self):
        path = self.dir / "huge.npz"
        name, body = b"x.npy", self.npy((4, 4))
        extra = struct.pack("<HHQQ", 1, 16, 2**60, 2**60)
        local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name),
                            len(extra)) + name + extra + body
        central = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name),
                              len(extra), 0, 0, 0, 0, 0) + name + extra
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
        path.write_bytes(local + central + end)
        self.refused(path)

    def test_planted_honest_archives_are_read(self):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(self.dir / "honest.npz", "w", method) as archive:
                archive.writestr("x.npy", self.npy((4, 4)))
            run("data", self.dir / "honest.npz", "--out", self.dir / "out.h5")
            np.testing.assert_array_equal(datasets(self.dir / "out.h5")["train/x"], np.zeros((4, 4)))

    def test_config_of_a_hundred_thousand_brackets(self):
        config = self.dir / "deep.toml"
        deep = "[" * 100_000
        for name, body in (("open", f"hidden = {deep}"), ("closed", f"hidden = {deep}{deep.replace('[', ']')}"),
                           ("tables", deep), ("inline tables", "hidden = " + "{a=" * 100_000)):
            with self.subTest(body=name):
                config.write_text(body)
                self.fails(BAD_CONFIG, "train", "--config", config, "--data", "bars-and-stripes", "--out",
                           self.dir / "run", mentions=["deep.toml"], lines=None, timeout=QUICK)

    def test_model_of_absurd_visible_shape(self):
        model = random_rbm(1, 784, 3).write(self.dir / "model.h5")
        for shape in ((-28, -28), (0, 0), (28, -28), (2**31, 2**31), (2**32, 2**32), (-1,), (28, 28, 1), (27, 28),
                      (28.5, 28.0), (np.nan, np.nan), "28x28"):
            with self.subTest(shape=shape):
                with h5py.File(model, "a") as file:
                    file["model"].attrs["visible_shape"] = shape
                run("features", model, "--out", self.dir / "f.png", expect=(0, BAD_DATA), timeout=QUICK)
                if shape in ((-28, -28), (2**32, 2**32)):
                    run("sample", model, "--count", 2, "--sweeps", 1, "--png", self.dir / "s.png",
                        expect=(0, BAD_DATA), timeout=QUICK)
                    run("info", model, expect=(0, BAD_DATA), timeout=QUICK)


# ----------------------------------------------------------------------------------------------------- output


class Output(CliTest):
    def setUp(self):
        super().setUp()
        self.model = random_rbm(1, 6, 5).write(self.dir / "model.h5")

    def writers(self, path):
        """Every command that writes a file of the user's choice."""
        return (("data", "bars-and-stripes", "--out", path),
                ("sample", self.model, "--count", 2, "--sweeps", 1, "--out", path),
                ("sample", self.model, "--count", 2, "--sweeps", 1, "--png", path),
                ("features", self.model, "--out", path))

    def refused(self, path):
        """No command writes there; what is there stays what it is."""
        kind = stat.S_IFMT(path.lstat().st_mode)
        for args in self.writers(path):
            with self.subTest(command=args[0], option=args[-2]):
                self.fails(CANNOT_WRITE, *args, mentions=[path.name], timeout=QUICK)
                self.assertEqual(stat.S_IFMT(path.lstat().st_mode), kind)

    def test_a_device_is_refused(self):
        device = self.dir / "null.h5"
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError as error:
            raise unittest.SkipTest(f"mknod: {error}")
        self.refused(device)

    def test_a_pipe_is_refused(self):
        os.mkfifo(self.dir / "pipe.h5")
        self.refused(self.dir / "pipe.h5")

    def test_a_folder_is_refused(self):
        for name in ("empty.h5", "full.h5"):
            (self.dir / name).mkdir()
        (self.dir / "full.h5" / "mine").write_text("mine")
        for name in ("empty.h5", "full.h5"):
            self.refused(self.dir / name)

    def follows(self, before):
        """Every command writes through a link to a file that holds `before`, or to none where that is None."""
        (self.dir / "elsewhere").mkdir()
        target, link = self.dir / "elsewhere" / "target.h5", self.dir / "link.h5"
        for args in self.writers(link):
            with self.subTest(command=args[0], option=args[-2]):
                link.unlink(missing_ok=True)
                link.symlink_to(target)
                target.unlink(missing_ok=True)
                if before is not None:
                    target.write_bytes(before)
                run(*args)
                self.assertTrue(link.is_symlink(), "the link was replaced")
                self.assertTrue(target.is_file() and not target.is_symlink())
                self.assertGreater(target.stat().st_size, 20)
                self.assertEqual([path.name for path in target.parent.iterdir()], ["target.h5"])
        self.assertEqual(sorted(path.name for path in self.dir.iterdir()), ["elsewhere", "link.h5", "model.h5"])

    def test_a_link_is_followed(self):
        self.follows(b"old")

    def test_a_link_to_a_file_that_is_not_there_yet_is_followed(self):
        self.follows(None)

    def full_output(self, *args):
        """The command cannot print, and must say so."""
        if not os.path.exists("/dev/full"):
            raise unittest.SkipTest("no /dev/full here")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command_line(*args), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=QUICK)
        self.assertEqual(done.returncode, CANNOT_WRITE, done.stderr)
        self.assertEqual(len(error_lines(done.stderr)), 1, done.stderr)

    def test_standard_output_that_is_full(self):
        for args in (("data", "digits"), ("data", "digits", "--json"), ("info", self.model),
                     ("loglik", self.model, "--method", "exact", "--json")):
            with self.subTest(args=args[:1] + args[-1:]):
                self.full_output(*args)

    def test_help_that_cannot_be_printed(self):
        for args in (("train", "--help"), ("--version",)):
            with self.subTest(args=args):
                self.full_output(*args)

    def test_file_names_that_are_not_text(self):
        folder = os.fsencode(self.dir)
        model, data, out = (folder + b"/" + name for name in (b"m\xff\xfe.h5", b"d\xc3\x28.csv", b"o\xed\xa0\x80.h5"))
        try:
            shutil.copy(self.model, model)
        except OSError as error:
            raise unittest.SkipTest(f"this file system takes no such name: {error}")
        with open(data, "w") as file:
            file.write("0,1,0,1,1,0\n1,1,0,0,1,1\n")
        for args in (("info", model), ("data", data, "--out", out), ("features", model, "--out", out),
                     ("sample", model, "--count", 2, "--sweeps", 1, "--out", out),
                     ("loglik", model, "--method", "exact", "--data", data, "--split", "train")):
            with self.subTest(command=args[0]):
                argv = [*command_line(args[0]), *map(os.fsencode, map(as_argument, args[1:])), b"--json"]
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=QUICK)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIsInstance(json.loads(done.stdout.decode("utf-8", errors="strict")), dict)
        self.assertTrue(os.path.isfile(out))


def as_argument(value):
    """Bytes and strings as they are, anything else as text."""
    return value if isinstance(value, bytes | str) else str(value)


class PicturesAndFilters(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = class_folder(cls)
        cls.rbm = random_rbm(2, 16, 5)
        cls.model = cls.rbm.write(cls.folder / "model.h5")
        cls.run_dir = cls.folder / "run"
        run(*train_args("digits", cls.run_dir, "--binarize", "threshold", hidden=8))

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


# ------------------------------------------------------------------------------------------------ command line


class Help(CliTest):
    def test_every_command_explains_itself(self):
        whole = run("--help").stdout
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertIn(command, whole)
                result = run(command, "--help")
                self.assertIn(f"tempera {command}", result.stdout)
                self.assertIn("--json", result.stdout)
                self.assertEqual(result.stderr, "")

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^tempera \d+\.\d+\.\d+\n$")

    def test_planted_every_help_is_another_one(self):
        said = {run(command, "--help").stdout for command in COMMANDS}
        self.assertEqual(len(said), len(COMMANDS))



class Bench(CliTest):
    def test_rows_are_ratios_to_a_yardstick_of_the_same_run(self):
        found = run_json("bench", "--only", "exact", "--seconds", 0, "--threads", 1)
        self.assertGreater(found["multiply_add_gflops"], 0)
        (row,) = found["rows"]
        self.assertEqual((row["row"], row["threads"]), ("exact", 1))
        self.assertGreater(min(row["ratio"], row["milliseconds"], row["yardstick_milliseconds"]), 0)

    def test_an_instruction_set_that_is_not_there(self):
        self.fails(USAGE, "bench", "--instructions", "abacus", mentions=["abacus"])

class Ranges(CliTest):
    HUGE = 9223372036854775807

    def setUp(self):
        super().setUp()
        self.model = random_rbm(1, 6, 5).write(self.dir / "model.h5")

    def test_samples_beyond_counting(self):
        for count in (100_000_000_000, self.HUGE, 0, -1):
            with self.subTest(count=count):
                self.fails(BAD_CONFIG, "sample", self.model, "--count", count, "--sweeps", 1, "--out",
                           self.dir / "s.h5", mentions=["count", count], timeout=QUICK)

    def test_a_count_in_scientific_notation(self):
        self.fails(USAGE, "sample", self.model, "--count", "1e11", "--sweeps", 1, "--out", self.dir / "s.h5",
                   mentions=["count"], timeout=QUICK)

    def test_estimates_beyond_memory(self):
        for option, value in (("--chains", 1_000_000_000_000), ("--chains", self.HUGE), ("--betas", self.HUGE),
                              ("--chains", 0), ("--chains", -1), ("--betas", -1)):
            with self.subTest(option=option, value=value):
                self.fails(BAD_CONFIG, "loglik", self.model, "--method", "ais", option, value,
                           mentions=[option.strip("-"), value], timeout=QUICK)

    def test_training_beyond_counting(self):
        for option, value in (("--chains", self.HUGE), ("--epochs", self.HUGE), ("--sweeps", self.HUGE),
                              ("--hidden", self.HUGE), ("--chains", -1), ("--epochs", -1), ("--sweeps", 0),
                              ("--batch", 0), ("--updates", -1), ("--keep", -1)):
            with self.subTest(option=option, value=value):
                self.fails(BAD_CONFIG, *train_args("bars-and-stripes", self.dir / "run", option, value),
                           mentions=[option.strip("-"), value], timeout=QUICK)

    def test_two_lengths(self):
        self.fails(USAGE, *train_args("bars-and-stripes", self.dir / "run", "--epochs", 3), mentions=["--updates", "--epochs"])

    def test_numbers_beyond_64_bits(self):
        for option in ("--chains", "--epochs", "--seed"):
            with self.subTest(option=option):
                self.fails((USAGE, BAD_CONFIG), *train_args("bars-and-stripes", self.dir / "run", option, 10**20),
                           mentions=[option.strip("-")], timeout=QUICK)

    def test_rates_that_are_no_rates(self):
        for option in ("--lr", "--momentum", "--l1", "--l2", "--clip", "--init", "--decay-updates"):
            for value in ("nan", -1):
                with self.subTest(option=option, value=value):
                    self.fails((USAGE, BAD_CONFIG),
                               *train_args("bars-and-stripes", self.dir / "run", f"{option}={value}"),
                               mentions=[option.strip("-")], timeout=QUICK)

    def test_a_batch_is_capped_at_the_data(self):
        for name, batch in (("huge", 1_000_000_000), ("whole", 1260)):
            run(*train_args("digits", self.dir / name, "--binarize", "threshold", "--chains", 100, batch=batch,
                            updates=5), timeout=QUICK)
        compare_datasets(self.dir / "huge" / "checkpoint.h5", self.dir / "whole" / "checkpoint.h5")


if __name__ == "__main__":
    unittest.main()
