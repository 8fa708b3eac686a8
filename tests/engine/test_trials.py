"""How trials of Tune are dealt with: which starts first, and what is given up."""

from __future__ import annotations

from dataclasses import dataclass, field

from test_schedule import schedule_of, segment

from madray.engine.events import Event, Note, WorkFailed
from madray.engine.trials import Follower, NewestFirst


@dataclass(eq=False)
class ATrial:
    trial_id: str
    status: str = "PENDING"
    error_file: str | None = None


@dataclass
class AController:
    """What a scheduler sees of Tune."""

    trials: list[ATrial] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def get_live_trials(self) -> list[ATrial]:
        return [trial for trial in self.trials if trial.status != "TERMINATED"]

    def stop_trial(self, trial: ATrial) -> None:
        trial.status = "TERMINATED"
        self.stopped.append(trial.trial_id)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(events: list[Event]) -> list[str]:
    return [each.text if isinstance(each, Note) else type(each).__name__ for each in events]


def test_what_does_not_start_while_nothing_runs_is_given_up_and_its_work_goes_out_again() -> None:
    schedule = schedule_of(segment("a"), segment("b"))
    events: list[Event] = []
    follower = Follower(schedule, events.append, 3)
    clock, tune = Clock(), AController()
    scheduler = NewestFirst(follower, patience_seconds=60, now_seconds=clock)

    def begin(name: str) -> ATrial:
        trial = ATrial(name)
        follower.running[name] = schedule.take()
        tune.trials.append(trial)
        scheduler.on_trial_add(tune, trial)
        return trial

    def choose_at(seconds: float) -> ATrial | None:
        clock.now = seconds
        chosen: ATrial | None = scheduler.choose_trial_to_run(tune)
        return chosen

    one, two = begin("one"), begin("two")
    one.status = "RUNNING"
    assert choose_at(0) is two
    assert choose_at(1000) is two  # beside one that runs it may wait
    one.status = "TERMINATED"
    schedule.made(*follower.running.pop("one"), 1.0)
    assert (choose_at(1001), choose_at(1060), choose_at(1062)) == (two, two, None)
    assert tune.stopped == ["two"]
    three = begin("three")
    assert follower.running == {"three": ["b"]}
    assert (choose_at(1063), choose_at(1180), choose_at(1184)) == (three, three, None)  # twice as patient
    four = begin("four")
    four.status = "RUNNING"
    choose_at(1185)
    four.status = "PENDING"
    # One that ran shows that trainers can start: as patient as at first.
    assert (choose_at(1200), choose_at(1259), choose_at(1261)) == (four, four, None)
    assert told(events) == [
        f"nothing has run for {seconds} s, and no trainer starts: the cluster is asked for others"
        for seconds in (60, 120, 60)
    ]
    assert not schedule.failed


def test_work_is_given_to_so_many_trainers_and_then_it_failed() -> None:
    schedule = schedule_of(segment("a"))
    events: list[Event] = []
    follower = Follower(schedule, events.append, 1)
    for name in ("one", "two"):
        follower.running[name] = schedule.take()
        follower.on_trial_error(0, [], ATrial(name))
    assert told(events) == ["a trainer died; its work goes on in another one", "WorkFailed"]
    assert isinstance(failed := events[-1], WorkFailed)
    assert failed.error == "its trainer died 2 times, and resources.max_failures is 1"
