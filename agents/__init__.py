"""What acts. Nothing lives here yet."""
