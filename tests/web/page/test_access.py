"""For everybody: by keys alone, for screen readers, in both themes, on a phone."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.conftest import Make
from tests.web.conftest import web_port
from tests.web.page.conftest import Visit
from tests.web.page.person import Person

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def check(person: Person, state: str) -> None:
    """Fail if axe finds anything in what is on the page."""
    person.page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
    found: list[Any] = (
        Axe().run(person.page, options={"resultTypes": ["violations"]}).response["violations"]
    )
    report = [
        f"{state}: {each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]
    assert not report, "\n".join(report)


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(DESKTOP, "light", id="desktop-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(DESKTOP, "dark", id="desktop-dark", marks=pytest.mark.long),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing(visit: Visit, scheme: str, size: dict[str, int]) -> None:
    name = f"axe-{scheme}-{size['width']}"
    ann = visit(color_scheme=scheme, viewport=size, reduced_motion="reduce")
    check(ann, "gate")
    ann.knock("Alice", "wrong")
    expect(ann.page.locator("#gate-trouble")).to_contain_text("not the password")
    check(ann, "gate with trouble")
    ann.come(name)
    check(ann, "first time")
    other = visit(f"{name}-b")
    other.say(f"hello {name}, see https://example.org and ```")
    other.say("```\ncode  here\n```")
    other.say("/me waves")
    other.say(f"/msg {name} privately")
    other.stored("privately")
    ann.say(f"answer of {name}")
    ann.stored(f"answer of {name}")
    ann.say("/nosuch")
    ann.told("There is no command")
    ann.page.fill("#say", "")
    ann.message(f"answer of {name}").hover()
    check(ann, "talk")
    ann.page.fill("#say", "/m")
    expect(ann.page.locator("#suggestions")).to_be_visible()
    check(ann, "suggestions")
    ann.page.fill("#say", "")
    if size is PHONE:
        ann.page.click("#open-lists")
        check(ann, "lists")
        ann.page.click("#close-lists")
        ann.page.click("#toggle-people")
        check(ann, "people")
        ann.page.click("#close-people")
    dialogs = {"#go-about": "about"}
    commands = ["/rooms"]
    if size is DESKTOP:
        dialogs |= {"#go-files": "files", "#go-room": "rooms"}
        dialogs |= {"#go-settings": "settings", "#go-switch": "switcher"}
        commands += ["/help", "/register", "/search hello", "/users"]
    for button, state in dialogs.items():
        ann.page.click(button)
        expect(ann.page.locator("dialog")).to_be_visible()
        check(ann, state)
        ann.page.keyboard.press("Escape")
        expect(ann.page.locator("dialog")).to_have_count(0)
    for command in commands:
        ann.say(command)
        expect(ann.page.locator("dialog")).to_be_visible()
        check(ann, command)
        ann.page.keyboard.press("Escape")


def test_by_keys_alone(visit: Visit) -> None:
    kim, lou = visit(), visit("lou")
    keys = kim.page.keyboard
    keys.type("kim")
    keys.press("Enter")
    expect(kim.page.locator("#say")).to_be_focused()
    keys.type("hello @l")
    keys.press("Tab")
    keys.type("how are you?")
    keys.press("Enter")
    lou.sees("hello @lou how are you?")
    kim.stored("hello @lou")  # else there is nothing to be done with it yet
    keys.press("Shift+Tab")  # the button for files
    keys.press("Shift+Tab")
    expect(kim.page.locator("#timeline")).to_be_focused()
    keys.press("ArrowUp")
    expect(kim.message("hello @lou")).to_be_focused()
    keys.press("Tab")  # who says it
    keys.press("Tab")
    expect(kim.page.get_by_label("Change this message")).to_be_focused()
    keys.press("Enter")
    keys.press("Control+a")
    keys.type("hello again")
    keys.press("Enter")
    lou.sees("hello again(edited)")
    keys.press("Control+k")
    keys.type("lo")
    expect(kim.page.locator("dialog [role=option]").first).to_contain_text("#lobby")
    keys.type("u")
    keys.press("Enter")
    expect(kim.page.locator("#title")).to_have_text("@lou")
    expect(kim.page.locator("#say")).to_be_focused()
    keys.type("just us")
    keys.press("Enter")
    kim.stored("just us")
    keys.press("Alt+1")
    expect(kim.page.locator("#title")).to_have_text("#lobby")
    kim.page.locator("#conversations").focus()
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(kim.page.locator("#title")).to_have_text("@lou")
    keys.press("F1")
    expect(kim.page.locator("dialog")).to_contain_text("go to a conversation")
    keys.press("Escape")
    expect(kim.page.locator("#say")).to_be_focused()  # given back
    keys.type("/joni")
    keys.press("Enter")
    kim.told("Did you mean /join")
    expect(kim.page.locator("#say")).to_have_value("/joni")


def test_who_is_at_a_message_stays_there_when_it_changes(visit: Visit) -> None:
    mia = visit("mia")
    mia.say("one wrod")
    mia.stored("one wrod")
    there = mia.tab()
    expect(there.locator(".message", has_text="one wrod")).to_be_visible()
    mia.page.bring_to_front()
    mia.message("one wrod").focus()
    mia.page.keyboard.press("Tab")  # who says it
    mia.page.keyboard.press("Tab")
    change = mia.page.get_by_label("Change this message")
    expect(change).to_be_focused()
    there.press("#say", "ArrowUp")
    there.fill("#say", "one word")
    there.press("#say", "Enter")
    mia.sees("one word(edited)")
    expect(change).to_be_focused()
    mia.page.keyboard.press("Tab")
    expect(mia.page.get_by_label("Take this message back")).to_be_focused()
    there.press("#say", "ArrowUp")
    there.fill("#say", "one more word")
    mia.message("one word").focus()
    there.press("#say", "Enter")
    expect(mia.sees("one more word(edited)")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_old_looks_and_sounds_old(visit: Visit, make_server: Make, scheme: str) -> None:
    """While there is no connection nobody knows who is here: what is shown was so."""
    server = make_server("--web", "0").start()
    server.joined("ned")
    liv = visit("liv", server=server, color_scheme=scheme)
    liv.say("/msg ned hello")
    liv.stored("hello")
    dots = liv.page.locator(".listing .dot")
    people = liv.page.locator("#people-list")
    expect(dots).to_have_count(3)
    expect(people).to_have_attribute("aria-label", "People here")
    expect(liv.page.locator("#topic")).to_have_text("online")
    looks = "each => getComputedStyle(each).backgroundColor + getComputedStyle(each).opacity"
    green = dots.first.evaluate(looks)
    port = web_port(server)
    server.kill()
    expect(liv.page.locator("#connection")).to_contain_text("No connection")
    for dot in dots.all():
        expect(dot).to_have_attribute("aria-label", "was online")
        assert dot.evaluate(looks) != green
    expect(people).to_have_attribute("aria-label", re.compile("were here when the connection was"))
    expect(liv.page.locator("#topic")).to_have_text("was online")
    liv.page.keyboard.press("Alt+1")
    expect(liv.page.locator("#people-title")).to_have_text("2 were here")
    check(liv, "without a connection")
    server.options = ("--web", str(port))
    server.start()
    server.joined("ned")
    expect(people.get_by_label("online", exact=True)).to_have_count(2)
    expect(people).to_have_attribute("aria-label", "People here")
    expect(liv.page.locator("#people-title")).to_have_text("2 here")
    assert dots.first.evaluate(looks) == green


def test_colours_are_chosen_and_remembered(visit: Visit) -> None:
    mia = visit("mia", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = mia.page.evaluate(ground)
    mia.page.click("#go-settings")
    mia.page.get_by_label("dark", exact=True).check()
    dark = mia.page.evaluate(ground)
    assert dark != light
    mia.page.reload()
    assert mia.page.evaluate(ground) == dark


def test_right_to_left(visit: Visit) -> None:
    noa = visit("noa")
    noa.say("שלום, abc!")
    noa.stored("שלום")
    text = noa.message("שלום").locator(".text")
    assert text.evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert text.evaluate("each => getComputedStyle(each).textAlign") == "start"


def test_a_phone_shows_one_thing_at_a_time(visit: Visit) -> None:
    pia, quin = visit("pia", viewport=PHONE, has_touch=True), visit("quin")
    assert pia.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(pia.page.locator("#lists")).to_be_hidden()
    quin.say("/msg pia look here")
    expect(pia.page.get_by_label("Conversations, 1 unread")).to_be_visible()
    pia.page.click("#open-lists")
    pia.page.get_by_role("option", name="quin").click()
    expect(pia.page.locator("#lists")).to_be_hidden()
    expect(pia.sees("look here")).to_be_in_viewport()
    quin.say("x" * 300)
    pia.sees("x" * 300)
    assert pia.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
