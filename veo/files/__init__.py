"""Files on disk: videos, their sidecars, and the images of requests."""
