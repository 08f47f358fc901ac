"""The controller: the HTTP API and the pages."""
