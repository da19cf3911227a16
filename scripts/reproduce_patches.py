#!/usr/bin/env python3
"""Exact likelihoods of natural 8 x 8 patches under machines of 12 latent units, beside what they must beat.

Patches are cut from the 16 x 16 ones of a file (split by image), dequantised, their means removed, and whitened on principal axes
with 1 % regularisation; a second table divides each by its contrast first. Figures are mean log-likelihoods of the test cases in
the whitened space, exact, for every seed. Baselines: the Gaussian of the train split, and a mixture of 8 Gaussians of one shape and
free scales, which knows contrast and nothing else.

Needs numpy and h5py, and the data set, which is not part of this project.
"""

import pathlib

import numpy as np

import lab

COMMON = ("--jump 0 --batch 100 --chains 100 --updates 20000 --lr 0.003 --schedule half-linear "
          "--init-spike-bias -1 --init-slab-precision 10 --report-every 1000 --keep 0 "
          "--checkpoint-every 20000")
PHI = "--model ssrbm --hidden 12 --init-spike-precision 0.3 --init-visible-precision 0.1"
MACHINES = {
    "Gaussian RBM": "--model gaussian-rbm --hidden 12 --init 0.05",
    "ssRBM, no Phi": "--model ssrbm --hidden 12 --init-spike-precision 0 --init 0.05",
    "ssRBM with Phi": PHI,
    "ssRBM with Phi, 2 slabs": PHI + " --slabs 2",
    "ssRBM with Phi, W = 0": PHI + " --init 0 --freeze weights",
    "ssRBM with Phi, CD-1": PHI + " --trainer cd",
}


def gaussian(train, test):
    mean, covariance = train.mean(0), np.cov(train.T)
    precision = np.linalg.inv(covariance)
    x = test - mean
    return float(np.mean(-0.5 * np.einsum("ni,ij,nj->n", x, precision, x)) - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1])


def scale_mixture(train, test, components=8, rounds=200):
    """EM for weights and scales of Gaussians with the covariance of the data."""
    covariance = np.cov(train.T)
    precision, size = np.linalg.inv(covariance), train.shape[1]
    log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
    radius = np.einsum("ni,ij,nj->n", train, precision, train)
    scale = np.quantile(radius / size, (np.arange(components) + 0.5) / components)
    weight = np.full(components, 1 / components)

    def logs(r):
        return np.log(weight) - 0.5 * (log_det + size * np.log(scale) + r[:, None] / scale)

    for _ in range(rounds):
        log = logs(radius)
        share = np.exp(log - log.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        weight = share.mean(0)
        scale = (share * radius[:, None]).sum(0) / share.sum(0) / size
    log = logs(np.einsum("ni,ij,nj->n", test, precision, test))
    top = log.max(1)
    return float(np.mean(top + np.log(np.exp(log - top[:, None]).sum(1))))


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--data", type=pathlib.Path,
                        help="bsds500_patches16.h5, where it is not in the folder of published data sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(MACHINES), default=list(MACHINES))
    parser.add_argument("--contrast", nargs="+", choices=["raw", "normalised"], default=["raw", "normalised"])
    arguments = parser.parse_args()
    data = arguments.data or lab.published("bsds500_patches16.h5")
    with lab.workspace() as folder:
        for contrast in arguments.contrast:
            patches = folder / f"{contrast}.h5"
            more = ["--contrast"] if contrast == "normalised" else []
            arguments.tempera("data", data, "--patches", "8x8", "--dequantise", "--remove-mean", *more, "--whiten", "pca",
                 "--whiten-regularisation", 0.01, "--out", patches)
            train, test = (array.astype(float) for array in lab.arrays(patches, "train/x", "test/x"))
            print(f"{contrast} contrast, {train.shape[1]} values: Gaussian {gaussian(train, test):.2f}, 8 scales {scale_mixture(train, test):.2f}",
                  flush=True)
            for name in arguments.only:
                found, acted = [], []
                for seed in range(1, 1 + arguments.seeds):
                    run = folder / "run"
                    trainer = [] if "--trainer" in MACHINES[name] else ["--trainer", "sml"]
                    told = arguments.tempera("train", "--data", patches, *COMMON.split(), *trainer, *MACHINES[name].split(), "--seed", seed,
                                "--out", run, "--force")
                    found.append(arguments.tempera("loglik", run, "--data", patches, "--method", "exact")["log_likelihood"])
                    acted.append(lab.metrics(run)[-1]["projections"])
                print(f"  {name:26} {' '.join(f'{x:8.2f}' for x in found)}   projections {' '.join(acted)}   {told['seconds']:.0f} s",
                      flush=True)


if __name__ == "__main__":
    main()
