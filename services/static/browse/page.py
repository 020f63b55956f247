"""The page of a folder: a table that needs no script, readable on a phone, in the dark and by a screen reader."""

STYLE = """
:root { color-scheme: light dark; --line: #d8dbe0; --faint: #5b6370; }
@media (prefers-color-scheme: dark) { :root { --line: #353b45; --faint: #a2abb8; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .4rem .5rem; border-bottom: 1px solid var(--line); }
td:first-child { overflow-wrap: anywhere; width: 100%; }
td:nth-child(2), th:nth-child(2) { text-align: right; white-space: nowrap; }
td:nth-child(3) { white-space: nowrap; color: var(--faint); }
th[aria-sort=ascending] a::after { content: " ▴"; }
th[aria-sort=descending] a::after { content: " ▾"; }
.folder td:first-child a { font-weight: 600; }
.leads, footer { color: var(--faint); }
a { text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
@media (max-width: 40rem) { td:nth-child(3), th:nth-child(3) { display: none; } }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{crumbs}</h1>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{up}{rows}</tbody>
</table>
<footer><p>{summary}</p><p>{pages}</p></footer>
</body>
</html>
"""
