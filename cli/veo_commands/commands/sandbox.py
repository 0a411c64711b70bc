"""``veo sandbox``: the local stand-in for the services, for any client."""

from pathlib import Path
from typing import Annotated

import typer


def sandbox(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes any that is free.", metavar="PORT")
    ] = 0,
    profile: Annotated[
        str,
        typer.Option(
            help="How /v1/videos answers: capture-2025-11, docs, official or openai.",
            metavar="NAME",
            autocompletion=lambda: ["capture-2025-11", "docs", "official", "openai"],
        ),
    ] = "capture-2025-11",
    latency: Annotated[
        str | None,
        typer.Option(
            help="Seconds a video takes: a number, uniform:FROM,TO or lognormal:MEDIAN,SIGMA.",
            metavar="TIME",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Its clock against the real one.", metavar="FACTOR"),
    ] = None,
    clip: Annotated[
        str, typer.Option(help="full: real pictures and sound; tiny: a few kB.", metavar="KIND")
    ] = "full",
    home: Annotated[
        Path | None,
        typer.Option(help="Its tasks, files and bills; that of --sandbox when not given."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="What its chances start from.", metavar="NUMBER")
    ] = None,
    fail_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of tasks that fail.", metavar="SHARE"),
    ] = None,
    timeout_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of tasks that never finish.", metavar="SHARE"),
    ] = None,
    balance: Annotated[
        float | None, typer.Option(min=0, help="USD on the account.", metavar="USD")
    ] = None,
) -> None:
    """Run a local server that imitates the providers, until Ctrl-C."""
    from veo.errors import UsageError
    from veo.paths import ledger_dir
    from veo_sandbox import serve

    given = {
        "latency": latency,
        "speed": speed,
        "seed": seed,
        "fail_rate": fail_rate,
        "timeout_rate": timeout_rate,
        "balance": balance,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    folder = home or ledger_dir(sandbox=True) / "server"
    try:
        serve(folder, port=port, profile=profile, clip=clip, **settings)
    except (ValueError, OSError) as error:
        raise UsageError(f"the sandbox cannot start: {error}") from error
