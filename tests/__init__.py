"""The system's requirements, as tests whose names are sentences."""
