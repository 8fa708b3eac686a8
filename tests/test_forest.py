"""Keys of generations, draws and measurements: what they hold, and what they leave out."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import pytest

from madray.forest import Draw, Generation, Measurement, RealSet, Source, picture_key, resolve
from madray.keys import FORMAT_VERSION
from madray.loops import Draw as Part
from madray.loops import PoolDraw, RealDraw, Sizes, SyntheticDraw, draws_of, real_stream, synthetic_stream
from madray.spec.generators import DDPM, AnyGenerator, Gaussian
from madray.spec.loops import Loop
from madray.spec.metrics import FID, W2, Identity, PrecisionRecall
from madray.spec.references import Digits, Images
from madray.spec.references import Gaussian as GaussianReference
from madray.streams import Stream

NORMAL = Source(GaussianReference(d=2), None)
LOOPS = [
    Loop(real=real, synthetic=synthetic)
    for real in ("none", "fixed", "fresh", "fixed+fresh")
    for synthetic in ("none", "latest", "memory", "accumulate", "accumulate_subsample")
    if (real, synthetic) != ("none", "none")
]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def grow(
    loop: Loop,
    generations: int,
    *,
    sizes: Sizes | None = None,
    seed: int = 0,
    source: Source = NORMAL,
    settings: AnyGenerator | None = None,
    bias: float = 1.0,
    labels: str = "uniform",
) -> list[Generation]:
    """The generations of a chain, from t = 1."""
    made: list[Generation] = []
    for t in range(1, generations + 1):
        parts = draws_of(loop, t, sizes=sizes or Sizes(10, 4, 6, 3, 2), seed=seed)
        keys = tuple(
            resolve(part, source=source, made=made, bias=bias, labels=labels)[0].key for part in parts
        )
        made.append(Generation(t, settings or Gaussian(), keys, Stream.of(seed, t, "fit")))
    return made


def keys(*args: Any, **changed: Any) -> list[str]:
    return [generation.key for generation in grow(*args, **changed)]


# --- by hand ---


def test_keys_are_the_digests_of_what_they_are_said_to_hold() -> None:
    source = sha('{"content":null,"reference":{"kind":"gaussian","version":1}}')
    assert NORMAL.key == source
    real = sha(f'{{"lambda":null,"n":10,"sources":["{source}"],"stream":[0,1,"real"]}}')
    first = sha(
        f'{{"draws":["{real}"],"format":{FORMAT_VERSION},"generator":{{"kind":"gaussian","version":2}},'
        '"stream":[0,1,"fit"]}'
    )
    synthetic = sha(f'{{"lambda":0.5,"n":6,"sources":["{first}"],"stream":[0,2,"synthetic",1]}}')
    second = sha(
        f'{{"draws":["{synthetic}"],"format":{FORMAT_VERSION},"generator":{{"kind":"gaussian","version":2}},'
        '"stream":[0,2,"fit"]}'
    )
    assert keys(Loop(real="none", synthetic="latest"), 2, bias=0.5) == [first, second]


# --- sharing ---


def test_generation_1_is_the_same_for_every_lambda_loop_size_and_memory() -> None:
    first = {
        keys(loop, 1, bias=bias, labels=labels, sizes=Sizes(10, n_r, n_s, n_fixed, memory))[0]
        for loop in LOOPS
        for bias, labels in [(1.0, "uniform"), (0.5, "empirical")]
        for n_r, n_s, n_fixed, memory in [(4, 6, 3, 1), (1, 2, 3, 4)]
    }
    assert len(first) == 1


def test_chains_that_agree_at_generation_2_share_it() -> None:
    second = {
        keys(Loop(real="fresh", synthetic=synthetic), 2)[1]
        for synthetic in ("latest", "memory", "accumulate")
    }
    assert len(second) == 1


def test_a_longer_chain_goes_on_where_a_shorter_one_ended() -> None:
    for loop in LOOPS:
        assert keys(loop, 5)[:3] == keys(loop, 3)


def test_a_chain_of_the_same_settings_has_the_same_keys() -> None:
    for loop in LOOPS:
        assert keys(loop, 4) == keys(loop, 4)
        assert len(set(keys(loop, 4))) == 4


def test_fixed_real_sets_of_n_ini_samples_have_the_key_of_generation_1s() -> None:
    line = grow(Loop(real="fixed", synthetic="latest"), 3, sizes=Sizes(n_ini=8, n_r=8, n_s=4))
    assert line[2].draws[0] == line[1].draws[0] == line[0].draws[0]


def test_accumulated_draws_keep_their_keys() -> None:
    line = grow(Loop(real="none", synthetic="accumulate"), 5)
    for before, now in itertools.pairwise(line[1:]):
        assert now.draws[:-1] == before.draws


# --- what changes a key ---

CHANGES: dict[str, dict[str, Any]] = {
    "lambda": {"bias": 0.5},
    "labels": {"labels": "empirical"},
    "n_s": {"sizes": Sizes(10, 4, 7, 3, 2)},
    "n_r": {"sizes": Sizes(10, 5, 6, 3, 2)},
    "n_ini": {"sizes": Sizes(11, 4, 6, 3, 2)},
    "seed": {"seed": 1},
    "settings": {"settings": Gaussian(chunk=7)},
    "family": {"settings": DDPM()},
    "reference": {"source": Source(GaussianReference(d=3), None)},
}
FIRST_AT = {"lambda": 2, "labels": 2, "n_s": 2, "n_r": 2}
"""The generation whose key changes first, where it is not generation 1."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_changes_every_key_from_where_it_acts(change: str) -> None:
    loop = Loop(real="fresh", synthetic="latest")
    before, after = keys(loop, 4), keys(loop, 4, **CHANGES[change])
    first = FIRST_AT.get(change, 1) - 1
    assert after[:first] == before[:first]
    assert not set(after[first:]) & set(before[first:])


