"""A run that was broken and went on leaves what an unbroken one leaves: every byte of its state, and every row of metrics.csv."""

import random
import shutil
import signal
import time
import unittest

import h5py
import numpy as np

from harness import BAD_DATA, FULL, CliTest, differences, has_pending_report, random_bits, read_metrics, run, start, state, write_data

# Trainers with all that they remember between two rows, one with a metric of its own, and one that validates.
RUNS = {
    "sml-apt": (),
    "sml-pt": ("--trainer", "sml-pt", "--rungs", 4, "--ensembles", 8, "--track-log-z", "shared", "--no-average"),
    "sml-ptt": ("--trainer", "sml-ptt",),
    "sml": ("--trainer", "sml", "--track-log-z"),
    "cd": ("--trainer", "cd"),
    "metric": ("--metric", "mfng", "--optimizer", "auto"),
}


def rows(directory):
    """metrics.csv without the seconds, which no two runs share."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_metrics(directory)]


class Resume(CliTest):
    def setUp(self):
        super().setUp()
        # Columns in groups that are on or off together, but for some: cases lie in clusters, which rows tell of.
        bits = np.repeat(random_bits(8, 120, 3), 4, axis=1) ^ (np.random.default_rng(9).random((120, 12)) < 0.1)
        write_data(self.dir / "d.h5", train=bits[:90], valid=bits[90:])

    def train(self, out, *more, hidden=6, updates=240):
        run("train", "--data", self.dir / "d.h5", "--hidden", hidden, "--updates", updates, "--batch", 30, "--chains", 30, "--report-every", 50,
            "--validate-every", 50, *more, "--out", self.dir / out, "--quiet")

    def same(self, broken, whole):
        self.assertEqual([path.name for path in (self.dir / broken).rglob("*.tmp-*")], [])
        self.assertEqual(rows(self.dir / broken), rows(self.dir / whole))
        for name in ("checkpoint.h5", "best.h5"):
            self.assertEqual((self.dir / broken / name).exists(), (self.dir / whole / name).exists(), name)
            if (self.dir / whole / name).exists():
                self.assertEqual(differences(self.dir / broken / name, self.dir / whole / name), [])


class Rows(Resume):
    def test_wherever_the_checkpoint_fell(self):
        for name, options in RUNS.items():
            options = tuple(option for option in options if option not in ("--optimizer", "auto"))
            self.train(name, *options, "--checkpoint-every", 37, "--keep", 20)
            for update in (37, 148, 185):
                with self.subTest(run=name, update=update):
                    broken = self.dir / f"{name}-{update}"
                    shutil.copytree(self.dir / name, broken)
                    shutil.copy(broken / "checkpoints" / f"{update}.h5", broken / "checkpoint.h5")
                    run("resume", broken, "--quiet")
                    self.same(broken.name, name)

    def test_jumps_of_few_columns_look_at_few_cases(self):
        self.train("a")
        with h5py.File(self.dir / "a" / "checkpoint.h5") as file:
            self.assertEqual(file["state/jumps"].attrs["filled"], 64)

    def test_planted_rows_tell_of_chains(self):
        # Else rows that are the same would tell nothing: R-hat, round trips and draws are there and differ from row to row.
        self.train("a")
        for column in ("r_hat", "round_trip_rate", "effective_sample_size", "cluster_variation"):
            self.assertGreater(len({row[column] for row in rows(self.dir / "a")}), 2, column)

    def test_rows_that_are_none_are_refused(self):
        self.train("a", "--checkpoint-every", 37, "--keep", 20)
        shutil.copy(self.dir / "a" / "checkpoints" / "148.h5", self.dir / "a" / "checkpoint.h5")
        path = self.dir / "a" / "metrics.csv"
        whole = path.read_text().splitlines(keepends=True)
        self.assertGreater(len(whole), 4)
        cut = whole[1].rsplit(",", 3)[0] + "\n"
        for words, lines in {
            "line 2": [whole[0], "garbage\n", *whole[1:]],
            "line 3": [whole[0], whole[1], cut, *whole[2:]],
            "line 3 ": [whole[0], whole[1], whole[1], *whole[2:]],
            "line 2 ": [whole[0], whole[1].replace("0.", "zero.", 1), *whole[2:]],
            "line 1": ["update,seconds\n", *whole[1:]],
        }.items():
            with self.subTest(lines=words):
                path.write_text("".join(lines))
                self.fails(BAD_DATA, "resume", self.dir / "a", mentions=("metrics.csv", words.strip()))
        # A last line that was cut short is the work of a kill, and is written again; without the file rows begin anew.
        path.write_text("".join(whole[:2]) + whole[2][:20])
        run("resume", self.dir / "a", "--quiet")


class Memory(Resume):
    def test_rows_do_not_depend_on_when_checkpoints_are_written(self):
        # Two modes that a tracker which rarely moves loses: what a checkpoint finds out of it must change no row.
        draw = np.random.default_rng(3)
        modes = np.repeat([[0] * 16, [1] * 16], 60, axis=0)
        bits = (modes ^ (draw.random(modes.shape) < 0.03)).astype(np.uint8)
        write_data(self.dir / "two.h5", train=bits[::2], valid=bits[1::2])
        found = {}
        for every in (7, 100000):
            run("train", "--data", self.dir / "two.h5", "--hidden", 8, "--updates", 600, "--batch", 30, "--chains", 30, "--report-every", 10,
                "--validate-every", 300, "--schedule", "constant", "--trainer", "sml", "--track-log-z", "--track-every", 100, "--lr", 0.3, "--jump", 0,
                "--checkpoint-every", every, "--out", self.dir / str(every), "--quiet")
            found[every] = rows(self.dir / str(every))
        self.assertEqual(found[7], found[100000])
        self.assertIn("0", {row["trusted"] for row in found[7]})  # else nothing was found out

    def test_a_best_model_that_cannot_be_read_costs_no_work(self):
        self.train("a")
        path = self.dir / "a" / "best.h5"
        path.write_bytes(path.read_bytes()[:3000])
        told = run("resume", self.dir / "a", "--updates", 400, "--schedule", "constant", "--lr", 1e-6).stderr
        self.assertIn("best.h5", told)
        self.assertEqual(state(self.dir / "a" / "checkpoint.h5")["update"], 400)

    def test_a_rate_that_is_asked_for_is_not_multiplied(self):
        self.train("a", "--lr", 0.01, "--early-rate", 8, "--checkpoint-every", 37, "--keep", 20)
        for more, highest in (((), 0.08), (("--lr", 0.001), 0.001), (("--lr", 0.001, "--early-rate", 8), 0.008)):
            copy = self.dir / f"c{len(more)}"
            shutil.copytree(self.dir / "a", copy)
            shutil.copy(copy / "checkpoints" / "37.h5", copy / "checkpoint.h5")
            run("resume", copy, *more, "--quiet")
            rates = [float(row["learning_rate"]) for row in rows(copy) if int(row["update"]) > 37]
            self.assertLessEqual(max(rates), highest)
            self.assertEqual(max(rates) > 0.001, highest > 0.001, "planted: with the factor it is more")

    def test_a_best_model_of_work_that_is_given_up_goes(self):
        self.train("a", "--checkpoint-every", 37, "--keep", 20)
        best = state(self.dir / "a" / "best.h5")["update"]
        self.assertGreater(best, 37)
        shutil.copy(self.dir / "a" / "checkpoints" / "37.h5", self.dir / "a" / "checkpoint.h5")
        run("resume", self.dir / "a", "--updates", 40, "--quiet")
        self.assertFalse((self.dir / "a" / "best.h5").exists() and state(self.dir / "a" / "best.h5")["update"] > 40)

    def test_a_stop_before_the_first_report_keeps_what_observers_know(self):
        bits = (np.random.default_rng(8).random((300, 100)) < 0.4).astype(np.uint8)
        write_data(self.dir / "big.h5", train=bits[:60], valid=bits[60:])
        run("train", "--data", self.dir / "big.h5", "--hidden", 8, "--updates", 40, "--trainer", "sml", "--batch", 60, "--chains", 30000, "--jump", 0,
            "--report-every", 2, "--validate-every", 2, "--patience", 1000, "--schedule", "constant", "--lr", 0.5, "--out", self.dir / "p", "--quiet")
        before = state(self.dir / "p" / "checkpoint.h5")["best_update"]
        unbroken = self.dir / "unbroken"
        shutil.copytree(self.dir / "p", unbroken)
        run("resume", unbroken, "--updates", 80, "--patience", 3, "--threads", 1, "--quiet")
        end = state(unbroken / "checkpoint.h5")["update"]
        for k in range(6):
            copy = self.dir / f"q{k}"
            shutil.copytree(self.dir / "p", copy)
            process = start("resume", copy, "--updates", 80, "--patience", 3, "--threads", 1)
            time.sleep(0.02 + 0.03 * k)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            found = state(copy / "checkpoint.h5")
            at_its_end = found["update"] == end
            done = at_its_end and not has_pending_report(copy / "checkpoint.h5")
            self.assertEqual(found["best_update"], state(unbroken / "checkpoint.h5")["best_update"] if done else before)
            # Settings may not have been there yet; where the run is done they would let it go further.
            run("resume", copy, *(() if at_its_end else ("--updates", 80, "--patience", 3)), "--threads", 1, "--quiet")
            self.assertEqual(differences(unbroken / "checkpoint.h5", copy / "checkpoint.h5"), [])
            self.assertEqual(state(unbroken / "checkpoint.h5"), state(copy / "checkpoint.h5"))


class Broken(Resume):
    """Kills and signals at random: a few, or with TEMPERA_FULL 200 and 100."""

    def broken_run(self, out, number, random_time):
        """Begins a run, ends it somewhere, and goes on until it is done; returns how often it was ended."""
        arguments = ("train", "--data", self.dir / "d.h5", "--hidden", 6, "--updates", 2400, "--batch", 30, "--chains", 30, "--report-every", 50,
                     "--checkpoint-every", 70, "--out", self.dir / out, "--quiet")
        ended = 0
        for _ in range(100):
            process = start(*arguments)
            time.sleep(random_time())
            process.send_signal(number)
            code = process.wait(timeout=60)
            if code == 0:
                return ended
            self.assertIn(code, (-number, 130, 143, 129), f"{out}: {code}")
            ended += 1
            if not (self.dir / out / "checkpoint.h5").exists():
                shutil.rmtree(self.dir / out, ignore_errors=True)
            else:
                arguments = ("resume", self.dir / out, "--quiet")
        self.fail(f"{out} was never done")

    def test_kills_and_signals_at_random(self):
        begin = time.monotonic()
        run("train", "--data", self.dir / "d.h5", "--hidden", 6, "--updates", 2400, "--batch", 30, "--chains", 30, "--report-every", 50,
            "--checkpoint-every", 70, "--out", self.dir / "whole", "--quiet")
        seconds = time.monotonic() - begin
        draw = random.Random(17)
        for number, wanted in ((signal.SIGKILL, 200 if FULL else 12), (signal.SIGTERM, 60 if FULL else 3), (signal.SIGINT, 20 if FULL else 2),
                               (signal.SIGHUP, 20 if FULL else 2)):
            ended = 0
            for k in range(10000):
                if ended >= wanted:
                    break
                out = f"{number.name}-{k}"
                ended += self.broken_run(out, number, lambda: draw.uniform(0.02, 0.6 * seconds))
                self.same(out, "whole")
                shutil.rmtree(self.dir / out)
            self.assertGreaterEqual(ended, wanted)


if __name__ == "__main__":
    unittest.main()
