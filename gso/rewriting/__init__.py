"""A capture in, another one out: segmented or coalesced."""
