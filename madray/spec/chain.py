"""One chain as a file says it: reference, generator, loop, λ and the sizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from madray.spec.base import Prose, Settings, Size, refuse_at
from madray.spec.generators import AnyGenerator, GeneratorSettings
from madray.spec.loops import AnyLoop, Loop, LoopSettings
from madray.spec.metrics import (
    FID,
    W2,
    AnyExtractor,
    AnyMetric,
    ExtractorSettings,
    Identity,
    MetricSettings,
    Modes,
    PrecisionRecall,
    Variance,
)
from madray.spec.references import AnyReference, ReferenceSettings
from madray.spec.sizes import check_one_way, real_and_synthetic


class Chain(Settings):
    """A loop run for some generations: what the grid varies, and what stays."""

    model_config = ConfigDict(populate_by_name=False)

    reference: ReferenceSettings = Field(description="P_r, the real distribution")
    generator: GeneratorSettings = Field(description="G, the model family that every generation trains")
    loop: LoopSettings = Field(description="which draws make up a training set from generation 2 on")
    bias: float = Field(
        1.0,
        alias="lambda",
        description="sampling bias λ: 1 unbiased, towards 0 the modes only",
        json_schema_extra={"minimum": 0, "maximum": 1},  # what each generator takes is refused on reading
    )
    n_ini: Size = Field(description="real samples of generation 1")
    n_r: Size | None = Field(None, description="real samples of every later generation")
    n_s: Size | None = Field(
        None, description="synthetic samples of every later generation (of each, accumulated)"
    )
    n_fixed: Size | None = Field(
        None, description="fixed real samples beside n_r fresh ones (real: fixed+fresh)"
    )
    p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="real share, in place of n_r and n_s: n_r = round(p·n)"
    )
    n: Size | None = Field(None, description="size of a training set, in place of n_r and n_s: n_s = n − n_r")
    memory: Size = Field(1, description="K: how many previous generations the synthetic samples come from")
    generations: Size = Field(description="T: how many generations the chain runs")
    labels: Literal["uniform", "empirical"] = Field(
        "uniform",
        description="labels of conditional samples: uniform over the classes, "
        "or as frequent as in the training set",
    )
    n_eval: Size = Field(
        1000, description="samples that metrics compare, real and generated; one for all cells"
    )
    metrics: list[MetricSettings] | None = Field(
        None, description="what is measured; chosen by the reference without"
    )
    extractor: ExtractorSettings = Field(
        Identity(), description="features that fid, precision and recall compare"
    )
    measure_bias: list[float] = Field([], description="further λ that every generation is measured at")

    @model_validator(mode="after")
    def _sizes_agree(self) -> Chain:
        check_one_way(self)
        loop = self.loop
        # p = 1 is the real-only control, p = 0 the fully synthetic loop; a size left out is a mistake.
        if self.p is None and loop.has_real and self.n_r is None:
            raise refuse_at("n_r", f"a number of real samples for {_told(loop)}", Prose("none"))
        if self.p is None and loop.has_synthetic and self.n_s is None:
            raise refuse_at("n_s", f"a number of synthetic samples for {_told(loop)}", Prose("none"))
        if self.real_size + self.synthetic_size < 1:
            if self.p is None:
                raise refuse_at("loop", "a real part, a synthetic part, or both", Prose("neither"))
            raise refuse_at("p", f"a training set of 1 or more for {_told(loop)}", self.p)
        mixes = isinstance(loop, Loop) and loop.real == "fixed+fresh"
        if mixes and self.n_fixed is None:
            raise refuse_at("n_fixed", "the fixed real samples beside the fresh ones", Prose("none"))
        return self

    @model_validator(mode="after")
    def _bias_is_taken(self) -> Chain:
        generator = self.generator
        takes = f"λ in {'[0, 1]' if generator.takes_zero_bias else '(0, 1]'} for {generator.kind}"
        for name, bias in [("lambda", self.bias), *(("measure_bias", bias) for bias in self.measure_bias)]:
            if not 0 <= bias <= 1 or (bias == 0 and not generator.takes_zero_bias):
                raise refuse_at(name, takes, bias)
            if bias < 1 and (why := generator.no_bias_because):
                raise refuse_at(name, f"1 for {generator.kind} with {why}", bias)
        return self

    @model_validator(mode="after")
    def _first_set_is_large_enough(self) -> Chain:
        fewest = self.generator.fewest_samples
        if self.n_ini < fewest:
            raise refuse_at(
                "n_ini",
                f"at least {fewest} real samples for {self.generator.kind} with as many components",
                self.n_ini,
            )
        return self

    @model_validator(mode="after")
    def _memory_is_used(self) -> Chain:
        if self.memory > 1 and isinstance(self.loop, Loop) and self.loop.synthetic.startswith("accumulate"):
            raise refuse_at(
                "memory",
                f"1 where the synthetic part is {self.loop.synthetic}, which remembers all generations",
                self.memory,
            )
        return self

    @property
    def real_size(self) -> int:
        """n_r of the generations after the first; 0 where the loop has no real part."""
        return real_and_synthetic(self)[0] if self.loop.has_real else 0

    @property
    def synthetic_size(self) -> int:
        """n_s of the generations after the first; 0 where the loop has no synthetic part."""
        return real_and_synthetic(self)[1] if self.loop.has_synthetic else 0

    @property
    def measured(self) -> tuple[AnyMetric, ...]:
        """The metrics that were asked for, or those that suit the reference and the generator.

        Gaussian chains report W2 and the variance, mixtures of known modes also how many are covered,
        all else fid, precision and recall.
        """
        if self.metrics is not None:
            return tuple(self.metrics)
        kinds = (self.reference.kind, self.generator.kind)
        if kinds == ("gaussian", "gaussian"):
            return (W2(), Variance())
        if self.reference.kind == "gmm25":
            return (FID(), PrecisionRecall(), Variance(), Modes())
        return (FID(), PrecisionRecall(), Variance())

    # What the annotated fields hold, for type checkers: pydantic reads them through validators of its own.
    def typed(self) -> tuple[AnyReference, AnyGenerator, AnyLoop, AnyExtractor]:
        """Reference, generator, loop and extractor with their types."""
        return self.reference, self.generator, self.loop, self.extractor


def _told(loop: AnyLoop) -> str:
    written = loop.written()
    return written if isinstance(written, str) else "this loop"
