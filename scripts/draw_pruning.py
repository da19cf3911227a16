#!/usr/bin/env python3
"""Exact test log-likelihood against the density of the weights, for every criterion of `tempera prune`.

A machine of 20 hidden units learns 14 x 14 digits and is pruned in 20 rounds to a twentieth of its weights: as it is, and with 500 updates
of training after each round. Needs h5py, matplotlib and MNIST, which is not part of this project.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import matplotlib
from reproduce_metrics import small_digits

matplotlib.use("svg")
from matplotlib import pyplot

ROOT = pathlib.Path(__file__).resolve().parent.parent


def call(tempera, *words):
    done = subprocess.run([tempera, *map(str, words), "--quiet", "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tempera", default=ROOT / "build/release/apps/tempera")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--figure", type=pathlib.Path, default=ROOT / "docs/images/pruning.svg")
    arguments = parser.parse_args()
    matplotlib.rcParams.update({"svg.hashsalt": "tempera", "font.size": 8})
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    with tempfile.TemporaryDirectory() as folder:
        data, run = pathlib.Path(folder) / "digits.h5", pathlib.Path(folder) / "run"
        small_digits(arguments.data / "mnist.h5", data, False)
        call(arguments.tempera, "train", "--data", data, "--hidden", 20, "--trainer", "sml", "--lr", 1, "--schedule", "linear",
             "--updates", 20000, "--track-log-z", "none", "--out", run)
        for axis, refit in zip(axes, (0, 500)):
            for criterion in ("magnitude", "obd", "kl", "obs"):
                rounds = call(arguments.tempera, "prune", run, "--density", 0.05, "--rounds", 20, "--refit", refit, "--criterion", criterion,
                              "--data", data, "--out", pathlib.Path(folder) / "pruned.h5")["rounds"]
                axis.plot([row["density"] for row in rounds], [row["log_likelihood"] for row in rounds], marker=".", label=criterion)
                half = min(rounds, key=lambda row: abs(row["density"] - 0.5))
                print(f"refit {refit}, {criterion}: whole {rounds[0]['log_likelihood']:.3f}, density {half['density']:.2f} "
                      f"{half['log_likelihood']:.3f}, {rounds[-1]['density']:.2f} {rounds[-1]['log_likelihood']:.3f}")
            axis.set_title("refitted after each round" if refit else "not refitted")
            axis.set_xlabel("density of the weights")
            axis.set_xscale("log")
            axis.set_ylim(-50, -34)
            axis.grid(alpha=0.3)
            axis.legend()
    axes[0].set_ylabel("test log-likelihood, nats")
    figure.tight_layout()
    figure.savefig(arguments.figure, metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
