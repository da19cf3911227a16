#!/usr/bin/env python3
"""What codes are worth to a linear classifier.

  digits   10, 30, 100 and 300 labelled digits (8 x 8), ten draws each, mean and standard deviation of the accuracy on the test split:
           raw pixels, principal components, a Gaussian restricted machine, spikes, spikes times slabs, and pooled norms of a machine
           with three slabs for each spike; all trained without labels on the train split
  faces    cmu_faces.h5 (not part of this project): person against pose and expression, decoded from E[g] and from E[h] of bilinear
           blocks, five splits of the cases

The classifier is ridge regression on +-1 labels, its strength chosen by leave-one-out error. Needs numpy and h5py.
"""

import pathlib

import h5py
import numpy as np

import lab

COMMON = "--trainer sml --jump 0 --batch 100 --chains 100 --schedule half-linear --report-every 5000 --keep 0 --checkpoint-every 100000"
MACHINES = {
    "Gaussian RBM": ("--model gaussian-rbm --hidden 100 --init 0.05 --updates 10000", ["hidden"]),
    "ssRBM": ("--model ssrbm --hidden 100 --init 0.05 --init-spike-precision 0.01 --init-slab-mean 1 --updates 10000", ["spikes", "spike_slab"]),
    "ssRBM, 3 slabs": ("--model ssrbm --hidden 50 --slabs 3 --init 0.05 --init-spike-precision 0.01 --init-slab-mean 1 --updates 10000", ["spikes", "pooled_norm"]),
}
FACES = {
    "10 blocks of 5 x 5": "--hidden 5,5 --blocks 10 --init 0.05 --filter-norm ball --init-slab-precision 2 --init-spike-bias -1 --updates 10000",
    "20 x 4, staged": "--hidden 20,4 --init staged --gibbs two-block --filter-norm sphere --init-slab-precision 2 --init-spike-bias -2 --updates 5000",
}


def classify(x, y, x_test, classes):
    """Labels of x_test by ridge regression; leave-one-out residuals in closed form choose the strength."""
    mean, scale = x.mean(0), x.std(0) + 1e-3 * x.std() + 1e-12
    x, x_test = (x - mean) / scale, (x_test - mean) / scale
    target = np.where(y[:, None] == classes, 1.0, -1.0)
    centre = target.mean(0)
    values, vectors = np.linalg.eigh(x @ x.T)
    projected = vectors.T @ (target - centre)
    best = None
    for strength in 10.0 ** np.arange(-3, 4.5, 0.5) * x.shape[1]:
        dual = vectors @ (projected / (values + strength)[:, None])
        error = np.mean((dual / ((vectors ** 2) @ (1 / (values + strength)))[:, None]) ** 2)
        if best is None or error < best[0]:
            best = (error, dual)
    return classes[np.argmax(x_test @ (x.T @ best[1]) + centre, 1)]


def floats(path, *names):
    return tuple(array.astype(float) for array in lab.arrays(path, *names))


def codes_of(path, names):
    return {name: floats(path, f"train/{name}", f"test/{name}") for name in names}


def digits(tempera, folder):
    raw, white = folder / "digits.h5", folder / "white.h5"
    tempera("data", "digits", "--out", raw)
    tempera("data", "digits", "--whiten", "pca", "--whiten-regularisation", 0.1, "--out", white)
    y, y_test = lab.arrays(raw, "train/y", "test/y")
    x, x_test = floats(white, "train/x", "test/x")
    features = {"raw pixels": floats(raw, "train/x", "test/x"), "30 principal components": (x[:, :30], x_test[:, :30])}
    for name, (options, codes) in MACHINES.items():
        tempera("train", "--data", white, *COMMON.split(), *options.split(), "--out", folder / "run", "--force")
        tempera("encode", folder / "run", "--data", white, "--out", folder / "codes.h5")
        for code, values in codes_of(folder / "codes.h5", codes).items():
            features[f"{name}: {code}"] = values
    classes = np.unique(y)
    for name, (x, x_test) in features.items():
        row = []
        for labels in (10, 30, 100, 300):
            accuracy = []
            for draw in range(10):
                order = np.random.default_rng(draw).permutation(len(y))
                # As many of each digit.
                chosen = np.concatenate([order[y[order] == c][:labels // len(classes)] for c in classes])
                accuracy.append(100 * np.mean(classify(x[chosen], y[chosen], x_test, classes) == y_test))
            row.append(f"{np.mean(accuracy):5.1f} ({np.std(accuracy, ddof=1):.1f})")
        print(f"{name:28} {'  '.join(row)}", flush=True)


def report_factors(name, code, factors):
    """One row: how often a linear classifier tells each factor from a code (cases x values); 400 cases train it."""
    row, code = [], code.astype(float)
    for factor, labels in factors.items():
        accuracy = []
        for draw in range(5):
            order = np.random.default_rng(draw).permutation(len(labels))
            train, test = order[:400], order[400:]
            found = classify(code[train], labels[train], code[test], np.unique(labels))
            accuracy.append(100 * np.mean(found == labels[test]))
        row.append(f"{factor} {np.mean(accuracy):5.1f} ({np.std(accuracy, ddof=1):.1f})")
    print(f"{name:36} {'  '.join(row)}", flush=True)


def faces(tempera, folder, path):
    names = ("person", "pose", "expression")
    x, *labels = lab.arrays(path, "train/x", *(f"train/{name}" for name in names))
    factors = {name: array.astype(int) for name, array in zip(names, labels)}
    with h5py.File(folder / "faces.h5", "w") as file:
        file["train/x"] = x.astype(np.float32)
        file.attrs["visible_shape"] = [30, 32]
    white = folder / "faces_white.h5"
    tempera("data", folder / "faces.h5", "--remove-mean", "--contrast", "--whiten", "pca", "--components", 100, "--whiten-regularisation",
         0.1, "--out", white)
    report_factors("whitened pixels", *lab.arrays(white, "train/x"), factors)
    for name, options in FACES.items():
        tempera("train", "--data", white, "--model", "bilinear-ssrbm", *options.split(), *COMMON.split(), "--out", folder / "run", "--force")
        tempera("encode", folder / "run", "--data", white, "--out", folder / "codes.h5")
        g, h, both = lab.arrays(folder / "codes.h5", "train/g", "train/h", "train/spike_slab")
        report_factors(f"{name}: spike x slab", both, factors)
        report_factors(f"{name}: E[g]", g, factors)
        report_factors(f"{name}: E[h]", h, factors)
        if h.shape[1] < g.shape[1]:
            for draw in range(3):
                some = np.random.default_rng(draw).choice(g.shape[1], h.shape[1], replace=False)
                report_factors(f"{name}: as many of E[g]", g[:, some], factors)


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--faces", type=pathlib.Path, help="cmu_faces.h5, where it is not in the folder of published data sets")
    parser.add_argument("--parts", nargs="+", choices=["digits", "faces"], default=["digits", "faces"])
    arguments = parser.parse_args()
    with lab.workspace() as folder:
        if "digits" in arguments.parts:
            digits(arguments.tempera, folder)
        if "faces" in arguments.parts:
            faces(arguments.tempera, folder, arguments.faces or lab.published("cmu_faces.h5"))


if __name__ == "__main__":
    main()
