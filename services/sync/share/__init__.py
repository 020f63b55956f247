"""One synced folder: its files, what is known of them, and the log of its operations.

What lives here: names and safe access (``paths``, ``folder``), metadata (``tree``), contents on their
way in (``incoming``), changes made on the disk (``watcher``), the durable log (``journal``) and the
rule that joins them (``share``). What does not: HTTP and WebSockets.
"""
