"""Examples of each command, for its help page and the reference. A test runs every one of them."""

# The tests run them in this order in one folder with --sandbox, so that one may use the results
# of those before it, and the files in `examples/`.
EXAMPLES = {
    "generate": (
        'veo generate "A lion wakes up" -o lion.mp4',
        'veo generate "Smooth time-lapse" --start-frame frame-1.jpg --aspect-ratio landscape',
        'veo generate "A lion wakes up" --duration 8s --resolution 1080 --dry-run',
    ),
    "batch": (
        "veo batch clips.json --dry-run",
        "veo batch clips.json --output-dir clips --max-cost 5",
    ),
    "extend": ('veo extend vertex.mp4 "then it roars" --times 2 -o longer.mp4',),
    "edit": (
        'veo edit lion.mp4 "make it rain" -p gemini -o rain.mp4',
        'veo edit rain.mp4 "make it night" --resolution 1080p -o night.mp4',
    ),
    "jobs": ("veo jobs", "veo jobs --state failed --limit 5", "veo jobs --cost"),
    "show": ("veo show lion.mp4", "veo show lion.mp4 --json"),
    "resume": ("veo resume", "veo resume lion.mp4"),
    "cancel": ("veo cancel JOB",),
    "cost": ("veo cost", "veo cost --by month --since 30d", "veo cost --csv"),
    "compare": (
        'veo compare "A lion wakes up" --on laozhang-async,vertex/veo-3.1-lite-generate-001 --yes',
        "veo compare --simulate --on laozhang-async,laozhang-sync --count 20",
    ),
    "models": ("veo models", "veo models -p vertex --prices"),
    "providers": ("veo providers",),
    "doctor": ("veo doctor", "veo doctor --ping"),
    "schema": ("veo schema config", "veo schema job"),
    "config": ("veo config", "veo config --init"),
    "setup": ("veo setup -p gemini",),
    "worker": ("veo worker",),
    "workers": ("veo workers",),
    "sandbox": ("veo sandbox", "veo sandbox --port 8000 --latency 1 --clip tiny"),
}
