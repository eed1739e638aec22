"""The timeline as HTML: the waveform, and a lane for each speaker below it.

Positions are percentages of the recording, so the browser zooms by width alone. All
user input, names above all, is escaped here and nowhere else. Colours are never the
only cue: every lane has its name, and colours that repeat have stripes.
"""

import math
from html import escape

from timbre.plotting import COLOURS
from timbre.turns import format_time

EMPTY = '<p class="when-empty">The turns will be drawn here.</p>'


def order(found) -> list[str]:
    """Speakers as they first appear, which is the order of lanes and of colours."""
    return list(dict.fromkeys(turn.speaker for turn in found.turns))


def player(recording, address) -> str:
    """The name of a `Recording` and an audio player of the sound at `address`."""
    return (
        '<div class="when-player"><p class="when-title">'
        f"<strong>{escape(recording.name)}</strong> "
        f"<span>{format_time(recording.duration_s)}</span></p>"
        f'<audio controls preload="metadata" src="{escape(address)}" '
        'aria-label="Recording"></audio></div>'
    )


def render(recording, found=None) -> str:
    """The waveform of a `Recording`, and the lanes of its `Diarization`, if any."""
    names = order(found) if found else []
    lanes = "".join(_lane(found, i, name, recording) for i, name in enumerate(names))
    bands = "".join(_band(found, i, name, recording) for i, name in enumerate(names))
    bins = len(recording.peaks)
    return (
        f'<section class="when" aria-label="Timeline" '
        f'data-duration="{recording.duration_s:.3f}"><div class="when-tools">'
        f"<p>{_summary(found, names)}</p>"
        '<span role="group" aria-label="Zoom">'
        '<button type="button" data-zoom="out" aria-label="Zoom out">−</button>'
        '<button type="button" data-zoom="fit" aria-label="Show all">Fit</button>'
        '<button type="button" data-zoom="in" aria-label="Zoom in">+</button></span>'
        '</div><div class="when-scroll"><div class="when-track">'
        '<div class="when-axis" aria-hidden="true"></div>'
        f'<svg class="when-wave" viewBox="0 -1 {bins} 2" preserveAspectRatio="none" '
        f'role="img" aria-label="Waveform">{bands}'
        f'<path class="when-sound" d="{_outline(recording.peaks)}"/></svg>'
        f'{lanes}<div class="when-head" aria-hidden="true"></div>'
        "</div></div></section>"
    )


