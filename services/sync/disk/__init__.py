"""The plain directory of a share: what people open with ordinary tools.

What lives here: safe access (``folder``), contents on their way in (``incoming``), changes made by
other programs (``watcher``), what was last seen there (``seen``), and the two directions between the
tree of the log and the disk: carrying out operations (``plain``) and finding changes (``survey``).
"""
