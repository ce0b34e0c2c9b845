"""What the project measures about itself; nothing here is shipped."""
