"""The closed registry of networks: no other class can be named by a config."""

from diffusion.networks.linear import Linear
from diffusion.networks.resmlp import ResMLP
from diffusion.networks.unet1d import UNet1D
from timbre.training import networks

NETWORKS = {"linear": Linear, "resmlp": ResMLP, "unet1d": UNet1D}


def build(network="resmlp", **arguments):
    """Builds a `DenoisingNetwork`, all weights made, from names and numbers only.

    Args:
        network: `"resmlp"`, `"linear"` or `"unet1d"`.
        **arguments: `dim`, `steps`, `classes`, and arguments of `ResMLP`, `Linear` and
            `UNet1D`, of which those of the others are ignored.

    Raises:
        ValueError: If `network` is not known, or a value is not possible.
        TypeError: If no network has an argument of that name.
    """
    kind, own = networks.select(NETWORKS, network, arguments)
    return kind(**own, name=network)
