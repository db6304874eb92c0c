"""Writes the tables that come from stored runs into README.md and ASSUMPTIONS.md: `make readme`."""

from __future__ import annotations

import re
from collections.abc import Callable

from mecsim.experiments.claims import claims_table
from mecsim.experiments.register import effects_table
from mecsim.experiments.store import ROOT

TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "README.md": ("claims", claims_table),
    "ASSUMPTIONS.md": ("effects", effects_table),
}


def main() -> None:
    """Replaces what stands between the marks of each table."""
    for name, (mark, table) in TABLES.items():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        block = re.compile(rf"(?<=<!-- {mark} -->\n).*?(?=\n<!-- /{mark} -->)", flags=re.DOTALL)
        if not block.search(text):
            raise SystemExit(f"{name} has lost the marks <!-- {mark} --> and <!-- /{mark} -->.")
        path.write_text(block.sub(lambda _, table=table: table(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
