"""Who may do what: tokens, rates, deletions, quotas."""

import json
from datetime import timedelta

import pytest

from quantum.clock import SystemClock
from quantum.testing.clock import ManualClock
from services.__main__ import main
from services.sync.access.limits import DeletionGuard, NeedsConfirmation, Rates, TooFast
from services.sync.access.patterns import compile_patterns
from services.sync.access.tokens import Claims, TokenRefused, make_token, read_token

KEY = "k" * 40


def bearer(**claims):
    return {"authorization": "Bearer " + make_token(KEY, Claims(**claims))}


async def put(share, path, data=b"x", **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("docs", ["docs", "docs/a/b"], ["docs2", "a/docs"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "x"]),
        ("*.txt", ["a.txt"], ["d/a.txt", "atxt"]),
        ("**/*.txt", ["a.txt", "d/e/a.txt"], ["a.md"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("x[1]+(y)", ["x[1]+(y)"], ["x1y"]),
        ("ünï/*", ["ünï/x"], ["uni/x"]),
    ],
)
def test_patterns(pattern, yes, no):
    matches = compile_patterns([pattern])
    assert all(matches(path) for path in yes)
    assert not any(matches(path) for path in no)


def test_a_token_that_is_not_whole_or_not_ours_or_too_old_is_refused():
    now = SystemClock().now()
    good = make_token(KEY, Claims(share="s", write=True, expires=now + timedelta(hours=1), id="i"))
    assert read_token(KEY, good, "s", now).may_write
    refused = [
        (KEY, good, "other", now, ()), (KEY, good, "s", now + timedelta(hours=2), ()),
        (KEY, good, "s", now, ("i",)), ("x" * 40, good, "s", now, ()), (KEY, good[:-2], "s", now, ()),
        (KEY, "qs1." + good, "s", now, ()), (KEY, "", "s", now, ()), (KEY, "qs1.é.x", "s", now, ()),
    ]  # fmt: skip
    for arguments in refused:
        with pytest.raises(TokenRefused):
            read_token(*arguments)


async def test_without_a_token_nothing_is_shown_and_with_one_what_it_allows(deploy):
    async with deploy(token_key=KEY) as share:
        assert (await share.ask("GET", "/api/list")).status == 401
        assert (await share.ask("GET", "/api/list", authorization="Bearer nonsense")).status == 401
        all_of_it = bearer(write=True)
        for path in ("docs/a", "secret/b"):
            assert (await put(share, path, **all_of_it)).status == 201
        reader = bearer(paths=["docs"])
        listed = json.loads((await share.ask("GET", "/api/list", **reader)).body)
        assert [entry["path"] for entry in listed] == ["docs", "docs/a"]
        assert (await share.ask("GET", "/api/files/secret/b", **reader)).status == 403
        assert (await share.ask("GET", "/api/history/secret/b", **reader)).status == 403
        assert (await put(share, "docs/c", **reader)).status == 403
        writer = bearer(paths=["docs"], write=True)
        assert (await put(share, "docs/c", **writer)).status == 201
        assert (await put(share, "secret/c", **writer)).status == 403
        move = b'{"from": "docs/c", "to": "secret/c"}'
        assert (await share.ask("POST", "/api/move", move, **writer)).status == 403
        chunk = json.loads((await share.ask("GET", "/api/list", **all_of_it)).body)[-1]["hash"]
        assert (await share.ask("GET", f"/api/chunks/{chunk}", **writer)).status == 403
        assert (await share.ask("POST", "/api/restore", b'{"seq": 1}', **writer)).status == 403


async def test_reading_may_be_open_while_writing_needs_a_token(deploy):
    async with deploy(token_key=KEY, require_token="write") as share:
        assert (await share.ask("GET", "/api/list")).status == 200
        assert (await put(share, "a")).status == 401
        assert (await put(share, "a", **bearer(write=True))).status == 201


async def test_a_subscriber_shows_its_token_and_hears_of_its_paths_alone(deploy):
    async with deploy(token_key=KEY) as share:
        stranger = await share.connect()
        stranger.send({"type": "Subscribe", "client_id": "x"})
        assert (await stranger.receive())["type"] == "Error"
        token = make_token(KEY, Claims(paths=["docs"]))
        client = await share.connect()
        client.send({"type": "Subscribe", "client_id": "x", "protocol": 2, "token": token})
        assert (await client.receive())["type"] == "Ack"
        plain = await share.connect(authorization=f"Bearer {token}")
        await plain.subscribe()
        writer = bearer(write=True, client="robot")
        await put(share, "secret", **writer)
        await put(share, "docs/a", x_client_id="claimed", **writer)
        for hearer in (client, plain):
            message = await hearer.receive()
            assert message["operation"]["Create"]["metadata"]["path"] == "docs"
            assert message["source_client"] == "robot"
        operation = {"Delete": {"path": "docs/a"}}
        await client.receive()
        client.send({"type": "FileOperation", "operation": operation, "source_client": "x"})
        assert (await client.receive())["code"] == "forbidden"
        assert not stranger.stream.outgoing


async def test_a_weak_key_is_no_configuration(deploy):
    with pytest.raises(Exception, match="at least 32"):
        async with deploy(token_key="short"):
            pass


async def test_a_key_may_be_in_a_file(deploy, tmp_path):
    (tmp_path / "key").write_text(KEY + "\n")
    async with deploy(token_key_file=str(tmp_path / "key")) as share:
        assert (await share.ask("GET", "/api/list")).status == 401
        assert (await share.ask("GET", "/api/list", **bearer())).status == 200
    for wrong in ({"token_key_file": "/nowhere"}, {"token_key_file": "x", "token_key": KEY}):
        with pytest.raises(Exception, match="token_key"):
            async with deploy(**wrong):
                pass


async def test_who_asks_too_fast_waits(deploy):
    async with deploy(max_rate=5) as share:
        answers = [await share.ask("GET", "/api/status") for _ in range(15)]
        assert [a.status for a in answers[:10]] == [200] * 10
        assert answers[-1].status == 429
        assert int(answers[-1].headers.get(b"retry-after")) >= 1
        client = await share.connect()
        client.send({"type": "Ping"})
        assert (await client.receive())["type"] == "Error"


async def test_an_allowance_comes_back_with_time():
    clock = ManualClock()
    rates = Rates(10, clock)
    for _ in range(20):
        rates.take("a")
    with pytest.raises(TooFast) as info:
        rates.take("a")
    rates.take("b")
    await clock.advance(info.value.retry_after)
    rates.take("a")


async def test_deleting_most_of_a_share_wants_a_confirmation(deploy):
    async with deploy(max_delete_files=30) as share:
        for number in range(40):
            await put(share, f"d/{number}")
        answer = await share.ask("DELETE", "/api/dirs/d?recursive=true", x_client_id="me")
        said = json.loads(answer.body)
        assert (answer.status, said["code"], said["affected"]) == (428, "confirm", 40)
        assert (share.root / "d/39").exists()
        wrong = await share.ask(
            "DELETE", "/api/dirs/d?recursive=true", x_client_id="me", sync_confirm="x"
        )
        assert wrong.status == 428
        confirmed = {"x_client_id": "me", "sync_confirm": said["confirm"]}
        assert (await share.ask("DELETE", "/api/dirs/d?recursive=true", **confirmed)).status == 204


async def test_deleting_file_by_file_is_one_batch_for_a_minute():
    clock = ManualClock()
    guard = DeletionGuard(30, 0, clock)
    for number in range(30):
        guard.check("a", "log", f"f{number}", 1, 100, None)
        guard.check("a", "log", f"f{number}", 1, 100, None)  # decided again: somebody was faster
    guard.check("b", "log", "x", 1, 100, None)
    with pytest.raises(NeedsConfirmation) as info:
        guard.check("a", "log", "x", 1, 100, None)
    guard.check("a", "log", "x", 1, 100, info.value.confirm)
    await clock.advance(61)
    guard.check("a", "log", "y", 1, 100, None)


async def test_a_share_holds_no_more_than_its_quota(deploy):
    async with deploy(quota=10) as share:
        assert (await put(share, "a", b"12345678")).status == 201
        assert (await put(share, "b", b"123")).status == 507
        assert (await put(share, "a", b"1234567890")).status == 200
        assert not (share.root / "b").exists()


def test_the_command_line_makes_tokens_that_the_server_believes(tmp_path, capsys):
    (tmp_path / "key").write_text(KEY + "\n")
    command = [
        "sync",
        "token",
        "--key-file",
        str(tmp_path / "key"),
        "--path",
        "docs",
        "--expires",
        "1h",
    ]
    assert main(command) == 0
    principal = read_token(KEY, capsys.readouterr().out.strip(), "any", SystemClock().now())
    assert principal.sees("docs/a")
    assert not principal.sees("other")
    assert not principal.may_change("docs/a")
    (tmp_path / "key").write_text("short")
    assert main(command) == 1
    assert "shorter" in capsys.readouterr().err
