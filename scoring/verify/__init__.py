"""Verification of model outputs, as pure arithmetic."""
