"""What OpenSSL can do and Python's ssl module does not pass on: told by ctypes, each with a way to do without."""
