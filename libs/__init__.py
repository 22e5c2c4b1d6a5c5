"""What every service stands on; holds no business words."""
