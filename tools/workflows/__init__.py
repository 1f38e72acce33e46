"""Development-time programs that write the workflow files: canvas, API twin and thumbnail from one description."""
