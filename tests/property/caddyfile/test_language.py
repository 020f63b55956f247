"""Whatever is written, the adapter answers with a document or with its own error, and formatting ends."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from quantum.caddyfile.adapt import adapt
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.format import first_difference, format_text
from quantum.caddyfile.language.lexer import tokenize
from tests.integration.caddyfile.cases import read_cases

CASES = sorted(read_cases().values())
PIECES = st.sampled_from(
    [
        *'{}"`\\#<>@/* \n\t',
        *("<<X\n", "\nX", "{$A:b}", "{args[0]}", "{block}", "import s", "\r\n"),
        *sorted({word for text in CASES for word in text.split()}),
    ]
)


def adapts(text: str) -> None:
    try:
        adapted = adapt(text, environment={}, read_files=lambda _: [])
    except CaddyfileError as error:
        message = str(error)
    else:
        message = str(list(adapted.document)) + "."
    assert message


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=40).map(" ".join))
def test_words_in_any_order_never_break_the_adapter(text: str):
    adapts(text)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_a_case_with_a_few_changes_never_breaks_the_adapter(text: str, data: st.DataObject):
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        until = data.draw(st.integers(at, min(len(text), at + 12)))
        text = text[:at] + data.draw(PIECES) + text[until:]
    adapts(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_tokens_or_a_caddyfile_error(text: str):
    try:
        tokens = tokenize(text, "Caddyfile")
    except CaddyfileError:
        return
    assert all(1 <= token.line <= text.count("\n") + 1 for token in tokens)


def test_formatting_twice_is_formatting_once():
    for text in CASES:
        once = format_text(text)
        assert format_text(once) == once
        assert first_difference(once) == 0


def test_formatting_changes_no_token():
    for text in CASES:
        # Heredocs are told by their indentation, and CRLF is normalised: neither is a word.
        if "<<" in text:
            continue
        try:
            before = [token.text for token in tokenize(text, "")]
        except CaddyfileError:
            continue
        after = [token.text for token in tokenize(format_text(text), "")]
        assert re.sub(r"\s", "", "".join(after)) == re.sub(r"\s", "", "".join(before))
