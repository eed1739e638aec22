"""Event handlers of the page."""

import functools
from pathlib import Path
from urllib.parse import quote

from voiceemb.page import timeline_html
from voiceemb.page.session import Session, parse_num_speakers

RECORDED = "Recording"  # name of what comes from the microphone


def _show_errors(method):
    """Decorate a handler: errors of the user become messages on the page."""

    @functools.wraps(method)
    def handler(handlers, *values, **options):
        try:
            return method(handlers, *values, **options)
        except ValueError as error:
            return handlers.show_message(error, "error")
        except OSError as error:  # a full disk; its path is not for the user
            return handlers.show_message(error.strerror or error, "error")

    return handler


class Handlers:
    """Event handlers: sessions and values in, updates of components out.

    Every method takes the values of some components and returns a dict of updates by
    component. An error of the user becomes a message on the page and changes nothing.

    Args:
        parts: Namespace of the components, see `layout`, and the session as `state`.
        update: Makes an update of more than the value of a component, from keywords.
        folder: Where sessions make theirs; the browser can read in it.
        people: A `voiceemb.enrolment.people.People`, or `None`.
        diarize: As of `page.build`.
    """

    def __init__(self, parts, update, folder, people, diarize):
        self.parts, self.update, self.folder = parts, update, folder
        self.people, self.diarize = people, diarize
        kept = (parts.timeline, parts.answer, parts.table, parts.stages)
        chosen = (parts.speaker, parts.other, parts.name, parts.undo)
        self.outputs = [parts.state, parts.notice, *kept, *chosen, *parts.downloads]

    def load_file(self, path, session):
        """Load an uploaded file."""
        return {self.parts.file: None, **self._load(path, Path(path).name, session)}

    def load_microphone(self, path, session):
        """Load a recording of the microphone."""
        if not path:
            return self.show_message("Nothing was recorded.", "error")
        return {self.parts.microphone: None, **self._load(path, RECORDED, session)}

    def show_numbers(self, mode):
        """Show the number fields of a mode."""
        parts = self.parts
        return {
            parts.numbers: self.update(visible=mode != "estimated"),
            parts.exact: self.update(visible=mode == "exact"),
            parts.low: self.update(visible=mode == "between"),
            parts.high: self.update(visible=mode == "between"),
        }

    @_show_errors
    def find(self, session, mode, exact, low, high, progress=None):
        """Find who speaks when; `progress` as of `Session.analyse`."""
        speakers = parse_num_speakers(mode, exact, low, high)
        session = _require(session)
        if not session.analyse(self.diarize, progress=progress, **speakers):
            return self.show_message("Another recording was chosen meanwhile.")
        return self._show(session)

    @_show_errors
    def rename(self, session, speaker, name):
        """Rename a speaker."""
        return self._show(session, _require(session).rename(speaker, name))

    @_show_errors
    def merge(self, session, speaker, other):
        """Merge two speakers."""
        _require(session).merge(speaker, other)
        return self._show(session, speaker)

    @_show_errors
    def split(self, session, speaker):
        """Split a speaker."""
        _require(session).split(speaker)
        return self._show(session, speaker)

    @_show_errors
    def undo(self, session, speaker):
        """Undo the last edit."""
        _require(session).undo()
        return self._show(session, speaker)

    @_show_errors
    def enrol(self, session, speaker):
        """Enrol a speaker."""
        report = _require(session).enrol(self.people, speaker)
        if not report.enrolled:
            return self.show_message(report, "error")
        return self._show(session, speaker, str(report))

    def choose(self, session, speaker):
        """Select a speaker for changes, and offer the others for a merge."""
        names = timeline_html.order(session.found) if session and session.found else []
        return self._offer(names, speaker) if speaker in names else {}

    @_show_errors
    def _load(self, path, name, session):
        session = session or Session(self.folder)
        try:
            session.load(path, name)
        finally:
            Path(path).unlink(missing_ok=True)  # the session keeps its own
        address = f"gradio_api/file={quote(str(session.recording.path))}"
        html = timeline_html.player(session.recording, address)
        player = self.update(value=html, visible=True)
        return {**self._show(session), self.parts.player: player}

    def show_message(self, text, kind="note"):
        """Show a message, or none."""
        value = timeline_html.notice(str(text), kind)
        return {self.parts.notice: self.update(value=value, visible=bool(value))}

    def _show(self, session, chosen=None, text=""):
        """Updates that show a session as it is now."""
        parts, found = self.parts, session.found
        updates = {
            parts.state: session,
            parts.timeline: timeline_html.render(session.recording, found),
            parts.answer: self.update(visible=bool(found and found.turns)),
            **self.show_message(text),
        }
        if not found or not found.turns:
            return updates
        names = timeline_html.order(found)
        updates |= self._offer(names, chosen if chosen in names else names[0])
        enrolled = self.people.names if self.people is not None else ()
        updates[parts.table] = timeline_html.table(found, enrolled)
        updates[parts.stages] = timeline_html.stages(found)
        updates[parts.undo] = self.update(interactive=len(session.versions) > 1)
        for button, path in zip(parts.downloads, session.files, strict=True):
            updates[button] = self.update(value=path)
        return updates

    def _offer(self, names, chosen):
        others = [name for name in names if name != chosen]
        other = others[0] if others else None
        return {
            self.parts.speaker: self.update(choices=names, value=chosen),
            self.parts.other: self.update(choices=others, value=other),
            self.parts.name: chosen,
        }


def _require(session):
    if session is None:
        raise ValueError("Choose or record a sound first.")
    return session
