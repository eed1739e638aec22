"""The peers of `flows.py`: flows of `nflows` and `zuko`, in PyTorch.

`Peer` is what `flows.py` holds. Run as a script, by a Python that has torch, nflows and
zuko, this file is the other end: it needs nothing of ours.
"""

import json
import os
import subprocess
import sys
import time
from importlib import metadata

import numpy as np

LIBRARIES = ("nflows", "zuko")
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}  # beside other work, waiting in a loop costs


class Peer:
    """A process of the peers, which waits while ours is measured.

    Args:
        python: Its interpreter.
        sizes: Dict of `dim`, `steps`, `hidden`, `depth`, `num_bins`, `tail` and `rate`.
        data: A file of float32 rows `[batch, dim]`.
        threads: How many it may use.

    Attributes:
        versions: Dict of its packages.
    """

    def __init__(self, python, sizes, data, threads):
        about = json.dumps({**sizes, "data": str(data), "threads": threads})
        self.process = subprocess.Popen(
            [python, "-W", "ignore", __file__, about],
            env={**PATIENT, **os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions = self._answer()

    def parameters(self, library, flow):
        """How many numbers a flow learns."""
        return self._ask(library, flow, "parameters", 0)

    def task(self, library, flow, task):
        """A function of a count of calls: wall and CPU seconds of one."""
        return lambda calls: self._ask(library, flow, task, calls)

    def _ask(self, *question):
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise OSError(f"the peer ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def nflows_flow(flow, about):
    """ActNorm, permutation by lot and coupling in each step, as ours."""
    import torch
    from nflows import transforms
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP

    class Told(MLP):
        """Its network, which takes no context, as its couplings call it."""

        hidden_features = about["hidden"]

        def forward(self, inputs, context=None):
            return super().forward(inputs)

    def network(inputs, outputs):
        return Told([inputs], [outputs], [about["hidden"]] * about["depth"])

    dim, members = about["dim"], []
    for i in range(about["steps"]):
        members.append(transforms.ActNorm(dim))
        if i % 2 == 0:
            members.append(transforms.RandomPermutation(dim))
        mask = (torch.arange(dim) >= dim // 2) ^ (i % 2 == 1)  # what moves
        if flow == "spline":
            coupling = transforms.PiecewiseRationalQuadraticCouplingTransform
            told = {"tails": "linear", "tail_bound": about["tail"]}
            told["num_bins"] = about["num_bins"]
        else:
            coupling, told = transforms.AffineCouplingTransform, {}
        members.append(coupling(mask.int(), network, **told))
    return Flow(transforms.CompositeTransform(members), StandardNormal([dim]))


def zuko_flow(flow, about):
    """Couplings of every other channel, in turns; the spline's tails begin at 5."""
    import torch
    import zuko
    from zuko.flows.coupling import GeneralCouplingTransform

    dim, bins = about["dim"], about["num_bins"]
    told = {}
    if flow == "spline":
        told = {"univariate": zuko.transforms.MonotonicRQSTransform}
        told["shapes"] = [(bins,), (bins,), (bins - 1,)]
    members = []
    for i in range(about["steps"]):
        members.append(
            GeneralCouplingTransform(
                features=dim,
                mask=torch.arange(dim) % 2 == i % 2,
                hidden_features=[about["hidden"]] * about["depth"],
                **told,
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
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
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
