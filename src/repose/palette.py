"""The colours of everything that is drawn: viewer, page, film, sheets, plots, and meshes that are exported.

Left is blue and right is orange, everywhere. Colours are "#rrggbb" of a screen (sRGB).
"""

from functools import cache

Rgb = tuple[int, int, int]

SIDES = {"left": "#1c7ed6", "right": "#f76707"}
MIDDLE = "#495057"
"""What is neither left nor right."""
PEOPLE = (MIDDLE, "#7048e8", "#2b8a3e", "#c2255c", "#0b7285", "#846358")
"""What is neither left nor right of each person, where several are told apart."""
COMPARED = "#adb5bd"
"""Ground truth, or a second result."""
MODELS = ("#1f6fb4", "#d1495b", "#2a9d5c", "#8d5fb8", "#e08e0b", "#6b6b6b")
"""Models side by side."""
PAPER, INK = "#ffffff", "#343a40"
GRID, SHADOW, FRAME = "#d6dbe0", "#e5e8eb", "#868e96"
"""Ground, what people cast on it, and the edges of a camera or picture."""
PALE = 0.45
"""How much of their colour bones keep on paper where they were inferred."""


def side_of(joint: str) -> str:
    """Return which side a joint of that name is on: left, right or middle."""
    side = joint.partition("_")[0]
    return side if side in SIDES else "middle"


def side_colour(joint: str, middle: str = MIDDLE) -> str:
    """Return the colour of a joint and the bone that leads to it; `middle` if neither left nor right."""
    return SIDES.get(side_of(joint), middle)


def mixed(colour: Rgb, share: float, ground: Rgb = (255, 255, 255)) -> Rgb:
    """Mix `share` of a colour with another for the rest, paper by default."""
    red, green, blue = (
        round(share * here + (1 - share) * there) for here, there in zip(colour, ground, strict=True)
    )
    return red, green, blue


@cache
def rgb(colour: str) -> Rgb:
    """Return the red, green and blue from 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def linear(colour: str) -> tuple[float, float, float]:
    """Return the amounts of red, green and blue light from 0 to 1, which materials have (IEC 61966-2-1)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in rgb(colour))
    )
    return red, green, blue
