"""Gradio without the internet: telemetry and update checks are switched off."""

import os
from contextlib import contextmanager

QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
LOCAL = "127.0.0.1,localhost,::1"


def load():
    """Import `gradio`, an extra, with telemetry switched off."""
    os.environ.update(QUIET)  # read at import, and again by each page
    try:
        import gradio
    except ImportError as error:
        rule = 'The page is an extra: pip install "gradio>=6.31,<7"'
        raise ImportError(rule) from error
    return gradio


@contextmanager
def environment(folder):
    """Within it Gradio keeps its files in `folder` and reaches itself without proxy."""
    changed = {"GRADIO_TEMP_DIR": str(folder)}
    for name in ("no_proxy", "NO_PROXY"):
        changed[name] = ",".join(filter(None, (os.environ.get(name), LOCAL)))
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