def table(found, enrolled=()) -> str:
    """A table of speakers: seconds, share, turns, and whether they are `enrolled`."""
    speakers, rows = found.speakers, []
    total = sum(speakers.values())
    for index, name in enumerate(order(found)):
        seconds = speakers[name]
        turns = sum(turn.speaker == name for turn in found.turns)
        share = 100 * seconds / total if total else 0.0
        rows.append(
            f'<tr><th scope="row"><p><span>{_swatch(index)} {escape(name)}</span>'
            f"{_remark(found, name, enrolled)}</p></th>"
            f"<td>{format_time(seconds, 1)}</td>"
            f'<td class="when-share"><b>{share:.0f} %</b><i style="width:'
            f'{0.6 * share:.1f}%;background:{_colour(index)}"></i></td>'
            f"<td>{turns}</td></tr>"
        )
    return (
        '<table class="when-table"><thead><tr><th scope="col">Speaker</th>'
        '<th scope="col">Speaks</th><th scope="col" class="when-share">Share</th>'
        f'<th scope="col">Turns</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def stages(found) -> str:
    """The time of each stage in one line, with its real-time factor."""
    if not found.stages:
        return ""
    length = max(found.duration_s, 1e-9)
    each = [
        f"{escape(str(stage))} {seconds:.1f} s ({seconds / length:.3f})"
        for stage, seconds in found.stages.items()
    ]
    total = sum(found.stages.values())
    return (
        '<p class="when-stages">Work of each stage, as a part of real time in '
        f"brackets: {' · '.join(each)} · together {total:.1f} s "
        f"({total / length:.3f})</p>"
    )


def notice(text, kind="note") -> str:
    """A message on the page; `kind` is `"note"` or `"error"`."""
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    return f'<p class="when-notice when-{kind}" role="{role}">{escape(text)}</p>'


def _summary(found, names):
    if not found:
        return "Press “Who speaks when” to find the turns."
    notes = "".join(f" {escape(note)}" for note in found.notes)
    if not names:
        return f"<strong>Nobody was heard.</strong>{notes}"
    people = "1 speaker" if len(names) == 1 else f"{len(names)} speakers"
    turns = "1 turn" if len(found.turns) == 1 else f"{len(found.turns)} turns"
    return f"<strong>{people}, {turns}.</strong> Press a turn to hear it.{notes}"


def _lane(found, index, name, recording):
    """A speaker's name and turns; only the first is a stop of the Tab key."""
    turns = [turn for turn in found.turns if turn.speaker == name]
    stripes = " when-striped" if index >= len(COLOURS) else ""
    label = escape(name)
    cells = []
    for number, turn in enumerate(turns):
        start, end = format_time(turn.start, 1), format_time(turn.end, 1)
        text = f"{label}, {start} to {end}"
        place = _place(turn, recording.duration_s)
        cells.append(
            f'<button type="button" class="when-turn" style="{place}" '
            f'data-start="{turn.start:.3f}" data-end="{turn.end:.3f}" '
            f'tabindex="{-1 if number else 0}" aria-label="{text}" title="{text}">'
            "</button>"
        )
    return (
        f'<div class="when-lane{stripes}" role="group" aria-label="{label}" '
        f'style="--voice:{_colour(index)}"><button type="button" class="when-name" '
        f'data-speaker="{label}" aria-label="Choose {label}">{_swatch(index)}'
        f'<span>{label}</span></button><div class="when-turns">{"".join(cells)}</div>'
        "</div>"
    )


def _band(found, index, name, recording):
    """A speaker's turns as one faint path behind the waveform."""
    scale = len(recording.peaks) / recording.duration_s
    path = "".join(
        f"M{turn.start * scale:.1f} -1h{(turn.end - turn.start) * scale:.1f}v2"
        f"H{turn.start * scale:.1f}z"
        for turn in found.turns
        if turn.speaker == name
    )
    return f'<path class="when-band" fill="{_colour(index)}" d="{path}"/>'


def _outline(peaks):
    """The path around a waveform, `peaks` above the axis and as much below it."""
    heights = [max(float(peak), 0.004) for peak in peaks]
    places = [*enumerate(heights)]
    above = "".join(f"L{i}.5 {-h:.3g}" for i, h in places)
    below = "".join(f"L{i}.5 {h:.3g}" for i, h in reversed(places))
    return f"M0 0{above}L{len(heights)} 0{below}z"


def _place(turn, duration_s):
    left = 100 * min(turn.start / duration_s, 1)
    width = 100 * min(turn.end / duration_s, 1) - left
    return f"left:{left:.4f}%;width:{max(width, 0):.4f}%"


def _remark(found, name, enrolled):
    """A remark on a speaker who is enrolled."""
    identity = (found.identities or {}).get(name)
    probability = getattr(identity, "probability", None)
    if identity is not None and identity.name == name and probability is not None:
        # never "100 %": a probability that is not 1 is not shown as if it were
        percent = min(math.floor(100 * probability), 99)
        return f"<em>recognised, {percent} %</em>"
    return "<em>enrolled</em>" if name in enrolled else ""


def _colour(index):
    return COLOURS[index % len(COLOURS)]


def _swatch(index):
    stripes = " when-striped" if index >= len(COLOURS) else ""
    return f'<i class="when-swatch{stripes}" style="--voice:{_colour(index)}"></i>'
