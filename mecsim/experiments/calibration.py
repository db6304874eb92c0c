"""The calibration: which interference factor, mean gain and slot length let the paper's own words C4-C10 be true.

The rule does not look at INTO. With the control that offers all tasks, it counts which of C4-C10 hold in each cell of
a map over (alpha, mean gain, tau). Among the cells where all hold, it takes the smallest tau, and then the cell whose
narrowest margin is widest.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import product
from typing import NamedTuple, cast

import pandas as pd

from mecsim.agents import make_agent
from mecsim.experiments.claims import margins_of
from mecsim.experiments.panels import AWARD, DENSITY, FIGURES, GAIN, HARVEST, Sweep
from mecsim.experiments.runner import compute
from mecsim.experiments.statistics import verdict
from mecsim.experiments.store import DATA, Job, Store, Wanted, read_tables
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

ALPHAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
MEAN_GAINS = (0.1, 0.2, 0.5)
TAUS_S = (3.0, 6.0, 12.0)
SWEEPS: tuple[Sweep, ...] = (AWARD, DENSITY, GAIN, HARVEST)
PANELS = dict(zip((sweep.symbol for sweep in SWEEPS), FIGURES["fig4"] + FIGURES["fig5"], strict=True))
"""The panel of each sweep, by its symbol."""
CONTROL = "all-on"
SLOTS = 500
SEEDS = 5
FOLDER = DATA / "calibration"


class Cell(NamedTuple):
    """One cell of the map."""

    alpha: float
    mean_gain: float
    tau_s: float

    @property
    def changes(self) -> dict[str, float]:
        """The cell as changes to a scenario."""
        return {"interference": self.alpha, "mean_gain": self.mean_gain, "tau_s": self.tau_s}


def cell_job(cell: Cell, slots: int = SLOTS, seeds: int = SEEDS) -> Job:
    """The measurement of one cell."""
    alpha, gain, tau = cell
    return Job(
        f"alpha{alpha:g}_gain{gain:g}_tau{tau:g}_{slots}x{seeds}.parquet",
        {**cell._asdict(), "slots": slots, "seeds": seeds},
        partial(measure, cell, slots, seeds),
        about_s=0.005 * slots * seeds,
    )


class CalibrationStore(Store):
    """A folder of cells."""

    command = "mecsim calibrate"

    def wanted(self) -> list[Wanted]:
        """The whole map."""
        return [Wanted("the calibration map", cell_jobs(), self.command)]


def cell_jobs() -> list[Job]:
    """Every cell of the map."""
    return [cell_job(Cell(*values), SLOTS, SEEDS) for values in product(ALPHAS, MEAN_GAINS, TAUS_S)]


def calibrate(workers: int | None = None) -> pd.DataFrame:
    """Measures every cell of the map that is not stored yet, and returns the map (see `calibration_map`)."""
    store = CalibrationStore(FOLDER)
    compute(store, store.missing(cell_jobs()), workers, "calibration")
    return stored_map()


def stored_map() -> pd.DataFrame:
    """The stored calibration map.

    Raises:
        FileNotFoundError: there is none.
    """
    return calibration_map(read_tables(FOLDER, f"*_{SLOTS}x{SEEDS}.parquet"))


def uncalibrated() -> list[str]:
    """One sentence if the preset `calibrated` is not the cell that the rule picks from the stored map."""
    try:
        picked = pick(stored_map())
    except FileNotFoundError:  # `mecsim check` says which cells are missing
        return []
    except ValueError as error:
        return [str(error)]
    preset = Scenario.preset("calibrated")
    in_use = Cell(preset.interference, preset.mean_gain, preset.tau_s)
    return [] if in_use == picked else [f"the preset calibrated is {in_use}, but the rule picks {picked}."]


def measure(cell: Cell, slots: int, seeds: int) -> pd.DataFrame:
    """Runs the control over every point of the four sweeps in one cell: the means over the slots."""

    @cache  # where nothing is scaled, all sweeps agree
    def means(scenario: Scenario, seed: int) -> list[dict[str, float]]:
        record = rollout(make_agent(CONTROL, scenario), PhysicalSystem(scenario, seed), slots)
        income, devices = float(record.income.mean()), record.offloading.mean(axis=0)
        return [
            {"bs": bs + 1, "offloading": float(mean), "income": income} for bs, mean in enumerate(devices)
        ]

    return pd.DataFrame(
        {**cell._asdict(), "sweep": sweep.symbol, "value": value, "seed": seed, **mean}
        for sweep in SWEEPS
        for value, seed in product(sweep.values, range(seeds))
        for scenario in [Scenario(**cell.changes, **sweep.changes(value))]
        for mean in means(scenario, seed)  # pyright: ignore[reportArgumentType]  # pydantic's stubs hide the hash of a record
    )


def calibration_map(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell and claim: the margin of the claim over seeds and its verdict.

    Columns: alpha, mean_gain, tau_s, claim, mean, low, high, seeds, verdict.
    """
    tables = table.assign(
        label=table["value"],
        agent=CONTROL,
        metric=[f"offloading BS-{bs}" for bs in table["bs"]],
        value=table["offloading"],
    )
    rows = []
    for values, part in tables.groupby(["alpha", "mean_gain", "tau_s"]):
        cell = Cell(*cast("tuple[float, float, float]", values))
        panels = {PANELS[str(symbol)]: of_sweep for symbol, of_sweep in part.groupby("sweep")}
        rows += [
            {**cell._asdict(), "claim": claim, **margin._asdict(), "verdict": verdict(margin)}
            for claim, margin in margins_of(panels, CONTROL).items()
        ]
    return pd.DataFrame(rows)


def pick(calibration: pd.DataFrame) -> Cell:
    """The cell that the rule picks from a calibration map.

    Raises:
        ValueError: C4-C10 hold together in no cell.
    """
    cells = calibration.groupby(["alpha", "mean_gain", "tau_s"]).agg(
        holds=("verdict", lambda verdicts: bool((verdicts == "reproduced").all())), narrowest=("mean", "min")
    )
    good = cells.query("holds").reset_index()
    if good.empty:
        raise ValueError("the calibration map has no cell where C4-C10 all hold.")
    best = good.sort_values(["tau_s", "narrowest"], ascending=[True, False]).iloc[0]
    return Cell(float(best["alpha"]), float(best["mean_gain"]), float(best["tau_s"]))
