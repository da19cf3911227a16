#!/usr/bin/env python3
"""How well a bilinear machine tells two kinds of factors apart, without labels.

On colours-positions (three colours times five positions): the mean absolute correlation of E[g] with the colour bits and of E[h] with
the position bits, units and bits matched one to one, of the test split; for the staged start with exact inference and with the mean
field, for a random start, and for a plain machine of as many filters, whose spikes are matched in the same way; and for cases in which
all patches have one sign, which makes slabs dependent, against the model. The best that any code
can do is about 0.95, since a bit cannot be seen where no factor of the other kind is on.

Needs numpy, scipy and h5py.
"""

import pathlib

import h5py
import numpy as np
from scipy.optimize import linear_sum_assignment

import lab

COMMON = ("--trainer sml --jump 0 --batch 100 --chains 100 --updates 20000 --lr 0.003 --schedule half-linear "
          "--filter-norm sphere --data-noise 1 --init-slab-precision 0.5 --init-spike-bias -2 --gibbs two-block --report-every 2000 --keep 0 "
          "--checkpoint-every 20000")
MACHINES = {
    "staged, exact": "--model bilinear-ssrbm --hidden 3,5 --init staged",
    "staged, mean field": "--model bilinear-ssrbm --hidden 3,5 --init staged --positive mean-field --positive-sweeps 20",
    "random start": "--model bilinear-ssrbm --hidden 3,5 --init 0.05",
    "staged, a sign for each case": "--model bilinear-ssrbm --hidden 3,5 --init staged",
    "plain ssRBM, 15 filters": "--model ssrbm --hidden 15 --init-spike-precision 0 --init 0.05",
}


def one_sign_for_each_case(tempera, path):
    """The same cases with the signs of their patches (3 rows of 3 columns, 4 apart) made equal: the noise is symmetric."""
    tempera("data", "colours-positions", "--out", path)
    draw = np.random.default_rng(0)
    with h5py.File(path, "r+") as file:
        for split in ("train", "valid", "test"):
            x = file[split]["x"][:].reshape(-1, 3, 3, 5, 4)
            x *= np.sign(x[..., :3].sum((2, 4)))[:, :, None, :, None]
            x *= draw.choice([-1, 1], len(x))[:, None, None, None, None]
            file[split]["x"][...] = x.reshape(len(x), -1)


def matched(codes, bits):
    """Mean absolute correlation under the best one-to-one assignment."""
    with np.errstate(invalid="ignore", divide="ignore"):
        table = np.abs(np.nan_to_num(np.corrcoef(codes.T, bits.T)[:codes.shape[1], codes.shape[1]:]))
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns]


def judge(path):
    with h5py.File(path) as file:
        test = {name: array[:] for name, array in file["test"].items()}
    labels = test["y"].astype(int)
    bits = (labels[:, None] >> np.arange(8) & 1).astype(float)
    both = (bits[:, :3].any(1) & bits[:, 3:].any(1))
    if "g" not in test:
        return float(matched(test["spikes"], bits).mean()), float(matched(test["spikes"][both], bits[both]).mean())

    def score(rows):
        # The two groups may have changed places.
        direct = np.concatenate([matched(test["g"][rows], bits[rows, :3]), matched(test["h"][rows], bits[rows, 3:])])
        return float(direct.mean())
    return score(slice(None)), score(both)


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(MACHINES), default=list(MACHINES))
    parser.add_argument("--features", type=pathlib.Path, help="PNG of the filters of the last staged machine")
    arguments = parser.parse_args()
    with lab.workspace() as folder:
        for name in arguments.only:
            found, data = [], "colours-positions"
            if name == "staged, a sign for each case":
                data = folder / "one-sign.h5"
                one_sign_for_each_case(arguments.tempera, data)
            for seed in range(1, 1 + arguments.seeds):
                run, codes = folder / "run", folder / "codes.h5"
                told = arguments.tempera("train", "--data", data, *COMMON.split(), *MACHINES[name].split(), "--seed", seed, "--out", run, "--force")
                arguments.tempera("encode", run, "--data", data, "--out", codes)
                found.append(judge(codes))
                if arguments.features and name == "staged, exact":
                    arguments.tempera("features", run, "--out", arguments.features)
            print(f"{name:26} {' '.join(f'{all_:.3f}' for all_, _ in found)}   both kinds on: "
                  f"{' '.join(f'{both:.3f}' for _, both in found)}   {told['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
