"""Boltzmann machines with the conventions of scikit-learn, for pipelines and searches.

    from tempera import BernoulliRBM

`BernoulliRBM` takes the place of scikit-learn's: the names of its parameters mean the same, and `score_samples` is the
true log-likelihood in place of a pseudo-likelihood. Needs scikit-learn 1.6 or later.
"""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data, _check_sample_weight

from . import _core
from ._data import data_of
from ._errors import TemperaWarning
from ._listener import Listener
from ._model import Model
from ._options import texts
from ._run import train

__all__ = ["BernoulliRBM", "DBM", "GaussianRBM", "PottsRBM", "SpikeSlabRBM"]


class _Machine(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What all kinds share: parameters as those of `tempera train`, a fitted Model, and what follows from it."""

    _kind = None
    _discrete = True
    _weights = "weights"
    _reading = {}  # how arrays of cases are read

    def __init__(self, n_components=256, *, learning_rate=None, batch_size=100, n_iter=None, verbose=0, random_state=None,
                 trainer=None, validation_fraction=None, n_jobs=None, options=None):
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.verbose = verbose
        self.random_state = random_state
        self.trainer = trainer
        self.validation_fraction = validation_fraction
        self.n_jobs = n_jobs
        self.options = options

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._discrete
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, x, reset):
        return validate_data(self, x, accept_sparse="csr" if self._discrete else False, dtype=[np.float64, np.float32, np.uint8, bool],
                             reset=reset, ensure_min_samples=2 if reset else 1)

    def _training_options(self, x):
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return dict(model=self._kind, **self._reading, hidden=self.n_components, lr=self.learning_rate, batch=min(self.batch_size, x.shape[0]),
                    seed=seed, trainer=self.trainer, threads=self._threads(), progress=bool(self.verbose), **(self.options or {}))

    def _threads(self):
        return 0 if self.n_jobs is None or self.n_jobs < 0 else self.n_jobs

    def _take(self, model):
        self.model_ = model
        self._partition = None
        self.components_ = self._filters(self.model_.params[self._weights])
        self._n_features_out = sum(self.model_.layer_sizes[1:])
        return self

    @staticmethod
    def _filters(weights):
        return np.array(weights.reshape(len(weights), -1).T, dtype=float)

    def fit(self, X, y=None, sample_weight=None):
        """Trains on X (n_samples, n_features) and returns the estimator.

        sample_weight: (n_samples,) how often each case counts. Takes `n_iter` passes over the data, or as many updates
        as `tempera train` would where it is None. Raises ValueError, tempera.NumericalError where training diverges.
        """
        X = self._validated(X, True)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=float)
            if (sample_weight <= 0).any():
                X, sample_weight = X[sample_weight > 0], sample_weight[sample_weight > 0]
        with warnings.catch_warnings():
            if not self.verbose:
                warnings.simplefilter("ignore", TemperaWarning)
            options = self._training_options(X)
            if self.validation_fraction is not None:
                options["holdout"] = self.validation_fraction
            run = train(X, sample_weight=sample_weight, epochs=self.n_iter, **{"keep": 0, "pictures": False, **options})
        self._online = None
        self.metrics_, self.verdict_ = run.metrics, run.verdict
        return self._take(run.model)

    def partial_fit(self, X, y=None):
        """One update for each batch of X, at a constant rate, with persistent chains from one call to the next.

        Coordinates and the machine at beta = 0 are those of the first batch. A fit, or a pickle, begins anew.
        """
        X = self._validated(X, getattr(self, "_online", None) is None)
        with warnings.catch_warnings(), Listener(False) as listener:
            if not self.verbose:
                warnings.simplefilter("ignore", TemperaWarning)
            for rows in gen_batches(X.shape[0], self.batch_size):
                batch = data_of(X[rows])[1]
                if getattr(self, "_online", None) is None:
                    options = {**self._training_options(X[rows]), "batch": self.batch_size}
                    threads = options.pop("threads")
                    options.pop("progress")
                    self._online = _core.begin_online(texts("train", options), batch, threads, listener)
                self._online.update(batch, listener)
        return self._take(Model("", _read=self._online.model))

    def transform(self, X):
        """Expected latents of every case: (n_samples, n_components)."""
        check_is_fitted(self, "model_")
        return self._encoded(self._validated(X, False))

    def _encoded(self, x):
        codes = self.model_.encode(x, code="all", threads=self._threads(), progress=False, **self._reading)
        latents = [codes[name] for name in self.model_.codes[:len(self.model_.layer_sizes) - 1]]
        return np.hstack(latents).astype(x.dtype if x.dtype in (np.float32, np.float64) else np.float64, copy=False)

    def _estimate(self):
        check_is_fitted(self, "model_")
        if self._partition is None:
            self._partition = self.model_.log_partition(threads=self._threads(), progress=False)
        return self._partition

    @property
    def log_partition_(self):
        """log Z in nats, by the best method that there is for the machine (`Model.log_partition`); found once, when it is asked for."""
        return self._estimate().value

    @property
    def log_partition_standard_error_(self):
        return self._estimate().standard_error

    def score_samples(self, X):
        """The log-likelihood of every case, in nats: (n_samples,)."""
        check_is_fitted(self, "model_")
        X = self._validated(X, False)
        return -self.model_.free_energy(X, threads=self._threads(), **self._reading) - self.log_partition_

    def score(self, X, y=None):
        """The mean log-likelihood, in nats a case."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples=1):
        """Samples of the machine: (n_samples, n_features), by a temperature ladder. A warning says where they have not mixed."""
        check_is_fitted(self, "model_")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        samples = self.model_.sample(n_samples, seed=seed, threads=self._threads(), progress=False)
        if not samples.mixed:
            warnings.warn(samples.verdict, TemperaWarning, stacklevel=2)
        return samples.visible

    def __getstate__(self):
        state = dict(super().__getstate__())
        state.pop("_online", None)  # chains of this process
        return state


class _BinaryMachine(_Machine):
    """Of binary visibles, which values in [0, 1] are probabilities of."""

    def __init__(self, n_components=256, *, learning_rate=None, batch_size=100, n_iter=None, verbose=0, random_state=None,
                 trainer=None, validation_fraction=None, n_jobs=None, binarize="sample-each", options=None):
        super().__init__(n_components, learning_rate=learning_rate, batch_size=batch_size, n_iter=n_iter, verbose=verbose,
                         random_state=random_state, trainer=trainer, validation_fraction=validation_fraction, n_jobs=n_jobs, options=options)
        self.binarize = binarize

    def _training_options(self, x):
        reading = {} if _is_binary(x) else {"binarize": self.binarize}
        return {"allow_constant": True, **reading, **super()._training_options(x)}


class BernoulliRBM(_BinaryMachine):
    """A restricted Boltzmann machine of binary units.

    Its defaults are scikit-learn's own but for batches of 32: ten passes of plain persistent chains at a constant rate, which suit features. For the best
    likelihood say ``trainer=None, learning_rate=None, n_iter=None``, or call `tempera.train`.

    Parameters: n_components: hidden units. learning_rate: the rate at the start (None: as `tempera train` chooses). batch_size: cases of
    an update, and persistent chains. n_iter: passes over the data (None: as many updates as `tempera train` makes). verbose: whether
    progress and warnings are shown. random_state: seeds every draw. trainer: "sml" has plain persistent chains, a constant rate and no
    centring; None or any other name trains as `tempera train` does: tempered chains, log Z tracked, a rate that falls to 0.
    validation_fraction: part of the cases that choose the model, None for none. n_jobs: threads (None: every core).
    binarize: how values in [0, 1] become bits: "sample-each" draws them anew at each visit with the value as probability, "threshold",
    "median" and "mean" compare. options: a dict of further options of `tempera train`.

    Attributes: ``components_`` (n_components, n_features), ``intercept_hidden_``, ``intercept_visible_``, ``log_partition_`` and
    ``log_partition_standard_error_`` (nats), ``model_`` (tempera.Model), ``metrics_`` (rows of metrics.csv), ``verdict_``, ``n_features_in_``.
    """

    _kind = "bernoulli-rbm"

    def __init__(self, n_components=256, *, learning_rate=0.1, batch_size=32, n_iter=10, verbose=0, random_state=None,
                 trainer="sml", validation_fraction=None, n_jobs=None, binarize="sample-each", options=None):
        super().__init__(n_components, learning_rate=learning_rate, batch_size=batch_size, n_iter=n_iter, verbose=verbose, random_state=random_state,
                         trainer=trainer, validation_fraction=validation_fraction, n_jobs=n_jobs, binarize=binarize, options=options)

    def _training_options(self, x):
        plain = {"centering": False, "schedule": "constant", "jump": 0} if self.trainer == "sml" else {}
        return {**plain, **super()._training_options(x)}

    def _take(self, model):
        super()._take(model)
        self.intercept_hidden_ = np.array(self.model_.params["hidden_bias"], dtype=float)
        self.intercept_visible_ = np.array(self.model_.params["visible_bias"], dtype=float)
        return self

    def transform(self, X):
        """P(h = 1 | v): (n_samples, n_components). Values between 0 and 1 enter as they are, as mean inputs."""
        check_is_fitted(self, "model_")
        X = self._validated(X, False)
        if self.binarize not in ("sample", "sample-each") or _is_binary(X):
            return self._encoded(X)
        inputs = np.asarray(X @ self.components_.T) + self.intercept_hidden_
        return _sigmoid(inputs).astype(X.dtype, copy=False)

    def gibbs(self, v):
        """One Gibbs step: h given v, then v given h. v: (n_samples, n_features); returns bits (bool) of the same shape."""
        check_is_fitted(self, "model_")
        if not hasattr(self, "_random"):
            self._random = check_random_state(self.random_state)
        v = np.asarray(v, dtype=float)
        h = self._random.uniform(size=(len(v), len(self.components_))) < _sigmoid(v @ self.components_.T + self.intercept_hidden_)
        return self._random.uniform(size=v.shape) < _sigmoid(h @ self.components_ + self.intercept_visible_)


class GaussianRBM(_Machine):
    """A restricted Boltzmann machine of real-valued visibles and binary hidden units; data of any unit and offset.

    Parameters and attributes as those of BernoulliRBM, but that None leaves every choice to `tempera train` and is the default;
    ``components_`` are the weights in the data's units.
    """

    _kind = "gaussian-rbm"
    _discrete = False


class PottsRBM(_Machine):
    """A restricted Boltzmann machine of categorical visibles and binary hidden units: codes of letters, genotypes, answers.

    X: (n_samples, n_sites) numbers, of which each column has at most 256 different ones in `fit`: these are its categories, and no
    others may come later. Parameters and attributes as those of GaussianRBM; ``components_`` are (n_components, n_sites * n_letters),
    and ``model_.alphabet`` has the categories of every column. Sequences as text are for `tempera.train`, which reads their files.
    """

    _kind = "potts-rbm"
    _discrete = False
    _reading = {"alphabet": "columns"}

    @staticmethod
    def _filters(weights):
        return np.array(weights.reshape(-1, weights.shape[-1]).T, dtype=float)

    @property
    def partial_fit(self):
        """There is none: a batch does not tell all categories."""
        raise AttributeError("PottsRBM has no partial_fit: a batch does not tell all categories")

    def sample(self, n_samples=1):
        """Samples of the machine as numbers of the data: (n_samples, n_sites)."""
        codes = super().sample(n_samples)
        return np.array([[float(words[code]) for words, code in zip(self.model_.alphabet, row)] for row in codes])


class SpikeSlabRBM(_Machine):
    """A spike-and-slab machine of real-valued visibles: n_components spikes, each with slabs.

    Parameters and attributes as those of GaussianRBM. `transform` gives the expected spikes.
    """

    _kind = "ssrbm"
    _discrete = False


class DBM(_BinaryMachine):
    """A deep Boltzmann machine of binary units. n_components: units of each hidden layer, lowest first.

    `transform` gives the expected units of all hidden layers side by side. ``components_`` are the weights of the lowest layer.
    Other parameters and attributes as those of GaussianRBM.
    """

    _kind = "dbm"
    _weights = "weights_1"

    def __init__(self, n_components=(128, 64), *, learning_rate=None, batch_size=100, n_iter=None, verbose=0, random_state=None,
                 trainer=None, validation_fraction=None, n_jobs=None, binarize="sample-each", options=None):
        super().__init__(n_components, learning_rate=learning_rate, batch_size=batch_size, n_iter=n_iter, verbose=verbose, random_state=random_state,
                         trainer=trainer, validation_fraction=validation_fraction, n_jobs=n_jobs, binarize=binarize, options=options)


def _is_binary(x):
    values = x.data if hasattr(x, "toarray") else x
    return values.dtype == bool or bool(((values == 0) | (values == 1)).all())


def _sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)
