"""What the options of `tempera train` promise: early stopping, metrics, effects on the parameters, overflow."""

import shutil
import time
import unittest

import h5py
import numpy as np

from harness import (FIELDS, INTERNAL, CliTest, check_finite_params, class_folder, compare_datasets, datasets,
                     differences, error_lines, history, random_bits, read_metrics, run, run_json, start, state, train_args,
                     write_data)


def small_digits(path, n_train=60, n_valid=100):
    """A few thresholded digits: a model of 14 hidden units soon overfits them. Returns the path."""
    whole = path.with_name("all-digits.h5")
    run("data", "digits", "--binarize", "threshold", "--out", whole)
    cases = datasets(whole)
    whole.unlink()
    return write_data(path, train=cases["train/x"][:n_train], valid=cases["valid/x"][:n_valid],
                      test=cases["test/x"][:n_valid])


def overfit_args(data, out, *more, updates=3000, validate_every=20, checkpoint_every=50):
    """A run that overfits: few cases, many hidden units, a high and constant rate."""
    return train_args(data, out, "--lr", 1, "--schedule", "constant", "--validate-every", validate_every,
                      "--report-every", 20, "--checkpoint-every", checkpoint_every, *more, hidden=14, batch=20, updates=updates)


def validations(run_dir):
    """{update: validation log-likelihood} of the rows of metrics.csv that have one."""
    return {int(row["update"]): float(row["validation_log_likelihood"]) for row in read_metrics(run_dir)
            if row["validation_log_likelihood"]}


