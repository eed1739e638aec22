"""Numbers that can not be are refused where they are written, before any work."""

import dataclasses
import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from timbre.training import config as configs
from timbre.training.config import OptimiserConfig, RunConfig, check_min


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleConfig(RunConfig):
    """A system's config: what all runs share, and more."""

    name: str = "example"
    rate: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        check_min(self, rate=0)


def test_a_system_adds_its_numbers_to_those_all_runs_share():
    shared = [field.name for field in dataclasses.fields(RunConfig)]
    config = dataclasses.asdict(ExampleConfig(seed=3, rate=0.25))
    assert list(config) == [*shared, "rate"]
    assert (config["name"], config["seed"], config["rate"]) == ("example", 3, 0.25)


@pytest.mark.parametrize(
    "make, rule",
    [
        (
            lambda: ExampleConfig(rate=-1),
            "`rate` of ExampleConfig must be at least 0. Rece.*: -1",
        ),
        (
            lambda: ExampleConfig(log_every=0),
            "`log_every` of ExampleConfig must be at least 1",
        ),
        (lambda: ExampleConfig(validate_every=0), "`validate_every` of ExampleConfig"),
        (lambda: ExampleConfig(save_every=0), "`save_every` of ExampleConfig"),
        (lambda: ExampleConfig(patience=0), "`patience` of ExampleConfig"),
        (lambda: ExampleConfig(stop_after=0), "`stop_after` of ExampleConfig"),
        (lambda: ExampleConfig(name=""), "`name` must name one folder"),
        (lambda: ExampleConfig(name=".."), "`name` must name one folder"),
        (lambda: ExampleConfig(name="../x"), "`name` must name one folder"),
        (lambda: OptimiserConfig(learning_rate=0.0), "`learning_rate` of Optimiser"),
        (lambda: OptimiserConfig(ema=1.0), "`ema` of .* below 1. Received: 1.0"),
        (lambda: OptimiserConfig(ema_warm_up=True), "`ema_warm_up` needs an average"),
        (lambda: OptimiserConfig(clip_norm=0.0), "`clip_norm` of OptimiserConfig"),
        (
            lambda: OptimiserConfig(final_rate=float("nan")),
            "`final_rate` of OptimiserConfig",
        ),
    ],
)
def test_a_number_that_can_not_be_is_named(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_what_is_none_has_no_limit():
    assert ExampleConfig(stop_after=None).stop_after is None
    assert OptimiserConfig(clip_norm=None, ema=None).ema is None


@dataclasses.dataclass(frozen=True)
class NestedConfig:
    """A field by its present name."""

    sizes: tuple[int, ...] = (1,)
    RENAMED = {"lengths": "sizes"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class WholeConfig(ExampleConfig):
    """A config with another one inside."""

    part: NestedConfig = NestedConfig()
    RENAMED = {"piece": "part"}


def test_a_config_comes_back_from_json_also_by_its_former_names():
    whole = WholeConfig(seed=3, part=NestedConfig((2, 5)))
    saved = json.loads(json.dumps(dataclasses.asdict(whole)))
    assert configs.from_dict(WholeConfig, saved) == whole
    saved["piece"] = {"lengths": saved.pop("part")["sizes"]}
    del saved["rate"]  # not yet a field then
    assert configs.from_dict(WholeConfig, saved) == whole
    with pytest.raises(ValueError, match="WholeConfig has no field `colour`"):
        configs.from_dict(WholeConfig, saved | {"colour": "red"})


def test_a_subset_has_every_field_of_the_parent():
    values = configs.subset(WholeConfig(rate=0.25), ExampleConfig)
    assert values["rate"] == 0.25 and "part" not in values
    assert configs.subset(WholeConfig(), WholeConfig)["part"] == {"sizes": (1,)}


def test_configs_are_read_without_numpy_or_anything_heavier():
    code = "import sys, configs; print({'numpy', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr
