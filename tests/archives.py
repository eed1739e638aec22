"""Archives of arrays that say what can not be; each function writes one to a path."""

import io
import zipfile

import numpy as np

WHOLE = {
    "embeddings": np.ones((1, 4), "f"),
    "speaker": np.array(["a"]),
    "segment": np.array(["s"]),
    "about": np.array("{}"),
}


def no_letter(path):
    """A text whose number is beyond all letters."""
    speaker = _npy(np.array(["a"])).replace(b"a\0\0\0", b"\0\0\x11\0")
    _write(path, {**_members(), "speaker": speaker})


def endless(path):
    """An array of no bytes that says it has 2**70 rows."""
    rows = _npy(np.zeros((0, 0), "f"))
    _write(
        path, {**_members(), "embeddings": rows.replace(b"(0, 0)", b"(%d, 0)" % 2**70)}
    )


def _members():
    return {name: _npy(array) for name, array in WHOLE.items()}


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
