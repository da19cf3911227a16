"""The command's words about itself: completion, the manual, topics, the reference."""

import re
import shutil
import subprocess
import unittest

from harness import USAGE, CliTest, run

COMMANDS = ("train", "resume", "loglik", "score", "sample", "features", "info", "import", "data", "prune", "encode", "bench", "report", "sweep")


def options_in_help(command):
    return set(re.findall(r"^\s+(?:-\w,)?(--[a-z][\w-]*)", run(command, "--help-all").stdout, flags=re.MULTILINE))


class Completion(CliTest):
    def completed(self, *words):
        """What bash offers for the last of these words."""
        (self.dir / "script").write_text(run("completion", "bash").stdout)
        line = " ".join(f"'{word}'" for word in words)
        text = f"source {self.dir / 'script'}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _tempera; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return set(subprocess.run(["bash", "-c", text], cwd=self.dir, capture_output=True, text=True, check=True).stdout.split())

    def test_bash_completes_commands_options_choices_and_files(self):
        self.assertEqual(self.completed("tempera", "s"), {"sample", "score", "sweep"})
        self.assertEqual(self.completed("tempera", "train", "--train"), {"--trainer"})
        self.assertEqual(self.completed("tempera", "train", "--trainer", "sml-"), {"sml-pt", "sml-apt", "sml-ptt"})
        self.assertIn("gaussian-rbm", self.completed("tempera", "train", "--model", "g"))
        self.assertEqual(self.completed("tempera", "help", "fi"), {"files"})
        (self.dir / "model.h5").touch()
        self.assertEqual(self.completed("tempera", "loglik", "mod"), {"model.h5"})

    def test_every_shell_knows_every_option(self):
        for shell in ("bash", "zsh", "fish"):
            script = run("completion", shell).stdout
            for command in COMMANDS:
                for option in options_in_help(command):
                    with self.subTest(shell=shell, command=command, option=option):
                        self.assertIn(option if shell != "fish" else f"-l {option[2:]}", script)
            if shutil.which(shell):
                (self.dir / shell).write_text(script)
                subprocess.run([shell, "-n", self.dir / shell], check=True)
        self.assertIn("bash", run("completion", "csh", expect=USAGE).stderr)


class Manual(CliTest):
    def test_a_page_for_every_command_with_every_option(self):
        run("man", "--all", self.dir)
        pages = {path.name for path in (self.dir / "man/man1").iterdir()}
        self.assertLessEqual({f"tempera-{command}.1" for command in COMMANDS} | {"tempera.1"}, pages)
        for command in COMMANDS:
            page = (self.dir / f"man/man1/tempera-{command}.1").read_text()
            self.assertTrue(page.startswith(".TH "), command)
            for option in options_in_help(command):
                self.assertIn(option.replace("-", "\\-"), page, command)
        if shutil.which("man"):
            done = subprocess.run(["man", "--warnings", "-l", self.dir / "man/man1/tempera-train.1"], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_reference_has_every_option_with_its_default(self):
        reference = run("man", "--reference").stdout
        for command in COMMANDS:
            section = reference.split(f"\n## tempera {command}\n")[1].split("\n## ")[0]
            for option in options_in_help(command):
                self.assertIn(option, section, command)
        self.assertRegex(reference.split("\n## tempera train\n")[1], r"`--batch` \| [^|]+ \| `500` \|")

    def test_topics(self):
        for topic, word in (("files", "checkpoint.h5"), ("data", "sample-each"), ("methods", "mode-ais"), ("errors", "130")):
            self.assertIn(word, run("help", topic).stdout)
        self.assertIn("--hidden", run("help", "train").stdout)
        self.assertIn("nothing", run("man", "nothing", expect=USAGE).stderr)


if __name__ == "__main__":
    unittest.main()
