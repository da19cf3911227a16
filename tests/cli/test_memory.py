"""Where memory lies, and what was in it, changes no byte of a result.

Every command runs some times: with names of other lengths, in environments of other sizes, and with an allocator that is
preloaded (tests/memory/shifted_malloc.cpp), whose blocks lie farther apart, are not empty and begin 16, 32 or 48 bytes after
a multiple of 64.
"""

import csv
import io
import json
import os
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import h5py
import numpy as np

from harness import CliTest, class_folder, run

ALLOCATOR = os.environ.get("TEMPERA_SHIFTED_MALLOC")
PLANTED = os.environ.get("TEMPERA_PLANTED")
SHIFTS = (16, 32, 48)
NAMES = ["r" * length for length in (3, 1, 2, 5, 9, 16, 33, 70)]


@dataclass(frozen=True)
class Place:
    """What decides where memory lies: the length of a name, the size of the environment, the allocator."""

    name: str = "run"
    padding: int = 0
    shift: int | None = None

    def environment(self):
        env = {"TEMPERA_PADDING": "x" * self.padding}
        if self.shift is not None:
            env |= {"LD_PRELOAD": ALLOCATOR, "TEMPERA_SHIFT": str(self.shift)}
        return env


# With the allocator the name and the environment differ too, so that the stack lies elsewhere as well.
HERE = Place()
SHIFTED = [Place("r" * (n + 4), 8 * n + 5, shift) for n, shift in enumerate(SHIFTS)]


# ------------------------------------------------------------------------------------------------- what is compared


def file_contents(path):
    """{name: bytes} of an HDF5 file's datasets and attributes, less where it comes from."""
    found = {}

    def keep(name, item):
        if name.split("/")[0] == "provenance":
            return
        for key, value in item.attrs.items():
            if key != "converted_from":  # a file's name
                found[f"{name}@{key}"] = as_bytes(value)
        if isinstance(item, h5py.Dataset):
            found[name] = as_bytes(item[()])

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def as_bytes(value):
    """Type, shape and bytes."""
    value = np.asarray(value)
    return f"{value.dtype} {value.shape} ".encode() + (repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes())


def without_seconds(text):
    """The rows of metrics.csv, less the column that tells the time."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    return repr([{key: value for key, value in row.items() if key != "seconds"} for row in rows]).encode()


def told(text):
    """What a command has printed, less names and times."""
    value = json.loads(text)
    for key in ("out", "seconds", "model", "data"):
        value.pop(key, None)
    return json.dumps(value).encode()


def contents(folder, name):
    """{what: bytes} of everything that commands have left in a folder."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        first, *rest = path.relative_to(folder).parts
        key = "/".join(["run" if first == name else first, *rest])
        if path.suffix == ".h5":
            found |= {f"{key}:{part}": value for part, value in file_contents(path).items()}
        elif path.suffix == ".csv":
            found[key] = without_seconds(path.read_text())
        elif path.suffix in (".png", ".json"):
            found[key] = path.read_bytes()
    return found


def differing(first, second):
    """The names of what is not the same."""
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


