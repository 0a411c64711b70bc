"""Plans: the problems of a request, its model, and what it costs."""
