"""Numbers of the prompt room: accuracy, speed, determinism, draws, round trips. Prints them; never fails on speed.

``python3 tests/bench/bench_prompt.py`` (plain Python; add ``--quick`` for a tenth of the work).
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
SHARE = 10 if "--quick" in sys.argv else 1


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def median(work, times: int = 5) -> float:
    """Median CPU seconds of ``times`` runs."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def digest(first: int, last: int) -> str:
    """One hash over the prompts and Characters of a range of seeds."""
    from chibi_avatar.prompt import build

    total = hashlib.sha256()
    for seed in range(first, last):
        made = build("", "illustrious", seed=seed, variety=1.0)
        total.update((made.positive + made.negative + made.character.to_json()).encode())
    return total.hexdigest()


def main() -> None:
    code = "import time;t=time.process_time();import chibi_avatar.prompt;import sys;sys.stdout.write(str(time.process_time()-t))"
    taken = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    say(f"(times are CPU time) import chibi_avatar.prompt: {statistics.median(taken) * 1000:.1f} ms")
    from prompt_sentences import FOLDER, score, sentences

    from chibi_avatar.character import Color
    from chibi_avatar.prompt import build, read_prompt
    from chibi_avatar.prompt.conflicts import resolve_conflicts, unresolved
    from chibi_avatar.prompt.datafiles import load
    from chibi_avatar.prompt.lexicon import lexicon
    from chibi_avatar.prompt.parse import parse
    from chibi_avatar.prompt.tokens import split_tags

    start = time.process_time()
    lex = lexicon()
    say(f"first use (reads the lexicon): {(time.process_time() - start) * 1000:.0f} ms")
    say(
        f"entries: {sum(map(len, lex.entries.values()))} in {len(lex.entries)} fields, {len(lex.colors)} colours, {len(lex.patterns)} patterns"
    )
    rows = []
    for path in sorted(FOLDER.glob("*.txt")):
        own = sentences(path)
        rows += own
        result = score(own)
        say(
            f"{path.name}: {len(own)} sentences, recall {result.recall:.4f}, precision {result.precision:.4f}, "
            f"refusals {result.refused}/{result.refusals}"
        )
    say(f"parse: {median(lambda: [parse(text) for text, _ in rows]) / len(rows) * 1000:.3f} ms a sentence")
    say(
        f"build: {median(lambda: [build(text, 'illustrious') for text, _ in rows]) / len(rows) * 1000:.3f} ms a sentence"
    )
    count = 10_000 // SHARE
    halves = []
    for hash_seed in ("0", "31337"):
        program = f"import sys;sys.path[:0]=[{str(ROOT)!r},{str(Path(__file__).parent)!r}];import bench_prompt;sys.stdout.write(bench_prompt.digest(0,{count}))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        halves.append(done.stdout)
    say(
        f"{count} seeds in two processes with different PYTHONHASHSEED: {'byte-identical' if halves[0] == halves[1] else 'DIFFERENT'}"
    )
    banned = {word for word in load("banned")["words"] if len(word) > 2}
    still = indecent = good = total = 0
    trips = 5000 // SHARE
    for seed in range(count):
        made = build("", "illustrious", seed=seed, variety=1.0)
        hidden = resolve_conflicts(made.character).hidden
        still += bool(unresolved(made.character, hidden))
        indecent += bool(set(split_tags(made.positive)) & banned)
        if seed < trips:
            back, _ = read_prompt(made.positive, made.negative)
            for path, value in made.character.items():
                if path not in hidden and value not in (False, "none"):
                    total += 1
                    other = back.get(path)
                    good += (
                        other.name == value.name
                        if isinstance(value, Color) and isinstance(other, Color)
                        else other == value
                    )
    say(f"{count} draws: {still} with open conflicts, {indecent} with banned words")
    say(f"{trips} round trips build → read back: {good / total:.4f} of {total} fields")


if __name__ == "__main__":
    main()
