"""scripts/compare_revisions sees differences: each is planted in one of two folders that are otherwise the same."""

import importlib.machinery
import importlib.util
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOADER = importlib.machinery.SourceFileLoader("compare_revisions", str(ROOT / "scripts" / "compare_revisions"))
compare_revisions = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare_revisions", LOADER))
sys.modules["compare_revisions"] = compare_revisions  # its data classes look their module up
LOADER.exec_module(compare_revisions)

WEIGHTS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
OUTPUT = {"log_partition": 3.25, "estimates": [{"method": "ais", "se": 0.125}], "betas": [0.0, 0.5, 1.0], "seconds": 0.5}
BECAUSE = "A test."


class Folders(unittest.TestCase):
    def setUp(self):
        root = pathlib.Path(tempfile.mkdtemp(prefix="tempera-compare-"))
        self.addCleanup(shutil.rmtree, root)
        self.base, self.head = root / "base" / "case", root / "head" / "case"
        for folder in (self.base, self.head):
            self.write(folder)

    def write(self, folder):
        """What a run leaves, in small."""
        (folder / "out").mkdir(parents=True)
        with h5py.File(folder / "out" / "checkpoint.h5", "w") as file:
            file.attrs["format"] = "tempera"
            file["model/params/weights"] = WEIGHTS
            file["model"].attrs["kind"] = "bernoulli-rbm"
            file["state/best_validation"] = -17.5
            file["state"].attrs["update"] = np.int64(30)
            file.create_group("provenance").attrs["command_line"] = f"tempera train --data {folder}/x.npy"
        (folder / "out" / "metrics.csv").write_text("update,seconds,barrier\n10,0.5,1.25\n20,0.75,\n")
        (folder / "out" / "config.toml").write_text('# Every value.\nlr = 0.1\nhidden = [4, 3]\n')
        (folder / "out" / "features.png").write_bytes(b"\x89PNG and so on")
        self.commands(folder)

    def commands(self, folder, **changes):
        """The results of two commands, of which the second printed JSON."""
        first = {"command": "train", "expected": 0, "exit": 0, "stdout": f"trained in 0.8 s: {folder}/out, log Z 2.5\n", "stderr": "", **changes}
        second = {"command": "loglik", "expected": 0, "exit": 0, "stdout": json.dumps(OUTPUT), "stderr": ""}
        (folder / "commands.json").write_text(json.dumps([first, second]))

    def hdf5(self):
        return h5py.File(self.head / "out" / "checkpoint.h5", "r+")

    def edit(self, name, old, new):
        path = self.head / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def found(self, table=None, case="case"):
        """{place: what is told} of the differences."""
        self.meant = compare_revisions.Meant(table)
        differences, self.places = compare_revisions.compare_folders(self.base, self.head, self.meant, case)
        return {difference.place: difference.told for difference in differences}

    def only(self, place, *words, table=None):
        """Exactly one difference, at this place, told in these words."""
        found = self.found(table)
        self.assertEqual(list(found), [place], found)
        for word in words:
            self.assertIn(word, found[place])


