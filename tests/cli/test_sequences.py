"""Sequences of letters: files of alignments, weights, and machines whose visibles are letters, against NumPy."""

import gzip
import itertools
import os
import pathlib
import unittest

import h5py
import numpy as np

from harness import BAD_DATA, USAGE, CliTest, datasets, run, run_json, write_model

PROTEIN = "ACDEFGHIKLMNPQRSTVWY-"
ALIGNED = {"one": "AC-DE", "two": "ACCDE", "three": "WC-DE", "four": "AY-DE", "five": "AC-DE"}
SEQUENCES = pathlib.Path(os.environ.get("TEMPERA_BENCHMARK_DATA", "")) / "sequences"
LETTERS = "XYZ-"


def fasta(sequences):
    return "".join(f">{name} of a family\n{letters[:3]}\n{letters[3:]}\n" for name, letters in sequences.items())


def codes_of(sequences, alphabet):
    return np.array([[alphabet.index(c) for c in s] for s in sequences], np.uint8)


def log_weights(params, states):
    """log of the summed weight of each state, the hidden units summed out."""
    sites = np.arange(states.shape[1])
    inputs = params["hidden_bias"] + params["weights"][sites, states].sum(axis=1)
    return params["visible_bias"][sites, states].sum(axis=1) + np.logaddexp(0, inputs).sum(axis=1)


def machine(seed, sites=4, letters=3, hidden=5, scale=1.0):
    draw = np.random.default_rng(seed)
    return {"weights": scale * draw.normal(size=(sites, letters, hidden)), "visible_bias": scale * draw.normal(size=(sites, letters)),
            "hidden_bias": scale * draw.normal(size=hidden)}


def all_states(sites=4, letters=3):
    return np.array(list(itertools.product(range(letters), repeat=sites)))


class Sequences(CliTest):
    def write(self, name, text):
        path = self.dir / name
        if name.endswith(".gz"):
            with gzip.open(path, "wt") as file:
                file.write(text)
        else:
            path.write_text(text)
        return path

    def converted(self, path, *options):
        out = self.dir / "out.h5"
        run("data", path, *options, "--out", out, "--quiet")
        with h5py.File(out) as file:
            return file["train/x"][:], file.attrs["alphabet"], [n.decode() for n in file["train/name"][:]], {k: v[:] for k, v in file["train"].items()}

    def model(self, params, alphabet=None):
        return write_model(self.dir / "model.h5", "potts-rbm", params, alphabet)

    def data(self, codes, alphabet, split="test", names=None, name="data.h5"):
        path = self.dir / name
        with h5py.File(path, "a") as file:
            file.attrs["alphabet"] = alphabet
            file[f"{split}/x"] = codes.astype(np.uint8)
            if names:
                file[f"{split}/name"] = names
        return path


