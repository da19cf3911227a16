"""Files as people bring them: what a file is, which array is meant, text tables, values, and outputs by their ending."""

import gzip
import json
import os
import shutil
import struct
import unittest
import zlib

import h5py
import numpy as np

from harness import CliTest, differences, run, run_json, write_rbm

BITS = (np.random.default_rng(5).random((40, 6)) < 0.4).astype(np.uint8)
DENSITY = float(BITS.mean())


def colours_of(png):
    """The colours other than greys of a PNG file of three bytes a pixel."""
    content = png.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    at, packed = 8, b""
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IDAT":
            packed += content[at + 8 : at + 8 + size]
        at += 12 + size
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)
    rows = np.zeros((height + 1, width + 1, 3), int)
    for r in range(height):  # the filters of PNG, undone
        how, line = raw[r, 0], raw[r, 1:].reshape(width, 3).astype(int)
        for c in range(width):
            left, up, corner = rows[r + 1, c], rows[r, c + 1], rows[r, c]
            guess = left + up - corner
            near = np.select([(abs(guess - left) <= abs(guess - up)) & (abs(guess - left) <= abs(guess - corner)), abs(guess - up) <= abs(guess - corner)],
                             [left, up], corner)
            rows[r + 1, c + 1] = (line[c] + [0 * left, left, up, (left + up) // 2, near][how]) % 256
    return {tuple(pixel) for pixel in rows[1:, 1:].reshape(-1, 3) if len(set(pixel)) > 1}


class Reading(CliTest):
    def same(self, name, rows=40, columns=6, density=DENSITY):
        """The file is read as the bits above."""
        found = run_json("data", name)
        self.assertEqual((found["columns"], found["splits"]["train"]["rows"]), (columns, rows), name)
        self.assertAlmostEqual(found["splits"]["train"]["density_of_ones"], density, places=9, msg=str(name))
        return found

    def text(self, name, words, mode="w", **how):
        path = self.dir / name
        with open(path, mode, **how) as file:
            file.write(words)
        return path


class Containers(Reading):
    def test_every_type_of_number_of_numpy_is_the_same_table(self):
        for kind in ("?", "u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4",
                     "<f8", ">f8"):
            with self.subTest(type=kind):
                path = self.dir / "x.npy"
                np.save(path, BITS.astype(kind))
                self.same(path)
                np.savez_compressed(self.dir / "x.npz", x=np.asfortranarray(BITS.astype(kind)))
                self.same(self.dir / "x.npz")

    def test_halves_are_what_numpy_says(self):
        values = np.array([[0.0, 1.5, -2.0], [6.1e-5, 65504.0, -3e-7]], np.float16)
        np.save(self.dir / "x.npy", values)
        run("data", self.dir / "x.npy", "--out", self.dir / "y.npy")
        np.testing.assert_array_equal(np.load(self.dir / "y.npy"), values.astype(np.float32))

    def test_fortran_order_of_any_rank(self):
        values = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5) + 0.5
        np.save(self.dir / "f.npy", np.asfortranarray(values))
        run("data", self.dir / "f.npy", "--out", self.dir / "y.h5")
        with h5py.File(self.dir / "y.h5") as file:
            np.testing.assert_array_equal(file["train/x"][:], values.reshape(2, -1))

    def test_a_file_is_what_its_content_says(self):
        np.save(self.dir / "a.npy", BITS)
        plain = (self.dir / "a.npy").read_bytes()
        for name in ("genes_idx.h5", "UPPER.NPY", "none", "x.npy.gz", "data.csv"):
            with self.subTest(name=name):
                (self.dir / name).write_bytes(plain)
                self.same(self.dir / name)
                (self.dir / name).write_bytes(gzip.compress(plain))
                self.same(self.dir / name)
        with h5py.File(self.dir / "b.h5", "w") as file:
            file["x"] = BITS
        for name in ("b.npy", "b.csv.gz"):
            packed = (self.dir / "b.h5").read_bytes()
            (self.dir / name).write_bytes(gzip.compress(packed) if name.endswith("gz") else packed)
            self.same(self.dir / name)
        idx = struct.pack(">HBBII", 0, 8, 2, 40, 6) + BITS.tobytes()
        (self.dir / "odd.name").write_bytes(idx)
        self.same(self.dir / "odd.name")
        floats = struct.pack(">HBBII", 0, 0x0D, 2, 40, 6) + BITS.astype(">f4").tobytes()
        (self.dir / "floats").write_bytes(floats)
        self.same(self.dir / "floats")

    def test_headers_of_numpy_that_end_too_early_are_bad_data(self):
        np.save(self.dir / "x.npy", BITS)
        whole = (self.dir / "x.npy").read_bytes()
        for old, new in ((b"'|u1'", b"''   "), (b"'descr': '|u1'", b"'descr':      "), (b"'shape': (40, 6), }", b"'shape':            "),
                         (b"'descr'", b"'desc_'"), (b"(40, 6)", b"(40, x)")):
            with self.subTest(header=new):
                self.assertIn(old, whole)
                (self.dir / "x.npy").write_bytes(whole.replace(old, new))
                self.fails(65, "data", self.dir / "x.npy", mentions=["x.npy"])

    def test_a_square_is_a_guess_of_training_and_not_of_the_data(self):
        np.save(self.dir / "x.npy", (np.random.default_rng(6).random((30, 64)) < 0.5))
        self.assertNotIn("visible_shape", run_json("data", self.dir / "x.npy"))
        run("data", self.dir / "x.npy", "--out", self.dir / "y.npy")
        self.assertEqual(np.load(self.dir / "y.npy").shape, (30, 64))
        told = run("train", "--data", self.dir / "x.npy", "--hidden", 2, "--updates", 2, "--out", self.dir / "run").stderr
        self.assertIn("pictures of 8x8", told)
        with h5py.File(self.dir / "run/checkpoint.h5") as file:
            self.assertEqual(list(file["model"].attrs["visible_shape"]), [8, 8])

    def test_what_is_not_read_is_named(self):
        rng = np.random.default_rng(1)
        for content, word in ((b"\x80\x04\x95" + b"x" * 20, "pickle"), (b"MATLAB 5.0 MAT-file, Platform" + b" " * 200, "version 5"),
                              ("a,b\n1,2\n".encode("utf-16"), "UTF-16"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 30, "picture"), (b"BZh91AY" + b"\0" * 9, "bzip2"),
                              (b"\xfd7zXZ\0" + b"\0" * 9, "xz"), (b"PAR1" + b"\0" * 30, "Parquet"), (b"", "empty"), (rng.bytes(3000) + b"\0", "none of the kinds")):
            with self.subTest(word=word):
                (self.dir / "f").write_bytes(content)
                self.fails(65, "data", self.dir / "f", mentions=[word])
        self.fails(65, "data", self.dir, mentions=["folder"])
        os.mkfifo(self.dir / "pipe")
        self.fails(65, "data", self.dir / "pipe", mentions=["pipe"])
        self.fails(65, "data", "/dev/null", mentions=["device"])
        np.save(self.dir / "o.npy", np.array([[1, "a"]], dtype=object), allow_pickle=True)
        self.fails(65, "data", self.dir / "o.npy", mentions=["Python objects"])
        np.save(self.dir / "c.npy", np.ones((3, 3), complex))
        self.fails(65, "data", self.dir / "c.npy", mentions=["complex"])
        np.save(self.dir / "one.npy", np.ones(3))
        self.fails(65, "data", self.dir / "one.npy", mentions=["cases x values"])

    def test_truths_lzf_and_pictures_in_hdf5(self):
        with h5py.File(self.dir / "a.h5", "w") as file:
            file["x"] = BITS.astype(bool)
        self.same(self.dir / "a.h5")
        with h5py.File(self.dir / "l.h5", "w") as file:
            file.create_dataset("x", data=BITS, compression="lzf", shuffle=True, chunks=(7, 6))
        self.same(self.dir / "l.h5")
        pictures = np.random.default_rng(2).random((5, 12, 10)) < 0.5
        for shape in ((5, 12, 10), (5, 12, 10, 1), (5, 1, 12, 10)):
            with h5py.File(self.dir / "p.h5", "w") as file:
                file["train/x"] = pictures.reshape(shape)
            np.save(self.dir / "p.npy", pictures.reshape(shape))
            np.savez(self.dir / "p.npz", x_train=pictures.reshape(shape))
            for name in ("p.h5", "p.npy", "p.npz"):
                self.assertEqual(run_json("data", self.dir / name)["visible_shape"], [12, 10], f"{name} {shape}")

    def test_a_filter_that_is_not_there_is_named(self):
        with h5py.File(self.dir / "a.h5", "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((40, 6))
            plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
            space = h5py.h5s.create_simple((40, 6))
            h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, plist)
        self.fails(65, "data", self.dir / "a.h5", mentions=["32015", "h5repack"])

    def test_sparse_matrices(self):
        def compressed(x):
            starts, indices, values = [0], [], []
            for row in x:
                columns = np.flatnonzero(row)
                indices.extend(columns)
                values.extend(row[columns])
                starts.append(len(indices))
            return np.array(values), np.array(indices, np.int32), np.array(starts, np.int32)

        for form, x in (("csr", BITS), ("csc", BITS.T)):
            values, indices, starts = compressed(x)
            np.savez(self.dir / "s.npz", data=values, indices=indices, indptr=starts, shape=np.array(BITS.shape), format=np.array(form.encode()))
            self.same(self.dir / "s.npz")
            with h5py.File(self.dir / "s.h5ad", "w") as file:
                group = file.create_group("X")
                group.attrs["encoding-type"] = f"{form}_matrix"
                group.attrs["shape"] = BITS.shape
                group["data"], group["indices"], group["indptr"] = values.astype(np.float32), indices, starts
                file["obs/name"] = np.arange(40)
            self.same(self.dir / "s.h5ad")
        np.savez(self.dir / "bad.npz", data=values, indices=indices + 100, indptr=starts, shape=np.array(BITS.shape), format=np.array(b"csc"))
        self.fails(65, "data", self.dir / "bad.npz", mentions=["out of range"])

    def test_matlab_has_its_axes_the_other_way_round(self):
        with h5py.File(self.dir / "m.mat", "w", userblock_size=512) as file:
            file["X"] = BITS.T.astype(float)
            file["X"].attrs["MATLAB_class"] = np.bytes_("double")
        self.same(self.dir / "m.mat")

    def test_other_peoples_files_are_not_read_through_ours(self):
        with h5py.File(self.dir / "other.h5", "w") as file:
            file["x"] = BITS
        for make, word in ((lambda f: f.__setitem__("x", h5py.ExternalLink("other.h5", "/x")), "link to another file"),
                           (lambda f: (f.__setitem__("y", h5py.ExternalLink("other.h5", "/x")), f.__setitem__("x", h5py.SoftLink("/y"))), "link to another file"),
                           (lambda f: f.create_dataset("x", (4, 4), "u1", external=[("/etc/passwd", 0, 16)]), "external storage")):
            with h5py.File(self.dir / "a.h5", "w") as file:
                make(file)
            self.fails(65, "data", self.dir / "a.h5", mentions=[word])
        with h5py.File(self.dir / "a.h5", "w") as file:
            layout = h5py.VirtualLayout((40, 6), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "x", (40, 6))
            file.create_virtual_dataset("x", layout)
        self.fails(65, "data", self.dir / "a.h5", mentions=["virtual"])
        with h5py.File(self.dir / "a.h5", "w") as file:
            file.create_dataset("x", (100000, 1000), "u1")
        self.fails(65, "data", self.dir / "a.h5", mentions=["claims"])


class Choosing(Reading):
    def test_the_usual_names(self):
        labels = np.arange(40) % 3
        for train, test, y in (("x_train", "x_test", "y_train"), ("X_train", "X_test", "y_train"), ("train_images", "test_images", "train_labels"),
                               ("train_x", "test_x", "train_y"), ("train", "test", "labels"), ("X", "test_data", "y"), ("data", "X_test", "target"),
                               ("arr_0", "x_test", "label")):
            with self.subTest(names=(train, test)):
                np.savez(self.dir / "a.npz", **{train: BITS, test: BITS[:9], y: labels})
                with h5py.File(self.dir / "a.h5", "w") as file:
                    file[train], file[test], file[y] = BITS, BITS[:9], labels
                for name in ("a.npz", "a.h5"):
                    found = self.same(self.dir / name)
                    self.assertEqual(found["splits"]["test"]["rows"], 9)
                    run("data", self.dir / name, "--out", self.dir / "out.h5")
                    with h5py.File(self.dir / "out.h5") as file:
                        self.assertEqual(list(file["train/y"][:]), list(labels))

    def test_a_test_split_alone_is_one(self):
        for name in ("test_x", "x_test", "X_test"):
            np.savez(self.dir / "a.npz", **{name: BITS})
            self.assertEqual(list(run_json("data", self.dir / "a.npz")["splits"]), ["test"])

    def test_the_only_candidate_or_a_list_of_them(self):
        with h5py.File(self.dir / "a.h5", "w") as file:
            file["expression/counts"] = BITS
            file["expression/total"] = np.arange(40)
        self.same(self.dir / "a.h5")
        with h5py.File(self.dir / "a.h5", "a") as file:
            file["expression/other"] = 1 - BITS
        error = run("data", self.dir / "a.h5", expect=65).stderr
        self.assertIn("/expression/counts (40, 6)", error)
        self.assertIn("a.h5:/expression/counts", error)
        self.same(f"{self.dir}/a.h5:/expression/counts")
        self.same(f"{self.dir}/a.h5:expression/other", density=1 - DENSITY)
        self.fails(65, "data", f"{self.dir}/a.h5:nothing", mentions=["no array 'nothing'"], lines=None)
        np.savez(self.dir / "a.npz", first=BITS, second=1 - BITS)
        self.same(f"{self.dir}/a.npz:second", density=1 - DENSITY)
        told = run("info", self.dir / "a.h5").stdout
        self.assertIn("/expression/other (40, 6)", told)

    def test_words_as_labels_are_numbered(self):
        words = np.array(["b", "a", "c", "a"] * 10, dtype=object)
        with h5py.File(self.dir / "a.h5", "w") as file:
            file["train/x"], file["train/y"] = BITS, words
        np.savez(self.dir / "a.npz", x=BITS, y=words.astype("U1"))
        for name in ("a.h5", "a.npz"):
            run("data", self.dir / name, "--out", self.dir / "out.h5")
            with h5py.File(self.dir / "out.h5") as file:
                self.assertEqual(list(file["train/y"][:4]), [1, 0, 2, 0])
                self.assertEqual([x.decode() for x in file["label_names"][:]], ["a", "b", "c"])
        run("train", "--data", self.dir / "a.h5", "--hidden", 2, "--updates", 5, "--out", self.dir / "run")

    def test_models_of_others_say_what_they_are(self):
        np.savez(self.dir / "n.npz", weights=np.ones((6, 2)), vbias=np.zeros(6), hbias=np.zeros(2))
        error = run("import", self.dir / "n.npz", "--out", self.dir / "m.h5", expect=65).stderr
        for word in ("weights (6, 2)", "np.savez", "'W'"):
            self.assertIn(word, error)
        (self.dir / "rbm.pkl").write_bytes(b"\x80\x04\x95" + b"x" * 30)
        self.fails(65, "loglik", self.dir / "rbm.pkl", mentions=["pickle"])
        np.savez(self.dir / "half.npz", W=np.ones((3, 2), np.float16), a=np.zeros(3, np.float16), b=np.zeros(2, np.float16))
        found = run_json("loglik", self.dir / "half.npz", "--method", "exact")["log_partition"]
        states = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).sum(0)
        self.assertAlmostEqual(found, float(np.log(np.sum((1 + np.exp(states)) ** 2))), places=5)


