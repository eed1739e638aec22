"""What is exported is whole, small, portable, and answers as its source does."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from timbre.serving import export, publish

C_LOADER = Path(__file__).with_name("c_loader.py")


class Voice(tf.Module):
    """A stand-in for an encoder and a sampler that share one large weight."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.weight = tf.Variable(rng.normal(size=(64, 4096)), dtype=tf.float32)
        self.unused = tf.Variable(tf.zeros((64, 4096)))

    def embed(self, waveform):
        spectrum = tf.abs(
            tf.signal.stft(waveform, 126, 64, fft_length=126)
        )  # (batch, frames, 64)
        voice = tf.reduce_mean(spectrum, axis=1) @ self.weight
        return tf.math.l2_normalize(voice, axis=-1)

    def sample(self, count, seed):
        x = tf.random.stateless_normal([count, 4096], seed)
        for _ in tf.range(20):
            x -= 0.1 * (x @ tf.transpose(self.weight) @ self.weight) / 4096.0
        return x, tf.norm(x, axis=-1)


def signatures(voice):
    waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
    count = tf.TensorSpec([], tf.int32, name="count")
    seed = tf.TensorSpec([2], tf.int32, name="seed")
    return {
        "embed": (voice.embed, [waveform], "embedding"),
        "sample": (voice.sample, [count, seed], ("embedding", "length")),
    }


@pytest.fixture(scope="module")
def voice():
    return Voice()


@pytest.fixture(scope="module")
def published(voice, tmp_path_factory):
    about = {"name": "가 voice", "dim": 4096}
    assets = {"notes.txt": b"x"}
    base = tmp_path_factory.mktemp("export")
    return publish.publish(base, signatures(voice), about=about, assets=assets)


@pytest.fixture
def waveform(rng):
    return rng.normal(size=(3, 1000)).astype(np.float32)


def test_a_reloaded_model_answers_as_its_source(published, voice, waveform):
    loaded = tf.saved_model.load(published)
    assert set(loaded.signatures) == {"embed", "sample"}
    answer = loaded.signatures["embed"](waveform=tf.constant(waveform))
    assert set(answer) == {"embedding"}
    np.testing.assert_allclose(answer["embedding"], voice.embed(waveform), atol=1e-6)


def test_a_seed_gives_its_sample_after_reloading(published):
    sample = tf.saved_model.load(published).signatures["sample"]
    draws = [
        sample(count=tf.constant(count), seed=tf.constant([0, seed]))["embedding"]
        for count, seed in [(2, 1), (2, 1), (4, 1), (2, 2)]
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_allclose(draws[0], draws[2][:2], atol=1e-5)
    assert not np.allclose(draws[0], draws[3])


def test_weights_are_stored_once_and_only_those_used(published):
    size = sum(p.stat().st_size for p in (published / "variables").iterdir())
    once = 64 * 4096 * 4
    assert once <= size < 1.05 * once


@pytest.mark.slow
def test_a_keras_model_is_stored_once_too(tmp_path, rng):
    """Keras' own export stores such a model twice."""
    model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(1024)])
    spec = tf.TensorSpec([None, 256], tf.float32, name="features")
    signature = (lambda x: model(x, training=False), [spec], "embedding")
    folder = publish.publish(tmp_path, {"a": signature, "b": signature})
    size = sum(p.stat().st_size for p in (folder / "variables").iterdir())
    assert size < 1.05 * 4 * model.count_params()
    x = rng.normal(size=(2, 256)).astype(np.float32)
    loaded = tf.saved_model.load(folder).signatures["b"](features=tf.constant(x))
    np.testing.assert_allclose(loaded["embedding"], model(x), atol=1e-6)


def test_what_the_model_is_stands_beside_it(published):
    about = (published / "assets.extra" / "about.json").read_text(encoding="utf-8")
    assert json.loads(about) == {"name": "가 voice", "dim": 4096}
    assert (published / "assets.extra" / "notes.txt").read_bytes() == b"x"


