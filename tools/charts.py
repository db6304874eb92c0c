"""Figs 3 to 6 and the bounds as figures that a reader moves, without a kernel: Vega-Lite's, by Altair."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from mecsim.experiments.claims import CLAIMS
from mecsim.experiments.lines import ALL, bounds_table, lines_table
from mecsim.experiments.panels import COMPARED, CONTROLS, COUNTED, EXPERIMENTS, FIGURES, PRESETS
from mecsim.experiments.plots import AGENT_COLOURS, BS_COLOURS, SERIES_COLOURS, TOTAL_COLOUR
from mecsim.experiments.results import stored_tables
from mecsim.experiments.standings import LONG_RUN_BOUND, PER_SLOT_BOUND, averaged, ratios
from mecsim.experiments.store import ROOT

BOUNDS = "bounds"
SHAPES = {
    "circle": "●",
    "square": "■",
    "triangle-up": "▲",
    "diamond": "◆",
    "cross": "✚",
    "triangle-down": "▼",
    "triangle-right": "▶",
    "triangle-left": "◀",
}
"""Vega's names of the marks, and how the choice of agents, which is their legend, shows each."""
AGENT_SHAPES = dict(zip(AGENT_COLOURS, SHAPES, strict=True))
LINE_COLOURS = {**{f"BS-{bs}": colour for bs, colour in enumerate(BS_COLOURS, start=1)}, ALL: TOTAL_COLOUR}
HEIGHT = 320
ROW = re.compile(r"^\| (C\d+[ab]?) \| .* \|$", flags=re.MULTILINE)

Tables = Mapping[str, Mapping[str, pd.DataFrame]]
"""The columns of `lines_table` by preset and panel."""


@dataclass(frozen=True)
class Figure:
    """What is special about one of the figures.

    Attributes:
        tables: what it shows.
        y: what its y axis says.
        panels: of the paper.
        agents: who can be shown; whether at first.
        line: what the lines of an agent are called; empty where each has one.
        zero: does the y axis start at 0?
    """

    tables: Callable[[], Tables]
    y: str
    panels: tuple[str, ...]
    agents: Mapping[str, bool]
    line: str = ""
    zero: bool = False


def _stored(figure: str) -> Tables:
    """The lines of a figure of the paper."""
    return {
        preset: {name: lines_table(name, table) for name, table in tables.items()}
        for preset, tables in stored_tables(FIGURES[figure]).items()
    }


def _bounds() -> Tables:
    """Income over the bounds."""
    return {preset: bounds_table(_ratios(preset)) for preset in PRESETS}


_ratios = cache(ratios)


EVERY_AGENT = {agent: agent in COMPARED + CONTROLS for agent in AGENT_COLOURS}
COUNTED_AGENTS = dict.fromkeys(COUNTED, True)
INTERACTIVE = {
    "fig3": Figure(
        partial(_stored, "fig3"), "average income per slot", FIGURES["fig3"], {}, line="INTO trained with"
    ),
    "fig4": Figure(
        partial(_stored, "fig4"), "offloading devices per slot", FIGURES["fig4"], COUNTED_AGENTS, "BS", True
    ),
    "fig5": Figure(
        partial(_stored, "fig5"), "offloading devices per slot", FIGURES["fig5"], COUNTED_AGENTS, "BS", True
    ),
    "fig6": Figure(partial(_stored, "fig6"), "average income per slot", FIGURES["fig6"], EVERY_AGENT),
    BOUNDS: Figure(_bounds, "income over what nobody can exceed", FIGURES["fig6"], EVERY_AGENT),
}


