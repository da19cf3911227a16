"""The commands that pages of docs show, each as it stands there (docs/data.md has its own suite, the README its tour)."""

import os
import pathlib
import re
import subprocess
import unittest

from harness import CliTest, command_line

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
FULL = os.environ.get("TEMPERA_FULL") == "1"


def shown(page):
    """Commands of the blocks of a page: lines after "$ ", and those that they go on in."""
    text = "\n".join(re.findall(r"^```\n(.*?)^```$", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL))
    return [match[2:].replace("\\\n", " ") for match in re.findall(r"^\$ tempera (?:.*\\\n)*.*$", text, flags=re.MULTILINE)]


class Pages(CliTest):
    def setUp(self):
        super().setUp()
        (self.dir / "bin").mkdir()
        (self.dir / "bin/tempera").symlink_to(pathlib.Path(command_line()[0]).resolve())
        self.environment = {**os.environ, "PATH": f"{self.dir / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def runs(self, text, timeout=600):
        done = subprocess.run(["bash", "-euc", text], cwd=self.dir, env=self.environment, capture_output=True, text=True, timeout=timeout)
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stderr}")
        return done.stdout

    def test_likelihood(self):
        commands = shown("likelihood.md")
        self.assertGreaterEqual(len(commands), 4)
        for command in commands:
            self.runs(command)

    def test_sweeps_of_the_cluster_page(self):
        page = (DOCS / "cluster.md").read_text()
        (self.dir / "spec.toml").write_text(re.search(r"^```toml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)[1])
        told = self.runs(re.search(r"^```sh\n(tempera sweep .*?)^```$", page, flags=re.MULTILINE | re.DOTALL)[1])
        self.assertEqual(told.count(" best"), 1 + told.count("error of the best"))
        script = re.search(r"^```sh\n(#!/bin/bash\n.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)[1]
        self.runs(script.replace("srun ", "SLURM_ARRAY_TASK_ID=3 SLURM_CPUS_PER_TASK=2; "))

    def test_sequences(self):
        page = (DOCS / "sequences.md").read_text()
        blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(blocks), 4)
        for language, text in blocks:
            self.runs(text if language == "sh" else f"/usr/bin/python3 - <<'END'\n{text}END")
        self.assertGreater(len((self.dir / "mutants.csv").read_text().splitlines()), 20 * 19)

    def test_spike_slab(self):
        patches = pathlib.Path(os.environ.get("TEMPERA_BENCHMARK_DATA", "")) / "bsds500_patches16.h5"
        if not FULL or not patches.exists():
            self.skipTest("takes minutes: TEMPERA_FULL=1, and needs bsds500_patches16.h5 in TEMPERA_BENCHMARK_DATA")
        (self.dir / patches.name).symlink_to(patches)
        commands = shown("spike-slab.md")
        self.assertGreaterEqual(len(commands), 4)
        for command in commands:
            self.runs(command, 1200)


if __name__ == "__main__":
    unittest.main()
