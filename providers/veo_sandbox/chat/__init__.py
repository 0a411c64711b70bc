"""The chat wire: a request read, a stream that tells of its video, and the dresses it wears."""
