"""What a run directory promises: its history, refusals of checkpoints that lie, one writer at a time, --force."""

import shutil
import time
import unittest

import h5py
import numpy as np

from harness import (BAD_CONFIG, BAD_DATA, CANNOT_WRITE, NO_INPUT, QUICK, CliTest, class_folder, error_lines,
                     fill_disk, history, mount_small_disk, run, run_json, start, state, train_args)


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


if __name__ == "__main__":
    unittest.main()
