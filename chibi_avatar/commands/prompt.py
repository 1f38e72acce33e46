"""Turn a sentence into a Character and the prompt of one model family. Needs nothing but Python."""

from __future__ import annotations

import argparse
import json
import sys

from ..character import CharacterError
from . import DONE, UsageError

ENVIRONMENT = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..prompt.dialects import FAMILIES

    parser.add_argument("text", help="the description, in Chinese or English; '-' reads it from standard input")
    parser.add_argument(
        "--family", default="illustrious", help="model family: " + ", ".join(FAMILIES) + " (default: illustrious)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of wildcards and random choices (default: 0)")
    parser.add_argument(
        "--variety", type=float, default=0.0, help="0 to 1: how much of what is not said is drawn from the seed"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Print the prompt, or the whole result as JSON."""
    from ..prompt import build
    from ..prompt.dialects import FamilyError
    from ..prompt.tokens import find_tokens

    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    try:
        result = build(text, arguments.family, seed=arguments.seed, variety=arguments.variety, count=find_tokens())
    except (FamilyError, CharacterError) as error:
        raise UsageError(str(error)) from error
    if arguments.json:
        sys.stdout.write(json.dumps(result.to_dict(), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(f"{result.positive}\n\nnegative: {result.negative}\n\n{result.report}\n")
    return DONE
