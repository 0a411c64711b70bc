"""The environment variables, as ``veo --help`` and the reference list them."""

# Names and one line of help. Keys of providers are named by `veo providers`.
VARIABLES = {
    "VEO_API_KEY": "key for laozhang-async and laozhang-sync",
    "GEMINI_API_KEY": "key for gemini; without it, GOOGLE_API_KEY is used",
    "GOOGLE_API_KEY": "key for vertex",
    "VEO_PROVIDER": "provider",
    "VEO_MODEL": "model",
    "VEO_OUTPUT_DIR": "folder for videos without --output",
    "VEO_LEDGER": "URL of a Postgres database, for many machines",
    "VEO_MAX_COST": "maximum cost of one run, USD",
    "VEO_CONFIRM_ABOVE": "ask before a run that costs more, USD",
    "VEO_TIMEOUT": "seconds to wait for a job",
    "VEO_SANDBOX": "1 means --sandbox for every command",
    "VEO_HOME": "folder of the ledger",
    "VEO_CONFIG_HOME": "folder of config.toml",
    "NO_COLOR": "any value turns colors off",
}
