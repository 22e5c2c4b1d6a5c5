"""The services. They meet in `protos/` and on the wire, never by import."""
