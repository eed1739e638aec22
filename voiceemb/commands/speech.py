"""What the commands about people, and about who speaks when, do.

Results go to stdout, remarks to stderr. Every function takes the parsed options of its
command and raises `OSError` or `ValueError` with one line for the user.
"""

import sys
from pathlib import Path

from timbre.audio import wave
from timbre.progress import ProgressBar
from voiceemb.commands.io import (
    check_kind,
    each,
    known_people,
    loaded,
    opened,
    outputs,
    store_of,
    sure,
    until_interrupted,
)
from voiceemb.diarization import pipeline
from voiceemb.diarization.online import OnlineAssigner
from voiceemb.enrolment.people import People
from voiceemb.streaming import listener as listening
from voiceemb.streaming import sources
from voiceemb.streaming import timeline as timelines
from voiceemb.vad import detection
from voiceemb.vad.base import SAMPLE_RATE


def enrol(options):
    """Enrols a person by recordings, or says why they will not do."""
    for path in options.paths:
        wave.inspect(path)  # before a store is made for nothing
    encoder = loaded(options.run)
    with store_of(options.people, encoder, detection.load(options.detector)) as people:
        report = people.enrol(options.name, options.paths, force=options.force)
    print(report)
    if all(sample.duplicate for sample in report.samples):
        print(f"all of this is enrolled already as {options.name}")
    elif not report.enrolled:
        raise ValueError(
            f"{options.name!r} was not enrolled, for the reasons above; --force "
            "overrides all but that it is enrolled already, or too short to be heard."
        )


def verify(options):
    """Says whether a file holds the voice of somebody enrolled."""
    if options.people is None or options.name is None or len(options.paths) != 1:
        raise ValueError(
            "One file is verified against one person: --people and --name need each "
            f"other. Received: {options.people}, {options.name}, "
            f"{len(options.paths)} files"
        )
    if options.calibration is not None:
        raise ValueError(
            "--calibration is of two files; enrolled people have their own, by "
            f"`people --calibrate`. Received: {options.calibration}"
        )
    detector = detection.load(options.detector or "network")
    store = People.open(options.people, loaded(options.run), detector=detector)
    prior = 0.5 if options.prior is None else options.prior
    asked = {"prior": prior, "threshold": options.threshold}
    found = store.verify(options.paths[0], options.name, **asked)
    answer = "the voice of" if found.same else "not the voice of"
    print(f"cosine {found.score:.4f}{sure(found.probability)}")
    print(f"{answer} {options.name}")


def people(options):
    """Lists enrolled people, or changes who is one."""
    encoder = None if options.calibrate is None else loaded(options.run)
    store = People.open(options.people, encoder)
    if options.remove is not None:
        store.remove(options.remove)
        print(f"{options.remove} is forgotten")
    elif options.rename is not None:
        store.rename(*options.rename)
        print(f"{options.rename[0]} is called {options.rename[1]}")
    elif options.export is not None:
        name, path = options.export
        store.export(name, Path(path))
        print(f"{path}: all that is kept of {name}")
    elif options.pictures is not None:
        from voiceemb.enrolment import figures

        for path in figures.save_figures(store, options.pictures):
            print(path)
    elif options.calibrate is not None:
        found = store.calibrate_on(opened([options.calibrate]))
        print(f"one voice is as likely as two at cosine {found.threshold():.4f}")
    else:
        for name in store.names:
            samples = store.samples(name)
            speech_s = sum(map(float, samples.labels["speech_s"]))
            print(f"{name}: {len(samples)} samples, {speech_s:.1f} s of speech")
        print(f"{len(store)} people in {options.people}", file=sys.stderr)
        print(f"probabilities rest on {store.provenance}", file=sys.stderr)


def identify(options):
    """Says of each file who of the enrolled speaks, or that nobody of them does."""
    if options.top < 0:
        raise ValueError(f"--top must be at least 0. Received: {options.top}")
    encoder = loaded(options.run)
    people = People.open(
        options.people, encoder, detector=detection.load(options.detector)
    )

    def answer(path):
        found = people.identify(
            path, unknown_prior=options.stranger, threshold=options.threshold
        )
        name = "nobody enrolled" if found.name is None else found.name
        print(f"{path}: {name}{sure(found.probability)}")
        for name, score, probability in found.candidates[: options.top]:
            print(f"  {name}: cosine {score:.3f}{sure(probability)}")

    each(options.paths, answer)


