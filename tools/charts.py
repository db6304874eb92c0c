"""Figs 3 to 6 and the bounds as figures that a reader moves, without a kernel: Vega-Lite's, by Altair."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from mecsim.experiments.claims import CLAIMS
from mecsim.experiments.figures import BY_BS
from mecsim.experiments.lines import ALL, bounds_table, lines_table
from mecsim.experiments.panels import COMPARED, CONTROLS, COUNTED, EVERYONE, EXPERIMENTS, FIGURES, PRESETS
from mecsim.experiments.plots import AGENT_COLOURS, SERIES_COLOURS, TOTAL_COLOUR
from mecsim.experiments.results import stored_tables
from mecsim.experiments.standings import LONG_RUN_BOUND, PER_SLOT_BOUND, averaged, ratios
from mecsim.experiments.store import ROOT

SHAPES = {
    "circle": "●",
    "square": "■",
    "diamond": "◆",
    "triangle-up": "▲",
    "triangle-down": "▼",
    "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z": "✖",
    "cross": "✚",
    "M0,-1.15L.27,-.37L1.09,-.36L.44,.14L.68,.93L0,.46L-.68,.93L-.44,.14L-1.09,-.36L-.27,-.37Z": "★",
    "triangle-left": "◀",
}
"""Marks by Vega's name or by their outline, as stored figures have them, and what the choice of agents shows."""
AGENT_SHAPES = dict(zip(EVERYONE, SHAPES, strict=False))
BY_AGENT = {agent: AGENT_COLOURS[agent] for agent in EVERYONE}
DASHES = [[1, 0], [6, 3], [2, 2]]
AT_FIRST = {agent: agent in COMPARED + CONTROLS for agent in EVERYONE}
ROW = re.compile(r"^\| (C\d+[ab]?) \| .* \|$", flags=re.MULTILINE)
LEGEND = alt.Legend(
    orient="top",
    title=None,
    labelFontSize=13,
    symbolType="stroke",
    symbolSize=400,
    symbolStrokeWidth=3,
    symbolOpacity=1,
)

_ratios = cache(ratios)


