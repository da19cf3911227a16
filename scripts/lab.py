"""What the scripts share that train machines with the `tempera` command and report what they find.

A script begins with `parser(__doc__)`, which knows `--tempera`; `arguments.tempera` is then a function:

    tempera("train", "--data", "digits", "--hidden", 20, "--out", folder / "run")["seconds"]

runs the command and returns the JSON object that it prints. Files go into `workspace()`, a folder that vanishes in the end;
`published(name)` finds data sets that are not part of this project; `parallel` runs several trainings at once; `print_row`
prints tables in Markdown; `pyplot` and `save` make pictures that are the same byte for byte when they are made again.

This module imports nothing but the standard library until a function needs more, so that a script without pictures needs no
matplotlib, and a comparison can choose the number of threads before NumPy is loaded.
"""

import argparse
import concurrent.futures
import contextlib
import csv
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/apps/tempera"
FOLDER_HELP = "folder of published data sets and models; that of TEMPERA_BENCHMARK_DATA by default"


class Failed(SystemExit):
    """The command failed. Where nobody catches it, the script ends and prints what the command said."""

    def __init__(self, exit_code, message):
        super().__init__(message)
        self.exit_code = exit_code


class Tempera:
    """The command as a function of its words, which may be strings, numbers or paths."""

    def __init__(self, program=PROGRAM, threads=None):
        self.program = pathlib.Path(program).resolve()
        self.more = [] if threads is None else ["--threads", str(threads)]

    def __call__(self, *words):
        """Run `tempera WORDS` and return the object that it prints as JSON."""
        return json.loads(self.text(*words, "--json", *self.more))

    def text(self, *words):
        """Run `tempera WORDS` and return what it prints, as text. The number of threads is not set."""
        done = subprocess.run([self.program, *map(str, words), "--quiet"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(done.returncode, done.stderr.strip())
        return done.stdout


def parser(description, threads=None):
    """A parser with the option --tempera, whose value is a `Tempera` that uses so many threads (all where None)."""
    def tempera(path):
        if not os.access(path, os.X_OK):
            raise argparse.ArgumentTypeError(f"no program {path}: build it (scripts/quickstart), or name it with --tempera")
        return Tempera(path, threads)

    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--tempera", type=tempera, default=str(PROGRAM), help="the program; that of build/release by default")
    return made


# ------------------------------------------------------------------------------------------------------- files


@contextlib.contextmanager
def workspace():
    """A folder, as a path, that is removed in the end with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="tempera-") as folder:
        yield pathlib.Path(folder)


def published(name, folder=None):
    """The path of a data set or model that is not part of this project; the script ends where it is absent.

    It is looked for in `folder`, or else where the environment variable TEMPERA_BENCHMARK_DATA says, or else in shared/data
    beside this checkout, like the tests do.
    """
    folder = folder or os.environ.get("TEMPERA_BENCHMARK_DATA") or ROOT.parent / "shared/data"
    path = pathlib.Path(folder) / name
    if not path.exists():
        raise SystemExit(f"{path} is absent. It is not part of this project: set TEMPERA_BENCHMARK_DATA to the folder that holds {name}.")
    return path


def arrays(path, *names):
    """Datasets of an HDF5 file, in the order of their names."""
    import h5py
    with h5py.File(path) as file:
        return [file[name][:] for name in names]


def metrics(run):
    """The rows of a run's metrics.csv, as dictionaries of text."""
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def small_digits(path, inverted=False, folder=None):
    """Writes MNIST as 14 x 14 binary pixels to `path`: means of 2 x 2, above one half."""
    import h5py
    import numpy as np
    with h5py.File(published("mnist.h5", folder)) as grey, h5py.File(path, "w") as small:
        for split in ("train", "test"):
            x = np.asarray(grey[f"{split}/x"], np.float32).reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) > 127.5
            small[f"{split}/x"] = (x ^ inverted).astype(np.uint8)


# ----------------------------------------------------------------------------------------------- work and report


def parallel(jobs, function, cases):
    """Yields function(*case) for every case, in their order, while `jobs` of them run at a time."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda case: function(*case), cases)


def print_header(*names):
    """The head of a table in Markdown."""
    print_row(*names)
    print("|" + "---|" * len(names), flush=True)


def print_row(*cells):
    """A row of a table in Markdown."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def pyplot(**settings):
    """matplotlib.pyplot for SVG pictures whose bytes do not change from run to run. Settings are those of rcParams."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "tempera", **settings})
    from matplotlib import pyplot as found
    return found


def save(figure, path):
    """Writes a picture, without the date."""
    figure.savefig(path, metadata={"Date": None})
