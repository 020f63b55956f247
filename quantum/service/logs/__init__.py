"""The ``logging`` section put into practice: encoders, filters, writers, and logs made of them.

``opening`` is the way in: what a revision wants is opened beside what runs, and taken or given up with it.
Not here: what an entry is and how it reaches the logs (``quantum.telemetry``), the models (``quantum.config``).
"""
