"""From archive to pyramid: what the three works share."""