class Text(Reading):
    def table(self, words, *options, name="t.csv", **how):
        run("data", self.text(name, words, **how), *options, "--out", self.dir / "t.h5")
        with h5py.File(self.dir / "t.h5") as file:
            return file["train/x"][:]

    def test_separators_are_found_and_said(self):
        values = np.array([[1.5, -2, 3], [4, 5.25, 6], [7, 8, 9]])
        for words in ("1.5,-2,3\n4,5.25,6\n7,8,9\n", "1.5;-2;3\n4;5.25;6\n7;8;9\n", "1,5;-2;3\n4;5,25;6\n7;8;9\n", "1.5\t-2\t3\n4\t5.25\t6\n7\t8\t9\n",
                      " 1.5  -2 3\n4 5.25   6 \n7 8 9", "# a comment\n1.5, -2, 3\r\n4, 5.25, 6\r\n\r\n7, 8, 9\r\n\r\n", '"1.5","-2","3"\n"4","5.25","6"\n"7","8","9"\n',
                      "1.5,-2,3,\n4,5.25,6,\n7,8,9,\n", "+1.5,-2,+3\n4,5.25,6\n7,8,9\n", "\ufeff1.5,-2,3\n4,5.25,6\n7,8,9\n", "1,5\t-2\t3\n4\t5,25\t6\n7\t8\t9\n"):
            with self.subTest(words=words[:16]):
                np.testing.assert_array_equal(self.table(words), values)
        self.assertIn("semicolons, with decimal commas", run("data", self.text("t.csv", "1,5;2\n3;4\n")).stdout)

    def test_no_case_is_lost_and_a_header_is_said(self):
        self.assertEqual(len(self.table("1,0\n0,1\n1,1\n")), 3)
        self.assertEqual(len(self.table("0,1,2\n2,1,0\n1,1,2\n")), 3)  # categories
        self.assertEqual(len(self.table("a,b\n0,1\n1,1\n")), 2)
        self.assertEqual(len(self.table("0,1,2\n0,1,1\n1,0,1\n")), 2)  # the names that pandas gives
        self.assertEqual(len(self.table("0,1,2\n0,1,1\n1,0,1\n", "--header", "no")), 3)
        self.assertEqual(len(self.table("7,8\n0,1\n1,0\n", "--header", "yes")), 2)
        told = run("data", self.text("t.csv", "a,b\n0,1\n1,1\n")).stdout
        self.assertIn("the first line names the columns: a, b", told)
        told = run("data", self.text("t.csv", ",0,1,2\n0,0,1,1\n1,1,0,1\n2,1,1,1\n")).stdout
        self.assertIn("3 columns", told)
        self.assertIn("counts the cases", told)
        np.testing.assert_array_equal(self.table('"","V1","V2"\n"r1",1,0\n"r2",0,1\n'), [[1, 0], [0, 1]])
        with h5py.File(self.dir / "t.h5") as file:
            self.assertEqual([x.decode() for x in file["train/name"][:]], ["r1", "r2"])

    def test_numbers_as_people_write_them(self):
        np.testing.assert_allclose(self.table("1e-50,1E3\n1e-400,+2.5e-1\nTrue,False\n"), [[0, 1000], [0, 0.25], [1, 0]])
        for words in ("1e400,1\n2,3\n", "inf,1\n2,3\n"):
            self.fails(65, "train", "--data", self.text("t.csv", words), "--hidden", 2, "--out", self.dir / "run", mentions=["not finite"])
        self.fails(65, "data", self.text("t.csv", "1,2\n3,x\n"), mentions=["line 2", "'x'"])
        self.fails(65, "data", self.text("t.csv", "1,2\n3,4,5\n"), mentions=["line 2", "expected 2 values"])
        self.fails(65, "data", self.text("t.csv", "# nothing\n\n"), mentions=["no numbers"])

    def test_missing_values_are_located_and_handled_as_is_asked(self):
        words = "a,b,c\n1,2,3\n4,NA,6\n7,,9\n1,4,1\n"
        path = self.text("t.csv", words)
        self.fails(65, "train", "--data", path, "--hidden", 2, "--out", self.dir / "run", mentions=["2 values are missing", "case 1", "'b'"])
        np.testing.assert_array_equal(self.table(words, "--missing", "mean"), [[1, 2, 3], [4, 3, 6], [7, 3, 9], [1, 4, 1]])
        np.testing.assert_array_equal(self.table(words, "--missing", "drop"), [[1, 2, 3], [1, 4, 1]])
        np.testing.assert_array_equal(self.table(words, "--drop", "b"), [[1, 3], [4, 6], [7, 9], [1, 1]])

    def test_columns_of_words_and_of_labels(self):
        words = "x,y,species\n1,2,setosa\n0,1,virginica\n1,1,setosa\n"
        path = self.text("t.csv", words)
        self.fails(65, "data", path, mentions=["'species'", "--labels species"])
        np.testing.assert_array_equal(self.table(words, "--labels", "species"), [[1, 2], [0, 1], [1, 1]])
        with h5py.File(self.dir / "t.h5") as file:
            self.assertEqual(list(file["train/y"][:]), [0, 1, 0])
        np.testing.assert_array_equal(self.table(words, "--drop", "species"), [[1, 2], [0, 1], [1, 1]])
        np.testing.assert_array_equal(self.table(words, "--columns", "y"), [[2], [1], [1]])
        np.testing.assert_array_equal(self.table("3,0,1\n4,1,0\n", "--labels", "0"), [[0, 1], [1, 0]])
        self.fails(64, "data", path, "--drop", "nothing", mentions=["no such column"])
        for label in ("1e30", "inf", "0.5"):
            self.fails(65, "data", self.text("labels.csv", f"3,0,1\n4,1,{label}\n"), "--labels", "2", mentions=["case 1", "whole number", label.replace("e", "e+")])
        told = run("data", self.text("t.csv", "label,p\n3,0\n4,1\n3,1\n")).stdout
        self.assertIn("--labels label", told)
        told = run("data", self.text("t.csv", "id,p\n0,0\n1,1\n2,1\n3,1\n")).stdout
        self.assertIn("'id' counts the cases", told)

    def test_a_read_error_is_an_error(self):
        packed = gzip.compress(b"1,0\n0,1\n" * 5000)
        (self.dir / "t.csv.gz").write_bytes(packed[:-20])
        self.fails(65, "data", self.dir / "t.csv.gz", mentions=["truncated"])


