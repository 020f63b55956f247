"""The bus on NATS with JetStream: the only package that knows nats-py.

What lives here: the connection and its outages (``link``), gapless reading (``feed``), buckets
(``keyvalue``), logs (``log``) and the Bus over them (``connection``). What does not: the server;
``quantum.service.embedded`` runs one when none is given.

nats-py's own reconnecting is off: after it, its push consumers wait for ones that the restarted
server has forgotten. Here each connection is a fresh client, and every subscription, watch and read
starts again on it from what it knows.
"""

from quantum.bus.nats.connection import NatsBus

__all__ = ["NatsBus"]
