#!/usr/bin/env python3
"""Data that lie in separated clusters: do models of them give every cluster its mass?

Each set is learned by persistent chains of 10 sweeps (PCD-10), by one sweep with jumps and by one sweep with a trajectory ladder
(sml-ptt), for the same number of updates. The clusters are those of k-means on the leading principal components of the
training cases. The table gives the total variation between the occupancy of the clusters by cases and by samples, from
chains that start at the reference machine (cold) and at cases (warm), which must agree; the verdict of `tempera
sample`; and the log-likelihood of the training cases, exact up to 20 hidden units, else by annealed importance sampling,
with the difference of log Z by Bennett's ratio along the trajectory where there is one. Needs h5py, numpy and
scikit-learn, and the data sets, which are not part of this project.
"""

import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from sklearn.cluster import KMeans

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETS = [("clusters_2d3c", 10, 3, 10000), ("clusters_2d3c", 50, 3, 5000), ("mickey", 50, 3, 5000), ("hgd_1000g_805", 100, 8, 5000)]
METHODS = {"PCD-10": ["--trainer", "sml", "--sweeps", "10"], "jumps": ["--trainer", "sml", "--jump", "1"],
           "trajectory": ["--trainer", "sml-ptt"]}
COMMON = ["--batch", "200", "--chains", "200", "--init", "0.05", "--lr", "0.02", "--schedule", "linear", "--threads", "1",
          "--quiet", "--keep", "0", "--json"]


class Clusters:
    def __init__(self, cases, n):
        self.mean = cases.mean(0)
        self.axes = np.linalg.svd(cases[:4000] - self.mean, full_matrices=False)[2][:4].T
        self.kmeans = KMeans(n, n_init=10, random_state=1).fit(self.project(cases))
        self.occupancy = self.of(cases)

    def project(self, x):
        return (x - self.mean) @ self.axes

    def of(self, x):
        return np.bincount(self.kmeans.predict(self.project(x)), minlength=self.kmeans.n_clusters) / len(x)

    def total_variation(self, x):
        return 0.5 * np.abs(self.of(x) - self.occupancy).sum()


def call(tempera, *words):
    done = subprocess.run([tempera, *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measure(tempera, folder, path, clusters, hidden, updates, method, seed):
    run = pathlib.Path(folder) / f"{path.stem}-{hidden}-{method}-{seed}"
    told = call(tempera, "train", "--data", path, "--hidden", hidden, "--updates", updates, "--seed", seed, "--out", run, *COMMON,
                *METHODS[method])
    likelihood = call(tempera, "loglik", run, "--data", path, "--split", "train", "--method", "exact" if hidden <= 20 else "ais",
                      "--threads", "1", "--quiet", "--json")
    variation, verdict, bennett = sampled(tempera, run, path, clusters, method)
    if bennett is not None:
        bennett = f"{bennett - likelihood['log_partition']:+.3f}"
    return (f"| {path.stem} | {hidden} | {method} | {seed} | {likelihood['log_likelihood']:.1f} +- "
            f"{likelihood['log_partition_se']:.2f} | {bennett or ''} | {variation[0]:.3f} | {variation[1]:.3f} | {verdict} | "
            f"{told['seconds']:.0f} |")


def sampled(tempera, run, path, clusters, method):
    """Total variation from cold and from warm starts, the verdict, and log Z where a trajectory gives it."""
    def sample(*words):
        out = run / "samples.h5"
        report = call(tempera, "sample", run, "--data", path, "--count", 4096, "--out", out, "--threads", "1", "--quiet", "--json",
                      *words)
        with h5py.File(out) as file:
            return file["samples/visible"][:].astype(np.float32), report

    if method == "trajectory":  # of every 64 ensembles, the first half start at cases
        x, report = sample("--ladder", "trajectory")
        warm = np.arange(len(x)) % 64 < 32
        return [clusters.total_variation(x[~warm]), clusters.total_variation(x[warm])], report["verdict"], report["log_partition"]
    words = ["--sweeps", "500"] + (["--jump", "0.2"] if method == "jumps" else [])
    cold, report = sample("--start", "reference", *words)
    warm, _ = sample("--start", "data", *words)
    return [clusters.total_variation(cold), clusters.total_variation(warm)], report["verdict"], None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where clusters_2d3c.h5, mickey.h5 and hgd_1000g_805.h5 are")
    parser.add_argument("--tempera", default=ROOT / "build/release/apps/tempera")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    print("| set | hidden | training | seed | log-likelihood (error of log Z) | Bennett | variation, cold | warm | verdict | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = []
        for name, hidden, n_clusters, updates in SETS:
            path = arguments.folder / f"{name}.h5"
            with h5py.File(path) as file:
                clusters = Clusters(file["train/x"][:].astype(np.float32), n_clusters)
            for seed in range(1, arguments.seeds + 1):
                for method in METHODS:
                    jobs.append(pool.submit(measure, arguments.tempera, folder, path, clusters, hidden, updates, method, seed))
        for job in jobs:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main()
