"""Microsoft Entra: tokens, the binary codec, the contracts and client of the sync service."""
