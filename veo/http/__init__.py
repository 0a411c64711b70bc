"""HTTP for providers: one client, its transport, and its responses."""
