"""What a timeline looks like: a lane a speaker, and below them activity and level."""

import numpy as np

from timbre import plotting
from voiceemb.streaming.timeline import stretches

LANES = 12  # speakers with a lane of their own; the others share one
COLUMNS = 600  # that a picture can show: of more slices, some share one
QUIET_DB = -70.0  # lowest level drawn


@plotting.apply_style
def timeline_figure(slices, *, title="Who speaks when"):
    """Draw who speaks when, how probable speech is and how loud it is.

    Lanes are in the order of first words, and say how long each one speaks. Of slices
    that share a column in a long timeline, the highest and lowest level and the mean
    probability are drawn, and no turn is narrower than a column.

    Args:
        slices: `voiceemb.streaming.timeline.Slice`s in the order of time, at least one.
        title: Of the figure.

    Returns:
        The figure, with three axes.

    Raises:
        ValueError: If there are no slices.
    """
    slices = list(slices)
    if not slices:
        raise ValueError("A timeline has a slice or more to draw. Received: none")
    lanes = _lanes(stretches(slices))
    tall = 0.34 * max(len(lanes), 1) + 0.3
    size = (9.0, tall + 2.9)
    ratios = [tall, 0.8, 1.1]
    figure, panels = plotting.new_figure(
        3, sharex=True, size=size, height_ratios=ratios
    )
    column_s = (slices[-1].end - slices[0].start) / COLUMNS
    _draw_lanes(panels[0], lanes, column_s)
    times, probability, low, high = _columns(slices)
    line = {"color": "#333333", "linewidth": 1.0}
    panels[1].stairs(probability, times, baseline=None, **line)
    panels[1].set(ylabel="speech", ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    panels[2].stairs(high, times, baseline=low, fill=True, color="#888888")
    panels[2].stairs(high, times, baseline=None, **line)
    panels[2].set(ylabel="level, dB", ylim=(QUIET_DB, 0), yticks=(-60, -40, -20, 0))
    panels[2].set(xlim=(slices[0].start, slices[-1].end))
    _label_times(panels[2], slices[0].start, slices[-1].end)
    panels[0].set_title(title)
    figure.align_ylabels(panels)
    return figure


def _lanes(found):
    """Name to `(start, length)` of what was said, in seconds; `None` comes last."""
    said = {}
    for start, end, name in found:
        said.setdefault(name, []).append((start, end - start))
    nobody = said.pop(None, None)
    if len(said) > LANES:
        busiest = sorted(said, key=lambda name: -_seconds(said[name]))[: LANES - 1]
        others = [name for name in said if name not in busiest]
        shared = sorted(span for name in others for span in said.pop(name))
        said[f"{len(others)} others"] = shared
    if nobody:
        said[None] = nobody
    return said


def _draw_lanes(axes, lanes, least_s):
    for i, (name, spans) in enumerate(lanes.items()):
        plain = name is None
        look = {"facecolors": "#BBBBBB" if plain else plotting.COLOURS[i % 7]}
        look |= {"hatch": "" if plain else ("", "///", "...")[i // 7 % 3]}
        drawn = [(start, max(length, least_s)) for start, length in spans]
        axes.broken_barh(
            drawn, (i - 0.36, 0.72), edgecolor="white", linewidth=0, **look
        )
    labels = [
        f"{_short(name)}  {_length(_seconds(said))}" for name, said in lanes.items()
    ]
    axes.set_yticks(range(len(lanes)), labels)
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    if not lanes:
        told = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "nobody speaks", color="#555555", **told)


def _columns(slices):
    """Edges `[columns + 1]`; mean probability, lowest and highest level `[columns]`."""
    each = -(-len(slices) // COLUMNS)
    first = np.arange(0, len(slices), each)
    edges = np.array([slices[i].start for i in first] + [slices[-1].end])
    probability = np.array([one.speech_prob for one in slices])
    level = np.clip([one.energy_db for one in slices], QUIET_DB, None)
    counts = np.diff(np.append(first, len(slices)))
    mean = np.add.reduceat(probability, first) / counts
    low, high = np.minimum.reduceat(level, first), np.maximum.reduceat(level, first)
    if each == 1:
        low = np.full_like(low, QUIET_DB)
    return edges, mean, low, high


def _label_times(axes, start, end):
    """Ticks at whole seconds, minutes or hours."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    steps = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
    step = next((s for s in steps if (end - start) / s <= 12), 14400)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    plain = end < 120
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:g}" if plain else _clock(x))
    )
    unit = "s" if plain else "min:s" if end < 3600 else "h:min:s"
    axes.set_xlabel(f"time, {unit}")


def _length(seconds):
    """`7.5 s`, `2:05` or `1:02:05`."""
    return f"{round(seconds, 1):g} s" if seconds < 60 else _clock(seconds)


def _clock(seconds):
    """`2:05` or `1:02:05`."""
    seconds = round(seconds)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours}:{minutes:02d}:{seconds % 60:02d}"
    return f"{minutes}:{seconds % 60:02d}"


def _seconds(spans):
    return sum(length for _, length in spans)


def _short(name):
    name = "nobody known" if name is None else name
    return name if len(name) <= 20 else f"{name[:19]}…"
