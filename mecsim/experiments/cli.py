"""The `mecsim` command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from mecsim.settings import SettingError

app = typer.Typer(no_args_is_help=True)

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes side by side; by default MECSIM_WORKERS, or one a core that may be used."
    ),
]
Preset = Annotated[str, typer.Option(help="The scenario: calibrated, printed or physical.")]
Device = Annotated[
    str, typer.Option(help="Where networks live: cpu, or cuda to train as many at once as fit a GPU.")
]
AtOnce = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Train no more than N at once in each process.")
]
Profile = Literal["quick", "paper"]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same as JSON.")]


@app.callback()
def everywhere(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where results are stored, in place of data/ of the checkout; MECSIM_DATA says the same.",
        ),
    ] = None,
) -> None:
    """A reproduction of digital twin-driven task offloading (INTO)."""
    if data is not None:  # modules that read it are imported after this, here and in workers
        os.environ["MECSIM_DATA"] = str(data.absolute())


@app.command()
def run(
    experiments: Annotated[list[str], typer.Argument(help="Panels, such as fig3a fig3b.")],
    profile: Annotated[Profile, typer.Option(help="The paper's sizes, or a quick look.")] = "quick",
    preset: Preset = "calibrated",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds; by default the profile's.")
    ] = None,
    workers: Workers = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Compute with dask: local, or a scheduler's address or JSON file."
        ),
    ] = None,
    device: Device = "cpu",
    at_once: AtOnce = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what is missing, and about how long it takes.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --dry-run, list what is missing for `mecsim compute`.")
    ] = False,
) -> None:
    """Compute the runs of some panels that are not stored yet; Ctrl-C loses no finished run."""
    from mecsim.experiments import elsewhere, panels, parallel, runner

    if as_json and not dry_run:
        raise SettingError("--json is not allowed: it should come with --dry-run, whose list it prints.")
    if dry_run:
        wanted = panels.runs_of(experiments, profile, preset, seeds)
        if as_json:
            folder = panels.PROFILES[profile].folder
            typer.echo(elsewhere.listed(runner.missing_runs(wanted, folder)))
        else:
            typer.echo(runner.describe(wanted, profile, workers or parallel.default_workers()))
        return
    with _told():
        runs = runner.run_experiments(
            experiments, profile, preset, seeds, workers, scheduler, device=device, at_once=at_once
        )
        typer.echo(f"{len(runs)} runs are stored.")


@app.command()
def compute(
    lists: Annotated[list[Path], typer.Argument(help="Lists of `mecsim run PANELS --dry-run --json`.")],
    workers: Workers = None,
    device: Device = "cpu",
    at_once: AtOnce = None,
) -> None:
    """Compute listed runs of the paper's sizes that are not stored yet, as on a machine without the others."""
    from mecsim.experiments import elsewhere, panels, runner

    wanted = [run for path in lists for run in elsewhere.read_list(path)]
    with _told():
        runner.compute_runs(
            wanted, panels.PROFILES["paper"].folder, "listed", workers, device=device, at_once=at_once
        )
        typer.echo(f"{len(wanted)} runs are stored.")


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="Runs computed on another machine, such as there/runs.")],
) -> None:
    """Take result files of another machine in, if their key and settings are those that would be computed here."""
    from mecsim.experiments import elsewhere, panels

    merged = elsewhere.merge(folder, panels.RunStore(panels.PROFILES["paper"].folder))
    typer.echo(f"{len(merged.taken)} files are taken, {len(merged.known)} were stored already.")
    _fail(merged.refused)


