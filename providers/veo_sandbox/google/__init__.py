"""What Google's two Veo APIs share: requests, operations, errors."""
