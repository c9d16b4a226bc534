"""From evidence to verdict, without side effects."""
