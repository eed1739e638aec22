"""Nearest-neighbour search among many enrolled voices, by cosine.

    cosine(query, voice),  voice = sum of the unit embeddings enrolled under its name

The direction of the sum is that of the mean, and another recording is just added to it.
An index on disk is an embedding set, and every set with speakers is read as an index.
"""

from hashlib import blake2b

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics.scoring import rowwise_cosines
from timbre.training.networks import check_choice

ENGINES = ("exact", "usearch")
KIND = "voice index"
BLOCK_BYTES = 2**24  # float32 cosines of the queries that are searched at once


class VoiceIndex:
    """Enrolled voices by name, searched by cosine.

    The exact engine answers as float64 arithmetic on all voices would, equal cosines
    in the order of enrolment. The engine `usearch` follows a graph of neighbours
    (HNSW): it may miss a voice, and the cosines of those it finds are exact. Its graph
    is built by one thread, so that it is reproducible, and again by `load`. It is an
    extra: without it there is an `ImportError`.

    Args:
        dim: Length of an embedding.
        engine: `"exact"`, or `"usearch"` for many voices. Defaults to `"exact"`.
        expansion: Of `usearch`: candidates kept while following the graph; more find
            more and take longer. Defaults to `64`.
        about: What made the embeddings, for the file; see `EmbeddingSet`.

    Example:
        ```python
        index = VoiceIndex(encoder.dim)
        index.add("anna", encoder.embed_speaker(["anna_1.wav", "anna_2.wav"]))
        names, cosines = index.search(encoder.embed_utterance("unknown.wav"), k=5)
        ```

    Reference:
        Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical
        Navigable Small World Graphs (Malkov and Yashunin, 2018),
        https://arxiv.org/abs/1603.09320
    """

    def __init__(self, dim, *, engine="exact", expansion=64, about=None):
        check_choice("engine", engine, ENGINES)
        self.dim, self.engine = int(dim), engine
        self.about = dict(about or {})
        self._sums = {}  # name to the sum of its embeddings, in the order of enrolment
        self._table = None  # of `_tabulate`, until something changes
        self._graph = _new_graph(dim, int(expansion)) if engine == "usearch" else None

    def __len__(self):
        return len(self._sums)

    def __contains__(self, name):
        return name in self._sums

    @property
    def names(self) -> list[str]:
        """Names of the enrolled voices, in the order in which they came."""
        return list(self._sums)

    def add(self, name, embeddings):
        """Enrols voices, or adds recordings to those that are enrolled.

        Args:
            name: Name of one voice, or one name for each embedding.
            embeddings: `[dim]` or `[n, dim]`, of any length above 0.

        Raises:
            ValueError: If a name is empty, an embedding is not finite or zero, or those
                of a voice cancel each other; then nothing is added.
        """
        units = self._units(embeddings)
        names = [name] * len(units) if isinstance(name, str) else list(name)
        named = all(isinstance(one, str) and one for one in names)
        if len(names) != len(units) or not named:
            raise ValueError(
                "Every embedding needs a name that is not empty. "
                f"Received: {len(names)} names for {len(units)} embeddings"
            )
        sums = {}
        for one, row in zip(names, units, strict=True):
            sums[one] = sums.get(one, self._sums.get(one, 0)) + row
        cancelled = [one for one, row in sums.items() if np.abs(row).max() < 1e-6]
        if cancelled:
            raise ValueError(
                "Embeddings of one voice must not cancel each other. "
                f"Received: those of {cancelled}"
            )
        self._write(sums)

    def remove(self, name):
        """Forgets a voice, of which there must be one: its numbers are gone at once."""
        self._sums.pop(name).fill(0)
        self._table = None
        if self._graph is not None:
            self._graph.remove(_key(name))

    def search(self, embeddings, k=5) -> tuple[np.ndarray, np.ndarray]:
        """The `k` enrolled voices nearest to each query; there must be a voice.

        Args:
            embeddings: `[dim]` or `[n, dim]`, of any length above 0.
            k: How many voices, fewer if fewer are enrolled. Defaults to `5`.

        Returns:
            Names, str `[k]` or `[n, k]`, and cosines, float64 of the same shape, the
            nearest first.
        """
        if k < 1 or not self._sums:
            raise ValueError(
                "A search needs an enrolled voice and `k` of at least 1. "
                f"Received: {len(self)} voices, k {k}"
            )
        queries, k = self._units(embeddings), min(int(k), len(self))
        names, voices, _ = self._tabulate()
        found = np.zeros((len(queries), k), int)
        cosines = np.zeros((len(queries), k))
        find = self._follow if self.engine == "usearch" else self._scan
        for i, rows in enumerate(find(queries, k)):
            near = np.arange(len(rows))
            exact = rowwise_cosines(queries[i : i + 1], voices[rows], 0 * near, near)
            order = np.lexsort((rows, -exact))[:k]
            found[i], cosines[i] = rows[order], exact[order]
        shape = (*np.shape(embeddings)[:-1], k)
        named = np.array([names[row] for row in found.ravel().tolist()], str)
        return named.reshape(shape), cosines.reshape(shape)

    def save(self, path):
        """Writes the index as an embedding set (`.npz`), whole or not at all."""
        names, voices, _ = self._tabulate()
        named = np.array(names, str)
        EmbeddingSet(voices, named, named, {**self.about, "kind": KIND}).save(path)

    @classmethod
    def load(cls, path, *, engine="exact", expansion=64):
        """Reads an index, or an embedding set as one; executes nothing in the file.

        Args:
            path: What `save` wrote, or any embedding set whose speakers are known;
                another file is a `ValueError`.
            engine, expansion: As of the class. Default to `"exact"` and `64`.
        """
        stored = EmbeddingSet.load(path)
        sums, names = stored.embeddings, stored.speaker.tolist()
        if not sums.shape[1]:
            raise ValueError(
                f"Voices need numbers: {path}. Received: shape {sums.shape}"
            )
        about = dict(stored.about)
        kind = about.pop("kind", None)
        index = cls(sums.shape[1], engine=engine, expansion=expansion, about=about)
        if kind != KIND:
            index.add(names, sums)
        elif "" in names or len({*names}) < len(names) or not sums.any(axis=1).all():
            raise ValueError(
                f"Voices of an index have one name each and are not zero: {path}. "
                f"Received: {len({*names})} names"
            )
        else:
            index._write(dict(zip(names, sums, strict=True)))
        return index

    def _units(self, embeddings) -> np.ndarray:
        """Unit vectors float32 `[n, dim]` of what a user gave."""
        given = np.asarray(embeddings)
        if given.ndim not in (1, 2) or given.shape[-1] != self.dim:
            raise ValueError(
                f"`embeddings` must be [{self.dim}] or [n, {self.dim}]. "
                f"Received: shape {given.shape}"
            )
        rows = np.atleast_2d(given).astype(np.float64)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        wrong = np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))
        if len(wrong):
            raise ValueError(
                "`embeddings` must be finite and not zero. "
                f"Received: NaN, infinity or zeros in row {wrong[0]}"
            )
        rows /= largest  # or squares of very long or short ones leave float64
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)

    def _write(self, sums):
        """Sets the sums of some names; new names stand behind the others."""
        if self._graph is not None and sums:
            for name in sums.keys() & self._sums.keys():
                self._graph.remove(_key(name))
            keys = np.array([*map(_key, sums)], np.uint64)
            self._graph.add(keys, np.stack([*sums.values()]), threads=1)
        self._sums |= sums
        self._table = None

    def _tabulate(self):
        """Names, their sums float32 `[voices, dim]`, and lengths `[voices]`."""
        if self._table is None:
            sums = np.array([*self._sums.values()], np.float32).reshape(-1, self.dim)
            names, lengths = self.names, np.sqrt(np.einsum("nd,nd->n", sums, sums))
            self._sums = dict(zip(names, sums, strict=True))  # rows of the one array
            self._table = names, sums, lengths
        return self._table

    def _scan(self, queries, k):
        """Rows that may be among the `k` nearest of each query, from all voices."""
        _, voices, lengths = self._tabulate()
        slack = (self.dim + 8) * 2.0**-22  # bound of the error of float32 cosines
        size = max(1, BLOCK_BYTES // (4 * len(voices)))
        for start in range(0, len(queries), size):
            cosines = (queries[start : start + size] @ voices.T) / lengths
            worst = np.partition(cosines, -k, axis=1)[:, -k, None] - slack
            yield from map(np.flatnonzero, cosines >= worst)

    def _follow(self, queries, k):
        """Rows that the graph finds, for each query."""
        rows = {_key(name): row for row, name in enumerate(self._sums)}
        for query in queries:
            keys = self._graph.search(query, k).keys.tolist()
            if len(keys) < k:  # lost in the graph; leave nobody out
                yield from self._scan(query[None], k)
            else:
                yield np.array([rows[key] for key in keys])


def _key(name) -> int:
    """The key of a name in the graph, of 64 bits."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _new_graph(dim, expansion):
    try:
        from usearch.index import Index
    except ImportError as error:
        rule = 'The engine "usearch" is an extra: pip install usearch'
        raise ImportError(rule) from error
    return Index(
        ndim=dim,
        metric="cos",
        dtype="f32",
        expansion_add=expansion,
        expansion_search=expansion,
    )
