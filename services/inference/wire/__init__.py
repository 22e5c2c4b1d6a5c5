"""Translation between protocols and domain values: validated here, once."""
