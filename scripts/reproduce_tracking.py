#!/usr/bin/env python3
"""Six binary data sets learned with log Z tracked, the model of a run chosen by the tracked validation likelihood.

For every set and seed: `tempera train` with a temperature ladder and early stopping (the best validation of the whole run, so the
rate decays to the end), then the mean log-likelihood of the test cases with log Z by the tracker's own chains, refreshed, and by
forward and reverse annealed importance sampling; exactly where there are few enough visible units. Below stand the figures of a
restricted Boltzmann machine with tracked log Z as published (Desjardins, Courville, Bengio 2011). Needs h5py and the data sets,
which are not part of this project: the five of Larochelle & Murray (2011) and nltcs, with their splits.
"""

import statistics

import lab

# Hidden units, updates and options of every set; what the paper reports.
SETS = {"adult": ("nade/adult.h5", 200, 30000, "--lr 0.3 --l1 3e-4 --batch 100 --chains 50 --ensembles 20", -15.24),
        "connect4": ("nade/connect4.h5", 300, 30000, "--lr 0.2 --l1 1e-4 --batch 100 --chains 50 --ensembles 20", -15.77),
        "dna": ("nade/dna.h5", 1000, 6000, "--lr 0.2 --l2 0.003 --batch 100 --chains 100 --init 0.1", -87.97),
        "mushrooms": ("nade/mushrooms.h5", 500, 18000, "--lr 0.2 --l1 3e-4 --batch 100 --chains 50 --ensembles 20", -10.49),
        "web": ("nade/web.h5", 150, 20000, "--lr 0.3 --l1 5e-5 --batch 100 --chains 50 --ensembles 40 --jump 0.1", -28.95),
        "nltcs": ("nltcs.h5", 100, 60000, "--lr 0.2 --l2 0 --batch 100 --chains 50 --ensembles 50", None)}
VALIDATIONS = 60


def measure(tempera, folder, data, name, seed, more):
    file, hidden, updates, options, _ = SETS[name]
    path, run = lab.published(file, data), folder / f"{name}-{seed}"
    told = tempera("train", "--data", path, "--hidden", hidden, "--updates", updates, *options.split(), *([] if "--jump" in options else ["--jump", 0]), "--schedule", "linear",
                "--validate-every", updates // VALIDATIONS, "--patience", VALIDATIONS, "--report-every", updates // VALIDATIONS,
                "--checkpoint-every", updates, "--keep", 1, "--seed", seed, "--out", run, *more)
    result = {"set": name, "seed": seed, "hidden": hidden, "seconds": told["seconds"], "update": told["updates"],
              "validation": told["best_validation_log_likelihood"]}
    methods = ["tracked", "ais", "reverse-ais"] + (["exact"] if name == "nltcs" else [])
    for method in methods:
        found = tempera("loglik", run, "--data", path, "--method", method)
        result[method] = found["log_likelihood"]
        result[method + "_se"] = found["log_partition_se"]
        result[method + "_trusted"] = found["trusted"]
    return result


def row(result):
    """The cells of the table for one run."""
    def of(method):
        doubt = "" if result[method + "_trusted"] else " (not trusted)"
        return f"{result[method]:.3f} ± {result[method + '_se']:.3f}{doubt}"

    apart = result["ais"] - result["reverse-ais"]
    error = (result["ais_se"] ** 2 + result["reverse-ais_se"] ** 2) ** 0.5
    exact = f"{result['exact']:.4f}" if "exact" in result else ""
    return (result["set"], result["hidden"], result["seed"], f"{result['validation']:.2f}", of("tracked"), of("ais"), of("reverse-ais"),
            f"{apart:+.3f} ({apart / error:+.1f} s.e.)", exact, f"{result['seconds']:.0f}")


def main():
    parser = lab.parser(__doc__, threads=1)
    parser.add_argument("folder", nargs="?", help=lab.FOLDER_HELP)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", default=",".join(SETS), help="names, separated by commas")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--options", default="", help="more options of `tempera train`, for every set")
    arguments = parser.parse_args()
    lab.print_header("set", "hidden", "seed", "validation", "test, tracked", "test, AIS", "test, reverse AIS", "AIS less reverse AIS",
                     "test, exact", "seconds of training")
    results = []
    with lab.workspace() as folder:
        cases = [(arguments.tempera, folder, arguments.folder, name, seed, arguments.options.split())
                 for name in arguments.sets.split(",") for seed in range(1, arguments.seeds + 1)]
        for result in lab.parallel(arguments.jobs, measure, cases):
            results.append(result)
            lab.print_row(*row(result))
    print()
    lab.print_header("set", "median of the test likelihoods, tracked", "published, tracked")
    for name in arguments.sets.split(","):
        median = statistics.median(result["tracked"] for result in results if result["set"] == name)
        lab.print_row(name, f"{median:.3f}", SETS[name][4] or "")


if __name__ == "__main__":
    main()
