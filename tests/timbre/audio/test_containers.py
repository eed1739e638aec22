"""Files of phones, exchanges, recorders, pipes, radios: all sound is read, or none."""

import importlib.util
import struct

import numpy as np
import pytest
import soundfile

from timbre.audio import media, mpeg, parts, wave

RATE = 16000


def beeps(*starts_s, seconds=4.0, rate=RATE):
    """Silence with half a second of 1 kHz from each start on."""
    t = np.arange(round(seconds * rate)) / rate
    on = np.any([(t >= s) & (t < s + 0.5) for s in starts_s], axis=0)
    return 0.5 * np.sin(2 * np.pi * 1000 * t) * on


def found_beeps(path, rate=RATE):
    """Starts of what is louder than a tenth, in blocks of 50 ms."""
    x = wave.read(path, sample_rate=rate)
    loud = np.abs(x[: len(x) // 800 * 800]).reshape(-1, 800).max(axis=1) > 0.1
    return np.flatnonzero(loud & ~np.roll(loud, 1)) * 0.05


def encode(path, waveform, **kind):
    soundfile.write(path, waveform, RATE, **kind)
    return path.read_bytes()


def without_info(data):
    """An MP3 as recorders leave it: the frame that counts the others is cut off."""
    (run,) = mpeg.find_runs(data)
    return data[run.first : run.stop]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_does_not_say_how_long_it_is_is_read_to_its_end(tmp_path, mode):
    sound = np.concatenate([np.zeros(3 * RATE), beeps(0.5, 3.0)])
    whole = encode(tmp_path / "whole.mp3", sound, bitrate_mode=mode)
    (tmp_path / "a.mp3").write_bytes(without_info(whole))
    info = wave.inspect(tmp_path / "a.mp3")
    assert info.duration_s == pytest.approx(7.0, abs=0.1)
    assert len(wave.read(tmp_path / "a.mp3")) == info.num_samples
    assert found_beeps(tmp_path / "a.mp3") == pytest.approx([3.5, 6.0], abs=0.1)
    assert wave.inspect(tmp_path / "whole.mp3").num_samples == len(sound)


ID3V1 = b"TAG" + bytes(125)
ID3V2 = b"ID3\x04\x00\x00" + bytes([0, 0, 0, 20]) + bytes(20)


@pytest.mark.parametrize(
    "between", [b"", ID3V1, ID3V2, ID3V1 + ID3V2, b"rubbish\xff\xfb"]
)
@pytest.mark.parametrize("counted", [True, False])
def test_mp3_files_put_end_to_end_are_read_whole(tmp_path, between, counted):
    part = encode(tmp_path / "part.mp3", beeps(3.0))
    later = part if counted else without_info(part)
    (tmp_path / "a.mp3").write_bytes(ID3V2 + part + between + later + ID3V1)
    assert wave.inspect(tmp_path / "a.mp3").duration_s == pytest.approx(8.0, abs=0.2)
    assert found_beeps(tmp_path / "a.mp3") == pytest.approx([3.0, 7.0], abs=0.15)
    tail = wave.read(tmp_path / "a.mp3", start_s=5.0, end_s=7.9)
    assert np.abs(tail[: RATE // 2]).max() < 0.01 < np.abs(tail[2 * RATE :]).max()


def test_rubbish_within_a_counted_mp3_hides_nothing_behind_it(tmp_path):
    """One damaged frame: what the count promises is found on both sides of it."""
    whole = bytearray(encode(tmp_path / "a.mp3", beeps(3.0)))
    (run,) = mpeg.find_runs(bytes(whole))
    at = whole.index(whole[run.first : run.first + 2], len(whole) // 3)
    middle = bytes(whole[:at]) + b"rubbish" + bytes(whole[at:])
    (tmp_path / "a.mp3").write_bytes(middle)
    assert wave.inspect(tmp_path / "a.mp3").duration_s == pytest.approx(4.0, abs=0.2)
    assert found_beeps(tmp_path / "a.mp3") == pytest.approx([3.0], abs=0.2)
    (tmp_path / "a.mp3").write_bytes(middle[: len(middle) * 3 // 4])
    with pytest.raises(wave.AudioError, match="truncated"):
        wave.inspect(tmp_path / "a.mp3")


def test_parts_and_places_that_are_looked_at_are_bounded(tmp_path, monkeypatch):
    part = encode(tmp_path / "a.mp3", beeps(0.0, seconds=0.5))
    (tmp_path / "a.mp3").write_bytes(5 * part)
    monkeypatch.setattr(mpeg, "MAX_RUNS", 3)
    with pytest.raises(wave.AudioError, match="more than 3 MP3"):
        wave.inspect(tmp_path / "a.mp3")
    (tmp_path / "a.mp3").write_bytes(part + 100 * b"\xff\x00" + part)
    monkeypatch.setattr(mpeg, "MAX_TRIES", 50)
    with pytest.raises(wave.AudioError, match="no MP3 frame in 50 places"):
        wave.inspect(tmp_path / "a.mp3")
    link = encode(tmp_path / "a.ogg", beeps(0.0, seconds=0.5))
    (tmp_path / "a.ogg").write_bytes(5 * link)
    monkeypatch.setattr(parts, "MAX_PARTS", 3)
    with pytest.raises(wave.AudioError, match="more than 3 links"):
        wave.inspect(tmp_path / "a.ogg")


@pytest.mark.parametrize("header", [b"NIST_1A\n", b"NIST_1A\n   many\n"])
def test_a_sphere_header_that_can_not_be_read_is_refused_in_words(tmp_path, header):
    (tmp_path / "a.sph").write_bytes(header)
    with pytest.raises(wave.AudioError, match="SPHERE header that can not be read"):
        wave.inspect(tmp_path / "a.sph")


def test_the_last_of_joined_mp3_files_that_is_cut_is_refused(tmp_path):
    part = encode(tmp_path / "part.mp3", beeps(3.0))
    (tmp_path / "a.mp3").write_bytes(part + part[: len(part) // 2])
    with pytest.raises(wave.AudioError, match="truncated: .* frames promised"):
        wave.inspect(tmp_path / "a.mp3")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_chained_ogg_is_read_whole_and_in_parts(tmp_path, subtype):
    part = encode(tmp_path / "part.ogg", beeps(3.0), subtype=subtype)
    (tmp_path / "a.ogg").write_bytes(3 * part)
    assert wave.inspect(tmp_path / "a.ogg").duration_s == pytest.approx(12.0, abs=0.1)
    assert found_beeps(tmp_path / "a.ogg") == pytest.approx([3, 7, 11], abs=0.1)
    whole = wave.read(tmp_path / "a.ogg")
    for start_s in (3.5, 4.0, 9.25):
        part = wave.read(tmp_path / "a.ogg", start_s=start_s)
        assert np.array_equal(part, whole[round(start_s * RATE) :])


def test_parts_of_two_rates_are_refused(tmp_path):
    soundfile.write(tmp_path / "b.ogg", beeps(3.0), 8000)
    both = encode(tmp_path / "a.ogg", beeps(3.0)) + (tmp_path / "b.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(both)
    with pytest.raises(wave.AudioError, match="part 2 has 8000 Hz"):
        wave.read(tmp_path / "a.ogg")


def test_a_chained_ogg_that_is_cut_is_refused(tmp_path):
    part = encode(tmp_path / "a.ogg", beeps(3.0))
    (tmp_path / "a.ogg").write_bytes(part + part[:-50])
    with pytest.raises(wave.AudioError, match="truncated"):
        wave.inspect(tmp_path / "a.ogg")


@pytest.mark.parametrize(
    "length", [0, 0x7FFFF000, 0x7FFFFFFF - 36, 2**31, 2**32 - 1 - 36, 2**32 - 1]
)
def test_a_wav_of_a_pipe_is_read_to_its_end(tmp_path, length):
    data = encode(tmp_path / "a.wav", beeps(1.0, seconds=2.0), subtype="PCM_16")
    at, sizes = data.index(b"data") + 4, struct.pack("<I", length)
    open_ended = data[:4] + sizes + data[8:at] + sizes + data[at + 4 :]
    (tmp_path / "a.wav").write_bytes(open_ended)
    assert len(wave.read(tmp_path / "a.wav")) == 2 * RATE
    assert found_beeps(tmp_path / "a.wav") == pytest.approx([1.0])


def test_notes_behind_a_wav_without_samples_are_no_sound(tmp_path):
    data = encode(tmp_path / "a.wav", np.zeros(0)) + b"LIST\x04\0\0\0INFO"
    closed = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    (tmp_path / "a.wav").write_bytes(closed)
    with pytest.raises(wave.AudioError, match="no samples"):
        wave.read(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "AIFF", "NIST"])
def test_telephone_codings_are_the_table_of_g711(tmp_path, kind, subtype):
    data = encode(tmp_path / "a.wav", beeps(1.0), format=kind, subtype=subtype)
    samples = len(beeps(1.0))
    coded = np.frombuffer(data[-samples:], np.uint8)
    assert np.array_equal(wave.read(tmp_path / "a.wav"), g711(coded, subtype))


def g711(coded, subtype):
    """ITU-T G.711: sign, three bits of exponent, four of mantissa."""
    code = (~coded if subtype == "ULAW" else coded ^ 0x55).astype(int) & 255
    exponent, mantissa = code >> 4 & 7, code & 15
    if subtype == "ULAW":
        level = ((2 * mantissa + 33) << exponent) - 33 << 2
        return (np.where(code & 128, -level, level) / 32768).astype(np.float32)
    bent = (2 * mantissa + 33) << np.maximum(exponent - 1, 0)
    level = np.where(exponent, bent, 2 * mantissa + 1) << 3
    return (np.where(code & 128, level, -level) / 32768).astype(np.float32)


@pytest.mark.parametrize("kind", ["RF64", "AIFF", "NIST"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_other_containers_give_the_same_samples_as_wav(tmp_path, kind, subtype):
    encode(tmp_path / "a.wav", beeps(1.0), format="WAV", subtype=subtype)
    encode(tmp_path / "b.wav", beeps(1.0), format=kind, subtype=subtype)
    assert wave.inspect(tmp_path / "b.wav").format == kind
    assert np.array_equal(wave.read(tmp_path / "b.wav"), wave.read(tmp_path / "a.wav"))


def test_bw64_is_rf64_by_another_name_and_a_cut_one_is_refused(tmp_path):
    data = encode(tmp_path / "a.wav", beeps(1.0), format="RF64")
    (tmp_path / "b.wav").write_bytes(b"BW64" + data[4:])
    assert np.array_equal(wave.read(tmp_path / "b.wav"), wave.read(tmp_path / "a.wav"))
    for magic in (b"BW64", b"RF64"):
        (tmp_path / "b.wav").write_bytes(magic + data[4:-1000])
        with pytest.raises(wave.AudioError, match="truncated"):
            wave.read(tmp_path / "b.wav")


@pytest.mark.parametrize("kind", ["AIFF", "NIST"])
@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW"])
def test_samples_that_a_header_promises_are_not_missed_in_silence(
    tmp_path, kind, subtype
):
    data = encode(tmp_path / "a.wav", beeps(1.0), format=kind, subtype=subtype)
    assert len(wave.read(tmp_path / "a.wav")) == 4 * RATE
    (tmp_path / "a.wav").write_bytes(data[:-1000])
    with pytest.raises(wave.AudioError, match="truncated"):
        wave.read(tmp_path / "a.wav")


def test_packed_sphere_is_refused_with_the_command_that_unpacks_it(tmp_path):
    data = encode(tmp_path / "a.sph", beeps(1.0), format="NIST")
    packed = data.replace(
        b"sample_coding -s3 pcm", b"sample_coding -s26 pcm,embedded-shorten-v2.00"
    )
    assert packed != data
    (tmp_path / "a.sph").write_bytes(packed)
    with pytest.raises(wave.AudioError, match="embedded-shorten.*sph2pipe"):
        wave.read(tmp_path / "a.sph")


HEADS = {
    "M4A/MP4": b"\0\0\0\x18ftypM4A \0\0\0\0",
    "WebM/Matroska": b"\x1a\x45\xdf\xa3" + bytes(12),
    "AAC": b"\xff\xf1\x50\x80" + bytes(12),
    "AMR": b"#!AMR\n" + bytes(10),
    "WMA": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(8),
}


@pytest.mark.parametrize("kind", media.KINDS)
def test_without_pyav_a_container_is_named_with_what_reads_it(
    tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "my talk.bin").write_bytes(HEADS[kind])
    with pytest.raises(wave.AudioError) as caught:
        wave.inspect(tmp_path / "my talk.bin")
    assert kind in str(caught.value)
    assert "pip install av" in str(caught.value)
    assert "ffmpeg -i 'my talk.bin' 'my talk.wav'" in str(caught.value)


@pytest.mark.parametrize("kind", media.KINDS)
def test_with_pyav_what_only_begins_like_a_container_is_refused(tmp_path, kind):
    pytest.importorskip("av")
    (tmp_path / "a.bin").write_bytes(HEADS[kind] + bytes(1000))
    with pytest.raises(wave.AudioError, match="a.bin: "):
        wave.inspect(tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [(".m4a", "aac", RATE), (".mp4", "aac", RATE), (".webm", "libopus", 48000)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_pyav_reads_what_it_wrote(tmp_path, suffix, codec, rate, channels):
    av = pytest.importorskip("av")
    path, layout = tmp_path / f"a{suffix}", "mono" if channels == 1 else "stereo"
    sound = np.tile(beeps(1.0, 2.5, rate=rate), (channels, 1)).astype(np.float32)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, sound.shape[1], 960):
            block = np.ascontiguousarray(sound[:, start : start + 960])
            frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = wave.inspect(path)
    assert (info.sample_rate, info.channels) == (rate, channels)
    assert info.duration_s == pytest.approx(4.0, abs=0.1)
    assert found_beeps(path) == pytest.approx([1.0, 2.5], abs=0.1)
    whole = wave.read(path, sample_rate=rate)
    part = wave.read(path, sample_rate=rate, start_s=2.0)
    assert np.array_equal(part, whole[2 * rate :])


def test_a_decoder_that_is_not_usual_is_not_started(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("mp2", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(wave.AudioError, match="with mp2.* sound is not read"):
        wave.inspect(path)


CASES = {  # of `../shared/cases`: where beeps begin (s), and samples at 16 kHz
    "mp3_without_index/vbr.mp3": ([9.0], 161280),
    "mp3_without_index/cbr.mp3": ([9.0], 161280),
    "mp3_without_index/joined.mp3": ([3.0, 7.05], 130223),
    "other_containers/rf64.wav": ([1.0], 48000),
    "other_containers/phone.m4a": ([1.0], 48000),
    "other_containers/browser.webm": ([1.0], 48000),
    "wav_of_streams/sox_pipe.wav": (None, 16000),
    "wav_of_streams/max_int.wav": (None, 16000),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", CASES)
def test_files_of_users_are_read_whole(real_data, name):
    path = real_data.parent / "cases" / "turn2" / name
    if not path.is_file():
        pytest.skip("this case is not on this machine")
    if path.suffix in (".m4a", ".webm"):
        pytest.importorskip("av")
    starts_s, samples = CASES[name]
    assert abs(len(wave.read(path)) - samples) <= 0.1 * RATE
    if starts_s:
        loudest = found_beeps(path)
        assert all(np.abs(loudest - start).min() <= 0.1 for start in starts_s)
