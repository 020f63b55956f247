"""The kernel: everything the rooms share, and nothing that knows a room.

What lives here: errors, tasks, configuration models, the module registry, HTTP types and
routing, codecs, the bus, the hop between processes, and the running of services.
What does not: any handler, matcher or policy a user can name; those live in ``services``.
"""

__version__ = "0.1.0"
