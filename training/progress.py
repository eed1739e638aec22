"""Progress on stderr: a bar on a terminal, else a line every ten seconds."""

import sys
import time


class Progress:
    """Shows how far a phase is, how fast it goes and when it will end.

    Args:
        phase: Name shown in front.
        steps: The step the phase ends at.
        start: The step it starts from; speed counts from here.
        stream: Where to write. Defaults to `sys.stderr`.
        quiet: Write nothing. Defaults to `False`.
        every_s: Seconds between lines where `stream` is no terminal.
        clock: Function returning seconds. Defaults to `time.monotonic`.
    """

    def __init__(
        self,
        phase,
        steps,
        start=0,
        *,
        stream=None,
        quiet=False,
        every_s=10.0,
        clock=None,
    ):
        self.phase, self.steps, self.start = phase, steps, start
        self._stream = stream or sys.stderr
        self._bar = self._stream.isatty()
        self._quiet = quiet
        self._every_s = 0.1 if self._bar else every_s
        self._clock = clock or time.monotonic
        self._began = self._shown = self._clock()
        self._first = start
        self._scalars = {}
        self._width = 0

    def update(self, step, scalars=None):
        """Tell that a step is done; `scalars` are shown until newer ones come."""
        self._scalars |= scalars or {}
        now = self._clock()
        if (
            step == self.start + 1 < self.steps
        ):  # the first step compiles: do not count it
            self._began, self._first = now, step
        if now - self._shown >= self._every_s or (scalars and step == self.steps):
            self._shown = now
            self._write(self._line(step, now), end="" if self._bar else "\n")

    def note(self, text):
        """Write a line that stays."""
        self._write(text, end="\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._bar and self._width:
            self._write_raw("\n")

    def _line(self, step, now):
        rate = (step - self._first) / max(now - self._began, 1e-9)
        left = (self.steps - step) / rate if rate else 0
        shown = "  ".join(f"{k} {v:.4g}" for k, v in self._scalars.items())
        head = f"{self.phase} {step}/{self.steps}"
        if self._bar:
            bar = ("#" * (20 * step // self.steps)).ljust(20, ".")
            head = f"{self.phase} [{bar}] {step}/{self.steps}"
        return f"{head}  {rate:.3g} steps/s  {_clock_time(left)} left  {shown}"

    def _write(self, text, end):
        if self._bar:  # overwrite the bar that stands there
            text, self._width = "\r" + text.ljust(self._width), 0 if end else len(text)
        self._write_raw(text + end)

    def _write_raw(self, text):
        if not self._quiet:
            self._stream.write(text)
            self._stream.flush()


def _clock_time(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
