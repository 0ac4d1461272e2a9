"""Plimsoll: arrays with MLX's API, and a memory limit that is kept."""
