"""How an application is called: when, with which request, and what follows a failure."""
