"""Progress: a bar on a terminal, few lines in a log, all on stderr, all true."""

import os
import struct
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT
from timbre import progress
from timbre.progress import ProgressBar


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test says so, for bars made from now on."""
    clock = SimpleNamespace(now=1000.0)
    make = ProgressBar.__init__

    def with_clock(bar, *arguments, **options):
        make(bar, *arguments, **options)
        bar._time = lambda: clock.now
        bar.start_t = bar.last_print_t = clock.now

    monkeypatch.setattr(ProgressBar, "__init__", with_clock)
    return clock


@pytest.fixture
def switching():
    """Threads that take turns as often as they can, so a race shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_a_log_gets_a_line_now_and_then_and_the_last_count(capsys, clock):
    with ProgressBar("caching", 1200, unit="file") as bar:
        for _ in range(1200):
            clock.now += progress.LOG_INTERVAL_S / 480
            bar.update()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert not out and "\r" not in err and err.isascii()
    counts = [line.split("|")[2].split()[0] for line in lines]
    assert counts == ["0/1200", "480/1200", "960/1200", "1200/1200"]
    shown = "caching:  40%|####      | 480/1200 [00:15<00:22, 32.00file/s]"
    assert lines[1] == shown


def test_pace_counts_from_where_the_work_was_resumed(capsys, clock):
    with ProgressBar("softmax", 30_000, initial=10_000) as bar:
        clock.now += 100
        bar.update(200)
    assert "10200/30000 [01:40<2:45:00,  2.00it/s]" in capsys.readouterr().err


def test_bytes_are_written_with_their_prefix(capsys, clock):
    with ProgressBar(
        "dev-clean", 5 << 20, unit="B", unit_scale=True, unit_divisor=1024
    ) as bar:
        clock.now += 1
        bar.update(1 << 20)
    assert "1.00M/5.00M [00:01<00:04, 1.05MB/s]" in capsys.readouterr().err


def test_work_of_unknown_length_is_counted(capsys, clock):
    with ProgressBar("fetching", None) as bar:
        bar.update(7)
    assert "fetching: 7it" in capsys.readouterr().err


def test_numbers_and_notes_stand_in_a_log_in_order(capsys, clock):
    with ProgressBar("softmax", 2) as bar:
        bar.set_postfix(loss=0.51234, refresh=False)
        bar.note("eer 0.1")
        clock.now += 60
        bar.update()
        bar.note("eer 0.2")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1::2] == ["eer 0.1", "eer 0.2"] and "loss=0.512" in lines[2]


WORK = """
from timbre.progress import ProgressBar
with ProgressBar("softmax", 4) as bar:
    bar.update(2)
    bar.note("eer 0.1")
    bar.update(2)
"""


def shown(rows, columns):
    """What a terminal of this size gets to see."""
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    command = [sys.executable, "-c", WORK]
    done = subprocess.run(command, cwd=ROOT, stderr=terminal)
    text = os.read(screen, 1 << 16).decode()
    os.close(screen)
    os.close(terminal)
    assert done.returncode == 0
    return text.replace("\r\n", "\n")


def test_a_terminal_gets_one_bar_that_notes_push_aside():
    before, after = shown(24, 80).split("eer 0.1\n")
    _, bar, *_, wiped, note = before.split("\r")
    assert bar.startswith("softmax:   0%|") and "0/4" in bar and len(bar) < 80
    assert wiped.isspace() and not note
    assert "4/4" in after.split("\r")[-1] and after.count("\n") == 1


def test_a_terminal_without_a_size_gets_the_lines_of_a_log():
    lines = shown(0, 0).splitlines()
    assert len(lines) == 3 and lines[1] == "eer 0.1" and "4/4" in lines[2]


def test_nothing_is_written_where_it_is_not_wanted(capsys):
    with ProgressBar("softmax", 2, enabled=False) as bar:
        bar.update()
        bar.set_postfix(loss=1.0)
        bar.note("hello")
    assert capsys.readouterr() == ("", "")


def test_threads_are_counted_together_and_no_thread_is_added(capsys, switching):
    before = threading.active_count()
    with ProgressBar("rendering", 8000) as bar:
        assert threading.active_count() == before
        threads = [
            threading.Thread(target=lambda: [bar.update() for _ in range(1000)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bar.n == 8000
    assert "8000/8000" in capsys.readouterr().err
