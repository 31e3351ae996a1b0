"""Hydra's search path: choices and overrides only; the keys and defaults are the dataclasses' own."""
