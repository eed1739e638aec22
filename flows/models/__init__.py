"""Latent-variable models of segments: VAE, flow, DNF and factorial DNF."""
