"""``veo sandbox``: run a local server that imitates the providers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sandbox(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.", metavar="PORT")
    ] = 0,
    profile: Annotated[
        str,
        typer.Option(
            help="Dialect of /v1/videos: capture-2025-11, docs, official, openai or resold.",
            metavar="NAME",
            autocompletion=lambda: ["capture-2025-11", "docs", "official", "openai", "resold"],
        ),
    ] = "capture-2025-11",
    latency: Annotated[
        str | None,
        typer.Option(
            help="Seconds per video: a number, uniform:FROM,TO or lognormal:MEDIAN,SIGMA.",
            metavar="TIME",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Speed of the sandbox's clock relative to real time.", metavar="FACTOR"),
    ] = None,
    clip: Annotated[
        str, typer.Option(help="full: video with sound; tiny: a few kilobytes.", metavar="KIND")
    ] = "full",
    home: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tasks, files and charges; by default that of --sandbox.",
            metavar="FOLDER",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed for random outcomes and latencies.", metavar="NUMBER")
    ] = None,
    fail_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of tasks that fail.", metavar="SHARE")
    ] = None,
    timeout_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of tasks that never finish.", metavar="SHARE"),
    ] = None,
    balance: Annotated[
        float | None, typer.Option(min=0, help="Balance of the account, USD.", metavar="USD")
    ] = None,
) -> None:
    """Run a local server that imitates the providers, until Ctrl-C."""
    from veo.errors import UsageError
    from veo.paths import ledger_dir
    from veo_sandbox import serve

    options = {
        "latency": latency,
        "speed": speed,
        "seed": seed,
        "fail_rate": fail_rate,
        "timeout_rate": timeout_rate,
        "balance": balance,
    }
    # The sandbox itself has the defaults of options that are not given.
    settings = {name: value for name, value in options.items() if value is not None}
    folder = home or ledger_dir(sandbox=True) / "server"
    try:
        serve(folder, port=port, profile=profile, clip=clip, **settings)
    except (ValueError, OSError) as error:
        raise UsageError(f"cannot start the sandbox: {error}") from error
