"""Every refusal ends with the exit code of the contract, one clear line, and nothing lost."""

import os
import shutil
import unittest
from pathlib import Path

import h5py
import numpy as np

from harness import (BAD_CONFIG, BAD_DATA, CANNOT_WRITE, NO_INPUT, USAGE, CliTest, check_finite_params, class_folder,
                     datasets, error_lines, fill_disk, mount_small_disk, random_bits, random_rbm, run, snapshot,
                     write_data, write_rbm)

RUN_FILES = {"config.toml", "checkpoint.h5", "metrics.csv", "curves.png", "features.png", "samples.png", "best.h5"}


def train_args(data, out, *more, hidden=4, seed=1):
    """A short training run; options in `more` come last."""
    return ("train", "--data", data, "--model", "bernoulli-rbm", "--hidden", hidden, "--trainer", "cd",
            "--updates", 20, "--seed", seed, "--out", out, *more)


def unexpected_files(run_dir):
    """Files of a run directory that the contract does not name, for example temporary ones."""
    names = (path.relative_to(run_dir) for path in run_dir.rglob("*") if path.is_file())
    return [str(name) for name in names
            if str(name) not in RUN_FILES
            and not (name.parent == Path("checkpoints") and name.suffix == ".h5" and name.stem.isdigit())]


class MissingInput(CliTest):
    def test_missing_model(self):
        self.fails(NO_INPUT, "loglik", self.dir / "absent.h5", "--method", "exact", mentions=["absent.h5"])
        self.fails(NO_INPUT, "info", self.dir / "absent.h5", mentions=["absent.h5"])
        self.fails(NO_INPUT, "sample", self.dir / "absent.h5", "--count", 1, "--out", self.dir / "s.h5",
                   mentions=["absent.h5"])

    def test_missing_data(self):
        for name in ("absent.h5", "absent.csv", "absent.npy", "absent-idx3-ubyte.gz"):
            with self.subTest(name=name):
                self.fails(NO_INPUT, *train_args(self.dir / name, self.dir / "run"), mentions=[name])

    def test_missing_run(self):
        self.fails(NO_INPUT, "resume", self.dir / "absent", mentions=["absent"])

    def test_a_config_that_is_not_utf_8(self):
        path = self.dir / "run.toml"
        for text in (b"'\xc9'\xc9", b"'ta\xce'.]", b"data = '\xe9.h5'\n", b"hidden = 3\nseed = '1'\ndata = \"\xed\xa0\x80\xff\"\n",
                     # A surrogate, characters that are longer than they must be, and one beyond the last.
                     b"'\xed\xa0\x80'.]", b"'\xe0\x80\x80'.]", b"'\xf0\x80\x80\x80'.]", b"'\xf4\x90\x80\x80'.]", b"'\xc3"):
            with self.subTest(text=text):
                path.write_bytes(text)
                self.fails(BAD_CONFIG, "train", "--config", path, "--out", self.dir / "run", mentions=["not UTF-8"])
        path.write_text("data = 'caf\u00e9 \u20ac \U0001f600.h5'\n", encoding="utf-8")
        self.fails(NO_INPUT, "train", "--config", path, "--out", self.dir / "run", mentions=["caf"])

    def test_a_name_that_a_config_cannot_hold(self):
        # Else the run would end, and could not be resumed.
        data = os.fsencode(self.dir) + b"/caf\xe9.csv"
        with open(data, "wb") as file:
            file.write(b"0,1\n1,0\n" * 20)
        self.fails(BAD_CONFIG, "train", "--data", os.fsdecode(data), "--hidden", 2, "--out", self.dir / "run", mentions=["data", "not UTF-8"])
        self.assertFalse((self.dir / "run").exists())

    def test_missing_config(self):
        self.fails(NO_INPUT, "train", "--config", self.dir / "absent.toml", "--out", self.dir / "run",
                   mentions=["absent.toml"])


