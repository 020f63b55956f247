"""Lists of folders (``browse`` of ``file_server``): looked at, put in order, as a page, a table or JSON."""
