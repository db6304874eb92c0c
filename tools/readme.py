"""Writes the table of claims into the README, from the stored runs: `make readme`."""

from __future__ import annotations

import re

from mecsim.experiments.claims import claims_table
from mecsim.experiments.store import ROOT

BLOCK = re.compile(r"(?<=<!-- claims -->\n).*?(?=\n<!-- /claims -->)", flags=re.DOTALL)


def main() -> None:
    """Replaces what stands between the two marks."""
    path = ROOT / "README.md"
    text = path.read_text()
    if not BLOCK.search(text):
        raise SystemExit("README.md has lost the marks <!-- claims --> and <!-- /claims -->.")
    path.write_text(BLOCK.sub(lambda _: claims_table(), text))


if __name__ == "__main__":
    main()
