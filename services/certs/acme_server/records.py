"""Accounts and orders of one ACME server, as files: ``acme_server/<ca>/{accounts,keys,orders/<account>,issued}/…``.

An order is one file with everything below it (authorizations, challenges, the certificate), so that
it changes in one step. Methods block on the disk. Who changes something holds ``locked``.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantum.clock import Clock
from services.certs.acme_server.problems import AcmeProblem
from services.certs.keeping.storage import Storage

ORDER_SECONDS = 24 * 3600.0
"""How long an order may take, and how long a certificate can be fetched."""
MAX_ACCOUNTS = 10_000
"""Accounts of one server: making one proves nothing, so strangers must not fill the disk."""
MAX_ORDERS = 300
"""Orders of one account within a day that did not end yet."""
ID_BYTES = 12

Record = dict[str, Any]


class Records:
    """The accounts and orders of one server."""

    def __init__(self, storage: Storage, ca: str, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._base = ("acme_server", ca)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the records for this thread alone, in all processes that share the disk."""
        with self._storage.locked(*self._base):
            yield

    # Accounts, found by the thumbprints of their keys.

    def account(self, account: str) -> Record | None:
        """Return an account, None when there is none."""
        return self._read("accounts", account) if account.isalnum() else None

    def account_of(self, key: str) -> str | None:
        """Return the id of the account with a key, by its thumbprint."""
        found = self._read("keys", key)
        return str(found["account"]) if found is not None else None

    def make_account(self, key: str, content: Record) -> str:
        """Keep a new account and return its id; AcmeProblem when there are too many."""
        folder = self._folder("accounts")
        if folder.is_dir() and sum(1 for _ in folder.iterdir()) >= MAX_ACCOUNTS:
            raise AcmeProblem("rateLimited", "this server has no room for more accounts")
        account = secrets.token_hex(ID_BYTES)
        self._write(content, "accounts", account)
        self._write({"account": account}, "keys", key)
        return account

    def change_account(self, account: str, content: Record) -> None:
        """Keep an account as it is now."""
        self._write(content, "accounts", account)

    def change_key(self, account: str, before: str, after: str, content: Record) -> None:
        """Give an account another key (§7.3.5)."""
        self._write(content, "accounts", account)
        self._write({"account": account}, "keys", after)
        self._folder("keys", f"{before}.json").unlink(missing_ok=True)

    # Orders.

    def make_order(self, account: str, content: Record) -> str:
        """Keep a new order and return its id; forget those whose time is over."""
        self._clean(account)
        folder = self._folder("orders", account)
        if folder.is_dir() and sum(1 for _ in folder.iterdir()) >= MAX_ORDERS:
            raise AcmeProblem("rateLimited", f"more than {MAX_ORDERS} orders within a day")
        order = secrets.token_hex(ID_BYTES)
        self._write(content, "orders", account, order)
        return order

    def order(self, account: str, order: str) -> Record:
        """Return an order of ``account``; AcmeProblem when there is none, or its time is over."""
        found = self._read("orders", account, order) if order.isalnum() else None
        if found is None or found["expires"] < self._clock.now().timestamp():
            raise AcmeProblem("malformed", "there is no such order of this account", 404)
        return found

    def change_order(self, account: str, order: str, content: Record) -> None:
        """Keep an order as it is now."""
        self._write(content, "orders", account, order)

    def orders(self, account: str) -> list[str]:
        """Return the ids of an account's orders."""
        folder = self._folder("orders", account)
        return sorted(file.stem for file in folder.glob("*.json")) if folder.is_dir() else []

    # Certificates by serial number: who may revoke them, and whether somebody did.

    def note_certificate(self, serial: int, account: str, start: float, end: float) -> None:
        """Remember whose certificate it is, and from when until when it is valid."""
        content = {"account": account, "start": start, "end": end, "revoked": False}
        self._write(content, "issued", f"{serial:x}")

    def certificate(self, serial: int) -> Record | None:
        """Return what is known of a certificate, None when it is not ours."""
        return self._read("issued", f"{serial:x}")

    def revoke(self, serial: int, content: Record) -> None:
        """Remember that it is not to be trusted."""
        self._write({**content, "revoked": True}, "issued", f"{serial:x}")

    def clean(self) -> None:
        """Forget orders and certificates whose time is over."""
        with self.locked():
            self._clean_all()

    def _clean_all(self) -> None:
        now = self._clock.now().timestamp()
        for file in self._folder("issued").glob("*.json"):
            if json.loads(file.read_bytes())["end"] < now:
                file.unlink(missing_ok=True)
        for folder in self._folder("orders").glob("*"):
            self._clean(folder.name)

    def _clean(self, account: str) -> None:
        now = self._clock.now().timestamp()
        folder = self._folder("orders", account)
        for file in folder.glob("*.json") if folder.is_dir() else ():
            if json.loads(file.read_bytes())["expires"] < now:
                file.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder)

    def _folder(self, *parts: str) -> Path:
        return self._storage.root.joinpath(*self._base, *parts)

    def _read(self, *parts: str) -> Record | None:
        found = self._storage.read(*self._base, *parts[:-1], f"{parts[-1]}.json")
        content: Record | None = json.loads(found) if found is not None else None
        return content

    def _write(self, content: Record, *parts: str) -> None:
        data = json.dumps(content).encode()
        self._storage.write(data, *self._base, *parts[:-1], f"{parts[-1]}.json")
