"""Models, and what is asked of them."""

import os
import pathlib
import tempfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _core
from ._data import Cases, Option, Path, cases_of, data_of
from ._errors import UsageError
from ._listener import Listener
from ._options import texts
from ._samples import Samples


@dataclass(frozen=True)
class Estimate:
    """log Z by one method, in nats of the data's units.

    value, standard_error: log Z and its error bar. trusted: whether nothing speaks against it; doubt says
    what does. at_least: a certain lower bound that it was held against, or None. reason: why `auto` took the method.
    """

    value: float
    standard_error: float
    trusted: bool
    method: str
    doubt: str = ""
    reason: str = ""
    confirmation: str = ""
    at_least: float | None = None
    probably_at_least: float | None = None
    effective_fraction: float = 1.0

    def __float__(self):
        return self.value

    def __str__(self):
        return f"log Z {self.value:.4f} +- {self.standard_error:.4f} ({self.method}{'' if self.trusted else ', NOT TRUSTED: ' + self.doubt})"


@dataclass(frozen=True)
class Likelihood:
    """Mean log-likelihood of cases, in nats a case.

    value, standard_error: the mean, and both sources of error combined (the cases, and log Z). n: cases.
    log_partition: the Estimate of log Z that it follows from. upper, lower: by estimates of log Z from below
    and from above, or None. independent, gaussian: the same cases by independent units and by a full Gaussian,
    where they are known. variational: whether free energies, and so the value, are bounds.
    """

    value: float
    standard_error: float
    n: int
    split: str
    log_partition: Estimate
    variational: bool = False
    upper: float | None = None
    lower: float | None = None
    independent: float | None = None
    gaussian: float | None = None
    disagreements: list = field(default_factory=list)

    @property
    def trusted(self):
        return self.log_partition.trusted

    def __float__(self):
        return self.value

    def __str__(self):
        return f"{self.value:.4f} +- {self.standard_error:.4f} nats ({self.n} cases of {self.split}{'' if self.trusted else ', NOT TRUSTED'})"


@dataclass(frozen=True)
class Features:
    """Filters of a model. filters: (n_filters, n_visible) float32 in the values of raw cases; importance: (n_filters,)."""

    filters: np.ndarray
    importance: np.ndarray
    visible_shape: tuple
    columns: int
    group: int
    table: bool


@dataclass(frozen=True)
class Couplings:
    """How strongly pairs of sites interact, by falling score.

    couplings: (n_sites, n_sites, n_letters, n_letters) float32. fields: (n_sites, n_letters), of the form "exact", else None.
    first, second: sites of the pairs, from 1. norm: Frobenius norms without the gap; score: norms with the average product correction.
    contact: whether the pairs are in contact, where contacts were given, else None.
    """

    couplings: np.ndarray
    fields: np.ndarray | None
    first: np.ndarray
    second: np.ndarray
    score: np.ndarray
    norm: np.ndarray
    contact: np.ndarray | None

    def precision(self, n: int) -> float:
        """Part of the first n pairs that is in contact."""
        if self.contact is None:
            raise ValueError("precision: no contacts were given")
        return float(self.contact[:n].mean())


@dataclass(frozen=True)
class Scores:
    """What a model says of every case, in nats. All cases share one log Z, so differences carry no error of it.

    free_energy: (n,) float64; log_likelihood: (n,), None without log Z. names: of the cases, or of mutants; empty where they have none.
    relative: log p less that of one case; difference: log p less that under another model, but for a constant. posterior: the
    probability of every value of a column given the others, (n,) by value. distance: the part of the columns in which a case differs
    from the nearest case of other data; own_distance, own_free_energy: the same of some cases of that data to each other.
    None where not asked for. facts: log_partition, its method, ...
    """

    free_energy: np.ndarray
    log_likelihood: np.ndarray | None
    names: list
    relative: np.ndarray | None
    difference: np.ndarray | None
    posterior: dict | None
    distance: np.ndarray | None
    own_distance: np.ndarray | None
    own_free_energy: np.ndarray | None
    facts: dict

    def __len__(self):
        return len(self.free_energy)


