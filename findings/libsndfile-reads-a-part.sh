#!/usr/bin/env bash
# Does soundfile read all of an MP3 without a count of frames, of two MP3 files put end to
# end, and of a chained Ogg?
#
# Guess: yes, until the decoder ends, as ffmpeg, browsers and phones do; at worst the
# number of frames given beforehand is wrong.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2): nothing raises, and it stops early.
#   Ten seconds of MP3 of variable rate without a Xing or Info frame: the number of frames
#   is guessed by the size of the first ones, and reading stops there, at a fraction of
#   the sound. The guess may also be too high, then fewer come than were promised.
#   Two MP3 or Ogg files put end to end: the first is read, the second is never reached.
# A reader that must not lose sound counts the frames of an MP3 and the links of an Ogg
# itself and gives each part to libsndfile as a file of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q soundfile==0.14.0 numpy==2.2.6
cd "$folder"
env/bin/python - <<'PY'
import numpy as np
import soundfile

print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
RATE = 16000
t = np.arange(10 * RATE) / RATE
loud = np.random.default_rng(0).normal(size=len(t)) * 0.1 * (t > 4)
sound = 0.02 * np.sin(2 * np.pi * 200 * t) + loud


def seconds(path):
    return len(soundfile.read(path)[0]) / RATE


soundfile.write("whole.mp3", sound, RATE, bitrate_mode="VARIABLE")
soundfile.write("whole.ogg", sound, RATE)
whole = open("whole.mp3", "rb").read()
at = whole.index(b"\xff", 4)  # the first frame holds the count: leave it out
while whole[at + 1] & 0xE0 != 0xE0 or b"Info" in whole[at : at + 40]:
    at = whole.index(b"\xff", at + 1)
assert b"Xing" in whole[:at] or b"Info" in whole[:at]
open("uncounted.mp3", "wb").write(whole[at:])
for kind in ("mp3", "ogg"):
    data = open(f"whole.{kind}", "rb").read()
    open(f"joined.{kind}", "wb").write(data + data)
found = {
    name: round(seconds(name), 2)
    for name in ("whole.mp3", "uncounted.mp3", "joined.mp3", "whole.ogg", "joined.ogg")
}
print("seconds read:", found)
assert found["whole.mp3"] == found["whole.ogg"] == 10
assert found["uncounted.mp3"] < 9 or found["uncounted.mp3"] > 11
assert found["joined.mp3"] == found["joined.ogg"] == 10  # of 20
PY
