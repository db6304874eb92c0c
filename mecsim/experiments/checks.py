"""Are the stored results whole, complete and up to date?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mecsim.experiments import calibration, policies, sensitivity, store, studies
from mecsim.experiments.computing import not_stored
from mecsim.experiments.defaults import changed_defaults
from mecsim.experiments.panels import EXPERIMENTS, PROFILES, runs_of
from mecsim.experiments.provenance import NUMERICS, read_manifest
from mecsim.experiments.runs import Run
from mecsim.scenario import Scenario
from mecsim.settings import SettingError

RUNS = PROFILES["paper"].folder


def problems() -> list[str]:
    """One sentence for everything that is wrong with data/ or missing from it; nothing where all is well."""
    return [
        *faults(),
        *missing(EXPERIMENTS),
        *studies.lacking_studies(),
        *sensitivity.lacking_choices(),
        *policies.lacking_policies(),
    ]


def faults() -> list[str]:
    """One sentence for everything that is wrong with what data/ holds."""
    return [
        *damaged(RUNS),
        *damaged(calibration.FOLDER),
        *stale(RUNS),
        *changed_defaults(),
        *uncalibrated(),
        *damaged(studies.FOLDER),
        *studies.stale_studies(),
        *damaged(sensitivity.FOLDER),
        *sensitivity.stale_choices(),
        *damaged(policies.FOLDER, policies.PATTERN),
        *policies.stale_policies(),
    ]


def damaged(folder: Path, pattern: str = "*.parquet") -> list[str]:
    """Files that differ from the manifest, are not in it, or are in it alone."""
    known, files = read_manifest(folder), {path.name: path for path in folder.glob(pattern)}
    found = [
        f"data/{folder.name}/{name} is in the manifest but not there."
        for name in sorted(known.keys() - files)
    ]
    for name, path in sorted(files.items()):
        if name not in known:
            found.append(f"data/{folder.name}/{name} is not in the manifest.")
        elif store.checksum(path) != known[name]["sha256"]:
            found.append(f"data/{folder.name}/{name} differs from its checksum in the manifest.")
    return found


def stale(folder: Path) -> list[str]:
    """Runs whose settings mean something else now, or that were made by other numerics."""
    found = []
    for name, entry in sorted(read_manifest(folder).items()):
        try:
            key = Run(**entry["run"]).key
        except SettingError as error:
            found.append(f"data/{folder.name}/{name} is stale: {error}")
            continue
        if f"{key}.parquet" != name:
            made, now = entry["numerics"], NUMERICS
            why = f"numerics {made}, now {now}" if made != now else "its preset has changed"
            found.append(f"data/{folder.name}/{name} is stale ({why}); delete it and run again.")
    return found


def missing(experiments: Iterable[str]) -> list[str]:
    """Experiments whose runs at the paper's scale are not all stored, under each preset that they belong to."""
    found = []
    for name in experiments:
        for preset in EXPERIMENTS[name].presets:
            wanted = runs_of([name], "paper", preset)
            lacking = len(not_stored(wanted, PROFILES["paper"].folder))
            if lacking:
                found.append(
                    f"{name}: {lacking} of {len(wanted)} runs are missing under {preset}; "
                    f"run `mecsim run {name} --profile paper --preset {preset}`."
                )
    return found


def uncalibrated() -> list[str]:
    """Is the map whole, and the preset `calibrated` the cell that the rule picks from it?"""
    lacking = len(calibration.missing_cells())
    if lacking:
        return [f"the calibration map lacks {lacking} cells; run `mecsim calibrate`."]
    try:
        picked = calibration.pick(calibration.stored_map())
    except ValueError as error:
        return [str(error)]
    preset = Scenario.preset("calibrated")
    in_use = calibration.Cell(preset.interference, preset.mean_gain, preset.tau_s)
    return [] if in_use == picked else [f"the preset calibrated is {in_use}, but the rule picks {picked}."]
