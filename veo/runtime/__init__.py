"""What this process works on: connected providers, running jobs, followed jobs."""
