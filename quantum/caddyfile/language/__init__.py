"""The language: characters to tokens, tokens to blocks; imports, snippets and the environment.

What lives here knows no directive. What words mean is told in ``directives`` and ``options``.
"""
