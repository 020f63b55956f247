"""What a request or an answer passes only where it is configured: a proxy without it has no stages.

What lives here: buffering, ``handle_response``, what a retry needs to know beside the failure.
What does not: choosing an upstream and the attempt itself.
"""
