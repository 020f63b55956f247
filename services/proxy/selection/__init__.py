"""Which upstream gets a request: ``http.reverse_proxy.selection_policies.*``.

What lives here: one small class for each policy, their configurations, and the hashing they share.
What does not: who is available; a policy is handed those that are, never an empty list.
"""