class MemoryTest(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.data = class_folder(cls)
        draw = np.random.default_rng(4)
        x = (draw.normal(size=(150, 7)) @ draw.normal(size=(7, 7))).astype(np.float32)
        np.save(cls.data / "real.npy", x)
        x[draw.random(x.shape) < 0.5] = 0
        np.save(cls.data / "sparse.npy", x)
        walk = np.cumsum(np.cumsum(draw.normal(size=(150, 9, 9)), 1), 2)
        with h5py.File(cls.data / "grey.h5", "w") as file:
            grey = np.clip(128 + 20 * walk, 0, 255).astype(np.uint8).reshape(150, 81)
            file["train/x"], file["test/x"] = grey[:100], grey[100:]
            file.attrs["visible_shape"] = [9, 9]
        with h5py.File(cls.data / "letters.h5", "w") as file:
            letters = np.random.default_rng(9).integers(0, 4, (120, 9))
            file["train/x"], file["test/x"] = letters[:90].astype("u1"), letters[90:].astype("u1")
            file.attrs["alphabet"] = "ACG-"

    def outcome(self, commands, place, folder):
        """{what: bytes} of what commands print and write where things lie as `place` says."""
        folder.mkdir()
        found = {}
        for n, command in enumerate(commands):
            words = [place.name if word == "RUN" else self.data / word[1:] if str(word).startswith("@") else word for word in command]
            done = run(*words, "--json", "--quiet", cwd=folder, env=place.environment(), timeout=120)
            found[f"{n} {command[0]}"] = told(done.stdout)
        return found | contents(folder, place.name)

    def check(self, cases, places):
        """Commands leave the same in every place as they do in the first one."""
        jobs = [(case, place) for case in cases for place in places]
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda n, job: self.outcome(cases[job[0]], job[1], self.dir / str(n)), range(len(jobs)), jobs)
            outcomes = dict(zip(jobs, found))
        for case in cases:
            for place in places[1:]:
                with self.subTest(case=case, place=place):
                    self.assertGreater(len(outcomes[case, place]), 1)
                    self.assertEqual(differing(outcomes[case, places[0]], outcomes[case, place]), [])


# --------------------------------------------------------------------------------------------------------- commands


TRAIN = ("train", "--out", "RUN", "--threads", 1, "--report-every", 10, "--checkpoint-every", 30)
DIGITS = (*TRAIN, "--data", "digits", "--binarize", "threshold", "--batch", 90, "--hidden", 11, "--updates", 40)
BARS = (*TRAIN, "--data", "bars-and-stripes", "--batch", 20, "--updates", 40)
KINDS = {
    "gaussian-rbm": ("@real.npy", "--hidden", 5),
    "ssrbm": ("@real.npy", "--hidden", 5, "--slabs", 2),
    "sparse-ssrbm": ("@sparse.npy", "--hidden", 5),
    "bilinear-ssrbm": ("@real.npy", "--hidden", "2,3", "--blocks", 2, "--gate"),
    "binary-ssrbm": ("bars-and-stripes", "--hidden", 5, "--slabs", 2),
    "binary-bilinear-ssrbm": ("bars-and-stripes", "--hidden", "2,3"),
}
SHORT_LADDER = ("--rounds", 20, "--ensembles", 8, "--rungs", 5)


def real(kind, *more):
    return (*TRAIN, "--model", kind, "--data", *KINDS[kind], "--batch", 30, "--updates", 40, *more)


