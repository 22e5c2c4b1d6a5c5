"""Images of the services, and the check of docker-compose.yml."""
