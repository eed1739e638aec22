"""Voice index: whose voice, among many enrolled, is most like this one.

    cosine(query, voice),  voice = sum of the unit embeddings enrolled under its name

One row a voice, whatever the number of its recordings: the direction of the sum is
that of their mean, and another recording is just added to it. An index on disk is an
embedding set, and every embedding set with speakers can be read as an index.
"""

import numpy as np

from timbre.corpora.embeddings import EmbeddingSet
from timbre.metrics.scoring import paired_cosines

ENGINES = ("exact", "usearch")
KIND = "voice index"
QUERIES = 64  # searched at once
BLOCK_BYTES = 2**24  # cosines of the queries with the voices of one block


class VoiceIndex:
    """Enrolled voices by name, searched by cosine.

    The exact engine answers as float64 arithmetic on all voices would, equal cosines
    in the order of enrolment, with float32 products on all but the few that matter.
    The engine `usearch` follows a graph of neighbours instead (HNSW): it may miss a
    voice, and the cosines of those that it finds are exact. Its graph is made by one
    thread, so that no two differ, and anew by `load`, as a file holds plain numbers.

    Args:
        dim: Length of an embedding.
        engine: `"exact"`, or `"usearch"` for many voices. Defaults to `"exact"`.
        expansion: Of `usearch`: candidates kept while following the graph; more find
            more and take longer. Defaults to `64`.
        about: What made the embeddings, for the file; see `EmbeddingSet`.

    Raises:
        ImportError: If the engine is not installed.

    Example:
        ```python
        index = VoiceIndex(encoder.dim)
        index.add("anna", encoder.embed_speaker(["anna_1.wav", "anna_2.wav"]))
        names, cosines = index.search(encoder.embed_utterance("unknown.wav"), top=5)
        ```

    Reference:
        Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical
        Navigable Small World Graphs (Malkov and Yashunin, 2018),
        https://arxiv.org/abs/1603.09320
    """

    def __init__(self, dim, *, engine="exact", expansion=64, about=None):
        if engine not in ENGINES:
            raise ValueError(f"`engine` must be one of {ENGINES}. Received: {engine!r}")
        self.dim, self.engine, self.expansion = int(dim), engine, int(expansion)
        self.about = dict(about or {})
        self._graph = _new_graph(dim, expansion) if engine == "usearch" else None
        self._sums = np.zeros((0, self.dim), np.float32)  # grows ahead of its use
        self._lengths = np.zeros(0, np.float32)  # of the sums; NaN where removed
        self._names = []  # of each row in use; None where one was removed
        self._rows = {}  # name to row, in the order of enrolment

    def __len__(self):
        return len(self._rows)

    def __contains__(self, name):
        return name in self._rows

    @property
    def names(self) -> list[str]:
        """Names of the enrolled voices, in the order in which they came."""
        return list(self._rows)

    def add(self, name, embeddings):
        """Enrols voices, or adds recordings to those that are enrolled.

        Args:
            name: Name of one voice, or one name for each embedding.
            embeddings: `[dim]` or `[n, dim]`, of any length above 0.

        Raises:
            ValueError: If a name is empty, or an embedding is not finite or zero; then
                nothing is added. If two recordings of a voice are exactly opposite.
        """
        units = self._units(embeddings)
        names = [name] * len(units) if isinstance(name, str) else list(name)
        named = all(isinstance(one, str) and one for one in names)
        if len(names) != len(units) or not named:
            raise ValueError(
                "Every embedding needs a name that is not empty. "
                f"Received: {len(names)} names for {len(units)} embeddings"
            )
        fresh = [one for one in dict.fromkeys(names) if one not in self._rows]
        place = {one: row for row, one in enumerate(fresh, start=len(self._names))}
        rows = np.array([self._rows.get(one, place.get(one)) for one in names], int)
        touched, which = np.unique(rows, return_inverse=True)
        sums = np.zeros((len(touched), self.dim), np.float32)
        old = touched < len(self._names)
        sums[old] = self._sums[touched[old]]
        np.add.at(sums, which, units)
        if (np.abs(sums).max(axis=1, initial=0) < 1e-6).any():
            raise ValueError("Embeddings of one voice must not cancel. Received: such")
        self._names += fresh
        self._rows |= place
        self._write(touched, sums, renewed=touched[old])

    def remove(self, name):
        """Forgets a voice: its numbers are gone at once.

        Raises:
            KeyError: If there is no voice of this name.
        """
        row = self._rows.pop(name)
        self._names[row] = None
        self._sums[row], self._lengths[row] = 0, np.nan
        if self._graph is not None:
            self._graph.remove(row)
        if len(self._rows) < len(self._names) // 2:
            self._restore(self.names, self._sums[list(self._rows.values())])

    def search(self, embeddings, top=5) -> tuple[np.ndarray, np.ndarray]:
        """The enrolled voices that are most like each query.

        Args:
            embeddings: `[dim]` or `[n, dim]`, of any length above 0.
            top: How many voices, fewer if fewer are enrolled. Defaults to `5`.

        Returns:
            Names, str `[top]` or `[n, top]`, and cosines, float64 of the same shape,
            the most like first.

        Raises:
            ValueError: If nothing is enrolled, or a query does not fit.
        """
        if top < 1 or not self._rows:
            raise ValueError(
                "A search needs an enrolled voice and `top` of at least 1. "
                f"Received: {len(self)} voices, top {top}"
            )
        queries, top = self._units(embeddings), min(int(top), len(self))
        look = self._follow if self.engine == "usearch" else self._scan
        blocks = range(0, len(queries), QUERIES)
        found = [look(queries[b : b + QUERIES], top) for b in blocks]
        nothing = np.zeros((0, top), int)
        rows = np.concatenate([nothing, *(rows for rows, _ in found)])
        cosines = np.concatenate([nothing, *(cosines for _, cosines in found)])
        names = np.array([self._names[row] for row in rows.ravel().tolist()], str)
        shape = (*np.shape(embeddings)[:-1], top)
        return names.reshape(shape), cosines.reshape(shape)

    def save(self, path):
        """Writes the index as an embedding set (`.npz`), whole or not at all."""
        names = np.array(self.names, str)
        sums = self._sums[list(self._rows.values())].reshape(-1, self.dim)
        EmbeddingSet(sums, names, names, {**self.about, "kind": KIND}).save(path)

    @classmethod
    def load(cls, path, *, engine="exact", expansion=64):
        """Reads an index, or an embedding set as one; executes nothing in the file.

        Args:
            path: What `save` wrote, or any embedding set whose speakers are known.
            engine: As of the class. Defaults to `"exact"`.
            expansion: As of the class. Defaults to `64`.

        Raises:
            ValueError: If the file is none of these.
        """
        held = EmbeddingSet.load(path)
        about, sums, names = dict(held.about), held.embeddings, held.speaker
        if not sums.shape[1]:
            raise ValueError(
                f"Voices need numbers: {path}. Received: shape {sums.shape}"
            )
        kind, names = about.pop("kind", None), names.tolist()
        index = cls(sums.shape[1], engine=engine, expansion=expansion, about=about)
        if kind != KIND:
            index.add(names, sums)
        elif "" in names or len({*names}) < len(names) or not sums.any(axis=1).all():
            rule = "Voices of an index have one name each and are not zero"
            raise ValueError(f"{rule}: {path}. Received: {len({*names})} names")
        else:
            index._restore(names, sums)
        return index

    def _units(self, embeddings) -> np.ndarray:
        """Unit vectors float32 `[n, dim]` of what a user gave."""
        given = np.asarray(embeddings)
        if given.ndim not in (1, 2) or given.shape[-1] != self.dim:
            raise ValueError(
                f"`embeddings` must be [{self.dim}] or [n, {self.dim}]. "
                f"Received: shape {given.shape}"
            )
        rows = np.atleast_2d(given)
        units = np.empty(rows.shape, np.float32)
        for start in range(0, len(rows), 4096):
            part = rows[start : start + 4096].astype(np.float64)
            largest = np.abs(part).max(axis=1, keepdims=True)
            if not (np.isfinite(largest) & (largest > 0)).all():
                raise ValueError(
                    "`embeddings` must be finite, not zero. Received: others"
                )
            part /= largest  # or squares of very long or short ones leave float64
            part /= np.linalg.norm(part, axis=1, keepdims=True)
            units[start : start + 4096] = part
        return units

    def _restore(self, names, sums):
        """Starts again with these voices and no removed ones between them."""
        self._sums, self._lengths = self._sums[:0], self._lengths[:0]
        self._names, self._rows = list(names), {n: i for i, n in enumerate(names)}
        if self._graph is not None:
            self._graph = _new_graph(self.dim, self.expansion)
        self._write(np.arange(len(names)), sums)

    def _write(self, rows, sums, *, renewed=()):
        """Sets rows to new sums; `renewed` are those that the graph knows already."""
        if len(self._names) > len(self._sums):
            num = max(len(self._names), 2 * len(self._sums))
            more = num - len(self._sums)
            self._sums = np.pad(self._sums, ((0, more), (0, 0)))
            self._lengths = np.pad(self._lengths, (0, more))
        self._sums[rows] = sums
        self._lengths[rows] = np.sqrt(np.einsum("nd,nd->n", sums, sums))
        if self._graph is not None:
            if len(renewed):
                self._graph.remove(renewed)
            self._graph.add(rows, sums, threads=1)

    def _scan(self, queries, top):
        """Rows and cosines `[n, top]` of all voices, a block of them at a time.

        float32 cosines are off by less than `slack`. Whatever reaches, within that,
        the last of the best so far is computed again in float64.
        """
        slack = (self.dim + 8) * 2.0**-23
        best = _nothing(len(queries))
        size = max(1, BLOCK_BYTES // (4 * len(queries)))
        for start in range(0, len(self._names), size):
            block = slice(start, min(start + size, len(self._names)))
            cosines = (queries @ self._sums[block].T) / self._lengths[block]
            bound = _bound(cosines, best[1], top) - slack
            which, rows = np.nonzero(cosines >= bound[:, None])
            best = self._merge(queries, best, which, rows + start, top)
        return best

    def _follow(self, queries, top):
        """Rows and exact cosines `[n, top]` of what the graph finds."""
        found = self._graph.search(queries, top)
        keys = np.atleast_2d(found.keys).astype(int)
        if np.min(getattr(found, "counts", keys.shape[1])) < top:
            return self._scan(queries, top)  # lost in the graph; leave nobody out
        which = np.repeat(np.arange(len(queries)), top)
        return self._merge(queries, _nothing(len(queries)), which, keys.ravel(), top)

    def _merge(self, queries, best, which, rows, top):
        """The `top` of the best so far and of new pairs; of equals, the first rows."""
        near, where = np.unique(rows, return_inverse=True)
        cosines = paired_cosines(queries, self._sums[near], which, where)
        num, held = best[0].shape
        which = np.append(np.repeat(np.arange(num), held), which)
        rows, cosines = np.append(best[0], rows), np.append(best[1], cosines)
        order = np.lexsort((rows, -cosines, which))
        rank = np.arange(len(order)) - np.searchsorted(which[order], which[order])
        kept = order[rank < top]
        return rows[kept].reshape(num, -1), cosines[kept].reshape(num, -1)


def _nothing(num):
    """Rows and cosines `[num, 0]`."""
    return np.zeros((num, 0), int), np.zeros((num, 0))


def _bound(cosines, best, top) -> np.ndarray:
    """What a voice must reach to be among the best, `[n]`; NaN cosines are none."""
    if best.shape[1] >= top:
        return best[:, -1]
    place = cosines.shape[1] - top
    if place <= 0:
        return np.full(len(cosines), -np.inf)
    known = np.where(np.isnan(cosines), -np.inf, cosines)
    return np.partition(known, place, axis=1)[:, place]


def _new_graph(dim, expansion):
    try:
        from usearch.index import Index
    except ImportError as error:
        rule = 'The engine "usearch" is an extra: pip install usearch'
        raise ImportError(rule) from error
    options = {"expansion_add": expansion, "expansion_search": expansion}
    return Index(ndim=dim, metric="cos", dtype="f32", **options)
