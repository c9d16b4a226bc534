"""The sk_buff record: its struct, its dtype, its Python face."""
