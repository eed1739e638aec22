import math

import keras
import pytest

from timbre.training.networks import ConfiguredByArguments, select


class Base(ConfiguredByArguments, keras.layers.Layer):
    def __init__(self, width=2, *, depth=(1,), **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.depth = tuple(depth)
        self.check_min(width=1, depth=1)


class Wide(Base):
    def __init__(self, factor=3, limit=None, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.limit = limit
        self.check_min(factor=1, limit=1)


class Closed(Base):
    """Takes no argument of its base but one."""

    def __init__(self, width):
        super().__init__(width)


def test_arguments_are_those_of_all_constructors_up_to_keras():
    assert Base.arguments() == ("width", "depth")
    assert set(Wide.arguments()) == {"factor", "limit", "width", "depth"}
    assert Closed.arguments() == ("width",)


def test_a_config_makes_an_equal_layer():
    layer = Wide(5, width=4, depth=(2, 3), name="one", dtype="float16")
    again = Wide.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.factor, again.width, again.depth) == (5, 4, (2, 3))
    assert again.name == "one" and again.compute_dtype == "float16"


@pytest.mark.parametrize(
    "arguments, name",
    [
        ({"width": 0}, "width"),
        ({"width": math.nan}, "width"),
        ({"depth": (2, 0)}, "depth"),
    ],
)
def test_an_argument_below_its_limit_is_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: "):
        Base(**arguments)
    assert Wide(limit=None).limit is None


def test_a_network_takes_its_share_of_a_config():
    networks = {"base": Base, "wide": Wide}
    given = {"width": 1, "factor": 7}
    assert select(networks, "base", given) == (Base, {"width": 1})
    assert select(networks, "wide", given) == (Wide, given)
    with pytest.raises(ValueError, match="must be one of .'base', 'wide'.*'deep'"):
        select(networks, "deep", {})
    with pytest.raises(TypeError, match="Received: .'widht'"):
        select(networks, "base", {"widht": 1})
