"""A notebook served by Voilà on the loopback, for the browser tests and for looking at it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import free_port, serving

KERNEL_S = 300


@contextmanager
def voila(notebook: Path) -> Iterator[str]:
    """Serves one notebook, run anew for each visitor, and yields its address."""
    port = free_port()
    options = [
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
        f"--VoilaExecutor.timeout={KERNEL_S}",
    ]
    command = [sys.executable, "-m", "voila", str(notebook), *options]
    with serving(command, f"http://127.0.0.1:{port}/voila/static/voila.js"):
        yield f"http://127.0.0.1:{port}/"
