"""Training runs: a directory with what they are, made and left."""

import csv
import os
import pathlib
import tempfile
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from ._data import Cases, Option, Path, data_of
from ._errors import NoInputError
from ._listener import Listener
from ._model import Model
from ._options import table, texts

LISTS = ("flow", "live_units", "betas", "rejections")


class Run:
    """A training run in a directory.

    path: the directory. result: what the last session found, as `tempera train --json` prints it; empty for a run
    that was loaded. A run that was given no directory has a temporary one, which goes with this object.
    """

    def __init__(self, path, result=None, *, _owner=None):
        self.path = pathlib.Path(path)
        if not (self.path / "checkpoint.h5").exists():
            raise NoInputError(f"{self.path}: holds no checkpoint.h5 of a run")
        self.result = result or {}
        self._owner = _owner
        self._model = None

    verdict = property(lambda self: self.result.get("verdict", ""), doc="What can be said of the run, in one line.")
    stopped = property(lambda self: bool(self.result.get("stopped")), doc="Whether a callback ended the last session.")

    @property
    def model(self) -> Model:
        """The model that the run offers: the best validated one, or the last where nothing validates."""
        if self._model is None:
            self._model = Model(self.path, _owner=self._owner)
        return self._model

    @property
    def last_model(self) -> Model:
        """The model of the latest checkpoint."""
        return Model(self.path / "checkpoint.h5", _owner=self._owner)

    @property
    def checkpoints(self) -> dict[int, pathlib.Path]:
        """Files of the kept checkpoints by their updates, earliest first."""
        files = {int(file.stem): file for file in (self.path / "checkpoints").glob("*.h5") if file.stem.isdigit()}
        return dict(sorted(files.items()))

    @property
    def config(self) -> dict[str, dict[str, Any]]:
        """Every option of the run as config.toml has it, by section."""
        with open(self.path / "config.toml", "rb") as file:
            return tomllib.load(file)

    @property
    def metrics(self) -> np.ndarray:
        """The rows of metrics.csv as a structured array: one field a column, NaN where a cell is empty; lists are fields of objects."""
        with open(self.path / "metrics.csv", newline="") as file:
            rows = list(csv.reader(file))
        names, rows = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
        types = [(name, object if name in LISTS else np.float64) for name in names]
        found = np.empty(len(rows), dtype=types)
        for k, name in enumerate(names):
            if name in LISTS:
                found[name] = [np.array(row[k].split(), dtype=float) for row in rows] if rows else []
            else:
                found[name] = [float(row[k]) if row[k] else np.nan for row in rows]
        return found

    def to_pandas(self):
        """The metrics as a DataFrame. Needs pandas."""
        import pandas

        metrics = self.metrics
        return pandas.DataFrame({name: list(metrics[name]) for name in metrics.dtype.names}).set_index("update")

    def resume(self, updates: int | None = None, *, data: Cases | None = None, on_report: Callable[[dict[str, Any]], bool | None] | None = None,
               threads: int = 0, progress: bool | None = None, **changes: Option) -> "Run":
        """Goes on from the latest checkpoint, to `updates` in total where given; returns this run.

        data: where the data are now, if not where they were. changes: options that a run may change (lr, schedule, l2, ...).
        The result is the same, byte for byte, as that of a run that was never stopped.
        """
        options = texts("train", {"updates": updates, **changes})
        with Listener(progress, on_report) as listener:
            self.result = _core.resume(os.fspath(self.path), options, *data_of(data), threads, listener)
        self._model = None
        return self

    def __repr__(self):
        return f"<tempera.Run {self.path}{': ' + self.verdict if self.verdict else ''}>"


def train(data: Cases | None = None, *, valid: Cases | None = None, sample_weight: Any = None, out: Path | None = None, config: Path | None = None,
          replace: bool = False, on_report: Callable[[dict[str, Any]], bool | None] | None = None, threads: int = 0,
          progress: bool | None = None, **options: Option) -> Run:
    """Trains a Boltzmann machine, and returns its Run.

    data: cases (n, n_visible) as an array, DataFrame or sparse matrix (uint8, bool and float32 in C order are not copied);
    a mapping of the splits "train", "valid" and "test" to such; a file or built-in set by its name; or
    None where `config` names it. valid: validation cases, which choose the model that is offered.
    sample_weight: (n,) how often each training case counts. out: the run directory; None for a temporary one.
    config: a TOML file of options, which those given here override. replace: whether a run that is in
    `out` goes. on_report(report): called for every row of metrics.csv with a dict of its columns; returning
    False ends the run, with a checkpoint. threads: 0 takes every core; results do not depend on it.
    progress: True, False, or None for a bar on terminals and in notebooks.

    Raises ConfigError naming every option that cannot be, DataError, NoInputError, WriteError, and
    NumericalError where training diverges. KeyboardInterrupt leaves a checkpoint in `out` that
    `tempera.load(out).resume()` goes on from.
    """
    if valid is not None:
        data, sample_weight = {"train": data, "valid": valid}, {"train": sample_weight}
    owner = None
    if out is None:
        owner = tempfile.TemporaryDirectory(prefix="tempera-")
        out = os.path.join(owner.name, "run")
    source = data_of(data, sample_weight)
    with Listener(progress, on_report) as listener:
        result = _core.train(os.fspath(out), "" if config is None else os.fspath(config), texts("train", options), *source, replace, threads, listener)
    return Run(out, result, _owner=owner)


train.__doc__ += "\n    Options:\n" + table("train") + "\n"


def load(path: Path) -> Run | Model:
    """What a path holds: a Run for a run directory, a Model for a model, a checkpoint or a model of another toolkit.

    Raises NoInputError, DataError.
    """
    path = pathlib.Path(path)
    return Run(path) if path.is_dir() else Model(path)
