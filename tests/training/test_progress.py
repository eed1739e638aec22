"""Progress tells the truth about pace and remaining time."""

import io

from training.progress import Progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_file_gets_a_line_every_ten_seconds_and_the_last():
    clock, stream = Clock(), io.StringIO()
    with Progress("softmax", 100, stream=stream, clock=clock) as progress:
        for step in range(1, 101):
            clock.now += 0.25 if step > 1 else 60.0  # the first step compiles
            progress.update(step, {"loss": 0.5} if step % 10 == 0 else None)
    lines = stream.getvalue().splitlines()
    # from second 60 on: then every 40 steps of 0.25 s, and at the end
    assert [line.split()[1] for line in lines] == [
        "1/100",
        "41/100",
        "81/100",
        "100/100",
    ]
    assert lines[1] == "softmax 41/100  4 steps/s  0:15 left  loss 0.5"


def test_pace_counts_from_where_the_run_was_resumed():
    clock, stream = Clock(), io.StringIO()
    progress = Progress("a", 30_000, 10_000, stream=stream, clock=clock)
    progress.update(10_001)
    clock.now += 10.0
    progress.update(10_011)
    assert stream.getvalue() == "a 10011/30000  1 steps/s  5:33:09 left  \n"


def test_a_terminal_gets_one_bar_that_notes_push_aside():
    clock, stream = Clock(), Terminal()
    with Progress("a", 10, stream=stream, clock=clock) as progress:
        for step in range(1, 6):
            clock.now += 1.0
            progress.update(step)
        progress.note("eer 0.1")
    *_, bar, note = stream.getvalue().removesuffix("\n").split("\r")
    assert bar.startswith("a [##########..........] 5/10  1 steps/s  0:05 left")
    assert note.rstrip() == "eer 0.1" and len(note) >= len(bar)
    assert stream.getvalue().count("\n") == 1


def test_quiet_is_silent():
    stream = io.StringIO()
    with Progress("a", 1, stream=stream, quiet=True) as progress:
        progress.update(1, {"loss": 1.0})
        progress.note("hello")
    assert stream.getvalue() == ""
