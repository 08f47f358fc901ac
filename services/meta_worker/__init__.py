"""The meta-training worker: claims meta-trainings, final trainings and fidelity reports, one at a time."""
