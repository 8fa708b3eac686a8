"""What each metric and each feature extractor is set by, and which numbers it reports. No torch in here."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from madray.errors import BadInput
from madray.spec.base import OneOf, Positive, Settings, Size
from madray.spec.imported import Imported

MNIST_SHAPE: tuple[int, ...] = (1, 28, 28)
"""Of an image of the MNIST: channels, height, width."""


class Metric(Settings):
    """What all metrics say of themselves."""

    implementation: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    """The numbers it reports, in the table's order; every generation reports all of them."""
    needs_samples: ClassVar[bool] = True
    """Whether it looks at n_eval samples, or at the fitted model alone."""
    needs_real: ClassVar[bool] = False
    """Whether it is compared with n_eval real samples: by their features, or by what it says of them."""
    takes_shape: ClassVar[tuple[int, ...] | None] = None
    """The one shape of samples that it takes; None for any."""

    kind: str

    @property
    def needs_model(self) -> bool:
        """Whether it looks at the fitted model itself, beside samples or in their place."""
        return not self.needs_samples


class FID(Metric):
    """Squared Fréchet distance of Gaussians fitted to real and generated features (Heusel et al. 2017)."""

    implementation: ClassVar[str] = "madray.metrics.frechet:measure_fid"
    names: ClassVar[tuple[str, ...]] = ("fid",)
    needs_real: ClassVar[bool] = True

    kind: Literal["fid"] = "fid"


class PrecisionRecall(Metric):
    """Precision and recall by k-nearest-neighbour balls (Kynkäänniemi et al. 2019); k = 5 in the paper."""

    implementation: ClassVar[str] = "madray.metrics.precision_recall:measure_precision_recall"
    names: ClassVar[tuple[str, ...]] = ("precision", "recall")
    needs_real: ClassVar[bool] = True

    kind: Literal["precision_recall"] = "precision_recall"
    k: Size = Field(5, description="which nearest neighbour bounds a ball")


class W2(Metric):
    """Exact Wasserstein-2 distance of the fitted (μ_t, Σ_t) to a Gaussian reference; λ does not touch it."""

    implementation: ClassVar[str] = "madray.metrics.wasserstein:measure_w2"
    names: ClassVar[tuple[str, ...]] = ("w2_squared", "w2")
    needs_samples: ClassVar[bool] = False

    kind: Literal["w2"] = "w2"


class Variance(Metric):
    """Trace of the covariance of the samples."""

    implementation: ClassVar[str] = "madray.metrics.variance:measure_variance"
    names: ClassVar[tuple[str, ...]] = ("variance",)

    kind: Literal["variance"] = "variance"


class Modes(Metric):
    """Modes of a mixture that samples cover, and the average variance around them (the paper's Figure 15)."""

    version: ClassVar[int] = 2
    implementation: ClassVar[str] = "madray.metrics.modes:measure_modes"
    names: ClassVar[tuple[str, ...]] = ("modes", "modal_variance")

    kind: Literal["modes"] = "modes"
    within: Positive = Field(
        4.0, description="a sample counts for its nearest mode within this many of its stds"
    )
    at_least: Size = Field(1, description="a mode is covered by at least this many samples")


class LabelAccuracy(Metric):
    """Share of samples that a LeNet-5, trained on the real MNIST, takes for what their label says."""

    implementation: ClassVar[str] = "madray.metrics.label_accuracy:measure_label_accuracy"
    names: ClassVar[tuple[str, ...]] = ("label_accuracy",)
    needs_real: ClassVar[bool] = True
    takes_shape: ClassVar[tuple[int, ...] | None] = MNIST_SHAPE

    kind: Literal["label_accuracy"] = "label_accuracy"


class ClassificationAccuracyScore(Metric):
    """Accuracy on real images of a LeNet-5 trained on the samples and their labels (Ravuri and Vinyals 2019).

    The paper of the score trains a ResNet-50 on ImageNet; the network and how long it trains are ours.
    """

    implementation: ClassVar[str] = "madray.metrics.classification_accuracy:measure_classification_accuracy"
    names: ClassVar[tuple[str, ...]] = ("classification_accuracy_score",)
    needs_real: ClassVar[bool] = True

    kind: Literal["classification_accuracy_score"] = "classification_accuracy_score"
    epochs: Size = Field(20, description="passes over the n_eval samples")
    batch: Size = Field(64, description="samples of a training step")
    learning_rate: Positive = Field(2e-3, description="of Adam; decays to 0 along a line")


