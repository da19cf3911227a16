#!/usr/bin/env python3
"""How often wrong estimates of log Z are trusted, and right ones are not: random machines against enumeration.

Machines are made of four kinds, with weights of scale 0.3 to 5; a third have a mode planted that only chains at the coldest
betas could be in, and that none of them can reach. Every method but enumeration then estimates log Z at its defaults. An
estimate is *wrong* where it is off by more than five standard errors and a tenth of a nat, or where its error bar is above
half a nat. `auto` is what `loglik` would say by default were there no enumeration: `ais`, or `mode-ais` where that is larger by
more than three standard errors. Intervals are Wilson's, 95 %.

    scripts/trust_table.py --machines 40
"""

import collections
import math

import h5py
import numpy as np

import lab

KINDS = ("bernoulli-rbm", "gaussian-rbm", "ssrbm", "dbm")
METHODS = ("auto", "ais", "mode-ais", "bar", "mbar", "stepping-stone", "reverse-ais")
VISIBLE, HIDDEN, TOGETHER = 40, 12, 8


def plant_phase(random, weights, visible_bias, hidden_bias):
    """A phase in which some hidden units are all on and pin the visibles, which are free while they are off.

    Its weight grows with beta, the free visibles' entropy does not: it comes up near beta = 1, behind a barrier.
    """
    strength = random.uniform(0.4, 1.4)
    total = VISIBLE * math.log(2.0) + random.uniform(-2.0, 8.0)  # log-weight of the phase; that of the other is the first term
    visible_bias[:] = 0.1 * random.normal(size=VISIBLE)
    weights[:, :TOGETHER] = strength
    hidden_bias[:TOGETHER] = (total - VISIBLE * TOGETHER * strength) / TOGETHER


def plant_direction(random, weights, hidden_bias):
    """Units along one direction of real visibles: together they move the mean far, and their bias forbids any one of them."""
    direction = random.normal(size=VISIBLE)
    direction *= random.uniform(0.5, 1.5) / np.sqrt((direction ** 2).sum())
    weights[:, :TOGETHER] = direction[:, None] * 2.0
    gain = 0.5 * 4.0 * TOGETHER ** 2 * (direction ** 2).sum()  # of all of them together: |W h|^2 / 2
    hidden_bias[:TOGETHER] = (random.uniform(-2.0, 8.0) - gain) / TOGETHER


def machine(kind, seed):
    """Parameters of a random machine."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    scale = float(random.choice([0.3, 0.6, 1.0, 1.5, 2.5, 5.0]))
    plant = seed % 3 == 0

    def normal(*shape):
        return scale * random.normal(size=shape)

    if kind == "dbm":
        params = {"weights_1": normal(VISIBLE, HIDDEN) / 3, "weights_2": normal(HIDDEN, 6) / 2,
                  "bias_0": normal(VISIBLE), "bias_1": normal(HIDDEN), "bias_2": normal(6)}
        if plant:
            plant_phase(random, params["weights_1"], params["bias_0"], params["bias_1"])
            params["weights_2"][:TOGETHER] *= 0.1 / scale
        return params
    params = {"weights": normal(VISIBLE, HIDDEN) / 3, "visible_bias": normal(VISIBLE), "hidden_bias": normal(HIDDEN)}
    if kind == "bernoulli-rbm":
        if plant:
            plant_phase(random, params["weights"], params["visible_bias"], params["hidden_bias"])
        return params
    params["visible_precision"] = np.ones(VISIBLE)
    if plant:
        plant_direction(random, params["weights"], params["hidden_bias"])
    if kind == "ssrbm":
        # Slabs of high precision: a filter times its slab's mean is what a weight of a Gaussian machine is.
        precision = 50.0
        weights = params.pop("weights")[:, :, None]
        filters = weights * np.sqrt(0.3 * precision / (weights ** 2).sum())
        mean = np.sqrt((weights ** 2).sum() / (0.3 * precision))
        params["spike_bias"] = params.pop("hidden_bias")
        params.update(weights=filters, slab_mean=np.full((HIDDEN, 1), mean), slab_precision=np.full((HIDDEN, 1), precision),
                      spike_precision=np.zeros((VISIBLE, HIDDEN)))
    return params


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


def by_default(rows):
    """What `auto` would take of these estimates, were there no enumeration."""
    first, second = rows["ais"], rows["mode-ais"]
    error = math.hypot(first["log_partition_se"], second["log_partition_se"])
    return second if second["log_partition"] > first["log_partition"] + 3 * error else first


def estimates(tempera, folder, kind, seed):
    """Of every method whether it is wrong and whether it is trusted; nothing of a machine without a law."""
    path = folder / f"{kind}-{seed}.h5"
    write(path, kind, machine(kind, seed))
    try:
        found = {row["method"]: row for row in tempera("loglik", path, "--method", "all")["estimates"]}
    except lab.Failed:
        return kind, None
    found["auto"] = by_default(found)
    verdicts = {}
    for method in METHODS:
        row = found[method]
        off = abs(row["log_partition"] - found["exact"]["log_partition"])
        bar = math.inf if row["log_partition_se"] is None else row["log_partition_se"]
        verdicts[method] = (not (off <= max(0.1, 5 * bar) and bar <= 0.5), row["trusted"])
    return kind, verdicts


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("--machines", type=int, default=40, help="random machines of each kind")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    arguments = parser.parse_args()
    counts = collections.Counter()
    lawless = collections.Counter()
    with lab.workspace() as folder:
        cases = [(arguments.tempera, folder, kind, seed) for kind in KINDS
                 for seed in range(arguments.first, arguments.first + arguments.machines)]
        for kind, verdicts in lab.parallel(arguments.jobs, estimates, cases):
            if verdicts is None:
                lawless[kind] += 1
                continue
            for method, (wrong, trusted) in verdicts.items():
                counts[kind, method, wrong, trusted] += 1

    def total(kind, method, wrong, trusted):
        return sum(n for (k, m, w, t), n in counts.items()
                   if kind in (k, "all") and (m == method or (method == "all" and m != "auto")) and w == wrong and t == trusted)

    lab.print_header("kind", "method", "wrong and trusted", "right and distrusted")
    for kind in (*KINDS, "all"):
        for method in (*METHODS, "all"):
            lab.print_row(kind, method, *(
                wilson(total(kind, method, wrong, wrong), sum(total(kind, method, wrong, trusted) for trusted in (True, False)))
                for wrong in (True, False)))
    for kind, n in lawless.items():
        print(f"{kind}: {n} machines have no law")


if __name__ == "__main__":
    main()
