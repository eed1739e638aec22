"""The timeline as HTML: a lane for each speaker, under the waveform.

Places are percentages of the recording, so the browser zooms by width alone. Whatever
came from outside, names above all, is escaped here; nothing else is trusted to do so.
Colours are those of all figures, and no meaning hangs on them alone: every lane bears
its name, and from the eighth speaker on colours come again with stripes.
"""

import math
from html import escape

from timbre.plotting import COLOURS

EMPTY = '<p class="when-empty">The turns will be drawn here.</p>'


def clock(seconds, places=0) -> str:
    """A time as `m:ss` or `h:mm:ss`, rounded to `places` decimals of a second."""
    units = round(seconds * 10**places)
    whole, part = divmod(units, 10**places)
    minutes, s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
    return f"{text}.{part:0{places}}" if places else text


def order(found) -> list[str]:
    """Speakers as they first appear, which is the order of lanes and of colours."""
    return list(dict.fromkeys(turn.speaker for turn in found.turns))


def player(recording, address) -> str:
    """What to hear: the name of a recording and the browser's own player.

    Args:
        recording: The `Recording`.
        address: Where the browser finds its sound.
    """
    return (
        '<div class="when-player"><p class="when-title">'
        f"<strong>{escape(recording.name)}</strong> "
        f"<span>{clock(recording.duration_s)}</span></p>"
        f'<audio controls preload="metadata" src="{escape(address)}" '
        'aria-label="Recording"></audio></div>'
    )


def draw(recording, found=None) -> str:
    """The waveform, and the lanes once turns are found.

    Args:
        recording: The `Recording`.
        found: The `Diarization`, or `None`.
    """
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
    """Speakers with what they say: seconds, share, turns, and who they are known as.

    Args:
        found: The `Diarization`.
        enrolled: Names in the store of people.
    """
    total = sum(found.speakers.values())
    rows = []
    for index, name in enumerate(order(found)):
        seconds = found.speakers[name]
        turns = sum(turn.speaker == name for turn in found.turns)
        share = 100 * seconds / total if total else 0.0
        rows.append(
            f'<tr><th scope="row"><p><span>{_swatch(index)} {escape(name)}</span>'
            f"{_known(found, name, enrolled)}</p></th><td>{clock(seconds, 1)}</td>"
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
    """One small line: how long each stage worked, and that as a part of real time."""
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
    """A message that stays until the next; `kind` is `"note"` or `"error"`."""
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
        start, end = clock(turn.start, 1), clock(turn.end, 1)
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


def _known(found, name, enrolled):
    """A remark on a speaker whom the store of people knows."""
    identity = (found.identities or {}).get(name)
    chance = getattr(identity, "probability", None)
    if identity is not None and identity.name == name and chance is not None:
        # never "100 %": a probability that is not 1 is not shown as if it were
        percent = min(math.floor(100 * chance), 99)
        return f"<em>recognised, {percent} %</em>"
    return "<em>enrolled</em>" if name in enrolled else ""


def _colour(index):
    return COLOURS[index % len(COLOURS)]


def _swatch(index):
    stripes = " when-striped" if index >= len(COLOURS) else ""
    return f'<i class="when-swatch{stripes}" style="--voice:{_colour(index)}"></i>'
