# %% [markdown]
# # Digits, with an exact check
# A machine of 20 hidden units learns 1,437 pictures of 8 x 8 pixels. So small a machine can be enumerated: the log Z that was tracked while it
# was trained is held against the exact one.

# %%
from matplotlib import pyplot as plt

import tempera
from tempera import plot

data = tempera.load_data("digits")
run = tempera.train(data, hidden=20, binarize="threshold", updates=4000, enumerate=False, out="digits-run", replace=True)
print(run.verdict)

# %% [markdown]
# The tracked log Z with its error bar, and the exact one.

# %%
tracked = run.metrics["log_partition"][-1], run.metrics["log_partition_standard_error"][-1]
exact = run.last_model.log_partition(method="exact").value
print(f"tracked {tracked[0]:.3f} +- {tracked[1]:.3f}, exact {exact:.3f}")
assert abs(tracked[0] - exact) < 5 * tracked[1] + 0.02

# %% [markdown]
# What it learned.

# %%
figure, axes = plt.subplots(2, 2, figsize=(7, 6), layout="constrained")
plot.learning_curves(run, axes[0, 0])
plot.log_partition(run, axes[0, 1]).axhline(exact, color="black", linewidth=0.8, linestyle=":")
plot.filters(run.model, axes[1, 0])
samples = run.model.sample(100, data=data)
plot.samples(samples, axes=[axes[1, 1]])
figure.savefig("digits.png", dpi=150)
