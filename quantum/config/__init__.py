"""Reading configuration: models, units, files, the simple format.

What lives here: what every room's configuration is made of. What does not: any room's own fields
(``services/*/config.py``) and the document that composes them (``services/config.py``).
"""
