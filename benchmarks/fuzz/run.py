"""Feed the readers with millions of odd inputs: only our own errors may come out, and soon.

    python benchmarks/fuzz/run.py --inputs 1000000            # all readers
    python benchmarks/fuzz/run.py stream --inputs 1000000 --seed 2
    python benchmarks/fuzz/run.py stream --atheris            # guided by coverage

Without ``--atheris`` the inputs are mutations of sound ones, the same for the same seed. With it,
libFuzzer changes them and learns which ones reach new code; ``pip install atheris`` first.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import traceback
from pathlib import Path

SLOW_S = 0.5  # of processor time, for at most 20 kB: a linear reader takes milliseconds


def main() -> int:
    """Run the readers that the arguments name; return 1 if there is a defect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", nargs="*")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--atheris", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    logging.disable()  # unknown words are logged, a million times
    if options.atheris:
        return run_atheris(options.reader[0], options.inputs)
    from readers import READERS

    names = options.reader or list(READERS)
    # All of them, also after a defect.
    found = [run_reader(name, options.inputs, options.seed) for name in names]
    return int(any(found))


def run_reader(name: str, inputs: int, seed: int) -> bool:
    """Feed one reader, print a line about it, and return whether it has a defect."""
    from mutate import mutate
    from readers import READERS, check

    reader, source = READERS[name], random.Random(seed)
    began, slowest, defects = time.monotonic(), 0.0, dict[str, bytes]()
    for _ in range(inputs):
        data = mutate(reader.seeds, source)
        start = time.process_time()
        try:
            check(reader, data)
        except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            defects.setdefault(f"{error!r:.80} at {place.filename}:{place.lineno}", data)
        slowest = max(slowest, time.process_time() - start)
    seconds = time.monotonic() - began
    print(
        f"{name:10} {inputs:>9,} inputs  seed {seed}  {seconds:7.1f} s  "
        f"slowest {slowest * 1000:6.1f} ms  defects {len(defects)}",
        flush=True,
    )
    for text, data in defects.items():
        print(f"    {text}\n    {data[:300]!r}", flush=True)
    return bool(defects) or slowest > SLOW_S


def run_atheris(name: str, inputs: int) -> int:
    """Feed one reader under libFuzzer, which ends the process at the first defect."""
    import atheris

    with atheris.instrument_imports(include=["veo", "veo_laozhang", "veo_gemini"]):
        from readers import READERS, check
    reader = READERS[name]
    corpus = Path.home() / ".cache" / "veo-fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(reader.seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    limits = [f"-runs={inputs}", "-max_len=20000", "-timeout=5", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], lambda data: check(reader, data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
