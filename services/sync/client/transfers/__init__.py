"""Contents on their way between the folder and the server: whole, or only the chunks that are missing.

What lives here: uploads, downloads, the temporary file of a download, lists of chunks of local
contents. What does not: what is transferred and why (``planning``), requests (``remote``).
"""
