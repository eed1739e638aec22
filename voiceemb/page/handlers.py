"""The desk: what is done when a part of the page is used."""

import functools
from pathlib import Path
from urllib.parse import quote

from voiceemb.page import timeline_html
from voiceemb.page.session import Session, speakers_asked

RECORDED = "Recording"  # what comes from the microphone is called


def _telling(act):
    """The method `act`, with what a user can mend as a message on the page."""

    @functools.wraps(act)
    def telling(desk, *values, **options):
        try:
            return act(desk, *values, **options)
        except ValueError as error:
            return desk.say(error, "error")
        except OSError as error:  # a full disk; its path is no business of the user's
            return desk.say(error.strerror or error, "error")

    return telling


class Desk:
    """Sessions and values in, updates of parts out.

    Every method takes the values of some parts and gives a dict of updates by part. An
    error that the user can mend becomes a message on the page and changes nothing.

    Args:
        parts: Namespace of the parts, see `layout`; `parts.state` holds the session.
        update: Makes an update of more than the value of a part, from keywords.
        folder: Where sessions make theirs; the browser can read in it.
        people: An `enrolment.People`, or `None`.
        diarize: As of `page.build`.
    """

    def __init__(self, parts, update, folder, people, diarize):
        self.parts, self.update, self.folder = parts, update, folder
        self.people, self.diarize = people, diarize
        kept = (parts.timeline, parts.answer, parts.table, parts.stages)
        chosen = (parts.speaker, parts.other, parts.name, parts.undo)
        self.outputs = [parts.state, parts.notice, *kept, *chosen, *parts.downloads]

    def take_file(self, path, session):
        """Takes an uploaded file."""
        return {self.parts.file: None, **self._take(path, Path(path).name, session)}

    def take_microphone(self, path, session):
        """Takes what was recorded."""
        if not path:
            return self.say("Nothing was recorded.", "error")
        return {self.parts.microphone: None, **self._take(path, RECORDED, session)}

    def ask(self, way):
        """Shows the numbers that belong to a way of asking."""
        parts = self.parts
        return {
            parts.numbers: self.update(visible=way != "estimated"),
            parts.exact: self.update(visible=way == "exact"),
            parts.least: self.update(visible=way == "between"),
            parts.most: self.update(visible=way == "between"),
        }

    @_telling
    def find(self, session, way, exact, least, most, progress=None):
        """Finds who speaks when; `progress` as of `Session.analyse`."""
        asked = speakers_asked(way, exact, least, most)
        if not _given(session).analyse(self.diarize, progress=progress, **asked):
            return self.say("Another recording was chosen meanwhile.")
        return self._show(session)

    @_telling
    def rename(self, session, speaker, name):
        """Calls a speaker by another name."""
        return self._show(session, _given(session).rename(speaker, name))

    @_telling
    def merge(self, session, speaker, other):
        """Makes two speakers one."""
        _given(session).merge(speaker, other)
        return self._show(session, speaker)

    @_telling
    def split(self, session, speaker):
        """Makes one speaker two."""
        _given(session).split(speaker)
        return self._show(session, speaker)

    @_telling
    def undo(self, session, speaker):
        """Takes the last edit back."""
        _given(session).undo()
        return self._show(session, speaker)

    @_telling
    def enrol(self, session, speaker):
        """Adds a speaker's voice to the people who are known."""
        report = _given(session).enrol(self.people, speaker)
        if not report.enrolled:
            return self.say(report, "error")
        return self._show(session, speaker, str(report))

    def choose(self, session, speaker):
        """Offers one speaker for changes, and the others for a merge."""
        names = timeline_html.order(session.found) if session and session.found else []
        return self._offer(names, speaker) if speaker in names else {}

    @_telling
    def _take(self, path, name, session):
        session = session or Session(self.folder)
        try:
            session.take(path, name)
        finally:
            Path(path).unlink(missing_ok=True)  # the session keeps its own
        address = f"gradio_api/file={quote(str(session.recording.path))}"
        heard = timeline_html.player(session.recording, address)
        player = self.update(value=heard, visible=True)
        return {**self._show(session), self.parts.player: player}

    def say(self, text, kind="note"):
        """Shows a message until the next, or none."""
        value = timeline_html.notice(str(text), kind)
        return {self.parts.notice: self.update(value=value, visible=bool(value))}

    def _show(self, session, chosen=None, text=""):
        """Updates that show a session as it is now."""
        parts, found = self.parts, session.found
        updates = {
            parts.state: session,
            parts.timeline: timeline_html.draw(session.recording, found),
            parts.answer: self.update(visible=bool(found and found.turns)),
            **self.say(text),
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


def _given(session):
    if session is None:
        raise ValueError("Choose or record a sound first.")
    return session
