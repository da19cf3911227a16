# %% [markdown]
# # Features for a classifier
# Pictures are many, labels are few: a machine learns from all 1,260 training cases, a logistic regression from the first 200 labels. On the
# hidden units it tells the digits apart better than on the pixels.

# %%
from sklearn.linear_model import LogisticRegression

import tempera
from tempera import plot

LABELS = 200
data = tempera.load_data("digits")
bits = {split: (data[split] > 7).astype("uint8") for split in data}
machine = tempera.BernoulliRBM(200, n_iter=400, random_state=0).fit(bits["train"])
print(machine.verdict_)

# %% [markdown]
# How strongly the regression is held back is chosen on the validation cases, for both alike.

# %%
scores = {}
for name, of in (("pixels", lambda split: bits[split]), ("hidden units", lambda split: machine.transform(bits[split]))):
    fitted = [LogisticRegression(C=c, max_iter=5000).fit(of("train")[:LABELS], data.labels["train"][:LABELS]) for c in (0.1, 1.0, 10.0)]
    best = max(fitted, key=lambda one: one.score(of("valid"), data.labels["valid"]))
    scores[name] = best.score(of("test"), data.labels["test"])
    print(f"{name}: {100 * scores[name]:.1f} % of the test cases")
assert scores["hidden units"] > scores["pixels"]

# %%
plot.filters(machine.model_, count=100).figure.savefig("features.png", dpi=150)
