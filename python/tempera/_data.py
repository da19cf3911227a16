"""Arrays on their way to the library: uint8, bool and float32 in C order are lent, all others are copied."""

import os
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from . import _core
from ._errors import DataError, UsageError
from ._listener import Listener
from ._options import texts
from ._samples import spelled

SPLITS = ("train", "valid", "test")

Path = Union[str, os.PathLike]
# Rows of numbers (an array, a DataFrame, a sparse matrix), a mapping of splits to such, Data, or the name of a data set.
Cases = Any
Option = Union[str, bool, int, float, os.PathLike, list, tuple, Mapping, None]


class Data:
    """Cases in memory, with what a file tells of them.

    A mapping of splits ("train", "valid", "test") to arrays (cases, values) of uint8 or float32, which are
    views of this object's memory. `labels` maps splits to int64 arrays, where there are any.
    """

    def __init__(self, core):
        self._core = core

    name = property(lambda self: self._core.name)
    splits = property(lambda self: self._core.splits)
    column_names = property(lambda self: self._core.column_names)
    visible_shape = property(lambda self: tuple(self._core.visible_shape), doc="Shape of a case as a picture, or ().")
    alphabet = property(lambda self: self._core.alphabet, doc="Letters of codes: one text, or a list of words for each column; None of numbers.")
    notes = property(lambda self: self._core.notes, doc="Source, licence, ... as the file has them.")

    @property
    def labels(self) -> dict[str, np.ndarray]:
        return {split: np.asarray(labels, dtype=np.int64) for split, labels in self._core.labels.items()}

    @property
    def case_names(self):
        return self._core.case_names

    def weights(self, split: str) -> np.ndarray | None:
        """Weights of the cases of a split, or None where each counts once."""
        weights = self._core.weights(split)
        return np.asarray(weights) if weights else None

    def sequences(self, split: str) -> list:
        """Cases of letters as texts, or as lists of words. Raises ValueError where they are no letters."""
        return spelled(self[split], self.alphabet)

    def __getitem__(self, split: str) -> np.ndarray:
        return self._core.rows(split)

    def __iter__(self):
        return iter(self.splits)

    def __contains__(self, split):
        return split in self.splits

    def __len__(self):
        return len(self.splits)

    def __repr__(self):
        shapes = ", ".join(f"{split} {self[split].shape}" for split in self.splits)
        return f"<tempera.Data {self.name}: {shapes}>"


def load_data(name: Path, *, shape: str = "", progress: bool | None = None, **columns: Option) -> Data:
    """A built-in data set by its name ("digits", "modes:7", ...), or a file of any format that the command reads.

    shape: "HEIGHTxWIDTH" of a case as a picture, where the file does not say. columns: header, labels,
    weights, columns, drop, missing, as `tempera train` takes them. Returns Data. Raises NoInputError,
    DataError, UsageError. Cost: the file's size in memory.
    """
    with Listener(progress) as listener:
        return Data(_core.read_data(os.fspath(name), texts("columns", columns), shape, listener))


def rows_of(x, name="X"):
    """Rows of uint8 or float32 in C order, and the names of their columns, of anything that is a table of numbers."""
    names = []
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        names = [str(column) for column in x.columns]
        x = x.to_numpy()
    if hasattr(x, "toarray"):
        x = x.toarray()
    x = np.asarray(x)
    if x.ndim > 2:
        x = x.reshape(len(x), -1)
    if x.ndim != 2:
        raise UsageError(f"{name}: expected cases x values, found {x.ndim} axis{'' if x.ndim == 1 else 'es'}; one case is reshape(1, -1)")
    if x.dtype == bool:
        x = np.ascontiguousarray(x).view(np.uint8)
    elif x.dtype == np.float32:
        pass
    elif np.issubdtype(x.dtype, np.integer):
        bytes_ = x.dtype == np.uint8 or (x.size > 0 and x.min() >= 0 and x.max() <= 255)
        x = x.astype(np.uint8 if bytes_ else np.float32, copy=False)
    elif np.issubdtype(x.dtype, np.floating):
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
    else:
        raise DataError(f"{name}: expected numbers, found {x.dtype}")
    return np.ascontiguousarray(x), names


def picture_shape(x):
    """Shape of the pictures of an array with more than two axes."""
    shape = getattr(x, "shape", ())
    return list(shape[1:]) if len(shape) in (3, 4) else []


def data_of(x, weights=None, labels=None, name="X"):
    """What a service takes for data: (a name, None) or (None, arrays). x: a name or path, Data, an array or table, or a mapping of splits
    to such; one array alone is the split "train" and "test" at once for services that ask for one of them."""
    if x is None:
        return None, None
    if isinstance(x, Data):
        return None, x._core
    if isinstance(x, (str, os.PathLike)):
        return os.fspath(x), None
    splits = dict(x) if isinstance(x, Mapping) else {"train": x}
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise UsageError(f"{name}: a split is called train, valid or test, not {', '.join(sorted(map(str, unknown)))}")
    weights = weights if isinstance(weights, Mapping) else {"train": weights}
    labels = labels if isinstance(labels, Mapping) else {"train": labels}
    rows, columns, shape = {}, [], []
    for split, values in splits.items():
        if values is None:
            continue
        shape = shape or picture_shape(values)
        rows[split], names = rows_of(values, name if split == "train" else split)
        columns = columns or names
    lists = {split: np.asarray(w, dtype=float).tolist() for split, w in weights.items() if w is not None}
    for split, given in lists.items():
        if split not in rows or len(given) != len(rows[split]):
            raise DataError(f"{name}: {len(given)} weights, but {len(rows.get(split, ()))} cases of {split}")
    names = {split: np.asarray(y).tolist() for split, y in labels.items() if y is not None}
    return None, _core.data_of(name, rows, lists, names, columns, shape)


def cases_of(x, split, train=None, weights=None):
    """Data whose split `split` is x, with training cases beside it where they are given."""
    if x is None or isinstance(x, (str, os.PathLike, Data, Mapping)):
        return data_of(x)
    splits = {split: x} if train is None else {"train": train, split: x}
    return data_of(splits, weights={split: weights})
