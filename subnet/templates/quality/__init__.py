"""The best answer, from any model: a subnet that pays for quality, and a start for your own."""

from subnet.templates.quality.definition import Judged, Meaning, Quality

__all__ = ["Judged", "Meaning", "Quality"]
