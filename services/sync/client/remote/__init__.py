"""The server as the client sees it: a tree, a log, and requests that say what they expect."""
