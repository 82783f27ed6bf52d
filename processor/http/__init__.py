"""The API, with a module for each resource: Twilio's for its helper libraries, and our own."""
