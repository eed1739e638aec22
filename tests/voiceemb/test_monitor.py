import pytest

from voiceemb.monitor import Collapsed, CollapseMonitor

HEALTHY = {"loss": 0.05, "same": 0.8, "other": 0.1, "spread": 0.9}
FLAT = {"loss": 0.1, "same": 1.0, "other": 1.0, "spread": 0.001}


def test_a_collapsed_run_stops_with_advice():
    monitor = CollapseMonitor(patience=3)
    for step in (1, 2):
        monitor(step, FLAT)
    with pytest.raises(Collapsed, match="one point.*softmax pre-training"):
        monitor(3, FLAT)


def test_a_passing_low_stops_nothing():
    monitor = CollapseMonitor(patience=3)
    for step in range(20):
        monitor(step, HEALTHY if step % 3 == 2 else FLAT)