class Files(Sequences):
    def test_the_same_alignment_in_every_format(self):
        a2m = {name: s[:2] + "kl" + s[2:].replace("D", "D..") for name, s in ALIGNED.items()}
        a3m = {name: s[:2] + "klm"[:k] + s[2:] for k, (name, s) in enumerate(ALIGNED.items())}
        blocks = "".join("\n" + "".join(f"{name}   {s[a:b]}\n" for name, s in ALIGNED.items()) for a, b in ((0, 2), (2, 5)))
        files = {"a.fasta": fasta(ALIGNED), "a.fa.gz": fasta(ALIGNED), "lower.fa": fasta({n: s.lower().replace("-", ".") for n, s in ALIGNED.items()}),
                 "a.a2m": fasta(a2m), "a.a3m": fasta(a3m), "a.sto": "# STOCKHOLM 1.0\n#=GF ID family\n" + blocks + "#=GC RF xx\n//\nrest is not read\n",
                 "windows.fasta": fasta(ALIGNED).replace("\n", "\r\n")}
        expected = codes_of(ALIGNED.values(), PROTEIN)
        for name, text in files.items():
            with self.subTest(file=name):
                codes, alphabet, names, _ = self.converted(self.write(name, text))
                np.testing.assert_array_equal(codes, expected)
                self.assertEqual((alphabet, names), (PROTEIN, list(ALIGNED)))

    def test_alphabets(self):
        path = self.write("rna.fa", ">a\nACGU-\n>b\nGGTT-\n")
        codes, alphabet, _, _ = self.converted(path)
        self.assertEqual(alphabet, "-ACGU")
        np.testing.assert_array_equal(codes, [[1, 2, 3, 4, 0], [3, 3, 4, 4, 0]])
        self.assertEqual(self.converted(path, "--alphabet", "dna")[1], "-ACGT")
        self.assertEqual(self.converted(path, "--alphabet", "UGCAT-")[0].tolist()[0], [3, 2, 1, 0, 5])
        self.assertEqual(self.converted(self.write("p.fa", fasta(ALIGNED)), "--alphabet", "protein-gap-first")[1], "-" + PROTEIN[:-1])
        codes = self.write("iupac.fa", ">a\nACGUACGUACGUACGUACGU\n>b\nACGUACGRACGUACGUACGU\n")
        self.assertEqual(self.converted(codes)[1], "-ACGU")
        for wrong in ("A", "AA", ""):
            self.fails(USAGE, "data", path, "--alphabet", wrong, mentions=["--alphabet"])

    def test_unknown_letters(self):
        path = self.write("x.fa", ">a\nACX\n>b\nACD\n>c\nBC*\n")
        codes, _, names, _ = self.converted(path)
        np.testing.assert_array_equal(codes, codes_of(["AC-", "ACD", "-C-"], PROTEIN))
        remarks = " ".join(run_json("data", path)["remarks"])
        for part in ("X 1 times", "B 1 times", "* 1 times"):
            self.assertIn(part, remarks)
        self.assertEqual(self.converted(path, "--unknown", "drop")[2], ["b"])
        self.fails(BAD_DATA, "data", path, "--unknown", "refuse", mentions=["'X'", "site 2", "'a'"])
        self.fails(BAD_DATA, "data", self.write("w.fa", ">a\nAC1\n"), mentions=["'1'"])

    def test_what_is_no_alignment(self):
        for name, text, mentions in (("long.fa", ">a\nACD\n>b\nAC\n", ["'b' has 2", "'a' has 3"]), ("none.fa", ">a\n>b\n", ["no letters"]),
                                     ("only.sto", "# STOCKHOLM 1.0\n//\n", ["no sequences"]), ("word.sto", "# STOCKHOLM 1.0\nword\n", ["line 2"]),
                                     ("control.fa", ">a\nA\x01C\n", ["line 2"])):
            with self.subTest(file=name):
                self.fails(BAD_DATA, "data", self.write(name, text), mentions=mentions)

    def test_sifting_and_splits(self):
        path = self.write("a.fa", fasta({**ALIGNED, "gaps": "----E"}))
        self.assertEqual(self.converted(path, "--unique")[2], ["one", "two", "three", "four", "gaps"])
        self.assertEqual(self.converted(path, "--max-gaps", 0.5)[2], list(ALIGNED))
        self.assertEqual(self.converted(path, "--max-column-gaps", 0.5)[0].shape, (6, 4))
        for option in (("--unique",), ("--reweight", "identity:0.8"), ("--max-gaps", 0.1)):
            self.fails(USAGE, "data", "digits", *option, mentions=["sequences"])
        draw = np.random.default_rng(3)
        families = np.repeat(draw.integers(0, 20, (30, 20)), 5, axis=0)
        families[np.arange(150), draw.integers(0, 20, 150)] = 3
        out = self.dir / "split.h5"
        run("data", self.data(families, PROTEIN, "train", name="f.h5"), "--test", 0.3, "--split-identity", 0.6, "--out", out)
        with h5py.File(out) as file:
            train, test = file["train/x"][:], file["test/x"][:]
        self.assertEqual(len(train) + len(test), 150)
        self.assertLess((train[:, None] == test).mean(axis=2).max(), 0.6)
        run("data", self.dir / "f.h5", "--test", 0.3, "--out", out)  # planted: a split of sequences
        with h5py.File(out) as file:
            self.assertGreaterEqual((file["train/x"][:][:, None] == file["test/x"][:]).mean(axis=2).max(), 0.6)

    def test_columns_of_words_and_numbers_are_categories(self):
        path = self.write("survey.csv", "size,colour,answer\n1,red,yes\n3,blue,no\n1,red,no\n7,green,yes\n")
        out = self.dir / "c.h5"
        run("data", path, "--alphabet", "columns", "--labels", "answer", "--out", out)
        with h5py.File(out) as file:
            np.testing.assert_array_equal(file["train/x"][:], [[0, 2], [1, 0], [0, 2], [2, 1]])
            self.assertEqual([n.decode() for n in file["alphabet/0"][:]], ["1", "3", "7"])
            self.assertEqual([n.decode() for n in file["alphabet/1"][:]], ["blue", "green", "red"])
            self.assertEqual(len(file["train/y"]), 4)
        words = self.write("words.csv", "colour,answer\nred,yes\nblue,NA\nred,no\n")
        more = ("--alphabet", "columns", "--header", "yes")
        self.fails(BAD_DATA, "data", words, *more[2:], mentions=["expected numbers"])
        self.fails(BAD_DATA, "data", words, *more, "--out", self.dir / "w.h5", mentions=["missing", "answer"])
        self.fails(USAGE, "data", words, *more, "--missing", "mean", mentions=["no mean"])
        run("data", words, *more, "--missing", "drop", "--out", self.dir / "w.h5", "--quiet")
        with h5py.File(self.dir / "w.h5") as file:
            self.assertEqual([n.decode() for n in file["column_names"][:]], ["answer", "colour"])
            self.assertEqual([n.decode() for n in file["alphabet/1"][:]], ["red"])
            np.testing.assert_array_equal(file["train/x"][:], [[1, 0], [0, 0]])
        # Columns of words are known by their names: two of one name cannot be told apart.
        for text in ("size,a,a\n1,red,5\n3,blue,7\n", "size,a,a\n1,5,red\n3,7,blue\n", "size,a,a\n1,red,x\n3,blue,y\n", "size,,1\n1,red,5\n3,blue,7\n"):
            self.fails(BAD_DATA, "data", self.write("twice.csv", text), *more, mentions=["same name"])
        plain = self.write("plain.csv", "1,red,0\n2,blue,0\n1,red,5\n")
        run("data", plain, "--alphabet", "columns", "--out", self.dir / "p.h5", "--quiet")
        with h5py.File(self.dir / "p.h5") as file:
            self.assertEqual([n.decode() for n in file["column_names"][:]], ["0", "2", "1"])
            np.testing.assert_array_equal(file["train/x"][:], [[0, 0, 1], [1, 0, 0], [0, 1, 1]])
        run("train", "--data", out, "--model", "potts-rbm", "--hidden", 3, "--updates", 20, "--batch", 4, "--out", self.dir / "run", "--quiet")
        with h5py.File(self.dir / "run/checkpoint.h5") as file:
            self.assertEqual([n.decode() for n in file["model/alphabet/1"][:]], ["blue", "green", "red"])


