"""Helpers of the black-box tests: they know the `tempera` command and its file formats, never its code.

Environment:
  TEMPERA                 absolute path of the program (required)
  TEMPERA_BENCHMARK_DATA  folder of published models and data sets (optional: tests that need it are skipped)
  TEMPERA_FULL            "1" runs the long tests too
"""

import csv
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

FULL = os.environ.get("TEMPERA_FULL") == "1"
CRASH_MARKS = ("terminate called", "HDF5-DIAG", "Traceback", "Assertion", "Sanitizer", "Segmentation fault")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Exit codes of the contract (README.md).
USAGE, BAD_DATA, NO_INPUT, INTERNAL, CANNOT_WRITE, BAD_CONFIG = 64, 65, 66, 70, 74, 78
QUICK = 20  # seconds that a refusal may take on a busy machine
HANGS = 300  # seconds after which a command of these tests hangs, on a busy machine


# ---------------------------------------------------------------------------------------------- the program


@dataclass(frozen=True)
class Result:
    """What a finished command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


def program():
    """The path of the program under test."""
    path = os.environ.get("TEMPERA", "")
    if not os.path.isabs(path) or not os.access(path, os.X_OK):
        raise RuntimeError(f"TEMPERA must be the absolute path of the tempera program, not {path!r}")
    return path


def command_line(*args):
    """The argument vector for `tempera ARGS`; arguments may be strings, numbers or paths."""
    return [program(), *map(str, args)]


def run(*args, expect=0, timeout=HANGS, cwd=None, env=None):
    """Run `tempera ARGS` to its end; its exit code must be `expect` (or one of them), and it must not have crashed.

    `env`: variables that it finds beside those of the tests.
    """
    argv = command_line(*args)
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout,
                          stdin=subprocess.DEVNULL, cwd=cwd, env={**os.environ, **(env or {})})
    told = f"{' '.join(argv)}\nstdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}"
    for mark in CRASH_MARKS:
        if mark in done.stderr:
            raise AssertionError(f"{mark!r} on standard error\n{told}")
    if done.returncode not in (expect if isinstance(expect, tuple) else (expect,)):
        raise AssertionError(f"exit code {done.returncode}, expected {expect}\n{told}")
    return Result(done.returncode, done.stdout, done.stderr)


def _refuse_constant(name):
    raise AssertionError(f"{name} is not JSON")


def run_json(*args, timeout=HANGS):
    """Run `tempera ARGS --json`; return the one JSON object that standard output must be."""
    out = run(*args, "--json", timeout=timeout).stdout
    try:
        value = json.loads(out, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise AssertionError(f"standard output is not exactly one JSON object ({error}): {out!r}") from error
    if not isinstance(value, dict):
        raise AssertionError(f"expected a JSON object, found {out!r}")
    return value


def start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
    """Start `tempera ARGS` in the background; the caller ends it."""
    return subprocess.Popen(command_line(*args), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True)


def benchmark_data(name):
    """The path of a published model or data set, or SkipTest saying what is absent."""
    folder = os.environ.get("TEMPERA_BENCHMARK_DATA")
    if not folder:
        raise unittest.SkipTest(f"{name}: TEMPERA_BENCHMARK_DATA is not set")
    path = Path(folder) / name
    if not path.is_file():
        raise unittest.SkipTest(f"{path} is absent")
    return path


# ------------------------------------------------------------------------------------------------- test base


class CliTest(unittest.TestCase):
    """A test with an empty folder of its own, `self.dir`."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="tempera-cli-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def fails(self, code, *args, mentions=(), lines=1, timeout=HANGS):
        """The command must end with `code` and `lines` lines of error that contain every one of `mentions`.

        It must also leave every file below `self.dir` as it was, and create none. `lines=None` allows any number.
        """
        before = snapshot(self.dir)
        result = run(*args, "--quiet", expect=code, timeout=timeout)
        self.assertEqual(result.stdout, "", "an error belongs on standard error")
        errors = error_lines(result.stderr)
        self.assertTrue(errors, "a failure must say why")
        if lines is not None:
            self.assertEqual(len(errors), lines, result.stderr)
        for word in mentions:
            self.assertIn(str(word).lower(), result.stderr.lower())
        self.assertEqual(snapshot(self.dir), before, "a refused command must not touch any file")
        return result


