"""Files: shared from a browser and fetched at a terminal, and back; pictures; what breaks off."""

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Route, expect

from tests.client.terminal import Terminal
from tests.conftest import ChatServer
from tests.web.page.conftest import Visit
from tests.web.page.person import Person


def give(person: Person, name: str, data: bytes) -> None:
    """Choose a file to share."""
    file = FilePayload(name=name, mimeType="", buffer=data)
    person.page.set_input_files("#file-input", file)


@pytest.fixture
def terminal(tmp_path: Path, web_server: ChatServer) -> Iterator[Terminal]:
    where = ("localhost", str(web_server.port), "theo", "1", "--downloads", str(tmp_path / "down"))
    opened = Terminal(tmp_path / "config", *where, columns=100, lines=30)
    opened.see("#lobby")
    yield opened
    opened.close()


def test_between_a_browser_and_a_terminal(visit: Visit, terminal: Terminal, tmp_path: Path) -> None:
    ann = visit("fileann")
    data = bytes(range(256)) * 5000
    give(ann, "from browser ä.bin", data)
    ann.sees("from browser ä.bin")
    terminal.see("from browser ä.bin")
    (tmp_path / "down").mkdir()
    terminal.type('/get "from browser ä.bin"\r')
    got = tmp_path / "down" / "from browser ä.bin"
    terminal.wait(got.exists)
    assert got.read_bytes() == data
    other = tmp_path / "from-terminal.bin"
    other.write_bytes(data[::-1])
    terminal.type(f"/put {other}\r")
    shared = ann.sees("from-terminal.bin")
    with ann.page.expect_download() as download:
        shared.get_by_label("Fetch from-terminal.bin").click()
    assert Path(download.value.path()).read_bytes() == data[::-1]
    assert download.value.suggested_filename == "from-terminal.bin"
    ann.page.click("#go-files")
    expect(ann.page.locator("dialog [role=listitem]")).to_have_count(2)
    ann.page.get_by_label("No longer share from browser ä.bin").click()
    ann.page.get_by_role("button", name="Take it away").click()
    expect(ann.page.locator("dialog [role=listitem]")).to_have_count(1)
    terminal.see("no longer shares")


def test_pictures_are_shown_and_nothing_else_is_one(visit: Visit, png: bytes) -> None:
    ann, ben = visit("picann"), visit("picben")
    give(ann, "small.png", png)
    picture = ben.sees("small.png").locator("img")
    expect(picture).to_be_visible()
    assert (picture.get_attribute("src") or "").startswith("blob:")
    give(ann, "lies.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.hacked=1'/>")
    give(ann, "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.hacked=1'/>")
    ben.sees("drawing.svg")
    give(ann, "later.png", png + b"\0")
    expect(ben.sees("later.png").locator("img")).to_be_visible()  # lies.png was looked at before
    assert ben.message("lies.png").locator("img").count() == 0
    assert ben.message("drawing.svg").locator("img, .preview").count() == 0
    assert ben.page.evaluate("window.hacked === undefined")
    picture.click()
    expect(ben.page.locator("dialog.picture img")).to_be_visible()


