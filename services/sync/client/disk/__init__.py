"""The local folder: system calls, safe changes, what is looked at and what is left out."""
