"""Pictures of runs, models and samples, as Matplotlib axes.

Every function draws into `ax` (None: new axes of the width of a column, 3.4 inches) and returns the axes, or an
array of them. Colours are those of Okabe and Ito, which colour-blind people tell apart. Save as .pdf or .svg for print.
Needs Matplotlib.
"""

import numpy as np
from matplotlib import pyplot as plt

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
WIDTH = 3.4  # inches, of a column


def _axes(ax, height=2.4):
    if ax is None:
        _, ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    ax.tick_params(labelsize=7)
    ax.xaxis.label.set_size(8)
    ax.yaxis.label.set_size(8)
    return ax


def _metrics(run):
    return run.metrics if hasattr(run, "metrics") else run


def _band(ax, x, y, error, colour, label, dashed=None):
    """Points that are known, with a band of one standard error; those that are not trusted (dashed) stand apart."""
    known = np.isfinite(y)
    if not known.any():
        return
    ax.plot(x[known], y[known], color=colour, label=label, linewidth=1.2)
    ax.fill_between(x[known], (y - error)[known], (y + error)[known], color=colour, alpha=0.25, linewidth=0)
    if dashed is not None and (known & dashed).any():
        ax.plot(x[known & dashed], y[known & dashed], "x", color=colour, markersize=3)


def learning_curves(run, ax=None, *, against="update"):
    """Mean log-likelihoods of training and validation cases with bands of one standard error. Crosses: not to be trusted.

    run: a Run, or its metrics. against: "update" or "seconds".
    """
    ax, m = _axes(ax), _metrics(run)
    doubted = m["trusted"] == 0
    for split, colour, label in (("train", COLOURS[0], "training"), ("validation", COLOURS[1], "validation")):
        error = np.nan_to_num(m[f"{split}_standard_error"])
        _band(ax, m[against], m[f"{split}_log_likelihood"], error, colour, label, doubted)
    ax.set_xlabel("updates" if against == "update" else "seconds", fontsize=8)
    ax.set_ylabel("log-likelihood (nats a case)", fontsize=8)
    # The first reports lie far below all others.
    values = np.concatenate([m["train_log_likelihood"], m["validation_log_likelihood"]])
    values = values[np.isfinite(values)]
    if len(values) > 8:
        low, high = np.quantile(values, 0.1), values.max()
        ax.set_ylim(low - 0.15 * (high - low), high + 0.1 * (high - low) + 1e-9)
    if ax.lines:
        ax.legend(fontsize=7, frameon=False)
    return ax


def log_partition(run, ax=None, *, against="update"):
    """Tracked log Z with its error bar."""
    ax, m = _axes(ax), _metrics(run)
    _band(ax, m[against], m["log_partition"], np.nan_to_num(m["log_partition_standard_error"]), COLOURS[2], "log Z", m["trusted"] == 0)
    ax.set_xlabel("updates" if against == "update" else "seconds", fontsize=8)
    ax.set_ylabel("log Z (nats)", fontsize=8)
    return ax


def ladder(run, ax=None):
    """The inverse temperatures of the ladder over the updates; colour: the rate at which neighbours change places."""
    ax, m = _axes(ax), _metrics(run)
    marks = [(row["update"], 0.5 * (above + below), 1 - rejection) for row in m if len(row["rejections"]) == len(row["betas"]) - 1
             for below, above, rejection in zip(row["betas"], row["betas"][1:], row["rejections"])]
    if marks:
        updates, middles, rates = np.transpose(marks)
        drawn = ax.scatter(updates, middles, c=rates, s=6, vmin=0, vmax=1, cmap="cividis", marker="s", linewidths=0)
    else:
        ax.text(0.5, 0.5, "no temperature ladder", ha="center", va="center", transform=ax.transAxes, fontsize=8)
    if marks:
        bar = ax.figure.colorbar(drawn, ax=ax)
        bar.set_label("swap rate", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    ax.set_xlabel("updates", fontsize=8)
    ax.set_ylabel(r"inverse temperature $\beta$", fontsize=8)
    return ax


def _tiles(rows, shape):
    rows = np.asarray(rows, dtype=float)
    if len(shape) == 3 and shape[0] == 3:
        return np.moveaxis(rows.reshape(len(rows), *shape), 1, -1)
    return rows.reshape(len(rows), *(shape or (1, rows.shape[1])))


def _grid(tiles, columns):
    n, height, width = tiles.shape[:3]
    columns = columns or int(np.ceil(np.sqrt(n * height / width)))
    columns = max(1, min(columns, n))
    lines = -(-n // columns)
    canvas = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1, *tiles.shape[3:]), np.nan)
    for k, tile in enumerate(tiles):
        i, j = divmod(k, columns)
        canvas[i * (height + 1):i * (height + 1) + height, j * (width + 1):j * (width + 1) + width] = tile
    return canvas


