"""Ranks: the command under mpirun gives the bytes of one process, and ends everywhere when one rank cannot go on.

TEMPERA_RANKS has, for each MPI library that the command was linked with, "MPIRUN=COMMAND:". Without one these tests are skipped.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from harness import CANNOT_WRITE, BAD_DATA, FULL, NO_INPUT, CliTest, datasets, differences, run  # noqa: E402

LAUNCHERS = dict(pair.split("=") for pair in os.environ.get("TEMPERA_RANKS", "").split(":") if pair)
LIBRARIES = {Path(mpirun).suffix[1:]: mpirun for mpirun in LAUNCHERS}
ENDS = 20  # seconds in which all ranks end when one of them has
# Ranks share these cores, and may belong to root in a container.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
               "OMPI_MCA_mpi_yield_when_idle": "1"}


def launch(library, ranks, *args, program=None, **more):
    """The argument vector of the command on so many ranks."""
    mpirun = LIBRARIES[library]
    return [mpirun, "-n", str(ranks), str(program or LAUNCHERS[mpirun]), *map(str, args)]


def on_ranks(library, ranks, *args, expect=0, timeout=120, cwd=None, program=None):
    """Run `tempera ARGS` on so many ranks to its end."""
    done = subprocess.run(launch(library, ranks, *args, program=program), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                          env=ENVIRONMENT, cwd=cwd)
    if done.returncode != expect:
        raise AssertionError(f"exit code {done.returncode}, expected {expect}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return done


def ranks_of(process):
    """The processes of the command that a launcher has started, whoever is between."""
    def children(pid):
        found = []
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
        return found

    below, found = children(process.pid), []
    while below:
        pid = below.pop()
        below += children(pid)
        with contextlib.suppress(OSError):
            if Path(os.readlink(f"/proc/{pid}/exe")).name.startswith("tempera_"):
                found.append(pid)
    return sorted(found)


@unittest.skipUnless(LAUNCHERS, "TEMPERA_RANKS is not set: the command was built without an MPI library")
class RanksTest(CliTest):
    def setUp(self):
        super().setUp()
        self.first = sorted(LIBRARIES, reverse=True)[0]  # Open MPI waits without taking the cores from those that work

    def cases(self, kind="bits", n=400, width=16):
        path = self.dir / f"{kind}.h5"
        if path.exists():
            return path
        draw = np.random.default_rng(5)
        with h5py.File(path, "w") as file:
            if kind == "letters":
                file["train/x"] = draw.integers(0, 3, (n, width)).astype("u1")
                file.attrs["alphabet"] = "XYZ"
            elif kind == "reals":
                file["train/x"] = draw.normal(size=(n, width)).astype("f4")
            else:
                rows = draw.integers(0, 2, (8, width))[draw.integers(0, 8, n)] ^ (draw.random((n, width)) < 0.1)
                file["train/x"], file["valid/x"] = rows.astype("u1"), rows[:100].astype("u1")
        return path

    def train_args(self, out, *more, kind="bits", updates=40):
        given = {"--data": self.cases(kind), "--out": self.dir / out, "--hidden": 12, "--updates": updates, "--batch": 150, "--chains": 200, "--seed": 4,
                 "--report-every": 10, "--checkpoint-every": 20}
        return ["train", *(word for option, value in given.items() if option not in more for word in (option, value)), *more, "--no-pictures", "--quiet"]

    def expect_same_run(self, one, two):
        for name in ("checkpoint.h5", "checkpoints/20.h5"):
            self.assertEqual(differences(self.dir / one / name, self.dir / two / name), [], f"{one}, {two}: {name}")
        rows = [[line.split(",")[:2] + line.split(",")[3:] for line in (self.dir / run_dir / "metrics.csv").read_text().splitlines()] for run_dir in (one, two)]
        self.assertEqual(*rows)  # all but the seconds


class SameBytes(RanksTest):
    def test_every_number_of_ranks_and_threads_gives_the_same_run(self):
        run(*self.train_args("alone", "--jump", 0.3, "--metric", "sample", "--threads", 1))
        for ranks, threads in ((1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2)):
            with self.subTest(ranks=ranks, threads=threads):
                name = f"{ranks}-{threads}"
                on_ranks(self.first, ranks, *self.train_args(name, "--jump", 0.3, "--metric", "sample", "--threads", threads))
                self.expect_same_run("alone", name)

    def test_the_other_library_gives_the_same_run(self):
        if len(LIBRARIES) < 2:
            self.skipTest("one MPI library")
        other = sorted(LIBRARIES)[0]
        run(*self.train_args("alone"))
        on_ranks(other, 2, *self.train_args("other", "--threads", 1))
        self.expect_same_run("alone", "other")

    def test_other_machines_trainers_and_metrics_give_the_same_run(self):
        for k, (kind, ranks, options) in enumerate((
                ("bits", 2, ["--model", "dbm", "--hidden", "8,6"]), ("letters", 3, ["--model", "potts-rbm"]), ("reals", 2, ["--model", "ssrbm"]),
                ("bits", 3, ["--trainer", "sml-ptt"]), ("bits", 2, ["--metric", "kfac"]), ("bits", 2, ["--trainer", "cd", "--check", 7]))):
            with self.subTest(options=options):
                run(*self.train_args(f"alone{k}", *options, kind=kind))
                on_ranks(self.first, ranks, *self.train_args(f"ranks{k}", *options, "--threads", 1, kind=kind))
                self.expect_same_run(f"alone{k}", f"ranks{k}")

    def test_a_run_goes_on_with_other_ranks_and_without(self):
        run(*self.train_args("whole", "--schedule", "constant", updates=60))
        on_ranks(self.first, 2, *self.train_args("parts", "--schedule", "constant", updates=20))
        on_ranks(self.first, 3, "resume", self.dir / "parts", "--updates", 40, "--quiet")
        run("resume", self.dir / "parts", "--updates", 60, "--quiet")
        self.expect_same_run("whole", "parts")

    def test_a_run_that_goes_back_to_its_best_model_does_so_on_all_ranks(self):
        words = ["--schedule", "constant", "--lr", 3, "--validate-every", 10, "--patience", 2, "--checkpoint-every", 10, "--keep", 100]
        run(*self.train_args("alone", *words, updates=400))
        on_ranks(self.first, 3, *self.train_args("ranks", *words, "--threads", 1, updates=400))
        rows = (self.dir / "alone/metrics.csv").read_text().splitlines()
        self.assertLess(int(rows[-1].split(",")[0]), 400)
        self.assertLess(float(rows[-1].split(",")[3]), 0.5, "its rate has fallen")
        self.expect_same_run("alone", "ranks")
        self.assertEqual(differences(self.dir / "alone/best.h5", self.dir / "ranks/best.h5"), [])

    def test_estimates_scores_samples_and_codes_are_the_same(self):
        run(*self.train_args("model"))
        model, data = self.dir / "model", self.cases()
        for command in (["loglik", "--method", "exact"], ["loglik", "--method", "ais", "--betas", 200], ["loglik", "--method", "bar", "--rounds", 200],
                        ["loglik", "--method", "tracked", "--rounds", 100], ["loglik", "--method", "raise"], ["loglik", "--method", "mode-ais"], ["score"], ["score", "--relative-to", 3],
                        ["score", "--posterior", 3, "--nearest-to", data]):
            with self.subTest(command=command):
                words = [command[0], model, *command[1:], "--data", data, "--split", "train", "--json", "--quiet"]
                alone, ranks = json.loads(run(*words).stdout), json.loads(on_ranks(self.first, 3, *words).stdout)
                self.assertEqual(alone, ranks)
        for command in (["sample", "--count", 150], ["sample", "--count", 150, "--ladder", "none", "--sweeps", 50], ["encode", "--data", data]):
            with self.subTest(command=command):
                files = [self.dir / f"{command[0]}-{len(command)}-{name}.h5" for name in ("alone", "ranks")]
                run(command[0], model, *command[1:], "--out", files[0], "--quiet")
                on_ranks(self.first, 3, command[0], model, *command[1:], "--out", files[1], "--quiet")
                self.assertEqual(differences(*files), [])
                self.assertTrue(datasets(files[0]))

    def test_planted_another_seed_is_seen(self):
        run(*self.train_args("one"))
        on_ranks(self.first, 2, *self.train_args("two", "--seed", 5))
        self.assertNotEqual(differences(self.dir / "one/checkpoint.h5", self.dir / "two/checkpoint.h5"), [])

    def test_one_rank_speaks(self):
        done = on_ranks(self.first, 3, *self.train_args("spoken"))
        self.assertEqual(done.stdout.count("verdict:"), 1)


class Faults(RanksTest):
    """Whatever happens to one rank, all end soon, with one message, and what was saved is whole."""

    def long_run(self, library, ranks, name="run", program=None):
        """A run on ranks that has written its first checkpoint, in a process group of its own."""
        process = subprocess.Popen(launch(library, ranks, *self.train_args(name, "--checkpoint-every", 5, updates=10**6), program=program),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True)
        self.addCleanup(self.end, process)
        deadline = time.monotonic() + 60
        while not (self.dir / name / "checkpoints").is_dir() or not list((self.dir / name / "checkpoints").glob("*.h5")):
            self.assertIsNone(process.poll(), process.stderr.read() if process.poll() is not None else "")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        return process

    def end(self, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def expect_end(self, process, ranks):
        """The launcher and every rank end in time."""
        begin = time.monotonic()
        try:
            process.wait(timeout=ENDS)
        except subprocess.TimeoutExpired:
            # Who is left, what it waits in, and which signals it catches.
            left = {}
            for pid in [process.pid, *ranks]:
                with contextlib.suppress(OSError):
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    left[pid] = [line for line in lines if line.startswith(("Name", "State", "SigIgn", "SigCgt"))]
                    left[pid].append(Path(f"/proc/{pid}/syscall").read_text())
            self.fail(f"hangs: {left}")
        while any(Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] for pid in ranks):
            self.assertLess(time.monotonic() - begin, ENDS, "a rank is left")
            time.sleep(0.05)

    def expect_whole(self, name="run"):
        """The run goes on from its checkpoint, without ranks."""
        with h5py.File(self.dir / name / "checkpoint.h5") as file:
            at = int(file["state"].attrs["update"])
        run("resume", self.dir / name, "--updates", at + 5, "--quiet")

    def test_a_rank_that_is_killed(self):
        for library in LIBRARIES:
            with self.subTest(library=library):
                process = self.long_run(library, 2, name=library)
                ranks = ranks_of(process)
                self.assertEqual(len(ranks), 2)
                os.kill(ranks[1], signal.SIGKILL)
                self.expect_end(process, ranks)
                self.assertNotEqual(process.returncode, 0)
                self.expect_whole(library)

    def test_random_faults(self):
        dice = random.Random(7)
        for k in range(200 if FULL else 6):
            library, ranks = dice.choice(list(LIBRARIES)), dice.choice((2, 3))
            fault, victim = dice.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV)), dice.randrange(ranks)
            with self.subTest(k=k, library=library, ranks=ranks, fault=fault.name, victim=victim):
                process = self.long_run(library, ranks, name=f"run{k}")
                pids = ranks_of(process)
                time.sleep(dice.random() * 0.3)
                os.kill(pids[victim], fault)
                self.expect_end(process, pids)
                self.expect_whole(f"run{k}")

    def test_a_signal_to_all_ranks_leaves_a_checkpoint(self):
        # As Slurm sends it to the tasks of a step.
        process = self.long_run(self.first, 2)
        ranks = ranks_of(process)
        for pid in ranks:
            os.kill(pid, signal.SIGTERM)
        self.expect_end(process, ranks)
        self.assertEqual(process.returncode, 130)
        stderr = process.stderr.read()
        self.assertNotIn("tempera: error", stderr)
        self.expect_whole()

    def test_a_signal_to_the_launcher(self):
        for library in LIBRARIES:
            with self.subTest(library=library):
                process = self.long_run(library, 2, name=library)
                ranks = ranks_of(process)
                process.send_signal(signal.SIGTERM)
                self.expect_end(process, ranks)
                self.expect_whole(library)

    def test_a_file_that_the_first_rank_cannot_write(self):
        # There is a folder in the place of the file.
        (self.dir / "run/checkpoint.h5").mkdir(parents=True)
        (self.dir / "run/checkpoint.h5/x").touch()
        done = on_ranks(self.first, 2, *self.train_args("run"), expect=CANNOT_WRITE, timeout=ENDS)
        self.assertEqual(done.stderr.count("tempera: error:"), 1, done.stderr)

    def test_a_disk_that_is_full(self):
        small = self.dir / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small], capture_output=True).returncode != 0:
            self.skipTest("no file system may be mounted here")
        self.addCleanup(subprocess.run, ["umount", small])
        words = self.train_args("small/run", "--hidden", 150, "--keep", 20, updates=60)
        done = on_ranks(self.first, 2, *words, expect=CANNOT_WRITE)
        self.assertEqual(done.stderr.count("tempera: error:"), 1, done.stderr)
        self.assertEqual(done.stderr.count("the next checkpoint is tried again"), 2, done.stderr)
        with h5py.File(small / "run/checkpoint.h5") as file:
            self.assertEqual(int(file["state"].attrs["update"]), 0)

    def script(self, words):
        """A program that runs in a folder, or is another, by its rank."""
        path = self.dir / "tempera_by_rank.sh"
        path.write_text("#!/bin/sh\nrank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}\n" + words)
        path.chmod(0o755)
        return path

    def test_data_that_one_rank_has_not_or_has_otherwise(self):
        for library in LIBRARIES:
            program = LAUNCHERS[LIBRARIES[library]]
            for name, code, words in (("missing", NO_INPUT, "no such file"), ("other", BAD_DATA, "rank 1: the data differs")):
                with self.subTest(library=library, name=name):
                    folder = self.dir / f"{library}-{name}"
                    for rank in (0, 1):
                        (folder / str(rank)).mkdir(parents=True)
                    np.savetxt(folder / "0/x.csv", np.eye(6), fmt="%d", delimiter=",")
                    if name == "other":
                        np.savetxt(folder / "1/x.csv", 1 - np.eye(6), fmt="%d", delimiter=",")
                    script = self.script(f'cd "{folder}/$rank" && exec "{program}" "$@"\n')
                    done = on_ranks(library, 2, "train", "--data", "x.csv", "--hidden", 3, "--updates", 5, "--out", folder / "out", "--quiet",
                                    expect=code, timeout=ENDS, program=script)
                    self.assertIn(words, done.stderr)
                    self.assertEqual(done.stderr.count("tempera: error:"), 1, done.stderr)

    def test_another_program_on_one_rank(self):
        program = Path(LAUNCHERS[LIBRARIES[self.first]])
        copy = self.dir / "tempera_copy"
        copy.write_bytes(program.read_bytes() + b"\0")
        copy.chmod(0o755)
        script = self.script(f'[ "$rank" = 1 ] && exec "{copy}" "$@"\nexec "{program}" "$@"\n')
        done = on_ranks(self.first, 2, *self.train_args("run"), expect=BAD_DATA, timeout=ENDS, program=script)
        self.assertIn("rank 1: the program differs from that of rank 0", done.stderr)
        self.assertEqual(done.stderr.count("tempera: error:"), 1, done.stderr)

    def test_commands_of_one_process_are_refused(self):
        done = on_ranks(self.first, 2, "sweep", self.dir / "x.toml", "--out", self.dir / "x", expect=64, timeout=ENDS)
        self.assertEqual(done.stderr.count("tempera: error: only train, resume"), 1, done.stderr)

    def test_one_rank_is_a_process_like_any_other(self):
        # What it starts in turn are no ranks.
        (self.dir / "plan.toml").write_text(f'data = "{self.cases()}"\nhidden = 3\nupdates = 20\npictures = false\n[grid]\nseed = [1, 2]\n')
        for library in LIBRARIES:
            with self.subTest(library=library):
                on_ranks(library, 1, "sweep", self.dir / "plan.toml", "--out", self.dir / library, "--jobs", 2, "--quiet")
                self.assertEqual(len(list((self.dir / library / "runs").glob("*/checkpoint.h5"))), 2)

    def test_an_error_of_all_is_told_once(self):
        done = on_ranks(self.first, 3, "train", "--data", self.cases(), "--hiden", 3, "--out", self.dir / "x", expect=64, timeout=ENDS)
        self.assertEqual(done.stderr.count("tempera: error:"), 1, done.stderr)
        self.assertIn("did you mean --hidden?", done.stderr)


if __name__ == "__main__":
    unittest.main()
