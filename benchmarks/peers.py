"""Peers that are measured in turn or together, each in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from traceback import format_exc
from typing import Any, Self

import psutil

from mecsim.experiments.parallel import THREAD_VARIABLES

PATIENCE_S = 5.0
"""How long a peer may take to end by itself."""


class PeerDied(RuntimeError):
    """The process of a peer ended before it answered."""


class Peer:
    """A process that sets something up once and then works on request.

    The process is a fresh interpreter: memory, the allocator's settings and threads are its own. What goes wrong in it
    is raised here, and `PeerDied` at every request once it has ended. Use it as a context manager, which ends it.

    Args:
        name: what messages call the peer.
        setup: is called once, in the process, with `args`; what it returns is called at every request. A class or a
            function that can be imported by its name.
        args: what `setup` is called with.
        threads: how many PyTorch, OpenMP and BLAS may use in the process.
    """

    def __init__(self, name: str, setup: Callable[..., Callable[..., Any]], *args: Any, threads: int) -> None:
        self.name = name
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._ready = False
        self._send((setup, args))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()  # a peer that waits for work ends by itself
        self._process.join(PATIENCE_S)
        self._process.terminate()
        self._process.join()

    def wait(self) -> None:
        """Returns once the peer is set up."""
        if not self._ready:
            self.answer()
            self._ready = True

    def begin(self, *args: Any) -> None:
        """Has the peer work, and does not wait for it; `answer` does."""
        self.wait()
        self._send(args)

    def answer(self) -> Any:
        """What the work begun last gave."""
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, *args: Any) -> Any:
        """Has the peer work, and returns what the work gave."""
        self.begin(*args)
        return self.answer()

    def _send(self, request: tuple) -> None:
        try:
            self._connection.send(request)
        except OSError:
            raise self._death() from None

    def _death(self) -> PeerDied:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return PeerDied(
            f"{self.name}: its process was ended {how} before it answered; is there enough free memory?"
        )


def in_turn(peers: Sequence[Peer], repeats: int, *args: Any) -> Iterator[list[Any]]:
    """Asks the peers one after the other, so often; yields the answers of a repeat, one a peer."""
    for peer in peers:
        peer.wait()  # nothing is measured while another peer is being set up
    for _ in range(repeats):
        yield [peer.ask(*args) for peer in peers]


def together(peers: Sequence[Peer], *args: Any) -> list[Any]:
    """Asks all peers at the same time and returns their answers, one a peer."""
    for peer in peers:
        peer.wait()
    for peer in peers:
        peer.begin(*args)
    return [peer.answer() for peer in peers]


def peak_rss_bytes() -> int:
    """Peak resident size of this process since its program started."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss starts from the peak of the process that started this one
        line = next(
            line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")
        )
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # which Windows has not

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _serve(connection: Connection, threads: int) -> None:
    """Runs in the peer's process until its parent is gone."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))  # before the libraries are loaded
    os.dup2(2, 1)  # standard output belongs to the parent's report
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the peer
    try:
        setup, args = connection.recv()
        work, answer = setup(*args), None
        while True:
            connection.send(answer)
            answer = work(*connection.recv())
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        error.add_note(format_exc())
        connection.send(error)
