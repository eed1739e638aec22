"""A name every half second, while a conversation goes on.

    python examples/05_who_is_speaking.py [timeline.png]

Two synthetic voices are enrolled by name, a third is unknown. All three then speak
in turn, in sentences that nobody has enrolled. What comes out is what a microphone
would give as well: `sources.Microphone()` in the place of the list of blocks.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import voiceemb
from timbre import plotting
from timbre.audio import wave
from timbre.corpora.synthetic.render import render
from voiceemb.enrolment.people import People
from voiceemb.streaming import listener as listening
from voiceemb.streaming.figures import timeline_figure

NAMES = {"s0000": "anna", "s0001": "boris"}  # s0002 is unknown


def main(picture="timeline.png"):
    """Prints who is heard, and draws it."""
    encoder = voiceemb.Encoder.pretrained()
    with tempfile.TemporaryDirectory() as folder:
        sounds = voices(f"{folder}/voices")
        people = People.create(f"{folder}/people", encoder)
        for speaker, name in NAMES.items():
            print(people.enrol(name, sounds[speaker][2:]))
        talk = [sounds[speaker][turn] for turn in (0, 1) for speaker in sounds]

        listener = listening.Listener(encoder, people=people)
        events = []
        for event in listening.listen(talk, listener):
            print(listening.format_event(event))
            events.append(event)
    print(plotting.save(timeline_figure(events), picture))


def voices(folder):
    """Speaker to waveforms, each with half a second of silence behind it."""
    corpus = render(folder, num_speakers=3, utterances=6, clean=True, progress=False)
    sounds = {}
    for utterance in corpus:
        waveform = np.pad(wave.read(utterance.path), (0, 8000))
        sounds.setdefault(utterance.speaker, []).append(waveform)
    return sounds


if __name__ == "__main__":
    main(*sys.argv[1:])
