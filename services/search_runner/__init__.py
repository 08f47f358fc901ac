"""The search runner: one process per search, started by a launcher of the controller."""
