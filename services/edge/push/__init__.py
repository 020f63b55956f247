"""``http.handlers.push``: what a page will need is told before the page is there."""
