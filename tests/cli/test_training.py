"""Training: the run directory, identical bytes across threads, stops and resumes, and survival of any kill."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
import tomllib
import unittest

import h5py
import numpy as np

from harness import (FULL, CliTest, check_finite_params, class_folder, compare_datasets, datasets, differences,
                     png_size, read_metrics, run, run_json, start)

TRAINERS = ("cd", "sml", "sml-pt", "sml-apt", "sml-ptt")
OPTIMIZERS = ("sgd", "adam")


def train_args(out, *more, trainer="sml", updates=200, seed=1, rungs=4):
    """A small run on 8x8 binary digits: two blocks of chains, the last one short, and a short last batch."""
    chains = ("--chains", 100) if trainer != "cd" else ()
    if trainer in ("sml-pt", "sml-apt"):
        chains += ("--rungs", rungs, "--ensembles", 3)
    # A schedule without a horizon: a longer run continues a shorter one.
    schedule = () if "--schedule" in more else ("--schedule", "inverse")
    return ("train", "--data", "digits", "--binarize", "threshold", "--model", "bernoulli-rbm", "--hidden", 12, *schedule,
            "--trainer", trainer, *chains, "--batch", 100, "--updates", updates, "--seed", seed, "--out", out, *more)


class RunDirectory(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.run_dir = class_folder(cls) / "run"
        run(*train_args(cls.run_dir, "--report-every", 50))

    def test_every_promised_file_is_there(self):
        for name in ("config.toml", "checkpoint.h5", "metrics.csv", "curves.png", "features.png", "samples.png"):
            self.assertTrue((self.run_dir / name).is_file(), name)
        for name in ("curves.png", "features.png", "samples.png"):
            self.assertGreaterEqual(min(png_size(self.run_dir / name)), 8)

    def test_nothing_temporary_is_left(self):
        self.assertEqual({path.name for path in self.run_dir.iterdir()} - {"checkpoints"},
                         {"config.toml", "checkpoint.h5", "metrics.csv", "curves.png", "features.png", "samples.png"})

    def test_metrics_have_one_row_per_report(self):
        updates = [int(row["update"]) for row in read_metrics(self.run_dir)]
        self.assertEqual(updates, sorted(set(updates)))
        self.assertLessEqual({50, 100, 150, 200}, set(updates))

    def test_metrics_tell_how_chains_and_ladders_mix(self):
        run(*train_args(self.dir / "apt", "--report-every", 50, trainer="sml-apt"))
        for row in read_metrics(self.dir / "apt"):
            self.assertEqual(len(row["flow"].split()), int(row["rungs"]))
            self.assertEqual((row["flow"].split()[0], row["flow"].split()[-1]), ("0.000", "1.000"))
            for name in ("barrier", "rejection", "round_trip_rate", "round_trip_optimum", "cluster_variation"):
                self.assertTrue(0 <= float(row[name]) < 10, name)
            self.assertGreaterEqual(float(row["autocorrelation_time"]), 1)
            self.assertGreater(float(row["r_hat"]), 0.9)
            self.assertLessEqual(float(row["effective_sample_size"]), 64 * 50)
        run(*train_args(self.dir / "cd", trainer="cd", updates=100))
        for row in read_metrics(self.dir / "cd"):
            self.assertEqual({row[name] for name in ("rungs", "flow", "r_hat", "cluster_variation")}, {""})

    def test_checkpoint_is_readable_with_h5py(self):
        with h5py.File(self.run_dir / "checkpoint.h5", "r") as file:
            self.assertEqual(file.attrs["format"], "tempera")
            self.assertEqual(file.attrs["format_version"], 2)
            self.assertEqual(file.attrs["content"], "checkpoint")
            model = file["model"]
            self.assertEqual(model.attrs["kind"], "bernoulli-rbm")
            self.assertEqual((model.attrs["n_visible"], model.attrs["n_hidden"]), (64, 12))
            if "visible_shape" in model.attrs:
                self.assertEqual(list(model.attrs["visible_shape"]), [8, 8])
            shapes = {name: (field.shape, field.dtype) for name, field in model["params"].items()}
            single = np.dtype("f4")
            self.assertEqual(shapes, {"weights": ((64, 12), single), "visible_bias": ((64,), single),
                                      "hidden_bias": ((12,), single)})
            self.assertEqual(model["reference/visible_bias"].shape, (64,))
            self.assertIn("state", file)
            self.assertEqual(file["provenance"].attrs["seed"], 1)
            self.assertIn("version", file["provenance"].attrs)

    def test_parameters_are_finite_and_have_moved(self):
        params = check_finite_params(self.run_dir / "checkpoint.h5")
        self.assertGreater(np.abs(params["weights"]).max(), 0.05)

    def test_the_run_has_learned_something(self):
        """Measured exactly; independent pixels are the machine at beta = 0."""
        trained = run_json("loglik", self.run_dir, "--data", "digits", "--binarize", "threshold", "--split", "test",
                           "--method", "exact")
        data = self.dir / "digits.h5"
        run("data", "digits", "--binarize", "threshold", "--out", data)
        cases = datasets(data)
        means = np.clip(cases["train/x"].mean(axis=0), 1e-3, 1 - 1e-3)
        test = cases["test/x"].astype(float)
        independent = (test * np.log(means) + (1 - test) * np.log(1 - means)).sum(axis=1).mean()
        self.assertGreater(trained["log_likelihood"], independent)

    def test_config_holds_every_value_and_reproduces_the_run(self):
        config = tomllib.loads((self.run_dir / "config.toml").read_text())
        values = [value for section in (config, *(v for v in config.values() if isinstance(v, dict)))
                  for value in section.values()]
        self.assertIn(12, values)
        self.assertIn(200, values)
        again = self.dir / "again"
        run("train", "--config", self.run_dir / "config.toml", "--out", again)
        compare_datasets(self.run_dir / "checkpoint.h5", again / "checkpoint.h5")

    def test_options_override_the_config(self):
        other = self.dir / "other"
        run("train", "--config", self.run_dir / "config.toml", "--hidden", 5, "--updates", 20, "--out", other)
        self.assertEqual(check_finite_params(other / "checkpoint.h5")["weights"].shape, (64, 5))

    def test_train_json_is_one_object(self):
        run_json(*train_args(self.dir / "run", updates=20))


class SameBytes(CliTest):
    def test_stop_and_resume(self):
        """The first 100 of 200 updates are a run of 100 updates: nothing but the schedule of the rate has a horizon."""
        jumps = [(t, "sgd", ("--jump", 0.3)) for t in TRAINERS if t != "cd"]
        jumps.append(("sml-apt", "sgd", ("--ladder", "desjardins2010", "--beta-lr", 0.01)))
        for trainer, optimizer, more in [(t, o, m) for t in TRAINERS for o in OPTIMIZERS
                                         for m in ((), ("--schedule", "constant", "--no-average"))] + jumps:
            with self.subTest(trainer=trainer, optimizer=optimizer, more=more):
                options = ("--optimizer", optimizer, "--force", *more)
                whole, halves = self.dir / "whole", self.dir / "halves"
                run(*train_args(whole, *options, trainer=trainer))
                run(*train_args(halves, *options, trainer=trainer, updates=100))
                self.assertTrue(differences(whole / "checkpoint.h5", halves / "checkpoint.h5"))
                run("resume", halves, "--updates", 200)
                compare_datasets(whole / "checkpoint.h5", halves / "checkpoint.h5")

    def test_a_ladder_that_grows_or_shrinks_resumes(self):
        """Every 100 swaps a rung may be added or removed in every ensemble, with a chain."""
        for first, stops, expected in ((2, (401, 750, 1300), [3, 4, 5]), (12, (151, 250, 350), [11, 10, 9])):
            with self.subTest(rungs=first):
                whole, parts = self.dir / f"whole-{first}", self.dir / f"parts-{first}"
                run(*train_args(whole, trainer="sml-apt", updates=stops[-1], rungs=first))
                run(*train_args(parts, trainer="sml-apt", updates=50, rungs=first))
                rungs = []
                for updates in stops:
                    run("resume", parts, "--updates", updates)
                    with h5py.File(parts / "checkpoint.h5") as file:
                        rungs.append(int(file["state/ladder"].attrs["n_rungs"]))
                        self.assertEqual(len(file["state/ladder/betas"]), rungs[-1])
                        self.assertEqual(file["state/chains"].attrs["n_chains"], 100 + 3 * rungs[-1])
                self.assertEqual(rungs, expected)
                compare_datasets(whole / "checkpoint.h5", parts / "checkpoint.h5")

    def test_snapshots_resume(self):
        """A machine that has come away from its last snapshot is frozen, some hundreds of updates apart."""
        whole, parts = self.dir / "whole", self.dir / "parts"
        words = ("--lr", 0.5, "--init", 0.01, "--jump", 0)
        run(*train_args(whole, *words, trainer="sml-ptt", updates=800))
        run(*train_args(parts, *words, trainer="sml-ptt", updates=75))
        rungs = []
        for updates in (80, 100, 300, 800):
            run("resume", parts, "--updates", updates)
            with h5py.File(parts / "checkpoint.h5") as file:
                snapshots = file["state/ladder"]
                rungs.append(len(snapshots["trajectory/rungs/weights"]))
                self.assertEqual(len(snapshots.get("trajectory/rejections", ())), rungs[-1] - 1)
                self.assertEqual(snapshots["reservoir"].attrs["n_chains"], 1280)
                self.assertFalse(snapshots["trajectory/rungs/weights"][0].any())
        self.assertEqual(rungs, [1, 2, 3, 4])
        compare_datasets(whole / "checkpoint.h5", parts / "checkpoint.h5")
        self.assertEqual(int(read_metrics(parts)[-1]["rungs"]), 4)

    def test_damaged_snapshots_are_refused(self):
        run(*train_args(self.dir / "run", "--lr", 0.5, trainer="sml-ptt", updates=100))
        checkpoint = self.dir / "run" / "checkpoint.h5"
        whole = checkpoint.read_bytes()
        for name, value in (("rejections", 1.5), ("origin", 7), ("rungs/weights", 0.5)):
            with self.subTest(name=name):
                checkpoint.write_bytes(whole)
                with h5py.File(checkpoint, "r+") as file:
                    file[f"state/ladder/trajectory/{name}"][0] = value
                run("resume", self.dir / "run", "--updates", 110, expect=65)
        for group, name in (("trajectory", "n_ensembles"), ("reservoir", "n_chains")):
            with self.subTest(name=name):
                checkpoint.write_bytes(whole)
                with h5py.File(checkpoint, "r+") as file:
                    file[f"state/ladder/{group}"].attrs[name] = 64
                run("resume", self.dir / "run", "--updates", 110, expect=65)
        for name, value in (("acceptance", -3.0), ("rate", -5.0), ("frozen", 2 ** 40), ("rollbacks", 31), ("log_partition_se", -1.0)):
            with self.subTest(name=name):
                checkpoint.write_bytes(whole)
                with h5py.File(checkpoint, "r+") as file:
                    file["state/ladder"].attrs[name] = value
                self.assertIn(name, run("resume", self.dir / "run", "--updates", 110, expect=65).stderr)
        with self.subTest("no rungs"):
            checkpoint.write_bytes(whole)
            with h5py.File(checkpoint, "r+") as file:
                del file["state/ladder/trajectory/rungs/weights"]
            run("resume", self.dir / "run", "--updates", 110, expect=65)
            run("sample", self.dir / "run", "--ladder", "trajectory", "--out", self.dir / "s.h5", expect=65)

    def test_a_damaged_ladder_is_refused(self):
        run(*train_args(self.dir / "run", trainer="sml-apt", updates=20))
        checkpoint = self.dir / "run" / "checkpoint.h5"
        whole = checkpoint.read_bytes()
        for name, place, value in (("betas", 1, 0.0), ("chains", 0, 100000), ("free_chains", 3, 4), ("origin", 2, 7),
                                   ("rejections", 0, 1.5), ("up", 1, -0.5)):
            with self.subTest(name=name):
                checkpoint.write_bytes(whole)
                with h5py.File(checkpoint, "r+") as file:
                    file[f"state/ladder/{name}"][place] = value
                run("resume", self.dir / "run", "--updates", 30, expect=65)
        run(*train_args(self.dir / "jumps", "--jump", 0.5, updates=20))
        checkpoint = self.dir / "jumps" / "checkpoint.h5"
        jumps = checkpoint.read_bytes()
        for name, value in (("logits", 11.0), ("log_none", 3.0)):
            with self.subTest(name=name):
                checkpoint.write_bytes(jumps)
                with h5py.File(checkpoint, "r+") as file:
                    file[f"state/jumps/{name}"][0] = value
                run("resume", self.dir / "jumps", "--updates", 30, expect=65)
        checkpoint = self.dir / "run" / "checkpoint.h5"
        for count in (0, 1, 7, 5000, 2.5):
            with self.subTest(n_rungs=count):
                checkpoint.write_bytes(whole)
                with h5py.File(checkpoint, "r+") as file:
                    file["state/ladder"].attrs["n_rungs"] = count
                run("resume", self.dir / "run", "--updates", 30, expect=65)

    def test_a_fixed_ladder_stays_fixed(self):
        run(*train_args(self.dir / "run", trainer="sml-pt", updates=20))
        config = self.dir / "run" / "config.toml"
        config.write_text(config.read_text().replace("rungs = 4", "rungs = 5"))
        self.assertIn("rungs", run("resume", self.dir / "run", "--updates", 30, expect=65).stderr)

    def test_stop_in_the_middle_of_an_epoch(self):
        whole, parts = self.dir / "whole", self.dir / "parts"
        run(*train_args(whole, updates=37))
        run(*train_args(parts, updates=5))
        for updates in (6, 19, 37):
            run("resume", parts, "--updates", updates)
        compare_datasets(whole / "checkpoint.h5", parts / "checkpoint.h5")

    def test_threads(self):
        for trainer in TRAINERS:
            with self.subTest(trainer=trainer):
                for threads in (1, 2, 3):
                    run(*train_args(self.dir / f"{trainer}-{threads}", "--threads", threads, trainer=trainer))
                for threads in (2, 3):
                    compare_datasets(self.dir / f"{trainer}-1" / "checkpoint.h5",
                                     self.dir / f"{trainer}-{threads}" / "checkpoint.h5")

    def test_resume_with_other_threads(self):
        whole, halves = self.dir / "whole", self.dir / "halves"
        run(*train_args(whole, "--threads", 1))
        run(*train_args(halves, "--threads", 3, updates=100))
        run("resume", halves, "--updates", 200, "--threads", 2)
        compare_datasets(whole / "checkpoint.h5", halves / "checkpoint.h5")

    def test_same_command_twice(self):
        for name in ("first", "second"):
            run(*train_args(self.dir / name))
        compare_datasets(self.dir / "first" / "checkpoint.h5", self.dir / "second" / "checkpoint.h5")

    def test_planted_other_seed_is_seen(self):
        for trainer in TRAINERS:
            with self.subTest(trainer=trainer):
                paths = [self.dir / f"{trainer}-{seed}" for seed in (1, 2)]
                for seed, path in zip((1, 2), paths):
                    run(*train_args(path, trainer=trainer, seed=seed))
                differ = differences(paths[0] / "checkpoint.h5", paths[1] / "checkpoint.h5")
                self.assertIn("model/params/weights", differ)

    def test_planted_single_bit_is_seen(self):
        run(*train_args(self.dir / "run", updates=20))
        checkpoint, fault = self.dir / "run" / "checkpoint.h5", self.dir / "fault.h5"
        for name, value in datasets(checkpoint).items():
            if value.dtype.kind not in "fiu" or value.size == 0:
                continue
            with self.subTest(dataset=name):
                shutil.copy(checkpoint, fault)
                flipped = bytearray(value.tobytes())
                flipped[-1] ^= 1
                with h5py.File(fault, "a") as file:
                    file[name][...] = np.frombuffer(bytes(flipped), value.dtype).reshape(value.shape)
                self.assertEqual(differences(checkpoint, fault), [name])


class Clouds(CliTest):
    def test_far_apart_are_learned_to_their_law(self):
        # Two clouds in two columns, fourteen deviations apart: no sweep leads from one to the other, nor to a mode that the machine makes.
        random = np.random.default_rng(61)
        centres = np.array([[5.0, 5.0], [-5.0, -5.0]])
        data = centres[random.integers(2, size=8000)] + random.normal(size=(8000, 2))
        path, out = self.dir / "clouds.h5", self.dir / "run"
        with h5py.File(path, "w") as file:
            file["train/x"], file["test/x"] = data[:4000], data[4000:]
        squares = ((data[4000:, None] - centres) ** 2).sum(2)
        law = np.log(np.exp(-0.5 * squares).mean(1) / (2 * np.pi)).mean()
        words = ("--data", path, "--model", "gaussian-rbm", "--threads", 1, "--quiet", "--out", out, "--force")
        for hidden, seed in [(8, 1), (3, 2)] + [(8, seed) for seed in range(2, 9) if FULL]:
            with self.subTest(hidden=hidden, seed=seed):
                run("train", *words, "--hidden", hidden, "--seed", seed, timeout=300)
                found = run_json("loglik", out, "--data", path, "--method", "exact", "--quiet")["log_likelihood"]
                self.assertGreater(found, law - 0.1)
                self.assertLess(found, law + 0.05)
        # Planted: without jumps it grows modes where no case is, and ends.
        run("train", *words, "--hidden", 8, "--seed", 1, "--jump", 0, expect=70, timeout=300)


class Interruption(CliTest):
    """SIGINT and SIGTERM: a checkpoint is written, the exit code is 130, nothing is lost."""

    def updates_for(self, seconds, **options):
        """About as many updates, in steps of 20, as this machine makes in `seconds`, twenty reports included."""
        begin = time.monotonic()
        run(*train_args(self.dir / "speed", "--report-every", 100, updates=2000, **options))
        return max(2000, int(2000 * seconds / (time.monotonic() - begin)) // 20 * 20)

    def interrupt(self, args, run_dir, number):
        """Start training, send the signal once metrics.csv has three rows; return the exit code."""
        process = start(*args)
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if (run_dir / "metrics.csv").exists() and len(read_metrics(run_dir)) >= 3:
                    process.send_signal(number)
                    return process.wait(timeout=30)
                time.sleep(0.01)
            self.fail(f"training ended ({process.poll()}) before three rows of metrics.csv could be read")
        finally:
            process.kill()
            process.wait()

    def test_an_interrupted_run_resumes_to_the_same_bytes(self):
        updates = self.updates_for(seconds=2)
        options = ("--report-every", updates // 20)
        whole = self.dir / "whole"
        run(*train_args(whole, *options, updates=updates))
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                part = self.dir / number.name
                code = self.interrupt(train_args(part, *options, updates=updates), part, number)
                self.assertEqual(code, 130)
                check_finite_params(part / "checkpoint.h5")
                self.assertTrue(differences(whole / "checkpoint.h5", part / "checkpoint.h5"), "interrupted too late")
                run("resume", part)
                compare_datasets(whole / "checkpoint.h5", part / "checkpoint.h5")
                reports = [[row["update"] for row in read_metrics(path)] for path in (whole, part)]
                self.assertLessEqual(set(reports[0]), set(reports[1]), "a report was lost")

    def test_an_interrupted_resume_can_be_resumed(self):
        updates = self.updates_for(seconds=2)
        options = ("--report-every", updates // 20, "--schedule", "constant")
        run_dir = self.dir / "run"
        run(*train_args(run_dir, *options, updates=20))
        code = self.interrupt(("resume", run_dir, "--updates", updates), run_dir, signal.SIGINT)
        self.assertEqual(code, 130)
        run("resume", run_dir, "--updates", updates)
        whole = self.dir / "whole"
        run(*train_args(whole, *options, updates=updates))
        compare_datasets(whole / "checkpoint.h5", run_dir / "checkpoint.h5")


class Unfinished(CliTest):
    """A signal while something is estimated or drawn: what is finished is told and kept, and the exit code is 130."""

    def interrupt_in(self, stage, args):
        """Standard output of a command that was sent SIGINT once it told how far it is in this stage."""
        process = start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            for line in process.stderr:
                if re.match(rf"{stage} +\d+ %", line):
                    break
            process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 130)
        return told

    def setUp(self):
        super().setUp()
        self.model = self.dir / "run"
        run("train", "--data", "digits", "--binarize", "threshold", "--hidden", 30, "--updates", 100, "--out", self.model)

    def test_estimates_that_are_finished_are_told(self):
        # Annealing is the fourth of the methods, and would take minutes.
        told = self.interrupt_in("ais", ["loglik", self.model, "--method", "all", "--rounds", 50, "--betas", 3000000, "--data", "digits", "--json"])
        found = json.loads(told)
        self.assertTrue(found["stopped"])
        self.assertEqual([row["method"] for row in found["estimates"]], ["mbar", "bar", "stepping-stone"])
        self.assertNotIn("log_likelihood", found)
        # What no bound was there to hold against is not trusted.
        self.assertEqual(found["trusted"], "log_partition_at_least" in found)

    def test_samples_that_are_finished_are_kept(self):
        out = self.dir / "samples.h5"
        told = self.interrupt_in("sampling", ["sample", self.model, "--sweeps", 20, "--ladder", "temperature", "--count", 1000000, "--out", out, "--json"])
        found = json.loads(told)
        self.assertTrue(found["stopped"])
        with h5py.File(out) as file:
            kept = len(file["samples/visible"])
        self.assertEqual(kept, found["count"])
        self.assertTrue(0 < kept < 1000000)
        whole = self.dir / "whole.h5"
        run("sample", self.model, "--sweeps", 20, "--ladder", "temperature", "--count", kept, "--out", whole)
        with h5py.File(out) as file, h5py.File(whole) as other:
            self.assertTrue(np.array_equal(file["samples/visible"][...], other["samples/visible"][...]))


class Kill(CliTest):
    """SIGKILL at random times: every checkpoint opens, and the run goes on from it."""

    KILLS = 30 if FULL else 5
    KEEP = 3
    FOREVER = 100_000_000

    def check_files(self, run_dir):
        """Every checkpoint must open and be finite; returns the newest update of the kept history."""
        kept = [path for path in (run_dir / "checkpoints").iterdir() if path.suffix == ".h5"]
        for path in [run_dir / "checkpoint.h5", *kept]:
            check_finite_params(path)
        return max((int(path.stem) for path in kept), default=0)

    def test_every_kill_can_be_survived(self):
        delay = random.Random(1)
        run_dir, copy = self.dir / "run", self.dir / "copy"
        options = ("--checkpoint-every", 5, "--keep", self.KEEP, "--report-every", 100, "--schedule", "constant")
        args = train_args(run_dir, *options, updates=self.FOREVER)
        for kill in range(self.KILLS):
            with self.subTest(kill=kill):
                process = start(*args)
                try:
                    # However slow the disk is: the first five updates are on it.
                    self.wait_for(run_dir / "checkpoints", process)
                    time.sleep(delay.uniform(0.02, 0.4))
                    self.assertIsNone(process.poll(), "training ended by itself")
                finally:
                    process.kill()
                    process.wait()
                newest = self.check_files(run_dir)
                self.assertGreaterEqual(newest, 5)
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(run_dir, copy)
                run("resume", copy, "--updates", newest + 20)
                self.check_files(copy)
                kept = [path for path in (copy / "checkpoints").iterdir() if path.suffix == ".h5"]
                self.assertLessEqual(len(kept), self.KEEP)
                args = ("resume", run_dir, "--updates", self.FOREVER)
        whole = self.dir / "whole"
        run(*train_args(whole, *options, updates=newest + 20), timeout=120)
        compare_datasets(whole / "checkpoint.h5", copy / "checkpoint.h5")

    def wait_for(self, history, process):
        """Wait until a checkpoint with updates is kept."""
        deadline = time.monotonic() + 30
        while not any(int(path.stem) > 0 for path in history.glob("*.h5") if path.stem.isdigit()):
            self.assertIsNone(process.poll(), "training ended by itself")
            self.assertLess(time.monotonic(), deadline, f"nothing was written to {history}")
            time.sleep(0.005)


if __name__ == "__main__":
    unittest.main()
