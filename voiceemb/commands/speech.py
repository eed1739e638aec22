"""Commands of recordings: people, voice activity, diarization, listening, the page."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, create_mutex_group

from timbre import cli
from timbre.audio import wave
from timbre.files import write_json
from timbre.progress import ProgressBar
from timbre.turns import read_rttm, read_uem
from voiceemb.commands import io
from voiceemb.diarization import pipeline
from voiceemb.diarization.online import OnlineAssigner
from voiceemb.enrolment.people import People
from voiceemb.page import PORT
from voiceemb.streaming import listener as listening
from voiceemb.streaming import sources
from voiceemb.streaming import timeline as timelines
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE

PEOPLE = Path("people")
CHANGE = create_mutex_group(required=False, title="changes, one at a time")
Sound = Annotated[Path, arg(metavar="FILE")]


def enrol(
    name: Positional[str],
    paths: io.Files,
    *,
    people: io.Store = PEOPLE,
    force: bool = False,
    detector: io.Detector = "network",
    run: io.Run = io.SMALL,
):
    """Remember somebody's voice by name, or say why the recordings will not do.

    Args:
        name: Of the person.
        paths: Sound files.
        force: Enrol what is too bad or sounds like others.
    """
    for path in paths:
        wave.inspect(path)  # before a store is made for nothing
    with io.open_or_create_store(people, *io.load(run, detector)[:2]) as store:
        report = store.enrol(name, paths, force=force)
    print(report)
    if all(sample.duplicate for sample in report.samples):
        print(f"all of this is enrolled already as {name}")
    elif not report.enrolled:
        raise ValueError(
            f"{name!r} was not enrolled, for the reasons above; --force "
            "overrides all but that it is enrolled already, or too short to be heard."
        )


def people(
    *,
    people: io.Store = PEOPLE,
    remove: Annotated[str | None, CHANGE, arg(metavar="NAME")] = None,
    rename: Annotated[tuple[str, str] | None, CHANGE, arg(metavar="NAME NEW")] = None,
    export: Annotated[tuple[str, Path] | None, CHANGE, arg(metavar="NAME FILE")] = None,
    pictures: Annotated[Path | None, CHANGE, arg(metavar="FOLDER")] = None,
    calibrate: Annotated[Path | None, CHANGE, arg(metavar="CORPUS")] = None,
    run: io.Run = io.SMALL,
):
    """List who is enrolled; forget, rename, export, draw, calibrate.

    Args:
        remove: Forget somebody.
        rename: Give somebody another name.
        export: All that is kept of somebody, as an embedding set (.npz).
        pictures: Draw all samples compared with each other.
        calibrate: Fit a calibration where you record, from speakers with names.
    """
    store = People.open(people, None if calibrate is None else io.load_encoder(run))
    if remove is not None:
        store.remove(remove)
        print(f"{remove} is forgotten")
    elif rename is not None:
        store.rename(*rename)
        print(f"{rename[0]} is called {rename[1]}")
    elif export is not None:
        name, path = export
        store.export(name, path)
        print(f"{path}: all that is kept of {name}")
    elif pictures is not None:
        from voiceemb.enrolment import figures

        for path in figures.save_figures(store, pictures):
            print(path)
    elif calibrate is not None:
        found = store.calibrate_on(io.open_corpus([calibrate]))
        print(f"one voice is as likely as two at cosine {found.threshold():.4f}")
    else:
        for name in store.names:
            samples = store.samples(name)
            speech_s = sum(map(float, samples.labels["speech_s"]))
            print(f"{name}: {len(samples)} samples, {speech_s:.1f} s of speech")
        cli.warn(f"{len(store)} people in {people}")
        cli.warn(f"probabilities rest on {store.provenance}")


def identify(
    paths: io.Files,
    *,
    people: io.Store = PEOPLE,
    unknown_prior: float = 0.5,
    threshold: float | None = None,
    top: int = 3,
    detector: io.Detector = "network",
    run: io.Run = io.SMALL,
):
    """Say of each file who of the enrolled speaks, or that nobody of them does.

    Args:
        paths: Sound files.
        unknown_prior: How often nobody of those enrolled speaks.
        threshold: Cosine; by default what is likeliest.
        top: Candidates that are listed.
    """
    if top < 0:
        raise ValueError(f"--top must be at least 0. Received: {top}")
    *_, store = io.load(run, detector, people)

    def answer(path):
        found = store.identify(path, unknown_prior=unknown_prior, threshold=threshold)
        name = "nobody enrolled" if found.name is None else found.name
        print(f"{path}: {name}{io.format_probability(found.probability)}")
        for name, score, probability in found.candidates[:top]:
            print(f"  {name}: cosine {score:.3f}{io.format_probability(probability)}")

    cli.for_each_file(paths, answer)


def activity(paths: io.Files, *, detector: io.Detector = "network"):
    """Say where in each file somebody speaks.

    Args:
        paths: Sound files.
    """
    network = detection.load(detector)

    def answer(path):
        waveform = wave.read(path)
        found = detection.detect(waveform, detector=network)
        duration_s = len(waveform) / SAMPLE_RATE
        print(
            f"{path}: {found.speech_s:.2f} s of speech in {duration_s:.2f} s "
            f"({found.speech_s / duration_s:.0%})"
        )
        for start, end in found.segments:
            print(f"  {start:9.2f} {end:9.2f}")

    cli.for_each_file(paths, answer)


def timeline(
    path: Positional[Sound],
    *,
    out: Path,
    people: io.Named = None,
    every: float = 0.5,
    detector: io.Detector = "network",
    run: io.Run = io.SMALL,
):
    """Write who is heard in each half second of a file.

    Args:
        path: A sound file.
        out: The file to write: .jsonl, .csv, .npz, .rttm, .txt (labels for Audacity)
            or .png, a picture.
        every: Seconds from one answer to the next.
    """
    cli.check_output(out, (*timelines.FORMATS, ".png"))
    listener = _load_listener(people, every, detector, run)
    duration_s = wave.inspect(path).duration_s
    events = []
    with ProgressBar("listening", round(duration_s), unit="s") as bar:
        for event in listening.listen(sources.file(path), listener):
            events.append(event)
            bar.update(round(event.end) - bar.n)
    if out.suffix.lower() == ".png":
        from timbre import plotting
        from voiceemb.streaming.figures import timeline_figure

        plotting.save(timeline_figure(events, title=path.name), out)
    else:
        timelines.save(out, events, recording=path.stem)
    spoken = sum(one.end - one.start for one in events if one.is_speech)
    print(f"{out}: {len(events)} events, {spoken:.1f} s of them speech")


def diarize(
    paths: io.Files,
    *,
    num_speakers: int | None = None,
    min_speakers: int = 1,
    max_speakers: int = 8,
    method: Literal["spectral", "agglomerative"] = "spectral",
    out: Path | None = None,
    people: io.Named = None,
    detector: io.Detector = "network",
    run: io.Run = io.SMALL,
):
    """Say who speaks when in each file.

    Args:
        paths: Sound files.
        num_speakers: Exactly so many; by default their number is estimated.
        min_speakers: At least so many.
        max_speakers: At most so many.
        out: The file to write: .rttm, .json, .csv, .srt or .txt (labels for Audacity);
            of several sounds a folder, for an .rttm of each.
    """
    outs = io.turn_files(paths, out)
    encoder, network, enrolled = io.load(run, detector, people)

    def answer(path):
        with ProgressBar(path.name, 100, unit="%") as bar:
            found = pipeline.diarize(
                path,
                encoder=encoder,
                detector=network,
                people=enrolled,
                num_speakers=num_speakers,
                min_speakers=min_speakers,
                max_speakers=max_speakers,
                method=method,
                progress=lambda stage, done: bar.update(round(100 * done) - bar.n),
            )
        _explain(path, found)
        for turn in found.turns:
            print(f"{turn.start:9.2f} {turn.end:9.2f}  {turn.speaker}")
        if path in outs:
            found.save(outs[path], recording=path.stem)
            cli.warn(f"{outs[path]} is written")

    cli.for_each_file(paths, answer)


def _explain(path, found):
    """Says on stderr what to know of a diarization, and what it took."""
    for note in found.notes:
        cli.warn(f"{path}: {note}")
    for name, identity in found.identities.items():
        known = identity.name or "nobody enrolled"
        cli.warn(f"{name} is {known}{io.format_probability(identity.probability)}")
    factors = ", ".join(
        f"{stage} {seconds / found.duration_s:.4f}"
        for stage, seconds in found.stages.items()
    )
    cli.warn(
        f"{path}: {len(found.speakers)} speakers in {found.duration_s:.1f} s; "
        f"real-time factors: {factors}"
    )


def score(
    reference: Positional[Path],
    hypothesis: Positional[Path],
    *,
    uem: Path | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
    out: Path | None = None,
):
    """Score diarizations: DER and JER of each recording, and of all together.

    Args:
        reference: RTTM file, or a folder of them: who really speaks when.
        hypothesis: RTTM file, or a folder of them, as `diarize` writes them.
        uem: UEM file of the parts of each recording that are scored; by default all.
        collar: Seconds on each side of every boundary of the reference that are not
            scored.
        skip_overlap: Do not score where two or more speakers of the reference talk.
        out: Also a .json file of all numbers.
    """
    from timbre.metrics import diarization

    if out is not None:
        cli.check_output(out, (".json",))
    expected, found = _read_turns(reference), _read_turns(hypothesis)
    regions = None if uem is None else read_uem(uem)
    names = sorted(expected if regions is None else regions)
    if not names:
        raise ValueError(f"{uem or reference} must name a recording. Received: none")
    for what, others in (("a reference", expected), ("a hypothesis", found)):
        if absent := [name for name in names if name not in others]:
            cli.warn(f"no turns in {what} of {', '.join(absent)}")
    if surplus := sorted(found.keys() - {*names}):
        cli.warn(f"not scored, as nothing says how: {', '.join(surplus)}")
    rows = {
        name: diarization.score(
            expected.get(name, ()),
            found.get(name, ()),
            uem=None if regions is None else regions[name],
            collar=collar,
            skip_overlap=skip_overlap,
        )
        for name in names
    }
    rows["all"] = sum(rows.values(), diarization.DiarizationErrors())
    print(diarization.table(rows.items()))
    if out is not None:
        write_json(out, {name: _numbers(row) for name, row in rows.items()})


def _read_turns(path):
    """Turns by recording of an RTTM file, or of all that lie in a folder."""
    files = sorted(path.glob("*.rttm")) if path.is_dir() else [path]
    turns = {}
    for file in files:
        for name, some in read_rttm(file).items():
            if name in turns:
                raise ValueError(
                    f"A recording must be in one file of {path}. Received: {name} in "
                    f"{file.name} and before it"
                )
            turns[name] = some
    return turns


def _numbers(errors):
    """All numbers of a `DiarizationErrors` by name."""
    rates = {n: getattr(errors, n) for n in ("der", "jer", "purity", "coverage")}
    return {**rates, **dataclasses.asdict(errors)}


def listen(
    path: Positional[Sound | None] = None,
    *,
    fast: bool = False,
    out: Path | None = None,
    people: io.Named = None,
    every: float = 0.5,
    detector: io.Detector = "network",
    run: io.Run = io.SMALL,
):
    """Name who speaks, while they speak, until the sound or Ctrl-C ends it.

    Args:
        path: A sound file; by default the microphone.
        fast: Do not wait for a file's own pace.
        out: Timeline to add to, .jsonl.
        every: Seconds from one answer to the next.
    """
    if out is not None:
        cli.check_output(out, (".jsonl",))
    listener = _load_listener(people, every, detector, run)
    if path is None:
        source = sources.Microphone()
    else:
        source = sources.file(path, real_time=not fast)
    with cli.until_interrupted(source) as blocks:
        for event in listening.listen(blocks, listener):
            print(listening.format_event(event), flush=True)
            if out is not None:
                timelines.append(out, [event])
    if getattr(source, "overflows", 0):
        cli.warn(
            f"{source.lost_s:.1f} s of sound were lost, {source.overflows} times: the "
            "machine was too slow"
        )


def page(
    *,
    port: int = PORT,
    host: str = "127.0.0.1",
    browser: bool = False,
    people: io.Named = None,
    detector: io.Detector = "network",
    run: io.Run = io.SMALL,
):
    """Serve the page on which to see and hear who speaks when.

    Args:
        port: From 1 to 65535.
        host: No other machine reaches 127.0.0.1; there is no password.
        browser: Open it in the browser too.
    """
    from voiceemb.page import gradio_offline, server

    server.check_port(port, host)  # all this before the long work
    gradio_offline.load()
    encoder, network, enrolled = io.load(run, detector, people)
    loaded = {"encoder": encoder, "detector": network, "people": enrolled}
    server.launch(port, host=host, browser=browser, **loaded)


def train_vad(arguments, prog):
    """Train the detector of voice activity."""
    from timbre.training import script

    script.run("voiceemb.vad", arguments, program=prog)


def _load_listener(people, every, detector, run):
    encoder, network, enrolled = io.load(run, detector, people)
    people = OnlineAssigner() if enrolled is None else enrolled
    return listening.Listener(encoder, detector=network, people=people, every_s=every)
