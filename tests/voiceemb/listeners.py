"""Listeners of tones, and what was said in tones."""

import numpy as np

from tests.voiceemb.tones import Loud, ToneEncoder, TonePeople, silence, tone
from voiceemb.streaming import timeline
from voiceemb.streaming.listener import Listener
from voiceemb.vad.segmentation import HysteresisConfig

HYSTERESIS = HysteresisConfig(
    release_s=0.1, pad_s=0.0, min_speech_s=0.1, onset_frames=1
)
TALK = ("low 2.3", ". 0.4", "high 1.7", ". 2.6", "high 0.3", ". 0.7", "low 1.234")


def listener(*names, **options):
    options = {"detector": Loud(), "hysteresis": HYSTERESIS, **options}
    return Listener(ToneEncoder(), people=TonePeople(*names), **options)


def said(*parts):
    """`low 2`, `high 1.5` or `. 0.5` one after the other."""
    sounds = []
    for name, seconds in (part.split() for part in parts):
        make = silence if name == "." else lambda s, name=name: tone(name, s)
        sounds.append(make(float(seconds)))
    return np.concatenate(sounds)


def events_of(sound, *names, **options):
    one = listener(*names, **options)
    return one.push(sound) + one.finish()


def names(events):
    return " ".join(one.speaker or timeline.UNKNOWN for one in events)


def random_blocks(rng, sound, most):
    while len(sound):
        size = int(rng.integers(0, most + 1))
        yield sound[:size]
        sound = sound[size:]
