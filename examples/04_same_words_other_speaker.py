"""Voice conversion: the words of one speaker in the voice of another, by a f-DNF.

    python examples/04_same_words_other_speaker.py

A factorial flow is trained on four synthetic voices, for half a minute. In a recording
of its test set the speaker's part of the latents is shifted to another speaker, and the
other parts stay. Probe classifiers of phones and speakers and the shipped speaker
encoder, none of which has seen the flow, evaluate the result. `before.wav` and
`after.wav` are the recording by its own features and by the changed ones.
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
    """Prints what the probes and the encoder find, and writes the two sounds."""
    keras.utils.set_random_seed(0)
    folder = Path("voices")
    render.render(folder, num_speakers=4, utterances=20, clean=True, progress=False)
    table = str(folder / "segments.csv")
    source = config.FlowDataConfig("segments", table, unseen=0.0)
    splits = data.prepare(config.SpeechFlowConfig(data=source))
    flow = registry.build(
        "fdnf",
        shape=splits.train.x.shape[1:],
        vocabulary=splits.vocabulary,
        backbone={"steps": 6, "hidden": 128},
        jitter=0.1,
    )
    flow.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=5.0))
    flow.fit(splits.rows("train"), batch_size=128, epochs=16, verbose=0)

    rows = splits.test.subset(splits.test.speaker == OWN)
    changed = np.asarray(flow.manipulate(rows.x, "speaker", OTHER, source=OWN))
    found = probes.fit(splits.train, splits.vocabulary, valid=splits.valid, shown=False)
    own, other = map(splits.vocabulary["speaker"].index, (OWN, OTHER))
    for when, x in (("before", rows.x), ("after", changed)):
        posterior = found["speaker"].posterior(x).mean(axis=0)
        accuracy = found["phone"].accuracy(x, rows.labels[:, 0])
        print(
            f"{when:>6}: {OWN} {posterior[own]:.2f}, {OTHER} {posterior[other]:.2f}, "
            f"phones right {accuracy:.2f}"
        )

    front_end = data.front_end(splits.about)
    sound = wave.read(folder / rows.recording[0])
    encoder = voiceemb.Encoder.pretrained()
    known = {w: sorted((folder / w).iterdir())[:8] for w in (OWN, OTHER)}
    voices = {w: encoder.embed_speaker(sounds) for w, sounds in known.items()}
    for when, alpha in (("before", 0.0), ("after", 1.0)):
        made = voice_conversion.convert(
            flow, sound, front_end, "speaker", OTHER, alpha=alpha
        )
        wave.write(f"{when}.wav", made.waveform)
        embedding = encoder.embed_utterance(f"{when}.wav")
        near = {w: encoder.similarity(embedding, voice) for w, voice in voices.items()}
        print(
            f"{when}.wav: cosine to {OWN} {near[OWN]:.2f}, to {OTHER} {near[OTHER]:.2f}"
        )


if __name__ == "__main__":
    main()