class Values(Folders):
    def test_equal_folders_are_equal(self):
        self.assertEqual(self.found(), {})
        self.assertGreater(self.places, 15)

    def test_the_last_bit_of_a_dataset(self):
        with self.hdf5() as file:
            weights = file["model/params/weights"]
            weights[2, 1] = np.nextafter(weights[2, 1], np.float32(2))
        self.only("out/checkpoint.h5:/model/params/weights", "1 of 12", "2.98e-08", "1.09e-07")

    def test_bits_that_are_no_numbers(self):
        for folder, zero in ((self.base, 0.0), (self.head, -0.0)):
            with h5py.File(folder / "out" / "checkpoint.h5", "r+") as file:
                file["state/best_validation"][...] = zero
        self.only("out/checkpoint.h5:/state/best_validation", "not in bits")

    def test_type_and_shape_of_a_dataset(self):
        for value, word in ((WEIGHTS.astype("f8"), "type"), (WEIGHTS.reshape(3, 4), "shape"), (WEIGHTS.astype(">f4"), "type")):
            with self.subTest(word), self.hdf5() as file:
                del file["model/params/weights"]
                file["model/params/weights"] = value
            self.only("out/checkpoint.h5:/model/params/weights", word)

    def test_attributes(self):
        with self.hdf5() as file:
            file["model"].attrs["kind"] = "dbm"
            file["state"].attrs["update"] = np.int64(31)
            file.attrs["more"] = 1.5
            del file.attrs["format"]
        found = self.found()
        self.assertEqual(set(found), {f"out/checkpoint.h5:{place}" for place in ("/model@kind", "/state@update", "/@more", "/@format")})
        self.assertIn("30, now 31: 1 absolutely", found["out/checkpoint.h5:/state@update"])

    def test_missing_and_new_datasets_and_files(self):
        with self.hdf5() as file:
            del file["state/best_validation"]
            file["state/worst"] = 1.0
        (self.head / "out" / "features.png").unlink()
        found = self.found()
        self.assertEqual({place: told.split()[1] for place, told in found.items()},
                         {"out/checkpoint.h5:/state/best_validation": "missing", "out/checkpoint.h5:/state/worst": "new", "out/features.png": "missing"})

    def test_exit_codes_and_texts(self):
        self.commands(self.head, exit=70)
        self.only("command-1.exit", "0, now 70")
        self.commands(self.head, stderr="tempera: warning: something\n")
        self.only("command-1.stderr", "warning")
        self.commands(self.head, stdout=f"trained in 0.8 s: {self.head}/out, log Z 2.6\n")
        self.only("command-1.stdout", "2.5", "2.6")

    def test_json_csv_toml_and_pictures(self):
        self.edit("commands.json", "0.125", "0.1250000001")
        self.only("command-2.stdout:/estimates/0/se", "8e-10 relatively")
        self.edit("commands.json", "0.1250000001", "0.125")
        self.edit("commands.json", "[0.0, 0.5, 1.0]", "[0.0, 0.5, 1]")
        self.only("command-2.stdout:/betas", "not in bits")
        self.edit("commands.json", "[0.0, 0.5, 1]", "[0.0, 0.5, 1.0]")
        self.edit("out/metrics.csv", "1.25", "1.26")
        self.only("out/metrics.csv:barrier", "0.01 absolutely")
        self.edit("out/metrics.csv", "1.26", "1.25")
        self.edit("out/config.toml", "[4, 3]", "[4, 2]")
        self.only("out/config.toml:/hidden")
        self.edit("out/config.toml", "[4, 2]", "[4, 3]")
        (self.head / "out" / "features.png").write_bytes(b"\x89PNG and no more")
        self.only("out/features.png", "bytes")

    def test_the_shipped_table_leaves_times_aside(self):
        self.edit("out/metrics.csv", "0.75", "0.76")
        self.edit("commands.json", '\\"seconds\\": 0.5', '\\"seconds\\": 0.6')
        self.edit("commands.json", "in 0.8 s", "in 12.34 s")
        self.assertEqual(len(self.found()), 3)
        table = compare_revisions.tomllib.loads(compare_revisions.TABLE.read_text())
        self.assertEqual(self.found(table), {})

    def test_files_that_cannot_be_read_are_bytes(self):
        for folder in (self.base, self.head):
            (folder / "out" / "checkpoint.h5").write_bytes(b"no HDF5")
        self.assertEqual(self.found(), {})
        (self.head / "out" / "checkpoint.h5").write_bytes(b"no HDF 5")
        self.only("out/checkpoint.h5", "bytes")


