"""Synthetic speakers: eSpeak variants over pitch, vocal-tract length and speed.

A vocal tract that is `tract` times longer lowers every formant by that factor. Speech
synthesised at rate `r` and played at `r / tract` has such formants, and lower pitch and
speed too; so it is synthesised with `tract` times higher pitch and speed, and only the
formants change.

The variants were picked by measuring all 104 on four sentences: at least 69 % of the
loud frames voiced and harmonicity 0.84 or more (no whisper, croak or robot), a melody
that moves by 1.8 to 8 semitones, no built-in echo (it would smear the phone times), no
Klatt or breathy voices (they draw from the C library's random numbers), no clipping;
and of any two that sound alike (mean and deviation of 19 cepstra), one.
"""

import math
from dataclasses import dataclass

import numpy as np

from timbre.audio import wave
from timbre.corpora.synthetic import espeak

SAMPLE_RATE = 16000
WORDS_PER_MINUTE = 175  # the synthesiser's own speed
F0_SPREAD = 0.28  # octaves each way around the variant's own pitch
TRACT_SPREAD = 0.10  # each way, in natural logarithm
SPEED_SPREAD = 0.14
F0_LIMITS_HZ = (75.0, 300.0)
# One step of `R3`, the 3-D golden sequence: powers of 1 / x, with x**4 = x + 1.
GOLDEN = np.array([1 / 1.2207440846057596**power for power in (1, 2, 3)])


@dataclass(frozen=True)
class Variant:
    """A voice that eSpeak NG brings.

    Args:
        name: Its name in eSpeak NG.
        gender: `"f"` or `"m"`, as perceived.
        f0_hz: Median pitch of its speech at `pitch=50`.
        tract: Tract length given to it, relative to its own.
        shift: Octaves its pitch is moved to go with that tract.
    """

    name: str
    gender: str
    f0_hz: float
    tract: float = 1.0
    shift: float = 0.0


def _variants(gender, table, tract=1.0):
    """Variants from cells of name, pitch and, if it is not 0, shift."""
    for cell in table.split("|"):
        name, f0_hz, *shift = cell.split(",")
        yield Variant(name.strip(), gender, int(f0_hz), tract, *map(float, shift))