class Values(Reading):
    def test_probabilities_are_drawn_anew_at_each_visit(self):
        np.save(self.dir / "half.npy", np.full((1, 200), 0.5, np.float32))
        biases = {}
        for how in ("sample", "sample-each"):
            run("train", "--data", self.dir / "half.npy", "--binarize", how, "--hidden", 2, "--trainer", "sml", "--chains", 100, "--updates", 400, "--lr",
                0.05, "--schedule", "linear", "--allow-constant", "--out", self.dir / how, "--quiet")
            with h5py.File(self.dir / how / "checkpoint.h5") as file:
                biases[how] = np.abs(file["model/params/visible_bias"][:])
        # One draw is learned by heart; draws of their own are fair coins.
        self.assertGreater(biases["sample"].mean(), 2.0)
        self.assertLess(biases["sample-each"].mean(), 1.0)

    def test_draws_of_visits_are_the_same_for_any_threads_and_after_a_resume(self):
        np.save(self.dir / "grey.npy", np.random.default_rng(9).random((150, 70)).astype(np.float32))
        options = ("--data", self.dir / "grey.npy", "--binarize", "sample-each", "--hidden", 5, "--batch", 40, "--quiet")
        run("train", *options, "--updates", 50, "--threads", 1, "--out", self.dir / "a")
        run("train", *options, "--updates", 50, "--threads", 3, "--out", self.dir / "b")
        run("train", *options, "--updates", 50, "--checkpoint-every", 17, "--keep", 9, "--out", self.dir / "c")
        shutil.copy(self.dir / "c" / "checkpoints" / "17.h5", self.dir / "c" / "checkpoint.h5")
        run("resume", self.dir / "c", "--quiet")
        for name in ("b", "c"):
            self.assertEqual(differences(self.dir / "a" / "checkpoint.h5", self.dir / name / "checkpoint.h5"), [])
        # A model that was trained so draws once where it is held against cases.
        found = [run_json("loglik", self.dir / "a", "--data", self.dir / "grey.npy", "--split", "train", "--method", "exact") for _ in range(2)]
        self.assertEqual(found[0]["log_likelihood"], found[1]["log_likelihood"])
        self.fails(64, "data", self.dir / "grey.npy", "--binarize", "sample-each", "--out", self.dir / "o.npy", mentions=["during training"])

    def test_pictures_of_three_colours(self):
        for shape in ((30, 4, 5, 3), (30, 3, 4, 5)):
            np.save(self.dir / "rgb.npy", np.random.default_rng(9).random(shape).astype(np.float32))
            run("train", "--data", self.dir / "rgb.npy", "--model", "gaussian-rbm", "--hidden", 2, "--updates", 30, "--out", self.dir / "rgb", "--force",
                "--quiet")
            self.assertGreater(len(colours_of(self.dir / "rgb" / "features.png")), 20)
            run("sample", self.dir / "rgb", "--count", 4, "--sweeps", 2, "--png", self.dir / "s.png")
            self.assertGreater(len(colours_of(self.dir / "s.png")), 10)
        flat = self.dir / "flat.npy"
        np.save(flat, np.random.default_rng(9).random((30, 60)).astype(np.float32))
        run("data", flat, "--shape", "4x5x3", "--out", self.dir / "shaped.h5")
        with h5py.File(self.dir / "shaped.h5") as file:
            self.assertEqual(list(file.attrs["visible_shape"]), [4, 5, 3])
        self.fails(64, "data", flat, "--shape", "4x5x4", mentions=["4x5x4"])

    def train(self, data, *more, **how):
        return run("train", "--data", data, "--hidden", 3, "--updates", 20, "--threads", 1, "--quiet", "--out", self.dir / "run", "--force", *more, **how)

    def test_spins_are_bits_and_come_back_as_spins(self):
        np.save(self.dir / "s.npy", 2.0 * BITS - 1)
        np.save(self.dir / "b.npy", BITS)
        self.train(self.dir / "s.npy")
        spins = run_json("loglik", self.dir / "run", "--data", self.dir / "s.npy", "--split", "train", "--method", "exact")
        bits = run_json("loglik", self.dir / "run", "--data", self.dir / "b.npy", "--split", "train", "--method", "exact")
        self.assertEqual(spins["log_likelihood"], bits["log_likelihood"])
        run("sample", self.dir / "run", "--count", 20, "--sweeps", 3, "--out", self.dir / "o.npy")
        self.assertEqual(set(np.unique(np.load(self.dir / "o.npy"))), {-1.0, 1.0})
        self.train(self.dir / "b.npy")
        run("sample", self.dir / "run", "--count", 20, "--sweeps", 3, "--out", self.dir / "o.npy")
        self.assertEqual(set(np.unique(np.load(self.dir / "o.npy"))), {0, 1})
        # Ones alone could be either: they are bits.
        np.save(self.dir / "ones.npy", np.ones((20, 4), np.uint8))
        self.train(self.dir / "ones.npy")
        run("sample", self.dir / "run", "--count", 20, "--sweeps", 3, "--out", self.dir / "o.npy")
        self.assertLessEqual(set(np.unique(np.load(self.dir / "o.npy"))), {0, 1})

    def test_thresholds(self):
        x = np.random.default_rng(3).random((200, 5)) * 0.4
        x[:, 4] += 100
        np.save(self.dir / "x.npy", x[:, :4])
        np.save(self.dir / "columns.npy", x)

        def bits(data, rule, *more):
            run("data", data, "--binarize", rule, "--out", self.dir / "b.npy", *more)
            return np.load(self.dir / "b.npy")

        np.testing.assert_array_equal(bits(self.dir / "x.npy", "threshold"), x[:, :4] > x[:, :4].max() / 2)
        np.testing.assert_array_equal(bits(self.dir / "x.npy", "threshold:0.1"), x[:, :4].astype(np.float32) > 0.1)
        self.assertTrue(np.all(np.abs(bits(self.dir / "columns.npy", "median").mean(0) - 0.5) < 0.01))
        np.testing.assert_array_equal(bits(self.dir / "columns.npy", "mean"), x > x.mean(0))
        # One column of another scale: a threshold for all would make a constant of the rest.
        self.fails(65, "data", self.dir / "columns.npy", "--binarize", "threshold", "--out", self.dir / "b.npy", mentions=["constant", "--allow-constant"])
        self.assertEqual(bits(self.dir / "columns.npy", "threshold", "--allow-constant")[:, :4].sum(), 0)
        self.fails(65, "train", "--data", self.dir / "columns.npy", "--binarize", "threshold", "--hidden", 2, "--out", self.dir / "r", mentions=["constant"])
        self.fails(64, "data", self.dir / "x.npy", "--binarize", "median:3", "--out", self.dir / "b.npy", mentions=["only a threshold"])
        # The model remembers: cases alone are cut where the training cases were.
        self.train(self.dir / "columns.npy", "--binarize", "median")
        np.save(self.dir / "few.npy", x[:3])
        bits_of_few = bits(self.dir / "columns.npy", "median")[:3]
        np.save(self.dir / "few_bits.npy", bits_of_few)
        grey, binary = (run_json("loglik", self.dir / "run", "--data", self.dir / f"{name}.npy", "--split", "train", "--method", "exact")["log_likelihood"]
                        for name in ("few", "few_bits"))
        self.assertEqual(grey, binary)

    def test_two_scales_of_grey_are_not_confused(self):
        x = np.random.default_rng(4).integers(0, 256, (60, 5)).astype(np.uint8)
        np.save(self.dir / "bytes.npy", x)
        np.save(self.dir / "floats.npy", x / 255)
        self.train(self.dir / "bytes.npy", "--binarize", "threshold")
        self.fails(65, "loglik", self.dir / "run", "--data", self.dir / "floats.npy", "--split", "train", mentions=["grey values up to 255"])
        self.train(self.dir / "floats.npy", "--binarize", "threshold")
        self.fails(65, "loglik", self.dir / "run", "--data", self.dir / "bytes.npy", "--split", "train", mentions=["grey values up to"])

    def test_categories_get_advice(self):
        np.save(self.dir / "x.npy", np.arange(60).reshape(20, 3) % 4)
        self.fails(65, "train", "--data", self.dir / "x.npy", "--hidden", 2, "--out", self.dir / "r", mentions=["categories"])

    def test_the_error_of_one_case_is_unknown(self):
        np.save(self.dir / "one.npy", BITS[:1])
        write_rbm(self.dir / "m.h5", np.zeros((6, 2)), np.zeros(6), np.zeros(2))
        found = run_json("loglik", self.dir / "m.h5", "--data", self.dir / "one.npy", "--split", "train", "--method", "exact")
        self.assertIsNone(found["log_likelihood_se"])


