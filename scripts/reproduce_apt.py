#!/usr/bin/env python3
"""Five modes of unequal mass (Desjardins, Courville, Bengio 2010): how
stochastic maximum likelihood, tempering and jumps learn them.

Every run trains 10 hidden units on `modes` (28 x 28, batches of 5) and follows the exact log-likelihood of 10,000 held-out
cases. The table gives its median over the last quarter of the updates, its last value, and the exact mass of every mode
under the model beside the true weights: a hidden state belongs to the mode nearest to its mean visibles, and its mass is
summed over all 1024 of them. Visit counts of chains would not do, since training moves the chains along.

No model can be better than -78.83 nats, minus the entropy of the source. Needs h5py and numpy; --figure needs matplotlib.
"""

import itertools
import json
import pathlib
import statistics

import numpy as np

import lab

WEIGHTS = np.array([.3314, .2262, .0812, .0254, .3358])
FLIPS = np.array([.0001, .0137, .0215, .0223, .0544])
CEILING = -78.826
PLAIN = ["--no-centering", "--no-average", "--schedule", "constant"]
TRAINERS = {
    "SML": ["--trainer", "sml", "--chains", "10", "--jump", "0"],
    "SML-PT 10": ["--trainer", "sml-pt", "--rungs", "10", "--chains", "10", "--jump", "0"],
    "SML-PT 50": ["--trainer", "sml-pt", "--rungs", "50", "--chains", "10", "--jump", "0"],
    "SML-APT": ["--trainer", "sml-apt", "--rungs", "10", "--chains", "10", "--jump", "0"],
    "SML-APT, paper mode": ["--trainer", "sml-apt", "--rungs", "10", "--chains", "10", "--jump", "0", "--ladder", "desjardins2010"],
    "SML-APT, 10 % jumps": ["--trainer", "sml-apt", "--rungs", "10", "--chains", "10", "--jump", "0.1"],
    "SML-PTT": ["--trainer", "sml-ptt", "--chains", "10", "--jump", "0"],
    "SML-PTT, 10 % jumps": ["--trainer", "sml-ptt", "--chains", "10", "--jump", "0.1"],
}


def find_modes(cases):
    """The five modes of the data, in the order of WEIGHTS."""
    centres = []
    for case in cases:
        if all(np.abs(case - other).sum() > 200 for other in centres):
            centres.append(case)
    centres = np.array(centres)
    nearest = np.abs(cases[:, None] - centres[None]).sum(2).argmin(1)
    modes = np.array([cases[nearest == k].mean(0) > .5 for k in range(len(centres))], float)
    weights = np.array([(nearest == k).mean() for k in range(len(centres))])
    flips = np.array([np.abs(cases[nearest == k] - modes[k]).mean() for k in range(len(centres))])
    order = min(itertools.permutations(range(5)), key=lambda p: (np.abs(weights[list(p)] - WEIGHTS)
                                                                + 5 * np.abs(flips[list(p)] - FLIPS)).sum())
    return modes[list(order)]


def mode_masses(path, modes):
    """Exact mass of each mode under a model of few hidden units."""
    names = (f"model/params/{name}" for name in ("weights", "visible_bias", "hidden_bias"))
    weights, visible_bias, hidden_bias = (array.astype(float) for array in lab.arrays(path, *names))
    n_hidden = len(hidden_bias)
    states = (np.arange(2 ** n_hidden)[:, None] >> np.arange(n_hidden) & 1).astype(float)
    inputs = visible_bias + states @ weights.T
    log_mass = states @ hidden_bias + np.logaddexp(0, inputs).sum(1)
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    mean = 1 / (1 + np.exp(-np.clip(inputs, -500, 500)))
    nearest = (mean @ (1 - 2 * modes).T + modes.sum(1)).argmin(1)
    return np.array([mass[nearest == k].sum() for k in range(len(modes))])


