"""One run: an agent trained in a twin and then evaluated, frozen, on fresh slots of the plant."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from mecsim.agents import AGENTS, Agent, AgentName, agent_class, make_agent
from mecsim.experiments.store import BUILD, DATA, NUMERICS, Job, read_json, write_atomically
from mecsim.refinement import Refinement
from mecsim.scenario import PER_BS_FIELDS, SCALE_FIELDS, PresetName, Scenario
from mecsim.settings import Changes, FrozenDict, SettingError, Settings, Whole
from mecsim.system import Action, PhysicalSystem, SystemState, outcome
from mecsim.training import Rollout, rollout, states_met
from mecsim.twin import Deviation, DigitalTwin

LEARNERS = ("INTO", "DDQN")
EVALUATION_WORLDS = 1_000_000
"""Added to a run's seed to give the seed of the world it is evaluated in, the same for every agent."""

REFERENCE_EVERY = 50
"""Slots of the evaluation world between two reference states."""

CHECKPOINT_EVERY = 1000
WORK = BUILD / "checkpoints"
DEFAULTS = DATA / "defaults.json"

SLOT_S = {"INTO": 0.055, "DDQN": 0.015}
"""Seconds of a training slot with Table II's networks, on one core of an AMD EPYC."""
SMALL_SLOT_S = {"INTO": 0.0065, "DDQN": 0.0035}
"""The same with networks of a tenth of the neurons."""
EVALUATED_SLOT_S = 0.001
"""Seconds of an evaluated slot, between 0.0005 (all-on, OLNPO, LPWPO) and 0.006 (planner)."""

REHEARSED_SLOT_S = 0.05
"""Seconds of a slot of a rehearsal, under about eight prices."""

Count = Annotated[int, Field(ge=0)]


class Evaluation(Settings):
    """How a frozen agent is evaluated.

    Attributes:
        devices: are p and, with path loss, the places of the devices drawn anew, as all else in the evaluation world,
            or are they those of the twin in which the agent trained (A39)?
        exploring: does an agent that learns go on exploring as when its training ended (A40)?
    """

    devices: Literal["other", "the twin's"] = "other"
    exploring: bool = False


