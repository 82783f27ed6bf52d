"""The console: Opt-Out Management in the browser, rendered here, whole without JavaScript."""
