"""Export of SavedModels with named signatures, for any TensorFlow server.

A SavedModel holds each weight once, needs no Python and no custom ops. Its description
lies beside it in `assets.extra/about.json`, which servers ignore.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
STOCK_OPS = frozenset(dir(tf.raw_ops))
FREE_DIM = 400  # 25 ms of sound, one frame: size of a free axis in a default sample


class Signature(NamedTuple):
    """A function of a SavedModel with the names of its inputs and outputs.

    Args:
        function: Takes the inputs by position, returns a tensor or a tuple of them.
        inputs: A `tf.TensorSpec` for each, every one with a name.
        outputs: Name of the result, or a tuple of names.
        sample: Maps each input's name to an array to test the saved model with.
            Defaults to small random values, which some functions may refuse.
    """

    function: Callable
    inputs: Sequence[tf.TensorSpec]
    outputs: str | Sequence[str]
    sample: Mapping[str, np.ndarray] | None = None


def trace(signature: Signature) -> Any:
    """Trace a signature's `ConcreteFunction`, with inputs and outputs by name."""
    names: list[Any] = [spec.name for spec in signature.inputs]
    if None in names or len(set(names)) < len(names):
        raise ValueError(f"Inputs must have names that differ. Received: {names}")
    outputs = signature.outputs
    outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)

    def call(**tensors):
        results = signature.function(*(tensors[name] for name in names))
        results = results if isinstance(results, (tuple, list)) else (results,)
        if len(results) != len(outputs):
            raise ValueError(
                f"A signature must return one tensor for each of {list(outputs)}. "
                f"Received: {len(results)}"
            )
        return dict(zip(outputs, results, strict=True))

    specs = dict(zip(names, signature.inputs, strict=True))
    return tf.function(call).get_concrete_function(**specs)


def save(
    folder: str | os.PathLike,
    signatures: Mapping[str, Any],
    *,
    about: dict | None = None,
    assets: Mapping[str, bytes] | None = None,
) -> None:
    """Write a SavedModel, check that a server can run it, and compare its outputs.

    Only the variables that the graphs read are saved, each once, however many
    signatures share them. To publish the folder see `timbre.serving.publish`.

    Args:
        folder: Where to write; must not exist, or be empty.
        signatures: Maps a name to a `Signature` or to its fields as a tuple.
        about: What the model is, written to `assets.extra/about.json`.
        assets: Maps further file names in `assets.extra` to their bytes.

    Raises:
        FileExistsError: If the folder holds anything.
        ValueError: If a graph needs Python or a custom op, or if the saved model's
            outputs differ from those of the functions. The files stay there.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"A SavedModel needs an empty folder. Received: {folder}")
    if not signatures:
        raise ValueError("A SavedModel needs a signature. Received: none")
    signatures = {name: Signature(*value) for name, value in signatures.items()}
    traced = {name: trace(signature) for name, signature in signatures.items()}
    variables = [v for graph in traced.values() for v in graph.graph.variables]
    module: Any = tf.Module()
    module.weights = list({id(variable): variable for variable in variables}.values())
    tf.saved_model.save(module, str(folder), signatures=traced)
    check_portable(folder)
    check_outputs(folder, traced, signatures)
    text = json.dumps(about or {}, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "assets.extra").mkdir()
    for name, content in {"about.json": f"{text}\n".encode(), **(assets or {})}.items():
        if Path(name).name != name:
            raise ValueError(f"An asset must be a plain file name. Received: {name!r}")
        (folder / "assets.extra" / name).write_bytes(content)


def check_portable(folder: str | os.PathLike) -> None:
    """Refuse a SavedModel whose graph or functions need more than TensorFlow's ops.

    Raises:
        ValueError: Naming the op and where it stands.
    """
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((Path(folder) / "saved_model.pb").read_bytes())
    for meta in saved.meta_graphs:
        library = meta.graph_def.library.function
        functions = {function.signature.name for function in library}
        _check_nodes(meta.graph_def.node, "the graph", functions)
        for function in library:
            where = f"function {function.signature.name!r}"
            _check_nodes(function.node_def, where, functions)


def _check_nodes(nodes, where, functions):
    for node in nodes:
        place = f"Received: op {node.op!r}, node {node.name!r} of {where}"
        if node.op in PYTHON_OPS:
            raise ValueError(f"A served graph can not call Python. {place}")
        if node.op not in STOCK_OPS and node.op not in functions:
            raise ValueError(f"A served graph must use TensorFlow's own ops. {place}")
        if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
            raise ValueError(f"A served graph must run without XLA. {place}")


def check_outputs(
    folder: str | os.PathLike,
    traced: Mapping[str, Any],
    signatures: Mapping[str, Signature],
) -> None:
    """Load a SavedModel and compare its outputs with those of its source graphs.

    Args:
        folder: A SavedModel.
        traced: Maps names to concrete functions.
        signatures: Maps the same names to `Signature`s, for their samples.

    Raises:
        ValueError: If an output differs by more than rounding.
    """
    loaded = tf.saved_model.load(str(folder))
    for name, function in traced.items():
        specs = signatures[name].inputs
        sample: Mapping[Any, Any] = signatures[name].sample or _default_sample(specs)
        inputs: dict[Any, tf.Tensor] = {
            spec.name: tf.constant(sample[spec.name], spec.dtype) for spec in specs
        }
        actual = loaded.signatures[name](**inputs)
        for key, value in function(**inputs).items():
            if not _equal(value.numpy(), actual[key].numpy()):
                raise ValueError(
                    "A saved model must give the outputs of its source: "
                    f"{key!r} of signature {name!r} differs"
                )


def _default_sample(specs) -> dict:
    """Two rows of noise, ones for integers, free axes of `FREE_DIM`."""
    rng, sample = np.random.default_rng(0), {}
    for spec in specs:
        shape = spec.shape.as_list()
        free = [2 if axis == 0 else FREE_DIM for axis in range(len(shape))]
        shape = [f if s is None else s for s, f in zip(shape, free, strict=True)]
        noise = 0.1 * rng.normal(size=shape)
        other = np.full(shape, "" if spec.dtype == tf.string else 1)
        sample[spec.name] = noise if spec.dtype.is_floating else other
    return sample


def _equal(expected, actual) -> bool:
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return False
    if not np.issubdtype(expected.dtype, np.inexact):
        return bool((expected == actual).all())
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return np.allclose(expected, actual, rtol=0, atol=1e-5 * scale, equal_nan=True)
