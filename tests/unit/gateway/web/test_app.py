"""Sign-in, roles, forms and the front server's question; the programs beside the application are not there."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.access import accounts, actions
from bpci_node.access.accounts import Accounts
from bpci_node.access.roles import Role
from bpci_node.access.throttle import FREE
from bpci_node.errors import StorageError
from bpci_node.gateway.web.app import WebFace, web_app
from bpci_node.gateway.web.desk import ACTIONS_BURST, Desk
from bpci_node.gateway.web.pages import Pages
from bpci_node.gateway.web.sources import Sources
from bpci_node.setup.password import hash_password

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
FROM_HERE = {"Origin": "https://box", "X-Real-IP": "192.0.2.1"}
PEOPLE = {"ada": Role.OWNER, "bob": Role.OPERATOR, "eve": Role.VIEWER}


class Client:
    """A browser without a network: one request after the other, on one event loop."""

    def __init__(self, app: Any, runner: asyncio.Runner) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://box")
        self._runner = runner
        self.cookies = self._client.cookies

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.get(path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.post(path, **options))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    def make(found: Accounts) -> Accounts:
        for name, role in PEOPLE.items():
            found = found.with_new(name, role, HASH, now_ms=1)
        return found

    accounts.change(tmp_path, make)
    return Desk(tmp_path)


@pytest.fixture
def client(desk: Desk, tmp_path: Path) -> Iterator[Client]:
    nowhere = Sources(tmp_path / "none.sock", tls=tmp_path, textfiles=tmp_path, alerts="http://127.0.0.1:1")
    face = WebFace(desk, Pages("attic"), nowhere)
    with asyncio.Runner() as runner:
        yield Client(web_app(face), runner)
        runner.run(nowhere.close())


def sign_in(client: Client, name: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    client.cookies.clear()
    return client.post("/sign-in", data={"name": name, "password": password}, headers=FROM_HERE | headers)


def send(client: Client, path: str, **fields: str) -> httpx.Response:
    found = re.search(r'form_token" value="([0-9a-f]{64})"', client.get("/password").text)
    assert found
    return client.post(path, data={"form_token": found[1]} | fields, headers=FROM_HERE)


def results(desk: Desk) -> list[tuple[str, str, str]]:
    rows = [record.action for record in reversed(desk.log.newest(100))]
    return [(item.who, item.what, item.result) for item in rows]


def test_nobody_sees_anything_before_signing_in(client: Client) -> None:
    for path in ("/", "/log", "/accounts", "/password"):
        reply = client.get(path)
        assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in")
    assert client.get("/_auth/look").status_code == 401
    assert client.post("/actions/seal", data={}, headers=FROM_HERE).status_code == 401


def test_the_cookie_is_for_this_machine_and_for_no_script(client: Client) -> None:
    cookie = sign_in(client, "ada").headers["set-cookie"].lower()
    assert cookie.startswith("__host-bpci=")
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= set(cookie.replace(" ", "").split(";"))
    assert "domain" not in cookie


def test_a_wrong_name_and_a_wrong_password_look_the_same(client: Client, desk: Desk) -> None:
    wrong = [sign_in(client, "ada", "wrong"), sign_in(client, "nobody", PASSWORD)]
    assert [reply.status_code for reply in wrong] == [401, 401]
    assert wrong[0].text == wrong[1].text
    assert results(desk) == [("ada", "sign_in", "access.sign_in"), ("?", "sign_in", "access.sign_in")]


def test_a_password_in_the_field_of_the_name_is_kept_nowhere(
    client: Client, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(FREE + 1):
        sign_in(client, PASSWORD, "")
    assert results(desk)[-1] == ("?", "sign_in", "limit.sign_in")
    assert 'sign-in refused from 192.0.2.1: limit.sign_in "?"' in caplog.messages
    for word in PASSWORD.split():
        assert word not in "".join(path.read_text() for path in actions.files_of(desk.directory))
        assert word not in caplog.text


def test_signing_in_anew_ends_the_session_before(client: Client) -> None:
    sign_in(client, "ada")
    before = client.cookies["__Host-bpci"]
    again = {"name": "ada", "password": PASSWORD}
    assert client.post("/sign-in", data=again, headers=FROM_HERE).status_code == 303
    assert client.get("/_auth/look").status_code == 403, "signed in, and no method that is a look was named"
    client.cookies.clear()
    assert client.get("/_auth/look", headers={"Cookie": f"__Host-bpci={before}"}).status_code == 401


def test_another_site_can_not_sign_anybody_in(client: Client) -> None:
    for origin in ("https://evil.example", "null", "http://box", ""):
        reply = sign_in(client, "ada", Origin=origin)
        assert reply.status_code == 403
        assert "access.origin" in reply.text
        assert "set-cookie" not in reply.headers


def test_guessing_is_slowed_down_per_address(client: Client) -> None:
    codes = [sign_in(client, f"n{number}", "wrong").status_code for number in range(FREE + 1)]
    assert codes == [401] * FREE + [429]
    reply = sign_in(client, "ada")
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) >= 1
    assert sign_in(client, "ada", **{"X-Real-IP": "192.0.2.2"}).status_code == 303


def test_pages_carry_the_headers_that_keep_them_safe(client: Client) -> None:
    sign_in(client, "ada")
    for path in ("/", "/log", "/accounts", "/password", "/sign-in", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script" not in headers["content-security-policy"]
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_the_dashboard_says_what_is_not_there(client: Client) -> None:
    sign_in(client, "eve")
    text = client.get("/").text
    assert "the node is not there" in text
    assert "Alertmanager is not there" in text
    assert "eve, viewer" in text


def test_a_path_that_nothing_is_at_leads_nowhere_else(client: Client) -> None:
    sign_in(client, "ada")
    for path in ("/nothing", "/log/", "/accounts/", "/_auth", "/actions/seal"):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("ada", {"/", "/log", "/accounts", "/password"}),
        ("bob", {"/", "/log", "/password"}),
        ("eve", {"/", "/password"}),
    ],
)
def test_each_role_sees_its_pages(client: Client, name: str, allowed: set[str]) -> None:
    sign_in(client, name)
    for path in ("/", "/log", "/accounts", "/password"):
        assert client.get(path).status_code == (200 if path in allowed else 403), path


def test_a_viewer_changes_nothing_and_that_is_recorded(client: Client, desk: Desk) -> None:
    sign_in(client, "eve")
    for path, fields in (
        ("/actions/seal", {"about": "eip155:1"}),
        ("/accounts/role", {"name": "eve", "role": "owner"}),
        ("/accounts/add", {"name": "mal", "role": "owner", "password": PASSWORD}),
    ):
        assert send(client, path, **fields).status_code == 403
    assert set(desk.accounts().by_name) == set(PEOPLE)
    assert [item[1:] for item in results(desk)[1:]] == [
        ("seal", "access.role"),
        ("account.role", "access.role"),
        ("account.add", "access.role"),
    ]


def test_an_action_that_fails_is_told_and_recorded(client: Client, desk: Desk) -> None:
    sign_in(client, "bob")
    assert send(client, "/actions/seal", about="eip155:1").status_code == 303
    assert "the node is not there" in client.get("/").text
    assert results(desk)[-2:] == [("bob", "seal", "begun"), ("bob", "seal", "unreachable.node")]
    send(client, "/actions/seal", about="../../etc")
    assert results(desk)[-1] == ("bob", "seal", "usage.target")
    assert send(client, "/actions/format").status_code == 404


def test_a_form_without_its_token_or_from_elsewhere_does_nothing(client: Client, desk: Desk) -> None:
    sign_in(client, "ada")
    before = results(desk)
    fields = {"name": "bob"}
    assert client.post("/accounts/remove", data=fields, headers=FROM_HERE).status_code == 403
    assert client.post("/accounts/remove", data=fields | {"form_token": "0" * 64}, headers=FROM_HERE).status_code == 403
    found = re.search(r'form_token" value="([0-9a-f]{64})"', client.get("/password").text)
    assert found
    genuine = fields | {"form_token": found[1]}
    assert client.post("/accounts/remove", data=genuine, headers={"Origin": "https://evil"}).status_code == 403
    assert client.post("/accounts/remove", data=genuine).status_code == 403
    assert client.post("/accounts/remove", json=genuine, headers=FROM_HERE).status_code == 415
    assert client.post("/accounts/remove", data=genuine | {"x": "y" * 5000}, headers=FROM_HERE).status_code == 413
    assert "bob" in desk.accounts().by_name
    assert results(desk) == before


def test_an_owner_manages_accounts(client: Client, desk: Desk) -> None:
    sign_in(client, "ada")
    send(client, "/accounts/add", name="joe", role="viewer", password="four random words here")
    send(client, "/accounts/role", name="joe", role="operator")
    assert desk.accounts().find("joe").role is Role.OPERATOR
    send(client, "/accounts/add", name="kim", role="viewer", password="short")
    assert "usage.password" in str(results(desk)[-1])
    send(client, "/accounts/remove", name="joe")
    send(client, "/accounts/remove", name="ada")
    assert results(desk)[-1] == ("ada", "account.remove", "access.last_owner")
    assert set(desk.accounts().by_name) == set(PEOPLE)
    assert PASSWORD not in "".join(path.read_text() for path in actions.files_of(desk.directory))


def test_a_new_password_ends_other_sessions(client: Client, desk: Desk) -> None:
    other = desk.sessions.begin(desk.accounts().find("eve"), now=time.monotonic())
    sign_in(client, "eve")
    new = "another horse entirely"
    assert send(client, "/password", old="wrong", new=new, again=new).headers["location"] == "/password"
    assert results(desk)[-1] == ("eve", "password", "access.sign_in")
    assert send(client, "/password", old=PASSWORD, new=new, again=new).headers["location"] == "/"
    reply = client.get("/")
    assert reply.status_code == 200
    assert "Your password was changed" in reply.text
    client.cookies.clear()
    assert client.get("/_auth/look", headers={"Cookie": f"__Host-bpci={other}"}).status_code == 401
    assert sign_in(client, "eve").status_code == 401
    assert sign_in(client, "eve", new).status_code == 303


def test_signing_out_ends_the_session(client: Client) -> None:
    sign_in(client, "ada")
    token = client.cookies["__Host-bpci"]
    assert send(client, "/sign-out").status_code == 303
    client.cookies.clear()
    assert client.get("/_auth/look", headers={"Cookie": f"__Host-bpci={token}"}).status_code == 401


def test_who_may_only_look_can_not_write_the_log_full(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk._actions, "_per_second", 1e-6)  # however slow this machine is
    sign_in(client, "eve")
    found = [send(client, "/actions/drain").status_code for _ in range(ACTIONS_BURST + 2)]
    assert found == [403] * ACTIONS_BURST + [429] * 2
    assert len(results(desk)) == 1 + ACTIONS_BURST
    sign_in(client, "bob")
    assert send(client, "/actions/drain").status_code == 303, "others are not held up"


def test_on_a_full_disk_what_was_done_is_told_and_people_get_out(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log takes the beginning of an action, and nothing more."""
    sign_in(client, "ada")
    append, taken = desk.log.append, []

    def full(action: actions.Action, *, now_ms: int) -> actions.Record:
        taken.append(action.result)
        if len(taken) > 1:
            raise StorageError("cannot write the log of actions: No space left on device", code="storage.write")
        return append(action, now_ms=now_ms)

    monkeypatch.setattr(desk.log, "append", full)
    reply = send(client, "/accounts/remove", name="bob")
    assert (reply.status_code, taken) == (507, ["begun", "done"])
    assert "Account bob: done." in client.get("/accounts").text
    assert send(client, "/accounts/remove", name="eve").status_code == 507
    assert set(desk.accounts().by_name) == {"ada", "eve"}, "what can't be recorded is not done"
    reply = send(client, "/sign-out")
    assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in")
    assert "max-age=0" in reply.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("name", "method", "right", "more", "status"),
    [
        ("eve", "GET", "look", {}, 204),
        ("eve", "POST", "look", FROM_HERE, 403),
        ("eve", "GET", "look", {"X-Original-Upgrade": "websocket", "Origin": "https://evil"}, 403),
        ("eve", "GET", "look", {"X-Original-Upgrade": "websocket", "Origin": "https://box"}, 204),
        ("eve", "GET", "console", {}, 403),
        ("eve", "GET", "console", {"X-Original-URI": "/prometheus/../%63onsole/"}, 403),
        ("bob", "GET", "console", {}, 204),
        ("bob", "POST", "console", {}, 403),
        ("bob", "POST", "look", {}, 403),
        ("bob", "POST", "look", FROM_HERE, 204),
        ("bob", "DELETE", "look", {"Origin": "null"}, 403),
        ("bob", "", "look", {}, 403),
    ],
    ids=str,
)
def test_the_front_server_is_told_who_may_pass(  # noqa: PLR0917 - a row of the table
    client: Client, name: str, method: str, right: str, more: dict[str, str], status: int
) -> None:
    sign_in(client, name)
    reply = client.get(f"/_auth/{right}", headers={"X-Original-Method": method} | more)
    assert reply.status_code == status
    if status == 204:
        assert (reply.headers["x-bpci-user"], reply.headers["x-bpci-role"]) == (name, PEOPLE[name].value)


def test_a_log_that_was_changed_is_shown_as_such_and_nothing_more_is_done(client: Client, desk: Desk) -> None:
    sign_in(client, "ada")
    path = desk.directory / actions.FILE
    path.write_bytes(path.read_bytes().replace(b'"ada"', b'"eve"'))
    assert client.get("/log").status_code == 422
    reply = send(client, "/accounts/remove", name="bob")
    assert reply.status_code == 422
    assert "bob" in desk.accounts().by_name
    assert sign_in(client, "ada").status_code == 303, "who comes to mend it gets in"


def test_the_process_is_idle_only_when_nobody_needs_it(client: Client, desk: Desk) -> None:
    assert desk.is_idle(seconds=-1)
    sign_in(client, "ada")
    assert not desk.is_idle(seconds=-1)
    send(client, "/sign-out")
    assert desk.is_idle(seconds=-1)
    assert not desk.is_idle(seconds=60)
