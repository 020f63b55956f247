"""``http.handlers.templates``: answers are Go templates, executed per request.

``lexer`` and ``parser`` make a tree (kept by its source in ``library``), ``execution`` runs it with bounds on
steps, depth and output, ``functions/`` has Go's builtins and those of Sprig, ``context`` and ``files`` what Caddy adds:
the request, files below the root, Markdown. ``handler`` is the middleware.
"""
