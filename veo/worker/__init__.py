"""A worker: takes steps of the jobs of a ledger on Postgres, on any machine."""