@pytest.mark.slow
def test_a_c_program_gets_the_same_numbers(published, voice, waveform, tmp_path):
    """TensorFlow's C loader, in a process without our code or Python tensorflow."""
    np.save(tmp_path / "waveform.npy", waveform)
    np.save(tmp_path / "count.npy", np.int32(3))
    np.save(tmp_path / "seed.npy", np.array([0, 7], np.int32))
    for name, inputs in [("embed", ["waveform"]), ("sample", ["count", "seed"])]:
        pairs = [f"{key}={tmp_path / key}.npy" for key in inputs]
        command = [sys.executable, C_LOADER, published, name, tmp_path / name, *pairs]
        subprocess.run(command, check=True, cwd=tmp_path, env={})
    embedding = np.load(tmp_path / "embed" / "embedding.npy")
    np.testing.assert_allclose(embedding, voice.embed(waveform), atol=1e-6)
    sample = tf.saved_model.load(published).signatures["sample"]
    drawn = sample(count=tf.constant(3), seed=tf.constant([0, 7]))
    for key in ("embedding", "length"):
        result = np.load(tmp_path / "sample" / f"{key}.npy")
        np.testing.assert_allclose(result, drawn[key], atol=1e-4)


@pytest.mark.parametrize("python", [tf.py_function, tf.numpy_function])
@pytest.mark.parametrize("inside", ["graph", "loop"])
def test_a_graph_that_calls_python_is_refused(tmp_path, python, inside):
    def double(x):
        return python(lambda v: 2 * v, [x], tf.float32)

    def function(x):
        return double(x) if inside == "graph" else tf.map_fn(double, x)

    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    with pytest.raises(ValueError, match="can not call Python.*PyFunc"):
        publish.publish(tmp_path, {"f": (function, [spec], "y")})
    assert list(tmp_path.iterdir()) == []


def test_an_op_of_somebodys_own_is_refused_by_name(tmp_path):
    saved = saved_model_pb2.SavedModel()
    graph = saved.meta_graphs.add().graph_def
    function = graph.library.function.add()
    function.signature.name = "inner"
    graph.node.add(name="call", op="inner")
    function.node_def.add(name="fine", op="MatMul")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    export.check_portable(tmp_path)
    function.node_def.add(name="odd", op="MyFastFilterbank")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ValueError, match="MyFastFilterbank.*'odd'.*'inner'"):
        export.check_portable(tmp_path)


def test_a_graph_that_must_be_compiled_is_refused(tmp_path):
    compiled = tf.function(lambda x: 2 * x, jit_compile=True)
    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    with pytest.raises(ValueError, match="without XLA"):
        export.save(tmp_path, {"f": (compiled, [spec], "y")})


def test_a_model_that_answers_otherwise_is_found(published, voice):
    specs = {name: export.Signature(*s) for name, s in signatures(voice).items()}
    traced = {name: export.trace(signature) for name, signature in specs.items()}
    export.check_outputs(published, traced, specs)
    voice.weight.assign_add(tf.ones_like(voice.weight))
    try:
        with pytest.raises(ValueError, match="'embedding' of signature 'embed'"):
            export.check_outputs(published, traced, specs)
    finally:
        voice.weight.assign_sub(tf.ones_like(voice.weight))


def test_a_sample_is_tried_where_one_is_given(tmp_path):
    def picky(x):
        long_enough = tf.debugging.assert_greater_equal(tf.shape(x)[1], 500)
        with tf.control_dependencies([long_enough]):
            return 2 * x

    spec = tf.TensorSpec([None, None], tf.float32, name="x")
    with pytest.raises(tf.errors.InvalidArgumentError):
        publish.publish(tmp_path, {"f": (picky, [spec], "y")})
    sample = {"x": np.ones((1, 500), np.float32)}
    assert publish.publish(tmp_path, {"f": (picky, [spec], "y", sample)}).name == "1"


def test_signatures_that_make_no_sense_are_refused(tmp_path, voice):
    spec = tf.TensorSpec([None, 2], tf.float32)
    named = tf.TensorSpec([None, 2], tf.float32, name="x")
    with pytest.raises(ValueError, match="names that differ.*None"):
        export.save(tmp_path, {"f": (tf.identity, [spec], "y")})
    with pytest.raises(ValueError, match="names that differ"):
        export.save(tmp_path, {"f": (tf.add, [named, named], "y")})
    with pytest.raises(ValueError, match="one tensor for each.*1"):
        export.save(tmp_path, {"f": (tf.identity, [named], ("y", "z"))})
    with pytest.raises(ValueError, match="needs a signature"):
        export.save(tmp_path, {})
    with pytest.raises(ValueError, match="plain file name"):
        options = {"assets": {"../evil": b""}}
        publish.publish(tmp_path, {"f": (tf.identity, [named], "y")}, **options)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="empty folder"):
        export.save(tmp_path, {"f": (tf.identity, [named], "y")})
