#!/usr/bin/env python3
"""Whether error bars of log Z that training tracks are true: many small machines, trained at the defaults, against enumeration.

Eight kinds of data are made anew for every run, and a machine of 8 to 16 hidden units is trained on each with nothing but
the defaults; enumeration during training is switched off. The value that was tracked is held against the exact one at the
end of training, at a report in the middle, and after `loglik --method tracked` has refreshed it. Every estimate counts,
trusted or not: z is the difference over the error bar.

    scripts/calibration.py --runs 25
"""

import collections
import math
import statistics

import h5py
import numpy as np

import lab

CASES, UPDATES, MIDDLE = 2000, 5000, 2500


def bars(random):
    """Lines of a 4 x 4 torus, each on with probability 0.2, and some noise."""
    rows, columns = random.random((CASES, 4)) < 0.2, random.random((CASES, 4)) < 0.2
    return (rows[:, :, None] | columns[:, None, :]).reshape(CASES, 16) ^ (random.random((CASES, 16)) < 0.02)


def clusters(random):
    """Noisy copies of six prototypes of 60 bits."""
    prototypes = random.random((6, 60)) < 0.3
    which = random.choice(6, CASES, p=random.dirichlet(2.0 * np.ones(6)))
    return prototypes[which] ^ (random.random((CASES, 60)) < 0.04)


def chain(random):
    """A Markov chain of 40 bits."""
    x = np.zeros((CASES, 40), bool)
    x[:, 0] = random.random(CASES) < 0.4
    for i in range(1, 40):
        x[:, i] = random.random(CASES) < np.where(x[:, i - 1], 0.8, 0.15)
    return x


def factors(random):
    """48 bits, each of which one in six hidden causes can switch on."""
    causes = random.random((CASES, 8)) < 0.3
    strength = (random.random((8, 48)) < 0.2) * random.uniform(0.6, 0.95, (8, 48))
    return random.random((CASES, 48)) < 1 - np.prod(1 - causes[:, :, None] * strength, axis=1)


def mixture(random):
    """Six Gaussians in 16 dimensions, of unequal weights."""
    centres = 2.0 * random.normal(size=(6, 16))
    which = random.choice(6, CASES, p=random.dirichlet(2.0 * np.ones(6)))
    return centres[which] + random.normal(size=(CASES, 16))


def sparse_causes(random):
    """24 dimensions that sparse causes of a heavy tail add up in, with noise."""
    causes = random.laplace(size=(CASES, 8)) * (random.random((CASES, 8)) < 0.3)
    return causes @ random.normal(size=(8, 24)) + 0.5 * random.normal(size=(CASES, 24))


# Name, cases, and the words that choose the machine.
KINDS = (
    ("bars", bars, ("--hidden", 12)),
    ("clusters", clusters, ("--hidden", 16)),
    ("chain", chain, ("--hidden", 14)),
    ("factors", factors, ("--hidden", 10)),
    ("deep", factors, ("--model", "dbm", "--hidden", "10,6")),
    ("mixture", mixture, ("--model", "gaussian-rbm", "--hidden", 12)),
    ("sparse causes", sparse_causes, ("--model", "ssrbm", "--hidden", 8)),
    ("bars with slabs", bars, ("--model", "binary-ssrbm", "--hidden", 8)),
)
AT = ("end", "middle", "refreshed")


def train(tempera, folder, kind, seed):
    """A trained machine and the three values with their errors, and the exact ones."""
    name, cases, words = KINDS[kind]
    run = folder / f"{kind}-{seed}"
    x = cases(np.random.default_rng([seed, kind]))
    with h5py.File(folder / f"{kind}-{seed}.h5", "w") as file:
        file["/train/x"] = x.astype(np.uint8 if x.dtype == bool else np.float32)
    tempera("train", "--data", folder / f"{kind}-{seed}.h5", *words, "--seed", seed, "--updates", UPDATES,
            "--checkpoint-every", MIDDLE, "--no-enumerate", "--out", run)
    found = {}
    for at, update in (("end", UPDATES), ("middle", MIDDLE)):
        path = run / f"checkpoints/{update}.h5"
        exact = tempera("loglik", path, "--method", "exact")["log_partition"]
        with h5py.File(path) as file:
            stored = file["/log_partition"].attrs
            found[at] = (stored["value"], stored["standard_error"], bool(stored.get("trusted", 1)), exact)
    new = tempera("loglik", run, "--method", "tracked", "--seed", seed)
    found["refreshed"] = (new["log_partition"], new["log_partition_se"], new["trusted"], found["end"][3])
    return name, found


def row(name, at, values):
    """Means and tails of z, how many were trusted, and the median error bar."""
    z = [(value - exact) / error for value, error, _, exact in values]
    far = sum(abs(x) > 3.5 for x in z)
    trusted = sum(trusted for _, _, trusted, _ in values)
    return (name, at, len(z), f"{statistics.mean(z):+.2f}", f"{statistics.stdev(z):.2f}" if len(z) > 1 else "",
            f"{far} ({100 * far / len(z):.1f} %)", f"{100 * trusted / len(z):.0f} %",
            f"{statistics.median(error for _, error, _, _ in values):.4f}",
            f"{max(z, key=abs):+.1f}")


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("--runs", type=int, default=25, help="of each kind")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    arguments = parser.parse_args()
    values = collections.defaultdict(list)
    with lab.workspace() as folder:
        cases = [(arguments.tempera, folder, kind, seed) for kind in range(len(KINDS))
                 for seed in range(arguments.first, arguments.first + arguments.runs)]
        for name, found in lab.parallel(arguments.jobs, train, cases):
            for at in AT:
                if not all(math.isfinite(x) for x in found[at]):
                    raise SystemExit(f"{name}: {at}: {found[at]}")
                values[name, at].append(found[at])
                values["all", at].append(found[at])
    lab.print_header("data", "at", "runs", "mean z", "deviation", "beyond 3.5", "trusted", "median error", "farthest")
    for name in (*(kind[0] for kind in KINDS), "all"):
        for at in AT:
            lab.print_row(*row(name, at, values[name, at]))


if __name__ == "__main__":
    main()
