"""The command line: one file per command; the only place that prints and reads the environment.

What lives here: flags, their environment variables, and what is printed. What does not: anything a
process does once it runs (``quantum/service/runner.py``).
"""
