"""What each generator family is set by, and which λ it takes. No torch in here.

A family's code lives at its `implementation`, which is loaded only where something is fitted or sampled.
"""

from __future__ import annotations

import math
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
    takes: ClassVar[Literal["images", "vectors"] | None] = None
    """The one kind of samples that it models; None for both."""
    fewest_numbers: ClassVar[int] = 1
    """How many numbers a sample needs to have."""

    kind: str
    chunk: Annotated[int, Field(gt=0, description="samples are made and stored by chunks of this many")]

    @property
    def fewest_samples(self) -> int:
        """How many real samples generation 1 needs. Later training sets may be smaller: that is a result."""
        return 1

    @property
    def no_bias_because(self) -> str:
        """Why these settings leave no λ but 1; empty where they do not."""
        return ""


class Gaussian(Generator):
    """N(μ, Σ) with the sample mean and the unbiased sample covariance; λ samples N(μ, λΣ)."""

    version: ClassVar[int] = 2
    implementation: ClassVar[str] = "madray.generators.gaussian:GaussianGenerator"
    milliseconds: ClassVar[bool] = True
    takes: ClassVar[Literal["images", "vectors"] | None] = "vectors"

    kind: Literal["gaussian"] = "gaussian"
    chunk: Size = Field(1000, description="samples are made and stored by chunks of this many")


class GMM(Generator):
    """A Gaussian mixture by EM; λ samples each component from N(μ_k, λΣ_k). λ for mixtures is ours."""

    version: ClassVar[int] = 4
    implementation: ClassVar[str] = "madray.generators.gmm:GMMGenerator"
    milliseconds: ClassVar[bool] = True
    takes: ClassVar[Literal["images", "vectors"] | None] = "vectors"

    kind: Literal["gmm"] = "gmm"
    components: Size = Field(25, description="number of components")
    covariance: Literal["full", "tied", "diag", "spherical"] = Field(
        "full", description="shape of the covariances"
    )
    max_iterations: Size = Field(200, description="EM steps at most")
    tolerance: Positive = Field(1e-4, description="EM stops when the mean log-likelihood gains less")
    regularization: Positive = Field(
        1e-16,
        description="least variance of a component along any direction, in units of the training set's own: "
        "less than float32 samples can tell",
    )
    restarts: Size = Field(
        4, description="of this many starts (k-means++) the likeliest after two EM steps goes on"
    )
    chunk: Size = Field(1000, description="samples are made and stored by chunks of this many")

    @property
    def fewest_samples(self) -> int:
        return self.components


class DDPM(Generator):
    """A denoising diffusion model with classifier-free guidance (Ho et al. 2020; Ho and Salimans 2021).

    λ = 1/(1 + w): ε = (1 + w) ε(x, y) − w ε(x). An MLP denoises vectors and images of up to 8×8, a small
    U-Net larger images. The paper says T = 500 and 10 % label dropout; the rest is ours.
    """

    version: ClassVar[int] = 3
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
    ddim_steps: Size | None = Field(
        None,
        description="steps of DDIM (Song et al. 2021) in place of all T ancestral ones: faster, but it "
        "samples another distribution, with less variance, so that its loops are not the paper's",
    )
    clip: bool = Field(
        True, description="whether the image x̂_0 that each step predicts is clipped to the range of bytes"
    )
    width: Size = Field(
        256, description="hidden units of the MLP; channels of the U-Net's first level are width // 4"
    )
    depth: Size = Field(3, description="hidden layers of the MLP; levels of the U-Net, each half as large")
    patch: Size = Field(
        2, description="the U-Net sees patches of this many pixels, squared, as the channels of one position"
    )
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
    def _steps_fit(self) -> DDPM:
        if self.warmup >= self.steps:
            raise refuse_at("warmup", f"fewer than the {self.steps} steps", self.warmup)
        if self.ddim_steps and self.ddim_steps > self.timesteps:
            raise refuse_at("ddim_steps", f"at most the {self.timesteps} timesteps", self.ddim_steps)
        return self

    @property
    def no_bias_because(self) -> str:
        return "" if self.label_dropout else "label_dropout 0, which leaves nothing to guide away from"


