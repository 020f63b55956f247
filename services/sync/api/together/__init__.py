"""Many small files in one request: the rows of records, and what is written and read by them."""
