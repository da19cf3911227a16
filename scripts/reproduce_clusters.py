#!/usr/bin/env python3
"""Data that lie in separated clusters: do models of them give every cluster its mass?

Each set is learned, for the same number of updates, by persistent chains of 10 sweeps (PCD-10) as they are usually programmed
(no centring, no averaging, a constant rate) and as `sml` does by default, by one sweep with a temperature ladder (sml-apt), with
jumps, and with a trajectory ladder (sml-ptt). The clusters are those of k-means on the leading principal components of the
training cases. The table gives the total variation between the occupancy of the clusters by cases and by samples, drawn the way
the model was trained, from chains that start at the reference machine (cold) and at cases (warm), which must agree; the
verdict of `tempera sample`; and the mean log-likelihood of the training cases. That is exact for 10 hidden units. Beyond, log Z
is Bennett's along a trajectory ladder of the run's checkpoints whose replicas jump, and the difference that annealed importance
sampling makes stands beside it. Needs h5py, numpy and scikit-learn, and the data sets, which are not part of this project.
"""

import numpy as np
from sklearn.cluster import KMeans

import lab

SETS = [("clusters_2d3c", 10, 3, 10000, 0.02), ("clusters_2d3c", 50, 3, 10000, 0.02), ("mickey", 50, 3, 10000, 0.02),
        ("hgd_1000g_805", 100, 8, 20000, 0.01)]
METHODS = {"PCD-10, plain": ["--trainer", "sml", "--sweeps", "10", "--jump", "0", "--no-centering", "--no-average", "--schedule", "constant"],
           "PCD-10": ["--trainer", "sml", "--sweeps", "10", "--jump", "0", "--schedule", "linear"],
           "sml-apt": ["--trainer", "sml-apt", "--jump", "0", "--schedule", "linear"],
           "jumps": ["--trainer", "sml", "--jump", "1", "--schedule", "linear"],
           "sml-ptt": ["--trainer", "sml-ptt", "--jump", "0", "--schedule", "linear"]}
COMMON = ["--batch", "200", "--chains", "200", "--init", "0.05", "--l2", "0", "--checkpoint-every", "500", "--keep", "40"]


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


def measure(tempera, folder, path, clusters, hidden, updates, rate, method, seed):
    run = folder / f"{path.stem}-{hidden}-{method}-{seed}"
    told = tempera("train", "--data", path, "--hidden", hidden, "--updates", updates, "--lr", rate, "--seed", seed, "--out", run,
                *COMMON, *METHODS[method])
    likelihood = tempera("loglik", run, "--data", path, "--split", "train", "--method", "exact" if hidden <= 20 else "ais")
    x, report = sample(tempera, run, path, "--ladder", "trajectory", "--jump", "0.2")
    bennett = report["log_partition"] - likelihood["log_partition"]
    if hidden <= 20:
        likelihoods = f"{likelihood['log_likelihood']:.1f}", f"{bennett:+.3f}"
    else:
        likelihoods = f"{likelihood['log_likelihood'] - bennett:.1f}", f"{bennett:+.2f}"
    if method == "sml-ptt":
        x, report = sample(tempera, run, path, "--ladder", "trajectory")
        cold, warm = x[np.arange(len(x)) % 64 >= 32], x[np.arange(len(x)) % 64 < 32]
    elif method == "sml-apt":
        x, report = sample(tempera, run, path, "--ladder", "temperature")
        cold, warm = x[np.arange(len(x)) % 8 >= 4], x[np.arange(len(x)) % 8 < 4]
    else:
        words = ["--sweeps", "500"] + (["--jump", "0.2"] if method == "jumps" else [])
        cold, report = sample(tempera, run, path, "--start", "reference", *words)
        warm, _ = sample(tempera, run, path, "--start", "data", *words)
    return (path.stem, hidden, method, seed, *likelihoods, f"{clusters.total_variation(cold):.3f}",
            f"{clusters.total_variation(warm):.3f}", report["verdict"], f"{told['seconds']:.0f}")


def sample(tempera, run, path, *words):
    """Samples and what is said of them."""
    out = run / "samples.h5"
    report = tempera("sample", run, "--data", path, "--count", 4096, "--out", out, *words)
    return lab.arrays(out, "samples/visible")[0].astype(np.float32), report


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("folder", nargs="?", help=lab.FOLDER_HELP)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", default="", help="only sets whose name begins like this")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    lab.print_header("set", "hidden", "training", "seed", "log-likelihood", "log Z, Bennett less exact or AIS", "variation, cold", "warm",
                     "verdict", "seconds")
    with lab.workspace() as folder:
        cases = []
        for name, hidden, n_clusters, updates, rate in SETS:
            if not name.startswith(arguments.sets):
                continue
            path = lab.published(f"{name}.h5", arguments.folder)
            clusters = Clusters(lab.arrays(path, "train/x")[0].astype(np.float32), n_clusters)
            cases += [(arguments.tempera, folder, path, clusters, hidden, updates, rate, method, seed)
                      for seed in range(1, arguments.seeds + 1) for method in METHODS]
        for row in lab.parallel(arguments.jobs, measure, cases):
            lab.print_row(*row)


if __name__ == "__main__":
    main()
