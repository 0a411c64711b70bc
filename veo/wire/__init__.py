"""Read what services send: error tables, times and JSON. No HTTP library is imported here."""
