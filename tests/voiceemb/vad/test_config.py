"""Numbers that no detector of speech can have are refused where they are written."""

import inspect

import pytest

from voiceemb.vad.config import ActivityDetector, Network, Scenes, Synthetic
from voiceemb.vad.network import ActivityNetwork


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: Network(kernel=1), "`kernel` of Network must be at least 2"),
        (lambda: Network(ahead=-1), "`ahead` of Network"),
        (lambda: Network(units=0), "`units` of Network"),
        (lambda: Scenes(seconds=0.5), "`seconds` of Scenes"),
        (lambda: Scenes(noises=0), "`noises` of Scenes"),
        (lambda: Scenes(silent=1.5), "`silent` of Scenes is a share"),
        (lambda: Scenes(room=float("nan")), "`room` of Scenes is a share"),
        (lambda: Scenes(snr_db=(9.0, 3.0)), "`snr_db` of Scenes goes from low to high"),
        (lambda: Scenes(gain_db=(0.0, float("nan"))), "`gain_db` of Scenes"),
        (lambda: Synthetic(num_speakers=1), "`num_speakers` of Synthetic"),
        (lambda: ActivityDetector(steps=0), "`steps` of ActivityDetector"),
        (lambda: ActivityDetector(validation_speakers=0), "`validation_speakers`"),
    ],
)
def test_a_number_that_can_not_be_is_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_the_network_of_a_config_is_that_of_the_class():
    given = inspect.signature(ActivityNetwork).parameters
    defaults = {name: given[name].default for name in ActivityNetwork.ARGUMENTS}
    assert vars(Network()) == defaults
