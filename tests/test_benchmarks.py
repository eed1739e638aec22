"""Benchmarks run from end to end, on little; what they measure is in their README."""

import os
import subprocess
import sys

import pytest

from diffusion.speakers import config
from tests import programs
from tests.conftest import ROOT
from tests.diffusion.speakers.runs import make_run

PEER = os.environ.get("PEER_PYTHON", sys.executable)
SMALL = ("--train-steps", "20", "--width", "16", "--dim", "8", "--runs", "1")


def sampling(*arguments):
    """The tables that `benchmarks/sampling.py` prints, as lists of lines."""
    command = [sys.executable, ROOT / "benchmarks" / "sampling.py", *SMALL, *arguments]
    done = programs.run(command)
    assert done.returncode == 0, done.stderr[-2000:]
    return [table.splitlines() for table in done.stdout.strip().split("\n\n")]


@pytest.mark.slow
def test_sampling_shows_each_way_and_each_sampler_and_how_to_have_the_peer():
    about, ways, quality, peer = sampling("--steps", "5", "2000")
    assert "floor" in about[1]
    assert "eager" in ways[1] and "XLA" in ways[4] and len(ways) == 8
    same = [line.split()[-3:] for line in ways[1:4]]
    assert same[0] == same[1] == same[2]  # the voices are the same, so are the figures
    assert quality[0].split()[-2:] == ["5", "steps"]  # 2,000 are more than there are
    names = ["ddpm", "ddim", "heun", "dpm_solver", "unipc"]
    assert [line.split()[0] for line in quality[1:]] == names
    assert "pip install" in peer[2]


@pytest.mark.slow
def test_flows_shows_a_row_of_ours_and_how_to_have_the_peers():
    command = [sys.executable, ROOT / "benchmarks" / "flows.py", "--quick"]
    command += ["--no-xla", "--flows", "realnvp"]
    done = programs.run(command)
    assert done.returncode == 0, done.stderr[-2000:]
    about, table, how_to = done.stdout.strip().split("\n\n")
    head, ours = table.splitlines()
    assert head.split()[0] == "realnvp" and ours.split()[0] == "ours"
    parameters, *figures = ours.split()[1:]
    assert int(parameters.replace(",", "")) > 1000 and len(figures) == 9
    assert min(float(time) for time in figures[::3]) > 0
    assert figures[1::3] == ["1.00"] * 3  # ours is what ours is compared with
    assert "pip install torch" in how_to and "nflows" in how_to


@pytest.mark.slow
def test_diffusers_and_we_draw_the_same_voices_where_nothing_is_left_to_chance(
    tmp_path,
):
    """With weights at random, labels unknown: times, levels and layers must agree."""
    needed = [PEER, "-c", "import torch, diffusers"]
    if subprocess.run(needed, capture_output=True).returncode:
        pytest.skip("torch and diffusers are not installed (PEER_PYTHON names where)")
    run = make_run(tmp_path / "run", schedule=config.ScheduleConfig(steps=100))
    _, peer = sampling("--parts", "peer", "--peer", PEER, "--run", run)
    found = {tuple(line.split()[:2]): line.split()[-1] for line in peer[1:]}
    for name in ("ddim", "dpm_solver", "unipc"):
        assert float(found[name, "20"]) < 1e-3
