"""The contract of a share on real processes, round after round, while they are killed, stopped and cut off.

``python -m tests.rounds --topology all --rounds 100 --seed 1``. What lives here: people who write
(``writers``), clients that follow (``followers``), what goes wrong (``faults``), the judgement (``judge``).
"""
