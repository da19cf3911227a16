#!/usr/bin/env python3
"""Updates per second of tempera and of the same algorithm in PyTorch, on one core, alternating in one run.

Stochastic maximum likelihood on binary data, 784 x 500, batch and chains of 100, plain stochastic gradient: what a
careful user writes (float32, in-place, no Python loop inside an update). Debian: python3-torch, python3-h5py and libopenblas0
(without the last, torch multiplies with the slow reference BLAS).
"""

import json
import statistics
import time

import comparison  # first: it sets the number of threads

import numpy as np
import torch

import lab


class TorchRbm:
    def __init__(self, data, hidden, batch, rate, centred, averaged):
        self.data = torch.from_numpy(data)
        visible = data.shape[1]
        self.weights = 0.01 * torch.randn(visible, hidden)
        self.visible_bias = torch.zeros(visible)
        self.hidden_bias = torch.zeros(hidden)
        self.fantasy = (torch.rand(batch, hidden) < 0.5).float()
        self.batch, self.rate, self.first = batch, rate, 0
        self.centred = centred
        self.visible_offset = self.data.mean(0)
        self.hidden_offset = torch.full((hidden,), 0.5)
        self.average = [x.clone() for x in (self.weights, self.visible_bias, self.hidden_bias)] if averaged else None
        self.updates = 0

    def update(self):
        if self.first + self.batch > len(self.data):
            self.first = 0
        v = self.data[self.first:self.first + self.batch]
        self.first += self.batch
        h = torch.sigmoid_(torch.addmm(self.hidden_bias, v, self.weights))
        fantasy_v = torch.bernoulli(torch.sigmoid_(torch.addmm(self.visible_bias, self.fantasy, self.weights.t())))
        fantasy_mean = torch.sigmoid_(torch.addmm(self.hidden_bias, fantasy_v, self.weights))
        self.fantasy = torch.bernoulli(fantasy_mean)
        scale = self.rate / self.batch
        step_a = (v.sum(0) - fantasy_v.sum(0)).mul_(scale)
        step_c = (h.sum(0) - fantasy_mean.sum(0)).mul_(scale)
        if not self.centred:
            self.weights.addmm_(v.t(), h, alpha=scale).addmm_(fantasy_v.t(), fantasy_mean, alpha=-scale)
        else:
            step = torch.mm(v.t(), h).mul_(scale).addmm_(fantasy_v.t(), fantasy_mean, alpha=-scale)
            step.addr_(step_a, self.hidden_offset, alpha=-1).addr_(self.visible_offset, step_c, alpha=-1)
            step_a.addmv_(step, self.hidden_offset, alpha=-1)
            step_c.addmv_(step.t(), self.visible_offset, alpha=-1)
            self.weights.add_(step)
            self.hidden_offset.lerp_(h.mean(0), 0.01)
        self.visible_bias.add_(step_a)
        self.hidden_bias.add_(step_c)
        self.updates += 1
        if self.average:
            weight = min(1.0, 10.0 / (self.updates + 9.0))
            for mean, now in zip(self.average, (self.weights, self.visible_bias, self.hidden_bias)):
                mean.lerp_(now, weight)


def main():
    parser = comparison.parser(__doc__)
    parser.add_argument("--updates", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    data = comparison.cases(arguments.data)
    results = {}
    with lab.workspace() as folder, torch.inference_mode():
        data_file = folder / "data.npy"
        np.save(data_file, data.astype(np.uint8))
        for name, centred, options in (("plain", False, ["--no-centering", "--no-average"]),
                                       ("centred and averaged (the defaults of tempera)", True, [])):
            model = TorchRbm(data, 500, 100, 0.01, centred, centred)
            for _ in range(20):
                model.update()
            ours, theirs = [], []
            for _ in range(arguments.repeats):
                begin = time.perf_counter()
                for _ in range(arguments.updates // 4):
                    model.update()
                theirs.append((time.perf_counter() - begin) / (arguments.updates // 4))
                ours.append(comparison.tempera_seconds(arguments.tempera, data_file, folder, arguments.updates, options))
            ratio = statistics.median(t / o for t, o in zip(theirs, ours))
            results[name] = {"torch_ms": 1e3 * statistics.median(theirs), "tempera_ms": 1e3 * statistics.median(ours),
                             "ratio": ratio}
            if not arguments.json:
                print(f"{name}: torch {torch.__version__} {results[name]['torch_ms']:.3f} ms an update, tempera "
                      f"{results[name]['tempera_ms']:.3f} ms: {ratio:.2f} times the updates per second")
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
