"""The command line itself: help, version, the ranges of numbers, and the bench."""

import re
import resource
import subprocess
import unittest

from harness import BAD_CONFIG, QUICK, USAGE, CliTest, command_line, compare_datasets, random_rbm, run, run_json, train_args

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

    def test_every_command_has_all_its_help(self):
        for command in ("train", "resume", "loglik", "score", "sample", "features", "info", "import", "data", "prune", "encode", "bench"):
            short, long = run(command, "--help").stdout, run(command, "--help-all").stdout
            self.assertLessEqual(set(re.findall(r"--[a-z][a-z-]+", short)), set(re.findall(r"--[a-z][a-z-]+", long)), command)

    def test_no_message_lacks_the_name_of_its_option(self):
        # Those of options too that --help leaves out.
        for command in ("train", "loglik", "sample", "resume"):
            for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", run(command, "--help-all").stdout)) - {"--help", "--help-all"}):
                with self.subTest(command=command, option=option):
                    told = self.fails(USAGE, command, option, "1", option, "2").stderr
                    self.assertNotIn("error: :", told)

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

    def test_memory_that_runs_out_on_the_way_is_an_error(self):
        def limit(kilobytes):
            return lambda: resource.setrlimit(resource.RLIMIT_AS, (1024 * kilobytes, 1024 * kilobytes))

        codes = set()
        for kilobytes in range(150_000, 700_000, 50_000):
            words = command_line("train", "--data", "digits", "--binarize", "threshold", "--hidden", 2000, "--batch", 4000, "--chains", 20000, "--updates", 2,
                                 "--threads", 2, "--out", self.dir / "run", "--force", "--quiet")
            done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit(kilobytes), timeout=120)
            self.assertIn(done.returncode, (0, 70), done.stderr)
            if done.returncode == 70:
                self.assertIn("out of memory", done.stderr)
            codes.add(done.returncode)
        self.assertEqual(codes, {0, 70})

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
        for option in ("--lr", "--momentum", "--l1", "--l2", "--clip", "--init", "--decay-updates", "--early-rate"):
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
