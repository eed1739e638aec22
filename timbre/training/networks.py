"""Keras layers and models whose config is the arguments of their constructor."""

import inspect

from timbre.training.config import find_below


class ConfiguredByArguments:
    """Mix-in of layers and models that keep each argument as the attribute of its name.

    Put it before the Keras class among the bases. An `__init__` with `**kwargs` adds
    the arguments of the next class that has one, up to Keras' own.
    """

    @classmethod
    def arguments(cls) -> tuple[str, ...]:
        """Names of the arguments it is built from, but those of Keras."""
        names = {}
        for kind in cls.__mro__[: cls.__mro__.index(ConfiguredByArguments)]:
            if "__init__" in vars(kind):
                _, *own = inspect.signature(kind.__init__).parameters.values()
                names |= {p.name: None for p in own if p.kind != p.VAR_KEYWORD}
                if all(p.kind != p.VAR_KEYWORD for p in own):
                    break
        return tuple(names)

    def get_config(self):
        """What Keras keeps of a layer, and the arguments."""
        own = {name: getattr(self, name) for name in self.arguments()}
        return {**super().get_config(), **own}  # pyright: ignore[reportAttributeAccessIssue]

    def check_min(self, **limits):
        """Refuses arguments below their limits, as `config.check_min` does."""
        for name, limit, value in find_below(self, limits):
            raise ValueError(f"`{name}` must be at least {limit}. Received: {value}")


def check_choice(name, value, known):
    """Refuses, by a `ValueError`, an argument that is not among the known values."""
    if value not in known:
        raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}")


def select(networks, network, arguments):
    """The class of a network in a closed registry, and its share of the arguments.

    Args:
        networks: Name to class, each with `arguments()`.
        network: A name.
        arguments: Dict of arguments of any of them: a config describes all at once.

    Returns:
        The class, and a dict of those of `arguments` that it takes.

    Raises:
        ValueError: If the name is not known.
        TypeError: If no network has an argument of that name.
    """
    check_choice("network", network, sorted(networks))
    names = {name for kind in networks.values() for name in kind.arguments()}
    if unknown := sorted(arguments.keys() - names):
        raise TypeError(
            f"Arguments of networks are {sorted(names)}. Received: {unknown}"
        )
    kind = networks[network]
    own = kind.arguments()
    return kind, {name: value for name, value in arguments.items() if name in own}
