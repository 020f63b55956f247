"""The versions of HTTP that the edge speaks; each turns bytes into Requests and Responses into bytes."""
