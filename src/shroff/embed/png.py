"""A map of tokens as PNG. This is the only file that imports Pillow."""

from __future__ import annotations

from io import BytesIO

from shroff.embed.learned import TokenVectors
from shroff.embed.mapping import SIZE_PX, dots, title
from shroff.errors import MissingExtra

_BLUE = (51, 102, 204)
_INK = (17, 17, 17)


def picture(learned: TokenVectors, column: str) -> bytes:
    """The map of `plot` as a PNG of twice its size in pixels.

    Raises:
        MissingExtra: Pillow is not installed.
        ConfigurationError: the column has no tokens that were learned.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ModuleNotFoundError as error:
        raise MissingExtra("a map as PNG needs Pillow: pip install 'shroff[plot]'") from error
    image = Image.new("RGB", (2 * SIZE_PX, 2 * SIZE_PX), "white")
    draw, font = ImageDraw.Draw(image, "RGBA"), ImageFont.load_default(26)
    draw.text((20, 20), title(learned, column), _INK, ImageFont.load_default(32))
    for dot in dots(learned, column):
        radius, x, y = 2 * dot.radius, 2 * dot.x, 2 * dot.y
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*_BLUE, 102))
        draw.text((x + radius + 4, y), dot.text, _INK, font, anchor="lm")
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
