"""What several test layers share, importable as ``chibi_testing``."""
