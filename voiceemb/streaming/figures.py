"""Figure of a timeline: a lane for each speaker, speech probability and level."""

import numpy as np

from timbre import plotting
from timbre.turns import format_time
from voiceemb.streaming.timeline import speech_spans

MAX_LANES = 12  # more speakers share the last one
MAX_COLUMNS = 600  # of a figure; more events share one
MIN_DB = -70.0  # lowest level shown


@plotting.apply_style
def timeline_figure(events, *, title="Who speaks when"):
    """Plot who speaks when, the probability of speech and the level.

    Lanes are in the order of first speech, and show how long each one speaks. Events
    that share a column in a long timeline are plotted as their highest and lowest level
    and mean probability, and no turn is narrower than a column.

    Args:
        events: `voiceemb.streaming.events.TimelineEvent`s in the order of time, at
            least one.
        title: Of the figure, which has three axes.
    """
    events = list(events)
    if not events:
        raise ValueError("A figure of a timeline needs an event or more.")
    lanes = _lanes(speech_spans(events))
    tall = 0.34 * max(len(lanes), 1) + 0.3
    heights = [tall, 0.8, 1.1]
    figure, panels = plotting.new_figure(
        3, sharex=True, size=(9.0, tall + 2.9), height_ratios=heights
    )
    column_s = (events[-1].end - events[0].start) / MAX_COLUMNS
    _plot_lanes(panels[0], lanes, column_s)
    times, probability, low, high = _columns(events)
    line = {"color": "#333333", "linewidth": 1.0}
    panels[1].stairs(probability, times, baseline=None, **line)
    panels[1].set(ylabel="speech", ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    panels[2].stairs(high, times, baseline=low, fill=True, color="#888888")
    panels[2].stairs(high, times, baseline=None, **line)
    panels[2].set(ylabel="level, dB", ylim=(MIN_DB, 0), yticks=(-60, -40, -20, 0))
    panels[2].set(xlim=(events[0].start, events[-1].end))
    _label_times(panels[2], events[0].start, events[-1].end)
    panels[0].set_title(title)
    figure.align_ylabels(panels)
    return figure


def _lanes(found):
    """Name to `(start, length)` of speech, in seconds; `None` comes last."""
    said = {}
    for start, end, name in found:
        said.setdefault(name, []).append((start, end - start))
    nobody = said.pop(None, None)
    if len(said) > MAX_LANES:
        busiest = sorted(said, key=lambda name: -_seconds(said[name]))[: MAX_LANES - 1]
        others = [name for name in said if name not in busiest]
        shared = sorted(span for name in others for span in said.pop(name))
        said[f"{len(others)} others"] = shared
    if nobody:
        said[None] = nobody
    return said


def _plot_lanes(axes, lanes, min_s):
    for i, (name, spans) in enumerate(lanes.items()):
        axes.broken_barh(
            [(start, max(length, min_s)) for start, length in spans],
            (i - 0.36, 0.72),
            edgecolor="white",
            linewidth=0,
            facecolors="#BBBBBB" if name is None else plotting.COLOURS[i % 7],
            hatch="" if name is None else ("", "///", "...")[i // 7 % 3],
        )
    labels = [
        f"{_short(name)}  {_length(_seconds(said))}" for name, said in lanes.items()
    ]
    axes.set_yticks(range(len(lanes)), labels)
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    if not lanes:
        place = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "nobody speaks", color="#555555", **place)


def _columns(events):
    """Edges `[columns + 1]`; mean probability, lowest and highest level `[columns]`."""
    each = -(-len(events) // MAX_COLUMNS)
    first = np.arange(0, len(events), each)
    edges = np.array([events[i].start for i in first] + [events[-1].end])
    probability = np.array([one.speech_prob for one in events])
    level = np.clip([one.energy_db for one in events], MIN_DB, None)
    counts = np.diff(np.append(first, len(events)))
    mean = np.add.reduceat(probability, first) / counts
    low, high = np.minimum.reduceat(level, first), np.maximum.reduceat(level, first)
    if each == 1:
        low = np.full_like(low, MIN_DB)
    return edges, mean, low, high


def _label_times(axes, start, end):
    """Ticks at whole seconds, minutes or hours."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    steps = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
    step = next((s for s in steps if (end - start) / s <= 12), 14400)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    plain = end < 120
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:g}" if plain else format_time(x))
    )
    unit = "s" if plain else "min:s" if end < 3600 else "h:min:s"
    axes.set_xlabel(f"time, {unit}")


def _length(seconds):
    """`7.5 s`, `2:05` or `1:02:05`."""
    return f"{round(seconds, 1):g} s" if seconds < 60 else format_time(seconds)


def _seconds(spans):
    return sum(length for _, length in spans)


def _short(name):
    name = "nobody known" if name is None else name
    return name if len(name) <= 20 else f"{name[:19]}…"