def filters(model, ax=None, *, count=64, columns=None):
    """The filters of a model, the largest first, each over its own largest magnitude; red above 0, blue below."""
    found = model.features() if hasattr(model, "features") else model
    order = np.argsort(-found.importance, kind="stable")[:count]
    tiles = _tiles(found.filters[order], found.visible_shape)
    largest = np.abs(tiles).reshape(len(tiles), -1).max(axis=1)
    tiles = tiles / np.where(largest > 0, largest, 1).reshape(-1, *[1] * (tiles.ndim - 1))
    ax = _axes(ax, WIDTH)
    if tiles.ndim == 4:
        drawn = ax.imshow(np.nan_to_num(0.5 + 0.5 * _grid(tiles, columns), nan=1.0), interpolation="nearest")
    else:
        drawn = ax.imshow(_grid(tiles, columns), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.8)
        bar.set_label("weight, over the largest of the filter", fontsize=7)
        bar.ax.tick_params(labelsize=7)
    ax.set_axis_off()
    return ax


def samples(drawn, data=None, axes=None, *, count=36, shape=None):
    """Samples, beside cases of the data where they are given. drawn: Samples or rows. Returns an array of axes."""
    rows = [("samples", np.asarray(drawn))] + ([] if data is None else [("data", np.asarray(data))])
    shape = shape or getattr(drawn, "visible_shape", ()) or ()
    if axes is None:
        _, axes = plt.subplots(1, len(rows), figsize=(WIDTH, WIDTH / len(rows) + 0.2), squeeze=False, layout="constrained")
    axes = np.atleast_1d(axes).ravel()
    low, high = np.nanmin(rows[-1][1]), np.nanmax(rows[-1][1])
    for ax, (title, values) in zip(axes, rows):
        tiles = _tiles(values[:count].reshape(min(count, len(values)), -1), shape)
        grid = _grid(tiles, None)
        if tiles.ndim == 4:
            grid = np.nan_to_num((grid - low) / max(high - low, 1e-30), nan=1.0)
        ax.imshow(grid, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        ax.set_title(title, fontsize=8)
        ax.set_axis_off()
    return axes


def mixing(drawn, ax=None, *, quantity="free_energy", chains=8):
    """A traced quantity of some chains, draw after draw; the title says how it converged."""
    ax = _axes(ax)
    for k, trace in enumerate(drawn.trace[quantity][:chains]):
        ax.plot(trace, color=COLOURS[k % len(COLOURS)], linewidth=0.4, alpha=0.7)
    found = drawn.convergence.get(quantity)
    if found:
        ax.set_title(f"R-hat {found['r_hat']:.3f}, {found['effective_sample_size']:.0f} effective draws", fontsize=8)
    ax.set_xlabel("draws", fontsize=8)
    ax.set_ylabel({"free_energy": "free energy (nats)", "mean_visible": "mean of the visibles"}.get(quantity, quantity), fontsize=8)
    return ax


def occupancy(drawn, ax=None):
    """Parts of the clusters of the data, and of the samples that are nearest to them; needs samples that were drawn with data."""
    ax = _axes(ax)
    of_data, of_samples = drawn.facts.get("cluster_occupancy_of_data"), drawn.facts.get("cluster_occupancy")
    if of_data is None or len(of_data) == 0:
        raise ValueError("occupancy: the samples were drawn without data to compare with")
    at = np.arange(len(of_data))
    ax.bar(at - 0.2, of_data, 0.4, color=COLOURS[0], label="data")
    ax.bar(at + 0.2, of_samples, 0.4, color=COLOURS[1], label="samples")
    ax.set_title(f"total variation {0.5 * np.abs(np.subtract(of_data, of_samples)).sum():.3f}", fontsize=8)
    ax.set_xlabel("cluster of the data", fontsize=8)
    ax.set_ylabel("part of the cases", fontsize=8)
    ax.legend(fontsize=7, frameon=False)
    return ax


def _weights(model):
    params = model.params
    name = "weights" if "weights" in params else "weights_1"
    return params[name].reshape(len(params[name]), -1)


def singular_values(models, ax=None):
    """Singular values of the weights, largest first. models: a Model, or a dict of names to such, or of updates of a run."""
    ax = _axes(ax)
    models = models if isinstance(models, dict) else {"": models}
    for k, (name, model) in enumerate(models.items()):
        values = np.linalg.svd(_weights(model), compute_uv=False)
        ax.semilogy(np.arange(1, len(values) + 1), np.maximum(values, 1e-12 * values[0]), color=COLOURS[k % len(COLOURS)], label=str(name), linewidth=1.2)
    if len(models) > 1:
        ax.legend(fontsize=7, frameon=False)
    ax.set_xlabel("rank", fontsize=8)
    ax.set_ylabel("singular value of the weights", fontsize=8)
    return ax


def spectrum(run, ax=None, *, count=8):
    """The largest singular values of the weights along the kept checkpoints of a run."""
    from ._model import Model

    ax = _axes(ax)
    updates, values = [], []
    for update, path in run.checkpoints.items():
        updates.append(update)
        values.append(np.linalg.svd(_weights(Model(path)), compute_uv=False)[:count])
    if updates:
        ax.plot(updates, np.array(values), color=COLOURS[0], marker=".", linewidth=1)
    ax.set_xlabel("updates", fontsize=8)
    ax.set_ylabel("singular values of the weights", fontsize=8)
    return ax


def estimators(estimates, ax=None):
    """Estimates of log Z side by side with bars of two standard errors; those that are not trusted are hollow.

    estimates: those of `Model.log_partition(method="all")`.
    """
    ax = _axes(ax, 0.6 + 0.25 * len(estimates))
    for k, estimate in enumerate(estimates):
        colour = COLOURS[0] if estimate.trusted else COLOURS[1]
        ax.errorbar(estimate.value, k, xerr=2 * estimate.standard_error, fmt="o", color=colour, markersize=4,
                    markerfacecolor=colour if estimate.trusted else "white", linewidth=1)
    ax.set_yticks(range(len(estimates)), [estimate.method for estimate in estimates], fontsize=7)
    ax.invert_yaxis()
    ax.set_xlabel("log Z (nats)", fontsize=8)
    return ax


# Proteins by the chemistry of the side chain, nucleotides each with its own colour, as the pictures of the command.
_PROTEIN = {letter: colour for letters, colour in (("DE", COLOURS[1]), ("KRH", COLOURS[0]), ("GSTYC", COLOURS[2]), ("NQ", COLOURS[3])) for letter in letters}
_NUCLEIC = {"A": COLOURS[2], "C": COLOURS[0], "G": COLOURS[4], "T": COLOURS[1], "U": COLOURS[1]}


def logo(heights, alphabet, ax=None, *, first=1):
    """Letters stacked at every site, the largest outermost; negative ones below the line.

    heights: (n_sites, n_letters): bits of `information`, or weights of a hidden unit (`hidden_weights`). alphabet: its letters, a text.
    first: what the first site is called.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    heights = np.asarray(heights, dtype=float)
    if heights.ndim != 2 or heights.shape[1] != len(alphabet):
        raise ValueError(f"logo: expected heights of (sites, {len(alphabet)} letters), found shape {heights.shape}")
    heights = np.where(np.isfinite(heights), heights, 0.0)
    if ax is None:
        _, ax = plt.subplots(figsize=(max(WIDTH, 0.16 * len(heights)), 1.6), layout="constrained")
    ax = _axes(ax)
    colours = _NUCLEIC if set(alphabet) <= set("ACGTU-") else _PROTEIN
    font = FontProperties(family="DejaVu Sans", weight="bold")
    paths = {letter: TextPath((0, 0), letter, size=1, prop=font) for letter in alphabet}
    for site, row in enumerate(heights):
        up = down = 0.0
        for letter in np.argsort(np.abs(row), kind="stable"):
            height = row[letter]
            if height == 0:
                continue
            down += min(height, 0.0)
            path = paths[alphabet[letter]]
            box = path.get_extents()
            place = (Affine2D().translate(-box.x0, -box.y0).scale(0.92 / max(box.width, 1e-9), abs(height) / max(box.height, 1e-9))
                     .translate(site + first - 0.46, up if height > 0 else down))
            colour = colours.get(alphabet[letter], "#999999" if alphabet[letter] in "-.*X" else COLOURS[6])
            ax.add_patch(PathPatch(place.transform_path(path), facecolor=colour, linewidth=0))
            up += max(height, 0.0)
    above, below = np.maximum(heights, 0).sum(axis=1).max(initial=0), np.minimum(heights, 0).sum(axis=1).min(initial=0)
    ax.set_xlim(first - 0.6, first + len(heights) - 0.4)
    ax.set_ylim(below, above if above > below else 1.0)
    ax.axhline(0, color=COLOURS[6], linewidth=0.6)
    ax.set_xlabel("site", fontsize=8)
    return ax


def information(codes, n_letters, *, weights=None, gap=None):
    """Heights of a sequence logo, (n_sites, n_letters), in bits: the frequency of a letter times log2(n_letters) less the entropy of its site
    (Schneider & Stephens 1990, without their correction for few sequences).

    codes: (n, n_sites) of letters, such as `Samples.visible`. weights: of the sequences. gap: the code of a letter that counts, but is not drawn.
    """
    codes = np.asarray(codes)
    frequencies = np.stack([np.average(codes == letter, axis=0, weights=weights) for letter in range(n_letters)], axis=1)
    logarithms = np.log2(np.where(frequencies > 0, frequencies, 1.0))
    heights = frequencies * (np.log2(n_letters) + (frequencies * logarithms).sum(axis=1, keepdims=True))
    if gap is not None:
        heights[:, gap] = 0.0
    return heights


def hidden_weights(model, unit):
    """Weights of a hidden unit of a machine of letters as heights of a logo: (n_sites, n_letters)."""
    return model.params["weights"][..., unit]


def distances(scores, ax=None):
    """log p of cases over their distance from the nearest case of other data, with those of that data to each other.

    scores: those of `Model.scores(cases, nearest_to=data)`; without log Z the axis is -F.
    """
    if scores.distance is None:
        raise ValueError("distances: the scores were made without nearest_to")
    ax = _axes(ax)
    ax.plot(scores.own_distance, -scores.own_free_energy - scores.facts.get("log_partition", 0.0), ".", color=COLOURS[0], markersize=2.5, alpha=0.4, label="data, to the nearest other")
    values = -scores.free_energy if scores.log_likelihood is None else scores.log_likelihood
    ax.plot(scores.distance, values, ".", color=COLOURS[1], markersize=2.5, alpha=0.6, label="these cases")
    ax.set_xlabel("part that differs from the nearest case", fontsize=8)
    ax.set_ylabel("-F (nats)" if scores.log_likelihood is None else "log p (nats)", fontsize=8)
    ax.legend(fontsize=7, frameon=False)
    return ax


def covariances(drawn, ax=None):
    """Covariances of samples over those of the data, as many as fall where darker, with the line of equal ones.

    drawn: Samples that were drawn with statistics=True.
    """
    if drawn.covariances is None:
        raise ValueError("covariances: the samples were drawn without statistics=True")
    ax = _axes(ax, WIDTH)
    low = min(drawn.covariances.min(), drawn.covariances_of_data.min())
    high = max(drawn.covariances.max(), drawn.covariances_of_data.max())
    ax.hexbin(drawn.covariances_of_data, drawn.covariances, gridsize=60, bins="log", mincnt=1, cmap="cividis_r", extent=(low, high, low, high), linewidths=0)
    ax.plot([low, high], [low, high], color=COLOURS[1], linewidth=0.8)
    ax.set_title(f"Pearson {drawn.facts['covariance_pearson']:.3f}, slope {drawn.facts['covariance_slope']:.3f}", fontsize=8)
    ax.set_xlabel("covariance in the data", fontsize=8)
    ax.set_ylabel("in the samples", fontsize=8)
    return ax
