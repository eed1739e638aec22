"""The page, served, and what somebody does with it in a browser."""

import contextlib
import os
import signal
import socket
import sys
import time

from tests import programs
from tests.conftest import ROOT

CHROMIUM = [
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@contextlib.contextmanager
def served(folder, *options):
    """Where the page is served; nothing of it is left on the disk afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "tests/voiceemb/page/pages.py", str(port), *options]
    told = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "GRADIO_IS_E2E_TEST": "1"}
    program = programs.Program(command, cwd=ROOT, env=os.environ | told)
    try:
        wait(lambda: program.poll() is not None or _answers(port), 60)
        assert program.poll() is None, program.communicate()
        yield f"http://127.0.0.1:{port}"
    finally:
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0, program.communicate()
    assert not list(folder.glob("timbre-page-*"))


def _answers(port):
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def wait(happened, seconds=20):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def give(page, path):
    """Gives a file, and waits until it, or what is wrong with it, is shown."""
    before = ".when-player audio, .when-turn, .when-error"
    page.evaluate(
        f"document.querySelectorAll('{before}').forEach(x => x.dataset.before = 1)"
    )
    page.set_input_files("#file input[type=file]", path)
    page.wait_for_selector(":is(.when-player audio, .when-error):not([data-before])")


def find(page, path):
    give(page, path)
    page.click("#find")
    page.wait_for_selector(".when-turn:not([data-before])")


def shown(page):
    return page.locator(".when-name").all_inner_texts()


def heard(page):
    return page.evaluate("document.querySelector('.when-player audio').currentTime")


def paused(page):
    return page.evaluate("document.querySelector('.when-player audio').paused")


def pressed(page):
    """The turns that are marked as being heard."""
    now = page.locator(".when-now").all()
    return [turn.get_attribute("aria-label") for turn in now]


def rename(page, name):
    page.fill("#name textarea, #name input", name)
    page.click("#rename")
    page.wait_for_function("name => document.body.innerText.includes(name)", arg=name)


def downloaded(page, suffix):
    """The file that a button gives, and the name it is offered under."""
    with page.expect_download() as waiting:
        page.click(f"#download-{suffix}")
    return waiting.value.path(), waiting.value.suggested_filename
