"""Numbers that no detector of speech can have are refused where they are written."""

import inspect

import pytest

from voiceemb.vad.config import MixtureConfig, VadConfig, VadNetworkConfig
from voiceemb.vad.network import ActivityNetwork


@pytest.mark.parametrize(
    "make, rule",
    [
        (
            lambda: VadNetworkConfig(kernel=1),
            "`kernel` of VadNetworkConfig must be at least 2",
        ),
        (lambda: VadNetworkConfig(ahead=-1), "`ahead` of VadNetworkConfig"),
        (lambda: VadNetworkConfig(units=0), "`units` of VadNetworkConfig"),
        (lambda: MixtureConfig(seconds=0.5), "`seconds` of MixtureConfig"),
        (lambda: MixtureConfig(noises=0), "`noises` of MixtureConfig"),
        (lambda: MixtureConfig(silent=1.5), "`silent` of MixtureConfig is a share"),
        (
            lambda: MixtureConfig(room=float("nan")),
            "`room` of MixtureConfig is a share",
        ),
        (
            lambda: MixtureConfig(snr_db=(9.0, 3.0)),
            "`snr_db` of MixtureConfig goes from low to high",
        ),
        (
            lambda: MixtureConfig(gain_db=(0.0, float("nan"))),
            "`gain_db` of MixtureConfig",
        ),
        (lambda: VadConfig(steps=0), "`steps` of VadConfig"),
        (lambda: VadConfig(validation_speakers=0), "`validation_speakers`"),
    ],
)
def test_a_number_that_can_not_be_is_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_the_network_of_a_config_is_that_of_the_class():
    given = inspect.signature(ActivityNetwork).parameters
    defaults = {name: given[name].default for name in ActivityNetwork.arguments()}
    assert vars(VadNetworkConfig()) == defaults
