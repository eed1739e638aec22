"""The words of one speaker in the voice of another, by a factorial flow.

    python examples/04_same_words_other_speaker.py

A flow learns what four synthetic voices say apart from who says it, for half a minute.
In a recording that it has not learned from, the part of the code that tells the speaker
is moved to another speaker, and the rest stays. Who knows nothing of the flow listens:
networks that know phones and speakers, and the encoder that comes with the package.
`before.wav` and `after.wav` are there to be heard.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

import voiceemb
from flows import config, data, voice_conversion
from flows.evaluation import probes
from flows.models import registry
from timbre.audio import wave
from timbre.corpora.synthetic import render

OWN, OTHER = "s0000", "s0001"  # a woman and a man


def main():
    """Prints what the judges hear, and writes the two sounds."""
    keras.utils.set_random_seed(0)
    folder = Path("voices")
    render.render(folder, num_speakers=4, utterances=20, clean=True, progress=False)
    table = str(folder / "segments.csv")
    plan = config.SpeechFlowConfig(
        data=config.FlowDataConfig("segments", table, unseen=0.0)
    )
    parts = data.prepare(plan)

    told = {"shape": parts.train.x.shape[1:], "vocabulary": parts.vocabulary}
    small = {"steps": 6, "hidden": 128}
    flow = registry.build("fdnf", backbone=small, jitter=0.1, **told)
    flow.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=5.0))
    flow.fit(parts.rows("train"), batch_size=128, epochs=16, verbose=0)

    front_end = data.front_end(parts.about)
    name = next(r for r in parts.test.recording if r.startswith(OWN))
    sound = wave.read(folder / name)
    before = voice_conversion.spectrogram(sound, front_end)
    cut, starts = voice_conversion.cut_sliding(before, plan.segment.frames)
    told = {"factor": "speaker", "source": OWN}
    after = voice_conversion.change(flow, before, cut, starts, to=OTHER, **told)

    judges = probes.fit(parts.train, parts.vocabulary, valid=parts.valid, shown=False)
    rows = parts.test.subset(parts.test.speaker == OWN)
    moved = np.asarray(flow.manipulate(rows.x, "speaker", OTHER, source=OWN))
    phones = rows.labels[:, 0]
    names = parts.vocabulary["speaker"]
    for when, x in (("before", rows.x), ("after", moved)):
        who = judges["speaker"].posterior(x).mean(axis=0)
        right = judges["phone"].accuracy(x, phones)
        print(
            f"{when:>6}: {OWN} {who[names.index(OWN)]:.2f}, "
            f"{OTHER} {who[names.index(OTHER)]:.2f}, phones right {right:.2f}"
        )

    encoder = voiceemb.Encoder.pretrained()
    known = {w: sorted((folder / w).iterdir())[:8] for w in (OWN, OTHER)}
    voices = {w: encoder.embed_speaker(sounds) for w, sounds in known.items()}
    for when, features in (("before", before), ("after", after)):
        made = voice_conversion.synthesise(features, front_end, num_samples=len(sound))
        wave.write(f"{when}.wav", made)
        heard = encoder.embed_utterance(f"{when}.wav")
        near = {w: encoder.similarity(heard, voice) for w, voice in voices.items()}
        print(
            f"{when}.wav: cosine to {OWN} {near[OWN]:.2f}, to {OTHER} {near[OTHER]:.2f}"
        )


if __name__ == "__main__":
    main()
