#!/usr/bin/env python3
"""What you get if you type nothing: every set learned by `tempera train` without options but its name, its machine and its size.

For every set and seed: the mean log-likelihood of the test cases by `tempera loglik` at its defaults, that of independent units
beside it, the best that special settings are known to reach, the verdict of the run, how far the occupancy of clusters of
the data by samples (`tempera sample` at its defaults) is from the data's, and the seconds of training. Sets without a test
split are cut in five, one fifth of it; faces by person. Needs h5py and numpy, and the data sets, most of which are not part of
this project: rows whose set is absent are left out with a message.

    scripts/defaults_table.py --seeds 3 --first 11
"""

import pathlib

import h5py
import numpy as np

import lab

# Data, words of `train`, and the best known special setting: its mean test log-likelihood.
ROWS = {
    "adult": ("nade/adult.h5", "", -13.68),
    "connect4": ("nade/connect4.h5", "", -13.08),
    "dna": ("nade/dna.h5", "", -84.33),
    "mushrooms": ("nade/mushrooms.h5", "", -10.17),
    "web": ("nade/web.h5", "", -28.37),
    "nltcs": ("nltcs.h5", "--hidden 100", -5.996),
    "MNIST": ("mnist_binarized_sm.h5", "", -85.35),
    "MNIST, 2,000 cases": ("first", "", None),
    "MNIST 14x14": ("small", "--hidden 20", None),
    "clusters_2d3c, 10": ("clusters_2d3c.h5", "--hidden 10", -608.9),
    "clusters_2d3c, 50": ("clusters_2d3c.h5", "--hidden 50", -608.4),
    "mickey": ("mickey.h5", "--hidden 50", -657.8),
    "genome": ("hgd_1000g_805.h5", "--hidden 100", -395.0),
    "five modes": ("modes", "--hidden 10", -80.18),
    "Ising, L = 8": ("ising2d_L8_beta0.4406.h5", "--hidden 60", None),
    "Ising, L = 16": ("ising2d_L16_Tc.h5", "--hidden 256", None),
    "patches, Gaussian": ("patches", "--model gaussian-rbm --hidden 20", -87.84),
    "patches, ssRBM 12": ("patches", "--model ssrbm --hidden 12", -34.07),
    "patches, ssRBM 64": ("patches", "--model ssrbm --hidden 64", None),
    "Olivetti faces": ("olivetti", "--model gaussian-rbm --hidden 64", None),
    "Olivetti faces, ssRBM": ("olivetti", "--model ssrbm --hidden 64", None),
    "CMU faces": ("cmu", "--model gaussian-rbm --hidden 64", None),
    "CMU faces, ssRBM": ("cmu", "--model ssrbm --hidden 64", None),
    "digits, binary": ("digits", "--binarize threshold", None),
    "digits, Gaussian": ("digits", "--model gaussian-rbm --hidden 20", None),
    "wide": ("wide", "--hidden 400", None),
}


def held_out(x, groups=None):
    """Train and test: every fifth group is held out, or else a fifth of the cases, drawn once."""
    chosen = np.random.default_rng(0).permutation(len(x)) % 5 == 0 if groups is None else groups % 5 == 0
    return {"train": x[~chosen], "test": x[chosen]}


def wide():
    """4,000 cases of 40,000 binary columns, 12 % ones, made by 60 hidden causes: a size of recordings of whole brains."""
    draw = np.random.default_rng(60)
    loadings = draw.normal(size=(60, 40000)).astype(np.float32) * (draw.random((60, 40000)) < 0.05) * 2
    causes = (draw.random((4800, 60)) < 0.3).astype(np.float32)
    bias = np.float32(-2.3) + 0.5 * draw.normal(size=40000).astype(np.float32)
    x = draw.random((4800, 40000), dtype=np.float32) < 1 / (1 + np.exp(-((causes - 0.3) @ loadings + bias)))
    return {"train": x[:4000], "test": x[4000:]}


def made(name, path, tempera, folder):
    """Writes the data of a row to `path`."""
    if name == "patches":
        tempera("data", lab.published("bsds500_patches16.h5", folder), "--patches", "8x8", "--dequantise", "--remove-mean", "--whiten", "pca",
                "--whiten-regularisation", 0.01, "--out", path)
        return
    if name == "small":
        lab.small_digits(path, folder=folder)
        return
    if name == "wide":
        splits = wide()
    elif name == "first":
        with h5py.File(lab.published("mnist_binarized_sm.h5", folder)) as file:
            splits = {"train": file["train/x"][:2000], "valid": file["train/x"][2000:3000], "test": file["test/x"][:]}
    elif name == "olivetti":
        x, person = lab.arrays(lab.published("olivetti.h5", folder), "train/x", "train/y")
        splits = held_out(x.reshape(-1, 32, 2, 32, 2).mean((2, 4)).reshape(len(x), -1).astype(np.float32), person)
    elif name == "cmu":
        x, person = lab.arrays(lab.published("cmu_faces.h5", folder), "train/x", "train/person")
        splits = held_out(x.reshape(-1, 30, 32)[:, :, 1:31].reshape(len(x), -1).astype(np.float32), person)
    else:
        splits = held_out(lab.arrays(lab.published(name, folder), "train/x")[0])
    with h5py.File(path, "w") as file:
        for split, x in splits.items():
            file.create_dataset(f"{split}/x", data=x.astype(np.uint8) if x.dtype == bool else x)


