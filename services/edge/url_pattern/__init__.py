"""``http.matchers.url_pattern``: WHATWG URL patterns, such as ``/books/:id``."""
