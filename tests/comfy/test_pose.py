"""Pose nodes in a real ComfyUI server."""
