"""Pages for a browser, each one self-contained file. Plots need the extra ``report``."""
