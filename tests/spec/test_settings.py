"""Settings: typed, frozen, refused at construction; and what of them stands in keys."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

from madray.keys import digest
from madray.spec import generators, metrics, references
from madray.spec.base import Settings, nearest, short, show
from madray.spec.chain import Chain
from madray.spec.generators import DDPM, GMM
from madray.spec.loops import Loop
from madray.spec.problems import first_problem
from madray.spec.references import CIFAR10, MNIST, Images, Parquet
from madray.spec.references import Gaussian as GaussianReference

FAMILIES = [
    *references.FAMILIES,
    *generators.FAMILIES,
    *metrics.METRICS,
    *metrics.EXTRACTORS,
]
REQUIRED = {"images": {"path": "here", "size": 8}, "parquet": {"path": "here"}}


class Before(Settings):
    """A part of madray's in its first year."""

    kind: Literal["part"] = "part"
    n: int = Field(5)


class After(Settings):
    """The same part, a year later: another field, with a default that does what was done before."""

    kind: Literal["part"] = "part"
    n: int = Field(5)
    fast: bool = Field(False)


class Changed(Settings):
    """The same part with another default, which its version says."""

    version: ClassVar[int] = 2

    kind: Literal["part"] = "part"
    n: int = Field(6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__module__ + "." + family.__name__)
def test_of_settings_at_their_defaults_kind_and_version_stand_in_keys(family: type[Settings]) -> None:
    kind = family.model_fields["kind"].default
    required = REQUIRED.get(kind, {})
    spelt_out = {
        name: field.default for name, field in family.model_fields.items() if not field.is_required()
    }
    in_key = {name: value for name, value in required.items() if name not in family.not_in_key}
    expected = {"kind": kind, "version": family.version, **in_key}
    assert family(**required).canonical() == expected
    assert family(**spelt_out, **required).canonical() == expected


def test_settings_off_their_defaults_stand_in_keys() -> None:
    assert DDPM(timesteps=100).canonical() == {"kind": "ddpm", "timesteps": 100, "version": DDPM.version}
    assert digest(GMM(components=5).canonical()) != digest(GMM(components=6).canonical())


def test_a_new_field_with_a_default_changes_no_key() -> None:
    for given in ({}, {"n": 7}):
        assert digest(After(**given).canonical()) == digest(Before(**given).canonical())
    assert digest(After(fast=True).canonical()) != digest(Before().canonical())


def test_a_changed_default_is_told_by_the_version() -> None:
    # n = 6 before the change and the default after it are the same, but the version says: made by other code.
    assert Changed().canonical() == {"kind": "part", "version": 2}
    keys = {digest(settings.canonical()) for settings in (Before(), Before(n=6), Changed(), Changed(n=5))}
    assert len(keys) == 4


def test_numbers_that_are_equal_have_one_key() -> None:
    one, other = (
        GaussianReference(mean=1, covariance=[1, 2]),
        GaussianReference(mean=1.0, covariance=[1.0, 2.0]),
    )
    assert digest(one.canonical()) == digest(other.canonical())


def test_where_data_lie_stands_in_no_key() -> None:
    for here, there in [
        (Images(path="here", size=8), Images(path="there", size=8)),
        (Parquet(path="here"), Parquet(path="there")),
        (MNIST(download=True), MNIST(download=False)),
    ]:
        assert here.canonical() == there.canonical()
    assert MNIST(split="test").canonical() != MNIST().canonical()
    assert MNIST().canonical() != CIFAR10().canonical()
    assert Images(path="here", size=8, colour=False).canonical() != Images(path="here", size=8).canonical()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DDPM().timesteps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"timesteps": "many"}, ("timesteps", "expected an integer, got 'many'")),
        ({"timesteps": True}, ("timesteps", "expected an integer, got True")),
        ({"timesteps": 2.0}, ("timesteps", "expected an integer, got 2.0")),
        ({"learning_rate": "1"}, ("learning_rate", "expected a number, got '1'")),
        ({"learning_rate": True}, ("learning_rate", "expected a number, got True")),
        ({"learning_rate": float("inf")}, ("learning_rate", "expected a finite number, got inf")),
        ({"ema": 1}, ("ema", "expected a number below 1, got 1")),
        ({"clip": 1}, ("clip", "expected true or false, got 1")),
        ({"schedule": "cubic"}, ("schedule", "expected cosine or linear, got 'cubic'")),
        (
            {"timestep": 5},
            ("timestep", "expected a known field, got 'timestep'; did you mean timesteps or ddim_steps?"),
        ),
    ],
)
def test_what_settings_do_not_take_is_refused_at_construction(
    given: dict[str, object], told: tuple[str, str]
) -> None:
    with pytest.raises(ValidationError) as refused:
        DDPM.model_validate(given)
    assert first_problem(refused.value) == told


def test_a_number_without_a_fraction_will_do_where_numbers_are_asked_for() -> None:
    assert DDPM(learning_rate=1).learning_rate == 1.0


def test_the_path_of_a_problem_leaves_out_which_of_several_types_was_meant() -> None:
    for given, told in [
        ({"mean": "x"}, ("mean", "expected a number or a list, got 'x'")),
        ({"mean": [0, "x"]}, ("mean.1", "expected a number, got 'x'")),
        ({"covariance": [[1, 0], [0, "x"]]}, ("covariance.1.1", "expected a number, got 'x'")),
        ({"d": 0, "mean": [0, "x"]}, ("d", "expected a number above 0, got 0")),
    ]:
        with pytest.raises(ValidationError) as refused:
            GaussianReference.model_validate(given)
        assert first_problem(refused.value) == told


def test_the_name_of_a_field_in_python_hints_at_its_name_in_files() -> None:
    with pytest.raises(ValidationError) as refused:
        Chain.model_validate({"bias": 0.5})
    told = "expected a known field, got 'bias'; did you mean lambda?"
    assert first_problem(refused.value, at="chain") == ("chain.bias", told)


def test_settings_are_written_as_short_as_can_be() -> None:
    assert short(DDPM()) == "ddpm"
    assert short(DDPM(timesteps=5)) == {"kind": "ddpm", "timesteps": 5}
    assert short(3) == 3


@pytest.mark.parametrize(
    ("loop", "written"),
    [
        (Loop(real="none", synthetic="latest"), "fully_synthetic"),
        (Loop(real="fixed", synthetic="latest"), "synthetic_augmentation"),
        (Loop(real="fresh", synthetic="latest"), "fresh_data"),
        (Loop(real="fresh", synthetic="none"), "real_only"),
        (Loop(real="fixed", synthetic="accumulate"), {"real": "fixed", "synthetic": "accumulate"}),
        (
            Loop(real="none", synthetic="latest", split="equal"),
            {"real": "none", "synthetic": "latest", "split": "equal"},
        ),
    ],
)
def test_a_loop_is_written_by_its_name_where_it_has_one(loop: Loop, written: object) -> None:
    assert loop.written() == written


def test_a_word_far_from_all_others_gets_them_all() -> None:
    assert nearest("xyz", ["gmm", "ddpm"]) == "there are ddpm, gmm"


def test_what_was_found_is_shown_in_60_characters_at_most() -> None:
    assert show([1, "a"]) == "[1, 'a']"
    assert len(show(list(range(1000)))) < 60
