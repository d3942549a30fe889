"""FRADECT: risk decisions from rules and models that are released, tested and rolled back as one thing."""

from fradect import quiet as quiet