def activity(options):
    """Says where in each file somebody speaks."""
    detector = detection.load(options.detector)

    def answer(path):
        waveform = wave.read(path)
        found = detection.detect(waveform, detector=detector)
        duration_s = len(waveform) / SAMPLE_RATE
        print(
            f"{path}: {found.speech_s:.2f} s of speech in {duration_s:.2f} s "
            f"({found.speech_s / duration_s:.0%})"
        )
        for start, end in found.segments:
            print(f"  {start:9.2f} {end:9.2f}")

    each(options.paths, answer)


def timeline(options):
    """Writes what a listener makes of a file, slice by slice."""
    check_kind(options.out, (*timelines.FORMATS, ".png"))
    listener = _listener(options)
    duration_s = wave.inspect(options.path).duration_s
    events = []
    with ProgressBar("listening", round(duration_s), unit="s") as bar:
        for event in listening.listen(sources.file(options.path), listener):
            events.append(event)
            bar.update(round(event.end) - bar.n)
    if options.out.suffix.lower() == ".png":
        from timbre import plotting
        from voiceemb.streaming.figures import timeline_figure

        plotting.save(timeline_figure(events, title=options.path.name), options.out)
    else:
        timelines.save(options.out, events)
    spoken = sum(one.end - one.start for one in events if one.is_speech)
    print(f"{options.out}: {len(events)} events, {spoken:.1f} s of them speech")


def diarize(options):
    """Says who speaks when in each file."""
    outs = outputs(options.paths, options.out)
    encoder, detector = loaded(options.run), detection.load(options.detector)
    people = known_people(options, encoder, detector)

    def answer(path):
        found = _diarized(path, options, encoder, detector, people)
        for turn in found.turns:
            print(f"{turn.start:9.2f} {turn.end:9.2f}  {turn.speaker}")
        if path in outs:
            found.save(outs[path])
            print(f"{outs[path]} is written", file=sys.stderr)

    each(options.paths, answer)


def listen(options):
    """Names who speaks, while they speak, until the sound or the user ends it."""
    if options.out is not None:
        check_kind(options.out, (".jsonl",))
    listener = _listener(options)
    if options.path is None:
        source = sources.Microphone()
    else:
        source = sources.file(options.path, real_time=not options.fast)
    with until_interrupted(source) as blocks:
        for event in listening.listen(blocks, listener):
            _tell(event, options.out)
    if getattr(source, "overflows", 0):
        print(
            f"{source.lost_s:.1f} s of sound were lost, {source.overflows} times: the "
            "machine was too slow",
            file=sys.stderr,
        )


def _tell(event, out):
    print(listening.format_event(event), flush=True)
    if out is not None:
        timelines.append(out, [event])


def page(options):
    """Serves the page on which to see and hear who speaks when."""
    from voiceemb.page import gradio_offline, server

    server.check_port(options.port, options.host)  # all this before the long work
    gradio_offline.load()
    encoder, detector = loaded(options.run), detection.load(options.detector)
    server.launch(
        options.port,
        host=options.host,
        browser=options.browser,
        encoder=encoder,
        people=known_people(options, encoder, detector),
        detector=detector,
    )


def _diarized(path, options, encoder, detector, people):
    """Who speaks when in one file; what it took, and what to know, go to stderr."""
    with ProgressBar(path.name, 100, unit="%") as bar:
        found = pipeline.diarize(
            path,
            encoder=encoder,
            detector=detector,
            people=people,
            num_speakers=options.num_speakers,
            min_speakers=options.min_speakers,
            max_speakers=options.max_speakers,
            method=options.method,
            progress=lambda stage, done: bar.update(round(100 * done) - bar.n),
        )
    for note in found.notes:
        print(f"{path}: {note}", file=sys.stderr)
    for name, identity in found.identities.items():
        known = identity.name or "nobody enrolled"
        print(f"{name} is {known}{sure(identity.probability)}", file=sys.stderr)
    factors = ", ".join(
        f"{stage} {seconds / found.duration_s:.4f}"
        for stage, seconds in found.stages.items()
    )
    print(
        f"{path}: {len(found.speakers)} speakers in {found.duration_s:.1f} s; "
        f"real-time factors: {factors}",
        file=sys.stderr,
    )
    return found


def _listener(options):
    encoder, detector = loaded(options.run), detection.load(options.detector)
    people = known_people(options, encoder, detector)
    return listening.Listener(
        encoder,
        detector=detector,
        people=OnlineAssigner() if people is None else people,
        every_s=options.every,
    )
