"""Ways to change a DNS zone (``dns.providers.*``), one file each; ``api`` says what one is."""
