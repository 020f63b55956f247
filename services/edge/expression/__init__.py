"""Expressions (CEL): read and type-checked when a configuration is loaded, closures when a request comes.

``lexer`` and ``parser`` make the tree, ``compiler`` makes closures of it, with the operators of
``logic``, the functions of ``functions/`` and the macros of ``macros``;
``values`` says what a value is. ``http`` adds what a request has: placeholders, and each matcher as a function.
``config`` and ``matcher`` are the module ``http.matchers.expression``; nothing else here knows of HTTP.
"""
