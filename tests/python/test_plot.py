"""Pictures from Python: axes come back, with what they are to show on them."""

import os
import tempfile
import unittest
import warnings

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np

import tempera

try:
    from matplotlib import pyplot as plt

    from tempera import plot
except ImportError:
    plot = None


@unittest.skipIf(plot is None, "Matplotlib is absent")
class Pictures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        warnings.simplefilter("ignore")
        cls.data = tempera.load_data("digits")
        cls.run_ = tempera.train("digits", hidden=16, updates=600, report_every=50, checkpoint_every=200, binarize="threshold", seed=1)
        cls.model = cls.run_.model
        cls.samples = cls.model.sample(100, data="digits")

    def tearDown(self):
        plt.close("all")

    def test_learning_curves_show_every_known_report_and_its_band(self):
        ax = plot.learning_curves(self.run_)
        known = np.isfinite(self.run_.metrics["train_log_likelihood"])
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), self.run_.metrics["train_log_likelihood"][known])
        self.assertEqual(len(ax.collections), len({line.get_label() for line in ax.lines if not line.get_label().startswith("_")}))
        self.assertEqual(plot.log_partition(self.run_, against="seconds").get_xlabel(), "seconds")

    def test_the_ladder_has_a_mark_for_every_pair_of_rungs(self):
        ax = plot.ladder(self.run_)
        pairs = sum(len(rejections) for rejections in self.run_.metrics["rejections"])
        self.assertGreater(pairs, 0)
        self.assertEqual(len(ax.collections[0].get_offsets()), pairs)

    def test_filters_and_samples_are_pictures_of_their_shape(self):
        image = plot.filters(self.model).images[0].get_array()
        self.assertEqual(image.shape, (4 * 9 - 1, 4 * 9 - 1))
        axes = plot.samples(self.samples, self.data["test"], count=16)
        self.assertEqual([ax.get_title() for ax in axes], ["samples", "data"])

    def test_traces_clusters_and_estimates(self):
        self.assertEqual(len(plot.mixing(self.samples).lines), min(8, len(self.samples.trace["free_energy"])))
        self.assertEqual(len(plot.occupancy(self.samples).patches), 2 * len(self.samples.facts["cluster_occupancy"]))
        estimates = self.model.log_partition(method="all", betas=200, rounds=200)
        self.assertEqual([label.get_text() for label in plot.estimators(estimates).get_yticklabels()], [e.method for e in estimates])
        with self.assertRaises(ValueError):
            plot.occupancy(tempera.Model.from_params("bernoulli-rbm", weights=np.zeros((4, 2)), visible_bias=np.zeros(4), hidden_bias=np.zeros(2)).sample(20))

    def test_weights_by_rank_and_along_the_run(self):
        values = plot.singular_values({"a": self.model, "b": self.run_.last_model}).lines[0].get_ydata()
        np.testing.assert_allclose(values, np.linalg.svd(self.model.params["weights"], compute_uv=False), rtol=1e-5)
        self.assertEqual(list(plot.spectrum(self.run_).lines[0].get_xdata()), list(self.run_.checkpoints))

    def test_logos_have_a_letter_for_every_height(self):
        codes = np.array([[0, 1, 3], [0, 2, 3], [0, 1, 3], [0, 2, 3]])
        heights = plot.information(codes, 4, gap=3)
        np.testing.assert_allclose(heights, [[2, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 0]], atol=1e-12)
        heights[1, 2] = -0.7
        ax = plot.logo(heights, "ACG-")
        boxes = [patch.get_path().get_extents() for patch in ax.patches]
        self.assertEqual(sorted((round(b.y0, 6), round(b.y1, 6), round(0.5 * (b.x0 + b.x1))) for b in boxes), [(-0.7, 0, 2), (0, 0.5, 2), (0, 2, 1)])
        with self.assertRaises(ValueError):
            plot.logo(heights, "ACGU-")

    def test_pictures_of_sequences(self):
        draw = np.random.default_rng(3)
        weights = draw.normal(size=(5, 4, 3))
        model = tempera.Model.from_params("potts-rbm", weights=weights, visible_bias=np.zeros((5, 4)), hidden_bias=np.zeros(3))
        np.testing.assert_allclose(plot.hidden_weights(model, 2), weights[:, :, 2], rtol=1e-6)
        natural, designs = draw.integers(0, 4, (60, 5)).astype(np.uint8), draw.integers(0, 4, (40, 5)).astype(np.uint8)
        scores = model.scores(designs, nearest_to=natural, method="exact", split="train", alphabet="ACGU")
        ax = plot.distances(scores)
        self.assertEqual([len(line.get_xdata()) for line in ax.lines], [60, 40])
        np.testing.assert_array_equal(ax.lines[1].get_ydata(), scores.log_likelihood)
        with self.assertRaises(ValueError):
            plot.distances(model.scores(designs, method="none", split="train", alphabet="ACGU"))
        with self.assertRaises(ValueError):
            plot.covariances(self.samples)
        drawn = self.model.sample(200, data="digits", statistics=True, sweeps=50)
        self.assertIn("Pearson", plot.covariances(drawn).get_title())

    def test_every_picture_can_be_saved_as_vectors(self):
        _, axes = plt.subplots(2, 2)
        plot.learning_curves(self.run_, axes[0, 0])
        plot.ladder(self.run_, axes[0, 1])
        plot.filters(self.model, axes[1, 0])
        plot.mixing(self.samples, axes[1, 1])
        with tempfile.TemporaryDirectory() as folder:
            for ending in ("pdf", "svg"):
                plt.savefig(f"{folder}/x.{ending}")
                self.assertGreater(os.path.getsize(f"{folder}/x.{ending}"), 5000)


if __name__ == "__main__":
    unittest.main()
