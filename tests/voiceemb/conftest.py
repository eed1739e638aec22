"""What several tests of voices begin with; a module may have its own by these names."""

import functools
import importlib.util
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pretrained():
    """The encoder that comes with the package."""
    from voiceemb import Encoder

    return Encoder.pretrained()


@functools.cache
def _once(load, run, folder=None):
    """What `load` makes of a run, which may be a path in the current folder."""
    return load(run)


@pytest.fixture(scope="module")
def networks_loaded_once():
    """Commands share one encoder a run: it takes a second to build and to trace.

    One with a calibration of its own is loaded anew.
    """
    from voiceemb import report
    from voiceemb.commands import io

    load, untrained = io.load_encoder, report.build_untrained

    def load_encoder(run, calibration=None):
        return load(run, calibration) if calibration else _once(load, run, Path.cwd())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "load_encoder", load_encoder)
        patch.setattr(report, "build_untrained", functools.partial(_once, untrained))
        yield


@pytest.fixture
def band_encoder():
    """An encoder of bands of the spectrum, calibrated."""
    from tests.voiceemb.bands import LINE, encoder

    found = encoder()
    found.calibration = LINE
    return found


@pytest.fixture
def people(tmp_path, band_encoder):
    """A store of people with nobody in it."""
    from tests.voiceemb.bands import Loud
    from voiceemb.enrolment.people import People

    return People.create(tmp_path / "people", band_encoder, detector=Loud())


@pytest.fixture
def talk(tmp_path):
    """A sound for the page."""
    from tests.voiceemb.page.pages import recorded

    return recorded(tmp_path / "talk.wav")


@pytest.fixture
def opened(tmp_path, talk):
    """The same, analysed."""
    from tests.voiceemb.page.pages import analysed

    return analysed(tmp_path, talk)


@pytest.fixture
def benchmark(request, monkeypatch):
    """A module's `SCRIPT` as a module; what it sets for its own process is undone."""
    script = request.module.SCRIPT
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
    name = f"{script.stem}_benchmark"
    spec = importlib.util.spec_from_file_location(name, script)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module
