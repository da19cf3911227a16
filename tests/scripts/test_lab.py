"""What the scripts share (scripts/lab.py), and that every script that uses it explains itself."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import lab  # noqa: E402


class Command(unittest.TestCase):
    def setUp(self):
        self.tempera = lab.Tempera(os.environ["TEMPERA"], threads=1)

    def test_a_command_gives_its_json(self):
        self.assertEqual(self.tempera("data", "bars-and-stripes")["columns"], 16)

    def test_a_command_that_fails_says_why_and_ends_the_script(self):
        with self.assertRaises(SystemExit) as caught:
            self.tempera("info", "absent.h5")
        self.assertIsInstance(caught.exception, lab.Failed)
        self.assertEqual(caught.exception.exit_code, 66)
        self.assertIn("absent.h5", str(caught.exception))

    def test_several_trainings_at_once_answer_in_order(self):
        def train(seed, folder):
            self.tempera("train", "--data", "bars-and-stripes", "--hidden", 2, "--updates", 20, "--report-every", 10,
                         "--seed", seed, "--out", folder / str(seed))
            return seed, [row["update"] for row in lab.metrics(folder / str(seed))]

        with lab.workspace() as folder:
            found = list(lab.parallel(2, train, [(seed, folder) for seed in (3, 1, 2)]))
            (weights,) = lab.arrays(folder / "1/checkpoint.h5", "model/params/weights")
        self.assertEqual(found, [(seed, ["10", "20"]) for seed in (3, 1, 2)])
        self.assertEqual(weights.shape, (16, 2))
        self.assertFalse(folder.exists())

    def test_a_program_that_is_absent_is_named(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit):
            lab.parser("").parse_args(["--tempera", "/no/such/program"])
        self.assertIn("/no/such/program", said.getvalue())


class Published(unittest.TestCase):
    def test_the_variable_says_where_they_are(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, TEMPERA_BENCHMARK_DATA=folder):
            (pathlib.Path(folder) / "mnist.h5").touch()
            self.assertEqual(lab.published("mnist.h5"), pathlib.Path(folder) / "mnist.h5")
            with self.assertRaises(SystemExit) as caught:
                lab.published("absent.h5")
            self.assertIn("TEMPERA_BENCHMARK_DATA", str(caught.exception))
            self.assertIn("absent.h5", str(caught.exception))

    def test_a_folder_that_is_given_comes_first(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, TEMPERA_BENCHMARK_DATA="/no/such"):
            (pathlib.Path(folder) / "mnist.h5").touch()
            self.assertEqual(lab.published("mnist.h5", folder), pathlib.Path(folder) / "mnist.h5")


class Help(unittest.TestCase):
    def test_every_script_explains_itself(self):
        """Scripts that need a library that is not here are passed over."""
        explained = 0
        for script in sorted(SCRIPTS.glob("*.py")):
            if not script.name.startswith(("reproduce_", "compare_", "draw_")):
                continue
            with self.subTest(script=script.name):
                done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
                if "ModuleNotFoundError" in done.stderr:
                    continue
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("--tempera", done.stdout)
                explained += 1
        self.assertGreaterEqual(explained, 5)


if __name__ == "__main__":
    unittest.main()
