"""The sync client: one local folder kept the same as a share, whoever changes which.

What lives here: the planner (``planning``, pure), the local folder (``disk``), the server
(``remote``), what was synced last (``state``), and the rounds that bring the three together
(``rounds``, ``session``). What does not: flags and what is printed (``services/cli``).
"""
