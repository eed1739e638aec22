"""Names are the field's own: standard terms, verbs for functions, one meaning each.

`docs/design.md` has the glossary. What is checked are names: of modules, and of the
public classes, functions, methods, arguments and fields in them.
"""

import ast
import re
from collections import defaultdict

import pytest

from tests import imports

PATHS = imports.modules(imports.ROOT, ("timbre", "voiceemb", "flows", "diffusion"))
# Words that stood where the field has a term, and the term.
COINAGES = {
    "answers": "commands",
    "apart": "held-out",
    "aside": "held-out",
    "bystander": "cohort",
    "bystanders": "cohort",
    "coder": "latent model",
    "dealt": "sampled",
    "desk": "handlers",
    "disturbance": "corruption",
    "disturbances": "corruptions",
    "division": "splits",
    "drown": "diffuse",
    "drowns": "diffuses",
    "ear": "extractor",
    "errand": "command",
    "errands": "commands",
    "exam": "validation set",
    "hear": "extract speech",
    "heard": "extracted",
    "hearing": "speech extraction",
    "hears": "receptive field",
    "imitation": "memorisation",
    "imitated": "memorised",
    "insist": "force",
    "judge": "probe, validation",
    "judged": "evaluated",
    "judges": "probes",
    "kin": "groups",
    "learner": "trainer",
    "learners": "trainers",
    "least": "minimum",
    "lesson": "training stage",
    "lessons": "training data",
    "likeness": "within-speaker correlation",
    "mended": "corrected",
    "mistake": "error",
    "mood": "style",
    "moods": "styles",
    "phantom": "small cluster",
    "phantoms": "small clusters",
    "planes": "projections",
    "reading": "label",
    "readings": "labels",
    "retell": "augment the style",
    "retold": "augmented",
    "revoice": "convert the voice",
    "revoicing": "voice conversion",
    "roster": "store",
    "sitting": "session",
    "sittings": "sessions",
    "stranger": "unknown, impostor",
    "strangers": "unknown, impostors",
    "studio": "worker",
    "talks": "recordings",
    "tell": "condition",
    "told": "conditioning, arguments",
    "worth": "calibration",
}
# Past participles that do not end in "ed"; functions are named by verbs.
PARTICIPLES = set(
    "bent born bought bound broken brought built chosen cut dealt done drawn driven "
    "felt found given gone heard held hidden kept known laid left lent lost made "
    "meant met paid parted said seen sent shown spoken spent stood taken taught "
    "thrown told torn understood worn written".split()
) - {"cut", "found", "left"}  # verbs too, or a side
# Keras names weights on disk by the classes of layers: other names could not load those
# of earlier runs (`blocks/residual_block`, `layers/scaler`).
FIXED_BY_WEIGHTS = {"ResidualBlock", "Scaler"}
VERBS_IN_ED = {
    "bleed",
    "pretrained",
    "embed",
    "exceed",
    "feed",
    "need",
    "proceed",
    "seed",
    "speed",
}


def words(name):
    """The words of an identifier, in lower case: `CamelCase` and `snake_case`."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+", name)
    return [word.lower() for word in found]


def is_public(name):
    return not name.startswith("_")


def functions(tree):
    """Public functions and methods, but not properties, which are nouns."""
    scopes = [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))]
    for scope in scopes:
        for node in scope.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                marks = " ".join(map(ast.unparse, node.decorator_list))
                if is_public(node.name) and "property" not in marks:
                    yield node


def classes(tree):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield node


def public_names(tree):
    """Names a user may write: classes, fields, functions, arguments, constants."""
    for node in functions(tree):
        yield node.name
        arguments = node.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            yield one.arg
        for one in (arguments.vararg, arguments.kwarg):
            if one:
                yield one.arg
    for node in classes(tree):
        yield node.name
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))


def is_participle(found):
    """Whether a name is a bare participle (`loaded`), or `checked_...` of something.

    A result may be named by one before its noun: `weighted_mean`.
    """
    first = found[0] if found else ""
    ends = first.endswith("ed") and len(first) > 3 and first not in VERBS_IN_ED
    bare = len(found) == 1 and (ends or first in PARTICIPLES)
    return bare or first in {"checked", "drawn", "known"}


def coinages(name):
    return sorted(set(words(name)) & set(COINAGES))


@pytest.mark.parametrize("module", sorted(PATHS))
def test_names_are_the_fields_own(module):
    names = {*module.split("."), *public_names(imports.parse(PATHS[module]))}
    found = {name: coinages(name) for name in names if is_public(name)}
    found = {
        name: [f"{w}: {COINAGES[w]}" for w in ws] for name, ws in found.items() if ws
    }
    assert not found


@pytest.mark.parametrize("module", sorted(PATHS))
def test_functions_are_named_by_verbs(module):
    names = {node.name for node in functions(imports.parse(PATHS[module]))}
    found = {name for name in names if is_participle(words(name))}
    assert not found


def test_no_two_public_classes_share_a_name():
    places = defaultdict(list)
    for module, path in PATHS.items():
        for node in classes(imports.parse(path)):
            places[node.name].append(module)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice.keys() - FIXED_BY_WEIGHTS, twice


@pytest.mark.parametrize("module", sorted(PATHS))
def test_config_classes_end_in_config(module):
    if module.rpartition(".")[2] == "config":
        names = [node.name for node in classes(imports.parse(PATHS[module]))]
        assert all(name.endswith("Config") for name in names), names


EMPTY = re.compile(r"Received: (another|others|such|more|a second time)\b")


@pytest.mark.parametrize("module", sorted(PATHS))
def test_an_error_gives_the_value_it_received_or_none(module):
    assert not EMPTY.findall(PATHS[module].read_text("utf-8"))


@pytest.mark.parametrize(
    "name, found",
    [
        ("heard_frames", ["heard"]),
        ("KinSplit", ["kin"]),
        ("tell", ["tell"]),
        ("Stranger", ["stranger"]),
        ("linear", []),
        ("num_frames", []),
        ("tellurium", []),
    ],
)
def test_a_coinage_is_found_in_a_name_of_any_case(name, found):
    assert coinages(name) == found


@pytest.mark.parametrize(
    "name, found",
    [
        ("loaded", True),
        ("checked_labels", True),
        ("weighted_mean", False),
        ("embed", False),
        ("load", False),
    ],
)
def test_a_participle_is_found(name, found):
    assert is_participle(words(name)) is found
