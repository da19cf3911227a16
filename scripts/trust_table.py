#!/usr/bin/env python3
"""How often wrong estimates of log Z are trusted, and right ones are not: random machines against enumeration.

Machines are made of four kinds, with weights of scale 0.3 to 5; a third have a mode planted far from everything else. Every
method but enumeration then estimates log Z at its defaults. An estimate is *wrong* where it is off by more than five
standard errors and a tenth of a nat, or where its error bar is above half a nat. Intervals are Wilson's, 95 %.

    scripts/trust_table.py --machines 120
"""

import collections
import math

import h5py
import numpy as np

import lab

KINDS = ("bernoulli-rbm", "gaussian-rbm", "ssrbm", "dbm")
METHODS = ("ais", "bar", "mbar", "stepping-stone", "reverse-ais")
VISIBLE, HIDDEN = 24, 12


def planted(random, weights, visible_bias, hidden_bias, depth):
    """Adds a mode to a binary machine: a few hidden units that switch on together with a pattern of visibles."""
    on = random.choice(len(hidden_bias), 5, replace=False)
    pattern = random.choice(len(visible_bias), 12, replace=False)
    weights[np.ix_(pattern, on)] += depth
    hidden_bias[on] -= 0.75 * depth * len(pattern)
    visible_bias[pattern] -= 1.5


def machine(kind, seed):
    """Parameters and attributes of a random machine."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    scale = float(random.choice([0.3, 0.6, 1.0, 1.5, 2.5, 5.0]))
    plant = seed % 3 == 0

    def normal(*shape):
        return scale * random.normal(size=shape)

    if kind == "dbm":
        params = {"weights_1": normal(VISIBLE, HIDDEN) / 3, "weights_2": normal(HIDDEN, 6) / 2,
                  "bias_0": normal(VISIBLE), "bias_1": normal(HIDDEN), "bias_2": normal(6)}
        if plant:
            planted(random, params["weights_1"], params["bias_0"], params["bias_1"], 2.0)
        return scale, plant, params
    params = {"weights": normal(VISIBLE, HIDDEN) / 3, "visible_bias": normal(VISIBLE), "hidden_bias": normal(HIDDEN)}
    if plant and kind == "bernoulli-rbm":
        planted(random, params["weights"], params["visible_bias"], params["hidden_bias"], 2.0)
    if kind == "gaussian-rbm":
        params["visible_precision"] = np.ones(VISIBLE)
        if plant:
            # Units along one direction: together they move the mean far, and their bias forbids any one of them.
            params["weights"][:, :5] += 2.0 * random.normal(size=(VISIBLE, 1))
            params["hidden_bias"][:5] -= 0.4 * (params["weights"][:, :5].sum(1) ** 2).sum() / 5
    if kind == "ssrbm":
        filters = params.pop("weights")[:, :, None]
        params = {"weights": filters * np.sqrt(0.3 / (filters ** 2).sum()), "visible_bias": params["visible_bias"],
                  "visible_precision": np.ones(VISIBLE), "spike_bias": params["hidden_bias"],
                  "slab_mean": normal(HIDDEN, 1) * 2, "slab_precision": np.ones((HIDDEN, 1)),
                  "spike_precision": np.zeros((VISIBLE, HIDDEN))}
    return scale, plant, params


def write(path, kind, params):
    with h5py.File(path, "w") as file:
        file.create_group("/model").attrs["kind"] = kind
        for name, value in params.items():
            file[f"/model/params/{name}"] = value.astype(np.float32)


def wilson(hits, n):
    """Interval of a proportion."""
    if n == 0:
        return "none"
    z, p = 1.96, hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{hits} of {n}, {100 * max(0.0, middle - half):.1f} to {100 * min(1.0, middle + half):.1f} %"


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--machines", type=int, default=120, help="random machines of each kind")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    arguments = parser.parse_args()
    counts = collections.Counter()
    lawless = collections.Counter()
    with lab.workspace() as folder:
        for kind in KINDS:
            for seed in range(arguments.first, arguments.first + arguments.machines):
                path = folder / "m.h5"
                write(path, kind, machine(kind, seed)[2])
                try:
                    rows = arguments.tempera("loglik", path, "--method", "all", "--rounds", 500)["estimates"]
                except lab.Failed:
                    lawless[kind] += 1
                    continue
                exact = rows[0]["log_partition"]
                for row in rows[1:]:
                    off = abs(row["log_partition"] - exact)
                    bar = math.inf if row["log_partition_se"] is None else row["log_partition_se"]
                    wrong = not (off <= max(0.1, 5 * bar) and bar <= 0.5)
                    counts[kind, row["method"], wrong, row["trusted"]] += 1
    print("| kind | method | wrong and trusted | right and distrusted |\n|---|---|---|---|")
    for kind in (*KINDS, "all"):
        for method in METHODS:
            def total(wrong, trusted):
                return sum(n for (k, m, w, t), n in counts.items()
                           if (kind in (k, "all")) and m == method and w == wrong and t == trusted)
            print(f"| {kind} | {method} | {wilson(total(True, True), total(True, True) + total(True, False))} "
                  f"| {wilson(total(False, False), total(False, True) + total(False, False))} |")
    for kind, n in lawless.items():
        print(f"{kind}: {n} machines have no law")


if __name__ == "__main__":
    main()