class Model:
    """A machine with its parameters, as a file holds it. `tempera.load` reads one, `Model.from_params` makes one.

    kind, hidden_units: what it is ("bernoulli-rbm", "bernoulli"). n_visible: values of a case. layer_sizes: units of every layer.
    """

    def __init__(self, path, *, _owner=None, _read=None):
        self.path = pathlib.Path(path)
        self._owner = _owner  # of a temporary file
        with Listener(False) as listener:
            self._core = _read or _core.read_model(os.fspath(path), listener)
        self._description = self._core.description
        self._params = None

    kind = property(lambda self: self._description["kind"])
    alphabet = property(lambda self: self._description["alphabet"], doc="Letters of its sites, one text or a list of words for each; None of numbers.")
    hidden_units = property(lambda self: self._description["hidden_units"])
    n_visible = property(lambda self: self._description["n_visible"])
    layer_sizes = property(lambda self: tuple(self._description["layer_sizes"]))
    visible_shape = property(lambda self: self._description["visible_shape"], doc="Shape of a case as a picture, or ().")
    discrete = property(lambda self: self._description["discrete"], doc="Whether cases have probabilities, not densities.")

    @classmethod
    def from_params(cls, kind: str, *, hidden_units: str = "bernoulli", attributes: dict[str, float] | None = None, **arrays: Any) -> "Model":
        """A model of these parameters, in the data's units.

        arrays: by the names and shapes of docs/formats.md, such as weights (n_visible, n_hidden), visible_bias, hidden_bias.
        attributes: numbers that a kind needs beside them. Raises DataError where they are no model.
        """
        folder = tempfile.TemporaryDirectory(prefix="tempera-")
        path = os.path.join(folder.name, "model.h5")
        values = {}
        for name, array in arrays.items():
            array = np.asarray(array)
            values[name] = np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)
        _core.write_parameters(path, kind, hidden_units, {k: float(v) for k, v in (attributes or {}).items()}, values)
        return cls(path, _owner=folder)

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The parameters by name: read-only arrays of float32 (float64 where a change of units needs it) in the data's units."""
        if self._params is None:
            self._params = self._core.parameters()
            for array in self._params.values():
                array.flags.writeable = False
        return dict(self._params)

    def _estimated(self, data, method, threads, progress, options):
        options = {"method": method, **options}
        with Listener(progress) as listener:
            found = self._core.likelihood(texts("loglik", options), *data, threads, listener)
        return found, [Estimate(**estimate) for estimate in found["estimates"]]

    def log_partition(self, method: str = "auto", *, data: Cases | None = None, threads: int = 0, progress: bool | None = None,
                      **options: Option) -> Estimate | list[Estimate]:
        """log Z as an Estimate, or with method="all" the Estimates of every method.

        data: training cases, where the file holds no reference machine (the machine at beta = 0).
        options: those of `tempera loglik`. Cost: as the method; "auto" is exact where that is least.
        Raises NumericalError where the machine has no law.
        """
        split = {} if data is None else {"split": "train"}
        _, estimates = self._estimated(data_of(data), method, threads, progress, {**split, **options})
        return estimates if method == "all" else estimates[0]

    def log_likelihood(self, data: Cases, *, train: Cases | None = None, method: str = "auto", split: str = "test", sample_weight: Any = None,
                       threads: int = 0, progress: bool | None = None, **options: Option) -> Likelihood:
        """Mean log-likelihood of cases, as a Likelihood.

        data: cases (n, n_visible), or a data set with splits (a name, Data, a mapping), of which `split` is taken.
        train: training cases, from which a full Gaussian is made to compare with. options: those of `tempera loglik`.
        """
        cases = cases_of(data, split, train, sample_weight)
        found, estimates = self._estimated(cases, method, threads, progress, {"split": split, **options})
        return Likelihood(log_partition=estimates[0], disagreements=found["disagreements"], **found["data"])

    @staticmethod
    def _plain(options):
        more = {"relative_to", "mutations", "minus", "posterior", "nearest_to"} & set(options)
        if more:
            raise UsageError(f"{', '.join(sorted(more))}: Model.scores gives what this asks for")

    def _scored(self, data, method, split, threads, progress, options, near=None):
        with Listener(progress) as listener:
            cases = cases_of(data, split)
            return self._core.score(texts("score", {"method": method, "split": split, **options}), *cases, *data_of(near), threads, listener)

    def score(self, data: Cases, *, method: str = "auto", split: str = "test", threads: int = 0, progress: bool | None = None,
              **options: Option) -> np.ndarray:
        """log p of every case: (n,) float64, nats. All share one log Z, so that differences carry no error of it.

        method: where log Z comes from, by default what training stored where that is trusted, else an estimate.
        """
        self._plain(options)
        return self._scored(data, method, split, threads, progress, options)["log_likelihoods"]

    def scores(self, data: Cases, *, nearest_to: Cases | None = None, method: str = "auto", split: str = "test", threads: int = 0,
               progress: bool | None = None, **options: Option) -> Scores:
        """Scores of every case, and what else is asked for: relative_to, mutations, minus, posterior (options of `tempera score`).

        nearest_to: other data, from whose nearest train case distances are counted. method: as of `score`; "none" leaves log Z out.
        Cost: as `score`; for posterior a free energy for each case and value; for nearest_to a comparison of every pair.
        """
        found = self._scored(data, method, split, threads, progress, options, nearest_to)
        arrays = {name: found.pop(name, None) for name in ("relative", "difference", "posterior", "distance", "own_distance")}
        return Scores(free_energy=found.pop("free_energies"), log_likelihood=found.pop("log_likelihoods", None), names=found.pop("names"),
                      own_free_energy=found.pop("own_free_energies", None), **arrays, facts=found)

    def free_energy(self, data: Cases, *, split: str = "test", threads: int = 0, **options: Option) -> np.ndarray:
        """-log of the unnormalised probability of every case: (n,) float64, nats."""
        self._plain(options)
        return self._scored(data, "none", split, threads, False, options)["free_energies"]

    def sample(self, count: int = 100, *, data: Cases | None = None, statistics: bool = False, out: Path | None = None, threads: int = 0,
               progress: bool | None = None, **options: Option) -> Samples:
        """Draws Samples, with a verdict on whether they mixed.

        data: cases that half of the ladders start at, and whose clusters the samples are held against; of a run,
        its own. statistics: hold the covariances of the samples against those of the data. out: a file that they are written to as well. options: those of `tempera sample`
        (ladder, sweeps, seed, ...). Cost: 1,500 to 5,000 rounds of a ladder before the first sample, or sweeps x count.
        """
        run = os.fspath(self.path) if self.path.is_dir() else ""
        with Listener(progress) as listener:
            found = self._core.sample(texts("sample", {"count": count, **options}), *data_of(data), run, statistics,
                                      None if out is None else os.fspath(out), threads, listener)
        return Samples(found)

    def encode(self, data: Cases, *, code: str | None = None, threads: int = 0, progress: bool | None = None,
               **options: Option) -> np.ndarray | dict[str, Any]:
        """Expected latents of cases, for a classifier: (n, size) float32.

        code: which ("hidden", "spike", ...; `codes` lists them), by default the first, or "all" for a dict.
        A data set of several splits gives a dict of them.
        """
        with Listener(progress) as listener:
            found = self._core.encode(texts("encode", options), *data_of(data), threads, listener)
        if code != "all":
            code = code or self.codes[0]
            if code not in self.codes:
                raise UsageError(f"encode: no code {code!r}; there are {', '.join(self.codes)}")
            found = {split: codes[code] for split, codes in found.items()}
        return next(iter(found.values())) if len(found) == 1 else found

    @property
    def codes(self) -> list[str]:
        """Names of what cases are encoded as."""
        return list(self._description["codes"])

    def couplings(self, data: Cases | None = None, *, contacts: Cases | None = None, threads: int = 0, progress: bool | None = None,
                  **options: Option) -> Couplings:
        """Effective couplings of pairs of sites, of machines of letters, as Couplings.

        data: the sequences that they are averaged over; of a run, its own. contacts: a matrix of sites x sites, truths or distances
        (then with contact_distance). options: those of `tempera couplings` (form, min_separation, ...). Raises UsageError, DataError.
        """
        run = os.fspath(self.path) if self.path.is_dir() else ""
        with Listener(progress) as listener:
            return Couplings(**self._core.couplings(texts("couplings", options), *data_of(data), *data_of(contacts), run, threads, listener))

    def features(self, **options: Option) -> Features:
        """The learned filters, as Features. options: those of `tempera features`."""
        with Listener(False) as listener:
            return Features(**self._core.features(texts("features", options), listener))

    def save(self, path: Path) -> None:
        """Writes the model alone, with the log Z that its file tells. Raises WriteError."""
        self._core.save(os.fspath(path))

    def __getstate__(self):
        with tempfile.TemporaryDirectory(prefix="tempera-") as folder:
            path = os.path.join(folder, "model.h5")
            self.save(path)
            return pathlib.Path(path).read_bytes()

    def __setstate__(self, content):
        folder = tempfile.TemporaryDirectory(prefix="tempera-")
        path = os.path.join(folder.name, "model.h5")
        pathlib.Path(path).write_bytes(content)
        self.__init__(path, _owner=folder)

    def __repr__(self):
        latents = "" if self.hidden_units == "bernoulli" else f" ({self.hidden_units})"
        return f"<tempera.Model {self.kind}{latents} {'-'.join(map(str, self.layer_sizes))}>"
