"""The sync room: folders kept the same everywhere, live."""