class HeldOutLogLikelihood(Metric):
    """Mean log likelihood, in nats, of the part of its training set that a flow was not fitted to."""

    implementation: ClassVar[str] = "madray.metrics.held_out:measure_held_out"
    names: ClassVar[tuple[str, ...]] = ("held_out_log_likelihood",)
    needs_samples: ClassVar[bool] = False

    kind: Literal["held_out_log_likelihood"] = "held_out_log_likelihood"


class ImportedMetric(Imported):
    """A metric of the user's own: a class with `names`, and `measure(evidence)` → {name: number}.

    It may carry the class attributes `needs_samples`, `needs_real`, `needs_model` (all True without) and
    `version`.
    """

    takes_shape: ClassVar[tuple[int, ...] | None] = None

    @property
    def needs_samples(self) -> bool:
        return bool(getattr(self.load(), "needs_samples", True))

    @property
    def needs_model(self) -> bool:
        return bool(getattr(self.load(), "needs_model", True))

    @property
    def names(self) -> tuple[str, ...]:
        names = getattr(self.load(), "names", None)
        if not names or not all(isinstance(name, str) for name in names):
            raise BadInput(f"expected {self.kind}.names to say which numbers it reports, got {names!r}")
        return tuple(names)

    @property
    def needs_real(self) -> bool:
        return bool(getattr(self.load(), "needs_real", True))


class Extractor(Settings):
    """What all extractors say of themselves."""

    implementation: ClassVar[str]
    needs_real: ClassVar[bool] = False
    """Whether it looks at the n_eval real samples as well, such as for their units."""
    takes_shape: ClassVar[tuple[int, ...] | None] = None
    """The one shape of samples that it takes; None for any."""

    kind: str


class Identity(Extractor):
    """The samples themselves as features: vectors as they are, images as vectors of [0, 1]."""

    implementation: ClassVar[str] = "madray.metrics.features:extract_identity"

    kind: Literal["identity"] = "identity"


class Standardised(Extractor):
    """The samples themselves, each coordinate less its mean in the real set and over its deviation there.

    For vectors whose coordinates have units of their own: of the samples as they are, metrics would see the
    coordinate of the largest numbers and nothing else.
    """

    implementation: ClassVar[str] = "madray.metrics.features:extract_standardised"
    needs_real: ClassVar[bool] = True

    kind: Literal["standardised"] = "standardised"


class LeNet(Extractor):
    """The 84 activations of the last hidden layer of a LeNet-5 that was trained on the real MNIST.

    The paper takes LeNet for digits, and does not say which layer; the layer is ours. Other weights are
    another `version`, of this and of `LabelAccuracy`.
    """

    implementation: ClassVar[str] = "madray.metrics.mnist_lenet:extract_lenet"
    takes_shape: ClassVar[tuple[int, ...] | None] = MNIST_SHAPE

    kind: Literal["lenet"] = "lenet"


class ImportedExtractor(Imported):
    """A feature extractor of the user's own: called with samples, it gives features of shape (n, d)."""

    needs_real: ClassVar[bool] = False
    takes_shape: ClassVar[tuple[int, ...] | None] = None


METRICS: tuple[type[Metric], ...] = (
    FID,
    PrecisionRecall,
    W2,
    Variance,
    Modes,
    LabelAccuracy,
    ClassificationAccuracyScore,
    HeldOutLogLikelihood,
)
EXTRACTORS: tuple[type[Extractor], ...] = (Identity, Standardised, LeNet)

MetricSettings = Annotated[Any, OneOf("metric", METRICS, ImportedMetric)]
ExtractorSettings = Annotated[Any, OneOf("extractor", EXTRACTORS, ImportedExtractor)]
AnyMetric = Metric | ImportedMetric
AnyExtractor = Extractor | ImportedExtractor


def check_shape(part: AnyMetric | AnyExtractor, shape: tuple[int, ...]) -> None:
    """Refuse samples of a shape that a metric or an extractor does not take.

    Raises: BadInput.

    >>> check_shape(LeNet(), (3, 32, 32))
    Traceback (most recent call last):
    madray.errors.BadInput: expected samples of shape (1, 28, 28) for lenet, got (3, 32, 32)...
    """
    if part.takes_shape is not None and shape != part.takes_shape:
        raise BadInput(
            f"expected samples of shape {part.takes_shape} for {part.kind}, got {shape}; try a reference "
            "of grey 28 × 28 images, such as mnist"
        )
