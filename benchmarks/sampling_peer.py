"""The peer of `sampling.py`: schedulers of `diffusers` around a network in PyTorch.

The network is `diffusion.networks.resmlp.ResMLP` layer by layer, written with plain
functions, which is PyTorch's fastest way to run it without compiling; the times are
handed to it for each row, as the models of `diffusers` do. Its weights come from ours.

A script for a Python that has torch and diffusers; it answers the questions of a
`timing.PeerProcess`, and reads and writes arrays in a folder.
"""

import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from timing import seconds_of, serve
from torch.nn.functional import layer_norm, linear, silu

FASTEST = 1000.0  # radians of the fastest sinusoid of the time
SCHEDULERS = {
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "dpm_solver": ("DPMSolverMultistepScheduler", {"solver_order": 2}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2}),
}


def resmlp(arrays, steps, epsilon):
    """The network as a function of `x` `[batch, dim]` and times `t` `[batch]`."""
    # kernels are the other way round here
    tensors = [torch.from_numpy(np.ascontiguousarray(array.T)) for array in arrays]
    pairs = list(zip(tensors[::2], tensors[1::2], strict=True))
    first, second, enter, *inner, norm, leave = pairs
    blocks = [inner[i : i + 4] for i in range(0, len(inner), 4)]
    half = first[0].shape[1] // 2
    frequencies = torch.from_numpy(np.geomspace(1, FASTEST, half).astype(np.float32))

    def normed(x, scale, shift):
        return layer_norm(x, x.shape[-1:], scale, shift, epsilon)

    def network(x, t):
        angle = t.float()[:, None] / steps * frequencies
        condition = torch.cat([angle.sin(), angle.cos()], dim=-1)
        condition = silu(linear(silu(linear(condition, *first)), *second))
        x = linear(x, *enter)
        for before, film, up, down in blocks:
            scale, shift = linear(condition, *film).chunk(2, dim=-1)
            h = normed(x, *before) * (1 + scale) + shift
            x = x + linear(silu(linear(h, *up)), *down)
        return linear(normed(x, *norm), *leave)

    return network


def sample(network, scheduler, x, steps, seed):
    """The loop of the documentation of `diffusers`; its times begin at 0, ours at 1."""
    noisy = type(scheduler).__name__ == "DDPMScheduler"
    options = {"generator": torch.Generator().manual_seed(seed)} if noisy else {}
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        output = network(x, (t + 1).expand(len(x)))
        x = scheduler.step(output, t, x, **options).prev_sample
    return x


def main(folder):
    """Answers questions until there are no more."""
    about = json.loads((folder / "about.json").read_text("utf-8"))
    torch.set_num_threads(about["threads"])
    with np.load(folder / "network.npz") as file:
        arrays = [file[str(i)] for i in range(len(file.files))]
    network = resmlp(
        arrays, about["scheduler"]["num_train_timesteps"], about["epsilon"]
    )

    def answer(name, steps, seed):
        kind, options = SCHEDULERS[name]
        scheduler = getattr(diffusers, kind)(**about["scheduler"], **options)
        x = torch.from_numpy(np.load(folder / "start.npy"))
        with torch.inference_mode():
            x, *seconds = seconds_of(sample, network, scheduler, x, steps, seed)
        np.save(folder / "embeddings.npy", x.numpy())
        return seconds

    serve({"diffusers": diffusers.__version__}, answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
