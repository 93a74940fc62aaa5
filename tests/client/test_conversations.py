"""Rooms and private conversations: come into, gone about in, left; and who is there."""

import signal

from tests.client.conftest import Open
from tests.conftest import ChatServer
from tests.server.test_rooms import ask


def test_a_room_is_made_entered_talked_in_and_left(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab", "1 here")
    ask(bob, "enter", room="#lab")
    ann.see("bob joined", "2 here")
    ann.type("/topic what we found\r")
    ann.see("#lab · what we found", "ann says what #lab is about: what we found")
    ann.type("hello lab\r")
    ann.see("✓ hello lab")
    assert bob.until("message")["to"] == "#lab"
    bob.say("and hello ann", "#lab")
    ann.see("bob │ and hello ann")
    ann.type("\x1b1")
    ann.see("#lobby ›")
    bob.say("ann: look here", "#lab")
    ann.see("2 #lab           1")
    ann.type("\x1ba")
    ann.see("#lab ›", "─ new ─")
    ann.type("/who\r")
    ann.see("In #lab", "bob  online", "2 in all")
    ann.type("\x1b/rooms\r")
    ann.see(
        "#lab       2 here  what we found (you are in it)", "#lobby     2 here  (you are in it)"
    )
    ann.type("\x1b")
    ann.see("#lab ›", not_="Esc closes")
    ann.type("/leave\r")
    ann.see("#lobby ›", not_="2 #lab")
    assert bob.until("left", room="#lab")["nick"] == "ann"


def test_what_is_typed_behind_a_join_goes_to_the_room(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ask(bob, "enter", room="#lab")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ann.type("/join lab\rfor the lab alone\r")
    ann.see("#lab ›", "✓ for the lab alone")
    assert bob.until("message")["to"] == "#lab"


def test_a_command_means_where_it_was_typed(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ask(bob, "enter", room="#den")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab")
    ann.type("/topic what we found\r/leave\r/join den\rhere I am\r")
    ann.see("#den ›", "2 #den", "✓ here I am", not_="#lab")
    assert "there is no room" not in ann.text


def test_a_message_on_its_way_is_not_taken_for_the_one_before(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("the first\r")
    ann.see("✓ the first")
    ann.type("the second\r/edit the other\r/redact\r")
    ann.see("✓ the second", "still on its way", "✓ the first", not_="(edited)")
    ann.type("/edit the other\r")
    ann.see("✓ the other (edited)", "✓ the first")


def test_a_room_that_one_may_not_enter_is_none_to_be_in(
    server: ChatServer, open_client: Open
) -> None:
    bob, cyd = server.joined("bob"), server.joined("cyd")
    ask(bob, "enter", room="#board", private=True)
    ann = open_client(server, "ann", columns=120)
    ann.see("3 here")
    ann.type("/join board\r/join board\r")
    ann.wait(lambda: ann.text.count("#board is private") == 2)
    ann.see("#lobby ›", "#board is private", not_="2 #board")
    ann.type("said after all\r")
    ann.see("✓ said after all", not_="there is no room")
    ann.type("/join board\rwhat was meant for few\r")
    ann.see("#board ›", "what was meant for few", "#board is private")
    ann.type("/leave\r")
    ann.see("#lobby ›", not_="2 #board")
    bob.say("all that anybody heard")
    assert cyd.until("message")["text"] == "said after all"
    assert cyd.until("message")["text"] == "all that anybody heard"


def test_what_is_being_typed_to_a_room_that_one_may_not_enter_stays_there(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ask(bob, "enter", room="#board", private=True)
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ann.type("/join board\rfor few")
    ann.see("#board › for few", "#board is private", "2 #board")


def test_a_join_that_was_not_answered_is_none(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    server.signal(signal.SIGSTOP)
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab")
    server.kill()
    ann.see("#lobby ›", "/join: the connection broke", not_="2 #lab")


def test_one_comes_back_to_no_conversation_that_is_gone(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ask(bob, "enter", room="#board", private=True)
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab")
    ann.type("/leave\r")
    ann.see("#lobby ›", not_="2 #lab")
    ann.type("\x1b-")
    ann.type("still here\r")
    ann.see("#lobby ›", "✓ still here")
    ann.type("/msg bob hello\r")
    ann.see("@bob ›", "✓ hello")
    ann.type("/join board\r/leave @bob\r")
    ann.see("#lobby ›", "#board is private", not_="@bob")


def test_what_is_typed_behind_a_leave_is_not_lost(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab", "1 here")
    ann.type("\x1b1")
    ann.see("#lobby ›")
    ann.type("begun, ")
    ann.see("#lobby › begun,")
    ann.type("\x1b2")
    ann.see("#lab ›", not_="begun,")
    server.signal(signal.SIGSTOP)
    ann.type("/leave\rhalf a thought")
    ann.see("#lab › half a thought")
    server.signal(signal.SIGCONT)
    ann.see("#lobby › begun,", "half a thought", not_="2 #lab")
    ann.type(" more\r")
    ann.see("✓ begun,", "half a thought more")
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab", "1 here")
    server.signal(signal.SIGSTOP)
    ann.type("/leave\rtoo late\r")
    ann.see("#lab ›", "… too late")
    server.signal(signal.SIGCONT)
    ann.see("#lab ›", "too late", "not sent: ")
    ann.type("/leave\r")
    ann.see("#lobby ›", "1 not sent", not_="2 #lab")
    ann.type("/join lab\r/retry\r")
    ann.see("#lab ›", "✓ too late", not_="not sent")


def test_a_private_conversation_is_closed_and_comes_again_whole(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    bob.say("psst", "@ann")
    ann.see("2 @bob")
    ann.type("/go @bob\r")
    ann.see("@bob ›", "psst")
    ann.type("/leave\r")
    ann.see("#lobby ›", not_="2 @bob")
    bob.say("still there?", "@ann")
    ann.see("2 @bob")
    ann.type("/go @bob\r")
    ann.see("@bob ›", "psst", "still there?")


def test_a_slip_in_a_name_opens_no_conversation_with_nobody(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/go lobbby\r")
    ann.see("I know of no lobbby. /go #lobby?")
    assert "between you" not in ann.text
    ann.type("/go @lobbby\r")
    ann.see("Nothing yet between you and lobbby.")
    ann.type("/go zoe\r")
    ann.see("Nothing yet between you and zoe.")


def test_what_the_lobby_is_about(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ask(bob, "topic", text="tea")
    ann = open_client(server, "ann", columns=80)  # too narrow for a heading
    ann.see("2 here", "#lobby is about tea.", not_="bob says")
    ann.type("/topic\rwhy tea?\r")
    ann.see("✓ why tea?")
    ann.wait(lambda: ann.text.count("#lobby is about tea.") == 2)
    ann.type("/topic coffee\r")
    ann.see("ann says what #lobby is about: coffee")
    assert bob.until("topic", nick="ann")["text"] == "coffee"


def test_a_room_that_one_enters_and_leaves_in_another_window(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ask(bob, "enter", room="#lab")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    other = open_client(server, "ann", columns=120, id_="2")
    other.see("2 here")
    other.type("/join lab\r")
    other.see("#lab ›")
    ann.see("2 #lab")
    bob.say("hello both", "#lab")
    ann.type("\x1b2")
    ann.see("#lab ›", "hello both")
    ann.type("half a thought")
    other.type("/leave\r")
    ann.see("You have left #lab from another window", "› half a thought")


def test_one_sees_that_one_is_away_and_what_of_a_room_is_for_others(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=60)  # too narrow to see who is here
    ann.see("ann ● 1 here", "Nothing has been said here yet.")
    ann.type("/away lunch\r")
    ann.see("ann ○ away · 1 here")
    ann.type("/back\r")
    ann.see("ann ● 1 here")
    bob = server.joined("bob")
    ask(bob, "enter", room="#den", private=True)
    bob.say("before ann", "#den")
    ask(bob, "invite", room="#den", nick="ann")
    ann.see("bob invites you to #den")
    ann.type("/join den\r")
    ann.see("#den ›", "There is nothing to read here yet.", not_="before ann")


def test_a_private_room_by_invitation(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ask(bob, "enter", room="#secret", private=True)
    ann.type("/join #secret\r")
    ann.see("#secret is private: somebody in it must invite you")
    ask(bob, "invite", room="#secret", nick="ann")
    ann.see("bob invites you to #secret: /join #secret")
    ann.type("/join #secret\r")
    ann.see("#secret ›")
    bob.say("psst", "#secret")
    ann.see("bob │ psst")


def test_rooms_are_there_again_at_the_next_start(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type("/join lab\r")
    ann.see("#lab ›")
    ann.type("note to self\r")
    ann.see("✓ note to self")
    ann.type("\x03")
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("2 #lab")
    ann.type("\x1b2")
    ann.see("#lab ›", "[History] note to self")


def test_a_room_can_be_named_at_the_start(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", "--room", "lab")
    ann.see("#lab ›", "2 #lab")
    bob = open_client(server, "bob", "--plain", "--room", "#lab", columns=100)
    bob.see("Now writing to #lab.")
    bob.type("here\r")
    ann.see("bob │ here")


def test_a_name_that_is_none_for_a_room_is_told_with_what_is_one(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/join Klasse 5a\r")
    ann.see("A room's name has letters a to z, digits")
    ann.type("\x15/join\r")
    ann.see("Which room?")
