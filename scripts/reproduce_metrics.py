#!/usr/bin/env python3
"""Races of the metrics against well-tuned centred gradient ascent, and the table of metrics.

A point of a curve is a whole run: the rate decays linearly to 0 and the averaged model is judged, so that no method is caught half-way.
Every method has a grid of as many settings; the best one for a length is chosen with seed 1 and measured with others. Figures are mean
log-likelihoods of the test cases: by annealed importance sampling of 100 chains, whose effective fraction stands beside (a low one
flatters), exactly for 20 hidden units, a variational bound for the deep machine. Parts:

  table     every metric against the exact Fisher matrix of a published machine of 196 visible and 20 hidden units
  small     14 x 14 digits, 20 hidden units, exact; and the same digits with pixels inverted
  rbm       MNIST, 784-500, batch and chains 500
  dbm       MNIST, 784-400-100, batch and chains 256, five sweeps in each phase
  patches   a spike-and-slab machine of 12 spikes on 8 x 8 natural patches, contrast taken out, whitened; exact; beside Adam

Needs h5py and the data sets, which are not part of this project; --figure needs matplotlib.
"""

import collections
import json
import pathlib
import statistics

import lab

MNIST = "mnist_binarized_sm.h5"
COMMON = ["--trainer", "sml", "--track-log-z", "none", "--schedule", "linear", "--jump", "0", "--l2", "0"]


def rates(*values):
    return [f"--lr {value}" for value in values]


def damped(kind, *pairs):
    return [f"--metric {kind} --damping {damping} --lr {rate}" for damping, rate in pairs]


def bounded(kind, *pairs):
    return [f"--metric {kind} --damping {damping} --lr 1 --step kl --radius {radius}" for damping, radius in pairs]


