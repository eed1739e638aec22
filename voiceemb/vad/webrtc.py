"""The WebRTC voice activity detector: Gaussian mixtures of band energies."""

import numpy as np

from voiceemb.vad.base import HOP, SAMPLE_RATE, Detector, FrameStream


class WebRTCDetector(Detector):
    """The detector of WebRTC, by the package `webrtcvad-wheels`; it says 0 or 1.

    It reads the first 10 ms of each frame as 16-bit numbers, clipped at full scale.

    Args:
        mode: From 0, which takes most for speech, to 3. Defaults to `2`.
    """

    name = "webrtc"

    def __init__(self, mode=2):
        if mode not in (0, 1, 2, 3):
            raise ValueError(f"`mode` is 0, 1, 2 or 3. Received: {mode!r}")
        self.mode = mode
        _module()

    def stream(self):
        return _WebRTCStream(self.mode)


class _WebRTCStream(FrameStream):
    def __init__(self, mode):
        super().__init__()
        self._vad = _module().Vad(mode)

    def frames(self, frames):
        whole = np.round(frames[:, :HOP] * 32768.0).clip(-32768, 32767)
        rows = np.ascontiguousarray(whole.astype("<i2"))
        spoken = [self._vad.is_speech(row.tobytes(), SAMPLE_RATE) for row in rows]
        return np.array(spoken, np.float32)


def _module():
    try:
        import webrtcvad
    except ImportError as error:
        rule = "WebRTC's detector needs a package: pip install webrtcvad-wheels"
        raise ImportError(rule) from error
    return webrtcvad
