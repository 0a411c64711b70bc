"""`python -m veo_sandbox`: serve until interrupted."""

import argparse
from pathlib import Path

from veo_sandbox.sandbox import serve


def main() -> None:
    """Parse the options and serve; the home, or else the default, decides those left out."""
    parser = argparse.ArgumentParser(prog="veo_sandbox", argument_default=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, default=Path("veo-sandbox"))
    parser.add_argument("--profile")
    parser.add_argument("--latency", help="SECONDS, uniform:FROM,TO or lognormal:MEDIAN,SIGMA")
    parser.add_argument("--speed", type=float)
    parser.add_argument("--clip", choices=("full", "tiny"))
    parser.add_argument("--clip-bytes", type=int)
    parser.add_argument("--port", type=int)
    parser.add_argument("--key")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--delay", type=float, help="real seconds before every response")
    parser.add_argument("--fail-rate", type=float)
    parser.add_argument("--timeout-rate", type=float)
    parser.add_argument("--processing-lag", type=float, help="Gemini: seconds until extendable")
    parser.add_argument(
        "--retired", action="store_true", help="Gemini: its Veo models are shut down"
    )
    parser.add_argument("--offered", help="names of the models that are offered, all if left out")
    parser.add_argument("--file-host", help="base URL in Gemini's file addresses, or self")
    parser.add_argument("--balance", type=float, help="USD")
    options = vars(parser.parse_args())
    serve(options.pop("home"), **options)


if __name__ == "__main__":
    main()
