"""What is asked of the machine: read strictly, whatever somebody sends, and carried out by commands of ours alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.cli.main import cli
from bpci_node.errors import BpciError
from bpci_node.setup.acts.commands import command_of
from bpci_node.setup.acts.request import ACTS, LANES, MAX_LINES, MAX_REQUEST, NETWORK, Request, parse

VALUES = {
    "logs": {"unit": "bpci-node", "lines": 5},
    "try": dict.fromkeys(NETWORK, "") | {"mode": "dhcp"},
    "keyboard": {"layout": "de"},
    "timezone": {"zone": "UTC"},
}


def line(act: Any = "repair", **changes: Any) -> bytes:
    whole = {"v": 1, "act": act, "password": "", "values": VALUES.get(str(act), {})} | changes
    return json.dumps(whole).encode() + b"\n"


@pytest.mark.parametrize("act", ACTS)
def test_every_act_is_read_and_written_alike(act: str) -> None:
    found = parse(line(act, password="four random words"))
    assert found.act == act
    assert parse(found.encode()) == found
    assert parse(found.encode(with_password=False)).password == ""
    assert "four" not in repr(found), "a request that is written into a log says no password"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"null\n",
        b"[]\n",
        b"\xff\xfe\n",
        b"[" * 5000,
        line(v=2),
        line("reset"),
        line(act=["repair"]),
        line(extra=1),
        line(password=None),
        line(password="x" * 257),
        line(password="\ud800"),
        line(values={"unit": ""}),
        line(values=[]),
        line("logs", values={"unit": "--since=now", "lines": 5}),
        line("logs", values={"unit": "a b", "lines": 5}),
        line("logs", values={"unit": "a\nb", "lines": 5}),
        line("logs", values={"unit": "", "lines": 0}),
        line("logs", values={"unit": "", "lines": MAX_LINES + 1}),
        line("logs", values={"unit": "", "lines": True}),
        line("logs", values={"unit": "", "lines": "5"}),
        line("keyboard", values={"layout": "de\x00"}),
        line("keyboard", values={"layout": "d\u202ee"}),
        line("keyboard", values={"layout": "d" * 301}),
        line("try", values=VALUES["try"] | {"mode": "set"}),
        line("try", values={"mode": "dhcp"}),
        b'{"v":1,"v":1,"act":"state","password":"","values":{}}',
        b" " * MAX_REQUEST + line(),
    ],
    ids=range(29),
)
def test_what_is_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(BpciError) as caught:
        parse(data)
    assert caught.value.code in ("format.act", "format.json", "format.size")


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read = parse(data).act
    except BpciError as error:
        read = error.code
    assert read in {*ACTS, "format.act", "format.json", "format.size"}


TYPED = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"]), max_size=60)


@given(
    act=st.sampled_from(["try", "keyboard", "timezone"]), mode=st.sampled_from(["dhcp", "static", "wifi"]), text=TYPED
)
def test_nothing_that_was_typed_becomes_an_option_or_a_secret_argument(act: str, mode: str, text: str) -> None:
    for typed in (text, f"--{text}", f"-{text}"):
        values = dict.fromkeys(ACTS[act].values, typed) | ({"mode": mode} if act == "try" else {})
        if act == "try":
            values["passphrase"] = f"secret {typed}"
        arguments, given_to_it = command_of(Request(act, values))
        command: Any = cli
        context = command.make_context("bpci", list(arguments), resilient_parsing=True)
        while hasattr(command, "get_command"):
            rest = [*context._protected_args, *context.args]
            command = command.get_command(context, rest[0])
            context = command.make_context(rest[0], rest[1:], parent=context, resilient_parsing=True)
        assert context.args == [], arguments
        if act != "try":
            assert list(context.params.values()) == [typed]
            continue
        assert (context.params["seconds"], context.params["no_wait"]) == (120, True)
        assert not any("secret" in item for item in arguments)
        if mode == "static":
            assert (context.params["address"], context.params["wifi"]) == (typed, "")
        if mode == "wifi":
            assert context.params["wifi"] == typed
            assert given_to_it == f"secret {typed}\n".encode()


def test_every_act_that_changes_something_takes_the_password() -> None:
    free = {name for name, act in ACTS.items() if not act.needs_password}
    assert free == {"state", "logs", "bundle", "look", "plan"}


def test_the_commands_are_there() -> None:
    for name, act in ACTS.items():
        if act.lane:
            values = {item: "dhcp" if item == "mode" else "x" for item in act.values}
            command: Any = cli
            for word in command_of(Request(name, values))[0]:
                if word.startswith("-") or not hasattr(command, "get_command"):
                    break
                command = command.get_command(None, word)
                assert command is not None, name
    assert LANES == ("look", "network", "places", "plan", "power", "repair", "support")
