#!/usr/bin/env python3
"""Speed of tempera beside scikit-learn's BernoulliRBM, on one core, alternating in one run: minibatches of training per
second (the same algorithm: neither centred nor averaged), and chain-sweeps of Gibbs sampling per second, at 784 x 500. Then
scikit-learn's own example of a pipeline: digits nudged by a pixel, 100 hidden units, ten epochs, logistic regression; its machine, and
tempera.BernoulliRBM in its place. build/venv has what it needs, with the OpenBLAS of PyPI:

    PYTHONPATH=build/portable/python build/venv/bin/python scripts/compare_sklearn.py --tempera build/portable/apps/tempera
"""

import json
import statistics
import time

import comparison  # first: it sets the number of threads

import warnings

import numpy as np
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import minmax_scale

import lab
import tempera


def nudged_digits():
    """The digits of scikit-learn and each moved by a pixel in four directions, between 0 and 1."""
    x, y = load_digits(return_X_y=True)
    pictures = x.reshape(-1, 8, 8)
    moved = [np.stack([shift(picture, by, order=0) for picture in pictures]) for by in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))]
    return minmax_scale(np.concatenate(moved).reshape(-1, 64)), np.tile(y, 5)


def pipeline(machine, cases):
    """Seconds of fitting, and the part of the test cases that logistic regression on the hidden units tells right."""
    train, test, y_train, y_test = cases
    begin = time.perf_counter()
    machine.fit(train)
    seconds = time.perf_counter() - begin
    classifier = LogisticRegression(C=6000, max_iter=3000).fit(machine.transform(train), y_train)
    return seconds, classifier.score(machine.transform(test), y_test)


def pipelines(repeats):
    """(seconds, accuracy) of both machines, alternating over seeds, of as many hidden units and epochs: scikit-learn's settings of its
    example; tempera's defaults, chosen on seeds 4 to 6; and the defaults of `tempera train` for as many epochs."""
    warnings.simplefilter("ignore")
    cases = train_test_split(*nudged_digits(), test_size=0.2, random_state=0)
    found = {"scikit-learn": [], "tempera": [], "tempera, as train": []}
    for seed in range(repeats):
        settings = dict(n_components=100, n_iter=10, random_state=seed)
        found["scikit-learn"].append(pipeline(BernoulliRBM(learning_rate=0.06, **settings), cases))
        found["tempera"].append(pipeline(tempera.BernoulliRBM(n_jobs=1, **settings), cases))
        found["tempera, as train"].append(pipeline(tempera.BernoulliRBM(learning_rate=None, trainer=None, n_jobs=1, **settings), cases))
    return found


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
    found = pipelines(arguments.repeats)
    results["pipeline"] = {name: {"seconds": median(s for s, _ in runs), "accuracy": median(a for _, a in runs),
                                  "ratio": median(theirs / ours for (theirs, _), (ours, _) in zip(found["scikit-learn"], runs))}
                           for name, runs in found.items()}
    if arguments.json:
        print(json.dumps(results))
        return
    fit, gibbs = results["minibatches"], results["chain_sweeps"]
    print(f"a minibatch of 100: scikit-learn {fit['sklearn_ms']:.2f} ms, tempera {fit['tempera_ms']:.3f} ms: "
          f"{fit['ratio']:.1f} times as many per second")
    print(f"Gibbs sampling, 100 chains: scikit-learn {gibbs['sklearn_per_second']:.0f} chain-sweeps a second, tempera "
          f"{gibbs['tempera_per_second']:.0f}: {gibbs['ratio']:.1f} times")
    for name, of in results["pipeline"].items():
        print(f"pipeline, {name}: fitted in {of['seconds']:.2f} s ({of['ratio']:.1f} times as fast), {100 * of['accuracy']:.2f} % of the test cases right")


if __name__ == "__main__":
    main()
