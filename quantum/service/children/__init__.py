"""The processes that this one starts and answers for: the data-plane workers.

What a worker and its parent say to each other is in ``channel``; ``child`` is the parent's view of one
worker, ``workers`` of all of them, ``follower`` the worker's side. ``fate`` ties any child's life to ours.
"""
