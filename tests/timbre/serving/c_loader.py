"""Run a SavedModel as a server does: through TensorFlow's C loader, without its Python.

    python c_loader.py FOLDER SIGNATURE OUT_FOLDER INPUT=FILE.npy ...

Only `ctypes` and NumPy are used: no code of the project and no Python `tensorflow`.
The library is the one inside the wheel, `TF_LoadSessionFromSavedModel` is the call a
C++ server makes, and tensors are found by the names the signature gives them. Each
output is written to `OUT_FOLDER/<output>.npy`.
"""

import ctypes
import importlib.util
import sys
from pathlib import Path

import numpy as np

DTYPES = {1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 9: "i8", 10: "?"}
POINTER = ctypes.c_void_p


class Buffer(ctypes.Structure):
    """`TF_Buffer`: bytes that TensorFlow owns."""

    _fields_ = [("data", POINTER), ("length", ctypes.c_size_t), ("free", POINTER)]


class Output(ctypes.Structure):
    """`TF_Output`: one result of one operation."""

    _fields_ = [("operation", POINTER), ("index", ctypes.c_int)]


def library():
    """TensorFlow's C library, from the folder of the wheel, not by importing it."""
    folder = importlib.util.find_spec("tensorflow").submodule_search_locations[0]
    tf = ctypes.CDLL(str(Path(folder) / "libtensorflow_cc.so.2"))
    for name in ("NewStatus", "NewGraph", "NewSessionOptions", "NewBuffer"):
        getattr(tf, f"TF_{name}").restype = POINTER
    for name in ("LoadSessionFromSavedModel", "GraphOperationByName", "TensorData"):
        getattr(tf, f"TF_{name}").restype = POINTER
    tf.TF_AllocateTensor.restype = POINTER
    tf.TF_Message.restype = ctypes.c_char_p
    tf.TF_Dim.restype = ctypes.c_int64
    tf.TF_TensorByteSize.restype = ctypes.c_size_t
    return tf


def check(tf, status):
    """Stop with TensorFlow's own message if a call failed."""
    if tf.TF_GetCode(POINTER(status)):
        raise SystemExit(tf.TF_Message(POINTER(status)).decode())


def varint(data, at):
    """A number of protobuf's wire format, and where the next byte is."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at


def fields(data):
    """The fields of a protobuf message, as `(number, value)`."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def entries(message, number):
    """A protobuf map, as a dictionary of messages."""
    pairs = (dict(fields(value)) for field, value in fields(message) if field == number)
    return {bytes(pair[1]).decode(): pair[2] for pair in pairs}


def tensors(signature, number):
    """Inputs (1) or outputs (2) of a signature: `{name: (operation, index, dtype)}`."""
    found = {}
    for name, info in entries(signature, number).items():
        info = dict(fields(info))
        operation, _, index = bytes(info[1]).decode().partition(":")
        found[name] = (operation, int(index or 0), info[2])
    return found


def load(tf, folder):
    """Load a SavedModel; give its session, its graph and its signatures."""
    status, graph, meta = tf.TF_NewStatus(), tf.TF_NewGraph(), tf.TF_NewBuffer()
    session = tf.TF_LoadSessionFromSavedModel(
        POINTER(tf.TF_NewSessionOptions()),
        None,
        str(folder).encode(),
        (ctypes.c_char_p * 1)(b"serve"),
        1,
        POINTER(graph),
        POINTER(meta),
        POINTER(status),
    )
    check(tf, status)
    buffer = Buffer.from_address(meta)
    return session, graph, entries(ctypes.string_at(buffer.data, buffer.length), 5)


def put(tf, array, dtype):
    """A tensor with the values of an array, which must have its dtype."""
    if array.dtype != np.dtype(DTYPES[dtype]):
        raise SystemExit(f"input must be {DTYPES[dtype]}, not {array.dtype}")
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    size = ctypes.c_size_t(array.nbytes)
    tensor = tf.TF_AllocateTensor(dtype, shape, array.ndim, size)
    ctypes.memmove(tf.TF_TensorData(POINTER(tensor)), array.tobytes(), array.nbytes)
    return tensor


def get(tf, tensor, dtype):
    """The values of a tensor."""
    shape = [tf.TF_Dim(tensor, i) for i in range(tf.TF_NumDims(tensor))]
    data = ctypes.string_at(tf.TF_TensorData(tensor), tf.TF_TensorByteSize(tensor))
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)


def ports(tf, graph, infos):
    """The graph's places of some tensors."""
    places = [
        Output(tf.TF_GraphOperationByName(POINTER(graph), operation.encode()), index)
        for operation, index, _ in infos
    ]
    return (Output * len(places))(*places)


def run(folder, name, arrays):
    """Run one signature of a SavedModel on arrays by name; give arrays by name."""
    tf = library()
    session, graph, signatures = load(tf, folder)
    if name not in signatures:
        raise SystemExit(f"no signature {name!r}, only {sorted(signatures)}")
    inputs, outputs = (tensors(signatures[name], number) for number in (1, 2))
    if set(inputs) != set(arrays):
        raise SystemExit(f"inputs are {sorted(inputs)}, not {sorted(arrays)}")
    feeds = [put(tf, arrays[key], info[2]) for key, info in inputs.items()]
    results, status = (POINTER * len(outputs))(), tf.TF_NewStatus()
    tf.TF_SessionRun(
        POINTER(session),
        None,
        ports(tf, graph, inputs.values()),
        (POINTER * len(feeds))(*feeds),
        len(feeds),
        ports(tf, graph, outputs.values()),
        results,
        len(outputs),
        None,
        0,
        None,
        POINTER(status),
    )
    check(tf, status)
    return {
        key: get(tf, POINTER(result), info[2])
        for result, (key, info) in zip(results, outputs.items(), strict=True)
    }


def main(folder, name, out, *inputs):
    """Read the inputs, run the signature, write the outputs."""
    pairs = (text.split("=", 1) for text in inputs)
    arrays = {key: np.load(path, allow_pickle=False) for key, path in pairs}
    results = run(folder, name, arrays)
    Path(out).mkdir(parents=True, exist_ok=True)
    for key, array in results.items():
        np.save(Path(out) / f"{key}.npy", array)
    if {"tensorflow", "keras"} & set(sys.modules):
        raise SystemExit("Python's tensorflow must not take part")


if __name__ == "__main__":
    main(*sys.argv[1:])