def class_folder(cls):
    """An empty folder shared by the tests of one class; call it from setUpClass."""
    folder = Path(tempfile.mkdtemp(prefix="tempera-cli-"))
    cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder


def error_lines(stderr):
    """The non-empty lines of standard error that are neither warnings nor a pointer to --help."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    return [line for line in lines if "warning" not in line.lower() and "--help" not in line]


def snapshot(folder):
    """{relative path: bytes} of every file below `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def mount_small_disk(test, size):
    """Mount a tmpfs of `size` (as "64k") for the duration of `test`; return its path or skip the test."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise unittest.SkipTest("mounting a small tmpfs needs root and mount(8)")
    path = test.dir / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tempera-test", str(path)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(f"mounting a small tmpfs failed: {done.stderr.strip()}")
    test.addCleanup(subprocess.run, ["umount", str(path)], check=True)
    return path


def fill_disk(path):
    """Write `path` until its file system is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


# ------------------------------------------------------------------------------------------------------- runs


def train_args(data, out, *more, hidden=6, trainer="sml", updates=60, batch=50, seed=1):
    """A short training run, without a horizon: a longer one continues a shorter one. An option that is in `more` takes the place of the one here: none may be given twice."""
    given = {"--data": data, "--hidden": hidden, "--trainer": trainer, "--batch": batch, "--updates": updates,
             "--seed": seed, "--out": out, "--schedule": "inverse"}
    return ("train", *(part for option, value in given.items() if option not in more for part in (option, value)),
            *more)


def state(path):
    """The attributes of /state of a checkpoint, and what early stopping remembers."""
    with h5py.File(path, "r") as file:
        return {**file["state"].attrs, **file["state/observers/early_stopping"].attrs}


def has_pending_report(path):
    """Whether the run was cut after its last update and before observers saw the report of it."""
    with h5py.File(path, "r") as file:
        return "pending" in file["state/observers"]


def history(run_dir):
    """The names of everything in checkpoints/."""
    return {path.name for path in (run_dir / "checkpoints").iterdir()}


# ------------------------------------------------------------------------------------------------ model files

FIELDS = ("weights", "visible_bias", "hidden_bias")  # the parameters of a restricted machine


@dataclass(frozen=True)
class Rbm:
    """A restricted Boltzmann machine: p(v, h) proportional to exp(v'W h + a'v + c'h), v and h binary."""

    weights: np.ndarray  # (n_visible, n_hidden)
    visible_bias: np.ndarray
    hidden_bias: np.ndarray

    def write(self, path, dtype="f4"):
        """Write the machine as a model file; return the path."""
        return write_rbm(path, self.weights, self.visible_bias, self.hidden_bias, dtype)


def random_rbm(seed, n_visible, n_hidden, largest=3.0):
    """A machine with weights uniform in [-largest, largest] and biases in [-1, 1], in float64."""
    rng = np.random.default_rng(seed)
    return Rbm(rng.uniform(-largest, largest, (n_visible, n_hidden)), rng.uniform(-1, 1, n_visible),
               rng.uniform(-1, 1, n_hidden))


def write_rbm(path, weights, visible_bias, hidden_bias, dtype="f4"):
    """Write a model file: only the parameters, the kind and the three root attributes. `dtype=None` keeps types."""
    return write_model(path, "bernoulli-rbm", {"weights": weights, "visible_bias": visible_bias, "hidden_bias": hidden_bias}, dtype=dtype)


def write_model(path, kind, params, alphabet=None, dtype="f4"):
    """Write a model file of any kind, as write_rbm does; `alphabet`: the letters of its sites."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "tempera", "format_version": 1, "content": "model"})
        file.create_group("model").attrs["kind"] = kind
        if alphabet:
            file["model"].attrs["alphabet"] = alphabet
        for name, value in params.items():
            file[f"model/params/{name}"] = np.asarray(value, dtype)
    return path


def write_data(path, train=None, valid=None, test=None):
    """Write a data file with the given splits, kept as they are typed; return the path."""
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "tempera"
        file.attrs["format_version"] = 1
        file.attrs["content"] = "data"
        for split, cases in (("train", train), ("valid", valid), ("test", test)):
            if cases is not None:
                file[f"{split}/x"] = cases
    return path


def random_bits(seed, n, n_visible):
    """(n, n_visible) fair bits, uint8."""
    return np.random.default_rng(seed).integers(0, 2, (n, n_visible), dtype=np.uint8)


# ----------------------------------------------------------------------------------------------- brute force


def all_states(n):
    """(2^n, n) every binary vector of n units, float64."""
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)


def log_sum_exp(x):
    """log sum exp(x), stably."""
    top = x.max()
    return top + np.log(np.exp(x - top).sum())


def as_stored(rbm):
    """The machine that a float32 program holds, in float64."""
    return Rbm(*(np.asarray(x, np.float32).astype(float)
                 for x in (rbm.weights, rbm.visible_bias, rbm.hidden_bias)))


def log_unnormalised(rbm, visible):
    """log sum_h exp(-E(v, h)) for every row of `visible`: minus the free energy."""
    rbm = as_stored(rbm)
    return visible @ rbm.visible_bias + np.logaddexp(0, rbm.hidden_bias + visible @ rbm.weights).sum(axis=1)


def log_partition(rbm):
    """log Z by enumeration of every visible state."""
    return log_sum_exp(log_unnormalised(rbm, all_states(len(rbm.visible_bias))))


def mean_log_likelihood(rbm, visible):
    """Mean log p(v) over the rows of `visible`, in nats."""
    return log_unnormalised(rbm, np.asarray(visible, float)).mean() - log_partition(rbm)


def visible_moments(rbm):
    """(<v_i>) and (<v_i v_j>) under the machine, by enumeration."""
    states = all_states(len(rbm.visible_bias))
    probability = np.exp(log_unnormalised(rbm, states) - log_partition(rbm))
    return probability @ states, states.T @ (probability[:, None] * states)


# ----------------------------------------------------------------------------------------------- result files


def datasets(path):
    """{name: array} of every dataset in an HDF5 file."""
    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return found


def differences(file1, file2):
    """The names of the datasets that are not, byte for byte and in type and shape, the same in both files."""
    first, second = datasets(file1), datasets(file2)
    if not first:
        raise AssertionError(f"{file1} holds no dataset")

    def same(name):
        if name not in first or name not in second:
            return False
        a, b = np.asarray(first[name]), np.asarray(second[name])
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return np.array_equal(a, b) if a.dtype.hasobject else a.tobytes() == b.tobytes()

    return sorted(name for name in first.keys() | second.keys() if not same(name))


def compare_datasets(file1, file2):
    """Fail unless every dataset of two HDF5 files is the same, byte for byte."""
    differ = differences(file1, file2)
    if differ:
        raise AssertionError(f"{file1} and {file2} differ in {', '.join(differ)}")


def check_finite_params(path):
    """Open a model or checkpoint; every parameter must be finite. Returns {field: array}."""
    params = {name.rsplit("/", 1)[1]: value for name, value in datasets(path).items()
              if name.startswith("model/params/")}
    if not params:
        raise AssertionError(f"{path} holds no /model/params")
    for name, value in params.items():
        if not np.isfinite(value).all():
            raise AssertionError(f"{path}: {name} is not finite")
    return params


def read_metrics(run_dir):
    """The rows of metrics.csv as dictionaries."""
    with open(Path(run_dir) / "metrics.csv", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def png_size(path):
    """(width, height) of a PNG file whose signature, chunk checksums and end are right."""
    data = Path(path).read_bytes()
    if data[:8] != PNG_SIGNATURE:
        raise AssertionError(f"{path} is not a PNG file")
    position, kinds, size = 8, [], None
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4:position + 8], data[position + 8:position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(kind + body) != checksum:
            raise AssertionError(f"{path}: checksum of chunk {kind} is wrong")
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        kinds.append(kind)
        position += 12 + length
    if kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
        raise AssertionError(f"{path}: chunks {kinds}")
    return size