class BadModelFile(CliTest):
    def setUp(self):
        super().setUp()
        self.model = random_rbm(1, 6, 5).write(self.dir / "model.h5")

    def refused(self, *mentions):
        """`loglik` must refuse the model file, naming it; `info` may describe what is wrong with it instead."""
        self.fails(BAD_DATA, "loglik", self.model, "--method", "exact", mentions=["model.h5", *mentions], timeout=30)
        run("info", self.model, expect=(0, BAD_DATA), timeout=30)

    def unreadable(self):
        """No command can make anything of the file."""
        self.refused()
        self.fails(BAD_DATA, "info", self.model, mentions=["model.h5"], timeout=30)

    def replace(self, field, value):
        """Overwrite one parameter field of the model file."""
        with h5py.File(self.model, "a") as file:
            del file[f"model/params/{field}"]
            if value is not None:
                file[f"model/params/{field}"] = value

    def test_not_hdf5(self):
        self.model.write_text("These are not the weights you are looking for.\n")
        self.unreadable()

    def test_a_folder_that_is_not_a_run(self):
        (self.dir / "folder").mkdir()
        result = self.fails(NO_INPUT, "loglik", self.dir / "folder", "--method", "exact", mentions=["folder"])
        self.assertIn("checkpoint", result.stderr)

    def test_every_truncation(self):
        whole = self.model.read_bytes()
        for size in np.linspace(0, len(whole) - 1, 20).astype(int):
            with self.subTest(size=int(size), of=len(whole)):
                self.model.write_bytes(whole[:size])
                with self.assertRaises(OSError, msg="h5py itself must refuse the file"):
                    h5py.File(self.model, "r")
                self.unreadable()

    def test_wrong_kind(self):
        with h5py.File(self.model, "a") as file:
            file["model"].attrs["kind"] = "restricted-boltzmann-machinery"
        self.refused("kind", "restricted-boltzmann-machinery")

    def test_kind_of_integer_type(self):
        with h5py.File(self.model, "a") as file:
            file["model"].attrs["kind"] = 7
        self.refused("kind")

    def test_no_kind(self):
        with h5py.File(self.model, "a") as file:
            del file["model"].attrs["kind"]
        self.refused("kind")

    def test_missing_field(self):
        self.replace("hidden_bias", None)
        self.refused("hidden_bias")

    def test_a_group_where_a_field_should_be(self):
        with h5py.File(self.model, "a") as file:
            del file["model/params/weights"]
            file.create_group("model/params/weights")
        self.refused("weights")

    def test_weights_of_the_wrong_shape(self):
        for shape in ((5, 6), (6, 4), (30,), (6, 5, 1), (0, 0), ()):
            with self.subTest(shape=shape):
                self.replace("weights", np.zeros(shape, "f4"))
                self.refused("weights")

    def test_biases_of_the_wrong_shape(self):
        for field, shape in (("visible_bias", (5,)), ("visible_bias", (6, 1)), ("hidden_bias", (6,))):
            with self.subTest(field=field, shape=shape):
                good = random_rbm(1, 6, 5)
                good.write(self.model)
                self.replace(field, np.zeros(shape, "f4"))
                self.refused()

    def test_weights_that_are_not_finite(self):
        for value in (np.nan, np.inf, -np.inf):
            with self.subTest(value=value):
                weights = np.zeros((6, 5), "f4")
                weights[3, 2] = value
                self.replace("weights", weights)
                self.refused("weights")

    def test_weights_beyond_float32(self):
        self.replace("weights", np.full((6, 5), 1e300))
        self.refused("weights")

    def test_bias_that_is_not_a_number(self):
        self.replace("visible_bias", np.full(6, np.nan, "f4"))
        self.refused("visible_bias")

    def test_weights_of_integer_type(self):
        for dtype in ("i4", "u1", "i8"):
            with self.subTest(dtype=dtype):
                self.replace("weights", np.zeros((6, 5), dtype))
                self.refused("weights")

    def test_newer_format_version(self):
        with h5py.File(self.model, "a") as file:
            file.attrs["format_version"] = 999
        self.refused("version", "999")

    def test_absurd_sizes(self):
        """Sizes that are declared, and stored nowhere; the second one's byte count is 2^64."""
        for n_visible, n_hidden in ((2**40, 2**20), (2**31, 2**31), (2**50, 1)):
            with self.subTest(n_visible=n_visible, n_hidden=n_hidden):
                with h5py.File(self.model, "w") as file:
                    file.create_group("model").attrs["kind"] = "bernoulli-rbm"
                    for field, shape in (("weights", (n_visible, n_hidden)), ("visible_bias", (n_visible,)),
                                         ("hidden_bias", (n_hidden,))):
                        chunks = tuple(min(size, 1024) for size in shape)
                        file.create_dataset(f"model/params/{field}", shape, "f4", chunks=chunks)
                self.refused()


