"""HTTP: one application factory, one server Part, faults as problem+json."""
