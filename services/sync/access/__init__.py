"""Who may do what, and how much of it: tokens, patterns of paths, rates, the guard of deletions."""
