"""Jobs move on: which are given a runner, where it runs, and what happens when it dies or falls silent."""
