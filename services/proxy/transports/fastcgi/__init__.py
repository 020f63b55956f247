"""FastCGI towards application servers such as PHP-FPM.

``records`` and ``reply`` read and write bytes, ``environment`` says what the application is told; the
connection is the HTTP/1.1 one with another reader.
"""
