"""A notebook served by Voilà on the loopback, for the browser tests and for looking at it."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import lab_environment, wait_for_server

KERNEL_S = 300


@contextmanager
def voila(notebook: Path) -> Iterator[str]:
    """Serves one notebook, run anew for each visitor, and yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
        f"--VoilaExecutor.timeout={KERNEL_S}",
    ]
    with tempfile.TemporaryDirectory() as home:
        server = subprocess.Popen(
            [sys.executable, "-m", "voila", str(notebook), *options],
            env=lab_environment(Path(home)),
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_server(f"http://127.0.0.1:{port}/voila/static/voila.js", server)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait(timeout=30)
