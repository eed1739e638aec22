"""The page in a real Chromium without a screen: upload, see, hear, rename, download."""

import shutil

import numpy as np
import pytest
import soundfile

from tests.voiceemb.page.browser import (
    CHROMIUM,
    downloaded,
    find,
    give,
    heard,
    paused,
    pressed,
    rename,
    served,
    shown,
    wait,
)
from tests.voiceemb.page.pages import AT_ONCE, recorded
from timbre.metrics import diarization
from timbre.turns import read_rttm

pytestmark = pytest.mark.slow
TALK = [(0.5, 2.5, 200), (3.0, 4.5, 1500), (5.0, 9.0, 200)]
HOSTILE = "<img src=x onerror=\"document.title='owned'\">'${1+1}{{value}}"


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, driven by Playwright."""
    pytest.importorskip("gradio")
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(chromium, tmp_path_factory):
    """The address of a page with a quick stand-in, and the folder it works in."""
    folder = tmp_path_factory.mktemp("served")
    with served(folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def tab(chromium, address):
    """A tab of a user who gives one sound after the other; its requests and errors."""
    context = chromium.new_context()
    tab, asked, wrong = context.new_page(), [], []
    tab.set_default_timeout(20_000)
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(address[0])
    yield tab, asked, wrong
    context.close()


@pytest.fixture
def page(tab, address):
    """The tab, which may ask this machine only."""
    page, asked, wrong = tab
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_selector("#find")
    yield page
    here = (address[0], "blob:", "data:")
    assert asked and not [url for url in asked if not url.startswith(here)]
    assert not wrong
    asked.clear()


@pytest.fixture
def talk(tmp_path):
    return recorded(tmp_path / "talk.wav", TALK)


def test_a_conversation_is_seen_renamed_and_downloaded(page, talk):
    find(page, talk)
    labels = [t.get_attribute("aria-label") for t in page.locator(".when-turn").all()]
    assert labels == [
        "speaker 1, 0:00.5 to 0:02.5",
        "speaker 1, 0:05.0 to 0:09.0",
        "speaker 2, 0:03.0 to 0:04.5",
    ]
    rename(page, "Anna")
    wait(lambda: shown(page) == ["Anna", "speaker 2"])
    path, name = downloaded(page, "rttm")
    (turns,) = read_rttm(path).values()
    assert name == "turns.rttm"
    assert [(t.start, t.end, t.speaker) for t in turns] == [
        (0.5, 2.5, "Anna"),
        (3.0, 4.5, "speaker_2"),
        (5.0, 9.0, "Anna"),
    ]
    for suffix in ("csv", "json", "srt"):
        assert downloaded(page, suffix)[1] == f"turns.{suffix}"


def test_a_turn_that_is_pressed_is_played_to_its_end(page, talk):
    find(page, talk)
    page.click('[aria-label="speaker 2, 0:03.0 to 0:04.5"]')
    wait(lambda: heard(page) > 3.05)
    assert 3 <= heard(page) < 4.5 and not paused(page)
    wait(lambda: paused(page))
    assert 4.4 < heard(page) < 4.9
    box = page.locator(".when-wave").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    wait(lambda: abs(heard(page) - 4.75) < 0.1)  # half of 9.5 s


def test_of_two_who_speak_at_once_each_turn_is_pressed_and_played(page, tmp_path):
    find(page, recorded(tmp_path / "talk.wav", AT_ONCE))
    within, around = "speaker 2, 0:02.0 to 0:03.0", "speaker 1, 0:00.5 to 0:04.0"
    turns = {
        turn.get_attribute("aria-label"): turn.bounding_box()
        for turn in page.locator(".when-turn").all()
    }
    assert len(turns) == 4
    assert turns[within]["x"] > turns[around]["x"]
    assert turns[within]["y"] >= turns[around]["y"] + turns[around]["height"]
    page.click(f'[aria-label="{around}"]')
    wait(lambda: heard(page) > 0.6)
    assert pressed(page) == [around]
    page.click(f'[aria-label="{within}"]')  # while the other is being heard
    wait(lambda: heard(page) > 2.05)
    assert pressed(page) == [within]
    wait(lambda: paused(page))
    assert 2.9 < heard(page) < 3.4 and pressed(page) == []
    page.click(f'[aria-label="{around}"]')
    wait(lambda: heard(page) > 3.1)  # through the end of the other
    assert pressed(page) == [around] and not paused(page)
    wait(lambda: paused(page))
    assert 3.9 < heard(page) < 4.4


def test_turns_are_reached_and_played_from_the_keyboard(page, talk):
    find(page, talk)
    page.focus(".when-turn")
    page.keyboard.press("ArrowRight")
    focused = "document.activeElement.ariaLabel"
    assert page.evaluate(focused) == "speaker 1, 0:05.0 to 0:09.0"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "speaker 2, 0:03.0 to 0:04.5"
    page.keyboard.press("Enter")
    wait(lambda: heard(page) >= 3 and not paused(page))
    page.keyboard.press("Escape")
    wait(lambda: paused(page))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    assert page.evaluate(focused) == "speaker 1, 0:00.5 to 0:02.5"


def test_speakers_are_merged_split_and_the_edits_taken_back(page, talk):
    find(page, talk)
    page.click("#merge")
    wait(lambda: shown(page) == ["speaker 1"])
    page.click("#split")
    wait(lambda: shown(page) == ["speaker 2", "speaker 1"])
    page.click("#undo")
    wait(lambda: shown(page) == ["speaker 1"])
    page.click("#undo")
    wait(lambda: shown(page) == ["speaker 1", "speaker 2"])
    page.locator(".when-name").nth(1).click()  # the name chooses whom to change
    page.wait_for_function(
        "document.querySelector('#speaker input').value=='speaker 2'"
    )
    rename(page, "Bea")
    wait(lambda: shown(page) == ["speaker 1", "Bea"])


def test_the_number_of_speakers_can_be_given(page, talk):
    page.get_by_label("Exactly").check()
    page.fill("#exact input", "1")
    try:
        find(page, talk)
        assert shown(page) == ["speaker 1"]
    finally:
        page.get_by_label("Estimated").check()


def test_a_bad_file_is_a_message_and_the_page_lives_on(page, talk, tmp_path):
    bad = tmp_path / "words.wav"
    bad.write_text("these are words and no sound")
    give(page, bad)
    message = page.locator(".when-error")
    assert "words.wav" in message.inner_text()
    assert str(tmp_path) not in message.inner_text()
    assert message.get_attribute("role") == "alert"
    find(page, talk)
    assert shown(page) == ["speaker 1", "speaker 2"]
    assert page.locator(".when-error").count() == 0


def test_silence_is_a_message_too(page, tmp_path):
    soundfile.write(tmp_path / "silence.flac", np.zeros(16000), 16000)
    give(page, tmp_path / "silence.flac")
    page.click("#find")
    page.get_by_text("Nobody was heard.").wait_for()
    assert not page.locator("#rename").is_visible()


def test_names_are_text_whatever_is_in_them(page, talk, tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.wav"
    shutil.copy(talk, hostile)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    find(page, hostile)
    rename(page, HOSTILE)
    wait(lambda: shown(page) == [HOSTILE, "speaker 2"])
    page.click("#speaker input")  # its list shows the names as well
    page.get_by_role("option").first.wait_for()
    assert page.title() == "Who speaks when"
    assert page.locator("img[src=x]").count() == 0


def test_nobody_sees_what_another_has_given_which_goes_when_the_tab_is_closed(
    page, chromium, address, talk
):
    """Here a second after it is closed; for users, an hour, lest a break lose work."""
    find(page, talk)
    rename(page, "Anna")
    before = set(address[1].glob("timbre-page-*/session-*"))
    other = chromium.new_context().new_page()
    other.goto(address[0])
    other.click("#find")
    other.get_by_text("Choose or record a sound first").wait_for()
    assert other.locator(".when-turn").count() == 0
    find(other, talk)
    assert shown(other) == ["speaker 1", "speaker 2"]
    assert shown(page) == ["Anna", "speaker 2"]
    (folder,) = set(address[1].glob("timbre-page-*/session-*")) - before
    sounds = list(address[1].rglob("*.wav"))
    assert [path for path in sounds if folder in path.parents] and folder.is_dir()
    assert "talk.wav" not in {path.name for path in sounds}  # the upload is gone
    other.context.close()
    wait(lambda: not folder.exists(), 60)
    assert len(before) == 1 and before <= {*address[1].glob("timbre-page-*/session-*")}


def test_the_microphone_is_a_source(page):
    page.get_by_role("tab", name="The microphone").click()
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop").click()
    page.locator(".when-title", has_text="Recording").wait_for()
    page.wait_for_selector(".when-player audio")
    page.get_by_role("tab", name="A file").click()


@pytest.mark.parametrize("width", [420, 1280])
def test_nothing_sticks_out_of_the_page(page, talk, width):
    page.set_viewport_size({"width": width, "height": 900})
    find(page, talk)
    rename(page, "A name as long as names get in minutes of meetings, " + 40 * "m")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    view = page.locator(".when-scroll").bounding_box()
    for name in page.locator(".when-name").all():
        box = name.bounding_box()
        assert view["x"] <= box["x"]
        assert box["x"] + box["width"] <= view["x"] + view["width"] + 1
    times = page.locator(".when-axis span").all_inner_texts()
    assert times[0] == "0:00" and len(times) >= 3


def test_zooming_shows_finer_times_and_keeps_the_lanes_in_line(page, talk):
    find(page, talk)
    for _ in range(3):
        page.click('[data-zoom="in"]')
    times = page.locator(".when-axis span").all_inner_texts()
    assert "." in times[-1]
    turn = page.locator(".when-turn").first.bounding_box()
    track = page.locator(".when-track").bounding_box()
    scale = track["width"] / 9.5
    assert turn["x"] - track["x"] == pytest.approx(0.5 * scale, abs=1)
    assert turn["width"] == pytest.approx(2.0 * scale, abs=1)
    assert scale <= 201  # pixels a second, the finest
    rename(page, "Anna")
    wait(lambda: shown(page) == ["Anna", "speaker 2"])
    assert page.locator(".when-track").bounding_box()["width"] == track["width"]
    assert page.locator(".when-axis span").all_inner_texts() == times
    page.click('[data-zoom="fit"]')
    view = page.locator(".when-scroll").bounding_box()
    assert page.locator(".when-track").bounding_box()["width"] <= view["width"]


@pytest.mark.real_data
def test_speakers_of_a_real_conversation_are_distinguished(
    chromium, tmp_path, real_data
):
    talk = real_data / "diarization" / "sim_d0.flac"
    with served(tmp_path, "real") as address:
        tab = chromium.new_context().new_page()
        tab.set_default_timeout(60_000)
        tab.goto(address)
        find(tab, talk)
        (turns,) = read_rttm(downloaded(tab, "rttm")[0]).values()
        assert "embed" in tab.locator(".when-stages").inner_text()
        tab.context.close()
    (truth,) = read_rttm(talk.with_suffix(".rttm")).values()
    assert diarization.score(truth, turns, collar=0.25).der < 0.25
