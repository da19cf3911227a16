"""The short form of the comparison on five modes: what it must find at any length."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/reproduce_apt.py"


class FiveModes(unittest.TestCase):
    def test_jumps_find_every_mode_and_plain_chains_do_not(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "results.json"
            subprocess.run([sys.executable, SCRIPT, "--tempera", os.environ["TEMPERA"], "--quick", "--json", out], check=True,
                           capture_output=True)
            results = {result["name"].split(" @")[0]: result for result in json.loads(out.read_text())}
        found, plain = results["five-modes.toml"], results["SML"]
        self.assertGreater(found["test"], -95)
        self.assertLess(found["largest_error"], 0.1)
        # The planted fault: without jumps or ladder, at a constant rate.
        self.assertLess(plain["test"], -200)
        self.assertGreater(plain["largest_error"], 0.3)
        self.assertGreater(results["SML-APT"]["last_quarter"], plain["last_quarter"])
        for result in results.values():
            self.assertAlmostEqual(sum(result["masses"]), 1, places=9)


if __name__ == "__main__":
    unittest.main()