def test_the_order_of_draws_is_part_of_a_training_set() -> None:
    one = Generation(2, Gaussian(), ("a", "b"), Stream.of(0, 2, "fit"))
    other = Generation(2, Gaussian(), ("b", "a"), Stream.of(0, 2, "fit"))
    assert one.key != other.key


def test_the_number_of_a_generation_acts_through_its_streams_alone() -> None:
    one, other = (Generation(t, Gaussian(), ("a",), Stream.of(0, 2, "fit")) for t in (2, 3))
    assert one.key == other.key


def test_settings_at_their_defaults_change_no_key() -> None:
    loop = Loop(real="none", synthetic="latest")
    spelt_out = {name: field.default for name, field in DDPM.model_fields.items()}
    assert keys(loop, 2, settings=DDPM(**spelt_out)) == keys(loop, 2, settings=DDPM())


def test_content_makes_the_key_of_a_finite_reference_and_its_path_does_not() -> None:
    here, there = (Images(path=path, size=8) for path in ("here", "there.zip"))
    assert Source(here, "content").key == Source(there, "content").key
    assert Source(here, "content").key != Source(here, "other content").key
    assert Source(here, "content").key != Source(Images(path="here", size=16), "content").key
    assert Source(Digits(), "content").key != Source(here, "content").key


# --- draws ---


def draw(**changed: Any) -> Draw:
    """A synthetic draw."""
    n, stream = changed.pop("n", 10), changed.pop("stream", synthetic_stream(0, 2, 1))
    fields = {"sources": ("g",), "bias": 0.5, "chunk": 4, "labels": "uniform"} | changed
    return Draw(SyntheticDraw(1, n, stream), **fields)


DRAWS: list[dict[str, Any]] = [
    {"n": 11},
    {"stream": synthetic_stream(0, 3, 1)},
    {"stream": synthetic_stream(1, 2, 1)},
    {"sources": ("h",)},
    {"bias": 1.0},
    {"labels": "empirical"},
]


@pytest.mark.parametrize("changed", DRAWS, ids=str)
def test_source_lambda_n_stream_and_labels_change_the_key_of_a_draw(changed: dict[str, Any]) -> None:
    assert draw(**changed).key != draw().key


@pytest.mark.parametrize("changed", DRAWS[1:], ids=str)
def test_source_lambda_stream_and_labels_change_the_keys_of_chunks(changed: dict[str, Any]) -> None:
    assert not set(draw(**changed).chunk_keys()) & set(draw().chunk_keys())


@pytest.mark.parametrize(("n", "chunks"), [(1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3), (400, 100)])
def test_the_last_chunk_is_made_whole(n: int, chunks: int) -> None:
    assert len(set(draw(n=n).chunk_keys())) == chunks


def test_a_longer_draw_goes_on_with_the_chunks_of_a_shorter_one() -> None:
    longest = list(draw(n=40).chunk_keys())
    for n in range(1, 40):
        own = list(draw(n=n).chunk_keys())
        assert own == longest[: len(own)]


def test_chunks_of_another_size_are_other_chunks() -> None:
    assert not set(draw(chunk=4).chunk_keys()) & set(draw(chunk=5).chunk_keys())


def test_chunks_of_draws_and_draws_have_different_keys() -> None:
    assert draw(n=3).key not in set(draw(n=3).chunk_keys())


