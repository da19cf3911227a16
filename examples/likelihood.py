# %% [markdown]
# # The likelihood of a saved model, by every method
# A model may come from anywhere: here from arrays. Every method that there is for it estimates log Z; estimates from below and from above
# bound the likelihood, and the exact one, which a machine of 16 hidden units has, tells who is right.

# %%
import tempera
from tempera import plot

data = tempera.load_data("digits")
trained = tempera.train(data, hidden=16, binarize="threshold", updates=3000).model
model = tempera.Model.from_params("bernoulli-rbm", **trained.params)
model.save("saved.h5")

# %%
model = tempera.load("saved.h5")
cases = (data["test"] > 7).astype("uint8")
estimates = model.log_partition(method="all", data=(data["train"] > 7).astype("uint8"), betas=2000)
for estimate in estimates:
    print(estimate)
exact = next(estimate for estimate in estimates if estimate.method == "exact")
for estimate in estimates:
    assert abs(estimate.value - exact.value) < 5 * estimate.standard_error + 0.02, estimate

# %%
print(model.log_likelihood(cases))
plot.estimators(estimates).figure.savefig("likelihood.png", dpi=150)
