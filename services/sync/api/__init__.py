"""The REST interface of a share: routes, their answers, digests and forms."""