def made(t: int) -> list[Generation]:
    return grow(Loop(real="none", synthetic="latest"), t)


def resolved(part: Part, *, bias: float = 0.5, labels: str = "uniform") -> tuple[Draw, tuple[Draw, ...]]:
    return resolve(part, source=NORMAL, made=made(3), bias=bias, labels=labels)


def test_a_real_draw_knows_its_reference_and_no_lambda() -> None:
    one, pool = resolved(RealDraw(5, real_stream(0, 2)), labels="empirical")
    assert (one.sources, one.bias, one.n, one.stream, pool) == ((NORMAL.key,), None, 5, real_stream(0, 2), ())
    assert one.key == resolved(RealDraw(5, real_stream(0, 2)), bias=1.0)[0].key


def test_a_synthetic_draw_knows_its_generation_and_the_chains_lambda() -> None:
    for tau in (1, 2, 3):
        one, pool = resolved(SyntheticDraw(tau, 5, synthetic_stream(0, 4, tau)))
        assert (one.sources, one.bias, one.chunk, pool) == ((made(3)[tau - 1].key,), 0.5, 1000, ())


def test_a_draw_with_a_lambda_of_its_own_keeps_it() -> None:
    own = SyntheticDraw(1, 5, synthetic_stream(0, 2, 1), bias=0)
    assert resolved(own)[0].bias == 0
    assert resolved(own, bias=0.5)[0].key == resolved(own, bias=1.0)[0].key


def test_lambda_1_and_1_0_have_one_key() -> None:
    part = SyntheticDraw(1, 5, synthetic_stream(0, 2, 1))
    assert resolved(part, bias=1)[0].key == resolved(part, bias=1.0)[0].key


# --- pools ---


def pool(n: int = 6, *, n_s: int = 5, t: int = 3) -> PoolDraw:
    inner = (
        RealDraw(4, real_stream(0, 1)),
        *(SyntheticDraw(tau, n_s, synthetic_stream(0, tau + 1, tau)) for tau in range(1, t)),
    )
    return PoolDraw(n, Stream.of(0, t, "subsample"), inner)


def test_a_pools_sources_are_the_draws_in_it() -> None:
    one, inside = resolved(pool())
    assert inside == tuple(resolved(part)[0] for part in pool().pool)
    assert one.sources == tuple(each.key for each in inside)
    assert (one.bias, one.n, one.stream) == (None, 6, Stream.of(0, 3, "subsample"))


def test_what_is_in_a_pool_and_how_much_is_drawn_change_its_key() -> None:
    several = [
        resolved(pool())[0].key,
        resolved(pool(7))[0].key,
        resolved(pool(n_s=6))[0].key,
        resolved(pool(t=2))[0].key,
        resolved(pool(), bias=1.0)[0].key,
        resolved(pool(), labels="empirical")[0].key,
        resolved(PoolDraw(6, Stream.of(1, 3, "subsample"), pool().pool))[0].key,
    ]
    assert len(set(several)) == len(several)


# --- measurements ---

REAL = RealSet(NORMAL, 100, Identity())


def measurement(**changed: Any) -> Measurement:
    fields = {"metric": FID(), "source": NORMAL, "generation": "g", "evaluation": draw(), "real": REAL}
    return Measurement(**(fields | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"metric": W2()},
        {"metric": PrecisionRecall()},
        {"generation": "h"},
        {"generation": None},
        {"evaluation": draw(n=11)},
        {"evaluation": draw(bias=1.0)},
        {"evaluation": None},
        {"real": RealSet(NORMAL, 101, Identity())},
        {"real": None},
        {"source": Source(GaussianReference(d=3), None)},
    ],
    ids=str,
)
def test_metric_generation_lambda_n_eval_and_real_set_change_the_key_of_a_measurement(
    changed: dict[str, Any],
) -> None:
    assert measurement(**changed).key != measurement().key


def test_settings_of_a_metric_at_their_defaults_change_no_key() -> None:
    one, other = (measurement(metric=PrecisionRecall(**given)) for given in ({}, {"k": 5}))
    assert one.key == other.key
    assert measurement(metric=PrecisionRecall(k=6)).key != one.key


def test_a_real_set_is_its_reference_its_size_and_its_extractor() -> None:
    extractor = '{"kind":"identity","version":1}'
    assert REAL.key == sha(f'{{"extractor":{extractor},"n":100,"source":"{NORMAL.key}"}}')


def test_a_picture_is_named_by_its_draw() -> None:
    assert picture_key(draw()) == picture_key(draw())
    assert picture_key(draw(bias=1.0)) != picture_key(draw())
    assert picture_key(draw()) != draw().key
