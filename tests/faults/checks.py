"""What must hold after a strike, each as a sentence that says what does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from faults.campaign import CHAINS, FITS, PARAMETERS, Campaign
from faults.contents import SWEEP_RUN, Tracked, as_tracked, files_of, kept, tracked
from faults.moments import Course, follow
from faults.processes import left_of
from faults.world import World

LEFT_SECONDS = 60.0

Artifact = tuple[str, str, str]


@dataclass(frozen=True)
class Undisturbed:
    """What a sweep comes to that nobody struck.

    Attributes:
        artifacts: (kind, key, name) of every file in the store but the sweep's own records.
        size_bytes: of the store.
    """

    table: str
    tracked: list[Tracked]
    artifacts: frozenset[Artifact]
    outlook: str
    course: Course
    size_bytes: int


def undisturbed(world: World) -> Undisturbed:
    """Run the sweep to its end, and make sure that this is as it should be.

    Raises: AssertionError, if it is not.
    """
    store = str(world.folder / "undisturbed" / "store")
    campaign = Campaign(world, "undisturbed", world.folder / "undisturbed", store, store)
    driver = campaign.start()
    course = follow(campaign, driver)
    code = campaign.end_of(driver)
    assert code == 0, campaign.output
    table, runs = campaign.table(), tracked(campaign)
    points = as_tracked(table)
    assert len(points) == CHAINS
    assert {run.label: list(run.points) for run in runs if run.label != SWEEP_RUN} == points
    assert [len(run.pictures) for run in runs if run.label != SWEEP_RUN] == [2 * 3] * CHAINS
    assert len(runs) == 1 + CHAINS
    found = kept(files_of(store))
    assert not found.stray
    assert sum(kind == "generations" and name == "done.json" for kind, _, name in found.named) == FITS
    made = Undisturbed(
        table=table,
        tracked=runs,
        artifacts=frozenset(_artifacts(found.named)),
        outlook=campaign.outlook(),
        course=course,
        size_bytes=sum(map(len, files_of(store).values())),
    )
    assert " 0 fits remain" in made.outlook
    assert broken_promises(campaign, made) == []
    return made


def broken_promises(campaign: Campaign, expected: Undisturbed) -> list[str]:
    """All that does not hold after the last run of a sweep; changes its store, as `gc --delete` does."""
    return [
        *table_problems(campaign, expected),
        *tracking_problems(campaign, expected),
        *process_problems(campaign),
        *garbage_problems(campaign, expected),
    ]


def table_problems(campaign: Campaign, expected: Undisturbed) -> list[str]:
    """The table is the undisturbed one's byte for byte."""
    return [] if campaign.table() == expected.table else ["the table differs"]


def tracking_problems(campaign: Campaign, expected: Undisturbed) -> list[str]:
    """MLflow holds each point and picture once, and no run is left running."""
    found = tracked(campaign)
    problems = [
        f"MLflow: the run of {_told(run)} is left {run.status}" for run in found if run.status != "FINISHED"
    ]
    if [run.label for run in found] != [run.label for run in expected.tracked]:
        return [*problems, f"MLflow: runs of {'; '.join(map(_told, found))}"]
    for run, other in zip(found, expected.tracked, strict=True):
        for what, ours, theirs in [
            ("points", run.points, other.points),
            ("pictures", run.pictures, other.pictures),
        ]:
            if ours != theirs:
                problems.append(
                    f"MLflow: {_told(run)} has {len(ours)} {what} ({len(set(ours))} different), "
                    f"{len(set(theirs) - set(ours))} of {len(theirs)} are missing"
                )
    return problems


def process_problems(campaign: Campaign, *, seconds: float = LEFT_SECONDS) -> list[str]:
    """No process is left after a while."""
    until = time.monotonic() + seconds
    while left := left_of(campaign.name, campaign.world.mark):
        if time.monotonic() > until:
            return [f"process {each.pid} is left: {each.title[:60]}" for each in left]
        time.sleep(0.1)
    return []


def garbage_problems(campaign: Campaign, expected: Undisturbed) -> list[str]:
    """`madray gc` names all that is too much, and without that the store is the undisturbed one."""
    told = json.loads(campaign.madray("gc", "--older-than", "0", "--json"))
    listed = {file["path"] for file in told["files"]}
    before = kept(files_of(campaign.seen))
    too_much = before.stray | {
        path
        for what, path in before.named.items()
        if what in _artifacts(before.named) and what not in expected.artifacts
    }
    problems = [f"gc does not name {path}" for path in sorted(too_much - listed)]
    campaign.madray("gc", "--older-than", "0", "--delete")
    after = kept(files_of(campaign.seen))
    problems += [f"{path} is there after gc --delete" for path in sorted(after.stray)]
    artifacts = _artifacts(after.named)
    problems += [
        f"the store has {'/'.join(each)} too much" for each in sorted(artifacts - expected.artifacts)
    ]
    problems += [f"the store lacks {'/'.join(each)}" for each in sorted(expected.artifacts - artifacts)]
    problems += [f"after gc --delete, {each}" for each in table_problems(campaign, expected)]
    if campaign.outlook() != expected.outlook:
        problems.append(f"after gc --delete there remains something: {campaign.outlook()}")
    return problems


def _artifacts(named: Iterable[Artifact]) -> set[Artifact]:
    """All but the sweep's own records, of which there may be more and others."""
    return {what for what in named if not what[0].startswith("sweeps/")}


def _told(run: Tracked) -> str:
    return (
        " ".join(run.label)
        if run.label == SWEEP_RUN
        else ", ".join(f"{name}={value}" for name, value in zip(PARAMETERS, run.label, strict=True))
    )
