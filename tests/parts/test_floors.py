"""Who may import whom: the order in which the house stands, as docs/ARCHITECTURE.md draws it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

Floors = dict[str, set[str]]

SERVER: Floors = {
    "operating": {"net", "ground"},
    "web": {"carrying", "doors", "files", "net", "ground"},
    "carrying": {"chat", "files", "net", "ground"},
    "doors": {"chat", "net", "ground"},
    "chat": {"files", "index", "log", "accounts", "ground"},  # no net: what is pure has no socket
    "files": {"log", "ground"},
    "index": {"log", "ground"},
    "log": {"ground"},
    "accounts": {"ground"},
    "net": {"ground"},
    "ground": set(),
}
CLIENT: Floors = {
    "screen": {"commands", "files", "model", "session", "ground"},
    "commands": {"files", "model", "session", "ground"},  # no screen: every face has them
    "files": {"session", "ground"},
    "model": {"session", "ground"},  # of the session what happens in it, and no more
    "session": {"ground"},
    "ground": set(),
}
"""The floors of parley/server and parley/client from above to below, each with those it imports.
What stands at the top, beside the floors, imports from all, and none of them from there."""

both = pytest.mark.parametrize(
    ("house", "floors"), [("server", SERVER), ("client", CLIENT)], ids=["server", "client"]
)


def imports(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each dotted name that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{file}: names are written in full"
            yield from ((*node.module.split("."), *alias.name.split(".")) for alias in node.names)


@both
def test_each_floor_imports_those_the_table_says_and_none_above_it(
    house: str, floors: Floors
) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for floor in floors:
        for file in ROOT.joinpath("parley", house, floor).rglob("*.py"):
            for name in imports(file):
                if name[:2] == ("parley", house):
                    assert len(name) > 2 and name[2] in floors, f"{file}: {'.'.join(name)}"
                    found[floor] |= {name[2]} - {floor}
    assert {floor: found[floor] for floor in floors} == floors
    order = list(floors)
    for floor, under in floors.items():
        assert under <= set(order[order.index(floor) + 1 :]), f"{floor} imports from above it"


@both
def test_each_floor_is_in_the_table_and_drawn_in_its_order(house: str, floors: Floors) -> None:
    place = ROOT / "parley" / house
    packages = {file.parent.name for file in place.glob("*/__init__.py")}
    assert packages == set(floors)
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    drawn = [
        line.split("/")[2] for line in page.splitlines() if line.startswith(f"    parley/{house}/")
    ]
    assert drawn[1:] == list(floors)
    for floor in floors:
        whole = ast.parse((place / floor / "__init__.py").read_text())
        assert ast.get_docstring(whole) and len(whole.body) == 1, f"{floor} says what it is, alone"


def test_no_module_imports_itself_by_a_detour() -> None:
    files = [
        file for package in ("framing", "parley") for file in ROOT.joinpath(package).rglob("*.py")
    ]
    modules = {file.relative_to(ROOT).with_suffix("").parts: file for file in files}
    graph = {
        module: {part for name in imports(file) for part in (name, name[:-1]) if part in modules}
        for module, file in modules.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(modules)


def test_the_model_knows_of_the_session_only_what_happens_in_it() -> None:
    for file in ROOT.joinpath("parley", "client", "model").rglob("*.py"):
        for name in imports(file):
            if name[:3] == ("parley", "client", "session"):
                assert name[3] == "happenings", f"{file}: {'.'.join(name)}"


def test_server_and_client_know_each_other_only_by_the_wire() -> None:
    forbidden: dict[str, set[tuple[str, ...]]] = {
        "framing": {("parley",), ("chat_server",), ("chat_client",)},
        "parley/udp": {("parley", "server"), ("parley", "client")},
        "parley/server": {("parley", "client"), ("chat_server",), ("chat_client",)},
        "parley/client": {("parley", "server"), ("chat_server",), ("chat_client",)},
    }
    for package, others in forbidden.items():
        files = list(ROOT.joinpath(package).rglob("*.py"))
        assert files
        for file in files:
            for name in imports(file):
                for other in others:
                    assert name[: len(other)] != other, f"{file}: {'.'.join(name)}"


PAGE = ROOT / "parley" / "server" / "web" / "page"


def modules() -> dict[str, set[str]]:
    """Return the page's modules by name, each with those it imports."""
    found = {}
    for file in PAGE.glob("*.js"):
        named = re.findall(
            r"""^import (?:[^"']* from )?"\./([a-z0-9]+)\.js";$""", file.read_text(), re.M
        )
        assert len(named) == file.read_text().count("\nimport "), (
            f"{file}: imports are single lines"
        )
        found[file.stem] = set(named)
    return found


def test_no_modules_of_the_page_import_each_other_in_a_circle() -> None:
    left = modules()
    used = {"main", "early"}.union(*left.values())
    assert used == set(left), "each is there, and is used"
    while left:
        low = {name for name, under in left.items() if not under & set(left)}
        assert low, f"a circle among {sorted(left)}"
        left = {name: under for name, under in left.items() if name not in low}


def test_each_module_of_the_page_is_named_in_its_plan() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text().partition("\n## The page\n")[2]
    plan = page.partition("\n## ")[0]
    drawn = " ".join(line for line in plan.splitlines() if line.startswith("    "))
    missing = [name for name in modules() if not re.search(rf"\b{name}\b", drawn)]
    assert not missing, missing
    number = len(list(PAGE.iterdir()))
    assert f"{number} small files" in plan, f"there are {number}"
