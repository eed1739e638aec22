import warnings
from functools import partial

import numpy as np
import pytest

from diffusion import schedules
from diffusion.schedules import Schedule

MEMBERS = [  # add a member here, and it is tested
    partial(schedules.linear, end=0.1),
    partial(schedules.quad, end=0.2),
    partial(schedules.sigmoid, end=0.1),
    partial(schedules.sigmoid, end=0.1, span=3.0),
    schedules.cosine,
    partial(schedules.constant, beta=0.06),
    schedules.karras,
]


def name(member):
    return getattr(member, "func", member).__name__


@pytest.fixture
def weak():
    """Lets schedules end as weak as a test needs them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def check_schedule(schedule, steps):
    """What every schedule promises.

    Args:
        schedule: A `Schedule`.
        steps: How many steps it must have.
    """
    signal, noise = schedule.signal, schedule.noise
    assert schedule.steps == steps
    for table in (signal, noise, schedule.alpha_bar, schedule.beta, schedule.log_snr):
        assert table.shape == (steps + 1,) and table.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0.5
    assert signal[0] == 1 and noise[0] == 0 and signal[-1] >= 0
    np.testing.assert_allclose(signal**2 + noise**2, 1, rtol=0, atol=1e-12)
    assert (np.diff(signal) < 0).all() and (np.diff(noise) > 0).all()
    assert schedule.beta[0] == 0
    np.testing.assert_allclose(np.cumprod(1 - schedule.beta), signal**2, atol=1e-12)
    assert schedule.log_snr[0] == np.inf and (np.diff(schedule.log_snr) < 0).all()
    odds = signal[1:] ** 2 / noise[1:] ** 2
    np.testing.assert_allclose(np.exp(schedule.log_snr[1:]), odds, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 100])
@pytest.mark.parametrize("member", MEMBERS, ids=name)
def test_every_schedule_keeps_its_laws_and_so_does_its_rescaling(member, steps, weak):
    schedule = member(steps)
    check_schedule(schedule, steps)
    rescaled = schedule.rescale_zero_terminal_snr()
    check_schedule(rescaled, steps)
    assert rescaled.signal[-1] == 0 and rescaled.noise[-1] == 1
    assert rescaled.beta[-1] == 1 and rescaled.log_snr[-1] == -np.inf


def test_the_list_of_members_is_whole():
    assert {name(member) for member in MEMBERS} == set(schedules.SCHEDULES)


@pytest.mark.parametrize(
    "build, left",
    [  # the product of all `1 - beta`, and for Karras 1 / (1 + 80**2)
        (lambda: schedules.sigmoid(100, 1e-5, 5e-3), "7.78e-01"),
        (lambda: schedules.quad(100, 1e-5, 5e-3), "8.39e-01"),
        (lambda: schedules.linear(100, 1e-5, 1e-2), "6.05e-01"),
        (lambda: schedules.sigmoid(1000, 1e-5, 5e-3), "8.12e-02"),
        (lambda: schedules.sigmoid(1000, 1e-5, 1e-2), "6.57e-03"),
        (lambda: schedules.sigmoid(1000, 1e-5, 2e-2), "4.15e-05"),
        (lambda: schedules.linear(100, 1e-3, 0.2), "2.04e-05"),
        (lambda: schedules.sigmoid(100, 1e-5, 0.1), "5.39e-03"),
        (lambda: schedules.cosine(100), "2.43e-07"),
        (lambda: schedules.constant(50, 0.2), "1.43e-05"),
        (lambda: schedules.karras(100), "1.56e-04"),
    ],
)
def test_what_is_left_of_the_signal_at_the_end(build, left, weak):
    assert f"{build().alpha_bar[-1]:.2e}" == left


@pytest.mark.parametrize(
    "build, beta",
    [
        (lambda: schedules.linear(5, 0.1, 0.5), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (lambda: schedules.quad(3, 0.01, 0.49), [0.01, 0.16, 0.49]),
        (
            lambda: schedules.sigmoid(3, 0.1, 0.5, span=np.log(3)),  # 1/4, 1/2, 3/4
            [0.2, 0.3, 0.4],
        ),
        (lambda: schedules.constant(3, 0.3), [0.3, 0.3, 0.3]),
        (lambda: schedules.linear(1, 0.1, 0.5), [0.5]),
    ],
)
def test_betas_are_those_of_the_formula(build, beta, weak):
    np.testing.assert_allclose(build().beta[1:], beta, rtol=1e-13)


def test_the_cosine_is_a_cosine_but_for_its_last_step():
    t = np.arange(101) / 100
    level = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    schedule = schedules.cosine(100)
    np.testing.assert_allclose(schedule.alpha_bar[:-1], level[:-1] / level[0])
    assert np.isclose(schedule.beta[-1], 0.999)


def test_karras_sigmas_are_noise_over_signal():
    schedule = schedules.karras(3, sigma_min=1.0, sigma_max=27.0, rho=3.0)
    sigma = schedule.noise[1:] / schedule.signal[1:]
    np.testing.assert_allclose(sigma, [1, 8, 27])  # cube roots 1, 2, 3


def test_small_betas_stay_exact(weak):
    """`1 - product of (1 - beta)` would know four digits of this noise."""
    schedule = schedules.constant(3, 1e-12)
    np.testing.assert_allclose(schedule.noise**2, [0, 1e-12, 2e-12, 3e-12], rtol=1e-9)
    np.testing.assert_allclose(schedule.beta[1:], 1e-12, rtol=1e-9)


def test_a_schedule_that_never_reaches_noise_says_so_and_what_to_do():
    with pytest.warns(UserWarning, match=r"0\.778 .*rescale_zero_terminal_snr\(\)"):
        schedule = schedules.sigmoid(100, 1e-5, 5e-3)
    schedules.cosine(100)  # warnings are errors here: this one is silent
    schedule.rescale_zero_terminal_snr()
    schedules.build("sigmoid", 100, True, start=1e-5, end=5e-3)


def test_rescaling_keeps_time_1_and_shifts_the_signal_evenly():
    """Lin et al.: a line through (signal[1], signal[1]) and (signal[T], 0)."""
    schedule = schedules.linear(100, 1e-3, 0.1)
    before, after = schedule.signal[1:], schedule.rescale_zero_terminal_snr().signal[1:]
    line = np.interp(before, [before[-1], before[0]], [0, before[0]])
    np.testing.assert_allclose(after, line, atol=1e-15)
    np.testing.assert_array_equal(schedule.signal[1:], before)


def test_build_is_the_builder_of_that_name():
    assert schedules.build().steps == 1000
    built = schedules.build("karras", 20, sigma_max=50.0)
    np.testing.assert_array_equal(
        built.signal, schedules.karras(20, sigma_max=50.0).signal
    )
    assert schedules.build(steps=20, zero_terminal_snr=True).signal[-1] == 0
    assert repr(built) == "Schedule(steps=20, alpha_bar[T]=0.0004)"


@pytest.mark.parametrize(
    "make, rule",
    [
        (lambda: schedules.build("straight"), "`name` must be one of"),
        (lambda: schedules.linear(0), "int of at least 1"),
        (lambda: schedules.cosine(10.0), "int of at least 1"),
        (lambda: schedules.karras(True), "int of at least 1"),
        (lambda: schedules.linear(10, 0.0, 0.1), "between 0 and 1"),
        (lambda: schedules.constant(10, 1.0), "between 0 and 1"),
        (lambda: schedules.constant(10, np.nan), "between 0 and 1"),
        (lambda: schedules.sigmoid(10, span=0), "`span` must be above 0"),
        (lambda: schedules.cosine(10, offset=0), "`offset` must be above 0"),
        (lambda: schedules.karras(10, sigma_min=90.0), "sigma_min < sigma_max"),
        (lambda: schedules.karras(10, rho=0), "rho > 0"),
        (lambda: Schedule([1.0], [0.0]), "vectors of one length"),
        (lambda: Schedule([1, 0.6], [0, 0.8, 1]), "vectors of one length"),
        (lambda: Schedule([0.8, 0.6], [0.6, 0.8]), "start at signal 1"),
        (lambda: Schedule([1, 0.5], [0, 0.5]), "must be 1"),
        (lambda: Schedule([1, 0.6, 0.8], [0, 0.8, 0.6]), "must decrease"),
        (lambda: Schedule([1, 0.6, 0.6], [0, 0.8, 0.8]), "must decrease"),
        (lambda: Schedule([1, -0.6], [0, 0.8]), "must decrease"),
        (lambda: Schedule([1, np.nan], [0, 0.8]), "must be 1"),
    ],
)
def test_what_is_no_schedule_is_refused(make, rule):
    with pytest.raises(ValueError, match=f"{rule}.*Received"):
        make()


def test_noise_that_float64_rounds_to_1_may_stand_still_while_the_signal_falls():
    schedule = schedules.constant(200, 0.5)
    assert schedule.noise[-1] == 1 and schedule.signal[-1] < 1e-30