class Flow(Generator):
    """A normalizing flow of coupling layers (Kingma and Dhariwal 2018) for vectors of 2 numbers or more.

    λ draws the latent from N(0, λI). The paper says 8 layers, 64 hidden units, 20 epochs and batches of 256;
    the rest is ours.
    """

    implementation: ClassVar[str] = "madray.generators.flow:FlowGenerator"
    takes: ClassVar[Literal["images", "vectors"] | None] = "vectors"
    fewest_numbers: ClassVar[int] = 2

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


class WGANGP(Generator):
    """A Wasserstein GAN with gradient penalty (Gulrajani et al. 2017) for images of any size, without labels.

    λ draws the latent from N(0, λI), which is ours for GANs. Gulrajani et al. say 5 steps of the critic, a
    penalty of 10, rates of 10⁻⁴ and, for MNIST, 64 channels and a latent of 128 numbers; the rest is ours.
    """

    implementation: ClassVar[str] = "madray.generators.wgan_gp:WGANGPGenerator"
    takes: ClassVar[Literal["images", "vectors"] | None] = "images"

    kind: Literal["wgan_gp"] = "wgan_gp"
    width: Size = Field(
        64, description="channels at half an image's size; twice as many at each size below, up to 8 times"
    )
    latent: Size = Field(128, description="numbers of the latent z")
    steps: Size = Field(20_000, description="steps of the generator in a fit, whatever the number of samples")
    critic_steps: Size = Field(5, description="steps of the critic before each of the generator")
    batch: Size = Field(64, description="images of a step, as many real as generated ones")
    penalty: Positive = Field(10.0, description="weight of (|∇D| − 1)² in the critic's loss")
    learning_rate: Positive = Field(1e-4, description="of the generator's Adam; decays to 0 along a cosine")
    critic_learning_rate: Positive = Field(
        1e-4, description="of the critic's Adam; decays to 0 along a cosine"
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged weights, which are those that sample"
    )
    chunk: Size = Field(500, description="samples are made and stored by chunks of this many")


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
    def fewest_samples(self) -> int:
        return 1

    @property
    def no_bias_because(self) -> str:
        return ""

    @property
    def chunk(self) -> int:
        chunk = self.settings.get("chunk", getattr(self.load(), "chunk", 1000))
        if not isinstance(chunk, int) or chunk < 1:
            raise BadInput(f"expected {self.kind}.chunk to be an integer of 1 or more, got {chunk!r}")
        return chunk


FAMILIES: tuple[type[Generator], ...] = (Gaussian, GMM, DDPM, Flow, WGANGP)

GeneratorSettings = Annotated[Any, OneOf("generator", FAMILIES, ImportedGenerator)]
AnyGenerator = Generator | ImportedGenerator


def check_kind(generator: AnyGenerator, shape: tuple[int, ...]) -> None:
    """Refuse samples of a kind that a family does not model.

    Args:
        shape: of a sample: (channels, height, width) of an image, (d,) of a vector.

    Raises: BadInput.

    >>> check_kind(Flow(), (1, 8, 8))
    Traceback (most recent call last):
    madray.errors.BadInput: expected vectors for flow, got images of shape (1, 8, 8); try ddpm, wgan_gp
    """
    if isinstance(generator, ImportedGenerator):
        return
    kind = "images" if len(shape) == 3 else "vectors"
    if generator.takes not in (None, kind):
        others = [each for each in FAMILIES if each.takes in (None, kind)]
        raise BadInput(
            f"expected {generator.takes} for {generator.kind}, got {kind} of shape {shape}; "
            f"try {', '.join(each.model_fields['kind'].default for each in others)}"
        )
    if math.prod(shape) < generator.fewest_numbers:
        raise BadInput(
            f"expected vectors of {generator.fewest_numbers} numbers or more for {generator.kind}, "
            f"got {math.prod(shape)}; try gaussian or gmm"
        )