# Machine, lengths in updates, and for every method its grid; methods with lengths of their own are slow.
Race = collections.namedtuple("Race", "options lengths methods")
RACES = {
    "small": Race("--hidden 20 --batch 500", [200, 500, 1000, 3000], {
        "centred": (rates(1, 2, 3, 5), None),
        "sample, joint": (damped("sample --fisher joint", (0.1, 0.2), (0.03, 0.1), (0.03, 0.2), (0.01, 0.1)), None),
        "sample, marginal": (damped("sample --fisher marginal", (0.1, 0.2), (0.03, 0.1), (0.03, 0.2), (0.01, 0.1)), None),
        "kfac": (bounded("kfac --fisher joint", (0.01, 0.01), (0.01, 0.1), (0.05, 0.01), (0.05, 0.1)), None),
        "ekfac": (bounded("ekfac --fisher joint", (0.05, 0.01), (0.05, 0.1), (0.1, 0.01), (0.1, 0.1)), None),
        "fang": (bounded("fang --fisher joint", (0.01, 0.01), (0.01, 0.1), (0.05, 0.01), (0.05, 0.1)), None),
        "diagonal": (bounded("diagonal --fisher joint", (0.01, 0.01), (0.01, 0.1), (0.05, 0.01), (0.05, 0.1)), None),
        "hybrid": (bounded("hybrid --fisher joint", (0.05, 0.01), (0.05, 0.03), (0.05, 0.1), (0.05, 0.3)), None)}),
    "rbm": Race("--hidden 500 --batch 500", [200, 350, 500, 1000], {
        "centred": (rates(0.3, 0.6, 0.9, 1.2), None),
        "sample, joint": (damped("sample --fisher joint", (0.1, 0.1), (0.1, 0.15), (0.2, 0.15), (0.2, 0.25)), None),
        "sample, marginal": (damped("sample --fisher marginal", (0.1, 0.1), (0.1, 0.15), (0.2, 0.15), (0.2, 0.25)), None),
        "kfac": (bounded("kfac --fisher joint", (0.02, 0.1), (0.02, 0.3), (0.05, 0.1), (0.05, 0.3)), [200]),
        "ekfac": (bounded("ekfac --fisher joint", (0.02, 0.1), (0.02, 0.3), (0.05, 0.1), (0.05, 0.3)), [200]),
        "fang": (bounded("fang --fisher joint", (0.02, 0.1), (0.02, 0.3), (0.05, 0.1), (0.05, 0.3)), [200]),
        "diagonal": (bounded("diagonal --fisher joint", (0.02, 0.1), (0.02, 0.3), (0.05, 0.1), (0.05, 0.3)), [200]),
        "tonga": (damped("tonga --fisher marginal", (0.1, 0.1), (0.1, 0.15), (0.2, 0.15), (0.2, 0.25)), [200]),
        "mfng": (damped("mfng --fisher marginal --metric-tolerance 0.01", (0.1, 0.1), (0.1, 0.15), (0.2, 0.15), (0.2, 0.25)), [200]),
        "hybrid": (bounded("hybrid --fisher joint", (0.2, 0.1), (0.2, 0.3), (0.5, 0.1), (0.5, 0.3)), [200, 500])}),
    "dbm": Race("--model dbm --hidden 400,100 --batch 256 --sweeps 5 --warmup 100", [1000, 2000], {
        "centred": (rates(0.2, 0.4, 0.6, 0.8), None),
        "sample, joint": (damped("sample --fisher joint", (0.05, 0.03), (0.05, 0.05), (0.1, 0.05), (0.1, 0.08)), None),
        "kfac": (bounded("kfac --fisher joint", (0.02, 0.03), (0.02, 0.1), (0.05, 0.03), (0.05, 0.1)), [1000])}),
    "patches": Race("--model ssrbm --hidden 12 --batch 100 --init-visible-precision 0.1", [300, 1000, 3000], {
        "adam": (rates(0.01, 0.03, 0.06, 0.1), None),
        "diagonal": (bounded("diagonal", (0.05, 0.01), (0.05, 0.03), (0.05, 0.1), (0.02, 0.1)), None),
        "kfac": (bounded("kfac", (0.05, 0.01), (0.05, 0.03), (0.05, 0.1), (0.2, 0.1)), None),
        "ekfac": (bounded("ekfac", (0.2, 0.003), (0.2, 0.01), (0.5, 0.01), (0.5, 0.03)), None),
        "sample": (bounded("sample", (0.1, 0.003), (0.3, 0.01), (1, 0.03), (1, 0.1)), None),
        "hybrid": (bounded("hybrid", (0.1, 0.003), (0.3, 0.01), (1, 0.03), (1, 0.1)), None)})}
PREPARED = ["--patches", "8x8", "--dequantise", "--remove-mean", "--contrast", "--whiten", "pca"]


def measure(tempera, folder, data, race, options, length, seed, betas):
    """(log-likelihood, effective fraction, seconds), or None where the run or its likelihood broke down."""
    run = folder / "run"
    how = ["--method", "exact"] if race in ("small", "patches") else ["--method", "ais", "--betas", betas, "--chains", 100]
    try:
        told = tempera("train", "--data", data, *COMMON, *RACES[race].options.split(), *options.split(), "--updates", length,
                       "--report-every", length, "--checkpoint-every", length, "--keep", 0, "--seed", seed, "--out", run, "--force")
        found = tempera("loglik", run, "--data", data, *how)
    except lab.Failed:
        return None
    return (found["log_likelihood"], found.get("effective_fraction", 1.0), told["seconds"])


def race(tempera, folder, data, name, seeds, betas, note):
    rows = []
    for method, (grid, own) in RACES[name].methods.items():
        for length in own or RACES[name].lengths:
            tried = {options: measure(tempera, folder, data, name, options, length, 1, min(betas, 3000)) for options in grid}
            able = {options: found[0] for options, found in tried.items() if found and found[1] > 0.02}
            if not able:
                note(f"{name} {method} {length}: every setting broke down")
                continue
            best = max(able, key=able.get)
            found = [measure(tempera, folder, data, name, best, length, seed, betas) for seed in range(2, 2 + seeds)]
            found = [one for one in found if one]
            if not found:
                continue
            row = {"race": name, "method": method, "updates": length, "options": best, "log_likelihoods": [one[0] for one in found],
                   "effective_fraction": min(one[1] for one in found), "seconds": statistics.median(one[2] for one in found),
                   "log_likelihood": statistics.median(one[0] for one in found)}
            rows.append(row)
            note(f"{name} {method:17} {length:5} {row['log_likelihood']:9.2f} [{min(row['log_likelihoods']):.2f}, "
                 f"{max(row['log_likelihoods']):.2f}] {row['seconds']:7.1f} s, effective {row['effective_fraction']:.2f}: {best}")
    return rows


