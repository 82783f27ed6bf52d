"""The API: a module per resource; what Twilio's helper libraries speak, and beside it our own."""