def data_of(name, tempera, scratch, folder):
    """The file of a row, made where it is not one of those published; or the name of a built-in set."""
    if name in ("modes", "digits"):
        return name
    if not name.endswith(".h5") or name.startswith(("clusters", "mickey", "hgd")):
        path = scratch / (pathlib.Path(name).stem + "-made.h5")
        if not path.exists():
            made(name, path, tempera, folder)
        return path
    return lab.published(name, folder)


def measure(tempera, scratch, data, row, seed, more, sampling):
    _, words, _ = ROWS[row]
    run = scratch / f"run-{row}-{seed}".replace(" ", "")
    told = tempera("train", "--data", data, *words.split(), "--seed", seed, "--out", run, *more)
    found = tempera("loglik", run, "--data", data, "--split", "test")
    drawn = tempera("sample", run, "--data", data, "--count", 2000, "--seed", seed, "--out", scratch / f"{run.name}.h5", *sampling)
    (scratch / f"{run.name}.h5").unlink()
    return told, found, drawn


def cells(row, seed, told, found, drawn):
    best = ROWS[row][2]
    error = "" if found["method"] == "exact" else f" ± {found['log_partition_se']:.2f}"
    mixed = "mixed" if drawn["mixed"] else "not mixed"
    return (row, seed, f"{found['log_likelihood']:.2f}{error}{'' if found['trusted'] else ' (not trusted)'}",
            f"{found['independent_log_likelihood']:.2f}",
            f"{found['gaussian_log_likelihood']:.2f}" if found.get("gaussian_log_likelihood") is not None else "",
            "" if best is None else f"{best:.2f}",
            f"{drawn['cluster_variation']:.3f}, {mixed}" if "cluster_variation" in drawn else mixed, told.get("verdict", ""),
            f"{told['seconds']:.0f}")


def summary(rows):
    """A row for each set: least, median and largest of the seeds, as docs/results.md shows them."""
    lab.print_header("set", "test log-likelihood", "independent units", "full Gaussian", "best known", "variation of clusters", "mixed", "seconds")
    for name in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == name]
        values = sorted((row[2] for row in own), key=lambda text: float(text.split()[0]))
        spread = sorted(row[6].split(",")[0] for row in own if "," in row[6])
        mixed = sum("not mixed" not in row[6] for row in own)
        lab.print_row(name, f"{values[len(values) // 2]} ({values[0].split()[0]} to {values[-1].split()[0]})", own[0][3], own[0][4], own[0][5],
                      f"{spread[len(spread) // 2]} ({spread[0]} to {spread[-1]})" if spread else "", f"{mixed} of {len(own)}",
                      sorted((row[8] for row in own), key=float)[len(own) // 2])


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("--folder", help=lab.FOLDER_HELP)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=11)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--options", default="", help="more options of `tempera train`, for every row")
    parser.add_argument("--sampling", default="", help="more options of `tempera sample`, for every row")
    arguments = parser.parse_args()
    lab.print_header("set", "seed", "test log-likelihood", "independent units", "full Gaussian", "best known", "variation of clusters", "verdict",
                     "seconds")
    with lab.workspace() as scratch:
        cases = []
        for row in arguments.only:
            try:
                data = data_of(ROWS[row][0], arguments.tempera, scratch, arguments.folder)
            except SystemExit as absent:
                print(f"{row}: left out, {absent}", flush=True)
                continue
            for seed in range(arguments.first, arguments.first + arguments.seeds):
                cases.append((arguments.tempera, scratch, data, row, seed, arguments.options.split(), arguments.sampling.split()))

        def work(*case):
            try:
                return measure(*case)
            except lab.Failed as failed:
                return failed

        rows = []
        for case, result in zip(cases, lab.parallel(arguments.jobs, work, cases)):
            if isinstance(result, lab.Failed):
                lab.print_row(case[3], case[4], "", "", "", "", "", f"failed ({result.exit_code}): {str(result).splitlines()[-1]}", "")
            else:
                rows.append(cells(case[3], case[4], *result))
                lab.print_row(*rows[-1])
    print()
    summary(rows)


if __name__ == "__main__":
    main()
