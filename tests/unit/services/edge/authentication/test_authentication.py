"""Basic authentication: what the cases beside Caddy do not show."""

from __future__ import annotations

import asyncio
import base64
import threading

import pytest

from quantum.errors import ConfigError, HttpError
from quantum.http.placeholders.surroundings import use_environment
from quantum.testing.routing import compile_routes, make_request, parse_routes
from services.edge.authentication.comparing import MAX_WAITING, Comparisons
from services.edge.authentication.hashes import Argon2id, Bcrypt
from services.edge.authentication.modules import MODULES as AUTHENTICATION
from services.edge.modules import MODULES

WEAK = Bcrypt.make(b"secret", 4)


def handler(**config):
    return {"handler": "authentication", "providers": {"http_basic": config}}


def account(username="ann", password=WEAK):
    return {"username": username, "password": password}


def chain(**config):
    known = {"handler": "static_response", "body": "{http.auth.user.id}"}
    return compile_routes([*MODULES, *AUTHENTICATION], [{"handle": [handler(**config), known]}])


def asking(name, password):
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return make_request("GET", "/", ("Authorization", f"Basic {text}"))


class Counting:
    """A hash that counts what it is asked, and can be held back."""

    def __init__(self):
        self.asked = []
        self.may_go = threading.Event()
        self.may_go.set()

    def is_of(self, hashed, password):
        self.may_go.wait(20)
        self.asked.append((hashed, password))
        return password == b"secret"

    def fake(self, like):
        return "fake"


@pytest.fixture
async def comparisons():
    made = Comparisons()
    yield made
    await made.aclose()


async def test_a_known_user_goes_on_and_has_a_name():
    assert (await chain(accounts=[account()])(asking("ann", "secret"))).body == b"ann"


async def test_a_stranger_is_asked_who_it_is():
    request = asking("ann", "wrong")
    with pytest.raises(HttpError, match="401"):
        await chain(accounts=[account()], realm='the "house"')(request)
    assert request.response_fields.get(b"www-authenticate") == rb'Basic realm="the \"house\""'


@pytest.mark.parametrize("kind", [Bcrypt, Argon2id])
def test_a_fake_hash_costs_what_the_others_cost_and_is_nobodys(kind):
    real = Bcrypt.make(b"secret", 5) if kind is Bcrypt else Argon2id.make(b"secret", 2, 128)
    fake = kind().fake(real)
    place = slice(2, 3) if kind is Bcrypt else slice(3, 4)
    assert fake.split("$")[place] == real.split("$")[place]
    assert len(fake) >= len(real) - 1
    assert kind().is_of(fake, b"secret") is False
    assert kind().is_of(fake, b"") is False


async def test_an_unknown_name_is_compared_as_well(monkeypatch):
    asked = []
    compare = Bcrypt.is_of
    monkeypatch.setattr(Bcrypt, "is_of", lambda self, h, p: asked.append(h) or compare(self, h, p))
    link = chain(accounts=[account()])
    for name in ("ann", "nobody"):
        with pytest.raises(HttpError):
            await link(asking(name, "wrong"))
    assert asked[0] == WEAK
    assert asked[1].startswith("$2b$04$")
    assert asked[1] != WEAK


async def test_equal_credentials_are_compared_once_at_a_time(comparisons):
    algorithm = Counting()
    algorithm.may_go.clear()
    asked = [comparisons.is_right(algorithm, "h", b"secret", cached=False) for _ in range(50)]
    waiting = asyncio.gather(*asked)
    await asyncio.sleep(0)
    algorithm.may_go.set()
    assert await waiting == [True] * 50
    assert algorithm.asked == [("h", b"secret")]


async def test_a_client_that_leaves_does_not_end_the_comparison_of_others(comparisons):
    algorithm = Counting()
    algorithm.may_go.clear()
    leaving, staying = (
        asyncio.ensure_future(comparisons.is_right(algorithm, "h", b"secret", cached=False))
        for _ in range(2)
    )
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    algorithm.may_go.set()
    assert await staying is True
    assert leaving.cancelled()


async def test_too_many_guesses_are_refused_before_they_cost_anything(comparisons):
    algorithm = Counting()
    algorithm.may_go.clear()
    guesses = [
        asyncio.ensure_future(comparisons.is_right(algorithm, "h", b"%d" % n, cached=False))
        for n in range(MAX_WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(HttpError, match="503"):
        await comparisons.is_right(algorithm, "h", b"one more", cached=False)
    algorithm.may_go.set()
    assert await asyncio.gather(*guesses) == [False] * MAX_WAITING
    assert await comparisons.is_right(algorithm, "h", b"secret", cached=False)


async def test_a_cache_remembers_what_was_right_and_no_guess(comparisons):
    algorithm = Counting()
    for password in (b"secret", b"secret", b"wrong", b"wrong"):
        await comparisons.is_right(algorithm, "h", password, cached=True)
    assert [password for _, password in algorithm.asked] == [b"secret", b"wrong", b"wrong"]
    assert await comparisons.is_right(algorithm, "another", b"wrong", cached=True) is False


async def test_the_event_loop_is_free_while_a_password_is_compared(comparisons):
    algorithm = Counting()
    algorithm.may_go.clear()
    running = asyncio.ensure_future(comparisons.is_right(algorithm, "h", b"secret", cached=False))
    await asyncio.sleep(0)
    algorithm.may_go.set()  # only a loop that is not blocked comes here
    assert await running


async def test_accounts_may_come_from_the_environment_and_from_files(tmp_path):
    (tmp_path / "hash").write_text(WEAK + "\n")
    use_environment({"WHO": "eve", "HASH": WEAK})
    try:
        link = chain(accounts=[
            account("{env.WHO}", "{env.HASH}"), account("fil", f"{{file.{tmp_path}/hash}}"),
        ])  # fmt: skip
    finally:
        use_environment({})
    assert (await link(asking("eve", "secret"))).body == b"eve"
    assert (await link(asking("fil", "secret"))).body == b"fil"


def test_an_account_whose_hash_is_not_in_the_environment_is_no_account():
    with pytest.raises(ValueError, match="'ann' is no hash of bcrypt"):
        chain(accounts=[account("ann", "{env.NOT_THERE}")])


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"accounts": [account("ann", "secret")]}, "quantum hash-password"),
        ({"accounts": [account("ann", "$2a$99$short")]}, "no hash of bcrypt"),
        ({"accounts": [account()], "hash": {"algorithm": "argon2id"}}, "no hash of argon2id"),
        ({"accounts": [account(), account()]}, "there twice"),
        ({"accounts": [account("")]}, "username"),
        ({"hash": {"algorithm": "md5"}}, "unknown module http.authentication.hashes.md5"),
        ({"realm": "a\r\nb"}, "realm"),
    ],
)
def test_what_would_let_nobody_in_is_refused_with_a_remedy(config, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_routes([*MODULES, *AUTHENTICATION], [{"handle": [handler(**config)]}])
    assert "secret" not in str(caught.value)
    assert "http_basic" in caught.value.path
