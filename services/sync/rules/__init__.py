"""What a share is and what may become of it: pure, without a disk, a clock or a network.

What lives here: the tree that a log makes (``tree``), how operations are spelled (``operations``), what
wishes become (``changes``, on ``conditions``), what findings on a disk mean (``adoption``), how something
becomes what it was (``restoring``), and trees with plans on top (``draft``).
"""
