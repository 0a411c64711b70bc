"""What Google's two Veo APIs share: how a create is read, an operation told, an error worded."""
