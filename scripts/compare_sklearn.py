#!/usr/bin/env python3
"""Speed of tempera beside scikit-learn's BernoulliRBM, on one core, alternating in one run: minibatches of training per
second (the same algorithm: neither centred nor averaged), and chain-sweeps of Gibbs sampling per second, at 784 x 500.
Debian: python3-sklearn, python3-h5py and libopenblas0 (without it, NumPy multiplies with the slow reference BLAS)."""

import json
import statistics
import time

import comparison  # first: it sets the number of threads

import numpy as np
from sklearn.neural_network import BernoulliRBM

import lab


def main():
    parser = comparison.parser(__doc__)
    arguments = parser.parse_args()
    data = comparison.cases(arguments.data)
    fit_ours, fit_theirs, gibbs_ours, gibbs_theirs = [], [], [], []
    with lab.workspace() as folder:
        data_file = folder / "data.npy"
        np.save(data_file, data.astype(np.uint8))
        rbm = BernoulliRBM(n_components=500, batch_size=100, n_iter=1, learning_rate=0.01, random_state=1)
        rbm.fit(data[:200])
        for _ in range(arguments.repeats):
            begin = time.perf_counter()
            rbm.fit(data)
            fit_theirs.append((time.perf_counter() - begin) / (len(data) // 100))
            fit_ours.append(comparison.tempera_seconds(arguments.tempera, data_file, folder, 1000, ["--no-centering", "--no-average"]))
            v = data[:100]
            begin = time.perf_counter()
            for _ in range(50):
                v = rbm.gibbs(v)
            gibbs_theirs.append((time.perf_counter() - begin) / 50 / 100)
            gibbs_ours.append(comparison.tempera_sweep_seconds(arguments.tempera, folder / "run", folder, 100, 1000) / 100)
    median = statistics.median
    results = {"minibatches": {"sklearn_ms": 1e3 * median(fit_theirs), "tempera_ms": 1e3 * median(fit_ours),
                               "ratio": median(t / o for t, o in zip(fit_theirs, fit_ours))},
               "chain_sweeps": {"sklearn_per_second": 1 / median(gibbs_theirs), "tempera_per_second": 1 / median(gibbs_ours),
                                "ratio": median(t / o for t, o in zip(gibbs_theirs, gibbs_ours))}}
    if arguments.json:
        print(json.dumps(results))
        return
    fit, gibbs = results["minibatches"], results["chain_sweeps"]
    print(f"a minibatch of 100: scikit-learn {fit['sklearn_ms']:.2f} ms, tempera {fit['tempera_ms']:.3f} ms: "
          f"{fit['ratio']:.1f} times as many per second")
    print(f"Gibbs sampling, 100 chains: scikit-learn {gibbs['sklearn_per_second']:.0f} chain-sweeps a second, tempera "
          f"{gibbs['tempera_per_second']:.0f}: {gibbs['ratio']:.1f} times")


if __name__ == "__main__":
    main()
