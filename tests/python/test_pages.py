"""The Python blocks of the documentation and the examples, each as it stands there."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(text, folder):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", text], cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"}, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout, done.stderr


class Pages(unittest.TestCase):
    def test_the_blocks_of_the_python_page_run_one_after_the_other(self):
        blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/python.md").read_text(), flags=re.MULTILINE | re.DOTALL)
        self.assertGreater(len(blocks), 7)
        with tempfile.TemporaryDirectory() as folder:
            code, said, errors = run("\n".join(blocks), folder)
            self.assertEqual(code, 0, errors)
            self.assertIn("did you mean hidden", said)
            for picture in ("filters.pdf", "curves.svg"):
                self.assertGreater((pathlib.Path(folder) / picture).stat().st_size, 5000)
            # The command finds the same figure, to the last digit.
            told = subprocess.run([os.environ["TEMPERA"], "loglik", "runs/digits", "--data", "digits", "--json"], cwd=folder, capture_output=True, text=True)
            value = re.search(r'"log_likelihood":(-[\d.]+)', told.stdout)[1]
            self.assertIn(f"{float(value):.4f} +- ", said)

    def test_every_example_runs(self):
        examples = sorted((ROOT / "examples").glob("*.py"))
        self.assertGreaterEqual(len(examples), 3)
        for example in examples:
            with self.subTest(example=example.name), tempfile.TemporaryDirectory() as folder:
                code, _, errors = run(example.read_text(), folder)
                self.assertEqual(code, 0, errors)
                self.assertTrue(list(pathlib.Path(folder).glob("*.png")), "an example leaves a picture")


if __name__ == "__main__":
    unittest.main()
