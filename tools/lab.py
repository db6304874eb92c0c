"""A real JupyterLab on the loopback, and a notebook in it driven by Chromium: for the browser tests and look.py."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # keep cells out of view in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
START_S = 60
# JupyterLab shows a traceback as it shows whatever else goes to stderr, and a notebook should have neither.
ERRORS = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
SETTLED = """(errors) => document.querySelector(errors) !== null
    || [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].every(
        (prompt) => /\\d/.test(prompt.textContent))"""


def find_chromium() -> str | None:
    """The path of a Chromium of the system's, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Serves a folder from a JupyterLab with settings of its own; yields an address with a `{}` for the notebook.

    Raises:
        RuntimeError: the server ended or stays silent.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    address = f"http://127.0.0.1:{port}"
    options = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with tempfile.TemporaryDirectory() as home:
        server = subprocess.Popen(command, env=lab_environment(Path(home)), stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START_S
            while not answers(f"{address}/api?token={token}"):
                if time.monotonic() > deadline or server.poll() is not None:
                    raise RuntimeError(f"The Jupyter server did not answer within {START_S} s.")
                time.sleep(0.2)
            yield f"{address}/lab/tree/{{}}?token={token}&reset"
        finally:
            server.terminate()
            server.wait(timeout=30)


def answers(address: str) -> bool:
    """Is there a server at an address?"""
    try:
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        without_proxy.open(address).close()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def lab_environment(home: Path) -> dict[str, str]:
    """Variables that keep the user's own Jupyter settings out, with ours written under home."""
    for name, setting in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(setting), encoding="utf-8")
    folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    ours = {f"JUPYTER_{name}": str(home / folder) for name, folder in folders.items()}
    ours |= {f"JUPYTERLAB_{name.upper()}_DIR": str(home / name) for name in ("settings", "workspaces")}
    ours["JUPYTER_PATH"] = ""  # where another Python's kernel may have the name of ours
    return os.environ | ours


@contextmanager
def chromium() -> Iterator[Page]:
    """A page of a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        try:
            yield browser.new_page(viewport={"width": 1200, "height": 1400})
        finally:
            browser.close()


def open_notebook(page: Page, address: str, name: str) -> Locator:
    """Shows a notebook of the served folder and waits for its kernel; the first load of a Lab may need a second try."""
    for last_try in (False, True):
        try:
            page.goto(address.format(name))
            expect(page.locator("#jp-main-statusbar")).to_contain_text(re.compile(r"\| Idle"), timeout=30_000)
            break
        except (Error, AssertionError):
            if last_try:
                raise
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")


def run_all(page: Page, timeout_s: float) -> list[str]:
    """Clears the outputs, runs all cells and waits until the last one is through or one fails; returns the errors."""
    for menu, item in (("Edit", "Clear Outputs of All Cells"), ("Run", "Run All Cells")):
        page.get_by_role("menuitem", name=menu, exact=True).click()
        page.get_by_role("menuitem", name=item, exact=True).click()
    page.wait_for_function(SETTLED, arg=ERRORS, timeout=1000 * timeout_s)
    return page.locator(ERRORS).all_inner_texts()
