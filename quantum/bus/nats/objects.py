"""Blobs: JetStream's object store, in the layout of NATS's own tools (``nats object`` reads them)."""

from __future__ import annotations

from nats.js import api
from nats.js.errors import BucketNotFoundError, NotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore as NatsObjectStore

from quantum.bus.api import ObjectStore
from quantum.bus.nats.link import Link, Session


class NatsObjects:
    """One store on one link; made on the server when first used."""

    def __init__(self, link: Link, store: ObjectStore, key: str, replicas: int) -> None:
        self._link = link
        self._bucket = f"{store.name}_{key}"
        self._config = api.ObjectStoreConfig(
            bucket=self._bucket,
            description=store.summary,
            storage=api.StorageType.FILE,
            replicas=replicas,
        )

    async def put(self, name: str, data: bytes) -> None:
        """Store, unless the name is there: then it has this content already."""

        async def write(session: Session) -> None:
            store = await self._open(session)
            try:
                await store.get_info(name)
            except (ObjectNotFoundError, NotFoundError):
                # A blob travels as one message: the largest is below the server's limit of 1 MiB.
                meta = api.ObjectMeta(options=api.ObjectMetaOptions(max_chunk_size=len(data) or 1))
                await store.put(name, data, meta)

        await self._link.call(write)

    async def get(self, name: str) -> bytes | None:
        """Return the content; nats-py compares its digest."""

        async def read(session: Session) -> bytes | None:
            try:
                return (await (await self._open(session)).get(name)).data
            except (ObjectNotFoundError, NotFoundError):
                return None

        return await self._link.call(read)

    async def delete(self, name: str) -> None:
        """Remove it."""

        async def remove(session: Session) -> None:
            try:
                await (await self._open(session)).delete(name)
            except (ObjectNotFoundError, NotFoundError):
                return

        await self._link.call(remove)

    async def _open(self, session: Session) -> NatsObjectStore:
        if self._bucket not in session.ensured:
            try:
                await session.jetstream.object_store(self._bucket)
            except (BucketNotFoundError, NotFoundError):
                await session.jetstream.create_object_store(self._bucket, self._config)
            session.ensured.add(self._bucket)
        return await session.jetstream.object_store(self._bucket)
