"""Long conversations: older pages, finding what was said, and a page that stays small."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from playwright.sync_api import FilePayload, expect

from tests.conftest import ChatServer, Make
from tests.web.page.conftest import Visit
from tests.web.page.person import Person

LINES = 700


@pytest.fixture(scope="module")
def long_talk(web_server: ChatServer) -> str:
    """The name of a room in which much was said: ``line N``, and every hundredth time a word."""
    wire = web_server.joined("scribe")
    wire.send(purpose="enter", ref="enter", room="#long")
    wire.until("ok", ref="enter")
    for number in range(LINES):
        text = f"line {number} marmalade" if number % 100 == 7 else f"line {number} end"
        wire.send(purpose="message", ref=f"l{number}", to="#long", text=text)
        if number % 100 == 99:
            wire.until("ok", ref=f"l{number}")
    return "#long"


def first_seen(person: Person) -> tuple[str, float]:
    """The first message that is in sight, and how far below the edge it stands."""
    text, top = person.page.evaluate(
        """() => {
          const edge = document.querySelector('#timeline').getBoundingClientRect().top;
          for (const each of document.querySelectorAll('.message')) {
            const box = each.getBoundingClientRect();
            if (box.top >= edge) return [each.querySelector('.text').textContent, box.top - edge];
          }
        }"""
    )
    return text, top


def scroll(person: Person, to: int) -> None:
    person.page.evaluate("to => (document.querySelector('#timeline').scrollTop = to)", to)


def elements(person: Person) -> int:
    count: int = person.page.evaluate("document.querySelectorAll('.message').length")
    return count


def test_older_pages_come_and_nothing_jumps(visit: Visit, long_talk: str) -> None:
    rita = visit("rita")
    rita.say(f"/join {long_talk}")
    rita.sees(f"line {LINES - 1} end")
    most = 0
    for _ in range(60):
        scroll(rita, 120)
        before = first_seen(rita)
        rita.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))")
        after = first_seen(rita)
        if before[0] == after[0]:
            assert abs(before[1] - after[1]) < 2, (before, after)
        most = max(most, elements(rita))
        if rita.message("line 0 end").count():
            break
    scroll(rita, 0)
    rita.sees("line 0 end")
    expect(rita.page.locator(".beginning")).to_contain_text("The beginning of #long")
    assert most <= 320, "the page does not stay small"
    assert rita.message(f"line {LINES - 1} end").count() == 0
    # What is said now is counted below, and one key goes there.
    other = visit("otto")
    other.say(f"/msg rita and /join {long_talk}")
    other.say(f"/join {long_talk}")
    expect(other.page.locator("#title")).to_have_text(long_talk)
    other.say("the very newest")
    expect(rita.page.locator("#to-end-words")).to_have_text("1 new")
    rita.page.keyboard.press("Escape")
    expect(rita.sees("the very newest")).to_be_in_viewport()
    assert elements(rita) <= 320


def test_search_leads_there(visit: Visit, long_talk: str) -> None:
    sue = visit("sue")
    sue.say(f"/join {long_talk}")
    sue.sees(f"line {LINES - 1} end")
    sue.page.keyboard.press("Control+f")
    sue.page.keyboard.type(f"marmal* from:scribe in:{long_talk}")
    sue.page.keyboard.press("Enter")
    hits = sue.page.locator("dialog [role=option]")
    expect(hits).to_have_count(LINES // 100)
    expect(hits.first).to_contain_text("line 607 marmalade")
    for _ in range(LINES // 100):
        sue.page.keyboard.press("ArrowDown")
    sue.page.keyboard.press("Enter")
    found = sue.page.locator(".message.led")
    expect(found).to_contain_text("line 7 marmalade")
    expect(found).to_be_in_viewport()
    expect(sue.sees("line 8 end")).to_be_in_viewport()  # in its context
    sue.say("back at the end")
    expect(sue.sees("back at the end")).to_be_in_viewport()
    sue.page.keyboard.press("Control+f")
    sue.page.keyboard.type("before:yesterday")
    sue.page.keyboard.press("Enter")
    expect(sue.page.locator("dialog [role=alert]")).to_contain_text("yesterday is no day")


def test_from_a_hit_one_scrolls_to_now(visit: Visit, long_talk: str) -> None:
    tom = visit("tom")
    tom.say(f"/join {long_talk}")
    expect(tom.page.locator("#title")).to_have_text(long_talk)
    tom.say("/search marmalade in:long")
    tom.page.get_by_role("option", name="line 107 marmalade").click()
    expect(tom.page.locator(".message.led")).to_contain_text("line 107 marmalade")
    seen: list[str] = []
    for _ in range(80):
        for text in tom.texts:
            if text not in seen:
                seen.append(text)
        if f"[History]line {LINES - 1} end" in seen:
            break
        scroll(tom, 10**7)
        tom.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))")
    numbers = [int(text.split()[1]) for text in seen if "line " in text]
    later = [number for number in numbers if number > 107]
    assert later == sorted(later)
    assert set(range(108, LINES)) <= set(later), "a gap"


def test_a_conversation_with_nothing_in_it(visit: Visit, make_server: Make) -> None:
    server = make_server("--web", "0").start()
    vic = visit("vic", server=server)
    expect(vic.page.locator(".beginning")).to_contain_text("Everybody who comes in is here.")
    vic.say("/msg nobody-here")
    expect(vic.page.locator("#title")).to_have_text("@nobody-here")
    vic.say("hello?")
    expect(vic.message("hello?").locator(".why")).to_contain_text("nobody-here")
    vic.message("hello?").get_by_role("button", name="Forget it").click()
    expect(vic.message("hello?")).to_have_count(0)


def test_a_flood_leaves_the_page_alive(visit: Visit, web_server: ChatServer) -> None:
    una = visit("una")
    wire = web_server.joined("flood")
    una.page.fill("#say", "being typed")
    count = 5000
    for number in range(count):
        wire.send(purpose="message", ref=f"f{number}", text=f"drop {number}.")
    wire.until("ok", ref=f"f{count - 1}")
    una.sees(f"drop {count - 1}.")
    assert elements(una) <= 320
    expect(una.page.locator("#say")).to_have_value("being typed")


def test_times_are_those_of_the_persons_own_zone(
    visit: Visit, web_server: ChatServer, png: bytes
) -> None:
    tara, uli = visit("tara", timezone_id="Asia/Kathmandu"), web_server.joined("uli")
    tara.say("/join times")
    expect(tara.page.locator("#title")).to_have_text("#times")
    uli.send(purpose="enter", ref="in", room="#times")
    uli.until("ok", ref="in")
    when = uli.say("what time is it?", "#times")["time"]
    local = datetime.fromtimestamp(when, timezone(timedelta(hours=5, minutes=45)))
    clock, day = f"{local:%H:%M}", f"{local.day} {local:%B %Y}"
    said = tara.sees("what time is it?").locator("time")
    expect(said).to_have_text(clock)
    expect(said).to_have_attribute("title", re.compile(f"{day}.*{clock}:"))
    expect(tara.page.locator(".rule.day").last).to_contain_text(day)
    tara.say("/search time from:uli")
    hit = tara.page.locator("dialog [role=option]")
    expect(hit).to_contain_text(f"in #times, {local.day} {local:%b}")
    expect(hit).to_contain_text(f", {clock}")
    tara.page.keyboard.press("Escape")
    shared: FilePayload = {"name": "clock.png", "mimeType": "image/png", "buffer": png}
    tara.page.set_input_files("#file-input", shared)
    at = tara.sees("clock.png").locator("time").text_content()
    tara.say("/files")
    expect(tara.page.locator("dialog")).to_contain_text(f", {at}")


@pytest.mark.parametrize("locale", ["en-GB", "en-US", "ko-KR", "zh-TW"])
def test_the_time_has_room_beside_the_nick_in_any_language(visit: Visit, locale: str) -> None:
    person = visit(f"one-{locale}", locale=locale)
    person.say(f"how late is it in {locale}?")
    person.sees(f"how late is it in {locale}?")
    room = person.page.evaluate(
        """() => {
          const own = [...document.querySelectorAll('.message.first')].at(-1);
          const time = own.querySelector('time');
          const gap = own.querySelector('.who').getBoundingClientRect().left
            - time.getBoundingClientRect().right;
          return [gap, time.scrollWidth - time.clientWidth];
        }"""
    )
    assert room[0] > 4 and room[1] <= 0
