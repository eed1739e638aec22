"""Reading what is sound, refusing what is not, and giving back what was written."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbre.audio import wave


def tone(hz, sample_rate, seconds=0.5, level=0.5):
    times = np.arange(round(sample_rate * seconds)) / sample_rate
    return (level * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def wav_bytes(*, channels=1, rate=16000, coding=1, bits=16, body=b"", declared=None):
    """A WAV written by hand, so that its header can lie."""
    frame = channels * bits // 8
    fmt = struct.pack(
        "<HHIIHH", coding, channels, rate, rate * frame % 2**32, frame, bits
    )
    declared = len(body) if declared is None else declared
    data = b"fmt " + struct.pack("<I", len(fmt)) + fmt
    data += b"data" + struct.pack("<I", declared) + body
    return b"RIFF" + struct.pack("<I", min(4 + len(data), 2**32 - 1)) + b"WAVE" + data


def refuse(path, reason):
    """Both `read` and, where it can tell, the message name the file and the reason."""
    with pytest.raises(wave.AudioError, match=reason) as caught:
        wave.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_lies_on_the_grid_comes_back_to_the_bit(tmp_path, rng, suffix):
    whole = rng.integers(-32768, 32768, 1000)
    waveform = (whole / 32768).astype(np.float32)
    wave.write(tmp_path / f"a{suffix}", waveform)
    np.testing.assert_array_equal(wave.read(tmp_path / f"a{suffix}"), waveform)


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        (".wav", "PCM_24", 2**-23),
        (".wav", "PCM_32", 2**-24),
        (".wav", "FLOAT", 0),
        (".flac", "PCM_24", 2**-23),
    ],
)
def test_every_subtype_keeps_its_precision(tmp_path, rng, suffix, subtype, step):
    waveform = rng.uniform(-1, 1, 1000).astype(np.float32)
    wave.write(tmp_path / f"a{suffix}", waveform, subtype=subtype)
    difference = np.abs(wave.read(tmp_path / f"a{suffix}") - waveform).max()
    assert difference <= step


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_lossy_files_keep_length_and_most_of_the_sound(tmp_path, suffix):
    waveform = tone(440, 16000)
    wave.write(tmp_path / f"a{suffix}", waveform)
    decoded = wave.read(tmp_path / f"a{suffix}")
    assert decoded.shape == waveform.shape
    assert np.corrcoef(decoded, waveform)[0, 1] > 0.99


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_becomes_the_same_tone_at_16_khz(tmp_path, rate):
    original = tone(1000, rate, seconds=1.0)
    soundfile.write(tmp_path / "a.wav", original, rate, subtype="FLOAT")
    decoded, expected = wave.read(tmp_path / "a.wav"), tone(1000, 16000, seconds=1.0)
    assert decoded.dtype == np.float32
    assert decoded.shape == expected.shape
    middle = slice(400, -400)  # the filter rings where the tone starts and ends
    np.testing.assert_allclose(decoded[middle], expected[middle], atol=1e-3)


def test_nothing_above_the_nyquist_frequency_folds_back():
    folded = wave.resample(tone(10000, 44100), from_rate=44100, to_rate=16000)
    assert np.abs(folded[400:-400]).max() < 1e-4


def test_blocks_read_as_one(tmp_path, rng, monkeypatch):
    waveform = rng.uniform(-0.5, 0.5, 44100).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waveform, 44100, subtype="FLOAT")
    whole = wave.read(tmp_path / "a.wav")
    monkeypatch.setattr(wave, "BLOCK", 1000)
    np.testing.assert_array_equal(wave.read(tmp_path / "a.wav"), whole)


def test_channels_are_averaged(tmp_path, rng):
    stereo = rng.integers(-100, 100, (500, 2)) / 128
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="FLOAT")
    np.testing.assert_allclose(wave.read(tmp_path / "a.wav"), stereo.mean(axis=1))
    assert wave.inspect(tmp_path / "a.wav").channels == 2


def test_a_part_is_cut_at_its_samples(tmp_path, rng):
    waveform = (rng.integers(-99, 99, 16000) / 128).astype(np.float32)
    for suffix in (".wav", ".flac"):
        path = tmp_path / f"a{suffix}"
        wave.write(path, waveform)
        part = wave.read(path, start_s=0.25, end_s=0.75)
        np.testing.assert_array_equal(part, waveform[4000:12000])
        assert len(wave.read(path, start_s=0.5, end_s=1.009)) == 8000  # rounded label


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(-1, None), (0.5, 0.5), (0.6, 0.5), (2, None), (0, 1.1)]
)
def test_a_part_outside_the_file_is_refused(tmp_path, start_s, end_s):
    wave.write(tmp_path / "a.wav", tone(440, 16000, seconds=1.0))
    with pytest.raises(wave.AudioError, match="a.wav"):
        wave.read(tmp_path / "a.wav", start_s=start_s, end_s=end_s)


def test_inspect_tells_what_the_header_says(tmp_path):
    wave.write(tmp_path / "a.flac", tone(440, 44100), sample_rate=44100)
    info = wave.inspect(tmp_path / "a.flac")
    assert (info.sample_rate, info.channels, info.num_samples) == (44100, 1, 22050)
    assert (info.duration_s, info.format, info.subtype) == (0.5, "FLAC", "PCM_16")


def test_a_name_in_any_script_is_read(tmp_path):
    path = tmp_path / "목소리 голос 声.wav"
    wave.write(path, tone(440, 16000))
    assert len(wave.read(path)) == 8000


def test_missing_file_folder_and_empty_file_are_refused(tmp_path):
    refuse(tmp_path / "none.wav", "no such file")
    refuse(tmp_path, "no such file")
    (tmp_path / "a.wav").write_bytes(b"")
    refuse(tmp_path / "a.wav", "empty")


def test_text_named_wav_is_refused(tmp_path):
    (tmp_path / "a.wav").write_text("this is not sound, whatever its name says\n" * 9)
    refuse(tmp_path / "a.wav", "first bytes")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"channels": 1024, "body": bytes(2048 * 4)}, "channels"),
        ({"channels": 9, "body": bytes(18 * 4)}, "9 channels"),
        ({"rate": 0, "body": bytes(200)}, "a.wav"),
        ({"rate": 3999, "body": bytes(200)}, "3999 Hz"),
        ({"rate": 2**31 - 1, "body": bytes(200)}, "2147483647 Hz"),
        ({"body": b""}, "no samples"),
        ({"body": bytes(3200), "declared": 2**30}, "truncated"),
        ({"body": bytes(3200), "declared": 3202}, "truncated"),
        (
            {"coding": 0x11, "bits": 4, "body": bytes(512)},
            "IMA ADPCM; read are linear PCM, float",
        ),
        ({"coding": 0x55, "body": bytes(512)}, "WAV with MP3; .* ffmpeg -i a.wav"),
    ],
)
def test_a_wav_header_out_of_bounds_is_refused(tmp_path, header, reason):
    (tmp_path / "a.wav").write_bytes(wav_bytes(**header))
    refuse(tmp_path / "a.wav", reason)
    with pytest.raises(wave.AudioError):
        wave.inspect(tmp_path / "a.wav")


def test_a_coding_hidden_behind_a_tag_or_an_extensible_header_is_refused(tmp_path):
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 0, 20]) + bytes(20)
    hidden = tag + wav_bytes(coding=0x11, bits=4, body=bytes(512))
    (tmp_path / "a.mp3").write_bytes(hidden)
    refuse(tmp_path / "a.mp3", "IMA ADPCM")
    fmt = struct.pack("<HHIIHH", 0xFFFE, 1, 16000, 32000, 2, 16)
    fmt += struct.pack("<HHIH", 22, 16, 0, 0x11) + bytes(14)
    body = b"WAVEfmt " + struct.pack("<I", 40) + fmt + b"data\4\0\0\0abcd"
    (tmp_path / "b.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    refuse(tmp_path / "b.wav", "IMA ADPCM")


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path):
    """Programs that write to a pipe leave all ones for the size."""
    (tmp_path / "a.wav").write_bytes(wav_bytes(body=bytes(3200), declared=2**32 - 1))
    assert len(wave.read(tmp_path / "a.wav")) == 1600


def test_an_extensible_wav_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440, 16000), 16000, format="WAVEX")
    assert wave.inspect(tmp_path / "a.wav").format == "WAV"
    assert len(wave.read(tmp_path / "a.wav")) == 8000


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(tmp_path, rng, suffix, keep):
    path = tmp_path / f"a{suffix}"
    wave.write(path, rng.uniform(-0.5, 0.5, 32000))
    data = path.read_bytes()
    assert len(wave.read(path)) == 32000
    path.write_bytes(data[: int(len(data) * keep)])
    refuse(path, "truncated|can not be decoded")


def test_an_ogg_cut_between_two_pages_is_refused(tmp_path, rng):
    path = tmp_path / "a.ogg"
    wave.write(path, rng.uniform(-0.5, 0.5, 48000))
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"OggS")])
    refuse(path, "truncated")


def test_full_scale_becomes_the_highest_code(tmp_path):
    for subtype, bits in (("PCM_16", 16), ("PCM_24", 24)):
        wave.write(tmp_path / "a.wav", np.array([1.0, -1.0]), subtype=subtype)
        expected = np.array([1 - 2.0 ** (1 - bits), -1.0])
        np.testing.assert_array_equal(wave.read(tmp_path / "a.wav"), expected)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (3e38, "at most 10")],
)
def test_samples_that_are_not_sound_are_refused(tmp_path, sample, reason):
    waveform = tone(440, 16000)
    waveform[100] = sample
    soundfile.write(tmp_path / "a.wav", waveform, 16000, subtype="FLOAT")
    refuse(tmp_path / "a.wav", reason)


def test_a_sound_too_long_is_refused_from_its_header(tmp_path):
    wave.write(tmp_path / "a.wav", tone(440, 16000, seconds=2.0))
    with pytest.raises(wave.AudioError, match="at most 1 s"):
        wave.read(tmp_path / "a.wav", max_duration_s=1.0)
    soundfile.write(tmp_path / "b.wav", np.zeros(1), 44100)
    refuse(tmp_path / "b.wav", "too short")  # less than one sample at 16 kHz


@pytest.mark.parametrize(
    "waveform", [[0.0, 1.01], [np.nan], [], [[0.0]], np.zeros(3, np.int16)]
)
def test_nothing_is_clipped_or_cast_on_the_way_out(tmp_path, waveform):
    with pytest.raises(ValueError, match="Received"):
        wave.write(tmp_path / "a.wav", np.asarray(waveform))
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    wave.write(tmp_path / "a.wav", tone(440, 16000))
    before = (tmp_path / "a.wav").read_bytes()

    def full_disk(path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        wave.write(tmp_path / "a.wav", tone(880, 16000))
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="ends in"):
        wave.write(tmp_path / "a.xyz", tone(440, 16000))
    with pytest.raises(ValueError, match="PCM_24"):
        wave.write(tmp_path / "a.ogg", tone(440, 16000), subtype="PCM_24")
    with pytest.raises(TypeError, match="whole number"):
        wave.resample(tone(440, 16000), from_rate=16000, to_rate=8000.5)
    with pytest.raises(ValueError, match="sample_rate"):
        wave.write(tmp_path / "a.wav", tone(440, 16000), sample_rate=100)


def test_reading_needs_no_tensorflow():
    code = "import sys, timbre.audio.wave; sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.real_data
def test_real_recordings_are_read(real_data):
    paths = sorted(real_data.glob("*/**/*.*"))
    paths = [path for path in paths if path.suffix in (".wav", ".flac", ".ogg")][::200]
    assert paths
    for path in paths:
        waveform = wave.read(path, max_duration_s=3600)
        assert abs(len(waveform) / 16000 - wave.inspect(path).duration_s) < 1e-3
        assert 0.001 < np.abs(waveform).max() <= 1
