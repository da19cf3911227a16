#!/usr/bin/env python3
"""Writes the files that the fuzzers begin with, a folder for each target: small, whole, and of every layout that is read.

    corpus.py DIR

Needs h5py and numpy. Files that have once been read wrongly lie beside this script in found/TARGET/, and are copied.
"""

import gzip
import io
import pathlib
import shutil
import struct
import sys

import h5py
import numpy as np

BITS = (np.random.default_rng(1).random((12, 6)) < 0.4).astype("u1")
REAL = np.random.default_rng(2).normal(size=(12, 6)).astype("f4")


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def hdf5(fill, **how):
    file = io.BytesIO()
    with h5py.File(file, "w", **how) as out:
        fill(out)
    return file.getvalue()


def own(file):
    file["train/x"], file["valid/x"], file["train/y"], file["train/weight"] = BITS, BITS[:4], np.arange(12), np.arange(12.0)
    file["train/name"] = np.array(["q"] * 12, dtype=object)
    file["column_names"] = np.array(list("abcdef"), dtype=object)
    file.attrs["visible_shape"], file.attrs["source"] = [2, 3], "made"


def filtered(file):
    file.create_dataset("x", data=BITS, compression="lzf", chunks=(5, 6))
    file.create_dataset("y", data=np.arange(12), compression="gzip", shuffle=True)
    file["b"] = BITS.astype(bool)


def sparse(file):
    group = file.create_group("X")
    group.attrs["encoding-type"], group.attrs["shape"] = "csr_matrix", BITS.shape
    rows, columns = np.nonzero(BITS)
    group["data"], group["indices"], group["indptr"] = BITS[rows, columns].astype("f4"), columns, np.searchsorted(rows, np.arange(13))


def keras(file):
    layer = file.create_group("model_weights/rbm/rbm")
    layer["kernel:0"], layer["bias:0"] = REAL, REAL[0]


def matlab(file):
    file["X"] = REAL.T.astype("f8")
    file["X"].attrs["MATLAB_class"] = np.bytes_("double")


def model(file):
    file["W"], file["vbias"], file["hbias"] = REAL, REAL[:, 0], REAL[0]


DATA = {
    "hdf5": {"own": hdf5(own), "filtered": hdf5(filtered), "sparse": hdf5(sparse), "keras": hdf5(keras), "matlab": hdf5(matlab, userblock_size=512),
             "late": hdf5(own, libver="latest"), "packed": gzip.compress(hdf5(model))},
    "npy": {str(k): npy(x) for k, x in enumerate((BITS, REAL, np.asfortranarray(REAL.reshape(12, 2, 3).astype(">f8")), BITS.astype(bool), REAL.astype("f2"),
                                                  BITS.astype(">i8"), BITS[:, :1]))},
    "npz": {"plain": npz(x_train=BITS, y_train=np.array(["a", "b"] * 6), sample_weight=np.ones(12)), "packed": npz(True, X=REAL, other=BITS),
            "sparse": npz(True, data=np.ones(5), indices=np.arange(5, dtype="i4"), indptr=np.array([0, 2, 5], "i4"), shape=np.array([2, 6]),
                          format=np.array(b"csr")),
            "formatless": npz(data=np.ones(5), indices=np.arange(5), indptr=np.array([0, 2, 5]), shape=np.array([2, 6]), format=np.array([], "S3"))},
    "idx": {"bytes": struct.pack(">HBBII", 0, 8, 2, 12, 6) + BITS.tobytes(), "floats": struct.pack(">HBBII", 0, 13, 2, 12, 6) + REAL.astype(">f4").tobytes(),
            "cube": gzip.compress(struct.pack(">HBBIII", 0, 9, 3, 12, 2, 3) + BITS.tobytes())},
    "csv": {"header": b",x,y\nr1,1,NA\nr2,+2.5e-3,3\n", "semicolons": b'"a";b;c\n' + b'1,5;2;"3 ""x"" "\n' * 4, "blanks": b"# c\n1 0 1\n0 1 0\n",
            "twice": b'"a";b;b\n1,5;2;"3 ""x"" "\n', "tabs": b"\xef\xbb\xbf1\t2\n3\t4\n\n", "words": b"a,b\n1,True\n0,False\n", "packed": gzip.compress(b"1,2\n3,4\n")},
    "sequences": {"fasta": b">one of a family\nAC-DE\n>two\nWCXDE\n", "a2m": b">a\nACd-.E\n>b\nA.C-dE\n".replace(b".C", b"C"), "a3m": b"# names\n>a\nAC-DE\n>b\nACkk-DE\n",
                  "stockholm": b"# STOCKHOLM 1.0\n#=GF ID x\none AC-\ntwo WCD\n\none DE\ntwo DE\n//\n", "rna": b">1\r\nACGU\r\n>2\r\nA-NU\r\n",
                  "packed": gzip.compress(b">a\nACDE\n>b\nACDF\n"), "comment": b";old\n>a\nAC\nDE*\n", "mark": b"\xef\xbb\xbf>a\nACDE\n"},
    "json": {"counts": b'{"0101": 12, "11 00": 3.5}', "nested": b'{"counts": {"0": 1, "1": 2}}'},
}
CONFIG = {
    "few": b'data = "digits"\nhidden = [20, 5]\nlr = 0.01\n',
    "sections": b'[data]\ndata = "x.h5"\nbinarize = "threshold:3"\n[rate]\nupdates = 100\nlr = "auto"\n[chains]\njump = "auto"\n',
    "apostrophes": b"'\xc9'\xc9", "keys": b"'ta\xce'.]", "surrogate": b"'\xed\xa0\x80'.]", "long": b"'\xe0\x80\x80'.]", "beyond": b"'\xf4\x90\x80\x80'.]", "accents": "data = 'caf\xe9.h5'\n".encode(),
}
FOREIGN = {"npz": npz(W=REAL, a=REAL[:, 0], b=REAL[0]), "keras": hdf5(keras), "names": hdf5(model), "text": b"1,2\n"}


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    for target, files in {**DATA, "config": CONFIG, "foreign_model": FOREIGN}.items():
        (out / target).mkdir(parents=True)
        for name, content in files.items():
            (out / target / name).write_bytes(content)
        for path in sorted((pathlib.Path(__file__).parent / "found" / target).glob("*")):
            shutil.copy(path, out / target / f"found-{path.name}")


if __name__ == "__main__":
    main()
