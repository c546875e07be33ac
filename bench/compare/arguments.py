"""Types of command-line options that both comparisons have."""

import argparse


def chosen(known):
    """Some of `known`, separated by commas."""
    def parse(text):
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"got {name}, expected some of: {', '.join(known)}")
        return list(dict.fromkeys(names))
    return parse


def bounded(low, high, kind):
    """A number from `low` to `high`, both included."""
    def parse(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text}, expected {low} to {high}")
        return value
    return parse