def verdict_rows(figure: str | None) -> dict[str, str]:
    """The rows of the README's table of verdicts about a figure of the paper, or about none, by claim."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    about = {claim: {name[:4] for name in CLAIMS[claim].experiments} & set(FIGURES) for claim in CLAIMS}
    rows = {found[1]: found[0] for found in ROW.finditer(readme)}
    return {
        claim: row for claim, row in rows.items() if (figure in about[claim] if figure else not about[claim])
    }


def chart(figure: str) -> alt.LayerChart:
    """A figure with its choice of preset, panel and agents, and with what stands behind each of its marks."""
    shown, agents = INTERACTIVE[figure], INTERACTIVE[figure].agents
    names = {name: f"({name[4]}) {EXPERIMENTS[name].title}" for name in shown.panels}
    preset = alt.param(
        "preset", value=PRESETS[0], bind=_bound(figure, "preset", alt.binding_radio, options=PRESETS)
    )
    panel = alt.param(
        "panel",
        value=shown.panels[0],
        bind=_bound(figure, "panel", alt.binding_select, options=list(names), labels=list(names.values())),
    )
    asked = [
        alt.param(_switch(agent), value=first, bind=_bound(figure, agent, alt.binding_checkbox))
        for agent, first in agents.items()
    ]
    chosen = ["datum.preset == preset", "datum.panel == panel"]
    chosen += [f"(datum.agent != '{agent}' || {_switch(agent)})" for agent in agents]
    if figure == BOUNDS:
        options = (PER_SLOT_BOUND, LONG_RUN_BOUND)
        asked.append(
            alt.param(
                "bound", value=options[0], bind=_bound(figure, "bound", alt.binding_radio, options=options)
            )
        )
        chosen.append("datum.line == bound")

    axes = {name: EXPERIMENTS[name].axis or "slot" for name in shown.panels}
    x = alt.X(
        "x:Q", title=None, scale=alt.Scale(zero=False, nice=False, padding=12), axis=alt.Axis(tickCount=6)
    )
    y, high = alt.Y("low:Q", title=shown.y, scale=alt.Scale(zero=shown.zero)), alt.Y2("high:Q")
    marks = _marks(figure)
    told = [
        *([alt.Tooltip("agent:N")] if agents else []),
        *([alt.Tooltip("line:N", title=shown.line)] if shown.line else []),
        alt.Tooltip("at:N"),
        alt.Tooltip("mean:Q", format=".4~r"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("seeds:Q"),
        *([alt.Tooltip("verdicts:N")] if figure != BOUNDS else []),
    ]
    base = (
        alt.Chart(_data(shown.tables()))
        .transform_filter(" && ".join(chosen))
        .transform_calculate(
            at=f"{json.dumps(axes)}[datum.panel] + ' = ' + datum.x",
            interval="format(datum.low, '.4~r') + ' to ' + format(datum.high, '.4~r')",
            verdicts=f"{json.dumps(_verdicts(figure))}[datum.preset + datum.panel]",
        )
        .encode(x=x, detail=["agent:N", "line:N"])
    )
    lines = base.encode(y="mean:Q", color=marks["color"], strokeDash=marks["dash"])
    points = lines.encode(shape=marks["shape"])
    return (
        alt.layer(
            base.mark_area(opacity=0.15).encode(y=y, y2=high, fill=marks["fill"]),
            lines.mark_line(),
            *([points.mark_point(filled=True, opacity=1, size=60)] if agents else []),
            points.mark_point(filled=True, opacity=0, size=600).encode(tooltip=told),  # to be met by a finger
        )
        .add_params(preset, panel, *asked)
        .properties(
            width="container",
            height=HEIGHT,
            title=alt.TitleParams(
                alt.expr(f"{json.dumps(axes)}[panel]"), orient="bottom", fontWeight="normal", fontSize=13
            ),
        )
        .configure(background="transparent", font="system-ui, sans-serif")
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#E5E5E5")
        .configure_mark(invalid=None)  # every number is finite, and lines and dashes share a legend
        .configure_view(stroke=None)
    )


def _marks(figure: str) -> dict[str, Any]:
    """How lines are told apart: agents by colour and mark where each has one line, else by mark and dash."""
    agents = INTERACTIVE[figure].agents
    legend = alt.Legend(
        orient="top",
        title=None,
        labelFontSize=13,
        symbolType="stroke",
        symbolSize=400,
        symbolStrokeWidth=3,
        symbolOpacity=1,
    )
    solid_dashed = alt.Scale(domain=list(agents), range=[[1, 0], [6, 3]])
    shapes = alt.Scale(domain=list(agents), range=[AGENT_SHAPES[agent] for agent in agents])
    marks = {
        "dash": alt.StrokeDash("agent:N", scale=solid_dashed, legend=None),
        "shape": alt.Shape("agent:N", scale=shapes, legend=None),
    }
    if not agents:
        told_by, colours = "line:N", alt.Scale(range=list(SERIES_COLOURS))
        dashes = alt.Scale(range=[[1, 0], [6, 3], [2, 2]])
        marks = {
            "dash": alt.StrokeDash(told_by, sort=None, scale=dashes, legend=legend),
            "shape": alt.value("circle"),
        }
    elif agents is EVERY_AGENT:
        told_by, legend = "agent:N", None
        colours = alt.Scale(domain=list(agents), range=[AGENT_COLOURS[agent] for agent in agents])
        marks["dash"] = alt.value([1, 0])
    else:
        told_by, named = "line:N", list(LINE_COLOURS)[: None if figure == "fig5" else -1]
        colours = alt.Scale(domain=named, range=[LINE_COLOURS[name] for name in named])
    return marks | {
        "color": alt.Color(told_by, sort=None, scale=colours, legend=legend),
        "fill": alt.Fill(told_by, sort=None, scale=colours, legend=legend if agents else None),
    }


def _data(tables: Tables) -> pd.DataFrame:
    """All rows of a figure, with as many digits as anyone sees."""
    rows = pd.concat(
        [
            table.assign(preset=preset, panel=panel)
            for preset, of in tables.items()
            for panel, table in of.items()
        ]
    )
    digits = ["mean", "low", "high"]
    return rows.assign(**{name: [float(f"{value:.6g}") for value in rows[name]] for name in digits})


def _verdicts(figure: str) -> dict[str, str]:
    """What the claims about a panel came to, by preset and panel."""
    found = {}
    for place, preset in enumerate(PRESETS, start=2):
        for panel in INTERACTIVE[figure].panels:
            told = [
                f"{claim} {row.split(' | ')[place - 1].partition(' (')[0]}"
                for claim, row in verdict_rows(figure).items()
                if panel in CLAIMS[claim].experiments
            ]
            found[preset + panel] = "; ".join(told)
    return found


def _switch(agent: str) -> str:
    """The name of the parameter that shows an agent."""
    return "show_" + agent.replace("-", "_")


def _bound(figure: str, what: str, kind: Callable[..., Any], **options: Any) -> Any:
    """A control in the place that `controls` makes for it."""
    return kind(element=f"#{figure}-{what}", name=what, **options)


def controls(figure: str) -> str:
    """The places of a figure's controls, as HTML: those of agents have their mark, and so are the figure's legend."""
    rows = [["preset", "panel", *(["bound"] if figure == BOUNDS else [])], list(INTERACTIVE[figure].agents)]
    by_colour = INTERACTIVE[figure].agents is EVERY_AGENT

    def place(what: str) -> str:
        if what not in INTERACTIVE[figure].agents:
            return f'<span id="{figure}-{what}"></span>'
        colour = AGENT_COLOURS[what] if by_colour else "#555555"
        mark = f'<b aria-hidden="true" style="color: {colour}">{SHAPES[AGENT_SHAPES[what]]}</b>'
        return f'<span>{mark}<span id="{figure}-{what}"></span></span>'

    return "\n".join(f"<form>{' '.join(map(place, row))}</form>" for row in rows if row)


def section(figure: str) -> str:
    """What the page has of a figure, as Markdown: what is stored, what moves in its place, and the numbers in words."""
    stored = ""
    if figure in FIGURES:
        panels = ", ".join(f"({name[4]}) {EXPERIMENTS[name].title.lower()}" for name in FIGURES[figure])
        text = f"Fig. {figure[3]} under {' and '.join(PRESETS)}: {INTERACTIVE[figure].y}. {panels}"
        stored = f"````{{container}} stored\n![{text}](../data/figures/{figure}.svg)\n````\n\n"
    table = verdicts_table(figure) if figure in FIGURES else standings_table()
    return f"{stored}```{{raw}} html\n{interactive(figure)}\n```\n\n{table}"


def verdicts_table(figure: str | None) -> str:
    """The README's table of verdicts, for one figure or for what is in none."""
    header = f"| claim | {' | '.join(PRESETS)} | the paper says |\n|---|{'---|' * len(PRESETS)}---|"
    return "\n".join((header, *verdict_rows(figure).values()))


