"""Text summary of an evaluation: tables beside published numbers, and a comparison."""

NAMES = {"vae": "VAE", "nf": "NF", "fdnf": "f-DNF"}


def model_name(kind) -> str:
    """The name of a kind of model, or of a part of its latents, for readers.

    `dnf-phone` is the `phone-DNF`, and `fdnf/speaker` is `f-DNF, speaker`.
    """
    kind, _, part = kind.partition("/")
    name = NAMES.get(kind, kind)
    if kind.startswith("dnf-"):
        name = f"{kind.removeprefix('dnf-')}-DNF"
    return f"{name}, {part}" if part else name


def part_name(part) -> str:
    """The name of a part of the latents for readers: `code` is the whole."""
    return "latent" if part == "code" else part


def _row(target, other):
    """A published row: before, after and change, of the target and of one other."""
    columns = ("before", "after", "change")
    factor, *numbers = other
    return {
        "target": dict(zip(columns, target, strict=True)),
        "others": {factor: dict(zip(columns, numbers, strict=True))},
    }


# Deep Generative Factorization for Speech Signal (Sun et al., ICASSP 2021),
# https://arxiv.org/abs/2010.14242, in the form of `evaluate`: of TIMIT, by networks of
# unpublished sizes, and so beside other data a direction and no measure.
PUBLISHED = {
    "phone": {
        "vae": _row((0.013, 0.312, 0.299), ("speaker", 0.612, 0.454, -0.158)),
        "nf": _row((0.013, 0.410, 0.397), ("speaker", 0.612, 0.489, -0.123)),
        "dnf-phone": _row((0.013, 0.619, 0.606), ("speaker", 0.612, 0.335, -0.277)),
        "fdnf": _row((0.013, 0.636, 0.623), ("speaker", 0.612, 0.536, -0.076)),
    },
    "speaker": {
        "vae": _row((0.010, 0.303, 0.293), ("phone", 0.520, 0.509, -0.011)),
        "nf": _row((0.010, 0.435, 0.425), ("phone", 0.520, 0.484, -0.036)),
        "dnf-speaker": _row((0.010, 0.700, 0.690), ("phone", 0.520, 0.349, -0.171)),
        "fdnf": _row((0.010, 0.710, 0.700), ("phone", 0.520, 0.503, -0.017)),
    },
}
SOURCE = "Sun et al., ICASSP 2021, other data"
TOLERANCE = 5e-4  # numbers are printed to three places; what looks equal is


def select_published(results):
    """The paper's table where the factors are the paper's; otherwise an empty dict."""
    return PUBLISHED if {*results["factors"]} == {*PUBLISHED} else {}


def summarise(results) -> str:
    """Formats what `flows.evaluate.evaluate` returns as text."""
    known, models = select_published(results), results["models"]
    lines = []
    for factor, rows in results["manipulation"].items():
        if rows:
            lines += [*_manipulation(factor, rows, known.get(factor, {})), ""]
    comparison = compare(results)
    lines += [comparison, ""] if comparison else []
    lines += [*_probes(results["probes"]), "", *_structure(models), ""]
    lines += [*_density(models), "", *_gaussianity(models)]
    lines += _verification(results.get("verification"))
    lines += [f"Note: {note}" for note in results["notes"]]
    return "\n".join([*lines, _sizes(results["sizes"])])


def compare(results) -> str:
    """Compares the factorial flow with the other models in one sentence a factor.

    Of every factor that is changed: the posterior of the target class, beside the best
    other model's, and the side effect on each other factor, beside the best other
    model's and that of the DNF of the changed factor, if there is one.
    """
    sentences = []
    for factor, rows in results["manipulation"].items():
        if "fdnf" not in rows or len(rows) < 2:
            continue
        reached = {kind: row["target"]["after"] for kind, row in rows.items()}
        words = [f"a target posterior of {_lead(reached, 'highest', 1)}"]
        for other in rows["fdnf"]["others"]:
            harm = {k: abs(row["others"][other]["change"]) for k, row in rows.items()}
            words.append(f"a side effect on {other} of {_lead(harm, 'smallest', -1)}")
            if (dnf := f"dnf-{factor}") in harm:
                words[-1] += f" and {_beside(harm['fdnf'], harm[dnf], model_name(dnf))}"
        sentences.append(f"Changing {factor}, f-DNF has {', and '.join(words)}.")
    return "\n".join(sentences)


def _lead(values, best, sign):
    """The value of the factorial flow, and whether it is the best of all."""
    ours, rest = values["fdnf"], {k: v for k, v in values.items() if k != "fdnf"}
    rival = max(rest, key=lambda kind: sign * rest[kind])
    gap = sign * (ours - rest[rival])
    beside = f"{model_name(rival)}: {rest[rival]:.3f}"
    if abs(gap) < TOLERANCE:
        return f"{ours:.3f}, level with the {best} of the others ({beside})"
    place = f"the {best}" if gap > 0 else f"not the {best}"
    return f"{ours:.3f}, {place} ({beside})"