class BadData(CliTest):
    def refused(self, data, *mentions):
        """Training must refuse the data, naming the file."""
        self.fails(BAD_DATA, *train_args(data, self.dir / "run"), mentions=[Path(data).name, *mentions], timeout=30)

    def test_not_hdf5(self):
        path = self.dir / "data.h5"
        path.write_bytes(b"These are no numbers.\n")
        self.refused(path)

    def test_no_training_cases(self):
        self.refused(write_data(self.dir / "empty.h5", train=np.zeros((0, 16), "u1")))
        self.refused(write_data(self.dir / "narrow.h5", train=np.zeros((16, 0), "u1")))
        self.refused(write_data(self.dir / "no-train.h5", test=random_bits(0, 8, 16)))

    def test_empty_files(self):
        for name in ("empty.csv", "empty.npy", "empty.npz", "empty-idx3-ubyte", "empty-idx3-ubyte.gz", "empty.h5"):
            with self.subTest(name=name):
                path = self.dir / name
                path.write_bytes(b"")
                self.refused(path)

    def test_data_that_is_not_a_table(self):
        self.refused(write_data(self.dir / "flat.h5", train=np.zeros(16, "u1")), "/train/x")

    def test_data_that_is_not_finite(self):
        cases = np.ones((8, 16), "f4")
        cases[5, 3] = np.nan
        self.refused(write_data(self.dir / "nan.h5", train=cases))
        np.save(self.dir / "nan.npy", cases)
        self.refused(self.dir / "nan.npy")

    def test_ragged_csv(self):
        path = self.dir / "ragged.csv"
        path.write_text("0,1,0,1\n1,0,1\n0,0,1,1\n")
        result = self.fails(BAD_DATA, *train_args(path, self.dir / "run"), mentions=["ragged.csv"])
        self.assertRegex(result.stderr, r"\b2\b", "the message should name line 2")

    def test_words_in_csv(self):
        path = self.dir / "words.csv"
        path.write_text("0,1,0,1\n1,0,one,1\n")
        self.refused(path)

    def test_truncated_files(self):
        cases = random_bits(0, 20, 16)
        np.save(self.dir / "whole.npy", cases)
        np.savez(self.dir / "whole.npz", x=cases)
        write_data(self.dir / "whole.h5", train=cases)
        for kind in ("npy", "npz", "h5"):
            whole = (self.dir / f"whole.{kind}").read_bytes()
            for part in (0.1, 0.5, 0.9):
                with self.subTest(kind=kind, part=part):
                    path = self.dir / f"part.{kind}"
                    path.write_bytes(whole[:int(part * len(whole))])
                    self.refused(path)

    def test_grey_data_without_binarize(self):
        grey = np.random.default_rng(0).integers(0, 256, (20, 16), dtype=np.uint8)
        self.refused(write_data(self.dir / "grey.h5", train=grey), "--binarize")
        fractions = (grey / 255).astype("f4")
        self.refused(write_data(self.dir / "fractions.h5", train=fractions), "--binarize")
        self.fails(BAD_DATA, *train_args("digits", self.dir / "run"), mentions=["digits", "--binarize"])

    def test_data_of_another_width_than_the_model(self):
        model = random_rbm(1, 16, 5).write(self.dir / "model.h5")
        for width in (12, 17):
            with self.subTest(width=width):
                data = write_data(self.dir / "data.h5", test=random_bits(0, 10, width))
                self.fails(BAD_DATA, "loglik", model, "--method", "exact", "--data", data, "--split", "test",
                           mentions=["data.h5", width, 16])

    def test_splits_of_different_width(self):
        self.refused(write_data(self.dir / "data.h5", train=random_bits(0, 10, 16), valid=random_bits(0, 10, 12)))

    def test_absurd_sizes(self):
        for shape in ((2**40, 2**20), (2**31, 2**31)):
            with self.subTest(shape=shape):
                path = self.dir / "absurd.h5"
                with h5py.File(path, "w") as file:
                    file.create_dataset("train/x", shape, "u1", chunks=(1024, 1024))
                self.refused(path)


