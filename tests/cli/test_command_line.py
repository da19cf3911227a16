"""The command line itself: help, version, the ranges of numbers, and the bench."""

import unittest

from harness import BAD_CONFIG, QUICK, USAGE, CliTest, compare_datasets, random_rbm, run, run_json, train_args

COMMANDS = ("train", "resume", "loglik", "score", "sample", "features", "info", "data")


class Help(CliTest):
    def test_every_command_explains_itself(self):
        whole = run("--help").stdout
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertIn(command, whole)
                result = run(command, "--help")
                self.assertIn(f"tempera {command}", result.stdout)
                self.assertIn("--json", result.stdout)
                self.assertEqual(result.stderr, "")

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^tempera \d+\.\d+\.\d+\n$")

    def test_planted_every_help_is_another_one(self):
        said = {run(command, "--help").stdout for command in COMMANDS}
        self.assertEqual(len(said), len(COMMANDS))


class Bench(CliTest):
    def test_rows_are_ratios_to_a_yardstick_of_the_same_run(self):
        found = run_json("bench", "--only", "exact", "--seconds", 0, "--threads", 1)
        self.assertGreater(found["multiply_add_gflops"], 0)
        (row,) = found["rows"]
        self.assertEqual((row["row"], row["threads"]), ("exact", 1))
        self.assertGreater(min(row["ratio"], row["milliseconds"], row["yardstick_milliseconds"]), 0)

    def test_an_instruction_set_that_is_not_there(self):
        self.fails(USAGE, "bench", "--instructions", "abacus", mentions=["abacus"])


class Ranges(CliTest):
    HUGE = 9223372036854775807

    def setUp(self):
        super().setUp()
        self.model = random_rbm(1, 6, 5).write(self.dir / "model.h5")

    def test_samples_beyond_counting(self):
        for count in (100_000_000_000, self.HUGE, 0, -1):
            with self.subTest(count=count):
                self.fails(BAD_CONFIG, "sample", self.model, "--count", count, "--sweeps", 1, "--out",
                           self.dir / "s.h5", mentions=["count", count], timeout=QUICK)

    def test_a_count_in_scientific_notation(self):
        self.fails(USAGE, "sample", self.model, "--count", "1e11", "--sweeps", 1, "--out", self.dir / "s.h5",
                   mentions=["count"], timeout=QUICK)

    def test_estimates_beyond_memory(self):
        for option, value in (("--chains", 1_000_000_000_000), ("--chains", self.HUGE), ("--betas", self.HUGE),
                              ("--chains", 0), ("--chains", -1), ("--betas", -1)):
            with self.subTest(option=option, value=value):
                self.fails(BAD_CONFIG, "loglik", self.model, "--method", "ais", option, value,
                           mentions=[option.strip("-"), value], timeout=QUICK)

    def test_training_beyond_counting(self):
        for option, value in (("--chains", self.HUGE), ("--epochs", self.HUGE), ("--sweeps", self.HUGE),
                              ("--hidden", self.HUGE), ("--chains", -1), ("--epochs", -1), ("--sweeps", 0),
                              ("--batch", 0), ("--updates", -1), ("--keep", -1)):
            with self.subTest(option=option, value=value):
                self.fails(BAD_CONFIG, *train_args("bars-and-stripes", self.dir / "run", option, value),
                           mentions=[option.strip("-"), value], timeout=QUICK)

    def test_two_lengths(self):
        self.fails(USAGE, *train_args("bars-and-stripes", self.dir / "run", "--epochs", 3), mentions=["--updates", "--epochs"])

    def test_numbers_beyond_64_bits(self):
        for option in ("--chains", "--epochs", "--seed"):
            with self.subTest(option=option):
                self.fails((USAGE, BAD_CONFIG), *train_args("bars-and-stripes", self.dir / "run", option, 10**20),
                           mentions=[option.strip("-")], timeout=QUICK)

    def test_rates_that_are_no_rates(self):
        for option in ("--lr", "--momentum", "--l1", "--l2", "--clip", "--init", "--decay-updates"):
            for value in ("nan", -1):
                with self.subTest(option=option, value=value):
                    self.fails((USAGE, BAD_CONFIG),
                               *train_args("bars-and-stripes", self.dir / "run", f"{option}={value}"),
                               mentions=[option.strip("-")], timeout=QUICK)

    def test_a_batch_is_capped_at_the_data(self):
        for name, batch in (("huge", 1_000_000_000), ("whole", 1260)):
            run(*train_args("digits", self.dir / name, "--binarize", "threshold", "--chains", 100, batch=batch,
                            updates=5), timeout=QUICK)
        compare_datasets(self.dir / "huge" / "checkpoint.h5", self.dir / "whole" / "checkpoint.h5")


if __name__ == "__main__":
    unittest.main()
