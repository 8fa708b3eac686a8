"""What a sweep of theory calculates: the loop of Gaussian models, exactly. No torch in here.

The code lives in `madray.theory`; `madray.engine.calculate` calls it with these settings.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from madray.spec.base import OneOf, Prose, Settings, refuse, refuse_at
from madray.spec.loops import Split
from madray.spec.sizes import check_one_way, real_and_synthetic

STANDARD_ERROR = "_standard_error"
"""What the name of a standard error ends in; the number whose it is stands before it."""


def with_errors(*names: str) -> tuple[str, ...]:
    """Names of numbers, each followed by that of its standard error.

    >>> with_errors("n_e")
    ('n_e', 'n_e_standard_error')
    """
    return tuple(each for name in names for each in (name, name + STANDARD_ERROR))


def _in_bounds(bias: float) -> float:
    if not 0 < bias <= 1:
        raise refuse("λ in (0, 1]", bias)
    return bias


MOST = 10**15
"""No number of samples, dimensions or models is larger: up to here a float counts one by one."""

Bias = Annotated[float, AfterValidator(_in_bounds)]
NoneOrMore = Annotated[int, Ge(0), Le(MOST)]
OneOrMore = Annotated[int, Gt(0), Le(MOST)]
TwoOrMore = Annotated[int, Ge(2), Le(MOST)]
Precision = Annotated[float, Field(gt=0, lt=1)]

RowKind = Literal["generation", "calculation"]


class Theory(Settings):
    """What all kinds share: the reference N(0, I_d), and λ."""

    model_config = ConfigDict(populate_by_name=False)

    names: ClassVar[tuple[str, ...]]
    """The numbers of a row, in the table's order."""
    row: ClassVar[RowKind]
    """What a row tells of: a generation, or the calculation as a whole."""

    d: OneOrMore = Field(description="dimension of the reference N(0, I)")
    bias: Bias = Field(
        1.0,
        alias="lambda",
        description="sampling bias λ: 1 unbiased, towards 0 the mean only",
        json_schema_extra={"exclusiveMinimum": 0, "maximum": 1},
    )

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows a calculation has."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Samples of a training set, as far as it is fixed."""


class OfBothSizes(Theory):
    """Of a loop whose n_r and n_s are given."""

    n_r: NoneOrMore | None = Field(None, description="real samples of every later generation")
    n_s: NoneOrMore | None = Field(None, description="synthetic samples of every later generation")
    p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="real share, in place of n_r and n_s: n_r = round(p·n)"
    )
    n: OneOrMore | None = Field(
        None, description="size of a training set, in place of n_r and n_s: n_s = n − n_r"
    )
    memory: OneOrMore = Field(
        1, description="K: how many previous generations the synthetic samples come from"
    )
    split: Split = Field(
        "sample",
        description="memory: each sample picks its generation (sample), "
        "or each generation gives as many (equal)",
    )

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        check_one_way(self)
        if self.p is None and self.n_r is None and self.sees_real:
            raise refuse_at("n_r", "a number of real samples", Prose("none"))
        if self.p is None and self.n_s is None:
            raise refuse_at("n_s", "a number of synthetic samples", Prose("none"))
        if self.size < 2:
            raise refuse_at(
                "n" if self.n is not None else "n_s", "n_r + n_s of 2 or more", Prose(str(self.size))
            )
        return self

    @property
    @abstractmethod
    def sees_real(self) -> bool:
        """Whether generations after the first see real samples."""

    @property
    def real_size(self) -> int:
        """n_r of the generations after the first."""
        return real_and_synthetic(self)[0]

    @property
    def synthetic_size(self) -> int:
        """n_s of the generations after the first."""
        return real_and_synthetic(self)[1]

    @property
    def size(self) -> int:
        return self.real_size + self.synthetic_size

    def refuse_real(self, expected: str) -> ValidationError:
        """An error that names the field which n_r comes from."""
        return refuse_at("n_r" if self.p is None else "p", expected, Prose(f"n_r = {self.real_size}"))

    def canonical(self) -> dict[str, Any]:
        # However the sizes were written, it is the same calculation.
        told = {name: value for name, value in super().canonical().items() if name not in ("p", "n")}
        return told | {"n_r": self.real_size, "n_s": self.synthetic_size}


class Simulate(OfBothSizes):
    """Chains of Gaussian models by generation, means over replicates (`madray.theory.simulate`)."""

    names: ClassVar[tuple[str, ...]] = with_errors("w2_squared", "w2", "trace", "mean_squared_norm")
    row: ClassVar[RowKind] = "generation"

    kind: Literal["simulate"] = "simulate"
    real: Literal["none", "fixed", "fresh"] = Field(
        "fresh",
        description="real part: none (n_r = 0); fixed: the same n_r samples always; "
        "fresh: n_r new ones each generation",
    )
    n_ini: TwoOrMore = Field(description="real samples of generation 1")
    generations: OneOrMore = Field(description="T: how many generations the chains run")
    replicates: OneOrMore = Field(description="how many chains the means are over")

    @model_validator(mode="after")
    def _no_real_part_has_no_samples(self) -> Self:
        if self.real == "none" and self.real_size > 0:
            raise self.refuse_real("0 where real is none")
        return self

    @property
    def sees_real(self) -> bool:
        return self.real != "none"

    @property
    def rows(self) -> int:
        return self.generations


class Limit(OfBothSizes):
    """E W2² after many generations with fresh real samples, and what it is worth (`madray.theory.limit`)."""

    names: ClassVar[tuple[str, ...]] = with_errors("w2_squared", "n_e", "n_e_over_n_r")
    row: ClassVar[RowKind] = "calculation"

    kind: Literal["limit"] = "limit"
    rtol: Precision = Field(1e-3, description="standard error of w2_squared, at most this much of it")

    @model_validator(mode="after")
    def _there_is_a_limit(self) -> Self:
        if self.real_size < 1:
            raise self.refuse_real("1 or more real samples, without which there is no limit")
        return self

    @property
    def sees_real(self) -> bool:
        return True

    @property
    def rows(self) -> int:
        return 1


class Boundary(Theory):
    """The largest n_s with n_e ≥ n_r: how much synthetic data a loop stands (`madray.theory.boundary`)."""

    names: ClassVar[tuple[str, ...]] = ("n_s_star", "n_s_star_low", "n_s_star_high", "evaluations")
    row: ClassVar[RowKind] = "calculation"

    kind: Literal["boundary"] = "boundary"
    n_r: TwoOrMore = Field(description="fresh real samples of every generation")
    rtol: Precision = Field(0.02, description="n_s_star_high is at most this much larger than n_s_star_low")

    @property
    def rows(self) -> int:
        return 1

    @property
    def size(self) -> int:
        return self.n_r


KINDS: tuple[type[Theory], ...] = (Simulate, Limit, Boundary)
AnyTheory = Simulate | Limit | Boundary
TheorySettings = Annotated[Any, OneOf("kind of theory", KINDS)]

_ADAPTER: TypeAdapter[AnyTheory] = TypeAdapter(TheorySettings)


def read_theory(raw: Any) -> AnyTheory:
    """The settings that a mapping with `kind` stands for.

    Raises: ValidationError.
    """
    return _ADAPTER.validate_python(raw)


def theory_fields() -> list[str]:
    """The fields of all kinds, as files write them."""
    return list(dict.fromkeys(name for kind in KINDS for name in kind.known_fields().values()))
