"""The recipes of docs/data.md, each as it stands there."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

from harness import CliTest, command_line

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/data.md"


def recipes():
    """Heading and blocks (language, text) of every recipe."""
    text = PAGE.read_text().split("## My data is ...")[1]
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        yield part.splitlines()[0], re.findall(r"^```(\w+)\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL)


class Recipes(CliTest):
    def test_each_runs_as_it_stands(self):
        found = list(recipes())
        self.assertGreaterEqual(len(found), 10)
        program = pathlib.Path(command_line()[0]).resolve()
        (self.dir / "bin").mkdir()
        (self.dir / "bin/tempera").symlink_to(program)
        path = f"{self.dir / 'bin'}{os.pathsep}{os.environ['PATH']}"
        for heading, blocks in found:
            with self.subTest(recipe=heading):
                self.assertEqual({language for language, _ in blocks}, {"python", "sh"})
                for language, text in blocks:
                    words = [sys.executable, "-c", text] if language == "python" else ["bash", "-euc", text]
                    done = subprocess.run(words, cwd=self.dir, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120)
                    self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
