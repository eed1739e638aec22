"""The closed registry of networks: no other class can be named by a config."""

from diffusion.networks.linear import Linear
from diffusion.networks.resmlp import ResMLP
from diffusion.networks.unet1d import UNet1D

NETWORKS = {"linear": Linear, "resmlp": ResMLP, "unet1d": UNet1D}


def build(network="resmlp", **options):
    """Builds a network, all weights made, from names and numbers only.

    A config describes all networks at once: each takes the arguments it knows, and
    those of the others are passed over. What is left out is the network's default.

    Args:
        network: `"resmlp"`, `"linear"` or `"unet1d"`.
        **options: `dim`, `steps`, `classes`, and the arguments of `ResMLP`, `Linear`
            and `UNet1D`.

    Returns:
        A `DenoisingNetwork`.

    Raises:
        ValueError: If `network` is not known, or a value is not possible.
        TypeError: If no network has an argument of that name.

    Example:
        ```python
        network = build("resmlp", dim=64, steps=1000, width=256)
        ```
    """
    if network not in NETWORKS:
        raise ValueError(
            f"`network` must be one of {sorted(NETWORKS)}. Received: {network!r}"
        )
    known = set().union(*(kind.arguments() for kind in NETWORKS.values()))
    if unknown := sorted(options.keys() - known):
        raise TypeError(
            f"Arguments of networks are {sorted(known)}. Received: {unknown}"
        )
    kind = NETWORKS[network]
    own = {n: value for n, value in options.items() if n in kind.arguments()}
    return kind(**own, name=network)
