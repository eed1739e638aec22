"""The built wheel: what it installs; it runs beside modules of common names."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import soundfile

from tests import programs
from tests.conftest import ROOT

PACKAGES = {"timbre", "voiceemb", "flows", "diffusion"}
# What a user's folder, or another distribution, may well hold beside ours.
COMMON_NAMES = ("metrics.py", "configs.py", "files.py", "training/__init__.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from what git tracks (a build folder of before is not asked)."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True).stdout
    if not names:  # an unpacked archive: everything in it is ours
        source = ROOT
    else:
        source = folder / "source"
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():  # not one that was removed just now
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"]
    command += ["--no-build-isolation", "-w", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder for `PYTHONPATH`: the wheel, and another `progress` beside it."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    (folder / "progress").mkdir()
    (folder / "progress" / "__init__.py").write_text("raise ImportError('not ours')")
    return folder


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of the user's, with two recordings and files of common names."""
    for name in COMMON_NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise ImportError('the file of the user')")
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, 0.1 * rng.normal(size=32000), 16000)
    return tmp_path


def run(installed, folder, *arguments):
    """Runs `python -m ...` in a folder, with the wheel on the path."""
    done = programs.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_wheel_holds_the_packages_with_their_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    (listed,) = (name for name in names if name.endswith("top_level.txt"))
    text = zipfile.ZipFile(wheel).read(listed).decode()
    assert set(text.split()) == PACKAGES
    for name in PACKAGES:
        assert f"{name}/py.typed" in names
    for data in (
        "pretrained/small/model.weights.h5",
        "page/page.css",
    ):
        assert f"voiceemb/{data}" in names
    (metadata,) = (name for name in names if name.endswith("dist-info/METADATA"))
    lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
    assert "Name: timbre-voice" in lines and "Author: Timbre developers" in lines


@pytest.mark.slow
def test_it_verifies_beside_modules_of_common_names(installed, elsewhere):
    said = run(installed, elsewhere, "voiceemb", "verify", "a.wav", "b.wav")
    assert "cosine" in said


@pytest.mark.slow
def test_it_trains_beside_modules_of_common_names(installed, elsewhere):
    options = ("--preset", "smoke", "--steps", "2")
    run(installed, elsewhere, "diffusion", "train", "speakers", *options)
    (run_folder,) = (elsewhere / "runs").iterdir()
    assert (run_folder / "export" / "1" / "saved_model.pb").is_file()
