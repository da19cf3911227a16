#!/usr/bin/env python3
"""Exact test log-likelihood against the density of the weights, for every criterion of `tempera prune`.

A machine of 20 hidden units learns 14 x 14 digits and is pruned in 20 rounds to a twentieth of its weights: as it is, and with 500 updates
of training after each round. Needs h5py, matplotlib and MNIST, which is not part of this project.
"""

import pathlib

import lab


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--data", help=lab.FOLDER_HELP)
    parser.add_argument("--figure", type=pathlib.Path, default=lab.ROOT / "docs/images/pruning.svg")
    arguments = parser.parse_args()
    figure, axes = lab.pyplot(**{"font.size": 8}).subplots(1, 2, figsize=(9, 3.4), sharey=True)
    with lab.workspace() as folder:
        data, run = folder / "digits.h5", folder / "run"
        lab.small_digits(data, folder=arguments.data)
        arguments.tempera("train", "--data", data, "--hidden", 20, "--trainer", "sml", "--jump", 0, "--l2", 0, "--lr", 1, "--schedule", "linear",
             "--updates", 20000, "--track-log-z", "none", "--out", run)
        for axis, refit in zip(axes, (0, 500)):
            for criterion in ("magnitude", "obd", "kl", "obs"):
                rounds = arguments.tempera("prune", run, "--density", 0.05, "--rounds", 20, "--refit", refit, "--criterion", criterion,
                              "--data", data, "--out", folder / "pruned.h5")["rounds"]
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
    lab.save(figure, arguments.figure)


if __name__ == "__main__":
    main()
