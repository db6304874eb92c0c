"""Execute the committed notebooks in place: what `make notebooks` does, and the only way their outputs are made.

Whatever differs between two equal runs (timings, widgets, the kernel's version) is left out, so that git shows only
real changes. A notebook that fails stays as it was.
"""

import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from pages import strip_widgets
from PIL import Image
from reproduce import NOTEBOOKS
from scipy.spatial import KDTree

from mecsim.experiments.kernels import OwnKernel
from mecsim.experiments.store import ensure_writable, write_atomically

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
KEPT_CELL_METADATA = {"tags", "jupyter"}
COLOURS = 128
"""Of a figure's palette. Half are its most frequent ones, so that lines, areas and letters keep theirs exactly; the
others are those farthest from what is there so far, so that no small mark turns into another colour."""


def execute(path: Path) -> None:
    """Runs one notebook from a clean kernel and writes it back with its outputs."""
    ensure_writable(path.parent)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_manager_class=OwnKernel,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    normalise(notebook)
    write_atomically(path, f"{nbformat.writes(notebook)}\n".encode())


def normalise(notebook: NotebookNode) -> None:
    """Keeps of a notebook what its author wrote and what its code printed and drew."""
    strip_widgets(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.metadata = nbformat.from_dict(
            {k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA}
        )
        cell.setdefault("id", f"cell-{number:02d}")
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = shrunk(output.data["image/png"])
    notebook.nbformat, notebook.nbformat_minor = 4, 5


def shrunk(figure: str) -> str:
    """A PNG, in base64, with a palette."""
    image, content = Image.open(BytesIO(b64decode(figure))).convert("RGB"), BytesIO()
    points = np.asarray(image).reshape(-1, 3)
    colours, which, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    palette = colours[np.argsort(-counts, kind="stable")[: COLOURS // 2]]
    off, nearest = map(np.asarray, KDTree(palette).query(colours))
    while len(palette) < COLOURS and off.max() > 0:
        palette = np.vstack([palette, colours[off.argmax()]])
        away = np.linalg.norm(colours - palette[-1].astype(float), axis=1)
        nearest[away < off], off = len(palette) - 1, np.minimum(off, away)
    small = Image.frombytes("P", image.size, nearest.astype(np.uint8)[which].tobytes())
    small.putpalette(palette.tobytes())
    small.save(content, "PNG", optimize=True)
    return b64encode(content.getvalue()).decode()


def main(names: list[str]) -> int:
    """Executes the named notebooks, or all of them; 1 if one failed."""
    failed = 0
    for path in map(Path, names or sorted(NOTEBOOKS.glob("*.ipynb"))):
        print(path.name, flush=True)
        try:
            execute(path.resolve())
        except (CellExecutionError, DeadKernelError) as error:
            print(f"{path.name} failed and stays as it was:\n{error}", file=sys.stderr)
            failed += 1
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