class Outputs(Reading):
    def test_the_ending_says_the_format(self):
        np.save(self.dir / "x.npy", BITS)
        for name in ("y.h5", "y.csv", "y.npz", "y.npy"):
            run("data", self.dir / "x.npy", "--out", self.dir / name)
            self.same(self.dir / name)
        np.testing.assert_array_equal(np.load(self.dir / "y.npz")["train_x"], BITS)
        for word in ("y.txt", "y", "y.png"):
            self.fails(64, "data", self.dir / "x.npy", "--out", self.dir / word, mentions=["ending"])
        self.fails(64, "data", self.dir / "x.npy", "--valid", 0.2, "--out", self.dir / "y.csv", mentions=["several splits"])
        run("train", "--data", self.dir / "x.npy", "--hidden", 2, "--updates", 5, "--out", self.dir / "run")
        run("sample", self.dir / "run", "--count", 5, "--sweeps", 2, "--out", self.dir / "s.npz")
        self.assertEqual({k: v.shape for k, v in np.load(self.dir / "s.npz").items()}, {"visible": (5, 6), "hidden": (5, 2)})
        run("sample", self.dir / "run", "--count", 5, "--sweeps", 2, "--out", self.dir / "s.csv")
        self.assertEqual(np.loadtxt(self.dir / "s.csv", delimiter=",", skiprows=1).shape, (5, 6))
        run("encode", self.dir / "run", "--data", self.dir / "x.npy", "--out", self.dir / "c.npy")
        self.assertEqual(np.load(self.dir / "c.npy").shape, (40, 2))
        run("score", self.dir / "run", "--data", self.dir / "x.npy", "--split", "train", "--out", self.dir / "c.npz")
        self.assertEqual(sorted(np.load(self.dir / "c.npz")), ["free_energy", "log_likelihood", "number"])

    def test_what_is_read_is_not_written(self):
        path = self.dir / "x.npy"
        np.save(path, BITS)
        before = path.read_bytes()
        self.fails(64, "data", path, "--out", path, mentions=["what is read"])
        run("train", "--data", path, "--hidden", 2, "--updates", 5, "--out", self.dir / "run")
        self.fails(64, "score", self.dir / "run", "--data", path, "--split", "train", "--out", path, mentions=["what is read"])
        self.fails(64, "sample", self.dir / "run", "--out", self.dir / "run/checkpoint.h5", mentions=["file of a run"])
        self.assertEqual(path.read_bytes(), before)

    def test_permissions_stay(self):
        path = self.dir / "y.csv"
        path.write_text("")
        path.chmod(0o600)
        np.save(self.dir / "x.npy", BITS)
        run("data", self.dir / "x.npy", "--out", path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)


