"""One replica of one share: its log, its index, and the plain folder if this process keeps it.

What lives here: appending and applying (``share``, ``committing``, ``log``), what is kept of the log
(``index``, ``history``, ``retention``), keeping the folder (``keeper``, ``caretaker``), and which names
there can be (``paths``). What does not: HTTP and WebSockets.
"""
