"""The tables of docs/data.md: every row of them is made and read, and no row is there that nobody tries."""

import gzip
import json
import re
import struct
import unittest
from pathlib import Path

import h5py
import numpy as np

from harness import CliTest, run, run_json

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
BITS = (np.random.default_rng(5).random((20, 8)) < 0.4).astype(np.uint8)


def rows(number):
    """First cells of a table of the page."""
    tables, inside = [], False
    for line in PAGE.read_text().splitlines():
        if line.startswith("|"):
            if not inside:
                tables.append([])
            tables[-1].append(line.strip("|").split("|")[0].strip())
        inside = line.startswith("|")
    return tables[number][2:]


class Files(CliTest):
    """Rows of the first table: a function for each writes the same bits, and returns what to say to --data."""

    def own(self):
        with h5py.File(self.dir / "a.h5", "w") as file:
            file["train/x"], file["train/y"], file["train/name"] = BITS, np.arange(20), np.array(["q"] * 20, dtype=object)
            file["column_names"] = np.array(list("abcdefgh"), dtype=object)
        return "a.h5"

    def other(self):
        with h5py.File(self.dir / "b.h5", "w") as file:
            file["some/where"], file["else"] = BITS, np.ones((3, 3))
        return "b.h5:/some/where"

    def matlab(self):
        with h5py.File(self.dir / "m.mat", "w", userblock_size=512) as file:
            file["X"] = BITS.T.astype(float)
            file["X"].attrs["MATLAB_class"] = np.bytes_("double")
        return "m.mat"

    def anndata(self):
        with h5py.File(self.dir / "c.h5ad", "w") as file:
            group = file.create_group("X")
            group.attrs["encoding-type"], group.attrs["shape"] = "csr_matrix", BITS.shape
            at, columns = np.nonzero(BITS)
            group["data"], group["indices"], group["indptr"] = BITS[at, columns].astype("f4"), columns, np.searchsorted(at, np.arange(21))
        return "c.h5ad"

    def numpy(self):
        np.savez(self.dir / "n.npz", x_train=BITS, y_train=np.arange(20))
        return "n.npz"

    def scipy(self):
        at, columns = np.nonzero(BITS)
        np.savez(self.dir / "s.npz", data=BITS[at, columns].astype(float), indices=columns.astype("i4"), indptr=np.searchsorted(at, np.arange(21)).astype("i4"),
                 shape=np.array(BITS.shape), format=np.array(b"csr"))
        return "s.npz"

    def idx(self):
        (self.dir / "i-idx2-ubyte.gz").write_bytes(gzip.compress(struct.pack(">HBBII", 0, 8, 2, 20, 8) + BITS.tobytes()))
        return "i-idx2-ubyte.gz"

    def counts(self):
        (self.dir / "j.json").write_text(json.dumps({"".join(map(str, row)): 1 for row in BITS}))
        return "j.json"

    def sequences(self):
        (self.dir / "f.fa").write_text("".join(f">{n}\n" + "".join("-A"[bit] for bit in row) + "\n" for n, row in enumerate(BITS)))
        return "f.fa"

    def text(self):
        np.savetxt(self.dir / "t.csv", BITS, fmt="%d", delimiter=";")
        return "t.csv"

    WAYS = {"HDF5 of this program": own, "any other HDF5": other, "MATLAB": matlab, "AnnData": anndata, "NumPy": numpy, "SciPy": scipy, "IDX": idx,
            "JSON": counts, "FASTA, A2M, A3M, Stockholm": sequences, "text": text}

    def test_every_row_is_read(self):
        tried = set()
        for row in rows(0):
            ways = [way for way in self.WAYS if row.startswith(way)]
            self.assertEqual(len(ways), 1, f"docs/data.md: nobody tries '{row}'")
            tried.add(ways[0])
            with self.subTest(row=row):
                name = self.WAYS[ways[0]](self)
                found = run_json("data", f"{self.dir}/{name}", *(("--alphabet", "-A") if name == "f.fa" else ()))
                distinct = len(np.unique(BITS, axis=0)) if ways[0] == "JSON" else 20
                self.assertEqual((found["columns"], found["splits"]["train"]["rows"]), (8, distinct))
                self.assertTrue(found["splits"]["train"]["binary"])
        self.assertEqual(tried, set(self.WAYS), "rows that docs/data.md has no more")

    def test_what_is_not_read_says_so(self):
        for name, start, words in (("p.pkl", b"\x80\x04\x95" + bytes(40), "pickle"), ("m.mat", b"MATLAB 5.0 MAT-file" + bytes(200), "v7.3"),
                                   ("q.parquet", b"PAR1" + bytes(40), "Parquet"), ("a.arrow", b"ARROW1" + bytes(40), "Arrow"), ("r.rds", b"RDX3\n", "R data"),
                                   ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "picture"), ("u.csv", "1,2\n".encode("utf-16"), "UTF-16"),
                                   ("b.bz2", b"BZh91AY" + bytes(40), "bzip2"), ("z.xz", b"\xfd7zXZ\x00" + bytes(40), "xz"),
                                   ("s.zst", b"\x28\xb5\x2f\xfd" + bytes(40), "zstd")):
            (self.dir / name).write_bytes(start)
            self.fails(65, "data", self.dir / name, mentions=[name, words])


class Words(CliTest):
    """Rows of the second table, and the options that they name."""

    # What tries each row: a test of tests/cli by its name.
    TRIED = {
        "types of numbers": "test_every_type_of_number_of_numpy_is_the_same_table",
        "shapes": "test_pictures_of_three_colours",
        "names of cases": "test_the_usual_names",
        "names of labels": "test_the_usual_names",
        "header of a text": "test_no_case_is_lost_and_a_header_is_said",
        "weights of cases": "test_every_way_to_say_them",
        "columns": "test_columns_of_words_and_of_labels",
        "missing values": "test_missing_values_are_located",
        "bits": "test_spins_are_bits",
        "letters": "test_columns_of_words_and_numbers_are_categories",
        "grey values": "test_thresholds",
    }

    def test_every_row_is_tried(self):
        self.assertEqual(set(rows(1)), set(self.TRIED))
        tests = " ".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
        for row, test in self.TRIED.items():
            self.assertTrue(re.search(rf"def {test}\w*\(self", tests), f"'{row}': there is no {test}")

    def test_options_exist(self):
        named = set(re.findall(r"`(--[a-z-]+)", PAGE.read_text()))
        known = " ".join(run(command, "--help-all" if command == "train" else "--help").stdout for command in ("data", "train", "loglik", "sample", "encode"))
        for option in named:
            self.assertTrue(re.search(rf"{option}(?![\w-])", known), f"docs/data.md names {option}")
        # And every option of reading is on the page.
        for option in ("--header", "--labels", "--weights", "--columns", "--drop", "--missing", "--shape", "--transpose", "--binarize"):
            self.assertIn(option, named)


if __name__ == "__main__":
    unittest.main()
