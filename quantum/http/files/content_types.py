"""Content types by file extension: a fixed table, the same on every machine.

Types are those of the IANA registry and, where browsers differ from it, of the WHATWG's MIME sniffing
and HTML standards. Text types carry UTF-8. A file whose extension is not listed gets no type at all:
a wrong one is worse, and guessing from the content is how uploads become scripts.
"""

from __future__ import annotations

_TEXT = {
    "css": "text/css", "csv": "text/csv", "htm": "text/html", "html": "text/html",
    "ics": "text/calendar", "js": "text/javascript", "log": "text/plain", "markdown": "text/markdown",
    "md": "text/markdown", "mjs": "text/javascript", "text": "text/plain", "txt": "text/plain",
    "tsv": "text/tab-separated-values", "vcf": "text/vcard", "vtt": "text/vtt", "xml": "text/xml",
    "conf": "text/plain", "ini": "text/plain", "toml": "application/toml", "yaml": "application/yaml",
    "yml": "application/yaml",
}  # fmt: skip

_OTHER = {
    "7z": "application/x-7z-compressed", "aac": "audio/aac", "apk": "application/vnd.android.package-archive",
    "apng": "image/apng", "atom": "application/atom+xml", "avi": "video/x-msvideo", "avif": "image/avif",
    "bin": "application/octet-stream", "bmp": "image/bmp", "br": "application/x-brotli",
    "bz2": "application/x-bzip2", "deb": "application/vnd.debian.binary-package",
    "doc": "application/msword", "dmg": "application/octet-stream",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eot": "application/vnd.ms-fontobject", "epub": "application/epub+zip", "exe": "application/octet-stream",
    "flac": "audio/flac", "geojson": "application/geo+json", "gif": "image/gif", "gz": "application/gzip",
    "heic": "image/heic", "ico": "image/x-icon", "iso": "application/octet-stream",
    "jar": "application/java-archive", "jpeg": "image/jpeg", "jpg": "image/jpeg", "json": "application/json",
    "jsonld": "application/ld+json", "jxl": "image/jxl", "m4a": "audio/mp4", "m4v": "video/mp4",
    "map": "application/json", "mid": "audio/midi", "mkv": "video/x-matroska", "mov": "video/quicktime",
    "mp3": "audio/mpeg", "mp4": "video/mp4", "mpeg": "video/mpeg", "mpg": "video/mpeg",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text", "oga": "audio/ogg", "ogg": "audio/ogg",
    "ogv": "video/ogg", "opus": "audio/ogg", "otf": "font/otf", "pdf": "application/pdf",
    "png": "image/png", "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "ps": "application/postscript", "psd": "image/vnd.adobe.photoshop", "rar": "application/vnd.rar",
    "rpm": "application/x-rpm", "rss": "application/rss+xml", "rtf": "application/rtf",
    "svg": "image/svg+xml", "svgz": "image/svg+xml", "tar": "application/x-tar", "tif": "image/tiff",
    "tiff": "image/tiff", "ts": "video/mp2t", "ttf": "font/ttf", "wasm": "application/wasm",
    "wav": "audio/wav", "weba": "audio/webm", "webm": "video/webm", "webmanifest": "application/manifest+json",
    "webp": "image/webp", "woff": "font/woff", "woff2": "font/woff2", "xhtml": "application/xhtml+xml",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xz": "application/x-xz", "zip": "application/zip", "zst": "application/zstd",
}  # fmt: skip

_BY_EXTENSION: dict[str, bytes] = {
    **{extension: kind.encode() for extension, kind in _OTHER.items()},
    **{extension: f"{kind}; charset=utf-8".encode() for extension, kind in _TEXT.items()},
}


def content_type_of(name: str) -> bytes | None:
    """Return the Content-Type for a file's name or path, None when its extension is unknown."""
    base = name[name.rfind("/") + 1 :]
    dot = base.rfind(".")
    return None if dot < 0 else _BY_EXTENSION.get(base[dot + 1 :].lower())
