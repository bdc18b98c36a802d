"""The encoding of a text file: certain from a byte-order mark, or a guess for a message."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

from kyc_ml.contract.packing import FileFaultError

_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark its own begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BLOCK: Final = 1 << 24
_LETTERS_THAT_PROVE: Final = 50
"""Convention: 50 bytes beyond ASCII that are valid UTF-8 are not so by chance."""
_MOSTLY: Final = 0.9


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding that a byte-order mark names; None without a mark."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def encoding_fault(head: bytes, declared: str | None) -> str | None:
    """Return why a file cannot be read in the encoding declared; None if it may be.

    `head`: the beginning of the file.
    `declared`: Python's name of the encoding; None for UTF-8, or the encoding of a mark.
    """
    marked = marked_encoding(head)
    if declared is None or marked is None:
        return None
    known = codecs.lookup(declared).name.replace("_", "-")
    if known.startswith(marked):  # utf-8-sig, utf-16-le
        return None
    return f"begins with the mark of {marked}, and is no {declared}: leave `encoding` out"


def looks_like(head: bytes) -> str:
    """Return what bytes that are not UTF-8 look like, with the line to write.

    A hint for a person, who knows: the same bytes can be text of several encodings.

    Examples
    --------
    >>> looks_like("客户,姓名".encode("gbk"))
    'looks like gb18030: write encoding: gb18030'
    >>> looks_like("café,".encode("cp1252"))
    'looks like cp1252 (Western): write encoding: cp1252'
    """
    if b"\x00" in head:
        even = head[::2].count(0) > head[1::2].count(0)
        # in big-endian text of Western letters the zero byte comes first
        name = "utf-16-be" if even else "utf-16-le"
        return f"looks like {name}: write encoding: {name}"
    body = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1 or None]  # no half a letter
    try:
        text = body.decode("gb18030")
    except UnicodeDecodeError:
        return "looks like cp1252 (Western): write encoding: cp1252"
    letters = [letter for letter in text if not letter.isascii()]
    common = sum("一" <= letter <= "鿿" or "　" <= letter <= "〿" for letter in letters)
    # GB 2312 has the letters in daily use
    daily = "".join(letters).encode("gb2312", errors="ignore").decode("gb2312")
    if min(common, len(daily)) >= _MOSTLY * len(letters):
        return "looks like gb18030: write encoding: gb18030"
    return "looks like gb18030 (Chinese) or cp1252 (Western): write the right one as `encoding`"


def as_utf8(handle: BinaryIO, encoding: str) -> Iterator[bytes]:
    """Return a text as UTF-8, block by block, without a byte-order mark.

    A line that is not in the encoding stays as it is behind a byte that UTF-8 never has: the
    reader of the lines refuses that one, and no line is lost or changed.

    Raises FileFaultError if the text is UTF-8, or damaged in an encoding whose lines cannot be
    separated before it is decoded.
    """
    blocks = _by_line(handle, encoding) if _keeps_ascii(encoding) else _by_state(handle, encoding)
    first = True
    for block in blocks:
        yield block.removeprefix(codecs.BOM_UTF8) if first else block
        first = False


def _keeps_ascii(encoding: str) -> bool:
    """Return whether ASCII bytes are the same in this encoding, so that bytes split into lines."""
    try:
        return all(bytes([code]).decode(encoding) == chr(code) for code in range(128))
    except UnicodeDecodeError:
        return False


def _by_line(handle: BinaryIO, encoding: str) -> Iterator[bytes]:
    rest, beyond, proven = b"", 0, codecs.lookup(encoding).name != "utf-8"
    while block := handle.read(_BLOCK):
        whole = rest + block
        end = max(whole.rfind(b"\n"), whole.rfind(b"\r")) + 1
        if not end and len(whole) > _BLOCK:
            msg = "has a line of more than 16 MB: it is not a table of text"
            raise FileFaultError(reason=msg)
        lines, rest = whole[:end], whole[end:]
        letters = _letters_of_utf8(lines) if proven else None
        proven, beyond = letters is not None, beyond + (letters or 0)
        yield _recode(lines, encoding)
    letters = _letters_of_utf8(rest) if proven else None
    yield _recode(rest, encoding)
    if letters is not None and beyond + letters >= _LETTERS_THAT_PROVE:
        msg = f"is UTF-8, and no {encoding}: leave `encoding` out"
        raise FileFaultError(reason=msg)


def _letters_of_utf8(text: bytes) -> int | None:
    """Count the bytes of UTF-8 that continue a letter; None if the text is not UTF-8."""
    try:
        return len(text) - len(text.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def _recode(lines: bytes, encoding: str) -> bytes:
    try:
        return lines.decode(encoding).encode()
    except UnicodeError:
        single = lines.splitlines(keepends=True)
        if len(single) == 1:
            return b"\xff" + lines  # never UTF-8: the engine rejects the line, keeps its number
        # line by line: a letter that cannot be read then costs its line only
        return b"".join(_recode(line, encoding) for line in single)


def _by_state(handle: BinaryIO, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while block := handle.read(_BLOCK):
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        msg = f"is no {encoding}, or is cut off: send it again, or write another `encoding`"
        raise FileFaultError(reason=msg) from None
