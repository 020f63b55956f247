"""Bodies: how large one may be, how slowly it may come and be taken.

What lives here: the handlers that say so. What does not: who keeps the times (``protocols/pace.py``).
"""
