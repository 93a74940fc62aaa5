"""Longer texts over the timeline - help, people, what was found - and typing on under them."""

from tests.client.conftest import Open
from tests.conftest import ChatServer, Make

LONG = "a_nick_of_thirty_two_characters_"


def test_whoever_goes_on_to_write_does_not_have_to_put_a_list_away(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann")
    ann.see("ann ●")
    ann.type("/help\r")
    ann.see("Help ·")
    ann.type("hello\r")
    ann.see("✓ hello", not_="Help ·")
    ann.type("/users\r")
    ann.see("People ·")
    ann.type("\x1b[200~pasted\x1b[201~")
    ann.see("#lobby › pasted", not_="People ·")


def test_a_question_is_still_answered_after_a_look_at_the_help(
    server: ChatServer, open_client: Open
) -> None:
    server.joined("ann")
    ann = open_client(server, "ann")
    ann.see("Another nick:")
    ann.type("\x1bOP")
    ann.see("Help · 1-")
    ann.type("q")
    ann.see("Another nick:", not_="Help · 1-")
    ann.type("jqkn\r")
    ann.see("jqkn ●")


def test_a_table_on_a_narrow_screen_gives_its_first_column_a_line(
    server: ChatServer, open_client: Open
) -> None:
    server.joined(LONG)
    ann = open_client(server, "ann", columns=44, lines=24)
    ann.see("2 here")
    ann.type("/help\r")
    ann.see("│/msg NICK [TEXT]  ", "│    write to one person, in private")
    ann.type("q/users\r")
    ann.see(f"│{LONG}  ", "│    online for ")
    ann.type("q/help ban\r")
    ann.see(
        "│TIME as in 30m, 2h, 7d; without it for    │",
        "│    good. NICK may be an IP address.      │",
        "│    /unban ends it.                       │",
    )


def test_a_long_nick_leaves_room_for_the_countdown(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, LONG, columns=44, lines=14)
    ann.see("1 here")
    server.stop()
    assert "… ○ again in " in ann.see("again in")


def test_what_was_found_goes_on_to_older_ones(make_server: Make, open_client: Open) -> None:
    server = make_server("--rate", "0").start()
    bob = server.joined("bob")
    for number in range(120):
        bob.send(purpose="message", ref=f"r{number}", text=f"needle {number:03} of many")
    bob.quiet()
    ann = open_client(server, "ann", columns=100)
    ann.see("needle 119")
    ann.type("/search needle\r")
    ann.see("Found for needle", "needle 119", "of 51")
    ann.type("\x1b[F")
    ann.see("needle 070", "… older ones")
    ann.type("\r")
    ann.see("bob: needle 069", not_="needle 070")
    ann.type("\x1b[F\r")
    ann.see("bob: needle 019", not_="needle 020")
    ann.type("\x1b[F")
    ann.see("bob: needle 000", not_="older ones")
    line = open_client(server, "cyd", "--plain", columns=100)
    line.see("Connected as cyd")
    line.type("/search needle\r")
    line.see("There are older ones: before:DAY", "bob: needle 119")


def test_enter_answers_a_question_over_what_was_found(
    server: ChatServer, open_client: Open, demo_users: str
) -> None:
    server.joined("ann").say("the needle is here")
    bob = open_client(server, "Bob", columns=100)
    bob.see("needle")
    bob.type("/search needle\r")
    bob.see("Found for needle", "Enter opens")
    server.stop()
    (server.data / "users.json").write_text(demo_users)
    server.start()
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Bob ●", "Found for needle", not_="Password")
    bob.type("\r")
    bob.see("▶", not_="Enter opens")


def test_a_search_on_a_narrow_screen_shows_what_was_found(
    server: ChatServer, open_client: Open
) -> None:
    server.joined("bob").say("the needle is here")
    ann = open_client(server, "ann", columns=44, lines=14)
    ann.see("needle")
    ann.type("/search needle\r")
    ann.see("#lobby bob: the needle is here")


def test_a_time_that_is_none_bans_nobody(moderated_server: ChatServer, open_client: Open) -> None:
    server = moderated_server
    troll = server.joined("troll")
    bob = open_client(server, "Bob", columns=120)
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Bob ●")
    bob.type("/ban troll 2hours spam\r")
    bob.see("2hours is no time: 30s, 10m, 2h, 7d are. It is typed: /ban")
    troll.say("still here")
    bob.see("still here")
    bob.type("/ban troll 2d spam\r")
    bob.see("troll is kept out for 2 d.")


def test_what_cannot_be_done_is_said_without_how_it_is_typed(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=100)
    ann.see("ann ●")
    ann.type("/put /no/such/file\r")
    ann.type("/cancel\r")
    ann.see("There is no file /no/such/file.", "No file is on its way.", not_="It is typed")


def test_of_a_long_message_on_a_low_screen_one_sees_who_said_it(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=44, lines=14)
    ann.see("1 here")
    server.joined("bob").say("word " * 300)
    ann.see("bob │ word", "more lines: Alt+Z shows all")


def test_alt_and_a_key_go_elsewhere_from_a_list_and_leave_nothing_in_the_input(
    server: ChatServer, open_client: Open
) -> None:
    server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type("/msg bob\r")
    ann.see("@bob ›")
    for opened, mark in (("/help\r", "Help ·"), ("/users\r", "People ·"), ("\x0b", "Go to:")):
        for keys, where in (("\x1b1", "#lobby ›"), ("\x1b-", "@bob ›"), ("\x1b[1;3A", "#lobby ›"),
                            ("\x1b[1;3B", "@bob ›")):  # fmt: skip
            ann.type(opened)
            ann.see(mark)
            ann.type(keys)
            ann.see(where, not_=mark)
            assert ann.line(where).strip() == where, ann.text
    ann.type("/")
    ann.see("/msg NICK")
    ann.type("\x1b1")
    ann.see("#lobby ›", not_="/msg NICK")
    assert ann.line("#lobby ›").strip() == "#lobby ›"
    ann.type("\x1b2")
    ann.see("@bob › /")


def test_alt_and_a_digit_under_a_question_leave_the_question(
    accounts_server: ChatServer, open_client: Open
) -> None:
    alice = open_client(accounts_server, "alice")
    alice.see("Password for alice:")
    alice.type("12")
    alice.see("**")
    alice.type("\x1b1")
    alice.type("3\r")
    alice.see("Alice ●")
    assert alice.line("#lobby ›").strip() == "#lobby ›"
