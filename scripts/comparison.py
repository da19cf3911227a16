"""What the comparisons with other libraries share. Import it before the library: it sets the number of threads."""

import os
import subprocess
import sys
import time

for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they may slow OpenBLAS down
    os.environ.pop(variable, None)
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"


def tempera_seconds(tempera, data_file, folder, updates, options):
    """Seconds per update: the difference of two runs, so that reading and writing files does not count."""
    def run(count):
        begin = time.perf_counter()
        done = subprocess.run([tempera, "train", "--data", data_file, "--out", f"{folder}/run", "--force", "--hidden", "500", "--trainer", "sml",
                               "--batch", "100", "--chains", "100", "--updates", str(count), "--report-every", "1000000",
                               "--checkpoint-every", "1000000", "--keep", "0", "--threads", "1", "--quiet", "--json",
                               "--schedule", "constant", *options], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return time.perf_counter() - begin
    short = run(10)
    return (run(updates + 10) - short) / updates


def tempera_sweep_seconds(tempera, model, folder, chains, sweeps):
    """Seconds per sweep of all chains: the difference of two runs."""
    def run(count):
        begin = time.perf_counter()
        subprocess.run([tempera, "sample", model, "--count", str(chains), "--sweeps", str(count), "--out",
                        f"{folder}/samples.h5", "--threads", "1", "--quiet"], check=True, capture_output=True)
        return time.perf_counter() - begin
    short = run(10)
    return (run(sweeps + 10) - short) / sweeps


def cases(path):
    """10,000 binary cases of 784 values: of /train/x in an HDF5 file, or at random with the density of digits."""
    import numpy as np
    if path:
        import h5py
        with h5py.File(path) as file:
            return np.asarray(file["train/x"][:10000], np.float32)
    return (np.random.default_rng(1).random((10000, 784)) < 0.13).astype(np.float32)
