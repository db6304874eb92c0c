"""Open notebooks in a real JupyterLab, run them, and save what a reader sees as PNG slices.

    python tools/look.py notebooks/02_digital_twin.ipynb --to build/look

The notebooks themselves are not touched: the Lab gets copies of them.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from lab import chromium, jupyterlab, open_notebook, run_all
from playwright.sync_api import Locator, Page

SCROLLER = ".jp-WindowedPanel-outer"


def save_slices(page: Page, panel: Locator, prefix: Path) -> int:
    """Scrolls through the notebook, writes a prefix_01.png, prefix_02.png, ... a screen, and counts them."""
    scroller = panel.locator(SCROLLER)
    total, step = scroller.evaluate("e => [e.scrollHeight, e.clientHeight]")
    tops = range(0, max(total - 1, 1), step)
    for number, top in enumerate(tops, start=1):
        scroller.evaluate("(e, top) => e.scrollTo({ top, behavior: 'instant' })", top)
        page.wait_for_timeout(300)  # figures and equations settle
        panel.screenshot(path=prefix.with_name(f"{prefix.name}_{number:02d}.png"))
    return len(tops)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, default=Path("build/look"), help="folder of the screenshots")
    parser.add_argument("--as-committed", action="store_true", help="show the stored outputs, run nothing")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a notebook may run")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.notebooks:
            shutil.copy(path, folder)
            if (pictures := path.parent / "pictures").is_dir():
                shutil.copytree(pictures, Path(folder, "pictures"), dirs_exist_ok=True)
        with jupyterlab(Path(folder)) as address, chromium() as page:
            for path in arguments.notebooks:
                panel = open_notebook(page, address, path.name)
                errors = [] if arguments.as_committed else run_all(page, arguments.timeout)
                count = save_slices(page, panel, arguments.to / path.stem)
                print(path.name, f"{count} slices", *errors, sep="\n  ")
                failed |= bool(errors)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