def test_a_file_dropped_on_the_page_is_shared(visit: Visit) -> None:
    ann = visit("dropann")
    transfer = ann.page.evaluate_handle(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["dropped"], "dropped.txt"));
          return transfer;
        }"""
    )
    ann.page.dispatch_event("#timeline", "dragover", {"dataTransfer": transfer})
    expect(ann.page.locator("#drop")).to_be_visible()
    ann.page.dispatch_event("#timeline", "drop", {"dataTransfer": transfer})
    expect(ann.page.locator("#drop")).to_be_hidden()
    ann.sees("dropped.txt")


def test_what_is_cancelled_goes_on_where_it_was(visit: Visit, web_server: ChatServer) -> None:
    ann = visit("bigann")
    data = hashlib.shake_256(b"big").digest(3_000_000)
    offsets: list[int] = []

    def half(route: Route) -> None:
        """Let the first try bring half of it, and break."""
        request = route.request
        if request.method != "PUT":  # looking whether it is a picture
            route.continue_()
            return
        offsets.append(int(request.url.rpartition("offset=")[2]))
        if len(offsets) == 1:
            route.fetch(post_data=data[: len(data) // 2])
            route.abort()
        else:
            route.continue_()

    ann.page.route(re.compile("/files/"), half)
    give(ann, "big.bin", data)
    ann.sees("big.bin")
    assert offsets == [0, len(data) // 2]
    ann.page.unroute(re.compile("/files/"))
    # What one has broken off oneself stays as a line, to be gone on with.
    ann.page.route(re.compile("/files/"), lambda route: None)
    expect(ann.page.locator(".transfer")).to_have_count(0)
    ann.message("big.bin").get_by_label("Fetch big.bin").click()
    ann.page.get_by_label("Cancel big.bin").click()
    expect(ann.page.locator(".transfer .words")).to_have_text("big.bin: cancelled")
    ann.page.unroute(re.compile("/files/"))
    with ann.page.expect_download() as download:
        ann.page.get_by_role("button", name="Go on").click()
    assert Path(download.value.path()).read_bytes() == data
    give(ann, "big.bin", b"another of that name")
    ann.page.get_by_role("button", name="Share it as big (2).bin").click()
    ann.sees("big (2).bin")
    give(ann, "bad\\name.txt", b"x")
    expect(ann.page.locator(".transfer .trouble")).to_contain_text("name")


# Large files: the page must not hold them


LARGE = 1_000_000
"""What is large in these tests."""


def large_is_less(person: Person, *scripts: str) -> None:
    """Let the page take a megabyte for large, and run scripts before its own."""

    def lower(route: Route) -> None:
        answer = route.fetch()
        body = answer.text()
        assert "const HELD = 256e6;" in body
        route.fulfill(response=answer, body=body.replace("256e6", str(LARGE)))

    person.page.route("**/sharing.js", lower)
    for script in scripts:
        person.page.add_init_script(script)
    person.page.reload()


NO_PICKER = "delete globalThis.showSaveFilePicker;"
PICKER = """
globalThis.showSaveFilePicker = async ({ suggestedName }) => {
  globalThis.suggested = suggestedName;
  if (globalThis.unwilling) throw new DOMException("no", "AbortError");
  const folder = await navigator.storage.getDirectory();
  return folder.getFileHandle("chosen", { create: true });
};
"""
"""The dialog cannot be answered from here; the file that is written to is a real one."""

KEPT = """
async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("fetched");
  const names = [];
  for await (const name of folder.keys()) names.push(name);
  return names.length;
}
"""


def breaking(person: Person, data: bytes) -> list[str]:
    """Let who asks for the whole of a file get half of it. Return what is asked for."""
    ranges: list[str] = []

    def half(route: Route) -> None:
        ranges.append(route.request.headers.get("range", ""))
        if not ranges[-1]:
            body = data[: len(data) // 2]
            route.fulfill(status=200, body=body)
        else:
            route.continue_()

    person.page.route(re.compile("/files/"), half)
    return ranges


def test_a_large_file_comes_by_the_disk_and_goes_on_where_it_broke_off(visit: Visit) -> None:
    ann, ben = visit("largeann"), visit()
    data = hashlib.shake_256(b"large").digest(3 * LARGE)
    give(ann, "large.bin", data)
    large_is_less(ben, NO_PICKER)
    ben.come("largeben")
    shared = ben.sees("large.bin")
    ranges = breaking(ben, data)
    with ben.page.expect_download() as download:
        shared.get_by_label("Fetch large.bin").click()
    assert Path(download.value.path()).read_bytes() == data
    assert download.value.suggested_filename == "large.bin"
    assert (ranges[0], ranges[-1]) == ("", f"bytes={len(data) // 2}-")
    assert ben.page.evaluate(KEPT) == 1


def test_a_large_file_goes_where_one_chooses(visit: Visit) -> None:
    ann, ben = visit("chosenann"), visit()
    data = hashlib.shake_256(b"chosen").digest(2 * LARGE)
    give(ann, "chosen.bin", data)
    large_is_less(ben, PICKER)
    ben.come("chosenben")
    fetch = ben.sees("chosen.bin").get_by_label("Fetch chosen.bin")
    ben.page.evaluate("unwilling = true")
    fetch.click()
    ben.hears("globalThis.suggested === 'chosen.bin'")
    expect(ben.page.locator(".transfer")).to_have_count(0)
    ben.page.evaluate("unwilling = false")
    fetch.click()
    expect(ben.page.locator(".transfer .words")).to_have_text("chosen.bin: here")
    digest = ben.page.evaluate(
        """async () => {
          const folder = await navigator.storage.getDirectory();
          const file = await (await folder.getFileHandle("chosen")).getFile();
          const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
          return [...new Uint8Array(digest)];
        }"""
    )
    assert bytes(digest) == hashlib.sha256(data).digest()


def test_what_is_cancelled_leaves_nothing_on_the_disk(visit: Visit) -> None:
    ann, ben = visit("leftann"), visit()
    data = hashlib.shake_256(b"left").digest(2 * LARGE)
    give(ann, "left.bin", data)
    large_is_less(ben, NO_PICKER)
    ben.come("leftben")
    shared = ben.sees("left.bin")
    ben.page.route(re.compile("/files/"), lambda route: None)
    shared.get_by_label("Fetch left.bin").click()
    ben.page.get_by_label("Cancel left.bin").click()
    expect(ben.page.locator(".transfer .words")).to_have_text("left.bin: cancelled")
    deadline = time.monotonic() + 15
    while ben.page.evaluate(KEPT):
        assert time.monotonic() < deadline, "it is still there"


def test_where_pages_cannot_write_the_browser_fetches_and_one_is_told(visit: Visit) -> None:
    ann, ben = visit("handann"), visit()
    data = hashlib.shake_256(b"handed").digest(2 * LARGE)
    give(ann, "handed.bin", data)
    large_is_less(ben, "delete FileSystemFileHandle.prototype.createWritable;")
    ben.come("handben")
    with ben.page.expect_download() as download:
        ben.sees("handed.bin").get_by_label("Fetch handed.bin").click()
    assert Path(download.value.path()).read_bytes() == data
    ben.told("handed.bin is large, and left to your browser's own downloads, which do not")
    ben.told(hashlib.sha256(data).hexdigest())


def test_a_connection_on_which_nothing_moves_is_given_up(visit: Visit) -> None:
    """A network that is gone says nothing: no error, and no end."""
    ann, ben = visit("stallann"), visit()
    give(ann, "stall.bin", b"moves in the end")
    ben.page.clock.install()
    ben.come("stallben")
    shared = ben.sees("stall.bin")
    asked: list[str] = []

    def swallow(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()

    ben.page.route(re.compile("/files/"), swallow)
    with ben.page.expect_download() as download:
        shared.get_by_label("Fetch stall.bin").click()
        expect(ben.page.locator(".transfer .words")).to_contain_text("0 bytes of")
        ben.page.clock.fast_forward(61_000)
    assert Path(download.value.path()).read_bytes() == b"moves in the end"
    assert len(asked) == 2
