"""The `handrail` command: configuration, supervision, display, review, benchmarks.

Nothing imports this package.
"""
