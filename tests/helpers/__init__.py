"""What several tests need: data, archives, records, interrupted runs."""
