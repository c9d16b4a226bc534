"""Packets put into tunnels, and taken out of them."""
