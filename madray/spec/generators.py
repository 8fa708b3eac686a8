"""What each generator family is set by, and which λ it takes. No torch in here.

A family's code lives at its `implementation`, which is loaded only where something is fitted or sampled.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from madray.errors import BadInput
from madray.spec.base import OneOf, Positive, Settings, Size, refuse_at
from madray.spec.imported import Imported


class Generator(Settings):
    """What all families say of themselves."""

    implementation: ClassVar[str]
    takes_zero_bias: ClassVar[bool] = True
    """Whether λ = 0, the modes alone, can be sampled."""
    needs_labels_for_bias: ClassVar[bool] = False
    """Whether λ < 1 works by guidance towards a label."""
    milliseconds: ClassVar[bool] = False
    """Whether a fit takes so little that many of them are made and stored together."""

    chunk: Annotated[int, Field(gt=0, description="samples are made and stored by chunks of this many")]


class Gaussian(Generator):
    """N(μ, Σ) with the sample mean and the unbiased sample covariance; λ samples N(μ, λΣ)."""

    implementation: ClassVar[str] = "madray.generators.gaussian:GaussianGenerator"
    milliseconds: ClassVar[bool] = True

    kind: Literal["gaussian"] = "gaussian"
    chunk: Size = Field(1000, description="samples are made and stored by chunks of this many")


class GMM(Generator):
    """A Gaussian mixture by EM; λ samples each component from N(μ_k, λΣ_k). λ for mixtures is ours."""

    implementation: ClassVar[str] = "madray.generators.gmm:GMMGenerator"
    milliseconds: ClassVar[bool] = True

    kind: Literal["gmm"] = "gmm"
    components: Size = Field(25, description="number of components")
    covariance: Literal["full", "tied", "diag", "spherical"] = Field(
        "full", description="shape of the covariances"
    )
    max_iterations: Size = Field(200, description="EM steps at most")
    tolerance: Positive = Field(1e-4, description="EM stops when the mean log-likelihood gains less")
    regularization: Positive = Field(1e-6, description="added to the diagonals, in squared units of the data")
    restarts: Size = Field(1, description="the best of this many starts (k-means++) is kept")
    chunk: Size = Field(1000, description="samples are made and stored by chunks of this many")


class DDPM(Generator):
    """A denoising diffusion model with classifier-free guidance (Ho et al. 2020; Ho and Salimans 2021).

    λ = 1/(1 + w): ε = (1 + w) ε(x, y) − w ε(x). An MLP denoises vectors and images of up to 8×8, a small
    U-Net larger images. The paper says T = 500 and 10 % label dropout; the rest is ours.
    """

    implementation: ClassVar[str] = "madray.generators.ddpm:DDPMGenerator"
    takes_zero_bias: ClassVar[bool] = False
    needs_labels_for_bias: ClassVar[bool] = True

    kind: Literal["ddpm"] = "ddpm"
    timesteps: Size = Field(500, description="diffusion steps T")
    schedule: Literal["cosine", "linear"] = Field(
        "cosine",
        description="noise schedule: cosine (Nichol and Dhariwal 2021), linear (Ho et al. 2020, scaled to T)",
    )
    posterior_variance: Literal["beta", "posterior"] = Field(
        "beta", description="variance of an ancestral step: β_t, or the smaller β̃_t"
    )
    clip: bool = Field(
        True, description="whether the image x̂_0 that each step predicts is clipped to the range of bytes"
    )
    width: Size = Field(
        256, description="hidden units of the MLP; channels of the U-Net's first level are width // 8"
    )
    depth: Size = Field(3, description="hidden layers of the MLP; levels of the U-Net")
    label_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of training samples that lose their label"
    )
    steps: Size = Field(3000, description="optimizer steps of a fit, whatever the number of samples")
    batch: Size = Field(128, description="samples of a training step")
    learning_rate: Positive = Field(1e-3, description="of Adam; decays to 0 along a cosine after the warm-up")
    warmup: int = Field(100, ge=0, description="steps over which the learning rate rises from 0")
    ema: float = Field(
        0.995, ge=0, lt=1, description="decay of the averaged weights, which are those that sample"
    )
    chunk: Size = Field(500, description="samples are made and stored by chunks of this many")

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> DDPM:
        if self.warmup >= self.steps:
            raise refuse_at("warmup", f"fewer than the {self.steps} steps", self.warmup)
        return self


class Flow(Generator):
    """A normalizing flow of coupling layers (Kingma and Dhariwal 2018) for vectors of 2 numbers or more.

    λ draws the latent from N(0, λI). The paper says 8 layers, 64 hidden units, 20 epochs and batches of 256;
    the rest is ours.
    """

    implementation: ClassVar[str] = "madray.generators.flow:FlowGenerator"

    kind: Literal["flow"] = "flow"
    layers: Size = Field(8, description="coupling layers")
    width: Size = Field(64, description="hidden units of the network of each coupling, which has two layers")
    epochs: Size = Field(20, description="how often a fit sees its training set")
    batch: Size = Field(256, description="samples of a training step, at most")
    learning_rate: Positive = Field(2e-3, description="of Adam; decays to 0 along a cosine")
    held_out: float = Field(
        0.1, ge=0, lt=1, description="share of the training set whose likelihood is taken after the fit"
    )
    chunk: Size = Field(1000, description="samples are made and stored by chunks of this many")


class ImportedGenerator(Imported):
    """A generator of the user's own. It may carry the class attributes `takes_zero_bias` (False without),
    `needs_labels_for_bias` (False), `milliseconds` (False), `chunk` (1000) and `version`."""

    @property
    def takes_zero_bias(self) -> bool:
        return bool(getattr(self.load(), "takes_zero_bias", False))

    @property
    def needs_labels_for_bias(self) -> bool:
        return bool(getattr(self.load(), "needs_labels_for_bias", False))

    @property
    def milliseconds(self) -> bool:
        return bool(getattr(self.load(), "milliseconds", False))

    @property
    def chunk(self) -> int:
        chunk = self.settings.get("chunk", getattr(self.load(), "chunk", 1000))
        if not isinstance(chunk, int) or chunk < 1:
            raise BadInput(f"expected {self.kind}.chunk to be an integer of 1 or more, got {chunk!r}")
        return chunk


FAMILIES: tuple[type[Generator], ...] = (Gaussian, GMM, DDPM, Flow)

GeneratorSettings = Annotated[Any, OneOf("generator", FAMILIES, ImportedGenerator)]
AnyGenerator = Generator | ImportedGenerator