class BadConfiguration(CliTest):
    LEARNING_RATE = r"\blr\b|learning.rate"

    def refused(self, *args, data="bars-and-stripes", hidden=4, **expected):
        """A training run with these options must be refused as a bad configuration; returns what was said."""
        args = train_args(data, self.dir / "run", *args, hidden=hidden)
        return self.fails(BAD_CONFIG, *args, timeout=30, **expected).stderr

    def test_no_hidden_units(self):
        self.refused(hidden=0, mentions=["hidden", "0"])

    def test_negative_rate(self):
        self.assertRegex(self.refused("--lr", -1, mentions=["-1"]), self.LEARNING_RATE)

    def test_all_violations_are_reported_at_once(self):
        said = self.refused("--lr", -1, hidden=0, mentions=["hidden", "-1"], lines=None)
        self.assertRegex(said, self.LEARNING_RATE)

    def test_memory_beyond_the_machine(self):
        self.refused("--binarize", "threshold", data="digits", hidden=2_000_000_000, mentions=["hidden", "memory"])

    def test_exact_method_on_a_large_model(self):
        model = random_rbm(1, 30, 26).write(self.dir / "model.h5")
        self.fails(BAD_CONFIG, "loglik", model, "--method", "exact", mentions=["exact", "26", "25"], timeout=30)


class Usage(CliTest):
    def test_unknown_option(self):
        self.fails(USAGE, *train_args("bars-and-stripes", self.dir / "run", "--hiden", 5), mentions=["--hiden"])
        model = random_rbm(1, 6, 5).write(self.dir / "model.h5")
        self.fails(USAGE, "loglik", model, "--metod", "exact", mentions=["--metod"])

    def test_unknown_command(self):
        result = run("tarin", expect=USAGE)
        self.assertTrue(error_lines(result.stderr))

    def test_no_command(self):
        run(expect=USAGE)

    def test_word_for_a_number(self):
        self.fails(USAGE, *train_args("bars-and-stripes", self.dir / "run", "--batch", "many"), mentions=["--batch"])


class CannotWrite(CliTest):
    def test_existing_run_is_kept_without_force(self):
        run_dir = self.dir / "run"
        run(*train_args("bars-and-stripes", run_dir))
        self.fails(CANNOT_WRITE, *train_args("bars-and-stripes", run_dir, seed=2), mentions=["run", "--force"])
        before = snapshot(run_dir)
        run(*train_args("bars-and-stripes", run_dir, "--force", seed=2))
        self.assertNotEqual(snapshot(run_dir)["checkpoint.h5"], before["checkpoint.h5"])
        self.assertEqual(unexpected_files(run_dir), [])

    def test_folder_below_a_file(self):
        (self.dir / "file").write_text("in the way")
        self.fails(CANNOT_WRITE, *train_args("bars-and-stripes", self.dir / "file" / "run"), mentions=["file"])

    @unittest.skipUnless(os.path.isdir("/proc/self"), "no /proc here")
    def test_folder_that_cannot_be_made(self):
        self.fails(CANNOT_WRITE, *train_args("bars-and-stripes", "/proc/tempera-run"), mentions=["/proc/tempera-run"])

    def test_samples_below_a_file(self):
        model = random_rbm(1, 6, 5).write(self.dir / "model.h5")
        for option, name in (("--out", "s.h5"), ("--png", "s.png")):
            with self.subTest(option=option):
                self.fails(CANNOT_WRITE, "sample", model, "--count", 2, "--sweeps", 1, "--start", "reference",
                           "--ladder", "none", option, model / name, mentions=[name])

    def test_disk_too_small_for_a_run(self):
        disk = mount_small_disk(self, "64k")
        result = run(*train_args("digits", disk / "run", "--binarize", "threshold", "--quiet", hidden=500),
                     expect=CANNOT_WRITE)
        self.assertEqual(len(error_lines(result.stderr)), 1, result.stderr)
        self.assertEqual(unexpected_files(disk / "run"), [])
        self.assertFalse((disk / "run" / "checkpoint.h5").exists())

    def test_disk_too_small_for_samples_keeps_the_old_ones(self):
        disk = mount_small_disk(self, "64k")
        samples = disk / "samples.h5"
        samples.write_bytes(b"older samples")
        model = random_rbm(1, 16, 5).write(self.dir / "model.h5")
        self.fails(CANNOT_WRITE, "sample", model, "--count", 20000, "--sweeps", 1, "--start", "reference", "--ladder",
                   "none", "--out", samples, mentions=["samples.h5"])

    def test_disk_that_fills_up_keeps_the_checkpoint(self):
        disk = mount_small_disk(self, "2m")
        run_dir = disk / "run"
        run(*train_args("bars-and-stripes", run_dir))
        checkpoint = (run_dir / "checkpoint.h5").read_bytes()
        fill_disk(disk / "filler")
        result = run("resume", run_dir, "--updates", 40, "--quiet", expect=CANNOT_WRITE)
        self.assertEqual(len(error_lines(result.stderr)), 1, result.stderr)
        self.assertEqual((run_dir / "checkpoint.h5").read_bytes(), checkpoint)
        self.assertEqual(unexpected_files(run_dir), [])
        (disk / "filler").unlink()
        run("resume", run_dir, "--updates", 40)


