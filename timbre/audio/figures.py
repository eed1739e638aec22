"""Figure of an utterance: waveform, spectrogram and features.

The figure is returned, not shown or saved. It follows the Matplotlib style in force.
"""

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

FLOOR_DB = -80.0  # relative to the loudest point; the lower end of the colours


def utterance_figure(
    waveform: np.ndarray,
    features: np.ndarray,
    *,
    sample_rate: int = 16000,
    hop_s: float = 0.01,
    title: str = "",
    features_label: str = "mel band",
) -> Figure:
    """Plot waveform, spectrogram and features of one utterance over one time axis.

    Args:
        waveform: Float `[samples]`.
        features: Float `[frames, bands]`, the input of a network.
        sample_rate: Hz. Defaults to `16000`.
        hop_s: Seconds from one frame of the features to the next. Defaults to `0.01`.
        title: Stands above. Defaults to nothing.
        features_label: Names the axis of the features. Defaults to `"mel band"`.
    """
    waveform, features = np.asarray(waveform), np.asarray(features)
    if waveform.ndim != 1 or features.ndim != 2 or not waveform.size:
        raise ValueError(
            "An utterance is a waveform [samples] and features [frames, bands]. "
            f"Received: {waveform.shape} and {features.shape}"
        )
    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[1, 2, 2])
    limit = max(np.abs(waveform).max(), 1e-3) * 1.05
    axes[0].plot(np.arange(len(waveform)) / sample_rate, waveform, linewidth=0.5)
    axes[0].set(ylabel="amplitude", ylim=(-limit, limit), title=title)
    spectrum = _plot_spectrogram(axes[1], waveform, sample_rate)
    figure.colorbar(spectrum, ax=axes[1], label="level (dB)")
    values = _plot_features(axes[2], features, hop_s)
    figure.colorbar(values, ax=axes[2], label="value")
    axes[0].set(xlim=(0, len(waveform) / sample_rate))
    axes[1].set(ylabel="frequency (kHz)")
    axes[2].set(ylabel=features_label, xlabel="time (s)")
    return figure


def _plot_spectrogram(axes, waveform, sample_rate):
    length = round(0.025 * sample_rate)
    waveform = np.pad(waveform, (0, max(length - len(waveform), 0)))
    transform = ShortTimeFFT(hann(length), round(0.005 * sample_rate), sample_rate)
    power = transform.spectrogram(waveform)
    level_db = 10 * np.log10(np.maximum(power, np.finfo(float).tiny))
    left, right, low, high = transform.extent(len(waveform))
    extent = (left, right, low / 1000, high / 1000)
    return _plot_image(axes, level_db - level_db.max(), extent, (FLOOR_DB, 0))


def _plot_features(axes, features, hop_s):
    low, high = np.percentile(features, [1, 99])  # one loud band must not hide the rest
    extent = (0, len(features) * hop_s, -0.5, features.shape[1] - 0.5)
    limits = (low, max(high, low + 1e-6))
    return _plot_image(axes, features.T, extent, limits, interpolation="nearest")


def _plot_image(axes, image, extent, limits, **options):
    options |= {"origin": "lower", "aspect": "auto", "cmap": "magma"}
    return axes.imshow(image, extent=extent, norm=Normalize(*limits), **options)