def standings_table() -> str:
    """Where each agent stands against the bounds, on average over the points of Fig. 6."""
    columns = {f"{preset}, {one.bound}": {} for preset in PRESETS for one in averaged(_ratios(preset))}
    for preset in PRESETS:
        for one in averaged(_ratios(preset)):
            columns[f"{preset}, {one.bound}"][one.agent] = f"{one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}]"
    header = f"| agent | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
    rows = [f"| {agent} | {' | '.join(of[agent] for of in columns.values())} |" for agent in EVERY_AGENT]
    return "\n".join((header, *rows))


def interactive(figure: str) -> str:
    """The HTML of a figure: its controls, the place where it is drawn, and what is drawn there."""
    spec = chart(figure).to_json(indent=None).replace("</", r"<\/")
    label = escape(INTERACTIVE[figure].y)
    return (
        f'<div class="interactive" hidden>\n{controls(figure)}\n<div class="plot" role="figure" aria-label="{label}">'
        f'</div>\n<script type="application/json">{spec}</script>\n</div>'
    )


def script(start: str) -> str:
    """Vega, Vega-Lite and Vega-Embed, of the version that Altair writes for, followed by what starts them."""
    version = alt.SCHEMA_VERSION.lstrip("v").rpartition(".")[0]
    bundle = vl_convert.javascript_bundle(vl_version=version)
    return (
        f"(() => {{\n{bundle}\n{start}}})();\n"  # names of its own: a page from a folder may load no module
    )
