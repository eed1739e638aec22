"""The page: its layout, wired to its handlers."""

import functools
from pathlib import Path

from voiceemb.page import gradio_offline
from voiceemb.page.handlers import Handlers
from voiceemb.page.layout import lay_out

gr = gradio_offline.load()
HERE = Path(__file__).parent
CLOSED = {"api_visibility": "private"}  # for the page, not for programs
CLEAN_S = (600, 86400)  # interval of cleaning up, and age of what is removed


def build(encoder=None, people=None, *, detector=None, diarize=None):
    """Build the page, to be served by `launch` or inside another Gradio page.

    Args:
        encoder: The `voiceemb.Encoder`. Defaults to the pretrained one, loaded when
            the first recording is analysed.
        people: A `voiceemb.enrolment.people.People`, by which speakers are named and in
            which they can be enrolled; everybody who can open the page shares it.
        detector: A `voiceemb.vad.Detector`. Defaults to the one of `voiceemb.vad.load`.
        diarize: Used in place of `diarization.diarize`: a function of a waveform with
            `num_speakers`, `min_speakers`, `max_speakers` and `progress`, which takes
            the name of a stage and how much of it is done, from 0 to 1.

    Returns:
        A `gradio.Blocks`.
    """
    title = "Who speaks when"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=CLEAN_S) as page:
        state = gr.State(None, delete_callback=_close)
        js = (HERE / "timeline.js").read_text("utf-8")
        parts = lay_out(js, enrolling=people is not None)
        parts.state = state
        folder = parts.file.GRADIO_CACHE  # from here files are served
        diarize = diarize or _diarizer(encoder, detector, people)
        handlers = Handlers(parts, gr.update, folder, people, diarize)
        _wire_sources(handlers, parts)
        _wire_find(handlers, parts)
        _wire_edits(handlers, parts)
    return page


def _wire_sources(handlers, parts):
    outputs = [parts.file, parts.microphone, parts.player, *handlers.outputs]
    file, microphone = parts.file, parts.microphone
    for event, source, act in (
        (file.upload, file, handlers.load_file),
        (microphone.stop_recording, microphone, handlers.load_microphone),
    ):
        inputs = [source, parts.state]
        event(act, inputs, outputs, show_progress_on=source, **CLOSED)


def _wire_find(handlers, parts):
    def find(*values, progress=gr.Progress()):  # noqa: B008 - where Gradio looks for it
        def report(stage, done):
            progress(done, desc=stage)

        return handlers.find(*values, progress=report)

    numbers = [parts.exact, parts.low, parts.high]
    shown = [parts.numbers, *numbers]
    parts.mode.input(
        handlers.show_numbers, parts.mode, shown, show_progress="hidden", **CLOSED
    )
    inputs = [parts.state, parts.mode, *numbers]
    parts.find.click(
        find, inputs, handlers.outputs, show_progress_on=parts.timeline, **CLOSED
    )


def _wire_edits(handlers, parts):
    def press(session, event: gr.EventData):
        return handlers.choose(session, event.speaker)

    speaker = [parts.state, parts.speaker]
    for event, act, inputs in (
        (parts.rename.click, handlers.rename, [*speaker, parts.name]),
        (parts.name.submit, handlers.rename, [*speaker, parts.name]),
        (parts.merge.click, handlers.merge, [*speaker, parts.other]),
        (parts.split.click, handlers.split, speaker),
        (parts.undo.click, handlers.undo, speaker),
        (parts.speaker.input, handlers.choose, speaker),
        (parts.timeline.select, press, [parts.state]),
    ):
        event(act, inputs, handlers.outputs, show_progress="hidden", **CLOSED)
    outputs = handlers.outputs
    parts.enrol.click(
        handlers.enrol, speaker, outputs, show_progress_on=parts.table, **CLOSED
    )


def _close(session):
    if session is not None:
        session.close()


def _diarizer(encoder, detector, people):
    """`diarization.diarize` with an encoder that is loaded when first needed, once."""

    @functools.cache
    def load_encoder():
        from voiceemb import Encoder

        return encoder or Encoder.pretrained()

    def diarize(waveform, **options):
        from voiceemb import diarization

        loaded = load_encoder()
        return diarization.diarize(
            waveform, encoder=loaded, detector=detector, people=people, **options
        )

    return diarize