class Weights(Sequences):
    def test_weights_are_one_over_the_neighbours(self):
        draw = np.random.default_rng(5)
        codes = np.repeat(draw.integers(0, 4, (12, 10)), 5, axis=0)
        change = draw.random(codes.shape) < 0.12
        codes[change] = draw.integers(0, 4, change.sum())
        path = self.data(codes, LETTERS, "train")
        same = (codes[:, None] == codes).mean(axis=2)
        letters = (codes != 3).sum(axis=1)
        same_letters = ((codes[:, None] == codes) & (codes[:, None] != 3)).sum(axis=2)
        rules = {"identity:0.8": same >= 0.8 - 1e-9, "identity-above:0.8": same > 0.8 + 1e-9, "hamming:0.2": 1 - same < 0.2 - 1e-9,
                 "theta:0.2": same_letters > 0.8 * letters[:, None] + 1e-9}
        found = {}
        for rule, near in rules.items():
            out = self.dir / "w.h5"
            run("data", path, "--reweight", rule, "--out", out)
            np.fill_diagonal(near, True)
            found[rule] = datasets(out)["train/weight"]
            np.testing.assert_allclose(found[rule], 1 / near.sum(axis=1))
        self.assertGreater(abs(found["identity:0.8"] - found["identity-above:0.8"]).max(), 0.1)
        for wrong in ("identity", "identity:0", "identity:2"):
            self.fails((USAGE, 78), "data", path, "--reweight", wrong, mentions=["reweight"])

    @unittest.skipUnless(SEQUENCES.is_dir(), "the published alignments are absent")
    def test_published_effective_numbers(self):
        for name, rule, expected in (("ww_domain", "hamming:0.1", 4265.38), ("ww_domain", "identity:0.8", 2713.64), ("kunitz", "hamming:0.1", 5496.98),
                                     ("kunitz", "identity-above:0.8", 4079.67), ("rf00379", "identity-above:0.8", 1447.04)):
            found = run_json("data", SEQUENCES / f"{name}.fasta.gz", "--unique", "--reweight", rule)
            self.assertAlmostEqual(found["alignment"]["effective"], expected, delta=0.01)


