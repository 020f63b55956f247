"""Running rooms: the service interface, the order of start and stop, signals, ops endpoints.

What lives here: what turns a list of rooms into a running process. What does not: the list
(``services/catalog.py``) and the rooms.
"""
