"""Sphinx: the guides of this folder, and the API from the docstrings.

    python -m sphinx -W --keep-going -q -b html docs build/docs

Docstrings have Google's sections and Markdown's code; Sphinx reads reStructuredText.
"""

import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "Timbre"
author = "Timbre developers"
about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
release = about["project"]["version"]
extensions = [f"sphinx.ext.{name}" for name in ("autodoc", "autosummary", "napoleon")]
extensions += ["myst_parser"]
templates_path = ["_templates"]
html_title = f"Timbre {release}"
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "260px"}
html_show_copyright = False
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False  # Keras' own are not ours to check
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Call arguments", "params_style")]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links out of docs/: tests check them


def convert_markdown(app, what, name, obj, options, lines):
    """Turn fenced and indented code, and `code` in a line, into reStructuredText."""
    found, last, margin, fence = [], 0, None, None
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if text.startswith("```"):
            if fence is None:
                found += [f"{' ' * indent}.. code-block:: {text[3:] or 'text'}", ""]
            else:
                found.append("")
            fence, last = (indent if fence is None else None), indent
        elif fence is not None:
            found.append(f"   {line}" if text else "")
        elif not text:
            found.append("")
        elif margin is not None and indent > margin:
            found.append(line)
        elif found and not found[-1] and indent > last:
            margin = last
            found += [f"{' ' * last}::", "", line]
        else:
            margin, last = None, indent
            found.append(f"{PROSE}{line}")
    prose = re.compile(rf"(?:^{PROSE}.*\n?)+", re.MULTILINE)
    text = prose.sub(lambda match: _literals(match.group()), "\n".join(found))
    lines[:] = text.split("\n")


PROSE = "\0"  # before each line that is no code


def _literals(prose):
    prose = prose.replace(PROSE, "")
    return re.sub(r"(?<![`:])`([^`]+)`(?!`)(\w?)", _literal, prose)


def _literal(match):
    code, after = match.groups()
    return f"``{' '.join(code.split())}``" + (f"\\ {after}" if after else "")


def setup(app):
    """Called by Sphinx; before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", convert_markdown, priority=400)
