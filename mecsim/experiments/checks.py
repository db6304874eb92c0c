"""Are the stored results whole, complete and up to date, and does computing them again give the same values?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mecsim.experiments import calibration, drawn, policies, sensitivity, studies
from mecsim.experiments.panels import PROFILES, RunStore
from mecsim.experiments.runner import compute_files
from mecsim.experiments.runs import LEARNERS, changed_defaults
from mecsim.experiments.store import DATA, DamagedFile, Job, Store, ensure_place, ensure_writable

QUICK_S = 60.0
"""A file that takes less is drawn as often as chance brings it, a training is not."""
TRAININGS_FROM = 20
"""Files drawn from which on trainings of each learner under each preset are among them."""


def stores() -> list[Store]:
    """Every folder of data/ that is vouched for."""
    return [
        RunStore(PROFILES["paper"].folder),
        calibration.CalibrationStore(calibration.FOLDER),
        studies.StudyStore(studies.FOLDER),
        sensitivity.SensitivityStore(sensitivity.FOLDER),
        policies.PolicyStore(policies.FOLDER),
        drawn.FigureStore(drawn.FOLDER),
    ]


def problems() -> list[str]:
    """One sentence for everything that is wrong with data/ or missing from it; nothing where all is well."""
    return list(dict.fromkeys([*faults(), *(sentence for store in stores() for sentence in missing(store))]))


def faults() -> list[str]:
    """One sentence for everything that is wrong with what data/ holds.

    Raises:
        SettingError: there is no data/, see `mecsim.experiments.store.ensure_place`.
    """
    ensure_place(DATA)
    found = [sentence for store in stores() for sentence in faults_of(store)]
    return [*found, *changed_defaults(), *calibration.uncalibrated()]


def faults_of(store: Store) -> list[str]:
    """One sentence for every file of a store that is damaged or stale."""
    try:
        reasons = store.stale()
        commands = (
            {job.name: command for _, jobs, command in store.wanted() for job in jobs} if reasons else {}
        )
        stale = [
            f"{store.label(name)} is stale ({why}): delete it and run `{commands.get(name, store.command)}`, or let "
            "`mecsim check --restamp` see whether it still holds."
            for name, why in reasons.items()
        ]
        return [*store.damaged(), *stale]
    except DamagedFile as error:  # the manifest itself
        return [str(error)]


def missing(store: Store) -> list[str]:
    """One sentence for every group of files that a store lacks."""
    try:
        return [
            f"{what}: {lacking} of {len(jobs)} are missing; run `{command}`."
            for what, jobs, command in store.wanted()
            if (lacking := len(store.missing(jobs)))
        ]
    except DamagedFile as error:  # the manifest of the runs that figures are drawn from
        return [str(error)]


class Stored(NamedTuple):
    """A stored file, and the job that computes it again."""

    store: Store
    job: Job

    @property
    def label(self) -> str:
        """Its path in the project."""
        return self.store.label(self.job.name)


def recompute(files: Sequence[Stored], workers: int | None = None) -> list[str]:
    """Computes stored files again, and gives one sentence for each of which a value differs in any bit.

    Args:
        files: see `sample`.
        workers: processes side by side; by default one a core.
    """
    with _again(files, workers) as fresh:
        return [f"{one.label} is not what is computed now: {how}." for one, _, how in fresh if how]


def sample(count: int, seed: int = 0) -> list[Stored]:
    """Stored files at random, of all kinds but figures, without what is stale or was not computed alone on a CPU: that
    has not the same bits when it is computed again.

    First comes a run of each rule; from 20 files on trainings of INTO and of DDQN under each preset; a file of every
    other kind and study; and then what takes less than a minute, as chance brings it.
    """
    rng = random.Random(seed)
    files = []
    for store in stores()[:-1]:
        left = store.reproducible() - store.stale().keys()
        files += [
            Stored(store, job)
            for name, job in sorted(store.current().items())
            if name in left and store.path(job).exists()
        ]
    rng.shuffle(files)
    first: dict[tuple[str, ...], Stored] = {}
    for one in files:
        agent, preset = (one.job.settings.get(field, "") for field in ("agent", "preset"))
        if not isinstance(one.store, RunStore):
            first.setdefault(("other", one.store.command, one.job.settings.get("study", "")), one)
        elif agent not in LEARNERS:
            first.setdefault(("a rule", agent), one)
        elif count >= TRAININGS_FROM:
            first.setdefault(("a training", agent, preset), one)
    order = [first[kind] for kind in sorted(first)]
    quick = (one for one in files if one not in order and one.job.about_s < QUICK_S)
    return [*order, *quick][:count]


def restamp(among: Sequence[Store] | None = None, workers: int | None = None) -> tuple[list[str], list[str]]:
    """Computes what is stale again, and where all values are the same lets the file say so.

    Such a file is written anew, with what made it now. One of which a value differs stays as it is.

    Args:
        among: folders; by default all of data/.
        workers: processes side by side; by default one a core.

    Returns:
        The files that still hold, and one sentence for every one that does not, or of which that cannot be told.
    """
    files, held, failed = [], [], []
    for store in stores() if among is None else among:
        now, same_bits, damaged = store.current(), store.reproducible(), " ".join(store.damaged())
        for name, why in store.stale().items():
            job = now.get(name)
            if job is None or job.name != name or store.label(name) in damaged:
                failed.append(f"{store.label(name)} cannot be compared with what is computed now ({why}).")
            elif name not in same_bits:
                failed.append(
                    f"{store.label(name)} cannot be compared with what is computed now ({why}): it was computed on a "
                    "GPU or with others at once, and has not the same bits when it is computed again."
                )
            else:
                files.append(Stored(store, job))
    for folder in {one.store.folder for one in files}:
        ensure_writable(folder)
    with _again(files, workers) as fresh:
        for one, path, how in fresh:
            if how:
                failed.append(f"{one.label} is not what is computed now: {how}.")
            else:
                one.store.write(one.job, path.read_bytes())
                one.store.write_manifest(renewed={one.job.name})
                held.append(one.label)
    return held, failed


def irreproducible() -> int:
    """How many stored files were computed on a GPU or with others at once, so that no bits can be asked of them."""
    return sum(len(store.manifest().keys() - store.reproducible()) for store in stores())


@contextmanager
def _again(files: Sequence[Stored], workers: int | None) -> Iterator[Iterator[tuple[Stored, Path, str]]]:
    """Computes files again into a folder that is gone afterwards: each, where it is now, and in what it differs."""
    with TemporaryDirectory() as folder:
        again = [(replace(store, folder=Path(folder, store.folder.name)), job) for store, job in files]
        compute_files(again, workers, "computed again")
        paths = [store.path(job) for store, job in again]
        yield (
            (one, path, one.store.difference(path, one.store.path(one.job)))
            for one, path in zip(files, paths, strict=True)
        )
