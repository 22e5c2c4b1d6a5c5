"""HTTP: one application factory, one server Part, one client, faults as problem+json."""
