"""Certificates for names that no configuration spells out: who allows them, who has them ready."""
