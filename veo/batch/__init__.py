"""Many requests as one piece of work: read, checked, made once each, and carried on with."""
