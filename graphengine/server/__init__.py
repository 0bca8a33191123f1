"""ComfyUI's HTTP and WebSocket protocol over an engine."""