# Arrays of four or five numbers may lie so near each other that a loop over them runs another way.
TRACKERS = {
    "lattice": [DIGITS, ("loglik", "RUN", "--method", "tracked", "--rounds", 30)],
    "lattice of four": [(*DIGITS, "--track-ensembles", 4), ("loglik", "RUN", "--method", "tracked", "--rounds", 30)],
    "lattice of five": [(*DIGITS, "--track-ensembles", 5)],
    "smc": [(*DIGITS, "--trainer", "sml", "--track-log-z", "smc")],
    "shared": [(*DIGITS, "--trainer", "sml-pt", "--rungs", 5, "--ensembles", 4, "--track-log-z", "shared", "--no-average")],
    "lattice of slabs": [real("ssrbm", "--trainer", "sml-apt", "--rungs", 4, "--track-ensembles", 5)],
}
TRAINERS = {
    "cd": [(*DIGITS, "--trainer", "cd", "--optimizer", "adam", "--momentum", 0.5, "--clip", 1, "--l1", 1e-3)],
    "sml with jumps": [(*DIGITS, "--trainer", "sml", "--jump", 0.3, "--momentum", 0.5, "--l2", 1e-3, "--validate-every", 20)],
    "sml-apt, paper mode": [(*DIGITS, "--ladder", "desjardins2010", "--jump", 0.2)],
    "sml-ptt": [(*BARS, "--hidden", 5, "--trainer", "sml-ptt"), ("resume", "RUN", "--updates", 60),
                ("sample", "RUN", "--ladder", "trajectory", "--count", 64, "--sweeps", 2, "--out", "s.h5")],
    "dbm": [(*BARS, "--model", "dbm", "--hidden", "6,5,4"), ("encode", "RUN", "--data", "bars-and-stripes", "--out", "c.h5"),
            ("loglik", "RUN", "--data", "bars-and-stripes", "--split", "train", "--method", "all", "--betas", 50, *SHORT_LADDER),
            ("sample", "RUN", "--count", 40, "--sweeps", 10, "--out", "s.h5"),
            ("prune", "RUN", "--density", 0.5, "--criterion", "kl", "--sweeps", 20, "--out", "p.h5")],
    "letters": [(*TRAIN, "--model", "potts-rbm", "--data", "@letters.h5", "--hidden", 7, "--batch", 70, "--updates", 40, "--l1b", 1e-3),
                ("loglik", "RUN", "--data", "@letters.h5", "--method", "all", "--betas", 50, *SHORT_LADDER),
                ("sample", "RUN", "--count", 40, "--sweeps", 10, "--clamp", "2=A,4!=C", "--out", "s.h5"),
                ("score", "RUN", "--data", "@letters.h5", "--mutations", "singles", "--method", "none", "--out", "m.csv"),
                ("couplings", "RUN", "--form", "exact", "--out", "j.h5"), ("features", "RUN", "--data", "@letters.h5", "--out", "u.svg")],
    "dbm, sampled": [(*BARS, "--model", "dbm", "--hidden", "6,5", "--positive", "sampled", "--trainer", "sml", "--metric", "kfac")],
}
ESTIMATES = {
    "log Z": [(*DIGITS, "--trainer", "sml"),
              *(("loglik", "RUN", "--data", "digits", "--method", method, "--betas", 60, "--chains", 70, *SHORT_LADDER)
                for method in ("exact", "raise", "all")),
              ("features", "RUN", "--sort", "usage", "--out", "f.h5")],
    "samples": [(*BARS, "--hidden", 6, "--trainer", "sml"),
                ("sample", "RUN", "--ladder", "temperature", "--count", 50, "--sweeps", 2, "--out", "t.h5", "--png", "t.png"),
                ("sample", "RUN", "--jump", 0.3, "--start", "data", "--count", 50, "--sweeps", 10, "--out", "s.h5"),
                ("sample", "RUN", "--diagnose", "--count", 50, "--sweeps", 10)],
    "pruning": [(*DIGITS, "--trainer", "sml"),
                *(("prune", "RUN", "--data", "digits", "--density", 0.4, "--rounds", 2, "--sweeps", 20, "--refit", 10, "--out", f"{n}.h5", *more)
                  for n, more in enumerate((["--criterion", "obd"], ["--criterion", "obs"], ["--units"])))],
    "data": [("data", "@grey.h5", "--patches", "4x4", "--dequantise", "--remove-mean", "--contrast", "--whiten", "pca", "--components", 7,
              "--out", "w.h5"),
             ("data", "@grey.h5", "--centre", "--whiten", "zca", "--out", "z.h5"),
             (*TRAIN, "--model", "ssrbm", "--data", "w.h5", "--hidden", 4, "--batch", 50, "--updates", 30, "--trainer", "sml"),
             ("sample", "RUN", "--count", 40, "--sweeps", 10, "--out", "s.h5"),
             ("features", "RUN", "--data", "w.h5", "--samples", "s.h5", "--out", "f.h5")],
}
METRICS = {
    f"{metric} {' '.join(map(str, more))}": [(*BARS, "--hidden", 6, "--trainer", "sml", "--lr", 0.05, "--metric", metric, *more)]
    for metric, *more in (
        ("diagonal", "--step", "kl"), ("mfng", "--step", "krylov", "--warm-start"),
        ("mfng", "--metric-solver", "cg", "--precondition", "kfac"), ("sample", "--spring", 0.3, "--metric-chains", 30),
        ("sample", "--fisher", "joint", "--step", "blocks2"), ("kfac", "--step", "krylov"), ("ekfac", "--step", "kl"), ("fang",),
        ("tonga", "--metric-refresh", 5), ("hybrid", "--step", "kl"), ("exact",))
}
SLABS = {
    **{kind: [real(kind, "--trainer", "sml"), ("loglik", "RUN", "--method", "exact"),
              ("loglik", "RUN", "--method", "all", "--betas", 30, "--chains", 40, *SHORT_LADDER),
              ("sample", "RUN", "--count", 40, "--sweeps", 10, "--out", "s.h5"), ("encode", "RUN", "--data", words[0], "--out", "c.h5")]
       for kind, words in KINDS.items()},
    "two-block": [real("ssrbm", "--trainer", "sml-ptt", "--gibbs", "two-block", "--filter-norm", "ball", "--data-noise", 0.1)],
    "box": [real("gaussian-rbm", "--trainer", "cd", "--box", 20)],
    "mean field": [real("bilinear-ssrbm", "--trainer", "sml", "--positive", "mean-field")],
    "staged": [real("bilinear-ssrbm", "--trainer", "sml", "--init", "staged", "--gibbs", "two-block")],
    **{f"{kind} {metric}": [real(kind, "--trainer", "sml", "--metric", metric, "--step", "kl")]
       for kind, metric in (("ssrbm", "ekfac"), ("gaussian-rbm", "tonga"), ("sparse-ssrbm", "mfng"), ("bilinear-ssrbm", "kfac"),
                            ("binary-ssrbm", "hybrid"), ("binary-bilinear-ssrbm", "sample"), ("ssrbm", "diagonal"))},
}


