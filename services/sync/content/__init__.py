"""Contents by their hash: every version of every file, cut into chunks, each chunk stored once.

What lives here: where a content is cut (``cutting``), the list of its chunks (``manifest``), the
directory that holds chunks on a disk (``directory``), the one interface with its two backends
(``contents``: that directory alone, or with the bus behind it), and a content as a response body
(``reading``). What does not: names of files, versions, who may read what.
"""