class BadCheckpoint(CliTest):
    """`resume` from a checkpoint that cannot be used leaves the run as it is."""

    @classmethod
    def setUpClass(cls):
        cls.run_dir = class_folder(cls) / "run"
        run(*train_args("bars-and-stripes", cls.run_dir))

    def setUp(self):
        super().setUp()
        self.run_copy = self.dir / "run"
        shutil.copytree(self.run_dir, self.run_copy)
        self.checkpoint = self.run_copy / "checkpoint.h5"

    def refused(self, *mentions):
        self.fails(BAD_DATA, "resume", self.run_copy, "--updates", 40, mentions=["checkpoint.h5", *mentions])
        self.fails(BAD_DATA, "loglik", self.run_copy, "--method", "exact", mentions=["checkpoint.h5", *mentions])

    def test_newer_format_version(self):
        with h5py.File(self.checkpoint, "a") as file:
            file.attrs["format_version"] = 999
        self.refused("version", "999")

    def test_truncated(self):
        whole = self.checkpoint.read_bytes()
        for part in (0.0, 0.3, 0.7, 0.99):
            with self.subTest(part=part):
                self.checkpoint.write_bytes(whole[:int(part * len(whole))])
                self.refused()

    def test_parameters_that_are_not_finite(self):
        with h5py.File(self.checkpoint, "a") as file:
            file["model/params/weights"][0, 0] = np.nan
        self.refused("weights")

    def test_a_model_file_is_no_checkpoint(self):
        write_rbm(self.checkpoint, np.zeros((16, 4)), np.zeros(16), np.zeros(4))
        self.fails(BAD_DATA, "resume", self.run_copy, "--updates", 40, mentions=["checkpoint.h5"])


class OddDataTrains(CliTest):
    """Data at the edge of what can be learned: no failure, no NaN, in the file and in the metrics."""

    def trains(self, cases, batch):
        """Train both trainers on `cases`."""
        data = write_data(self.dir / "data.h5", train=cases)
        for trainer in ("cd", "sml"):
            with self.subTest(trainer=trainer):
                out = self.dir / trainer
                run("train", "--data", data, "--model", "bernoulli-rbm", "--hidden", 4, "--trainer", trainer, "--batch",
                    batch, "--updates", 60, "--seed", 1, "--out", out)
                check_finite_params(out / "checkpoint.h5")
                for name, value in datasets(out / "checkpoint.h5").items():
                    if value.dtype.kind == "f":
                        self.assertTrue(np.isfinite(value).all(), name)
                self.assertNotIn("nan", (out / "metrics.csv").read_text().lower())

    def test_single_row(self):
        self.trains(random_bits(0, 1, 16), batch=20)

    def test_constant_columns(self):
        cases = random_bits(0, 50, 16)
        cases[:, 3], cases[:, 7] = 0, 1
        self.trains(cases, batch=20)

    def test_all_columns_constant(self):
        self.trains(np.ones((30, 16), "u1"), batch=20)

    def test_last_batch_of_one_case(self):
        self.trains(random_bits(0, 41, 16), batch=20)

    def test_batch_larger_than_the_data(self):
        self.trains(random_bits(0, 7, 16), batch=100)


if __name__ == "__main__":
    unittest.main()
