"""Progress: how far a long piece of work is, on stderr.

On a terminal a bar; elsewhere, in a log say, a line now and then.
"""

import sys
import time


class Progress:
    """Counts steps and shows them.

    Args:
        title: What is being done.
        total: Number of steps.
        unit: What a step is. Defaults to `"utterances"`.
        every_s: Seconds between two lines where there is no terminal.
    """

    def __init__(
        self, title: str, total: int, unit: str = "utterances", every_s: float = 30.0
    ):
        self.title = title
        self.total = total
        self.unit = unit
        self.done = 0
        self._terminal = sys.stderr.isatty()
        self._every_s = 0.1 if self._terminal else every_s
        self._start = self._shown = time.monotonic()

    def step(self, steps: int = 1) -> None:
        """Count steps done."""
        self.done += steps
        if time.monotonic() - self._shown >= self._every_s:
            self._show()

    def close(self) -> None:
        """Show where it ended."""
        if self.done:
            self._show()
            if self._terminal:
                print(file=sys.stderr)

    def _show(self) -> None:
        self._shown = time.monotonic()
        elapsed_s = self._shown - self._start
        rate = self.done / max(elapsed_s, 1e-9)
        text = f"{self.title}: {self.done}/{self.total} {self.unit}, {rate:.3g}/s"
        if self._terminal:
            filled = 30 * self.done // max(self.total, 1)
            bar = "#" * filled + "." * (30 - filled)
            print(f"\r[{bar}] {text} ", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
