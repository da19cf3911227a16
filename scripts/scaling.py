#!/usr/bin/env python3
"""How an update scales with ranks: measured here, and predicted for a cluster (docs/scaling.md).

    scripts/scaling.py speed      one thread, two threads and two ranks, alternating: the tables of strong and weak scaling
    scripts/scaling.py costs      the parts of an update of every machine of the page, and the cost model for 1 to 1,024 ranks
    scripts/scaling.py delays     the model against 2, 4 and 8 ranks whose every call takes longer
    scripts/scaling.py memory     the peak of every rank of 40,000 x 400 units and 4,000 cases, and of others, predicted first (Debian's package time)

The program must have been linked with an MPI library: build/portable/tests/tempera_openmpi by default. Cases are random bits, since
what an update costs does not depend on what they mean. Times are differences of the column `seconds` of metrics.csv.
"""

import csv
import json
import math
import os
import pathlib
import statistics
import subprocess
import tempfile

import h5py
import numpy as np

import lab

LANES = 64  # chains of a block
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_hwloc_base_binding_policy": "none"}
CORES = os.cpu_count()
# The cluster that is predicted: a message takes so many seconds, a byte so many; several messages of one call overlap but for this.
LATENCY, BYTE, MESSAGE = 3e-6, 1 / 10e9, 5e-7

# name, options, visibles, numbers of parameters
MACHINES = (
    ("RBM 784-500", ["--hidden", 500], 784, 784 * 500),
    ("RBM 3072-4096", ["--hidden", 4096], 3072, 3072 * 4096),
    ("RBM 40,000-1,000", ["--hidden", 1000], 40_000, 40_000 * 1000),
    ("DBM 784-500-500", ["--model", "dbm", "--hidden", "500,500"], 784, 784 * 500 + 500 * 500),
    ("Potts 112 x 21-400", ["--model", "potts-rbm", "--hidden", 400], 112, 112 * 21 * 400),
    ("ssRBM 192-300", ["--model", "ssrbm", "--hidden", 300], 192, 192 * 300 * 2),
)


def cases(folder, visibles, options, n):
    """A file of random cases that suits the machine."""
    kind = "letters" if "potts-rbm" in options else "reals" if "ssrbm" in options else "bits"
    path = folder / f"{kind}-{visibles}-{n}.h5"
    if not path.exists():
        draw = np.random.default_rng(1)
        with h5py.File(path, "w") as file:
            if kind == "letters":
                file["train/x"] = draw.integers(0, 21, (n, visibles), dtype="u1")
                file.attrs["alphabet"] = "-ACDEFGHIKLMNPQRSTVWY"
            elif kind == "reals":
                file["train/x"] = draw.normal(size=(n, visibles)).astype("f4")
            else:
                file["train/x"] = (draw.integers(0, 7, (n, visibles), dtype="u1") == 0).astype("u1")
    return path


