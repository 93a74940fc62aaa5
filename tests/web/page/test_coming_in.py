"""The gate: guests, accounts, and what a browser remembers."""

import json
from pathlib import Path

from playwright.sync_api import FilePayload, expect

from tests.conftest import ChatServer, Make
from tests.tls.conftest import Certified
from tests.web.page.conftest import Visit


def test_a_guest_is_the_same_person_after_a_reload(visit: Visit) -> None:
    ann, ben = visit("anna"), visit("benno")
    ben.say("/msg anna only for you")
    ann.go("@benno")
    ann.sees("only for you")
    ann.page.reload()
    expect(ann.page.locator("#me-nick")).to_have_text("anna")
    ann.go("@benno")
    ann.sees("only for you")  # private: proved by the token
    tab = ann.tab()  # and in another tab at once, as another session of the same person
    expect(tab.locator("#me-nick")).to_have_text("anna")
    ben.say("to both")
    expect(tab.locator("#conversations")).to_contain_text("benno")
    ann.sees("to both")
    assert ann.page.locator("#connection").text_content() == ""


def test_a_nick_that_is_taken(visit: Visit) -> None:
    visit("carla")
    other = visit()
    other.knock("carla")
    expect(other.page.locator("#gate-trouble")).to_contain_text("Somebody else is carla")
    other.knock("not a nick")
    expect(other.page.locator("#gate-trouble")).to_contain_text("letters a to z")
    other.come("carl")


def test_passwords(visit: Visit) -> None:
    alice = visit()
    alice.knock("Alice")
    expect(alice.page.locator("#gate-trouble")).to_contain_text("Alice is registered")
    alice.knock("Alice", "wrong")
    expect(alice.page.locator("#gate-trouble")).to_contain_text("not the password")
    alice.come("Alice", "123")
    expect(alice.page.locator("#me-status")).to_have_text("registered")
    kept = alice.page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    assert '"123"' not in kept
    alice.page.reload()
    expect(alice.page.locator("#me-nick")).to_have_text("Alice")
    tab = alice.tab()  # has no key: it asks, and does not hide the gate from who is not let in
    expect(tab.locator("#gate-trouble")).to_contain_text("Alice is registered")
    expect(tab.locator("#gate-password")).to_be_focused()
    tab.fill("#gate-password", "123")
    tab.press("#gate-password", "Enter")
    expect(tab.locator("#me-status")).to_have_text("registered")
    tab.close()
    alice.page.click("#go-settings")
    alice.page.get_by_role("button", name="Sign out").click()
    expect(alice.page.locator("#gate-nick")).to_have_value("Alice")
    alice.page.reload()
    expect(alice.page.locator("#gate-form")).to_be_visible()


def test_registering_over_plain_http(visit: Visit, make_server: Make) -> None:
    """Under a name that is not this machine's a browser gives no cryptography: it is the page's
    own, and the page says what http cannot protect."""
    server = make_server("--web", "0", "--web-origin", "http://lan.test").start()
    dan = visit(host="lan.test", server=server)
    assert dan.page.evaluate("globalThis.crypto.subtle === undefined")
    expect(dan.page.locator("#gate-plain")).to_contain_text("plain http")
    dan.come("daniel")
    dan.say("/register")
    dan.page.get_by_label("New password").fill("pässword")
    dan.page.get_by_label("Once more").fill("pass")
    dan.page.get_by_role("button", name="Register").click()
    expect(dan.page.locator("dialog [role=alert]")).to_have_text("The two are not the same.")
    dan.page.get_by_label("Once more").fill("pässword")
    dan.page.get_by_role("button", name="Register").click()
    dan.told("daniel is yours now")
    again = visit("daniel", "pässword", server=server)  # by the browser's own: the same keys
    expect(again.page.locator("#me-status")).to_have_text("registered")


def test_over_tls(visit: Visit, make_server: Make, demo_users: str, tmp_path: Path) -> None:
    """The same over https, where logins could be bound to the certificate: browsers cannot."""
    server = make_server("--web", "0", *Certified(tmp_path).options)
    (server.data / "users.json").write_text(demo_users)
    server.start()
    alice = visit("Alice", "123", server=server, scheme="https", ignore_https_errors=True)
    alice.say("over TLS")
    alice.stored("over TLS")
    file = FilePayload(name="over.bin", mimeType="", buffer=b"over TLS" * 10_000)
    alice.page.set_input_files("#file-input", file)
    with alice.page.expect_download() as download:
        alice.sees("over.bin").get_by_label("Fetch over.bin").click()
    assert Path(download.value.path()).read_bytes() == file["buffer"]


def test_one_who_is_ended_elsewhere_may_come_again(visit: Visit, web_server: ChatServer) -> None:
    eva = visit("eva")
    kept = "[localStorage['parley.token.eva'], sessionStorage['parley.id.eva']]"
    token, number = eva.page.evaluate(kept)
    wire = web_server.wire()
    wire.join("eva", int(number), token=json.loads(token))
    expect(eva.page.locator("#connection")).to_contain_text("another")
    eva.page.get_by_role("button", name="Come in again").click()
    expect(eva.page.locator("#connection")).to_be_empty()
    eva.say("here again")
    eva.stored("here again")
