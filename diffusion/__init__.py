"""Samples out of noise: laws for tensors of any rank, and what they are used for."""