class Meant(Folders):
    def rename(self, source, target, **more):
        return {"rename": [{"from": source, "to": target, "reason": BECAUSE, **more}]}

    def move(self, value=-17.5):
        with self.hdf5() as file:
            del file["state/best_validation"]
            file["state/observers/early_stopping/best_validation"] = value

    def test_a_renamed_dataset_is_found_under_its_new_name(self):
        new = "/state/observers/early_stopping/best_validation"
        for table in (self.rename("*.h5:/state/best_validation", f"*.h5:{new}"),
                      self.rename(r"(.*\.h5):/state/(best_\w+)", r"\1:/state/observers/early_stopping/\2", regex=True)):
            with self.subTest(table):
                self.move()
                self.assertEqual(self.found(table), {})
                self.assertEqual(self.meant.stale(), [])
                self.assertEqual(len(self.found()), 2)
                with self.hdf5() as file:
                    file[new][...] = -17.25
                self.only(f"out/checkpoint.h5:{new}", "0.25 absolutely", table=table)
                with self.hdf5() as file:
                    del file["state/observers"]
                self.only(f"out/checkpoint.h5:{new}", "missing", table=table)
                with self.hdf5() as file:
                    file["state/best_validation"] = -17.5

    def test_a_rename_that_was_not_made_is_stale(self):
        self.assertEqual(self.found(self.rename("*.h5:/state/best_validation", "*.h5:/state/best")), {})
        self.assertEqual(len(self.meant.stale()), 1)

    def test_an_attribute_may_become_a_dataset_a_column_and_a_file_another(self):
        with self.hdf5() as file:
            del file["state"].attrs["update"]
            file["state/progress/update"] = np.int64(30)
        self.edit("out/metrics.csv", "barrier", "ladder_barrier")
        (self.head / "out" / "features.png").rename(self.head / "out" / "filters.png")
        rows = [("*.h5:/state@update", "*.h5:/state/progress/update"), ("*.csv:barrier", "*.csv:ladder_barrier"), ("*features.png", "*filters.png")]
        table = {"rename": [{"from": old, "to": new, "reason": BECAUSE} for old, new in rows],
                 "ignore": [{"place": "*.csv:@columns", "reason": BECAUSE}]}
        self.assertEqual(self.found(table), {})

    def test_renames_apply_one_after_another(self):
        self.move()
        with self.hdf5() as file:
            file.move("state/observers/early_stopping", "state/observers/stopping")
            file.move("state/observers/stopping/best_validation", "state/observers/stopping/best")
        rows = [("*/best_validation", "*/best"), ("*.h5:/state/*", "*.h5:/state/observers/stopping/*"), ("*.h5:/state/*", "*.h5:/nowhere/*")]
        table = {"rename": [{"from": old, "to": new, "reason": BECAUSE} for old, new in rows]}
        self.assertEqual(self.found(table), {})
        self.assertEqual([entry.text for entry in self.meant.stale()], ["*.h5:/state/* -> *.h5:/nowhere/*"])

    def test_two_places_of_one_new_name_are_told(self):
        with self.hdf5() as file:
            del file["state/best_validation"], file["model/params/weights"]
            file["new"] = WEIGHTS
        table = self.rename(r"(.*):/(state|model/params)/\w+", r"\1:/new", regex=True)
        self.assertIn("out/checkpoint.h5:/new", self.found(table))

    def test_ignored_added_removed_and_replaced(self):
        self.move(value=3.0)
        self.commands(self.head, stderr="carried: out of range\n")
        self.commands(self.base, stderr="accumulated: out of range\n")
        table = {"removed": [{"place": "*:/state/best_validation", "reason": BECAUSE}], "added": [{"place": "*:/state/observers/*", "reason": BECAUSE}],
                 "replace": [{"place": "*.stderr", "pattern": "carried|accumulated", "with": "weight", "reason": BECAUSE}]}
        self.assertEqual(self.found(table), {})
        self.assertEqual(self.meant.stale(), [])
        self.assertEqual(self.found({"ignore": [{"place": place, "reason": BECAUSE} for place in ("*:/state/*", "command-1.*")]}), {})
        # Where both have the place it is compared.
        for folder in (self.base, self.head):
            shutil.rmtree(folder)
            self.write(folder)
        with self.hdf5() as file:
            file["state/best_validation"][...] = 0.0
        self.assertEqual(len(self.found({kind: [{"place": "*:/state/*", "reason": BECAUSE}] for kind in ("added", "removed")})), 1)

    def test_an_entry_may_be_for_one_case(self):
        self.commands(self.head, exit=70)
        table = {"ignore": [{"place": "*.exit", "case": "resume-*", "reason": BECAUSE}]}
        self.assertEqual(len(self.found(table, "trainer-cd")), 1)
        self.assertEqual(len(self.meant.stale()), 1)
        self.assertEqual(self.found(table, "resume-slabs"), {})

    def test_stale_entries_are_told(self):
        table = {"ignore": [{"place": "*.csv:seconds", "reason": BECAUSE}, {"place": "*.csv:minutes", "reason": "None has it."}],
                 "added": [{"place": "*.h5:/state/*", "reason": BECAUSE}], "removed": [{"place": "*", "reason": BECAUSE}],
                 "replace": [{"place": "*", "pattern": "something else", "with": "", "reason": BECAUSE}]}
        self.assertEqual(self.found(table), {})
        self.assertEqual([entry.kind for entry in self.meant.stale()], ["ignore", "added", "removed", "replace"])
        self.found({"ignore": [{"place": "*.csv:minutes", "rare": True, "reason": BECAUSE}]})
        self.assertEqual(self.meant.stale(), [])

    def test_tables_that_mean_nothing_are_refused(self):
        for table in ({"forget": [{"place": "*", "reason": BECAUSE}]}, {"ignore": [{"place": "*"}]}, {"ignore": [{"place": "*", "reason": " "}]},
                      {"ignore": [{"place": "*", "reason": BECAUSE, "to": "*"}]}, {"ignore": {"place": "*", "reason": BECAUSE}},
                      {"ignore": [{"place": "(", "regex": True, "reason": BECAUSE}]}, self.rename("*.h5:/a", "*.h5:/a/*")):
            with self.subTest(table), self.assertRaises(compare_revisions.TableError):
                compare_revisions.Meant(table)

    def test_the_shipped_table_can_be_read(self):
        self.assertTrue(compare_revisions.Meant.read(compare_revisions.TABLE).entries)


