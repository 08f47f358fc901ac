"""The meta-training worker: claims meta-trainings and final trainings, one at a time."""
