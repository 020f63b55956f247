"""What a client prefers among the forms of an answer (RFC 9110 §12): pure readers of its Accept fields.

What lives here is shared by rooms. What is done with the preference does not: it is each handler's.
"""
