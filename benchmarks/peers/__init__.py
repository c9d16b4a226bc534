"""Everything the library is compared with. Each peer says here what it leaves undone."""
