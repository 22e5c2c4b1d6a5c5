"""What the platform runs on: the local stack, images, brokers, dashboards."""
