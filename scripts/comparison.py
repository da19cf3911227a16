"""What the comparisons with other libraries share. Import it before the library: it sets the number of threads."""

import os
import time

import lab

for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they may slow OpenBLAS down
    os.environ.pop(variable, None)
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"


def parser(description):
    """The options that both comparisons have."""
    made = lab.parser(description, threads=1)
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--data", help="HDF5 file with /train/x, 784 binary values; random ones where not given")
    made.add_argument("--json", action="store_true")
    return made


def seconds_of_one(run, count):
    """Seconds of one unit of work: the difference of two runs, so that reading and writing files does not count."""
    def seconds(units):
        begin = time.perf_counter()
        run(units)
        return time.perf_counter() - begin
    short = seconds(10)
    return (seconds(count + 10) - short) / count


def tempera_seconds(tempera, data_file, folder, updates, options):
    """Seconds per update."""
    return seconds_of_one(lambda count: tempera(
        "train", "--data", data_file, "--out", folder / "run", "--force", "--hidden", 500, "--trainer", "sml", "--batch", 100,
        "--chains", 100, "--updates", count, "--report-every", 1000000, "--checkpoint-every", 1000000, "--keep", 0,
        "--schedule", "constant", "--jump", 0, "--l2", 0, *options), updates)


def tempera_sweep_seconds(tempera, model, folder, chains, sweeps):
    """Seconds per sweep of all chains."""
    return seconds_of_one(lambda count: tempera("sample", model, "--count", chains, "--sweeps", count, "--out",
                                                folder / "samples.h5"), sweeps)


def cases(path):
    """10,000 binary cases of 784 values: of /train/x in an HDF5 file, or at random with the density of digits."""
    import numpy as np
    if path:
        return lab.arrays(path, "train/x")[0][:10000].astype(np.float32)
    return (np.random.default_rng(1).random((10000, 784)) < 0.13).astype(np.float32)
