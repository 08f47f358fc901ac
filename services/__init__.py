"""The distributed service: controller, workers, store, client and command line."""
