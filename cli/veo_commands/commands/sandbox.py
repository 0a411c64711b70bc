"""``veo sandbox``: run a local server that imitates the providers."""

from __future__ import annotations

from pathlib import Path

from veo.errors import UsageError
from veo.paths import ledger_dir
from veo_commands.options import option


def sandbox(
    *,
    port: int = option("Port; 0 picks a free one.", "PORT", default=0, min=0, max=65535),
    profile: str = option(
        "Dialect of /v1/videos: capture-2025-11, docs, official, openai or resold.",
        "NAME",
        default="capture-2025-11",
        autocompletion=lambda: ["capture-2025-11", "docs", "official", "openai", "resold"],
    ),
    latency: str | None = option(
        "Seconds per video: a number, uniform:FROM,TO or lognormal:MEDIAN,SIGMA.", "TIME"
    ),
    speed: float | None = option("Speed of the sandbox's clock relative to real time.", "FACTOR"),
    clip: str = option("full: video with sound; tiny: a few kilobytes.", "KIND", default="full"),
    home: Path | None = option(
        "Folder for tasks, files and charges; by default that of --sandbox.", "FOLDER"
    ),
    seed: int | None = option("Seed for random outcomes and latencies.", "NUMBER"),
    fail_rate: float | None = option("Share of tasks that fail.", "SHARE", min=0, max=1),
    timeout_rate: float | None = option("Share of tasks that never finish.", "SHARE", min=0, max=1),
    balance: float | None = option("Balance of the account, USD.", "USD", min=0),
) -> None:
    """Run a local server that imitates the providers, until Ctrl-C."""
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
