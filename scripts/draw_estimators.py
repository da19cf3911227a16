#!/usr/bin/env python3
"""How every estimator of log Z fails, in one picture of machines whose log Z is known.

Exact log Z is that of enumeration. Above, a machine of 10 hidden units that has learned five separate modes (the built-in set
`modes`), whose path from beta = 0 has a first-order transition; below, one of 20 hidden units that has learned the digits.
Left: annealing with ever more betas. Middle: a tempering run of 500 rounds with ever more rungs. Right: log Z tracked while the
machine is trained, by the lattice and by particles alone. Error bars are two standard errors; hollow marks are estimates that
`tempera loglik` itself does not trust, and estimates that it refuses, since they give the data more than probability 1, are
absent. Needs matplotlib and h5py.
"""

import pathlib

import lab

SETS = {"modes": ["--data", "modes"], "digits": ["--data", "digits", "--binarize", "threshold"]}
TRAINING = {"modes": ["--hidden", 10, "--trainer", "sml", "--jump", 1, "--schedule", "linear", "--lr", 0.1],
            "digits": ["--hidden", 20, "--jump", 0, "--schedule", "constant", "--lr", 0.3]}
BETAS = [10, 30, 100, 300, 1000, 3000]
RUNGS = [2, 3, 4, 6, 10, 16]
CHECKPOINTS = 20
LARGEST = 1e3  # of an error bar that is infinite
IMPOSSIBLE = 70  # an estimate that gives distinct cases more than probability 1 is refused


def learn(tempera, out, data, updates, *words):
    tempera("train", *SETS[data], *TRAINING[data], "--batch", 100, "--l2", 0, "--updates", updates, "--report-every", updates // CHECKPOINTS,
         "--checkpoint-every", updates // CHECKPOINTS, "--keep", CHECKPOINTS, "--out", out, *words)
    return out


def draw_estimates(axes, tempera, run, data, exact, methods, option, values, *words):
    for shift, method in enumerate(methods):
        for value in values:
            try:
                found = tempera("loglik", run, *SETS[data], "--method", method, option, value, *words)
            except lab.Failed as failed:
                if failed.exit_code != IMPOSSIBLE:
                    raise
                continue
            bar = 2 * min(found["log_partition_se"] or LARGEST, LARGEST)
            axes.errorbar(value * (1 + 0.06 * (shift - 1)), found["log_partition"] - exact, bar, fmt="o", color=f"C{shift}", mfc=f"C{shift}" if found["trusted"] else "white", ms=4.5,
                          label=method if value == values[-1] else None)
    axes.set_xscale("log")


def draw_tracked(axes, tempera, run, label, colour):
    updates, errors, bars = [], [], []
    for row in lab.metrics(run):
        exact = tempera("loglik", run / "checkpoints" / f"{row['update']}.h5", "--method", "exact")["log_partition"]
        updates.append(int(row["update"]))
        errors.append(float(row["log_partition"]) - exact)
        bars.append(2 * float(row["log_partition_standard_error"]))
    axes.errorbar(updates, errors, bars, fmt="o", color=colour, ms=3, label=label)


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("--out", type=pathlib.Path, default=lab.ROOT / "docs/images/estimators.svg")
    arguments = parser.parse_args()
    figure, grid = lab.pyplot().subplots(2, 3, figsize=(13, 7), constrained_layout=True)
    with lab.workspace() as folder:
        for (annealing, ladders, tracking), data in zip(grid, SETS):
            run = learn(arguments.tempera, folder / data, data, 10000)
            exact = arguments.tempera("loglik", run, "--method", "exact")["log_partition"]
            draw_estimates(annealing, arguments.tempera, run, data, exact, ["ais", "reverse-ais", "raise"], "--betas", BETAS, "--rounds", 500)
            annealing.set(title=f"{data}: annealing", xlabel="betas", ylabel="error of log Z, nats")
            draw_estimates(ladders, arguments.tempera, run, data, exact, ["bar", "mbar", "stepping-stone"], "--rungs", RUNGS, "--rounds", 500)
            ladders.set(title=f"{data}: ladders, 500 rounds", xlabel="rungs")
            for colour, how in enumerate(["lattice", "smc"]):
                draw_tracked(tracking, arguments.tempera,
                             learn(arguments.tempera, folder / f"{data}-{how}", data, 4000, "--track-log-z", how), how,
                             f"C{colour}")
            tracking.set(title=f"{data}: tracked in training", xlabel="update")
            for axes in (annealing, ladders, tracking):
                axes.axhline(0, color="0.5", lw=0.8)
                axes.set_yscale("symlog", linthresh=0.1)
                axes.legend(frameon=False, fontsize=8)
    lab.save(figure, arguments.out)


if __name__ == "__main__":
    main()
