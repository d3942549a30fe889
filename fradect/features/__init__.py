"""Features: declared once in a contract, computed by one kernel for history and for the request."""
