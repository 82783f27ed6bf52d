"""Moving an installation to topics with other partition counts or in a newer version."""
