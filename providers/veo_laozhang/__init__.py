"""veo_laozhang."""