FEMALE = (
    *_variants(
        "f",
        "Andrea, 245 | Annie, 237 | aunty, 172 | belinda, 230 | f1, 178 | "
        "grandma, 199 | linda, 229 | shelby, 181 | steph2, 182",
    ),
    *_variants(  # male ones with a tract 14 % shorter, the usual difference
        "f",
        "Nguyen, 149, 0.42 | ed, 125, 0.55 | Gene2, 114, 0.55 | gustave, 106, 0.6 | "
        "travis, 101, 0.6 | m5, 102, 0.6",
        tract=0.86,
    ),
)
MALE = tuple(
    _variants(
        "m",
        "Denis, 98 | Gene2, 114 | Jacky, 112 | Lee, 96 | Mario, 107 | "
        "Mr serious, 101 | Nguyen, 149, -0.2 | ed, 125 | gustave, 106 | iven4, 99 | "
        "kaukovalta, 97 | m3, 104 | m5, 102 | m6, 100 | m8, 86 | marcelo, 96 | "
        "max, 101 | norbert, 100 | paul, 85 | robert, 97 | travis, 101",
    )
)


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker.

    Args:
        name: Its name and that of its folder.
        variant: The eSpeak variant it starts from.
        f0_hz: Median pitch.
        tract, speed: Relative to the variant's own and to 175 words per minute.
    """

    name: str
    variant: Variant
    f0_hz: float
    tract: float
    speed: float

    @property
    def gender(self) -> str:
        """`"f"` or `"m"`."""
        return self.variant.gender


@dataclass(frozen=True)
class Prosody:
    """How one utterance is spoken.

    Args:
        semitones, speed: Pitch and speed relative to the speaker's own.
        pitch_range: Range of the melody, 0 to 99, where 50 is the variant's own.
    """

    semitones: float = 0.0
    speed: float = 1.0
    pitch_range: int = 50


def sample_speakers(num_speakers: int, *, seed: int) -> tuple[Speaker, ...]:
    """Sample speakers, female and male in turn, evenly over pitch, tract and speed.

    The first speakers of a larger sample are those of a smaller one of the same `seed`.
    """
    order = np.random.default_rng(seed)
    groups = [
        [group[i] for i in order.permutation(len(group))] for group in (FEMALE, MALE)
    ]
    speakers = []
    for index in range(num_speakers):
        which, turn = index % 2, index // 2
        group = groups[which]
        place, lap = turn % len(group), turn // len(group)
        start = np.random.default_rng([seed, which, place]).random(3)
        point = 2 * ((start + lap * GOLDEN) % 1) - 1
        speakers.append(_speaker(f"s{index:04d}", group[place], point))
    return tuple(speakers)


def _speaker(name, variant, point):
    """The speaker at `point`, in [-1, 1]**3, around a variant."""
    f0_hz = variant.f0_hz * 2 ** (variant.shift + F0_SPREAD * point[0])
    return Speaker(
        name=name,
        variant=variant,
        f0_hz=float(np.clip(f0_hz, *F0_LIMITS_HZ)),
        tract=float(variant.tract * np.exp(TRACT_SPREAD * point[1])),
        speed=float(np.exp(SPEED_SPREAD * point[2])),
    )


def sample_prosody(rng: np.random.Generator) -> Prosody:
    """Sample pitch, speed and pitch range of an utterance."""
    return Prosody(
        semitones=float(np.clip(rng.normal(0, 1.2), -3, 3)),
        speed=float(np.exp(np.clip(rng.normal(0, 0.07), -0.15, 0.15))),
        pitch_range=int(rng.integers(35, 76)),
    )


def synthesise(
    text: str,
    *,
    speaker: Speaker,
    prosody: Prosody | None = None,
    language: str = "en-us",
) -> espeak.Speech:
    """Synthesise a text in the voice of a speaker, at 16 kHz.

    Args:
        text: What to say.
        speaker: Who says it.
        prosody: How; `None` is the speaker's own average.
        language: A language of eSpeak NG, as `"ko"`. Defaults to `"en-us"`.
    """
    prosody = prosody or Prosody()
    f0_hz = speaker.f0_hz * 2 ** (prosody.semitones / 12) * speaker.tract
    words = WORDS_PER_MINUTE * speaker.speed * prosody.speed * speaker.tract
    speech = espeak.synthesise(
        text,
        voice=f"{language}+{speaker.variant.name}",
        rate=int(np.clip(round(words), *espeak.LIMITS["rate"])),
        pitch=pitch_setting(f0_hz / speaker.variant.f0_hz),
        pitch_range=prosody.pitch_range,
    )
    return apply_tract_length(speech, tract=speaker.tract)


def pitch_setting(ratio: float) -> int:
    """The synthesiser's `pitch`, 0 to 99, for a ratio of frequencies; measured."""
    octaves = math.log2(ratio)
    setting = 50 + octaves * (65 if octaves > 0 else 76)
    return int(np.clip(round(setting), *espeak.LIMITS["pitch"]))


def apply_tract_length(speech: espeak.Speech, *, tract: float) -> espeak.Speech:
    """Play speech `tract` times slower, at 16 kHz, its labels with it."""
    played_rate = round(speech.sample_rate / tract)
    scale = speech.sample_rate / played_rate
    return espeak.Speech(
        wave.resample(speech.waveform, from_rate=played_rate, to_rate=SAMPLE_RATE),
        SAMPLE_RATE,
        phones=tuple(label.stretch(scale) for label in speech.phones),
        words=tuple(label.stretch(scale) for label in speech.words),
    )
