"""The pages: a module each, whose `ROUTES` are its handlers."""