def train(tempera, folder, group, name, options, updates, seed, modes):
    """One run: its curve, and the exact masses at its end."""
    out = folder / f"{name}-{seed}".replace(" ", "_").replace("%", "")
    tempera("train", "--data", "modes", "--updates", updates, "--seed", seed, "--out", out, "--force", "--keep", 0, "--l2", 0,
            "--report-every", updates // 40, "--checkpoint-every", updates, "--validate-every", updates // 40, *options,
            # Else a tracked log Z would stand in the curve instead of the exact one.
            "--track-log-z", "none")
    rows = lab.metrics(out)
    curve = [(int(row["update"]), float(row["validation_log_likelihood"])) for row in rows]
    test = tempera("loglik", out, "--data", "modes", "--method", "exact")["log_likelihood"]
    masses = mode_masses(out / "checkpoint.h5", modes)
    return {"group": group, "name": name, "seed": seed, "updates": updates, "curve": curve, "masses": masses.tolist(),
            "last_quarter": statistics.median(value for update, value in curve if update > 0.75 * updates),
            "test": test, "largest_error": float(np.abs(masses - WEIGHTS).max()),
            "seconds": float(rows[-1]["seconds"])}


def draw(results, path):
    groups = sorted({result["group"] for result in results})
    figure, axes = lab.pyplot().subplots(1, len(groups), figsize=(4.2 * len(groups), 3.6), sharey=True, squeeze=False)
    names = list(dict.fromkeys(result["name"].split(" @")[0] for result in results))
    for axis, group in zip(axes[0], groups):
        for result in (r for r in results if r["group"] == group):
            name = result["name"].split(" @")[0]
            updates, values = zip(*result["curve"])
            gap = np.maximum(CEILING - np.array(values), 0.1)
            axis.plot(np.array(updates) / 1000, gap, color=f"C{names.index(name)}", lw=1,
                      label=name if result["seed"] == 1 else None)
        axis.set(title=group, xlabel="thousand updates", yscale="log")
        axis.grid(alpha=.3)
        axis.legend(fontsize=7)
    axes[0][0].set_ylabel("nats below the entropy bound")
    figure.tight_layout()
    lab.save(figure, path)


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("--quick", action="store_true", help="one learning rate, one seed, 20,000 updates (50,000 of configs/five-modes.toml)")
    parser.add_argument("--updates", type=int, default=200000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="trainers whose name begins like this, without configs/five-modes.toml")
    parser.add_argument("--rates", default="1e-1,1e-2,1e-3")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--figure", help="SVG file of the curves")
    parser.add_argument("--json", help="file for every curve and mass")
    arguments = parser.parse_args()
    updates, seeds, rates = arguments.updates, range(1, arguments.seeds + 1), arguments.rates.split(",")
    updates_of_config = updates
    if arguments.quick:
        updates, seeds, rates = 20000, [1], ["1e-2"]
        updates_of_config = 50000  # until its masses have settled
    config = ["--config", str(lab.ROOT / "configs/five-modes.toml")]
    results = []
    with lab.workspace() as folder:
        arguments.tempera("data", "modes", "--out", folder / "modes.h5")
        modes = find_modes(lab.arrays(folder / "modes.h5", "train/x")[0][:5000].astype(float))
        jobs = [(f"lr {rate}", f"{name} @{rate}", ["--hidden", "10", "--batch", "5", "--lr", rate, *PLAIN, *options],
                 updates, seed)
                for rate in rates for name, options in TRAINERS.items() for seed in seeds
                if not arguments.only or name.startswith(arguments.only)]
        if not arguments.only:
            jobs += [("configs/five-modes.toml", "five-modes.toml", config, updates_of_config, seed) for seed in seeds]
        lab.print_header("run", "seed", "last quarter", "test", f"masses (true {' '.join(f'{w:.3f}' for w in WEIGHTS)})", "seconds")
        for result in lab.parallel(arguments.jobs, lambda *job: train(arguments.tempera, folder, *job, modes), jobs):
            results.append(result)
            lab.print_row(result["name"], result["seed"], f"{result['last_quarter']:.1f}", f"{result['test']:.2f}",
                          " ".join(f"{m:.3f}" for m in result["masses"]), f"{result['seconds']:.0f}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results))
    if arguments.figure:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
