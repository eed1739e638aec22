"""The peers of `flows.py`: flows of `nflows` and `zuko`, in PyTorch.

A script for a Python that has torch, nflows and zuko; it needs nothing of ours and
answers the questions of a `timing.PeerProcess`.
"""

import json
import sys
import time
from importlib import metadata

import numpy as np

LIBRARIES = ("nflows", "zuko")


def nflows_flow(flow, about):
    """ActNorm, a random permutation and a coupling in each step, as ours."""
    import torch
    from nflows import transforms
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP

    class Network(MLP):
        """Its network, which takes no context, as its couplings call it."""

        hidden_features = about["hidden"]

        def forward(self, inputs, context=None):
            return super().forward(inputs)

    def network(inputs, outputs):
        return Network([inputs], [outputs], [about["hidden"]] * about["depth"])

    dim, members = about["dim"], []
    for i in range(about["steps"]):
        members.append(transforms.ActNorm(dim))
        if i % 2 == 0:
            members.append(transforms.RandomPermutation(dim))
        mask = (torch.arange(dim) >= dim // 2) ^ (i % 2 == 1)  # what moves
        if flow == "spline":
            coupling = transforms.PiecewiseRationalQuadraticCouplingTransform
            options = {"tails": "linear", "tail_bound": about["tail"]}
            options["num_bins"] = about["num_bins"]
        else:
            coupling, options = transforms.AffineCouplingTransform, {}
        members.append(coupling(mask.int(), network, **options))
    return Flow(transforms.CompositeTransform(members), StandardNormal([dim]))


def zuko_flow(flow, about):
    """Couplings of every other channel, in turns; the spline's tails begin at 5."""
    import torch
    import zuko
    from zuko.flows.coupling import GeneralCouplingTransform

    dim, bins = about["dim"], about["num_bins"]
    options = {}
    if flow == "spline":
        options = {"univariate": zuko.transforms.MonotonicRQSTransform}
        options["shapes"] = [(bins,), (bins,), (bins - 1,)]
    members = []
    for i in range(about["steps"]):
        members.append(
            GeneralCouplingTransform(
                features=dim,
                mask=torch.arange(dim) % 2 == i % 2,
                hidden_features=[about["hidden"]] * about["depth"],
                **options,
            )
        )
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(dim), torch.ones(dim), buffer=True
    )
    return zuko.lazy.Flow(members, base)


def tasks(library, flow, about, data):
    """Functions of nothing, by name, around one flow."""
    import torch

    model = {"nflows": nflows_flow, "zuko": zuko_flow}[library](flow, about)
    optimizer = torch.optim.Adam(model.parameters(), lr=about["rate"])

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
        return loss

    log_prob()  # its ActNorms start from data
    return {
        "size": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "log_prob": torch.no_grad()(log_prob),
        "sample": torch.no_grad()(sample),
        "train": train,
    }


def main(about):
    """Answers questions, one a line, until there are no more."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(about["threads"])
    data = torch.from_numpy(np.load(about["data"]))
    versions = {name: metadata.version(name) for name in ("torch", *LIBRARIES)}
    print(json.dumps(versions), flush=True)
    made = {}
    for line in sys.stdin:
        library, flow, task, calls = json.loads(line)
        if (library, flow) not in made:
            made[library, flow] = tasks(library, flow, about, data)
        found = made[library, flow][task]
        if callable(found):
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(calls):
                found()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            found = wall / calls, cpu / calls
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
