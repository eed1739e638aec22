"""The peer of `sampling.py`: schedulers of `diffusers` around a network in PyTorch.

The network is `diffusion.networks.resmlp.ResMLP` layer by layer, written with plain
functions, which is PyTorch's fastest way to run it without compiling; the times are
handed to it for each row, as the models of `diffusers` do. Its weights come from ours.

`Sampler` is what `sampling.py` holds. Run as a script, by a Python that has torch and
diffusers, this file is the other end: it needs nothing of ours.
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
from timing import PeerProcess, seconds_of

FASTEST = 1000.0  # radians of the fastest sinusoid of the time
THEIR_WORDS = {"noise": "epsilon", "clean": "sample", "velocity": "v_prediction"}
SCHEDULERS = {
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "dpm_solver": ("DPMSolverMultistepScheduler", {"solver_order": 2}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2}),
}


class Sampler(PeerProcess):
    """The peer's samplers of one of our models.

    Args:
        python: An interpreter that has torch and diffusers.
        model: A `SpeakerDiffusion` whose network is a `ResMLP`.
        folder: Where both sides read and write arrays.
        threads: How many it may use.
    """

    def __init__(self, python, model, folder, threads):
        network = model.denoiser.network
        self.folder = Path(folder)
        np.savez(self.folder / "network.npz", **layers(network))
        about = {
            "steps": model.schedule.steps,
            "betas": model.schedule.beta[1:].tolist(),
            "prediction": THEIR_WORDS[model.denoiser.prediction],
            "epsilon": network.norm.epsilon,
            "threads": threads,
        }
        (self.folder / "about.json").write_text(json.dumps(about), "utf-8")
        super().__init__(python, __file__, folder, threads=threads)

    def sampler(self, name, steps):
        """Embeddings and seconds, a function of a start `[n, dim]` and a seed."""

        def run(start, seed):
            np.save(self.folder / "start.npy", start)
            seconds = self.ask(*SCHEDULERS[name], steps, seed[0])
            return np.load(self.folder / "embeddings.npy"), *seconds

        return run


def layers(network):
    """Weights of a `ResMLP` in the order of its calls, `{"0": kernel, "1": bias, ...}`.

    Unknown labels add the same vector to every condition: it becomes part of a bias.
    """
    condition = network.conditioning
    inner = ((b.norm, b.film.affine, b.first, b.second) for b in network.blocks)
    order = condition.first, condition.second, network.enter, *itertools.chain(*inner)
    arrays = [
        array
        for layer in (*order, network.norm, network.leave)
        for array in layer.get_weights()
    ]
    for table in condition.label.tables if network.classes else ():
        arrays[3] = arrays[3] + table.get_weights()[0][0]
    return {str(i): array for i, array in enumerate(arrays)}


def resmlp(arrays, steps, epsilon):
    """The network as a function of `x` `[batch, dim]` and times `t` `[batch]`."""
    import torch
    from torch.nn.functional import layer_norm, linear, silu

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
    import torch

    noisy = type(scheduler).__name__ == "DDPMScheduler"
    options = {"generator": torch.Generator().manual_seed(seed)} if noisy else {}
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        output = network(x, (t + 1).expand(len(x)))
        x = scheduler.step(output, t, x, **options).prev_sample
    return x


def main(folder):
    """Answers questions, one a line, until there are no more."""
    import diffusers
    import torch

    about = json.loads((folder / "about.json").read_text("utf-8"))
    torch.set_num_threads(about["threads"])
    with np.load(folder / "network.npz") as file:
        arrays = [file[str(i)] for i in range(len(file.files))]
    network = resmlp(arrays, about["steps"], about["epsilon"])
    shared = {
        "num_train_timesteps": about["steps"],
        "trained_betas": about["betas"],
        "prediction_type": about["prediction"],
        "timestep_spacing": "trailing",
    }
    versions = {"diffusers": diffusers.__version__, "torch": torch.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        name, options, steps, seed = json.loads(line)
        scheduler = getattr(diffusers, name)(**shared, **options)
        x = torch.from_numpy(np.load(folder / "start.npy"))
        with torch.inference_mode():
            embeddings, *seconds = seconds_of(
                sample, network, scheduler, x, steps, seed
            )
        np.save(folder / "embeddings.npy", embeddings.numpy())
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
