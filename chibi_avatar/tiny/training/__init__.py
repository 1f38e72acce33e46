"""The training itself: one module a network, on one loop that can be killed at any moment and resumed to the same result."""