@dataclass(frozen=True)
class Interactive:
    """A figure that a reader moves.

    Attributes:
        name: of the stored figure; "bounds" has none.
        y: what its y axis says.
        agents: who can be chosen; whether at first.
        colours: by line, or by agent where each has one line; empty where the lines differ from panel to panel.
        line: what the lines of an agent are called; empty where each has one.
    """

    name: str
    y: str
    agents: Mapping[str, bool]
    colours: Mapping[str, str]
    line: str = ""

    @property
    def stored(self) -> bool:
        """Is there such a figure among the stored ones?"""
        return self.name in FIGURES

    @property
    def panels(self) -> tuple[str, ...]:
        """The panels of the paper."""
        return FIGURES[self.name if self.stored else "fig6"]

    def tables(self) -> Mapping[str, Mapping[str, pd.DataFrame]]:
        """What is drawn, by preset and panel: columns as in `lines_table`."""
        if not self.stored:
            return {preset: bounds_table(_ratios(preset)) for preset in PRESETS}
        return {
            preset: {panel: lines_table(panel, table) for panel, table in tables.items()}
            for preset, tables in stored_tables(self.panels).items()
        }

    def controls(self) -> list[tuple[str, Any, Callable[..., Any], dict[str, Any]]]:
        """What a reader chooses apart from the agents: its name, what it is at first, how, and from what."""
        titles = {panel: f"({panel[4]}) {EXPERIMENTS[panel].title}" for panel in self.panels}
        panels = {"options": list(titles), "labels": list(titles.values())}
        bounds = {"options": [PER_SLOT_BOUND, LONG_RUN_BOUND]}
        return [
            ("preset", PRESETS[0], alt.binding_radio, {"options": PRESETS}),
            ("panel", self.panels[0], alt.binding_select, panels),
            *([] if self.stored else [("bound", PER_SLOT_BOUND, alt.binding_radio, bounds)]),
        ]

    def place(self, control: str) -> str:
        """The id of the element of the page that holds a control, or the choice of an agent."""
        return f"{self.name}-{control}"

    def chart(self) -> alt.LayerChart:
        """The figure: bands, lines, marks, and around the marks the larger ones that a finger or a pointer meets."""
        choices = [
            alt.param(name, value=first, bind=self._bound(name, bind, **options))
            for name, first, bind, options in self.controls()
        ]
        choices += [
            alt.param(_switch(agent), value=first, bind=self._bound(agent, alt.binding_checkbox))
            for agent, first in self.agents.items()
        ]
        axes = json.dumps({panel: EXPERIMENTS[panel].axis or "slot" for panel in self.panels})
        x = alt.X("x:Q", title=None).axis(tickCount=6).scale(zero=False, nice=False, padding=12)
        y = alt.Y("low:Q", title=self.y).scale(zero=self.agents.keys() == set(COUNTED))
        base = (
            alt.Chart(self._rows())
            .transform_filter(self._chosen())
            .transform_calculate(
                at=f"{axes}[datum.panel] + ' = ' + datum.x",
                interval="format(datum.low, '.4~r') + ' to ' + format(datum.high, '.4~r')",
                verdicts=f"{json.dumps(self._verdicts())}[datum.preset + datum.panel]",
            )
            .encode(x=x, detail=["agent:N", "line:N"])
        )
        marks = self._marks()
        lines = base.encode(y="mean:Q", color=marks["color"], strokeDash=marks["dash"])
        points = lines.encode(shape=marks["shape"])
        return (
            alt.layer(
                base.mark_area(opacity=0.15).encode(y=y, y2=alt.Y2("high:Q"), fill=marks["fill"]),
                lines.mark_line(),
                *([points.mark_point(filled=True, opacity=1, size=60)] if self.agents else []),
                points.mark_point(filled=True, opacity=0, size=600).encode(tooltip=self._told()),
            )
            .add_params(*choices)
            .properties(
                width="container",
                height=320,
                title=alt.TitleParams(
                    alt.expr(f"{axes}[panel]"), orient="bottom", fontWeight="normal", fontSize=13
                ),
            )
            .configure(background="transparent", font="system-ui, sans-serif")
            .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#E5E5E5")
            .configure_mark(invalid=None)  # every number is finite, and lines and dashes share a legend
            .configure_view(stroke=None)
        )

    def _bound(self, name: str, bind: Callable[..., Any], **options: Any) -> Any:
        """A control in its place on the page."""
        return bind(name=name, element=f"#{self.place(name)}", **options)

    def _rows(self) -> pd.DataFrame:
        """All that can be shown, with as many digits as anyone sees."""
        rows = pd.concat(
            table.assign(preset=preset, panel=panel)
            for preset, tables in self.tables().items()
            for panel, table in tables.items()
        )
        digits = ["mean", "low", "high"]
        return rows.assign(**{name: [float(f"{value:.6g}") for value in rows[name]] for name in digits})

    def _chosen(self) -> str:
        """Which rows are shown."""
        parts = ["datum.preset == preset", "datum.panel == panel"]
        parts += [f"(datum.agent != '{agent}' || {_switch(agent)})" for agent in self.agents]
        return " && ".join(parts if self.stored else [*parts, "datum.line == bound"])

    def _told(self) -> list[alt.Tooltip]:
        """What stands behind a mark."""
        return [
            *([alt.Tooltip("agent:N")] if self.agents else []),
            *([alt.Tooltip("line:N", title=self.line)] if self.line else []),
            alt.Tooltip("at:N"),
            alt.Tooltip("mean:Q", format=".4~r"),
            alt.Tooltip("interval:N", title="95 % interval"),
            alt.Tooltip("seeds:Q"),
            *([alt.Tooltip("verdicts:N")] if self.stored else []),
        ]

    def _verdicts(self) -> dict[str, str]:
        """What became of the claims about a panel, by preset and panel."""
        rows = {claim: row.split(" | ") for claim, row in verdict_rows(self.name).items()}
        return {
            preset + panel: "; ".join(
                f"{claim} {row[place].partition(' (')[0]}"
                for claim, row in rows.items()
                if panel in CLAIMS[claim].experiments
            )
            for place, preset in enumerate(PRESETS, start=1)
            for panel in self.panels
        }

    def _marks(self) -> dict[str, Any]:
        """How lines are told apart: agents by colour and mark, or lines by colour and agents by dash and mark."""
        by_agent = self.colours is BY_AGENT
        told_by, legend = ("agent:N", None) if by_agent else ("line:N", LEGEND)
        if not self.agents:
            colours, dashes = alt.Scale(range=list(SERIES_COLOURS)), alt.Scale(range=DASHES)
            dash, shape = alt.StrokeDash(told_by, sort=None, scale=dashes, legend=legend), alt.value("circle")
        else:
            colours = alt.Scale(domain=list(self.colours), range=list(self.colours.values()))
            shapes = alt.Scale(domain=list(self.agents), range=[AGENT_SHAPES[agent] for agent in self.agents])
            shape = alt.Shape("agent:N", scale=shapes, legend=None)
            dashes = alt.Scale(domain=list(self.agents), range=DASHES[:2])
            dash = alt.value([1, 0]) if by_agent else alt.StrokeDash("agent:N", scale=dashes, legend=None)
        return {
            "color": alt.Color(told_by, sort=None, scale=colours, legend=legend),
            "fill": alt.Fill(told_by, sort=None, scale=colours, legend=legend if self.agents else None),
            "dash": dash,
            "shape": shape,
        }


