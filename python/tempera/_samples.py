"""Samples, and what is known of the chains that gave them."""

import numpy as np


def spelled(codes, alphabet):
    """Rows of codes as texts, of letters of one character; as lists of words, of columns of words."""
    if alphabet is None:
        raise ValueError("these are no letters: there is no alphabet")
    if isinstance(alphabet, str):
        letters = np.array(list(alphabet))
        return ["".join(row) for row in letters[np.asarray(codes, int)]]
    return [[alphabet[site][letter] for site, letter in enumerate(row)] for row in np.asarray(codes, int)]


class Samples:
    """Samples of a model.

    visible: (n, n_visible) uint8 or float32. layers: every layer by its name. mixed, verdict: whether the
    chains mixed, and why not. facts: everything that is known of the draw. trace: what was followed along the
    chains ("free_energy", "mean_visible", and "cluster" where data were at hand), each (chains, draws).
    alphabet: letters of codes, one text or a list of words for each column, or None. cases: of missing values, the case that each
    sample is of, else None.
    covariances, covariances_of_data: of every two values (of letters, at two sites), where statistics were asked for, else None.
    convergence: rank-normalised split R-hat and bulk effective sample size of these quantities (Vehtari and others 2021).
    """

    def __init__(self, found):
        self.layers = found["layers"]
        self.facts = found["facts"]
        self.trace = found["trace"]
        self.convergence = found["convergence"]
        self.visible_shape = found["visible_shape"]
        self.alphabet = found["alphabet"]
        self.cases = found["cases"]
        self.stopped = found["stopped"]
        self.rejections = found.get("rejections")
        self.covariances = found.get("covariances")
        self.covariances_of_data = found.get("covariances_of_data")
        self._words = found["words"]

    visible = property(lambda self: self.layers["visible"])
    mixed = property(lambda self: bool(self.facts["mixed"]))
    verdict = property(lambda self: self.facts["verdict"])

    def sequences(self) -> list:
        """Samples of letters as texts, or as lists of words. Raises ValueError where they are no letters."""
        return spelled(self.visible, self.alphabet)

    def __len__(self):
        return len(self.visible)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.visible, dtype=dtype, copy=copy)

    def __repr__(self):
        return f"<tempera.Samples {self.visible.shape}: {self.verdict}>"

    def __str__(self):
        return self._words.strip()

    def to_xarray(self):
        """The traces as an xarray Dataset with the dimensions (chain, draw), which ArviZ takes as it is.

        Needs xarray. Clusters are traced as one variable `cluster`, the number of the data's cluster that is nearest.
        """
        import xarray

        variables = {name: (("chain", "draw"), values) for name, values in self.trace.items()}
        chains, draws = self.trace["free_energy"].shape
        return xarray.Dataset(variables, coords={"chain": np.arange(chains), "draw": np.arange(draws)}, attrs={"verdict": self.verdict})
