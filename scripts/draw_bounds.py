#!/usr/bin/env python3
"""Two trainings that lose a mode: what tracker and annealing say, what is certain, and what annealing from the modes finds.

Errors of log Z against the best that is known: enumeration for the digits; for `web`, which is too large, `mode-ais`. Hollow
marks are not trusted by the program itself.

    scripts/draw_bounds.py --out docs/images/bounds.svg
"""

import pathlib

import h5py

import lab

UPDATES, EVERY = 5000, 500
METHODS = ("tracked", "ais", "mode-ais")


def estimates(tempera, path, *words):
    """log Z and trust by every method at a checkpoint, the certified bound, and the exact value where there is one."""
    with h5py.File(path) as file:
        stored = file["/log_partition"].attrs
        found = {"tracked": (stored["value"], stored["standard_error"], bool(stored["trusted"]))}
    for method in METHODS[1:]:
        told = tempera("loglik", path, *words, "--method", method)
        found[method] = (told["log_partition"], told["log_partition_se"], told["trusted"])
    usual = tempera("loglik", path, *words)
    return found, told["log_partition_at_least"], usual["log_partition"]


def draw(axes, tempera, folder, title, data, *words):
    """Trains and draws one panel."""
    tempera("train", "--data", data, *words, "--jump", 0, "--l2", 0, "--schedule", "inverse", "--updates", UPDATES, "--checkpoint-every", EVERY, "--keep", UPDATES // EVERY,
            "--seed", 1, "--out", folder / title)
    axes.axhline(0, color="0.5", lw=0.8)
    labels = set()
    bounds = []
    for update in range(EVERY, UPDATES + 1, EVERY):
        found, bound, best = estimates(tempera, folder / title / f"checkpoints/{update}.h5")
        bounds.append(bound - best)
        for shift, method in enumerate(METHODS):
            value, error, trusted = found[method]
            axes.errorbar(update + 60 * (shift - 1), value - best, 2 * error, fmt="o", ms=4.5, color=f"C{shift}",
                          mfc=f"C{shift}" if trusted else "white", label=None if method in labels else method)
            labels.add(method)
    axes.plot(range(EVERY, UPDATES + 1, EVERY), bounds, color="0.3", lw=1, ls="--", label="certified bound")
    axes.set(title=title, xlabel="update", ylabel="log Z less the best known, nats")
    axes.set_yscale("symlog", linthresh=1)
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=lab.ROOT / "docs/images/bounds.svg")
    arguments = parser.parse_args()
    figure, (left, right) = lab.pyplot().subplots(1, 2, figsize=(12, 4.5), constrained_layout=True)
    with lab.workspace() as folder:
        draw(left, arguments.tempera, folder, "digits, gaussian-rbm, 20 hidden", "digits", "--model", "gaussian-rbm", "--hidden", 20)
        draw(right, arguments.tempera, folder, "web, bernoulli-rbm, 150 hidden", lab.published("nade/web.h5"), "--hidden", 150)
    lab.save(figure, arguments.out)


if __name__ == "__main__":
    main()
