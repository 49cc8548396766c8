"""Faithful inference of an open model: the subnet of the demo, and a start for your own."""

from subnet.templates.inference.definition import Inference

__all__ = ["Inference"]
