"""The `mecsim` command."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="A reproduction of digital twin-driven task offloading (INTO).", no_args_is_help=True)

Workers = Annotated[int | None, typer.Option(min=1, help="Processes side by side; by default one a core.")]


@app.callback()
def main() -> None:
    """Keeps subcommands subcommands while there is only one."""


@app.command()
def calibrate(workers: Workers = None) -> None:
    """Compute what is missing of the calibration map, and print the cell that the rule picks."""
    from mecsim.experiments import calibration

    table = calibration.calibrate(workers=workers)
    typer.echo(
        table.pivot_table(
            index=["alpha", "mean_gain", "tau_s"], columns="claim", values="verdict", aggfunc="first"
        ).to_string()
    )
    typer.echo(f"the rule picks {calibration.pick(table)}")
