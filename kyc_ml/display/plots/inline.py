"""A figure as a part of an HTML page."""

import re
from io import StringIO

import matplotlib as mpl
from matplotlib.figure import Figure

from kyc_ml.display.plots.style import THEME, keeping_text


def inline_svg(figure: Figure, *, prefix: str) -> str:
    """Draw a figure as SVG for use inside a page: no header, own identifiers, themed colours.

    The salt keeps identifiers the same from run to run; text stays text, so that it is small,
    sharp, to be searched and read aloud. Matplotlib has escaped it: the template does not again.
    """
    stream = StringIO()
    with mpl.rc_context({"svg.hashsalt": "kyc_ml", "svg.fonttype": "none"}), keeping_text():
        figure.savefig(stream, format="svg", facecolor="none", metadata={"Date": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda found: _adapt_tag(found[0], prefix=prefix), svg)
    return re.sub(r"\n\s*", "\n", svg)


def _adapt_tag(tag: str, *, prefix: str) -> str:
    """Make identifiers of a tag unique on the page, and its colours those of the theme."""
    if tag.startswith("<svg"):
        tag = re.sub(r'\s(width|height|version)="[^"]*"', "", tag)
        return tag.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    tag = re.sub(r'\bid="', f'id="{prefix}', tag)
    tag = re.sub(r'href="#', f'href="#{prefix}', tag)
    tag = re.sub(r"url\(#", f"url(#{prefix}", tag)
    return re.sub(r"#[0-9a-f]{6}\b", _themed, tag)


def _themed(found: re.Match[str]) -> str:
    role = THEME.get(found[0])
    return f"var(--{role})" if role else found[0]
