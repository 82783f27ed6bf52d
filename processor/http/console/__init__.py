"""The console: Opt-Out Management in the browser, rendered here; it works without JavaScript."""