def draw(rows, path):
    names = [name for name in RACES if any(row["race"] == name for row in rows)]
    figure, axes = lab.pyplot(**{"font.size": 8}).subplots(len(names), 2, figsize=(9, 3.2 * len(names)), squeeze=False)
    for line, name in zip(axes, names):
        for method in RACES[name].methods:
            own = [row for row in rows if row["race"] == name and row["method"] == method]
            if not own:
                continue
            for axis, key in zip(line, ("updates", "seconds")):
                axis.plot([row[key] for row in own], [row["log_likelihood"] for row in own], marker="o", markersize=3, label=method)
        values = sorted(row["log_likelihood"] for row in rows if row["race"] == name)
        for axis, key in zip(line, ("updates", "seconds")):
            axis.set_xscale("log")
            axis.set_xlabel(key)
            axis.set_ylim(values[-1] - 3 * (values[-1] - values[len(values) // 2]) - 1, values[-1] + 0.5)
            axis.grid(alpha=0.3)
        line[0].set_ylabel(f"{name}: test log-likelihood, nats")
        line[0].legend()
    figure.tight_layout()
    lab.save(figure, path)


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("--data", help=lab.FOLDER_HELP)
    parser.add_argument("--parts", nargs="+", choices=["table", *RACES], default=["table", *RACES])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--betas", type=int, default=10000)
    parser.add_argument("--only", help="a single method")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file of every row")
    parser.add_argument("--from", dest="earlier", nargs="+", type=pathlib.Path, default=[], help="JSON files of earlier rows to draw as well")
    parser.add_argument("--figure", type=pathlib.Path)
    arguments = parser.parse_args()

    def note(text):
        print(text, flush=True)

    rows = [row for path in arguments.earlier for row in json.loads(path.read_text())]
    if "table" in arguments.parts:
        note(arguments.tempera.text("bench", "--metrics", lab.published("models/mnist_196x20_exact.h5", arguments.data)))
    with lab.workspace() as folder:
        for name in [part for part in arguments.parts if part != "table"]:
            if arguments.only:
                kept = {arguments.only: RACES[name].methods[arguments.only]}
                RACES[name] = RACES[name]._replace(methods=kept)
            if name == "patches":
                patches = folder / "patches.h5"
                arguments.tempera("data", lab.published("bsds500_patches16.h5", arguments.data), *PREPARED, "--out", patches)
                rows += race(arguments.tempera, folder, patches, name, arguments.seeds, arguments.betas, note)
                continue
            if name != "small":
                rows += race(arguments.tempera, folder, lab.published(MNIST, arguments.data), name, arguments.seeds, arguments.betas, note)
                continue
            normal, inverted = folder / "normal.h5", folder / "inverted.h5"
            lab.small_digits(normal, folder=arguments.data)
            lab.small_digits(inverted, inverted=True, folder=arguments.data)
            found = race(arguments.tempera, folder, normal, name, arguments.seeds, arguments.betas, note)
            for row in [row for row in found if row["updates"] == RACES[name].lengths[-1]]:
                other = [measure(arguments.tempera, folder, inverted, name, row["options"], row["updates"], seed, 0)[0]
                         for seed in range(2, 2 + arguments.seeds)]
                row["inverted"] = statistics.median(other)
                note(f"inverted pixels, {row['method']}: {row['inverted']:.3f}, normal {row['log_likelihood']:.3f}")
            rows += found
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