def _beside(ours, theirs, name):
    """How one side effect compares to another."""
    if abs(ours - theirs) < TOLERANCE:
        place = "level with"
    elif theirs / 2 - ours >= TOLERANCE:
        place = "below half of"
    else:
        place = "below" if ours < theirs else "above"
    return f"{place} the {theirs:.3f} of {name}"


def _manipulation(factor, rows, known):
    """Lines of the table of one manipulated factor."""
    pairs = max(row["pairs"] for row in rows.values())
    heads = ["here"] + [f"published ({SOURCE})"] * bool(known)
    columns = f"{'before':>9}{'after':>8}{'change':>8}"
    lines = [
        f"{factor} changed: mean posteriors over {pairs:,} pairs of a row and a wrong "
        "class",
        f"{'':22}" + "".join(f"  {head:<25}" for head in heads).rstrip(),
        f"{'':22}" + columns * len(heads),
    ]
    others = next(iter(rows.values()))["others"]
    for title, pick in [
        (f"target {factor}", lambda row: row["target"]),
        *((f"own {o}", lambda row, o=o: row["others"].get(o)) for o in others),
    ]:
        lines.append(title)
        for kind, row in rows.items():
            cells = _triple(pick(row))
            if kind in known:
                cells += _triple(pick(known[kind]))
            lines.append(f"  {model_name(kind):<20}{cells}")
    return lines


def _triple(row):
    return f"{row['before']:9.3f}{row['after']:8.3f}{row['change']:+8.3f}"


def _probes(probes):
    """Lines on the probe classifiers of all posteriors above."""
    lines = [
        "Posteriors are of probe classifiers trained on real rows; accuracy on test",
        "rows (chance: the share of the most frequent class):",
    ]
    for factor, row in probes.items():
        lines.append(f"  {factor}: {row['accuracy']:.1%} (chance {row['chance']:.1%})")
    return lines


def _structure(models):
    """Lines on what each part of the latents encodes of each factor."""
    keys = ("fisher", "knn", "silhouette", "probe", "chance")
    head = "".join(f"{key:>11}" for key in keys)
    lines = [
        "Class structure of latents: what a part encodes of a factor. Fisher: scatter",
        "between classes over scatter within; kNN and linear probe: accuracies across",
        "recordings; chance: the share of the most frequent class.",
        f"{'model':<14}{'part':<12}{'factor':<12}{head}",
    ]
    for kind, found in models.items():
        for part, factors in found["parts"].items():
            for factor, row in factors.items():
                cells = "".join(f"{row[key]:11.3f}" for key in keys)
                names = f"{model_name(kind):<14}{part_name(part):<12}{factor:<12}"
                lines.append(names + cells)
    return lines


def _density(models):
    """Lines on densities, reconstruction and accuracies of the models themselves."""
    factors = [*dict.fromkeys(f for found in models.values() for f in found["bayes"])]
    head = "".join(f"{'Bayes ' + factor:>16}" for factor in factors)
    lines = [
        "Bits per dimension of the features, in their own unit, of test rows and of",
        "unseen speakers, without labels, which all models compare by, and given the",
        "labels of the classes that a model has. Round trip: largest error, in",
        "deviations. Bayes: accuracy of a model's own posterior.",
        f"{'':<14}{'bits without labels':>20}{'bits given labels':>20}",
        f"{'model':<14}{'test':>11}{'unseen':>9}{'test':>11}{'unseen':>9}"
        f"{'round trip':>12}{head}",
    ]
    for kind, found in models.items():
        bits = found["bits"] or {}
        cells = "".join(
            _number(row.get("test"), 11) + _number(row.get("unseen"), 9)
            for row in (bits, bits.get("given", {}))
        )
        cells += f"{found['round_trip']:12.1e}"
        cells += "".join(_number(found["bayes"].get(f), 16) for f in factors)
        lines.append(f"{model_name(kind):<14}{cells}")
    return lines


def _gaussianity(models):
    """Lines on the normality of the latents of a class."""
    rows = [
        (kind, factor, row)
        for kind, found in models.items()
        for factor, row in found["gaussianity"].items()
    ]
    if not rows:
        return []
    keys = [key for key, value in rows[0][2].items() if isinstance(value, int | float)]
    lines = [
        "Latents around the centres of their classes; of a normal all are 0, but the",
        "deviation",
        f"{'model':<14}{'factor':<12}" + "".join(f"{key:>16}" for key in keys),
    ]
    for kind, factor, row in rows:
        cells = "".join(_number(row.get(key), 16) for key in keys)
        lines.append(f"{model_name(kind):<14}{factor:<12}{cells}")
    return [*lines, ""]


def _verification(rates):
    """Lines on error rates of verification, where the rows are embeddings."""
    if not rates:
        return []
    lines = ["Equal error rate of cosines, unseen speakers"]
    lines += [f"  {model_name(kind):<20}{rate:.2%}" for kind, rate in rates.items()]
    return [*lines, ""]


def _number(value, width):
    return f"{'-':>{width}}" if value is None else f"{value:{width}.3f}"


def _sizes(sizes):
    parts = ", ".join(f"{sizes[part]} {part}" for part in ("train", "valid", "test"))
    return f"Rows: {parts}, {sizes['unseen']} of unseen speakers."