class Cases(Folders):
    def test_every_case_has_a_name_of_its_own_and_commands(self):
        names = [name for name, _ in compare_revisions.CASES]
        self.assertEqual(len(set(names)), len(names))
        self.assertGreater(len(names), 45)
        self.assertFalse({"tempera", "data", "inputs"} & set(names), "what lies beside the folders of the cases")
        for name, commands in compare_revisions.CASES:
            for command in commands:
                with self.subTest(name, command=command):
                    expected, words = compare_revisions.arguments(command)
                    self.assertIn(expected, (0, 64, 65, 66, 70, 74, 78))
                    if words and words[0].startswith("!"):
                        self.assertIn(words[0], compare_revisions.STEPS)

    def test_a_case_that_fails_on_both_sides_compares_nothing(self):
        for folder in (self.base, self.head):
            self.commands(folder, exit=64, stderr="tempera: error: --nonsense\n")
        told = compare_revisions.faults(self.base, self.head)
        self.assertEqual(len(told), 1)
        self.assertIn("--nonsense", told[0])
        self.commands(self.base)
        self.assertEqual(compare_revisions.faults(self.base, self.head), [])

    def test_exit_codes_of_the_report(self):
        outcome, difference = compare_revisions.Outcome, compare_revisions.Difference("out/x.h5:/a", "1, now 2")
        equal, differs, error = outcome("a", 0.1), outcome("b", 0.1, [difference]), outcome("c", 0.1, [difference], ["failed"])
        with open("/dev/null", "w") as nowhere, compare_revisions.contextlib.redirect_stdout(nowhere):
            for outcomes, code in (([equal], 0), ([equal, differs], 1), ([differs, error], 2)):
                self.assertEqual(compare_revisions.report(outcomes, compare_revisions.Meant(), True), code)

    def test_inputs_are_the_same_every_time(self):
        for folder in (self.base, self.head):
            shutil.rmtree(folder)
            compare_revisions.make_inputs(folder)
        self.assertEqual(self.found(), {})

    def test_programs_are_run_and_compared(self):
        """Two scripts in place of the program: the second gives another number."""
        programs = []
        for name, number in (("old", 1), ("new", 2)):
            path = self.base.parent / name
            path.write_text(f'#!/bin/sh\necho "number: {number}"\n[ "$1" != fail ] || exit 65\n')
            path.chmod(0o755)
            programs.append((path, self.base))
        cases = [("good", ["train", "65 fail"])]
        for pair, verdict in ((programs[:1] * 2, "equal"), (programs, "differs")):
            outcome, = compare_revisions.compare(cases, pair, compare_revisions.Meant(), 2, False)
            self.assertEqual((outcome.verdict, len(outcome.differences)), (verdict, 0 if verdict == "equal" else 2))
        outcome, = compare_revisions.compare([("bad", ["fail"])], programs[:1] * 2, compare_revisions.Meant(), 1, False)
        self.assertEqual(outcome.verdict, "error")


if __name__ == "__main__":
    unittest.main()
