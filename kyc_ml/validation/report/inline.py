"""Embed drawings and code in a page with a strict content security policy."""

import base64
import hashlib
import re

from matplotlib.figure import Figure

from kyc_ml.display import inline_svg

_FONT = re.compile(r"(?:(?P<weight>bold|\d00) )?(?P<size>[\d.]+)px .*")


def strict_svg(figure: Figure, *, prefix: str) -> str:
    """Return the SVG of a figure without style attributes, which a strict policy refuses."""
    svg = inline_svg(figure, prefix=prefix)
    return re.sub(r'\sstyle="([^"]*)"', lambda found: _as_attributes(found[1]), svg)


def source_hash(code: str) -> str:
    """Return the hash with which a content security policy allows this inline code."""
    digest = hashlib.sha256(code.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _as_attributes(style: str) -> str:
    """Return the declarations of a style as SVG attributes; the font is that of the page."""
    written = []
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            font = _FONT.fullmatch(value)
            if font is None:
                raise ValueError(f"a drawing has a font that cannot be read: {value!r}")
            written.append(f'font-size="{font["size"]}px"')
            if font["weight"]:
                written.append(f'font-weight="{font["weight"]}"')
        elif name not in ("font-family", "font-stretch", "font-variant"):
            written.append(f'{name}="{value}"')
    return "".join(f" {attribute}" for attribute in written)
