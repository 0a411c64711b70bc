"""veo_gemini."""