class Setup(Settings):
    """What departs from the defaults: in the world, the agent, Algorithm 1, the twin and the evaluation.

    Attributes:
        changes: fields of the scenario that differ from the preset.
        settings: fields of the agent's settings that differ from Table II.
        refinement: fields of `Refinement` that differ from its defaults.
        shift: scale fields of the scenario that change on the way; the agent is not told.
        deviation: fields of `Deviation`: how the twin differs from the plant, in which the agent trains and from which
            it learns the state of the plant when it is evaluated; by default the twin is perfect.
        evaluation: fields of `Evaluation` that differ from its defaults.
    """

    changes: Changes = FrozenDict()
    settings: Changes = FrozenDict()
    refinement: Changes = FrozenDict()
    shift: Changes = FrozenDict()
    deviation: Changes = FrozenDict()
    evaluation: Changes = FrozenDict()

    @model_serializer(mode="wrap")
    def _as_stored(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `evaluation` where it is empty: what was stored before there was such a field stays current."""
        fields = handler(self)
        if not self.evaluation:
            fields.pop("evaluation", None)
        return fields

    @field_validator("shift")
    @classmethod
    def _scales(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value.keys() <= set(SCALE_FIELDS):
            raise ValueError(f"changes of {', '.join(SCALE_FIELDS)} alone, which an agent sees in its state")
        return value

    def setup(self) -> dict[str, Any]:
        """These fields alone, by name."""
        return {name: getattr(self, name) for name in Setup.model_fields}


class Run(Setup):
    """Everything that a result depends on: a run is a pure function of this record.

    Attributes:
        agent: name of the agent.
        preset: name of the scenario.
        shift_at: slots trained before the shift.
        slots: slots trained; of an agent that does not learn, slots of the training world that are watched, if any.
        evaluation_slots: fresh slots that the frozen agent is evaluated over.
        seed: seed of the agent and of the twin it trains in.
    """

    agent: AgentName
    preset: PresetName = "calibrated"
    shift_at: Count = 0
    slots: Count = 2000
    evaluation_slots: Whole = 500
    seed: Count = 0

    def scenario(self) -> Scenario:
        """The scenario of the run at its start."""
        return Scenario.preset(self.preset, **self.changes)

    def shifted(self) -> Scenario:
        """The scenario of the run at its end, in which the frozen agent is evaluated."""
        return self.scenario().replace(**self.shift)

    def believed(self) -> Scenario:
        """The scenario at the start as the twin knows it, and with it the agent."""
        return self.scenario().replace(**self.twin_deviation().outdated)

    def twin_deviation(self) -> Deviation:
        """How the twin differs from the plant."""
        return Deviation(**self.deviation)

    def how_evaluated(self) -> Evaluation:
        """How the frozen agent is evaluated.

        Raises:
            SettingError: it should go on exploring, and never does.
        """
        found = Evaluation(**self.evaluation)
        if found.exploring and self.agent not in LEARNERS:
            raise SettingError(f"Evaluation.exploring = True is not allowed: {self.agent} never explores.")
        return found

    def make_agent(self) -> Agent:
        """The agent of the run, untrained."""
        settings = self._agent_settings()
        known = {} if settings is None else {"settings": settings}
        refinement = Refinement(**self.refinement)
        return make_agent(self.agent, self.believed(), self.seed, refinement=refinement, **known)

    def evaluation_seed(self) -> int:
        """The seed of the world in which the frozen agent is evaluated."""
        return EVALUATION_WORLDS + self.seed

    @property
    def is_training(self) -> bool:
        """Does its agent learn?"""
        return self.agent in LEARNERS and self.slots > 0

    @property
    def is_retold(self) -> bool:
        """Is another reward learnt from than the paper's? Then what the agent comes to offer is stored as well."""
        return not {"reward_slope", "reward_offset"}.isdisjoint(self._departing_settings())

    def stackable(self) -> str:
        """What runs have in common that can be trained and evaluated at once, in words; nothing where a run cannot be.

        Their scenarios differ in numbers alone, their settings in `mecsim.agents.learner.OF_MEMBERS`.
        """
        if not self.is_training:
            return ""
        from mecsim.agents.learner import OF_MEMBERS

        alike = self.model_dump(mode="json", exclude={"preset", "changes", "settings", "shift", "seed"})
        settings = settings_class(self.agent)(**self.settings).model_dump(mode="json", exclude=OF_MEMBERS)
        same = [alike, settings, self.scenario().kind(), bool(self.shift), self.is_retold]
        return json.dumps(same, sort_keys=True)

    def departures(self) -> dict[str, Any]:
        """Everything that the result depends on, ready for JSON: of settings, what differs from their defaults.

        A field that is added with a default under which nothing changes leaves it as it is. A default that changes
        raises `NUMERICS`; `mecsim check` sees to that.
        """
        deviation, evaluation = _departing(self.twin_deviation()), _departing(self.how_evaluated())
        return {
            "agent": self.agent,
            "scenario": _departing(self.scenario()),
            "settings": self._departing_settings(),
            "refinement": _departing(Refinement(**self.refinement)),
            "slots": self.slots,
            "evaluation_slots": self.evaluation_slots,
            "seed": self.seed,
            **({"shift": _departing(self.shifted()), "shift_at": self.shift_at} if self.shift else {}),
            **({"deviation": deviation} if deviation else {}),
            **({"evaluation": evaluation} if evaluation else {}),
        }

    @cached_property
    def key(self) -> str:
        """A name made from everything that the result depends on."""
        text = json.dumps({"numerics": NUMERICS, **self.departures()}, sort_keys=True)
        return f"{self.agent}-{self.preset}-seed{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def about_s(self) -> float:
        """Seconds that it takes on one core, about."""
        hidden = sum(sum(width) for name, width in self.settings.items() if name.endswith("hidden"))
        slot_s = SMALL_SLOT_S if 0 < hidden < 1000 else SLOT_S
        rehearsed_s = getattr(self._agent_settings(), "rehearsed_slots", 0) * REHEARSED_SLOT_S
        evaluated_s = self.evaluation_slots * EVALUATED_SLOT_S
        return self.slots * slot_s.get(self.agent, 0.0) + rehearsed_s + evaluated_s

    def _departing_settings(self) -> dict[str, Any]:
        """The agent's settings that differ from their defaults."""
        settings = self._agent_settings()
        return {} if settings is None else _departing(settings)

    def _agent_settings(self) -> Settings | None:
        """The agent's settings, None for an agent that has none."""
        kind = settings_class(self.agent)
        if kind is not None:
            return kind(**self.settings)
        if self.settings:
            raise SettingError(f"settings = {self.settings!r} is not allowed: {self.agent} has no settings.")
        return None


def settings_class(agent: str) -> Any:
    """The class of an agent's settings, None for an agent that has none."""
    return getattr(agent_class(agent), "Settings", None)


def _departing(settings: Settings) -> dict[str, Any]:
    """The fields that differ from their defaults, but where networks live.

    One value for each BS counts as one for all where they are equal.
    """
    usual, now = _usual(type(settings)), settings.model_dump(mode="json")
    for name in now.keys() & PER_BS_FIELDS:
        now[name] = now[name] if len(set(now[name])) > 1 else now[name][:1]
    return {name: value for name, value in now.items() if value != usual[name] and name != "device"}


@cache
def _usual(kind: type[Settings]) -> dict[str, Any]:
    """The defaults of a record, ready for JSON."""
    return kind().model_dump(mode="json")


def path_of(run: Run, folder: Path) -> Path:
    """Where a run's result is stored."""
    return folder / f"{run.key}.parquet"


def missing_runs(wanted: Iterable[Run], folder: Path) -> list[Run]:
    """Those of some runs that a folder lacks."""
    return [run for run in wanted if not path_of(run, folder).exists()]


def run_job(run: Run, checkpoint: Path | None = None) -> Job:
    """The file of a run; see `measure`."""
    measured = partial(measure, run, checkpoint)
    return Job(f"{run.key}.parquet", run.model_dump(mode="json"), measured, run.about_s, checkpoint)


def measure(run: Run, checkpoint: Path | None = None) -> pd.DataFrame:
    """Trains and evaluates one run.

    Args:
        run: what to measure.
        checkpoint: where the training is saved on its way, and from where it goes on; by default it is not saved.

    Returns:
        One row a number, slot -1 for a mean over the evaluation slots.
    """
    agent = run.make_agent()
    if run.is_training:
        incomes = train_agent(run, agent, checkpoint)
    else:
        twin = DigitalTwin(run.scenario(), run.seed, run.twin_deviation())
        agent.rehearse(twin)
        incomes = rollout(agent, twin, run.slots).income if run.slots else np.empty(0)
    return _tidy(run, incomes, *_evaluated(run, agent))


class Together(NamedTuple):
    """What came of runs that were measured at once.

    Attributes:
        tables: of each run what `measure` gives, but for rounding on the way.
        diverged: of runs that have none, the slot in which their networks first gave a NaN, by number.
    """

    tables: dict[int, pd.DataFrame]
    diverged: dict[int, int]


def measure_many(stack: Sequence[Run], device: str = "cpu") -> Together:
    """Trains and evaluates runs at once, as one stack.

    Args:
        stack: runs of one `Run.stackable`.
        device: where their networks live.
    """
    first = stack[0]
    settings = [settings_class(run.agent)(**{**run.settings, "device": device}) for run in stack]
    agent: Any = make_agent(
        first.agent,
        _each(stack, Run.believed),
        [run.seed for run in stack],
        refinement=Refinement(**first.refinement),
        settings=settings,
    )
    incomes = train_agent(stack, agent)
    record, in_reference = _evaluated(stack, agent)
    tables = {
        number: _tidy(
            run,
            incomes[:, number],
            Rollout(*(part[:, number] for part in record)),
            {place: value[number] for place, value in in_reference.items()},
        )
        for number, run in enumerate(stack)
        if number not in agent.diverged
    }
    return Together(tables, agent.diverged)


def _each(runs: Run | Sequence[Run], of: Callable[[Run], Any]) -> Any:
    """Something of a run, or of each run of a stack."""
    return of(runs) if isinstance(runs, Run) else [of(run) for run in runs]


def _first(runs: Run | Sequence[Run]) -> Run:
    return runs if isinstance(runs, Run) else runs[0]


def _evaluated(runs: Run | Sequence[Run], agent: Agent) -> tuple[Rollout, dict[tuple[str, int], Any]]:
    """What the frozen agents of a run or a stack do in their evaluation worlds, and in their reference states.

    The latter by metric and slot.
    """
    first, plant, learner = _first(runs), evaluation_world(runs), agent
    deviation = first.twin_deviation()
    if first.how_evaluated().exploring:
        agent = Exploring(learner)
    if deviation != Deviation():  # a twin stands between the agent and the reference states
        twin = DigitalTwin(plant.scenario, _each(runs, Run.evaluation_seed), deviation)
        return rollout(agent, plant, first.evaluation_slots, twin), {}
    record, in_reference, retold = rollout(agent, plant, first.evaluation_slots), {}, first.is_retold
    for state in reference_states(runs):
        in_reference["reference income", state.slot] = outcome(plant.scenario, state, agent.act(state)).income
        for metric, value in offering(learner, state).items() if retold else ():
            in_reference[metric, state.slot] = value
    return record, in_reference


def offering(learner: Any, state: SystemState) -> dict[str, Any]:
    """What a learner hands to line 2 of Algorithm 1, or each of a stack.

    Returns:
        offered: share of the devices whose task is on offer; x: mean x of the actor's output, where there is one.
    """
    found = {"offered": (learner.offers(state)[-1].placement >= 0).mean(axis=-1)}
    if hasattr(learner, "proto_action"):
        found["x"] = learner.proto_action(state).offload.mean(axis=-1)
    return found


class Exploring(Agent):
    """A learner that decides with its exploration and learns nothing."""

    vectorized = True

    def __init__(self, learner: Any) -> None:
        self.scenario, self.worlds, self._learner = learner.scenario, learner.worlds, learner

    def act(self, state: SystemState) -> Action:
        return self._learner.explore(state)


def evaluation_world(runs: Run | Sequence[Run]) -> PhysicalSystem:
    """The world in which the frozen agent of a run, or those of a stack, are evaluated."""
    twins = _first(runs).how_evaluated().devices == "the twin's"
    return PhysicalSystem(
        _each(runs, Run.shifted),
        _each(runs, Run.evaluation_seed),
        device_seed=_each(runs, lambda run: run.seed) if twins else None,
    )


def reference_states(runs: Run | Sequence[Run]) -> Iterator[SystemState]:
    """States of the evaluation world that do not depend on the run's agent: those that all-on meets."""
    plant = evaluation_world(runs)
    states = states_met(make_agent("all-on", plant.scenario), plant)
    return islice(states, REFERENCE_EVERY - 1, _first(runs).evaluation_slots, REFERENCE_EVERY)


def train_agent(runs: Run | Sequence[Run], learner: Any, checkpoint: Path | None = None) -> np.ndarray:
    """Trains the agent of a run, from its checkpoint on if that can be read, and returns the income of every slot.

    Of a stack of runs it trains all agents at once, without a checkpoint, and returns (slots, runs).
    """
    import torch

    from mecsim.experiments.checkpoints import CheckpointError, resume, save_checkpoint
    from mecsim.training import Callback, train

    torch.set_num_threads(1)  # the number of threads changes the bits of a matrix product
    run, seeds = _first(runs), _each(runs, lambda run: run.seed)
    twin = DigitalTwin(_each(runs, Run.scenario), seeds, run.twin_deviation())
    incomes: list[Any] = []
    if checkpoint is not None and checkpoint.exists():
        try:
            incomes = resume(checkpoint, learner, twin, run.key)
        except CheckpointError as error:  # in time, the next one takes its place
            print(f"{error} The training starts anew.", file=sys.stderr, flush=True)

    class Keep(Callback):
        def after_slot(self, incomes: list[Any]) -> None:
            if checkpoint and len(incomes) % CHECKPOINT_EVERY == 0 and len(incomes) < run.slots:
                save_checkpoint(checkpoint, learner, twin, incomes, run.key)

    keep = Keep()
    if run.shift:
        train(learner, twin, run.shift_at, incomes, progress=False, callback=keep)
        before, after = twin.snapshot(), _each(runs, Run.shifted)
        twin = DigitalTwin(after, seeds, run.twin_deviation())
        twin.restore(before)
    return train(learner, twin, run.slots, incomes, progress=False, callback=keep)


def averages(record: Rollout) -> dict[str, float]:
    """What is told of an evaluation: means over its slots, by metric."""
    stations = range(1, record.offloading.shape[1] + 1)
    return {
        "income": record.income.mean(),
        "completed": record.completed.mean(),
        "helped": record.helped.mean(),
        **{f"offloading BS-{bs}": record.offloading[:, bs - 1].mean() for bs in stations},
        **{f"idle CPU BS-{bs}": record.idle_cpu[:, bs - 1].mean() for bs in stations},
    }


def _tidy(
    run: Run, incomes: np.ndarray, record: Rollout, in_reference: dict[tuple[str, int], float]
) -> pd.DataFrame:
    """One row a number, slot -1 for a mean over the evaluation slots."""
    means = averages(record)
    rows = [
        *(("training income", slot, value) for slot, value in enumerate(incomes)),
        *((metric, -1, value) for metric, value in means.items()),
        *((*place, value) for place, value in in_reference.items()),
    ]
    frame = pd.DataFrame(rows, columns=["metric", "slot", "value"]).astype(
        {"slot": "int32", "value": "float32"}
    )
    on_the_way = {
        name: fields for name in ("shift", "deviation", "evaluation") if (fields := getattr(run, name))
    }
    changed = {**run.changes, **run.settings, **run.refinement, **on_the_way}
    frame = frame.assign(
        run=run.key,
        agent=run.agent,
        preset=run.preset,
        changes=json.dumps(changed, sort_keys=True),
        seed=np.int32(run.seed),
    )
    columns = ["run", "agent", "preset", "changes", "seed", "metric", "slot", "value"]
    return frame.reindex(columns=columns).astype(
        dict.fromkeys(("run", "agent", "preset", "changes", "metric"), "category")
    )


def defaults() -> dict[str, dict[str, Any]]:
    """Every default by record and field, ready for JSON."""
    records = {
        "Scenario": Scenario,
        "Refinement": Refinement,
        "Deviation": Deviation,
        "Evaluation": Evaluation,
    }
    records |= {kind.__name__: kind for kind in map(settings_class, AGENTS) if kind}
    return {name: record().model_dump(mode="json") for name, record in records.items()}


def record_defaults(path: Path) -> None:
    """Writes down the defaults of these numerics; those already written down stay as they are."""
    now, before = defaults(), _recorded(path)
    kept = {name: {**fields, **before.get(name, {})} for name, fields in now.items()}
    content = (json.dumps({"numerics": NUMERICS, "defaults": kept}, indent=1) + "\n").encode()
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def changed_defaults(path: Path = DEFAULTS) -> list[str]:
    """One sentence for every default that is not what it was when runs of these numerics were stored."""
    now = defaults()
    return [
        f"the default of {name}.{field} was {value!r} when data/runs was made and is "
        f"{now.get(name, {}).get(field)!r} now; raise NUMERICS."
        for name, fields in _recorded(path).items()
        for field, value in fields.items()
        if now.get(name, {}).get(field) != value
    ]


def _recorded(path: Path) -> dict[str, dict[str, Any]]:
    """The defaults written down for these numerics."""
    written = read_json(path, "mecsim run")
    return written["defaults"] if written.get("numerics") == NUMERICS else {}
