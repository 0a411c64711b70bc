"""The ledger compared with a provider's own list of charges, and open questions settled by it."""
