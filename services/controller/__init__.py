"""The controller: the HTTP API and the dispatcher of searches."""
