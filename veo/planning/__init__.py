"""From a request to a plan: what is wrong with it, which model takes it, what it costs."""
