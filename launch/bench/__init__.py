"""Benchmarks, one file each, reported in the one form of `figures`.

A file with `OPTIONS` and `measure(options, config)` is a benchmark; its name is the word on the
command line.
"""