class Runner:
    def __init__(self, program, mpirun, folder):
        self.program, self.mpirun, self.folder = program, mpirun, folder

    def update(self, options, visibles, chains, *, ranks=1, threads=1, updates=200, delay=0.0):
        """Seconds of an update, and the calls and bytes of a rank in one."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            words = ["train", "--data", cases(self.folder, visibles, options, 4096), "--out", pathlib.Path(out) / "run", *options, "--trainer", "sml",
                     "--chains", chains, "--batch", chains, "--updates", updates, "--report-every", updates // 2, "--checkpoint-every", 10**9, "--keep", 0,
                     "--no-pictures", "--threads", threads, "--track-log-z", "none", "--jump", 0, "--json", "--quiet"]
            if "--lr" not in options:
                words += ["--lr", 1e-4]
            prefix = [self.mpirun, "-n", str(ranks)] if ranks > 1 else []
            done = subprocess.run([*prefix, str(self.program), *map(str, words)], capture_output=True, text=True,
                                  env={**ENVIRONMENT, "TEMPERA_CALL_DELAY": str(1e6 * delay)})
            if done.returncode != 0:
                raise SystemExit(done.stderr[-2000:])
            told = json.loads(done.stdout)
            with open(pathlib.Path(out) / "run/metrics.csv", newline="") as table:
                rows = [(int(row["update"]), float(row["seconds"])) for row in csv.DictReader(table)]
        seconds = (rows[-1][1] - rows[0][1]) / (rows[-1][0] - rows[0][0])
        return seconds, told.get("rank_calls", 0) / updates, told.get("rank_bytes", 0) / updates


def blocks_of(chains, ranks):
    """Blocks of the rank that has most."""
    return math.ceil(math.ceil(chains / LANES) / ranks)


def speed(run, arguments):
    options, visibles = MACHINES[0][1], MACHINES[0][2]
    lab.print_row("chains", "one thread, ms", "2 threads", "2 ranks", "ranks / threads")
    for chains in (512, 1024, 2048, 4096):
        times = {}
        for _ in range(arguments.repeats):
            for name, more in (("one", {}), ("threads", {"threads": 2}), ("ranks", {"ranks": 2})):
                times.setdefault(name, []).append(run.update(options, visibles, chains, **more)[0])
        one, threads, ranks = (statistics.median(times[name]) for name in ("one", "threads", "ranks"))
        ratio = statistics.median(a / b for a, b in zip(times["threads"], times["ranks"]))
        lab.print_row(chains, f"{1e3 * one:.1f}", f"{one / threads:.2f}x", f"{one / ranks:.2f}x", f"{ratio:.3f}")
    print("Weak scaling, chains in proportion to the cores:")
    lab.print_row("", "1,024 chains, one core", "2,048, 2 threads", "2,048, 2 ranks")
    weak = [statistics.median(run.update(options, visibles, chains, **more)[0] for _ in range(arguments.repeats))
            for chains, more in ((1024, {}), (2048, {"threads": 2}), (2048, {"ranks": 2}))]
    lab.print_row("ms", *(f"{1e3 * x:.1f}" for x in weak))


def parts_of(run, options, visibles, repeats, updates):
    """Seconds of an update that no rank is spared, and of a block of cases and a block of chains."""
    times = [[run.update(options, visibles, chains, updates=updates)[0] for chains in (512, 1024)] for _ in range(repeats)]
    small, large = (statistics.median(column) for column in zip(*times))
    block = (large - small) / (512 / LANES)
    return max(0.0, small - block * 512 / LANES), block


def predicted(serial, block, parameters, chains, ranks, calls):
    """Seconds of an update on a cluster, a core for each rank."""
    if ranks == 1:
        return serial + block * blocks_of(chains, 1)
    # Parts of the nodes of two sums to those who add them up, the gradient to all, and some calls of a few bytes.
    bytes_ = 3 * 4 * parameters * (ranks - 1) / ranks
    return serial + block * blocks_of(chains, ranks) + bytes_ * BYTE + calls * LATENCY * math.log2(ranks) + 2 * (ranks - 1) * MESSAGE


def costs(run, arguments):
    chains = 16384
    numbers = (1, 2, 4, 16, 64, 256, 1024)
    speed_ups = []
    lab.print_row("machine", "no rank spared, ms", "a block, ms", "calls", "MB of 2 ranks")
    for name, options, visibles, parameters in MACHINES:
        updates = 4 if parameters > 5e6 else 40
        serial, block = parts_of(run, options, visibles, 1 if parameters > 5e6 else arguments.repeats, updates)
        # What the start of a run takes is no part of an update.
        (_, few, few_bytes), (_, more, more_bytes) = (run.update(options, visibles, 512, ranks=2, updates=n) for n in (updates, 2 * updates))
        calls, bytes_ = 2 * more - few, 2 * more_bytes - few_bytes
        times = {n: predicted(serial, block, parameters, chains, n, calls) for n in range(1, 257)} | {
            n: predicted(serial, block, parameters, chains, n, calls) for n in numbers}
        ends = next((n for n in sorted(times) if n > 1 and times[1] / times[n] < n / 2), None)
        lab.print_row(name, f"{1e3 * serial:.2f}", f"{1e3 * block:.2f}", f"{calls:.0f}", f"{1e-6 * bytes_:.1f}")
        speed_ups.append([name, *(f"{times[1] / times[n]:.1f}x" for n in numbers), ends or "-"])
    lab.print_row("machine", *(f"{n}" for n in numbers), "does not pay from")
    for row in speed_ups:
        lab.print_row(*row)


def delays(run, arguments):
    options, visibles, parameters = MACHINES[0][1:]
    chains = 2048
    serial, block = parts_of(run, options, visibles, arguments.repeats, 40)
    all_blocks = blocks_of(chains, 1)
    lab.print_row("ranks", "delay, ms", "calls", "measured, ms", "predicted, ms", "ratio")
    for ranks in (2, 4, 8):
        without = statistics.median(run.update(options, visibles, chains, ranks=ranks, updates=20)[0] for _ in range(arguments.repeats))
        for delay in (0.0, 2e-3, 10e-3):
            measured, calls, bytes_ = run.update(options, visibles, chains, ranks=ranks, updates=20, delay=delay)
            # All ranks share these cores; so do the copies of what travels.
            busy = (serial * ranks + block * all_blocks + ranks * bytes_ / arguments.bandwidth) / min(ranks, CORES)
            told = busy + calls * delay
            measured = without if delay == 0.0 else measured
            lab.print_row(ranks, f"{1e3 * delay:.0f}", f"{calls:.0f}", f"{1e3 * measured:.1f}", f"{1e3 * told:.1f}", f"{measured / told:.2f}")


def memory_of_rank(visibles, hidden, n_cases, ranks, rank):
    """Bytes that a rank of a Bernoulli machine needs at its peak, beside those of a tiny one: what the page derives."""
    parameters = 4 * visibles * hidden
    values = n_cases * visibles
    left = values % parameters  # of the memory that reading took, what no array of parameters fits into
    summing = (1 + (ranks - 1) / ranks) * parameters  # its node, and its part of the others'
    checkpoint = 8 * parameters if rank == 0 else 0  # the file in memory, what it outgrew on the way, and the bytes that are written
    return values * (1 + 1 / 8) + left + 3 * parameters + max(summing, checkpoint)


def peaks(run, visibles, hidden, n_cases, ranks):
    """Bytes of every rank of a short run at their peaks."""
    path = cases(run.folder, visibles, ["--hidden", hidden], n_cases)
    script = run.folder / "timed.sh"
    script.write_text(f'#!/bin/sh\nexec /usr/bin/time -f %M -o "{run.folder}/peak.${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" "$@"\n')
    script.chmod(0o755)
    words = ["train", "--data", path, "--out", run.folder / f"memory-{visibles}-{hidden}-{n_cases}", "--hidden", hidden, "--trainer", "sml", "--chains", 512, "--batch", 512,
             "--updates", 3, "--no-pictures", "--threads", 1, "--track-log-z", "none", "--jump", 0, "--quiet", "--keep", 0]
    subprocess.run([run.mpirun, "-n", str(ranks), script, str(run.program), *map(str, words)], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return [1024 * int((run.folder / f"peak.{rank}").read_text().split()[-1]) for rank in range(ranks)]


def memory(run, arguments):
    ranks = 2
    base = peaks(run, 40, 4, 64, ranks)
    lab.print_row("units, cases", "rank", "predicted, MB", "measured, MB", "ratio")
    for visibles, hidden, n_cases in ((40_000, 400, 4000), (40_000, 400, 2000), (40_000, 800, 2000)):
        told = [base[rank] + memory_of_rank(visibles, hidden, n_cases, ranks, rank) for rank in range(ranks)]
        for rank, found in enumerate(peaks(run, visibles, hidden, n_cases, ranks)):
            lab.print_row(f"{visibles:,} x {hidden}, {n_cases:,}", rank, f"{1e-6 * told[rank]:.0f}", f"{1e-6 * found:.0f}", f"{found / told[rank]:.2f}")


def main():
    parser = lab.argparse.ArgumentParser(description=__doc__, formatter_class=lab.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "costs", "delays", "memory"))
    parser.add_argument("--program", type=pathlib.Path, default=lab.ROOT / "build/portable/tests/tempera_openmpi")
    parser.add_argument("--mpirun", default="mpirun.openmpi")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bandwidth", type=float, default=3e9, help="bytes a second between processes of this machine")
    arguments = parser.parse_args()
    with lab.workspace() as folder:
        {"speed": speed, "costs": costs, "delays": delays, "memory": memory}[arguments.what](Runner(arguments.program, arguments.mpirun, folder), arguments)


if __name__ == "__main__":
    main()