class Names(MemoryTest):
    def test_lengths_of_names(self):
        self.check(TRACKERS, [Place(name) for name in NAMES])

    def test_sizes_of_the_environment(self):
        self.check({"lattice": TRACKERS["lattice"], "kfac": METRICS["kfac --step krylov"], "ssrbm": SLABS["ssrbm"]},
                   [Place(padding=size) for size in (0, 1, 8, 16, 24, 32, 48, 1000)])


@unittest.skipUnless(ALLOCATOR and PLANTED, "needs an allocator that can be preloaded")
class Allocations(MemoryTest):
    def test_trackers(self):
        self.check(TRACKERS, [HERE, *SHIFTED])

    def test_trainers(self):
        self.check(TRAINERS, [HERE, *SHIFTED])

    def test_estimates_samples_and_data(self):
        self.check(ESTIMATES, [HERE, *SHIFTED])

    def test_metrics(self):
        self.check(METRICS, [HERE, *SHIFTED])

    def test_real_values_spikes_and_slabs(self):
        self.check(SLABS, [HERE, *SHIFTED])

    def test_the_allocator_does_what_it_says(self):
        """Planted: a program whose sum depends on where memory lies. Under the allocator it does."""
        found = [json.loads(subprocess.run([PLANTED], env={**os.environ, **Place(shift=shift).environment()}, capture_output=True,
                                           check=True).stdout) for shift in (0, *SHIFTS)]
        self.assertEqual([one["begin"] for one in found], [0, *SHIFTS])
        self.assertTrue(all(one["aligned"] for one in found), found)
        self.assertGreater(len({one["sum"] for one in found}), 1)

    def test_a_changed_bit_is_seen(self):
        """Planted: the last bit of one weight, and of what a row of metrics.csv says."""
        folder = self.dir / "kept"
        self.outcome(TRACKERS["lattice"][:1], HERE, folder)
        before = contents(folder, "run")
        with h5py.File(folder / "run" / "checkpoint.h5", "r+") as file:
            weights = file["model/params/weights"]
            changed = weights[...]
            changed.view(np.uint32)[0, 0] ^= 1
            weights[...] = changed
        metrics = folder / "run" / "metrics.csv"
        rows = metrics.read_text().splitlines()
        metrics.write_text("\n".join([*rows[:-1], rows[-1].replace(rows[-1].split(",")[4], "1.5", 1)]))
        self.assertEqual(differing(before, contents(folder, "run")), ["run/checkpoint.h5:model/params/weights", "run/metrics.csv"])


if __name__ == "__main__":
    unittest.main()
