"""Any ``gso_type`` through our own kernel module, compared with ``gso.segment_vnet``."""