_SLOT, _COUNT = "average income per slot", "offloading devices per slot"
_COUNTED = dict.fromkeys(COUNTED, True)
INTERACTIVE = {
    one.name: one
    for one in (
        Interactive("fig3", _SLOT, {}, {}, "INTO trained with"),
        Interactive("fig4", _COUNT, _COUNTED, BY_BS, "BS"),
        Interactive("fig5", _COUNT, _COUNTED, {**BY_BS, ALL: TOTAL_COLOUR}, "BS"),
        Interactive("fig6", _SLOT, AT_FIRST, BY_AGENT),
        Interactive("bounds", "income over what nobody can exceed", AT_FIRST, BY_AGENT),
    )
}


def verdict_rows(figure: str | None) -> dict[str, str]:
    """The rows of the README's table of verdicts about a stored figure, or about none, by claim."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {found[1]: found[0] for found in ROW.finditer(readme)}
    about = {claim: {name[:4] for name in CLAIMS[claim].experiments} & FIGURES.keys() for claim in rows}
    return {
        claim: row for claim, row in rows.items() if (figure in about[claim] if figure else not about[claim])
    }


def verdicts_table(figure: str | None) -> str:
    """The README's table of verdicts, in Markdown, for a stored figure or for what is in none."""
    header = f"| claim | {' | '.join(PRESETS)} | the paper says |\n|---|{'---|' * len(PRESETS)}---|"
    return "\n".join((header, *verdict_rows(figure).values()))


def standings_table() -> str:
    """Where each agent stands against the bounds on average over the points of Fig. 6, in Markdown."""
    columns: dict[str, dict[str, str]] = {}
    for preset in PRESETS:
        for one in averaged(_ratios(preset)):
            column = columns.setdefault(f"{preset}, {one.bound}", {})
            column[one.agent] = one.share
    header = f"| agent | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
    rows = (f"| {agent} | {' | '.join(of[agent] for of in columns.values())} |" for agent in AT_FIRST)
    return "\n".join((header, *rows))


def section(name: str) -> str:
    """What the page has of a figure, in Markdown: the stored one, the one that moves in its place, and a table."""
    figure, stored = INTERACTIVE[name], ""
    if figure.stored:
        panels = ", ".join(f"({panel[4]}) {EXPERIMENTS[panel].title.lower()}" for panel in figure.panels)
        text = f"Fig. {name[3]} under {' and '.join(PRESETS)}: {figure.y}. {panels}"
        stored = f"````{{container}} stored\n![{text}](../data/figures/{name}.svg)\n````\n\n"
    table = verdicts_table(name) if figure.stored else standings_table()
    return f"{stored}```{{raw}} html\n{interactive(figure)}\n```\n\n{table}"


def interactive(figure: Interactive) -> str:
    """The HTML of a figure: the places of its controls and of its drawing, and what is to be drawn."""
    controls = [f'<span id="{figure.place(name)}"></span>' for name, *_ in figure.controls()]
    agents = []
    for agent in figure.agents:
        colour = figure.colours.get(agent, "#555555")
        mark = f'<b aria-hidden="true" style="color: {colour}">{SHAPES[AGENT_SHAPES[agent]]}</b>'
        agents.append(f'<span>{mark}<span id="{figure.place(agent)}"></span></span>')
    forms = "\n".join(f"<form>{' '.join(of)}</form>" for of in (controls, agents))
    spec = figure.chart().to_json(indent=None).replace("</", r"<\/")
    return (
        f'<div class="interactive" hidden>\n{forms}\n<div class="plot" role="figure" '
        f'aria-label="{figure.y}"></div>\n<script type="application/json">{spec}</script>\n</div>'
    )


def script(start: str) -> str:
    """Vega, Vega-Lite and Vega-Embed of the version that Altair writes for, followed by what starts them."""
    version = alt.SCHEMA_VERSION.lstrip("v").rpartition(".")[0]
    bundle = vl_convert.javascript_bundle(vl_version=version)
    return f"(() => {{\n{bundle}\n{start}}})();\n"  # no module, which a page in a folder may not load


def _switch(agent: str) -> str:
    """The name of the parameter that shows an agent."""
    return "show_" + agent.replace("-", "_")
