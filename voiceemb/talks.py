"""What the commands about people, and about who speaks when, do.

Results go to stdout, remarks to stderr. Every function takes the parsed options of its
command and raises `OSError` or `ValueError` with one line for the user.
"""

import sys
from pathlib import Path

from audio import wave
from progress import Bar
from voiceemb import diarization, listening, sources, vad
from voiceemb import timeline as timelines
from voiceemb.answers import check_writable, loaded, opened
from voiceemb.enrolment import People
from voiceemb.roster import FACTS


def enrol(options):
    """Enrols a person by recordings, or says why they will not do."""
    encoder = loaded(options.run)
    known = (options.people / FACTS).is_file()
    detector = vad.load(options.detector)
    open_store = People.open if known else People.create
    people = open_store(options.people, encoder, detector=detector)
    report = people.enrol(options.name, options.paths, force=options.force)
    print(report)
    if not report.enrolled:
        raise ValueError(
            f"{options.name!r} was not enrolled, for the reasons above; --force does "
            "it all the same."
        )


def verify(options):
    """Says whether a file holds the voice of somebody enrolled."""
    if options.people is None or options.name is None or len(options.paths) != 1:
        raise ValueError(
            "One file is verified against one person: --people and --name need each "
            f"other. Received: {options.people}, {options.name}, "
            f"{len(options.paths)} files"
        )
    store = People.open(options.people, loaded(options.run))
    prior = 0.5 if options.prior is None else options.prior
    asked = {"prior": prior, "threshold": options.threshold}
    found = store.verify(options.paths[0], options.name, **asked)
    answer = "the voice of" if found.same else "not the voice of"
    print(f"cosine {found.score:.4f}{_sure(found.probability)}")
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
        from voiceemb import comparisons

        for path in comparisons.draw(store, options.pictures):
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


def identify(options):
    """Says of each file who of the enrolled speaks, or that nobody of them does."""
    encoder = loaded(options.run)
    people = People.open(options.people, encoder, detector=vad.load(options.detector))
    for path in options.paths:
        found = people.identify(
            path, stranger=options.stranger, threshold=options.threshold
        )
        name = "nobody enrolled" if found.name is None else found.name
        print(f"{path}: {name}{_sure(found.probability)}")
        for name, score, probability in found.candidates[: options.top]:
            print(f"  {name}: cosine {score:.3f}{_sure(probability)}")


def activity(options):
    """Says where in each file somebody speaks."""
    detector = vad.load(options.detector)
    for path in options.paths:
        waveform = wave.read(path)
        found = vad.detect(waveform, detector=detector)
        duration_s = len(waveform) / vad.SAMPLE_RATE
        print(
            f"{path}: {found.speech_s:.2f} s of speech in {duration_s:.2f} s "
            f"({found.speech_s / duration_s:.0%})"
        )
        for start, end in found.segments:
            print(f"  {start:9.2f} {end:9.2f}")


def timeline(options):
    """Writes what a listener makes of a file, slice by slice."""
    _check_kind(options.out, (*timelines.SUFFIXES, ".png"))
    listener = _listener(options)
    duration_s = wave.inspect(options.path).duration_s
    slices = []
    with Bar("listening", round(duration_s), unit="s") as bar:
        for heard in listening.listen(sources.file(options.path), listener):
            slices.append(heard)
            bar.update(round(heard.end) - bar.n)
    if options.out.suffix.lower() == ".png":
        from metrics import figures

        figures.save(timelines.figure(slices, title=options.path.name), options.out)
    else:
        timelines.save(options.out, slices)
    spoken = sum(one.end - one.start for one in slices if one.is_speech)
    print(f"{options.out}: {len(slices)} slices, {spoken:.1f} s of them speech")


def diarize(options):
    """Says who speaks when in each file."""
    if options.out is not None and len(options.paths) > 1:
        options.out.mkdir(parents=True, exist_ok=True)
    encoder, detector = loaded(options.run), vad.load(options.detector)
    people = _store(options, encoder, detector)
    for path in options.paths:
        found = _diarized(path, options, encoder, detector, people)
        for turn in found.turns:
            print(f"{turn.start:9.2f} {turn.end:9.2f}  {turn.speaker}")
        if options.out is not None:
            is_folder = len(options.paths) > 1 or options.out.is_dir()
            out = options.out / f"{path.stem}.rttm" if is_folder else options.out
            found.save(out)
            print(f"{out} is written", file=sys.stderr)


def listen(options):
    """Names who speaks, while they speak, until the sound or the user ends it."""
    if options.out is not None:
        _check_kind(options.out, (".jsonl",))
    listener = _listener(options)
    if options.path is None:
        source = sources.microphone()
    else:
        source = sources.file(options.path, real_time=not options.fast)
    try:
        for heard in listening.listen(source, listener):
            _tell(heard, options.out)
    except KeyboardInterrupt:
        for heard in listener.finish():
            _tell(heard, options.out)
    if getattr(source, "overflows", 0):
        print(
            f"{source.lost_s:.1f} s of sound were lost, {source.overflows} times: the "
            "machine was too slow",
            file=sys.stderr,
        )


def _tell(heard, out):
    print(listening.line(heard), flush=True)
    if out is not None:
        timelines.append(out, [heard])


def page(options):
    """Serves the page on which to see and hear who speaks when."""
    from voiceemb.page import launch

    encoder = loaded(options.run)
    people = _store(options, encoder, vad.load(options.detector))
    launch(
        options.port,
        host=options.host,
        browser=options.browser,
        encoder=encoder,
        people=people,
    )


def _diarized(path, options, encoder, detector, people):
    """Who speaks when in one file; what it took, and what to know, go to stderr."""
    with Bar(path.name, 100, unit="%") as bar:
        found = diarization.diarize(
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
        print(f"{name} is {known}{_sure(identity.probability)}", file=sys.stderr)
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
    encoder, detector = loaded(options.run), vad.load(options.detector)
    people = _store(options, encoder, detector)
    return listening.Listener(
        encoder,
        detector=detector,
        people=diarization.OnlineAssigner() if people is None else people,
        every_s=options.every,
    )


def _store(options, encoder, detector):
    """The enrolled people by whom speakers are named, or None."""
    if options.people is None:
        return None
    return People.open(options.people, encoder, detector=detector)


def _sure(probability):
    return "" if probability is None else f" (probability {probability:.2f})"


def _check_kind(path, suffixes):
    """Raises before any work if a file can not be written later."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--out ends in one of {suffixes}. Received: {path}")
    check_writable(path)
