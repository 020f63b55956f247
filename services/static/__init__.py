"""The static room: files of a folder."""