def chosen(run_dir, patience, updates, falls=False):
    """What the stated rule makes of the rows of metrics.csv of a run that was not resumed: the update of the model that is offered, and the one
    at which the run goes back to its best model (None: it never does)."""
    rows = [row for row in read_metrics(run_dir) if row["validation_log_likelihood"]]
    last = read_metrics(run_dir)[-1]
    best, value, since, turn = 0, -np.inf, 0, None
    # The first validation of the last tenth of the updates.
    last_turn = [int(row["update"]) for row in rows if updates - updates // 10 <= int(row["update"]) < updates][:1]
    for row in rows:
        update, here, error = int(row["update"]), float(row["validation_log_likelihood"]), float(row["validation_standard_error"])
        trusted = row["trusted"] == "1"
        fell = here < value - error
        since = since + 1 if fell or not falls else 0 if trusted else since
        at_zero = row is last or update == int(last["update"])
        at_zero = at_zero and (falls or turn is not None)
        settled = value - min(error, max(0.25, 0.005 * abs(value)))  # what is enough of a model whose rate has fallen to 0
        least = settled if at_zero else value + float(row["log_partition_standard_error"])
        if trusted and here > least:
            best, value, since = update, here, 0
        elif falls and update in last_turn and not (trusted and here > settled):
            since = max(since, patience)
        if turn is None and since >= patience and best > 0 and update < int(last["update"]):
            turn = update
    return best, turn


class EarlyStopping(CliTest):
    UPDATES, PATIENCE = 3000, 3

    @classmethod
    def setUpClass(cls):
        folder = class_folder(cls)
        cls.data = small_digits(folder / "data.h5")
        cls.run_dir = folder / "run"
        cls.told = run(*overfit_args(cls.data, cls.run_dir, "--patience", cls.PATIENCE, "--keep", 0, updates=cls.UPDATES)).stderr

    def best_update(self, run_dir, until=UPDATES):
        """The update of the highest validation likelihood in metrics.csv, of the first `until` updates."""
        found = {update: value for update, value in validations(run_dir).items() if update <= until}
        return max(found, key=found.get)

    def turn(self):
        """The best update before the run went back to it, the update at which it did, and its last."""
        last, begin = int(read_metrics(self.run_dir)[-1]["update"]), chosen(self.run_dir, self.PATIENCE, self.UPDATES)[1]
        best = self.best_update(self.run_dir, begin)
        self.assertEqual(begin, best + self.PATIENCE * 20)
        return best, begin, last

    def test_it_goes_back_to_the_best_and_lets_the_rate_fall_to_0(self):
        best, begin, last = self.turn()
        self.assertLess(last, self.UPDATES)
        self.assertEqual(last, begin + best)
        rates = {int(row["update"]): float(row["learning_rate"]) for row in read_metrics(self.run_dir)}
        self.assertEqual(rates[begin], 1.0)
        for row in read_metrics(self.run_dir):
            self.assertEqual(int(row["given_up"]), begin - best if int(row["update"]) > begin else 0)
        after = [update for update in rates if update > begin]
        for update in after:
            self.assertAlmostEqual(rates[update], (last - update + 1) / best, places=5)
        self.assertIn(f"best at update {best}; training goes back to it, and its rate falls to 0 in {best} updates", self.told)

    def test_the_end_is_offered_where_it_is_as_good_within_its_error(self):
        self.assertEqual(state(self.run_dir / "best.h5")["update"], chosen(self.run_dir, self.PATIENCE, self.UPDATES)[0])

    def test_while_a_rate_falls_only_validations_that_are_worse_by_an_error_count(self):
        # Flat ones do not: of cases enough to learn from, validation stays within its error, and the run makes all its updates.
        plenty = small_digits(self.dir / "plenty.h5", n_train=1000, n_valid=150)
        for name, data, rate in (("few", self.data, 1), ("plenty", plenty, 0.6)):
            with self.subTest(cases=name):
                out = self.dir / name
                run(*train_args(data, out, "--lr", rate, "--schedule", "linear", "--validate-every", 20, "--report-every", 20, "--patience",
                                self.PATIENCE, hidden=14, batch=20, updates=1000))
                offered, turn = chosen(out, self.PATIENCE, 1000, falls=True)
                last = int(read_metrics(out)[-1]["update"])
                self.assertEqual(turn is not None, name == "few")
                self.assertEqual(last < 1000, name == "few")
                self.assertEqual(state(out / "best.h5")["update"], offered)
                # Planted: counted as of a constant rate, the other run would have gone back as well.
                if name == "plenty":
                    self.assertIsNotNone(chosen(out, self.PATIENCE, 1000)[1])

    def test_a_run_with_an_early_best_goes_back_to_it_in_its_last_tenth(self):
        for patience in (100000, "none"):
            with self.subTest(patience=patience):
                out = self.dir / str(patience)
                told = run(*train_args(self.data, out, "--lr", 1, "--schedule", "linear", "--validate-every", 20, "--report-every", 20, "--patience", patience,
                                       "--keep", 1000, "--checkpoint-every", 20, hidden=14, batch=20, updates=1000)).stderr
                rates = {int(row["update"]): float(row["learning_rate"]) for row in read_metrics(out)}
                best = self.best_update(out, 900)
                self.assertLess(best, 800)
                self.assertEqual(max(rates), 1000)
                if patience == "none":  # planted: the rate goes on as it was, and an early model is offered
                    self.assertLess(rates[920], rates[900])
                    self.assertEqual(state(out / "best.h5")["update"], best)
                    continue
                offered, turn = chosen(out, patience, 1000, falls=True)
                self.assertEqual((offered, turn), (state(out / "best.h5")["update"], 900))
                self.assertIn(f"best at update {best}; training goes back to it, and its rate falls to 0 in 100 updates", told)
                self.assertGreater(rates[920], rates[900])
                for update in range(920, 1001, 20):
                    self.assertAlmostEqual(rates[update], (1001 - update) / 100 * (1000 - best) / 1000, delta=0.01)
                for cut in (880, 900, 940):
                    parts = self.dir / f"cut{cut}"
                    shutil.copytree(out, parts)
                    shutil.copy(out / "checkpoints" / f"{cut}.h5", parts / "checkpoint.h5")
                    if cut <= 900:  # the best that there was then
                        shutil.copy(out / "checkpoints" / f"{best}.h5", parts / "best.h5")
                    run("resume", parts)
                    for file in ("checkpoint.h5", "best.h5"):
                        compare_datasets(out / file, parts / file)

    def test_planted_no_patience_goes_to_the_end(self):
        last = self.turn()[1]
        for name, more in (("none", ()), ("long", ("--patience", 100000))):
            with self.subTest(patience=name):
                told = run(*overfit_args(self.data, self.dir / name, *more, updates=last + 100)).stdout
                rows = {int(row["update"]): row for row in read_metrics(self.dir / name)}
                self.assertEqual(int(read_metrics(self.dir / name)[-1]["update"]), last + 100)
                # The verdict is of the model that is offered.
                of = {update: f"(R-hat {float(rows[update]['r_hat']):.2f})" for update in (self.best_update(self.dir / name), last + 100)}
                self.assertIn(of[self.best_update(self.dir / name)], told)
                self.assertNotIn(of[last + 100], told)
        self.assertEqual(state(self.dir / "none" / "checkpoint.h5")["update"], last + 100)
        self.assertEqual(state(self.dir / "none" / "best.h5")["update"], self.best_update(self.dir / "none"))

    def test_a_run_goes_on_after_its_last_state_and_not_after_its_best(self):
        """The schedule has no horizon: a run of 200 updates that is resumed is one of 300."""
        whole, parts = self.dir / "whole", self.dir / "parts"
        run(*overfit_args(self.data, whole, updates=300))
        run(*overfit_args(self.data, parts, updates=200))
        self.assertLess(state(parts / "best.h5")["update"], 200)
        self.assertEqual(state(parts / "checkpoint.h5")["update"], 200)
        kept = parts / "checkpoints" / "100.h5"
        older = kept.read_bytes() if kept.exists() else None
        run("resume", parts, "--updates", 300)
        for name in ("checkpoint.h5", "best.h5"):
            compare_datasets(whole / name, parts / name)
        # Planted: a checkpoint that somebody puts in its place is what the run goes on from.
        self.assertIsNotNone(older)
        (parts / "checkpoint.h5").write_bytes(older)
        run("resume", parts, "--updates", 101)
        self.assertEqual(int(read_metrics(parts)[-1]["update"]), 101)

    def test_the_best_one_and_the_last_one_are_there(self):
        self.assertEqual(state(self.run_dir / "checkpoint.h5")["update"], int(read_metrics(self.run_dir)[-1]["update"]))
        found = state(self.run_dir / "best.h5")
        self.assertEqual(found["best_update"], found["update"])
        self.assertEqual(found["update"], chosen(self.run_dir, self.PATIENCE, self.UPDATES)[0])
        self.assertAlmostEqual(found["best_validation"], validations(self.run_dir)[found["update"]], places=4)

    def test_the_checkpoint_has_the_likelihood_that_was_best(self):
        exact = run_json("loglik", self.run_dir, "--data", self.data, "--split", "valid", "--method", "exact")
        best = next(row for row in read_metrics(self.run_dir) if int(row["update"]) == state(self.run_dir / "best.h5")["update"])
        error = float(best["log_partition_standard_error"])
        self.assertLess(abs(exact["log_likelihood"] - float(best["validation_log_likelihood"])), 5 * error + 1e-3)

    def test_the_best_one_is_the_state_of_its_update(self):
        # As the run would have kept it: every update that is validated is kept here.
        run(*overfit_args(self.data, self.dir / "all", "--patience", self.PATIENCE, "--keep", 1000, updates=self.UPDATES,
                          checkpoint_every=20))
        kept = self.dir / "all" / "checkpoints" / f"{state(self.run_dir / 'best.h5')['update']}.h5"
        compare_datasets(kept, self.run_dir / "best.h5")

    def test_none_is_kept_beside_the_best_and_the_last(self):
        self.assertEqual(history(self.run_dir), set())
        self.assertEqual(state(self.run_dir / "best.h5")["update"], state(self.run_dir / "checkpoint.h5")["best_update"])
        self.assertEqual(state(self.run_dir / "best.h5")["update"], chosen(self.run_dir, self.PATIENCE, self.UPDATES)[0])

    def test_commands_take_the_best_one_and_say_so(self):
        for argument, words, file in ((self.run_dir, "best validated", "best.h5"), (self.run_dir / "checkpoint.h5", "last model", "checkpoint.h5")):
            for command in (("loglik", "--method", "exact"), ("sample", "--count", 4, "--sweeps", 2, "--out", self.dir / "s.h5")):
                told = run(command[0], argument, *command[1:]).stderr
                self.assertIn(words, told)
            exact = run_json("loglik", argument, "--method", "exact")["log_partition"]
            self.assertEqual(exact, run_json("loglik", self.run_dir / file, "--method", "exact")["log_partition"])

    def test_a_run_that_went_back_is_done_and_goes_on_where_more_is_asked_of_it(self):
        copy, last = self.dir / "copy", int(read_metrics(self.run_dir)[-1]["update"])
        shutil.copytree(self.run_dir, copy)
        run("resume", copy)
        compare_datasets(self.run_dir / "checkpoint.h5", copy / "checkpoint.h5")
        self.assertEqual(int(read_metrics(copy)[-1]["update"]), last)
        run("resume", copy, "--updates", self.UPDATES + 500)
        check_finite_params(copy / "checkpoint.h5")
        rows = read_metrics(copy)
        updates = [int(row["update"]) for row in rows]
        self.assertEqual(updates, sorted(set(updates)))
        self.assertGreater(updates[-1], last)
        self.assertEqual(next(float(row["learning_rate"]) for row in rows if int(row["update"]) > last), 1.0)
        found = state(copy / "best.h5")
        self.assertEqual(found["best_update"], found["update"])
        # What was offered stands unless a model of what follows is better.
        value = validations(copy)
        before = state(self.run_dir / "best.h5")["update"]
        later = {update: value[update] for update in value if update > last}
        self.assertIn(found["update"], (before, max(later, key=later.get), max(later)))
        if max(later.values()) <= value[before] - max(0.25, 0.005 * abs(value[before])):
            self.assertEqual(found["update"], before)
        # Its own number of updates is one that it can be asked for; that is so even where it is killed at once.
        asked = self.dir / "asked"
        shutil.copytree(self.run_dir, asked)
        process = start("resume", asked, "--updates", self.UPDATES, "--checkpoint-every", 100000)
        while state(asked / "checkpoint.h5")["cooling_end"] != 0 and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait(timeout=60)
        run("resume", asked)
        self.assertGreater(int(read_metrics(asked)[-1]["update"]), last)

    def test_a_run_that_is_cut_anywhere_goes_back_as_an_unbroken_one(self):
        best, begin, last = self.turn()
        whole = self.dir / "whole"
        words = overfit_args(self.data, whole, "--patience", self.PATIENCE, "--keep", 1000, updates=self.UPDATES, checkpoint_every=20)
        run(*words)
        # It is the best state that goes on.
        for name in ("theta/weights", "average/weights", "offsets/hidden", "chains/blocks/visible"):
            with self.subTest(same=name):
                self.assertEqual(*(datasets(whole / "checkpoints" / f"{update}.h5")[f"state/{name}"].tobytes() for update in (best, begin)))
        cuts = {"before": begin - 20, "at the turn": begin, "after": begin + 20 * (best // 40)}
        for name, cut in cuts.items():
            with self.subTest(cut=name):
                parts = self.dir / name
                shutil.copytree(whole, parts)
                shutil.copy(whole / "checkpoints" / f"{cut}.h5", parts / "checkpoint.h5")
                if cut <= begin:  # the best that there was then
                    shutil.copy(whole / "checkpoints" / f"{best}.h5", parts / "best.h5")
                run("resume", parts)
                for file in ("checkpoint.h5", "best.h5"):
                    compare_datasets(whole / file, parts / file)
                for a, b in zip(read_metrics(whole), read_metrics(parts), strict=True):
                    self.assertEqual({k: v for k, v in a.items() if k != "seconds"}, {k: v for k, v in b.items() if k != "seconds"})
        # Planted: a way back whose end is another.
        shutil.copy(whole / "checkpoints" / f"{cuts['after']}.h5", parts / "checkpoint.h5")
        with h5py.File(parts / "checkpoint.h5", "a") as file:
            file["state/observers/early_stopping"].attrs["cooling_end"] = last + 1
        run("resume", parts)
        self.assertTrue(differences(whole / "checkpoint.h5", parts / "checkpoint.h5"))
        with h5py.File(parts / "checkpoint.h5", "a") as file:
            file["state/observers/early_stopping"].attrs["cooling_end"] = begin - 1
        self.assertIn("cooling", run("resume", parts, expect=65).stderr)

    def test_the_best_one_stays_beside_the_last_ones(self):
        run(*overfit_args(self.data, self.dir / "run", "--patience", 100000, "--keep", 2, updates=600))
        best = self.best_update(self.dir / "run")
        self.assertLess(best, 550, "this run should overfit long before its end")
        self.assertEqual(history(self.dir / "run"), {"550.h5", "600.h5"})
        self.assertEqual(state(self.dir / "run" / "best.h5")["update"], best)


class Metrics(CliTest):
    @classmethod
    def setUpClass(cls):
        folder = class_folder(cls)
        cls.data = small_digits(folder / "data.h5")
        cls.run_dirs = {trainer: folder / trainer for trainer in ("cd", "sml")}
        for trainer, run_dir in cls.run_dirs.items():
            run(*train_args(cls.data, run_dir, "--validate-every", 30, "--report-every", 10, updates=90,
                            trainer=trainer))

    def test_validation_columns_are_filled_at_their_cadence_alone(self):
        for trainer, run_dir in self.run_dirs.items():
            rows = read_metrics(run_dir)
            self.assertEqual([int(row["update"]) for row in rows], list(range(10, 91, 10)))
            names = [name for name in rows[0] if name.startswith(("validation", "log_partition", "effective_fraction"))]
            self.assertIn("validation_log_likelihood", names)
            for row in rows:
                for name in names:
                    with self.subTest(trainer=trainer, update=row["update"], column=name):
                        self.assertEqual(row[name] != "", int(row["update"]) % 30 == 0)

    def test_a_cadence_that_reports_do_not_share(self):
        run(*train_args(self.data, self.dir / "run", "--validate-every", 15, "--report-every", 10, updates=60))
        self.assertEqual(set(validations(self.dir / "run")), {15, 30, 45, 60})
        self.assertLessEqual({10, 20, 30, 40, 50, 60}, {int(row["update"]) for row in read_metrics(self.dir / "run")})

    def test_never_validated_never_filled(self):
        run(*train_args(self.data, self.dir / "run", "--report-every", 10))
        self.assertEqual(validations(self.dir / "run"), {})

    def test_every_other_number_is_finite(self):
        for trainer, run_dir in self.run_dirs.items():
            for row in read_metrics(run_dir):
                for name in ("data_free_energy", "chain_free_energy", "gradient_norm", "step_norm", "learning_rate"):
                    with self.subTest(trainer=trainer, update=row["update"], column=name):
                        self.assertTrue(np.isfinite(float(row[name])), row[name])
                for name, value in row.items():
                    self.assertTrue(value == "" or np.isfinite(float(value)), f"{name} = {value!r}")

    def test_validations_do_not_change_the_training(self):
        run(*train_args(self.data, self.dir / "run", updates=90))
        self.assertNotIn("model/params/weights",
                         differences(self.run_dirs["sml"] / "checkpoint.h5", self.dir / "run" / "checkpoint.h5"))


class Updates(CliTest):
    """Options of one update: each has its effect, and its default given by hand has none."""

    @classmethod
    def setUpClass(cls):
        folder = class_folder(cls)
        cls.data = write_data(folder / "data.h5", train=random_bits(3, 60, 10) | random_bits(4, 60, 1))
        cls.plain = cls.trained(folder / "plain")

    @classmethod
    def trained(cls, out, *more):
        """The folder of a run with these options."""
        given = {"--lr": 0.5, "--schedule": "constant", "--report-every": 1}
        more = (*(part for option, value in given.items() if option not in more for part in (option, value)), *more)
        run(*train_args(cls.data, out, *more, batch=20))
        return out

    def changed(self, *more):
        """The parameters that these options change."""
        out = self.trained(self.dir / "-".join(map(str, more)).strip("-"), *more)
        return differences(self.plain / "checkpoint.h5", out / "checkpoint.h5")

    def weights(self, *more):
        """The weights of a run with these options."""
        out = self.trained(self.dir / "-".join(map(str, more)).strip("-"), *more)
        return check_finite_params(out / "checkpoint.h5")["weights"]

    def test_each_option_has_an_effect(self):
        for more in (("--no-centering",), ("--no-average",), ("--momentum", 0.5), ("--sweeps", 3), ("--l1", 0.01),
                     ("--l2", 0.01), ("--l1b", 0.01), ("--l2-fields", 0.01), ("--clip", 0.02), ("--init", 0.1), ("--optimizer", "adam"), ("--chains", 64),
                     ("--schedule", "linear"), ("--trainer", "cd")):
            with self.subTest(option=more):
                self.assertIn("model/params/weights", self.changed(*more))

    def test_planted_defaults_have_none(self):
        for more in (("--centering", "--average", "--momentum", 0, "--sweeps", 1, "--l1", 0, "--l2", "auto", "--l1b", 0, "--l2-fields", 0, "--clip", 0,
                      "--init", 0.05, "--optimizer", "sgd", "--chains", 0),
                     ("--clip", 1000), ("--keep", 1), ("--checkpoint-every", 7)):
            with self.subTest(option=more):
                self.assertEqual(self.changed(*more), [])

    def test_momentum_of_adam(self):
        for name, more in (("plain", ()), ("zero", ("--momentum", 0)), ("half", ("--momentum", 0.5))):
            self.trained(self.dir / name, "--optimizer", "adam", "--lr", 0.01, *more)
        paths = {name: self.dir / name / "checkpoint.h5" for name in ("plain", "zero", "half")}
        compare_datasets(paths["plain"], paths["zero"])
        self.assertIn("model/params/weights", differences(paths["plain"], paths["half"]))

    def step_norms(self, run_dir):
        """The step_norm column."""
        return np.array([float(row["step_norm"]) for row in read_metrics(run_dir)])

    def test_clip_bounds_the_step(self):
        clipped = self.trained(self.dir / "clipped", "--clip", 0.05)
        self.assertEqual(len(self.step_norms(clipped)), 60)
        self.assertLessEqual(self.step_norms(clipped).max(), 0.5 * 0.05 * (1 + 1e-4))
        self.assertGreater(self.step_norms(clipped).min(), 0)

    def test_planted_a_step_without_clip_is_longer(self):
        self.assertGreater(self.step_norms(self.plain).max(), 0.5 * 0.05 * 1.5)

    def test_clip_bounds_what_the_parameters_move(self):
        """Measured on the checkpoints themselves: one update moves the centred weights by lr x clip at most."""
        moved = {}
        for clip in (0, 0.05):
            out = self.trained(self.dir / f"clip-{clip}", "--clip", clip, "--no-average", "--no-centering",
                               "--checkpoint-every", 59)
            first, second = (check_finite_params(out / "checkpoints" / f"{update}.h5") for update in (59, 60))
            moved[clip] = np.sqrt(sum(np.square(first[name].astype(float) - second[name]).sum() for name in FIELDS))
        self.assertLessEqual(moved[0.05], 0.5 * 0.05 * (1 + 1e-3))
        self.assertGreater(moved[0], 0.5 * 0.05)

    def test_decay_shrinks_the_weights(self):
        plain = check_finite_params(self.plain / "checkpoint.h5")["weights"]
        for option in ("--l1", "--l2"):
            sizes = [np.linalg.norm(plain), *(np.linalg.norm(self.weights(option, rate)) for rate in (0.0005, 0.002))]
            with self.subTest(option=option, sizes=sizes):
                self.assertLess(sizes[1], sizes[0])
                self.assertLess(sizes[2], sizes[1])


    def test_decays_are_what_their_names_say(self):
        """One update without averages: what a decay moves, beside what the gradient moves."""
        common = ("--updates", 1, "--no-average", "--no-centering")

        def params(name, *more):
            out = self.dir / name
            decays = more if "--l2" in more else ("--l2", 0, *more)
            run(*train_args(self.data, out, *common, *decays, "--lr", 0.5, "--schedule", "constant", batch=20))
            return {field: values.astype(float) for field, values in check_finite_params(out / "checkpoint.h5").items()}

        run(*train_args(self.data, self.dir / "first", *common, "--l2", 0, "--lr", 1e-30, batch=20))
        first = {field: values.astype(float) for field, values in check_finite_params(self.dir / "first" / "checkpoint.h5").items()}
        plain = params("plain")
        w, b = first["weights"], first["visible_bias"]
        for name, option, weights, bias in (("l1", "--l1", np.sign(w), 0), ("l1b", "--l1b", np.sign(w) * np.abs(w).mean(axis=0), 0), ("l2", "--l2", w, 0),
                                            ("fields", "--l2-fields", 0, b)):
            found = params(name, option, 0.1)
            for field, decay in (("weights", weights), ("visible_bias", bias), ("hidden_bias", 0)):
                with self.subTest(option=option, field=field):
                    np.testing.assert_allclose(found[field] - plain[field], -0.5 * 0.1 * np.broadcast_to(decay, plain[field].shape), atol=2e-7)


class NotFinite(CliTest):
    def test_training_that_overflows_keeps_a_good_checkpoint(self):
        run_dir = self.dir / "run"
        result = run("train", "--data", "digits", "--binarize", "threshold", "--hidden", 20, "--updates", 20, "--lr",
                     "3e38", "--quiet", "--out", run_dir, expect=INTERNAL)
        self.check(result, run_dir)
        self.check(run("resume", run_dir, "--quiet", expect=INTERNAL), run_dir)
        run("loglik", run_dir, "--chains", 4, "--betas", 50)
        run("info", run_dir)

    def check(self, result, run_dir):
        """The error names an update and a field; every number of the checkpoint is finite."""
        errors = error_lines(result.stderr)
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertRegex(errors[0], r"update \d+")
        self.assertTrue(any(field in errors[0] for field in FIELDS), errors[0])
        check_finite_params(run_dir / "checkpoint.h5")
        for name, value in datasets(run_dir / "checkpoint.h5").items():
            if value.dtype.kind == "f":
                self.assertTrue(np.isfinite(value).all(), name)
        self.assertNotIn("nan", (run_dir / "metrics.csv").read_text().lower())

    def test_planted_a_small_rate_does_not_overflow(self):
        run("train", "--data", "digits", "--binarize", "threshold", "--hidden", 20, "--updates", 2, "--lr", 0.1,
            "--out", self.dir / "run")
        self.assertEqual(state(self.dir / "run" / "checkpoint.h5")["update"], 2)


class Holdout(CliTest):
    def test_part_of_the_cases_watches(self):
        data = self.dir / "data.npy"
        np.save(data, (np.random.default_rng(1).random((200, 12)) < 0.3).astype(np.uint8))
        words = ("--trainer", "sml-apt", "--rungs", 3, "--report-every", 10)
        run(*train_args(data, self.dir / "none", *words))
        self.assertEqual(read_metrics(self.dir / "none")[-1]["validation_log_likelihood"], "")
        found = {}
        for name, seed in (("one", 1), ("again", 1), ("other", 2)):
            run(*train_args(data, self.dir / name, "--holdout", 0.2, *words, seed=seed))
            found[name] = read_metrics(self.dir / name)[-1]["validation_log_likelihood"]
        self.assertNotEqual(found["one"], "")
        self.assertEqual(found["one"], found["again"])
        self.assertNotEqual(found["one"], found["other"])
        # Training does not see them: 160 cases are left, 4 batches of 50 in an epoch, the last one short.
        self.assertEqual(int(read_metrics(self.dir / "one")[-1]["epoch"]), 59 // 4)

    def test_what_it_cannot_do_is_refused(self):
        data = self.dir / "data.npy"
        np.save(data, np.eye(4, dtype=np.uint8))
        for holdout, source in ((0.01, data), (0.99, data), (1, data), (-0.1, data), (0.1, "digits")):
            with self.subTest(holdout=holdout, data=source):
                words = ("--binarize", "threshold") if source == "digits" else ()
                self.fails(78, *train_args(source, self.dir / "run", "--holdout", holdout, *words), mentions=["holdout"])


if __name__ == "__main__":
    unittest.main()
