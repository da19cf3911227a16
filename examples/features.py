# %% [markdown]
# # Features for a classifier
# A machine learns without labels; a logistic regression on its hidden units tells the digits apart better than one on the pixels.

# %%
from sklearn.linear_model import LogisticRegression

import tempera
from tempera import plot

data = tempera.load_data("digits")
bits = {split: (data[split] > 7).astype("uint8") for split in data}
machine = tempera.BernoulliRBM(200, n_iter=150, random_state=0).fit(bits["train"])
print(machine.verdict_)

# %%
scores = {}
for name, of in (("pixels", lambda split: bits[split]), ("hidden units", lambda split: machine.transform(bits[split]))):
    classifier = LogisticRegression(C=1.0, max_iter=5000).fit(of("train"), data.labels["train"])
    scores[name] = classifier.score(of("test"), data.labels["test"])
    print(f"{name}: {100 * scores[name]:.1f} % of the test cases")
assert scores["hidden units"] > scores["pixels"]

# %%
plot.filters(machine.model_, count=100).figure.savefig("features.png", dpi=150)
