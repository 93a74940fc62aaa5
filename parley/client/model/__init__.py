"""What there is to show, as plain data. No screen, no socket, no clock."""
