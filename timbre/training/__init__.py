"""What every run shares: its folder, its loop, its safety."""
