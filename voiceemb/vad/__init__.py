"""Voice activity detection: energy, WebRTC and a small network."""
