"""The clients of ``/ws``.

What lives here: connections (``client``), those of one share (``hub``), what a subscription of protocol
2 remembers (``subscription``), what is counted (``metrics``).
"""
