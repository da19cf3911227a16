"""The tour of the README: its commands succeed in its order."""

import os
import pathlib
import subprocess
import sys
import unittest

TOUR = pathlib.Path(__file__).resolve().parents[2] / "scripts/tour"


class Tour(unittest.TestCase):
    def run_tour(self, *more):
        return subprocess.run([sys.executable, TOUR, "--tempera", os.environ["TEMPERA"], *more], capture_output=True, text=True, timeout=500)

    def test_every_command_succeeds(self):
        # The factors take a minute, the speeds of the machine another.
        done = self.run_tour("--run-only", "--leave-out", "factors", "bench")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