@app.command()
def claims(
    preset: Preset = "calibrated",
    reading: Annotated[
        Literal["frozen", "training"], typer.Option(help="What an average income averages (A18).")
    ] = "frozen",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
) -> None:
    """Print the verdict on every claim, from the stored runs."""
    from mecsim.experiments.claims import CHOSEN_WHY, CLAIMS, rule_on
    from mecsim.experiments.results import MissingRuns

    _need_runs()
    rulings, unknown = [], []
    for name in CLAIMS:
        try:
            rulings.append(rule_on(name, preset, reading))
        except MissingRuns as error:
            unknown.append(f"{name} has no verdict. {error}")
    if as_json:
        typer.echo(json.dumps([ruling._asdict() for ruling in rulings], indent=1))
    else:
        for ruling in rulings:
            typer.echo(CLAIMS[ruling.id].describe(ruling))
        if any(CLAIMS[ruling.id].mark(preset) for ruling in rulings):
            typer.echo(CHOSEN_WHY)
    _fail(unknown)


@app.command()
def bounds(
    preset: Annotated[
        str | None, typer.Option(help="The scenario; by default each that the figures show.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print where each algorithm stands below the certified bounds, from the stored runs."""
    from mecsim.experiments.panels import PRESETS
    from mecsim.experiments.results import MissingRuns
    from mecsim.experiments.standings import standings, standings_table

    _need_runs()
    found, unknown = {}, []
    for name in [preset] if preset else PRESETS:
        try:
            found[name] = standings(name)
        except MissingRuns as error:
            unknown.append(str(error))
    if as_json:
        typer.echo(json.dumps([one._asdict() for of_preset in found.values() for one in of_preset], indent=1))
    elif found:
        typer.echo("\n\n".join(map(standings_table, found.values())))
    _fail(unknown)


@app.command()
def calibrate(workers: Workers = None) -> None:
    """Compute what is missing of the calibration map, and print the cell that the rule picks."""
    from mecsim.experiments import calibration

    table = calibration.calibrate(workers=workers)
    typer.echo(table.pivot_table("verdict", ["alpha", "mean_gain", "tau_s"], "claim", "first").to_string())
    typer.echo(f"The rule picks {calibration.pick(table)}.")


@app.command()
def sensitivity(workers: Workers = None) -> None:
    """Measure what is missing of how the verdicts hang on the open points, and print the verdicts."""
    from mecsim.experiments.sensitivity import measure_sensitivity, stored_sensitivity

    measure_sensitivity(workers)
    typer.echo(stored_sensitivity().pivot_table("verdict", "choice", "claim", "first").to_string())


@app.command()
def study(
    names: Annotated[
        list[str], typer.Argument(help="Studies: lookup, guarantees, bounds, drift, decisions.")
    ],
    preset: Preset = "calibrated",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds; by default as many as each study wants.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Measure what is not stored yet of some studies."""
    from mecsim.experiments.studies import run_studies

    measurements = run_studies(names, preset, seeds, workers)
    typer.echo(f"{len(measurements)} measurements are stored.")


@app.command()
def policies() -> None:
    """Train the small INTO and DDQN of notebook 13 that are not stored yet, in some minutes."""
    from mecsim.experiments.policies import make_policies

    for path in make_policies():
        typer.echo(path)


@app.command()
def figures(
    out: Annotated[
        Path | None, typer.Option(help="Where the SVG and PNG files go; by default among the stored results.")
    ] = None,
) -> None:
    """Draw the figures from the stored runs."""
    from mecsim.experiments import drawn

    _need_runs()
    for path in drawn.draw(out or drawn.FOLDER):
        typer.echo(path)


@app.command()
def check(
    recompute: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Compute N stored files again, and compare every value; a training takes 2 minutes.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which files are computed again.")] = 0,
    restamp: Annotated[
        bool,
        typer.Option(
            "--restamp", help="Compute what is stale again, and keep it as up to date where it is the same."
        ),
    ] = False,
    workers: Workers = None,
) -> None:
    """Verify the stored results: checksums, completeness and staleness."""
    from mecsim.experiments import checks

    if restamp:
        _need_runs()
        held, found = checks.restamp(workers=workers)
        for label in held:
            typer.echo(f"{label} still holds: every value is the same.")
        well = "Nothing else is stale."
    elif recompute is not None:
        drawn = checks.sample(recompute, seed)
        if not drawn:
            _need_runs()
            raise SettingError("recompute is not possible: no stored result is listed here.")
        found = checks.recompute(drawn, workers)
        well = f"{len(drawn)} stored results were computed again: every value is the same."
        others = checks.irreproducible()
        if others:
            well += f" {others} were computed on a GPU or at once: their bits cannot be asked again."
    else:
        found = checks.problems()
        well = "Every stored result is whole and up to date."
    typer.echo("\n".join(found) or well)
    raise typer.Exit(int(bool(found)))


@app.command()
def reproduce(
    profile: Annotated[
        Profile, typer.Option(help="Also compute what is missing at the paper's sizes.")
    ] = "quick",
    out: Annotated[Path, typer.Option(help="Where the notebooks, pages and figures go.")] = Path("build"),
) -> None:
    """Run the numbered notebooks in order and lay them out for a browser."""
    _from_checkout("reproduce", "tools/reproduce.py")
    from reproduce import reproduce as run_notebooks  # type: ignore[import-not-found]

    runs = run_notebooks(profile, out)
    raise typer.Exit(int(any(run.error for run in runs)))


@app.command()
def bench(
    repeats: Annotated[int, typer.Option(min=1, help="How often each ratio is measured.")] = 5,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A measure, such as train_vs_sb3; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure speed and memory as ratios, in some minutes; let the machine do nothing else meanwhile."""
    _from_checkout("bench", "benchmarks")
    from benchmarks.peers import PeerDied
    from benchmarks.report import as_data, as_text, chosen, machine

    measures, where, measured = chosen(only or ()), machine(), []
    try:
        for measure in measures:
            typer.echo(f"Measuring {measure.key} {repeats} times ...", err=True)
            measured.append((measure, measure.run(repeats)))
    except PeerDied as error:
        _fail([str(error)])
    typer.echo(json.dumps(as_data(measured, where), indent=1) if as_json else as_text(measured, where))


@contextmanager
def _told() -> Iterator[None]:
    """Says in one sentence how computing runs has ended early."""
    from mecsim.experiments import parallel, runner

    try:
        yield
    except parallel.WorkersLost as error:
        _fail([f"{error} What is done is stored; run the same again to go on."])
    except runner.Diverged as error:
        _fail([str(error)])
    except KeyboardInterrupt as stop:
        _fail([str(stop) or "Stopped before anything was computed."], code=130)


def _fail(sentences: list[str], code: int = 1) -> None:
    """Ends the command where there is something to complain of."""
    if sentences:
        typer.echo("\n".join(sentences), err=True)
        raise typer.Exit(code) from None


def _need_runs() -> None:
    """Says in one sentence, not claim by claim, that nothing is stored."""
    from mecsim.experiments.panels import PROFILES
    from mecsim.experiments.store import ensure_place, shown

    folder = PROFILES["paper"].folder
    ensure_place(folder)
    if next(folder.glob("*.parquet"), None) is None:
        raise SettingError(
            f"{shown(folder)} holds no runs: take data/ of a checkout with `mecsim --data FOLDER` or MECSIM_DATA, or "
            "compute them, which `mecsim run --help` explains."
        )


def _from_checkout(command: str, name: str) -> None:
    """Makes importable what only a checkout has, beside the package; also in the processes that are spawned."""
    from mecsim.experiments.store import ROOT

    path = ROOT / name
    if not path.exists():
        raise SettingError(f"mecsim {command} needs a checkout: there is no {name} in {ROOT}.")
    sys.path.insert(0, str(path.parent))


def main() -> None:
    """Runs the command; a setting that is not allowed, or a file that cannot be read or written, is one sentence."""
    try:
        app()
    except (SettingError, OSError) as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
