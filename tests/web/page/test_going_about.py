"""Going about in the page: back and forward, a page that is loaded again, and what has to fit."""

import re

import pytest
from playwright.sync_api import expect

from tests.conftest import ChatServer
from tests.web.page.conftest import Visit
from tests.web.page.person import Person

PHONE = {"width": 390, "height": 844}


def title(person: Person, name: str | re.Pattern[str]) -> None:
    expect(person.page.locator("#title")).to_have_text(name)


def listed(person: Person, name: str) -> None:
    expect(person.page.locator("#conversations .option", has_text=name)).to_be_visible()


def test_back_and_forward_lead_from_conversation_to_conversation(visit: Visit) -> None:
    ada = visit("ada")
    ada.say("/join study")
    title(ada, "#study")
    ada.say("/msg bea")
    title(ada, "@bea")
    ada.page.click("#go-settings")
    ada.page.go_back()
    title(ada, "#study")
    expect(ada.page.locator("dialog")).to_have_count(0)
    ada.page.go_back()
    title(ada, "#lobby")
    ada.page.go_forward()
    title(ada, "#study")
    ada.page.reload()
    title(ada, "#study")
    ada.say("/leave")
    title(ada, "#lobby")
    ada.page.go_back()
    expect(ada.page.locator("#conversations")).not_to_contain_text("study")
    title(ada, "#lobby")


def test_where_somebody_was_is_nothing_to_who_signs_in_after_them(visit: Visit) -> None:
    cid = visit("cid")
    cid.say("/msg dot")
    title(cid, "@dot")
    cid.say("/quit")
    cid.page.get_by_role("button", name="Sign out").click()
    cid.page.go_back()
    expect(cid.page.locator("#gate-go")).to_be_visible()
    cid.come("eve")
    title(cid, "#lobby")
    expect(cid.page.locator("#conversations")).not_to_contain_text("dot")


def test_what_a_guest_has_not_read_is_there_after_a_reload(
    visit: Visit, web_server: ChatServer
) -> None:
    fay, gil = visit("fay"), web_server.joined("gil")
    fay.say("/msg hal")
    title(fay, "@hal")
    fay.go("#lobby")
    gil.say("psst", "@fay")
    badge = fay.page.locator("#conversations .option", has_text="gil").locator(".badge")
    expect(badge).to_have_text("1")
    gil.say("behind it, for all")
    fay.sees("behind it, for all")
    fay.page.reload()
    expect(badge).to_have_text("1")
    listed(fay, "hal")
    gil.say("and another", "@fay")
    expect(badge).to_have_text("2")
    fay.go("@gil")
    fay.sees("psst")
    fay.sees("and another")
    expect(badge).to_have_count(0)


def test_a_private_conversation_is_closed_and_comes_again_whole(
    visit: Visit, web_server: ChatServer
) -> None:
    pam, quin = visit("pam"), web_server.joined("quin")
    row = pam.page.locator("#conversations .option", has_text="quin")
    quin.say("one", "@pam")
    pam.go("@quin")
    pam.page.fill("#say", "half a sente")
    pam.page.click("#go-about")
    pam.page.get_by_role("button", name="Close this conversation").click()
    title(pam, "#lobby")
    expect(row).to_have_count(0)
    pam.page.reload()
    title(pam, "#lobby")
    expect(row).to_have_count(0)
    quin.say("two", "@pam")
    expect(row.locator(".badge")).to_have_text("1")
    pam.go("@quin")
    pam.sees("one")
    pam.sees("two")
    pam.say("/leave")
    title(pam, "#lobby")
    expect(row).to_have_count(0)


def test_who_writes_many_lines_goes_on_seeing_the_newest(
    visit: Visit, web_server: ChatServer
) -> None:
    ida, jon = visit("ida"), web_server.joined("jon")
    for number in range(60):
        jon.say(f"said {number} before")
    ida.sees("said 59 before")
    ida.page.focus("#say")
    for number in range(8):
        ida.page.keyboard.type(f"row {number}")
        ida.page.keyboard.press("Shift+Enter")
    jon.say("said meanwhile")
    expect(ida.sees("said meanwhile")).to_be_in_viewport()
    expect(ida.page.locator("#to-end")).to_be_hidden()


@pytest.mark.parametrize("name", ["/join " + "W" * 32, "/msg " + "W" * 32])
def test_a_long_name_fits_a_phone(visit: Visit, name: str) -> None:
    kim = visit(f"kim{len(name)}", viewport=PHONE)
    kim.say(name)
    title(kim, re.compile("^[#@]W{32}$"))
    place = kim.page.locator(".beginning strong bdi").bounding_box()
    assert place is not None and place["x"] + place["width"] <= PHONE["width"]
    field = kim.page.locator("#say").bounding_box()
    assert field is not None and field["height"] < 60, "what stands in it needs one line"


def test_the_way_to_the_newest_does_not_cover_what_one_writes(
    visit: Visit, web_server: ChatServer
) -> None:
    lea, max_ = visit("lea", viewport=PHONE), web_server.joined("max")
    for number in range(60):
        max_.say(f"line {number} of many")
    lea.sees("line 59 of many")
    lea.page.fill("#say", "\n".join(f"row {number}" for number in range(12)))
    lea.page.evaluate("document.querySelector('#timeline').scrollTop = 0")
    expect(lea.page.locator("#to-end")).to_be_visible()
    button = lea.page.locator("#to-end").bounding_box()
    composer = lea.page.locator("#composer").bounding_box()
    assert button is not None and composer is not None
    assert button["y"] + button["height"] <= composer["y"]


def test_what_the_lobby_is_about_can_be_read_whole(visit: Visit, web_server: ChatServer) -> None:
    topic = "of foxes and hens, " * 20 + "and no more"
    ned = web_server.joined("ned")
    ned.send(purpose="topic", ref="t", text=topic)
    ned.until("ok", ref="t")
    oda = visit("oda")
    expect(oda.page.locator("#topic")).to_have_text(topic)
    oda.page.click("#go-about")
    expect(oda.page.locator("dialog .about")).to_have_text(topic)
