"""Where results go: files, links, devices, full disks and names that are not text."""

import json
import os
import shutil
import stat
import subprocess
import unittest

from harness import CANNOT_WRITE, QUICK, CliTest, command_line, error_lines, random_rbm, run


def as_argument(value):
    """Bytes and strings as they are, anything else as text."""
    return value if isinstance(value, bytes | str) else str(value)


class Output(CliTest):
    def setUp(self):
        super().setUp()
        self.model = random_rbm(1, 6, 5).write(self.dir / "model.h5")

    def writers(self, path):
        """Every command that writes a file of the user's choice."""
        return (("data", "bars-and-stripes", "--out", path),
                ("sample", self.model, "--count", 2, "--sweeps", 1, "--out", path),
                ("sample", self.model, "--count", 2, "--sweeps", 1, "--png", path),
                ("features", self.model, "--out", path))

    def refused(self, path):
        """No command writes there; what is there stays what it is."""
        kind = stat.S_IFMT(path.lstat().st_mode)
        for args in self.writers(path):
            with self.subTest(command=args[0], option=args[-2]):
                self.fails(CANNOT_WRITE, *args, mentions=[path.name], timeout=QUICK)
                self.assertEqual(stat.S_IFMT(path.lstat().st_mode), kind)

    def test_a_device_is_refused(self):
        device = self.dir / "null.h5"
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError as error:
            raise unittest.SkipTest(f"mknod: {error}")
        self.refused(device)

    def test_a_pipe_is_refused(self):
        os.mkfifo(self.dir / "pipe.h5")
        self.refused(self.dir / "pipe.h5")

    def test_a_folder_is_refused(self):
        for name in ("empty.h5", "full.h5"):
            (self.dir / name).mkdir()
        (self.dir / "full.h5" / "mine").write_text("mine")
        for name in ("empty.h5", "full.h5"):
            self.refused(self.dir / name)

    def follows(self, before):
        """Every command writes through a link to a file that holds `before`, or to none where that is None."""
        (self.dir / "elsewhere").mkdir()
        target, link = self.dir / "elsewhere" / "target.h5", self.dir / "link.h5"
        for args in self.writers(link):
            with self.subTest(command=args[0], option=args[-2]):
                link.unlink(missing_ok=True)
                link.symlink_to(target)
                target.unlink(missing_ok=True)
                if before is not None:
                    target.write_bytes(before)
                run(*args)
                self.assertTrue(link.is_symlink(), "the link was replaced")
                self.assertTrue(target.is_file() and not target.is_symlink())
                self.assertGreater(target.stat().st_size, 20)
                self.assertEqual([path.name for path in target.parent.iterdir()], ["target.h5"])
        self.assertEqual(sorted(path.name for path in self.dir.iterdir()), ["elsewhere", "link.h5", "model.h5"])

    def test_a_link_is_followed(self):
        self.follows(b"old")

    def test_a_link_to_a_file_that_is_not_there_yet_is_followed(self):
        self.follows(None)

    def full_output(self, *args):
        """The command cannot print, and must say so."""
        if not os.path.exists("/dev/full"):
            raise unittest.SkipTest("no /dev/full here")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command_line(*args), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=QUICK)
        self.assertEqual(done.returncode, CANNOT_WRITE, done.stderr)
        self.assertEqual(len(error_lines(done.stderr)), 1, done.stderr)

    def test_standard_output_that_is_full(self):
        for args in (("data", "digits"), ("data", "digits", "--json"), ("info", self.model),
                     ("loglik", self.model, "--method", "exact", "--json")):
            with self.subTest(args=args[:1] + args[-1:]):
                self.full_output(*args)

    def test_help_that_cannot_be_printed(self):
        for args in (("train", "--help"), ("--version",)):
            with self.subTest(args=args):
                self.full_output(*args)

    def test_file_names_that_are_not_text(self):
        folder = os.fsencode(self.dir)
        model, data, out = (folder + b"/" + name for name in (b"m\xff\xfe.h5", b"d\xc3\x28.csv", b"o\xed\xa0\x80.h5"))
        try:
            shutil.copy(self.model, model)
        except OSError as error:
            raise unittest.SkipTest(f"this file system takes no such name: {error}")
        with open(data, "w") as file:
            file.write("0,1,0,1,1,0\n1,1,0,0,1,1\n")
        for args in (("info", model), ("data", data, "--out", out), ("features", model, "--out", out),
                     ("sample", model, "--count", 2, "--sweeps", 1, "--out", out),
                     ("loglik", model, "--method", "exact", "--data", data, "--split", "train")):
            with self.subTest(command=args[0]):
                argv = [*command_line(args[0]), *map(os.fsencode, map(as_argument, args[1:])), b"--json"]
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=QUICK)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIsInstance(json.loads(done.stdout.decode("utf-8", errors="strict")), dict)
        self.assertTrue(os.path.isfile(out))


if __name__ == "__main__":
    unittest.main()
