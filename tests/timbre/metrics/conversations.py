"""Made-up conversations as turns, and hypotheses of imperfect systems."""

import numpy as np

from timbre.turns import Turn

OPTIONS = [
    {"uem": uem, "collar": collar, "skip_overlap": skip}
    for uem in (None, [(2.0, 9.5), (14.25, 31.0), (30.0, 33.0)])
    for collar in (0.0, 0.25)
    for skip in (False, True)
]


def turns(**speakers):
    """Turns from `name=[(start, end), ...]`."""
    return [Turn(*span, name) for name, spans in speakers.items() for span in spans]


def conversation(rng, *, speakers=4, each=6):
    """Turns to the millisecond; those of a speaker meet sometimes, overlap never."""
    found = []
    for name in (f"voice {k}" for k in range(rng.integers(1, speakers + 1))):
        gaps = rng.integers(1, 9000, size=each) * (rng.random(each) > 0.15)
        lengths = rng.integers(1, 5000, size=each)
        ends = np.cumsum(gaps + lengths)
        found += [
            Turn(start / 1000, end / 1000, name)
            for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True)
        ]
    return found


def imperfect_hypothesis(rng, truth):
    """The turns as a middling system finds them: moved, renamed, lost and invented."""
    found = conversation(rng, each=1)
    for turn in truth:
        start, end = np.round([turn.start, turn.end] + rng.normal(0, 0.3, 2), 3)
        name = turn.speaker if rng.random() < 0.8 else f"voice {rng.integers(5)}"
        if rng.random() < 0.9 and 0 <= start < end:
            found.append(Turn(start, end, f"found {name}"))
    return found


def overlapping(rng, count=20):
    """Turns anywhere, also two of one speaker at once."""
    starts, lengths = rng.uniform(0, 30, count), rng.uniform(0.1, 5, count)
    names = rng.choice(list("abc"), count).tolist()
    return [Turn(*t) for t in zip(starts, starts + lengths, names, strict=True)]
