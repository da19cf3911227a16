"""Tempera: train, measure, sample and look at Boltzmann machines.

    import tempera

    run = tempera.train("digits", model="bernoulli-rbm", hidden=25, updates=2000)
    print(run.verdict)
    print(run.model.log_likelihood("digits"))
    samples = run.model.sample(100)

The same services stand behind this module and the command `tempera`: for the same options and seed both give
the same bytes. Estimators with scikit-learn's conventions are in `tempera.sklearn`, pictures in `tempera.plot`.
"""

from ._core import version as __version__
from ._data import Data, load_data
from ._errors import ConfigError, DataError, Error, Interrupted, NoInputError, NumericalError, TemperaWarning, UsageError, WriteError
from ._model import Couplings, Estimate, Features, Likelihood, Model, Scores
from ._run import Run, load, train
from ._samples import Samples

__all__ = [
    "ConfigError", "Couplings", "Data", "DataError", "Error", "Estimate", "Features", "Interrupted", "Likelihood", "Model", "NoInputError",
    "NumericalError", "Run", "Samples", "Scores", "TemperaWarning", "UsageError", "WriteError", "load", "load_data", "train",
]


def __getattr__(name):
    """Estimators, where scikit-learn is installed, and pictures, where Matplotlib is."""
    import importlib

    if name in ("plot", "sklearn"):
        return importlib.import_module(f"tempera.{name}")
    if name in ("BernoulliRBM", "DBM", "GaussianRBM", "PottsRBM", "SpikeSlabRBM"):
        return getattr(importlib.import_module("tempera.sklearn"), name)
    raise AttributeError(f"module 'tempera' has no attribute {name!r}")
