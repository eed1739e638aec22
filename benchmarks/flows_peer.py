"""The peers of `flows.py`: flows of `nflows` and `zuko`, in PyTorch.

A script for a Python that has torch, nflows and zuko; it answers the questions of a
`timing.PeerProcess`.
"""

import json
import sys
from importlib import metadata

import numpy as np
import torch
import zuko
from nflows import transforms
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow
from nflows.nn.nets import MLP
from timing import seconds_per_call, serve
from zuko.flows.coupling import GeneralCouplingTransform

ABOUT = json.loads(sys.argv[1])
DIM, BINS = ABOUT["dim"], ABOUT["num_bins"]
HIDDEN = [ABOUT["hidden"]] * ABOUT["depth"]


class Network(MLP):
    """That of nflows, which takes no context, as its couplings call it."""

    hidden_features = ABOUT["hidden"]

    def __init__(self, inputs, outputs):
        super().__init__([inputs], [outputs], HIDDEN)

    def forward(self, inputs, context=None):
        """Parameters of the coupling."""
        return super().forward(inputs)


def nflows_flow(flow):
    """ActNorm, a random permutation and a coupling in each step, as ours."""
    coupling, options = transforms.AffineCouplingTransform, {}
    if flow == "spline":
        coupling = transforms.PiecewiseRationalQuadraticCouplingTransform
        options = {"tails": "linear", "tail_bound": ABOUT["tail"], "num_bins": BINS}
    members = []
    for i in range(ABOUT["steps"]):
        members.append(transforms.ActNorm(DIM))
        if i % 2 == 0:
            members.append(transforms.RandomPermutation(DIM))
        mask = (torch.arange(DIM) >= DIM // 2) ^ (i % 2 == 1)  # what moves
        members.append(coupling(mask.int(), Network, **options))
    return Flow(transforms.CompositeTransform(members), StandardNormal([DIM]))


def zuko_flow(flow):
    """Couplings of every other channel, in turns; the spline's tails begin at 5."""
    options = {"hidden_features": HIDDEN}
    if flow == "spline":
        options["univariate"] = zuko.transforms.MonotonicRQSTransform
        options["shapes"] = [(BINS,), (BINS,), (BINS - 1,)]
    members = [
        GeneralCouplingTransform(DIM, mask=torch.arange(DIM) % 2 == i % 2, **options)
        for i in range(ABOUT["steps"])
    ]
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(DIM), torch.ones(DIM), buffer=True
    )
    return zuko.lazy.Flow(members, base)


def tasks(library, flow, data):
    """Functions of nothing, by name, around one flow."""
    model = {"nflows": nflows_flow, "zuko": zuko_flow}[library](flow)
    optimizer = torch.optim.Adam(model.parameters(), lr=ABOUT["rate"])

    def log_prob():
        return model.log_prob(data) if library == "nflows" else model().log_prob(data)

    def sample():
        if library == "nflows":
            return model.sample(len(data))
        return model().sample((len(data),))

    def train():
        optimizer.zero_grad()
        loss = -log_prob().mean()
        loss.backward()
        optimizer.step()

    log_prob()  # its ActNorms start from data
    return {
        "size": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "log_prob": torch.no_grad()(log_prob),
        "sample": torch.no_grad()(sample),
        "train": train,
    }


def main():
    """Answers questions until there are no more."""
    torch.manual_seed(0)
    torch.set_num_threads(ABOUT["threads"])
    data, made = torch.from_numpy(np.load(ABOUT["data"])), {}

    def answer(library, flow, task, calls):
        if (library, flow) not in made:
            made[library, flow] = tasks(library, flow, data)
        found = made[library, flow][task]
        return seconds_per_call(found, calls) if callable(found) else found

    libraries = "torch", "nflows", "zuko"
    serve({name: metadata.version(name) for name in libraries}, answer)


if __name__ == "__main__":
    main()
