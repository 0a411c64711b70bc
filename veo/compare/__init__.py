"""Routes compared: what each made of the same request, what it cost, and what theory says."""