class Runs(Reading):
    def setUp(self):
        super().setUp()
        self.data = self.dir / "x.npy"
        np.save(self.data, BITS)
        run("train", "--data", self.data, "--hidden", 3, "--updates", 40, "--schedule", "constant", "--out", self.dir / "run")

    def test_data_that_have_moved(self):
        moved = self.dir / "moved.npy"
        self.data.rename(moved)
        self.fails(66, "resume", self.dir / "run", "--updates", 60, mentions=["--data FILE"])
        run("resume", self.dir / "run", "--updates", 60, "--data", moved)
        text = (self.dir / "run/config.toml").read_text()
        self.assertIn("# From update 40: data = ", text)
        run("resume", self.dir / "run", "--updates", 80, "--lr", 0.01)
        text = (self.dir / "run/config.toml").read_text()
        self.assertIn("# From update 40: ", text)
        self.assertIn("# From update 60: ", text)
        self.assertIn("lr = 0.01", text)
        self.fails(64, "resume", self.dir / "run", "--updates", 90, "--hidden", 4, mentions=["--hidden"])

    def test_a_finished_run_says_so_and_stays(self):
        before = (self.dir / "run/checkpoint.h5").read_bytes()
        told = run("resume", self.dir / "run").stdout
        self.assertIn("has made its 40 updates", told)
        self.assertEqual((self.dir / "run/checkpoint.h5").read_bytes(), before)

    def test_warm_start(self):
        out = self.dir / "warm"
        run("train", "--data", self.data, "--hidden", 3, "--updates", 1, "--lr", 1e-12, "--from", self.dir / "run", "--no-average", "--out", out)
        with h5py.File(self.dir / "run/checkpoint.h5") as a, h5py.File(out / "checkpoint.h5") as b:
            np.testing.assert_allclose(a["model/params/weights"][:], b["model/params/weights"][:], atol=1e-6)
        self.fails(65, "train", "--data", self.data, "--hidden", 4, "--from", self.dir / "run", "--out", self.dir / "no", mentions=["shape"])

    def test_info_of_a_run_and_json_of_training(self):
        told = run("info", self.dir / "run").stdout
        for word in ("lr:", "updates: 40", "trainer:", "log Z", "verdict:"):
            self.assertIn(word, told)
        found = run_json("train", "--data", self.data, "--hidden", 3, "--updates", 40, "--out", self.dir / "j", "--quiet")
        for key in ("log_likelihood", "split", "independent_log_likelihood", "r_hat", "watched", "verdict"):
            self.assertIn(key, found)
        json.dumps(found)

    def test_did_you_mean(self):
        self.fails(64, "trian", mentions=["did you mean train?"])
        self.fails(64, "train", "--updtaes", 3, mentions=["did you mean --updates?"])
        self.assertIn("SUBCOMMAND", run("help").stdout)
        self.assertIn("--hidden", run("help", "train").stdout)


if __name__ == "__main__":
    unittest.main()
