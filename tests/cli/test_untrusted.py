"""Files that lie about their sizes: archives, configurations and models."""

import io
import struct
import time
import unittest
import zipfile

import h5py
import numpy as np

from harness import BAD_CONFIG, BAD_DATA, QUICK, CliTest, datasets, random_rbm, run


class Untrusted(CliTest):
    """Files that lie about their sizes are refused quickly."""

    def npy(self, shape, dtype="<f4"):
        """The bytes of an .npy file that claims a shape, with 64 bytes of values."""
        header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
        header += " " * (-(len(header) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)

    def refused(self, path):
        begin = time.monotonic()
        self.fails(BAD_DATA, "data", path, "--out", self.dir / "out.h5", mentions=[path.name], timeout=QUICK)
        self.assertLess(time.monotonic() - begin, QUICK / 2)

    def test_npy_of_absurd_shape(self):
        for shape in ((2**40, 2**20), (2**32, 2**32), (2**63, 1), (10**30, 2), (-1, 16), (2**62, 4)):
            with self.subTest(shape=shape):
                (self.dir / "absurd.npy").write_bytes(self.npy(shape))
                self.refused(self.dir / "absurd.npy")
                with zipfile.ZipFile(self.dir / "absurd.npz", "w") as archive:
                    archive.writestr("x.npy", self.npy(shape))
                self.refused(self.dir / "absurd.npz")

    def test_npz_member_that_claims_a_huge_size(self):
        # In the central directory and in the local header: the size of the contents alone, or the stored size too.
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            for n_fields in (1, 2):
                for size in (0xFFFFFFFE, 0x7FFFFFFF):
                    with self.subTest(method=method, n_fields=n_fields, size=size):
                        path = self.dir / "huge.npz"
                        with zipfile.ZipFile(path, "w", method) as archive:
                            archive.writestr("x.npy", self.npy((4, 4)))
                        body = bytearray(path.read_bytes())
                        central, local = body.index(b"PK\x01\x02"), body.index(b"PK\x03\x04")
                        for field in range(2 - n_fields, 2):  # uncompressed alone, or compressed too
                            struct.pack_into("<I", body, central + 20 + 4 * field, size)
                            struct.pack_into("<I", body, local + 18 + 4 * field, size)
                        path.write_bytes(body)
                        self.refused(path)

    def test_npz_member_that_claims_exabytes(self):
        path = self.dir / "huge.npz"
        name, body = b"x.npy", self.npy((4, 4))
        extra = struct.pack("<HHQQ", 1, 16, 2**60, 2**60)
        local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name),
                            len(extra)) + name + extra + body
        central = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name),
                              len(extra), 0, 0, 0, 0, 0) + name + extra
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
        path.write_bytes(local + central + end)
        self.refused(path)

    def test_sparse_matrices_whose_parts_are_missing(self):
        whole = dict(data=np.ones(5), indices=np.arange(5), indptr=np.array([0, 2, 5]), shape=np.array([2, 6]), format=np.array("csr"))
        path = self.dir / "sparse.npz"
        np.savez(path, **whole)
        run("data", path, "--out", self.dir / "out.h5")
        for part, wrong in (("format", np.array([], "S3")), ("format", np.array(["csr", "csc"])), ("format", np.array("coo")), ("shape", np.array([], int)),
                            ("shape", np.array([2, -6])), ("data", np.array([])), ("indptr", np.array([], int)), ("indptr", np.array([0, 6, 5])),
                            ("indices", np.array([], int)), ("indices", np.arange(2, 7)), ("indices", np.arange(-1, 4))):
            with self.subTest(part=part, wrong=wrong):
                np.savez(path, **{**whole, part: wrong})
                self.refused(path)

    def test_planted_honest_archives_are_read(self):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(self.dir / "honest.npz", "w", method) as archive:
                archive.writestr("x.npy", self.npy((4, 4)))
            run("data", self.dir / "honest.npz", "--out", self.dir / "out.h5")
            np.testing.assert_array_equal(datasets(self.dir / "out.h5")["train/x"], np.zeros((4, 4)))

    def test_planted_members_that_are_packed_very_well_are_read(self):
        cases = np.zeros((2000, 784), np.uint8)
        cases[::7, ::50] = 1
        member = io.BytesIO()
        np.save(member, cases)
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(self.dir / "a.npz", "w", method) as archive:
                archive.writestr("x.npy", member.getvalue())
            self.assertIn("2000 rows", run("data", self.dir / "a.npz").stdout)

    def test_groups_that_lie_in_themselves(self):
        with h5py.File(self.dir / "cycle.h5", "w") as file:
            for name in "abcd":
                file.create_group(name)
            for outer in "abcd":
                for inner in "abcd":
                    file[f"{outer}/{inner}"] = file[inner]
            file["a/only"] = np.ones((3, 2))
        begin = time.monotonic()
        self.assertIn("(3, 2)", run("info", self.dir / "cycle.h5").stdout)
        self.assertLess(time.monotonic() - begin, QUICK / 2)

    def test_config_of_a_hundred_thousand_brackets(self):
        config = self.dir / "deep.toml"
        deep = "[" * 100_000
        for name, body in (("open", f"hidden = {deep}"), ("closed", f"hidden = {deep}{deep.replace('[', ']')}"),
                           ("tables", deep), ("inline tables", "hidden = " + "{a=" * 100_000)):
            with self.subTest(body=name):
                config.write_text(body)
                self.fails(BAD_CONFIG, "train", "--config", config, "--data", "bars-and-stripes", "--out",
                           self.dir / "run", mentions=["deep.toml"], lines=None, timeout=QUICK)

    def test_model_of_absurd_visible_shape(self):
        model = random_rbm(1, 784, 3).write(self.dir / "model.h5")
        for shape in ((-28, -28), (0, 0), (28, -28), (2**31, 2**31), (2**32, 2**32), (-1,), (28, 28, 1), (27, 28),
                      (28.5, 28.0), (np.nan, np.nan), "28x28"):
            with self.subTest(shape=shape):
                with h5py.File(model, "a") as file:
                    file["model"].attrs["visible_shape"] = shape
                run("features", model, "--out", self.dir / "f.png", expect=(0, BAD_DATA), timeout=QUICK)
                if shape in ((-28, -28), (2**32, 2**32)):
                    run("sample", model, "--count", 2, "--sweeps", 1, "--png", self.dir / "s.png",
                        expect=(0, BAD_DATA), timeout=QUICK)
                    run("info", model, expect=(0, BAD_DATA), timeout=QUICK)


if __name__ == "__main__":
    unittest.main()
