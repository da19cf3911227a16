#!/usr/bin/env python3
"""Six binary data sets learned with log Z tracked, the model of a run chosen by the tracked validation likelihood.

For every set and seed: `tempera train` with a temperature ladder and early stopping (the best validation of the whole run, so the
rate decays to the end), then the mean log-likelihood of the test cases with log Z by the tracker's own chains, refreshed, and by
forward and reverse annealed importance sampling; exactly where there are few enough visible units. Below stand the figures of a
restricted Boltzmann machine with tracked log Z as published (Desjardins, Courville, Bengio 2011). Needs h5py and the data sets,
which are not part of this project: the five of Larochelle & Murray (2011) and nltcs, with their splits.
"""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Hidden units, updates and options of every set; what the paper reports.
SETS = {"adult": ("nade/adult.h5", 200, 30000, "--lr 0.3 --l1 3e-4 --batch 100 --chains 50 --ensembles 20", -15.24),
        "connect4": ("nade/connect4.h5", 300, 30000, "--lr 0.2 --l1 1e-4 --batch 100 --chains 50 --ensembles 20", -15.77),
        "dna": ("nade/dna.h5", 1000, 6000, "--lr 0.2 --l2 0.003 --batch 100 --chains 100 --init 0.1", -87.97),
        "mushrooms": ("nade/mushrooms.h5", 500, 18000, "--lr 0.2 --l1 3e-4 --batch 100 --chains 50 --ensembles 20", -10.49),
        "web": ("nade/web.h5", 150, 20000, "--lr 0.3 --l1 5e-5 --batch 100 --chains 50 --ensembles 40 --jump 0.1", -28.95),
        "nltcs": ("nltcs.h5", 100, 60000, "--lr 0.2 --batch 100 --chains 50 --ensembles 50", None)}
VALIDATIONS = 60
QUIET = ["--threads", "1", "--quiet", "--json"]


def call(tempera, *words):
    done = subprocess.run([tempera, *map(str, words), *QUIET], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measure(tempera, folder, data, name, seed, more):
    file, hidden, updates, options, _ = SETS[name]
    path, run = data / file, pathlib.Path(folder) / f"{name}-{seed}"
    told = call(tempera, "train", "--data", path, "--hidden", hidden, "--updates", updates, *options.split(), "--schedule", "linear",
                "--validate-every", updates // VALIDATIONS, "--patience", VALIDATIONS, "--report-every", updates // VALIDATIONS,
                "--checkpoint-every", updates, "--keep", 1, "--seed", seed, "--out", run, *more)
    result = {"set": name, "seed": seed, "hidden": hidden, "seconds": told["seconds"], "update": told["updates"],
              "validation": told["best_validation_log_likelihood"]}
    methods = ["tracked", "ais", "reverse-ais"] + (["exact"] if name == "nltcs" else [])
    for method in methods:
        found = call(tempera, "loglik", run, "--data", path, "--method", method)
        result[method] = found["log_likelihood"]
        result[method + "_se"] = found["log_partition_se"]
        result[method + "_trusted"] = found["trusted"]
    return result


def row(result):
    def of(method):
        doubt = "" if result[method + "_trusted"] else " (not trusted)"
        return f"{result[method]:.3f} ± {result[method + '_se']:.3f}{doubt}"

    apart = result["ais"] - result["reverse-ais"]
    error = (result["ais_se"] ** 2 + result["reverse-ais_se"] ** 2) ** 0.5
    exact = f"{result['exact']:.4f}" if "exact" in result else ""
    return (f"| {result['set']} | {result['hidden']} | {result['seed']} | {result['validation']:.2f} | {of('tracked')} | {of('ais')} | "
            f"{of('reverse-ais')} | {apart:+.3f} ({apart / error:+.1f} s.e.) | {exact} | {result['seconds']:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where nltcs.h5 and nade/adult.h5 ... are")
    parser.add_argument("--tempera", default=ROOT / "build/release/apps/tempera")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", default=",".join(SETS), help="names, separated by commas")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--options", default="", help="more options of `tempera train`, for every set")
    arguments = parser.parse_args()
    print("| set | hidden | seed | validation | test, tracked | test, AIS | test, reverse AIS | AIS less reverse AIS | test, exact | "
          "seconds of training |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(measure, arguments.tempera, folder, arguments.folder, name, seed, arguments.options.split())
                for name in arguments.sets.split(",") for seed in range(1, arguments.seeds + 1)]
        results = []
        for job in jobs:
            results.append(job.result())
            print(row(results[-1]), flush=True)
    print("\n| set | median of the test likelihoods, tracked | published, tracked |\n|---|---|---|")
    for name in arguments.sets.split(","):
        median = statistics.median(result["tracked"] for result in results if result["set"] == name)
        print(f"| {name} | {median:.3f} | {SETS[name][4] or ''} |")


if __name__ == "__main__":
    main()
