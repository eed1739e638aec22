"""Serve the page, to this machine alone, until it is interrupted."""

import errno
import ipaddress
import signal
import socket
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from timbre.plotting import COLOURS
from voiceemb.page import PORT, gradio_offline
from voiceemb.page.request_filter import LOOPBACK, RequestFilter

MAX_PORT = 2**16 - 1
MAX_UPLOAD = "1gb"  # of a sound file: an hour and a half of stereo WAV
STYLE = Path(__file__).with_name("page.css")
BLUE, DARKER_BLUE = COLOURS[0], "#005B8E"
FONTS = ("system-ui", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
OFF = (  # options of Gradio that call out or show more
    "share ssr_mode mcp_server enable_monitoring run_history pwa inline show_error"
)
MONO = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")


def launch(
    port=PORT,
    *,
    host="127.0.0.1",
    browser=False,
    encoder=None,
    people=None,
    detector=None,
    diarize=None,
):
    """Serve the page until it is interrupted, then remove its files.

    Args:
        port: Where, from 1 to 65535. Defaults to `PORT`, which is 7860.
        host: Defaults to the loopback, which no other machine reaches. Any other
            address opens the page, without a password, to whoever reaches that.
        browser: Whether to open it in the browser too. Defaults to `False`.
        encoder, people, detector, diarize: As of `page.build`.
    """
    gradio_offline.load()
    check_port(port, host)
    from voiceemb.page.app import build

    with tempfile.TemporaryDirectory(prefix="timbre-page-") as folder, _stopping():
        with gradio_offline.environment(folder):
            page = build(encoder, people, detector=detector, diarize=diarize)
            page.queue(api_open=False)
            try:
                service = _service(host, port)
                page.launch(**service, theme=_theme(), inbrowser=browser)
                print(f"Who speaks when: {page.local_url}", file=sys.stderr, flush=True)
                page.block_thread()
            finally:
                page.close(verbose=False)


def check_port(port, host="127.0.0.1"):
    """Raise before any work if the page can not be served there.

    Port 0, by which a system chooses a free one, is refused.
    """
    if not 1 <= port <= MAX_PORT:
        raise ValueError(
            f"A port is a whole number from 1 to {MAX_PORT}. Received: {port}"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"Port {port} is taken; choose another by --port.") from error


def is_loopback(host) -> bool:
    """Whether an address is one that no other machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _service(host, port):
    """Arguments of Gradio's server; all that calls out or shows more is off."""
    from starlette.middleware import Middleware

    hosts = (*LOOPBACK, host) if is_loopback(host) else None
    return {
        **dict.fromkeys(OFF.split(), False),
        "server_name": host,
        "server_port": port,
        "quiet": True,
        "footer_links": [],
        "prevent_thread_lock": True,
        "max_file_size": MAX_UPLOAD,
        "app_kwargs": {"middleware": [Middleware(RequestFilter, hosts=hosts)]},
        "css": STYLE.read_text("utf-8"),
    }


def _theme():
    """System fonts, and contrasts of 4.5 and more between text and background."""
    themes = gradio_offline.load().themes
    hues = {"primary_hue": "blue", "neutral_hue": "slate"}
    return themes.Base(**hues, font=FONTS, font_mono=MONO).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        button_primary_background_fill=BLUE,
        button_primary_background_fill_dark=BLUE,
        button_primary_background_fill_hover=DARKER_BLUE,
        button_primary_background_fill_hover_dark=DARKER_BLUE,
    )


@contextmanager
def _stopping():
    """Within it SIGTERM cleans up as an interrupt does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