class Machines(Sequences):
    def test_likelihoods_equal_an_enumeration(self):
        params, states = machine(1), all_states()
        model = self.model(params, "XYZ")
        cases = states[np.random.default_rng(2).integers(0, len(states), 40)]
        found = run_json("loglik", model, "--data", self.data(cases, "XYZ"), "--method", "exact")
        log_z = np.logaddexp.reduce(log_weights(params, states))
        self.assertAlmostEqual(found["log_partition"], log_z, delta=1e-5)
        self.assertAlmostEqual(found["log_likelihood"], (log_weights(params, cases) - log_z).mean(), delta=1e-5)
        # The same letters in another order are the same cases; other letters are refused.
        swapped = self.data(np.array([2, 0, 1])[cases], "YZX", name="swapped.h5")
        self.assertAlmostEqual(run_json("loglik", model, "--data", swapped, "--method", "exact")["log_likelihood"], found["log_likelihood"], delta=1e-9)
        self.fails(BAD_DATA, "loglik", model, "--data", self.data(cases, "XYW", name="other.h5"), mentions=["'W'"])

    def test_mutants_equal_brute_force(self):
        params = machine(3, sites=6, letters=4, hidden=9)
        model = self.model(params, LETTERS)
        wild = np.array([[0, 1, 3, 2, 0, 1]])
        data = self.data(wild, LETTERS, names=["wild"])
        found = run_json("score", model, "--data", data, "--mutations", "singles", "--method", "none")
        self.assertEqual(len(found["name"]), 5 * 2)
        for name, relative in zip(found["name"], found["relative"]):
            mutant = wild.copy()
            site = int(name[1:-1]) - 1
            self.assertEqual(LETTERS[mutant[0, site]], name[0])
            mutant[0, site] = LETTERS.index(name[-1])
            self.assertAlmostEqual(relative, (log_weights(params, mutant) - log_weights(params, wild))[0], delta=1e-5)
        listed = run_json("score", model, "--data", data, "--mutations", "X1Z:Y2X,X5Y", "--relative-to", "wild")
        double = np.array([[2, 0, 3, 2, 0, 1]])
        self.assertAlmostEqual(listed["relative"][0], (log_weights(params, double) - log_weights(params, wild))[0], delta=1e-5)
        for wrong, mentions in (("Y1Z", ["'X' there"]), ("X9Z", ["beyond"]), ("X1Q", ["not in"]), ("XZ", ["no mutation"])):
            self.fails(USAGE, "score", model, "--data", data, "--mutations", wrong, mentions=mentions)

    def test_samples_follow_the_law(self):
        params, states = machine(4, sites=3), all_states(3)
        model = self.model(params, "XYZ")
        out = self.dir / "s.h5"
        run("sample", model, "--count", 6000, "--ladder", "none", "--sweeps", 30, "--out", out, "--quiet")
        with h5py.File(out) as file:
            drawn, alphabet = file["samples/visible"][:], file.attrs["alphabet"]
        self.assertEqual(alphabet, "XYZ")
        counts = np.bincount(drawn @ [9, 3, 1], minlength=27)
        weights = log_weights(params, states)

        def surprise(logs):
            expected = 6000 * np.exp(logs - np.logaddexp.reduce(logs))
            kept = expected >= 5
            return ((counts - expected)[kept] ** 2 / expected[kept]).sum()

        self.assertLess(surprise(weights), 58)  # chi2 of 26 at 3e-4
        self.assertGreater(surprise(1.1 * weights), 58)  # planted: another beta

    def test_training_ends_in_the_gauge_and_goes_on_to_the_byte(self):
        draw = np.random.default_rng(6)
        hidden = draw.integers(0, 2, 300)
        codes = np.where(draw.random((300, 6)) < 0.85, hidden[:, None] * 2, draw.integers(0, 4, (300, 6)))
        data = self.data(codes, LETTERS, "train")
        options = ("--data", data, "--model", "potts-rbm", "--hidden", 4, "--optimizer", "adam", "--lr", 0.01, "--updates", 60, "--seed", 2, "--holdout", 0.2)
        run("train", *options, "--out", self.dir / "whole", "--quiet")
        run("train", *options, "--threads", 1, "--out", self.dir / "one", "--quiet")
        whole, one = datasets(self.dir / "whole/checkpoint.h5"), datasets(self.dir / "one/checkpoint.h5")
        for name in whole:
            np.testing.assert_array_equal(whole[name], one[name], err_msg=name)
        self.assertLess(np.abs(whole["model/params/weights"].sum(axis=1)).max(), 1e-5)
        self.assertLess(np.abs(whole["model/params/visible_bias"].sum(axis=1)).max(), 1e-5)
        self.assertGreater(np.abs(whole["model/params/weights"]).max(), 0.05)
        found = run_json("loglik", self.dir / "whole", "--data", data, "--split", "train", "--method", "exact")
        params = {k.rsplit("/", 1)[1]: v.astype(float) for k, v in whole.items() if k.startswith("model/params/")}
        weights = log_weights(params, all_states(6, 4))
        self.assertAlmostEqual(found["log_partition"], np.logaddexp.reduce(weights), delta=1e-4)
        self.assertAlmostEqual(found["log_likelihood"], (log_weights(params, codes) - np.logaddexp.reduce(weights)).mean(), delta=1e-4)

    def test_letters_and_numbers_are_told_apart(self):
        data = self.data(np.zeros((20, 3)), "XYZ", "train")
        self.fails(BAD_DATA, "train", "--data", data, "--hidden", 3, "--out", self.dir / "r", mentions=["potts-rbm"])
        run("train", "--data", "digits", "--model", "gaussian-rbm", "--hidden", 2, "--updates", 5, "--out", self.dir / "g", "--quiet")
        self.fails(BAD_DATA, "loglik", self.dir / "g", "--data", data, "--split", "train", mentions=["letters"])
        self.fails(BAD_DATA, "data", self.data(np.zeros((20, 3)), "XX", "train", name="twice.h5"), mentions=["each once"])
        self.fails(BAD_DATA, "train", "--data", "digits", "--model", "potts-rbm", "--hidden", 3, "--out", self.dir / "r", mentions=["alphabet"])
        self.fails(BAD_DATA, "train", "--data", self.data(np.full((9, 3), 7), "XYZ", "train", name="o.h5"), "--model", "potts-rbm", "--hidden", 3, "--out",
                   self.dir / "r", mentions=["code from 0 to 2", "found 7"])

    def test_sequences_go_out_as_they_came_in(self):
        path = self.write("aligned.fasta", "".join(f">{name}\n{letters}\n" for name, letters in ALIGNED.items()))
        for name in ("out.fasta", "out.sto", "out.fa"):
            out = self.dir / name
            run("data", path, "--out", out, "--quiet")
            codes, alphabet, names, _ = self.converted(out)
            self.assertEqual({n: "".join(alphabet[c] for c in row) for n, row in zip(names, codes)}, ALIGNED)
        # Samples go the same way, but only those of letters.
        params = machine(31, sites=5, letters=4, hidden=3)
        model = self.model(params, LETTERS)
        run("sample", model, "--count", 30, "--sweeps", 20, "--out", out, "--quiet")
        run("sample", model, "--count", 30, "--sweeps", 20, "--out", self.dir / "same.h5", "--quiet")
        with h5py.File(self.dir / "same.h5") as file:
            expected = ["".join(LETTERS[c] for c in row) for row in file["samples/visible"][:]]
        self.assertEqual(out.read_text().split("\n")[1::2], expected)
        bits = write_model(self.dir / "bits.h5", "bernoulli-rbm", {"weights": np.zeros((3, 2)), "visible_bias": np.zeros(3), "hidden_bias": np.zeros(2)})
        refused = self.dir / "no.fasta"
        self.assertIn("letters", run("sample", bits, "--count", 3, "--out", refused, expect=USAGE).stderr)
        self.assertIn("letters", run("score", model, "--data", path, "--out", refused, expect=USAGE).stderr)
        self.assertFalse(refused.exists())

    def test_models_go_out_and_come_back(self):
        params = machine(33, sites=5, letters=4, hidden=3)
        params["weights"] -= params["weights"].mean(axis=1, keepdims=True)
        params["visible_bias"] -= params["visible_bias"].mean(axis=1, keepdims=True)
        model = self.model(params, LETTERS)
        states = all_states(5, 4)
        data = self.data(states[::7], LETTERS)
        scores = self.dir / "scores.npz"

        def energies(of):
            run("score", of, "--data", data, "--method", "none", "--out", scores, "--quiet")
            return np.load(scores)["free_energy"]

        out = self.dir / "out.h5"
        self.assertEqual(run_json("export", model, "--out", out)["log_partition_offset"], 0)
        with h5py.File(out) as file:
            self.assertNotIn("format", file.attrs)
            self.assertEqual(file["model_type"][()].decode(), "PBRBM")
            np.testing.assert_array_equal(file["update_1/params/weight_matrix"][:], params["weights"].astype("f4"))
        expected = -log_weights(params, states[::7])
        np.testing.assert_allclose(energies(out), expected, atol=1e-5)
        run("import", out, "--out", self.dir / "back.h5")
        with h5py.File(self.dir / "back.h5") as one, h5py.File(model) as other:
            for name in params:
                np.testing.assert_array_equal(one[f"model/params/{name}"][:], other[f"model/params/{name}"][:])
        # The gap, the last letter, is nothing in a lattice gas; the law is the same.
        offset = run_json("export", model, "--gauge", "lattice-gas", "--out", out)["log_partition_offset"]
        with h5py.File(out) as file:
            self.assertFalse(file["update_1/params/weight_matrix"][:, 3].any() or file["update_1/params/vbias"][:, 3].any())
        np.testing.assert_allclose(energies(out) + offset, expected, atol=1e-5)
        self.assertGreater(abs(offset), 0.01)
        run("export", model, "--format", "npz", "--out", self.dir / "no.npz", expect=USAGE)
        run("export", model, "--out", self.dir / "no.npz", expect=USAGE)

    def test_binary_models_go_out_and_come_back(self):
        rng = np.random.default_rng(34)
        params = {"weights": rng.normal(size=(6, 3)).astype("f4"), "visible_bias": rng.normal(size=6).astype("f4"), "hidden_bias": rng.normal(size=3).astype("f4")}
        model = write_model(self.dir / "bits.h5", "bernoulli-rbm", params)
        for form, name in (("npz", "m.npz"), ("sklearn", "s.npz"), ("rbms", "r.h5")):
            run("export", model, "--format", form, "--out", self.dir / name)
            run("import", self.dir / name, "--out", self.dir / "back.h5")
            with h5py.File(self.dir / "back.h5") as file:
                for field, values in params.items():
                    np.testing.assert_array_equal(file[f"model/params/{field}"][:], values)
        self.assertEqual(np.load(self.dir / "s.npz")["components_"].shape, (3, 6))
        deep = {"weights_1": np.zeros((4, 3)), "weights_2": np.zeros((3, 2)), "bias_0": np.zeros(4), "bias_1": np.zeros(3), "bias_2": np.zeros(2)}
        self.assertIn("restricted", run("export", write_model(self.dir / "dbm.h5", "dbm", deep), "--out", self.dir / "no.h5", expect=USAGE).stderr)
        run("export", model, "--gauge", "lattice-gas", "--out", self.dir / "no.h5", expect=USAGE)

    def test_scores_against_a_file_and_against_a_model(self):
        first, second = machine(35, sites=5, letters=4, hidden=3), machine(36, sites=5, letters=4, hidden=2)
        states = all_states(5, 4)[::31]
        model, data = self.model(first, LETTERS), self.data(states, LETTERS)
        other = write_model(self.dir / "other.h5", "potts-rbm", second, LETTERS)
        wild = self.write("wild.fasta", ">wild type\nXYZ-X\n>not this\nZZZZZ\n")
        energy = lambda params, codes: -log_weights({k: v.astype("f4").astype(float) for k, v in params.items()}, codes)
        told = run_json("score", model, "--data", data, "--relative-to", wild, "--minus", other, "--method", "none")
        of_wild = energy(first, codes_of(["XYZ-X"], LETTERS))
        np.testing.assert_allclose(told["relative"], of_wild - energy(first, states), atol=1e-5)
        np.testing.assert_allclose(told["difference"], energy(second, states) - energy(first, states), atol=1e-5)
        self.assertEqual(told["relative_to"], "wild")
        mutants = run_json("score", model, "--data", data, "--relative-to", wild, "--mutations", "X1Z,Y2X:Z3Y", "--method", "none")
        np.testing.assert_allclose(mutants["relative"], of_wild - energy(first, codes_of(["ZYZ-X", "XXY-X"], LETTERS)), atol=1e-5)
        for wrong in ("nobody", "99999"):
            self.assertIn("no file", run("score", model, "--data", data, "--relative-to", wrong, "--method", "none", expect=USAGE).stderr)
        narrow = write_model(self.dir / "narrow.h5", "potts-rbm", machine(37, sites=4, letters=4, hidden=2), LETTERS)
        self.assertIn("sites", run("score", model, "--data", data, "--minus", narrow, "--method", "none", expect=BAD_DATA).stderr)

    def test_posteriors_of_a_column_equal_an_enumeration(self):
        params = machine(51, sites=5, letters=4, hidden=3)
        states = all_states(5, 4)[::17]
        model, data = self.model(params, LETTERS), self.data(states, LETTERS)

        def expected(site):
            logs = []
            for letter in range(4):
                changed = states.copy()
                changed[:, site] = letter
                logs.append(log_weights(params, changed))
            logs = np.array(logs) - np.max(logs, axis=0)
            return np.exp(logs) / np.exp(logs).sum(axis=0)

        told = run_json("score", model, "--data", data, "--method", "none", "--posterior", 3)["posterior"]
        found = np.array([told[letter] for letter in LETTERS])
        np.testing.assert_allclose(found, expected(2), atol=1e-6)
        self.assertGreater(np.abs(found - expected(1)).max(), 0.1)  # planted: another site
        run("score", model, "--data", data, "--method", "exact", "--posterior", 3, "--out", self.dir / "s.h5", "--quiet")
        with h5py.File(self.dir / "s.h5") as file:
            np.testing.assert_allclose(file["scores/posterior"][:], found.T, atol=1e-12)
            self.assertEqual([v.decode() for v in file["scores/posterior_value"][:]], list(LETTERS))
        # Unknown letters are what they are elsewhere.
        unknown, gap = self.write("x.fasta", ">a\nXYZ-?\n"), self.write("y.fasta", ">a\nXYZ--\n")
        asked = [run_json("score", model, "--data", file, "--split", "train", "--method", "none", "--posterior", 3)["free_energy"] for file in (unknown, gap)]
        self.assertEqual(asked[0], asked[1])
        for wrong in ("0", "6", "wing"):
            self.assertIn("1 to 5", run("score", model, "--data", data, "--method", "none", "--posterior", wrong, expect=USAGE).stderr)

    def test_posteriors_of_a_class_that_is_a_column(self):
        draw = np.random.default_rng(52)
        rows = []
        for _ in range(400):
            kind = draw.choice(["oak", "fir"])
            rows.append((*(kind if draw.random() < 0.9 else ("fir" if kind == "oak" else "oak") for _ in range(3)), kind))
        table = self.write("trees.csv", "leaf,bark,seed,kind\n" + "".join(",".join(f"{word}like" if k < 3 else word for k, word in enumerate(row)) + "\n" for row in rows))
        run("train", "--data", table, "--alphabet", "columns", "--header", "yes", "--model", "potts-rbm", "--hidden", 2, "--updates", 400, "--seed", 1, "--out", self.dir / "run", "--quiet")
        told = run_json("score", self.dir / "run", "--data", table, "--header", "yes", "--split", "train", "--method", "none", "--posterior", "kind")
        values = {k: np.array(v) for k, v in told["posterior"].items()}
        self.assertEqual(set(values), {"oak", "fir"})
        np.testing.assert_allclose(values["oak"] + values["fir"], 1, atol=1e-12)
        votes = np.array([sum(word == "oak" for word in row[:3]) for row in rows])
        for count, law in ((3, 0.9**3 / (0.9**3 + 0.1**3)), (2, 0.9)):
            self.assertAlmostEqual(values["oak"][votes == count].mean(), law, delta=0.06)

        # A class may be missing; F is then that of the other columns.
        def scored(kinds, last="", expect=0):
            words = "".join(f"firlike,oaklike,oaklike,{kind}\n" for kind in kinds) + last
            asked = self.write("asked.csv", "leaf,bark,seed,kind\n" + words)
            options = ["score", self.dir / "run", "--data", asked, "--header", "yes", "--split", "train", "--method", "none", "--posterior", "kind"]
            return run(*options, expect=expect).stderr if expect else run_json(*options)

        whole, open_ = scored(["oak", "fir"]), scored(["", "oak", "fir"])
        self.assertEqual(open_["posterior"]["oak"][0], whole["posterior"]["oak"][0])
        self.assertAlmostEqual(open_["free_energy"][0], -np.logaddexp.reduce(-np.array(whole["free_energy"])), delta=1e-9)
        self.assertEqual(open_["free_energy"][1:], whole["free_energy"])
        self.assertIn("another column", scored(["oak", "fir"], last=",oaklike,oaklike,fir\n", expect=BAD_DATA))

    def test_distances_to_the_nearest_case(self):
        draw = np.random.default_rng(53)
        params = machine(54, sites=6, letters=4, hidden=3)
        natural, designs = draw.integers(0, 4, (90, 6)), draw.integers(0, 4, (70, 6))
        model = self.model(params, LETTERS)
        data, near = self.data(designs, LETTERS), self.data(natural, LETTERS, split="train", name="natural.h5")
        expected = (designs[:, None] != natural[None]).mean(axis=2).min(axis=1)
        picture = self.dir / "distances.svg"
        told = run_json("score", model, "--data", data, "--method", "exact", "--nearest-to", near, "--distances", picture)
        np.testing.assert_allclose(told["distance"], expected, atol=1e-12)
        self.assertGreater(np.abs(np.array(told["distance"]) - (designs[:, None] != natural[None, :45]).mean(axis=2).min(axis=1)).max(), 0.1)  # planted: half of the cases
        # A disc for each case of either set, and for each word of the legend.
        self.assertEqual(picture.read_text().count("fill-rule:nonzero"), 70 + 90 + 2)
        self.assertIn("--nearest-to", run("score", model, "--data", data, "--distances", picture, expect=USAGE).stderr)
        # Mutants of a sequence are as far as they differ.
        mutants = run_json("score", model, "--data", near, "--split", "train", "--mutations", "singles", "--method", "none", "--nearest-to", near)
        self.assertEqual(len(mutants["distance"]), len(mutants["name"]))
        for name, distance in zip(mutants["name"], mutants["distance"]):
            mutant = natural[0].copy()
            mutant[int(name[1:-1]) - 1] = LETTERS.index(name[-1])
            self.assertAlmostEqual(distance, (natural != mutant).mean(axis=1).min(), delta=1e-12)
        self.fails(USAGE, "score", model, "--data", data, "--nearest-to", near, "--out", near, mentions=["natural.h5", "read"])
        self.assertIn("npz", run("score", model, "--data", data, "--nearest-to", near, "--out", self.dir / "s.npy", expect=USAGE).stderr)

    def test_covariances_of_samples_and_data(self):
        params = machine(38, sites=4, letters=3, hidden=3)
        model = self.model(params, "XYZ")
        rng = np.random.default_rng(39)
        codes, weights = rng.integers(0, 3, (300, 4)), rng.uniform(0.5, 2, 300)
        codes[:, 2] = np.where(rng.random(300) < 0.7, codes[:, 0], codes[:, 2])
        data = self.data(codes, "XYZ", "train")
        with h5py.File(data, "a") as file:
            file["train/weight"] = weights
        out = self.dir / "samples.h5"
        told = run_json("sample", model, "--data", data, "--count", 400, "--sweeps", 20, "--out", out, "--statistics", self.dir / "c.svg")
        self.assertIn(b"<svg", (self.dir / "c.svg").read_bytes()[:200])
        with h5py.File(out) as file:
            samples = file["samples/visible"][:]

        def pairs(x, w):
            one = np.eye(3)[x].reshape(len(x), -1)
            c = np.cov(one.T, aweights=w, ddof=0)
            return np.array([c[i, k] for i in range(12) for k in range(i + 1, 12) if i // 3 != k // 3])

        x, y = pairs(codes, weights), pairs(samples, np.ones(len(samples)))
        self.assertAlmostEqual(told["covariance_pearson"], np.corrcoef(x, y)[0, 1], places=4)
        self.assertAlmostEqual(told["covariance_slope"], np.polyfit(x, y, 1)[0], places=4)
        self.assertNotAlmostEqual(np.corrcoef(pairs(codes, np.ones(300)), y)[0, 1], told["covariance_pearson"], places=4)  # weights count
        run("sample", model, "--count", 5, "--sweeps", 2, "--statistics", self.dir / "no.svg", expect=USAGE)
        run("sample", model, "--data", data, "--count", 5, "--clamp", "1=X", "--statistics", self.dir / "no.svg", expect=USAGE)
        run("sample", model, "--data", data, "--count", 5, "--statistics", self.dir / "no.txt", expect=USAGE)

    def test_data_are_read_in_the_letters_of_the_model(self):
        params = machine(40, sites=5, letters=21, hidden=3)
        model = self.model(params, PROTEIN)
        # By itself a peptide of A, C, G and N is DNA with a letter that nobody knows.
        path = self.write("peptide.fasta", ">p\nACGNA\n")
        told = run_json("score", model, "--data", path, "--split", "train", "--method", "none")
        exact = {k: v.astype("f4").astype(float) for k, v in params.items()}
        np.testing.assert_allclose(told["free_energy"], -log_weights(exact, codes_of(["ACGNA"], PROTEIN)), atol=1e-5)
        other = run_json("score", model, "--data", path, "--split", "train", "--method", "none", "--alphabet", "dna")
        self.assertGreater(abs(other["free_energy"][0] - told["free_energy"][0]), 1e-3)

    def test_columns_of_words_need_no_option_beside_a_model(self):
        draw = np.random.default_rng(41)
        rows = [(draw.choice(["blue", "grey"]), draw.choice(["east", "west"])) for _ in range(60)]
        table = self.write("words.csv", "sky,wind\n" + "".join(f"{a},{b}\n" for a, b in rows))
        run("train", "--data", table, "--alphabet", "columns", "--header", "yes", "--model", "potts-rbm", "--hidden", 2, "--updates", 60, "--out", self.dir / "run", "--quiet")
        said = run_json("loglik", self.dir / "run", "--data", table, "--split", "train", "--header", "yes", "--alphabet", "columns")
        self.assertEqual(run_json("loglik", self.dir / "run", "--data", table, "--split", "train", "--header", "yes"), said)
        # A column whose first cells are empty has words where one comes.
        late = self.write("late.csv", "sky,wind\ngrey,\nblue,\ngrey,east\nblue,west\n")
        run("sample", self.dir / "run", "--data", late, "--header", "yes", "--clamp", "observed", "--count", 10, "--out", self.dir / "s.h5", "--quiet")
        with h5py.File(self.dir / "s.h5") as file:
            self.assertEqual(list(file["samples/case"][:]), [0] * 10 + [1] * 10)
            self.assertEqual(list(file["samples/visible"][:, 0]), [1] * 10 + [0] * 10)

    def test_logos(self):
        path = self.write("aligned.fasta", fasta(ALIGNED))
        for name, mark in (("logo.svg", b"<svg"), ("logo.pdf", b"%PDF"), ("logo.png", b"PNG")):
            run("data", path, "--logo", self.dir / name, "--quiet")
            self.assertIn(mark, (self.dir / name).read_bytes()[:200])
        table = self.write("bits.csv", "a,b\n1,0\n0,1\n")
        self.assertIn("--logo", run("data", table, "--logo", self.dir / "no.svg", expect=USAGE).stderr)
        run("data", path, "--logo", self.dir / "no.txt", expect=USAGE)
        params = machine(32, sites=5, letters=21, hidden=3)
        model, data = self.model(params, PROTEIN), self.write("same.fasta", fasta(ALIGNED))
        run("features", model, "--data", data, "--out", self.dir / "units.svg", "--quiet")
        run("features", model, "--data", data, "--out", self.dir / "units.h5", "--quiet")
        codes = codes_of(ALIGNED.values(), PROTEIN)
        with h5py.File(self.dir / "units.h5") as file:
            inputs = params["hidden_bias"] + params["weights"][np.arange(5), codes].sum(axis=1)
            np.testing.assert_allclose(file["features/inputs"][:], inputs, atol=1e-4)
            self.assertEqual(file.attrs["alphabet"], PROTEIN)

    def test_couplings_against_every_sequence(self):
        params = machine(21, sites=4, letters=4, hidden=3)
        states = all_states(4, 4)
        f = log_weights(params, states)

        def mean(*where):
            chosen = np.ones(len(states), bool)
            for site, letter in where:
                chosen &= states[:, site] == letter
            return f[chosen].mean()

        model = self.model(params, LETTERS)
        out = self.dir / "couplings.h5"
        run("couplings", model, "--form", "exact", "--min-separation", 1, "--out", out, "--quiet")
        with h5py.File(out) as file:
            found, fields = file["couplings"][:], file["fields"][:]
            pairs = {name: values[:] for name, values in file["pairs"].items()}
        expected = np.zeros((4, 4, 4, 4))
        for i, k in itertools.permutations(range(4), 2):
            for a, b in itertools.product(range(4), repeat=2):
                expected[i, k, a, b] = mean((i, a), (k, b)) - mean((i, a)) - mean((k, b)) + mean()
        self.assertLess(np.abs(found - expected).max(), 1e-5)
        self.assertLess(np.abs(fields - [[mean((i, a)) - mean() for a in range(4)] for i in range(4)]).max(), 1e-5)
        # Norms without the gap, the last letter; less what both sites have with all others.
        norms = np.linalg.norm(expected[:, :, :3, :3], axis=(2, 3))
        of_site = norms.sum(axis=1) / 3
        scores = norms - np.outer(of_site, of_site) / of_site.mean()
        ranked = sorted(itertools.combinations(range(4), 2), key=lambda p: -scores[p])
        self.assertEqual(list(zip(pairs["first"] - 1, pairs["second"] - 1)), ranked)
        np.testing.assert_allclose(pairs["score"], [scores[p] for p in ranked], atol=1e-5)
        np.testing.assert_allclose(pairs["norm"], [norms[p] for p in ranked], atol=1e-5)
        self.assertGreater(np.abs(np.linalg.norm(expected, axis=(2, 3)) - norms).max(), 1e-3)  # the gap counts for something

    def test_couplings_about_data(self):
        params = machine(22, sites=5, letters=4, hidden=3)
        weights = params["weights"] - params["weights"].mean(axis=1, keepdims=True)
        codes = np.random.default_rng(2).integers(0, 4, (200, 5))
        model, data = self.model(params, LETTERS), self.data(codes, LETTERS, "train")
        h = 1 / (1 + np.exp(-(params["hidden_bias"] + params["weights"][np.arange(5), codes].sum(axis=1))))
        expected = np.einsum("j,iaj,kbj->ikab", (h * (1 - h)).mean(axis=0), weights, weights)
        contacts = self.dir / "contacts.npy"
        norms = np.linalg.norm(expected[:, :, :3, :3], axis=(2, 3))
        np.save(contacts, norms.astype("f4"))
        out = self.dir / "couplings.h5"
        told = run_json("couplings", model, "--data", data, "--contacts", contacts, "--contact-distance", np.median(norms), "--min-separation", 1, "--out", out)
        with h5py.File(out) as file:
            found = file["couplings"][:]
            contact, norm = file["pairs/contact"][:], file["pairs/norm"][:]
            self.assertNotIn("fields", file)
        for i in range(5):
            expected[i, i] = 0
        self.assertLess(np.abs(found - expected).max(), 1e-5)
        np.testing.assert_array_equal(contact, norm < np.median(norms))
        self.assertEqual(told["precision"], contact[:5].mean())
        run("couplings", model, "--out", out, expect=USAGE)  # no data
        run("couplings", model, "--data", data, "--contact-distance", 3, expect=USAGE)
        np.save(contacts, norms[:4])
        self.assertIn("5 x 5", run("couplings", model, "--data", data, "--contacts", contacts, expect=BAD_DATA).stderr)
        table = run("couplings", model, "--form", "exact", "--min-separation", 3).stdout
        self.assertEqual(table.splitlines()[0], "first,second,score,norm")
        self.assertEqual(len(table.splitlines()), 4)

    def test_models_of_other_toolkits(self):
        params, states = machine(8), all_states()
        expected = np.logaddexp.reduce(log_weights(params, states))
        layouts = {"rbms": ("update_7/params", lambda w: w, lambda b: b, "PBRBM"), "letters first": ("update_7", lambda w: w.transpose(1, 0, 2), lambda b: b.T, None)}
        for name, (group, weights, bias, kind) in layouts.items():
            with self.subTest(layout=name):
                path = self.dir / f"{name}.h5"
                with h5py.File(path, "w") as file:
                    if kind:
                        file["model_type"] = kind
                    file[f"{group}/weight_matrix"], file[f"{group}/vbias"], file[f"{group}/hbias"] = weights(params["weights"]), bias(params["visible_bias"]), params["hidden_bias"]
                self.assertAlmostEqual(run_json("loglik", path, "--method", "exact")["log_partition"], expected, delta=1e-5)
        path = self.dir / "julia.h5"
        with h5py.File(path, "w") as file:
            file["rbm_type"], file["visible_type"], file["hidden_type"] = "RBM", "Potts", "Binary"
            file["weights"], file["visible_par"] = params["weights"].transpose(2, 0, 1), params["visible_bias"][..., None]
            file["hidden_par"] = params["hidden_bias"][:, None]
        self.assertAlmostEqual(run_json("loglik", path, "--method", "exact")["log_partition"], expected, delta=1e-5)
        out = self.dir / "converted.h5"
        self.assertEqual(run_json("import", path, "--out", out)["n_visible"], 4)
        np.testing.assert_allclose(datasets(out)["model/params/weights"], params["weights"], rtol=1e-6)

    def test_letters_of_sites_may_differ(self):
        params = machine(9, sites=3, letters=4)
        numbers = [3, 2, 4]
        for site, n in enumerate(numbers):
            params["weights"][site, n:], params["visible_bias"][site, n:] = 0, 0
        states = np.array(list(itertools.product(*map(range, numbers))))
        model = self.model(params)
        with h5py.File(model, "a") as file:
            file["model"].attrs["letters"] = numbers
        self.assertAlmostEqual(run_json("loglik", model, "--method", "exact")["log_partition"], np.logaddexp.reduce(log_weights(params, states)), delta=1e-5)
        with h5py.File(model, "a") as file:
            file["model"].attrs["letters"] = [3, 2, 5]
        self.fails(BAD_DATA, "loglik", model, mentions=["letters"])
        with h5py.File(model, "a") as file:
            file["model"].attrs["letters"] = numbers
            file["model/params/visible_bias"][1, 3] = 0.5
        self.fails(BAD_DATA, "loglik", model, mentions=["no letter"])
        many = {"weights": np.zeros((2, 300, 3)), "visible_bias": np.zeros((2, 300)), "hidden_bias": np.zeros(3)}
        model.unlink()
        self.fails(BAD_DATA, "sample", self.model(many), "--count", 5, "--out", self.dir / "s.h5", mentions=["256"])


if __name__ == "__main__":
    unittest.main()
