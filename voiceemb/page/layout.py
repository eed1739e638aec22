"""The layout of the page: its components from top to bottom, without handlers."""

from types import SimpleNamespace

from voiceemb.names import MAX_LETTERS
from voiceemb.page import gradio_offline, timeline_html
from voiceemb.page.session import FORMATS, MAX_SPEAKERS

gr = gradio_offline.load()
MODES = [("Estimated", "estimated"), ("Exactly", "exact"), ("Between", "between")]
INTRO = (
    '<div class="when-intro"><h1>Who speaks when</h1><p>Give a recording, get a lane '
    "for each speaker. Nothing leaves this machine.</p></div>"
)


def lay_out(js, *, enrolling):
    """Make a namespace of all components, inside `gradio.Blocks`.

    Args:
        js: Script of the timeline.
        enrolling: Whether speakers can be enrolled.
    """
    parts = SimpleNamespace()
    _html(INTRO)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            _lay_out_sources(parts)
        with gr.Column(scale=2, min_width=280):
            _lay_out_numbers(parts)
    parts.notice = _html(elem_id="notice", visible=False)
    parts.player = _html(elem_id="player", visible=False)
    parts.timeline = _html(timeline_html.EMPTY, elem_id="timeline", js_on_load=js)
    with gr.Column(visible=False) as parts.answer:
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=300):
                parts.table = _html(elem_id="table")
                parts.stages = _html(elem_id="stages")
            with gr.Column(scale=2, min_width=280):
                _lay_out_edits(parts, enrolling)
        _lay_out_downloads(parts)
    return parts


def _html(value=None, **options):
    """HTML without Gradio's style."""
    return gr.HTML(value, apply_default_css=False, **options)


def _lay_out_sources(parts):
    with gr.Tabs():
        with gr.Tab("A file"):
            label = "WAV, FLAC, OGG, MP3, M4A ..."
            parts.file = gr.File(
                label=label, file_types=["audio"], height=140, elem_id="file"
            )
        with gr.Tab("The microphone"):
            parts.microphone = gr.Audio(
                sources=["microphone"],
                type="filepath",
                label="Record, then stop",
                editable=False,
                elem_id="microphone",
            )


def _lay_out_numbers(parts):
    parts.mode = gr.Radio(
        MODES, value="estimated", label="Number of speakers", elem_id="mode"
    )

    def number(value, label, elem_id):
        whole = {"precision": 0, "minimum": 1, "maximum": MAX_SPEAKERS}
        return gr.Number(value, label=label, elem_id=elem_id, min_width=100, **whole)

    with gr.Row(visible=False) as parts.numbers:
        parts.exact = number(2, "Speakers", "exact")
        parts.low = number(1, "At least", "low")
        parts.high = number(8, "At most", "high")
    parts.find = gr.Button("Who speaks when", variant="primary", elem_id="find")


def _lay_out_edits(parts, enrolling):
    beside = {"size": "md", "scale": 0, "min_width": 104, "elem_classes": "when-beside"}
    below = {"size": "md", "min_width": 90}
    parts.speaker = gr.Dropdown([], label="Speaker", elem_id="speaker")
    with gr.Row():
        parts.name = gr.Textbox(
            label="Is called",
            max_lines=1,
            max_length=MAX_LETTERS,
            elem_id="name",
            min_width=120,
        )
        parts.rename = gr.Button("Rename", elem_id="rename", **beside)
    with gr.Row():
        parts.other = gr.Dropdown(
            [], label="Is the same as", elem_id="other", min_width=120
        )
        parts.merge = gr.Button("Merge", elem_id="merge", **beside)
    with gr.Row():
        parts.split = gr.Button("Split in two", elem_id="split", **below)
        parts.enrol = gr.Button("Enrol", elem_id="enrol", visible=enrolling, **below)
        parts.undo = gr.Button("Undo", elem_id="undo", **below)


def _lay_out_downloads(parts):
    _html('<p class="when-heading">Download the turns</p>')
    with gr.Row():
        parts.downloads = [
            gr.DownloadButton(
                suffix.upper(), elem_id=f"download-{suffix}", size="md", min_width=70
            )
            for suffix in FORMATS
        ]
